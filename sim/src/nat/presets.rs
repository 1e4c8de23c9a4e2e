//! Behaviours with the draft's names, and small changes to them.

use pinhole_proto::Duration;

use super::behaviour::Behaviour;
use super::habits::{
    CounterScope, Dependence, FreshPort, Hairpin, Ipv6, OnConflict, OnFull, OnIcmp, OnReboot, OnReset, Overloading,
    PermissionScope, Pooling, PortRanges, Refresh, SimultaneousOpen, TimerScope, Translation, Unsolicited,
    UnsolicitedDatagram,
};

impl Behaviour {
    /// Endpoint-independent mapping and filtering.
    #[must_use]
    pub const fn full_cone() -> Self {
        Self::port_restricted().with_filtering(Dependence::EndpointIndependent)
    }

    /// Endpoint-independent mapping, address-dependent filtering.
    #[must_use]
    pub const fn address_restricted() -> Self {
        Self::port_restricted().with_filtering(Dependence::AddressDependent)
    }

    /// Endpoint-independent mapping, address-and-port-dependent filtering.
    #[must_use]
    pub const fn port_restricted() -> Self {
        Self {
            translation: Translation::Napt,
            ipv6: Ipv6::Drop,
            block_udp: false,
            mapping: Dependence::EndpointIndependent,
            tcp_mapping: None,
            filtering: Dependence::AddressAndPortDependent,
            tcp_filtering: None,
            permission: PermissionScope::Mapping,
            turns_symmetric: false,
            preserve_port: false,
            conflict: OnConflict::AnotherPort,
            overloading: Overloading::Never,
            preserve_parity: false,
            contiguous: false,
            port_ranges: PortRanges::One,
            fresh_port: FreshPort::Random,
            first_port: 1024,
            port_step: 1,
            counter: CounterScope::Nat,
            ports: (1024, 65535),
            block: None,
            blocks_per_host: 1,
            one_to_many: None,
            one_to_many_for: (0, 65535),
            reuse_delay: Duration::ZERO,
            pooling: Pooling::Paired,
            hairpin: Hairpin::None,
            hairpin_filtered: true,
            udp_idle: Duration::from_secs(300),
            udp_idle_well_known: None,
            udp_idle_unanswered: None,
            tcp_transitory_idle: Duration::from_secs(240),
            tcp_closing_idle: None,
            tcp_established_idle: Duration::from_secs(7440),
            lifetime: None,
            refresh: Refresh::Outbound,
            refresh_by_errors: false,
            timer: TimerScope::Mapping,
            icmp: OnIcmp::Keep,
            reset: OnReset::Keep,
            unsolicited_datagram: UnsolicitedDatagram::Drop,
            unsolicited_syn: Unsolicited::Drop,
            syn_grace: Duration::from_secs(6),
            spoiled_by_early: None,
            spoiled_by_early_syn: None,
            simultaneous_open: SimultaneousOpen::Supported,
            max_mappings: 65_536,
            max_mappings_per_host: 65_536,
            full: OnFull::Refuse,
            reboot: OnReboot::BeginAnew,
            rewrite_payload: false,
        }
    }

    /// Address-and-port-dependent mapping and filtering, random ports.
    #[must_use]
    pub const fn symmetric() -> Self {
        Self::port_restricted().with_mapping(Dependence::AddressAndPortDependent)
    }

    /// Address-and-port-dependent mapping and filtering, ports one after the other: the NAT of the
    /// draft's section 3.4.
    #[must_use]
    pub const fn symmetric_sequential(first: u16) -> Self {
        Self::symmetric().with_ports_from(first)
    }

    /// The draft's Basic NAT: one external address for each inside host, ports as they are.
    #[must_use]
    pub const fn basic() -> Self {
        let mut behaviour = Self::port_restricted();
        behaviour.translation = Translation::Basic;
        behaviour
    }

    /// The draft's P2P-firewall: nothing is translated, IPv6 is filtered likewise.
    #[must_use]
    pub const fn firewall() -> Self {
        let mut behaviour = Self::port_restricted();
        behaviour.translation = Translation::Firewall;
        behaviour.ipv6 = Ipv6::Filter;
        behaviour
    }

    /// The presets by name.
    pub const PRESETS: [(&'static str, Self); 7] = [
        ("full-cone", Self::full_cone()),
        ("restricted-cone", Self::address_restricted()),
        ("port-restricted-cone", Self::port_restricted()),
        ("symmetric", Self::symmetric()),
        ("symmetric-sequential", Self::symmetric_sequential(62_000)),
        ("basic-nat", Self::basic()),
        ("firewall", Self::firewall()),
    ];

    /// The preset of a name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.iter().find(|(known, _)| *known == name).map(|(_, behaviour)| *behaviour)
    }

    /// The same with another mapping.
    #[must_use]
    pub const fn with_mapping(mut self, mapping: Dependence) -> Self {
        self.mapping = mapping;
        self
    }

    /// The same with another filtering.
    #[must_use]
    pub const fn with_filtering(mut self, filtering: Dependence) -> Self {
        self.filtering = filtering;
        self
    }

    /// The same with ports one after the other.
    #[must_use]
    pub const fn with_ports_from(mut self, first: u16) -> Self {
        self.fresh_port = FreshPort::Sequential;
        self.first_port = first;
        self
    }

    /// The same with another hairpin.
    #[must_use]
    pub const fn with_hairpin(mut self, hairpin: Hairpin) -> Self {
        self.hairpin = hairpin;
        self
    }

    /// The same with another answer to unsolicited SYNs.
    #[must_use]
    pub const fn with_unsolicited_syn(mut self, answer: Unsolicited) -> Self {
        self.unsolicited_syn = answer;
        self
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::port_restricted()
    }
}
