//! Behaviours with the draft's names, and small changes to them.

use pinhole_proto::Duration;

use super::behaviour::Behaviour;
use super::habits::{Dependence, FreshPort, Hairpin, OnReset, PermissionScope, Refresh, TimerScope, Unsolicited};

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
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::AddressAndPortDependent,
            permission: PermissionScope::Mapping,
            preserve_port: false,
            fresh_port: FreshPort::Random,
            first_port: 1024,
            ports: (1024, 65535),
            hairpin: Hairpin::None,
            hairpin_filtered: true,
            udp_idle: Duration::from_secs(300),
            tcp_transitory_idle: Duration::from_secs(240),
            tcp_established_idle: Duration::from_secs(7440),
            refresh: Refresh::Outbound,
            timer: TimerScope::Mapping,
            unsolicited_syn: Unsolicited::Drop,
            reset: OnReset::Keep,
            spoiled_by_early: None,
            block_udp: false,
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
