//! How a NAT behaves, in the words of RFC 4787 and RFC 5382.

use pinhole_proto::Duration;

/// Every property of a NAT. The presets have the draft's names; the default is the port-restricted
/// cone with the timeouts that RFC 4787 and RFC 5382 recommend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Which sessions of an internal endpoint share an external endpoint (RFC 4787, section 4.1).
    pub mapping: Dependence,
    /// Which remote endpoints may send in (RFC 4787, section 5).
    pub filtering: Dependence,
    /// What the right to send in is attached to.
    pub permission: PermissionScope,
    /// Whether a mapping takes the internal port when that is free (RFC 4787, section 4.2.1).
    pub preserve_port: bool,
    /// Where the port of a mapping comes from otherwise.
    pub fresh_port: FreshPort,
    /// The lowest and highest external port.
    pub ports: (u16, u16),
    /// What happens to a packet from the inside to the NAT's own external address
    /// (RFC 4787, REQ-9; the draft's loopback translation).
    pub hairpin: Hairpin,
    /// Whether hairpin traffic passes the same filter as traffic from outside.
    pub hairpin_filtered: bool,
    /// How long a UDP mapping lives without traffic (RFC 4787, REQ-5).
    pub udp_idle: Duration,
    /// How long a TCP session lives without traffic before both sides have sent an ACK, and after both
    /// have sent a FIN or one a RST (RFC 5382, REQ-5).
    pub tcp_transitory_idle: Duration,
    /// How long an established TCP session lives without traffic (RFC 5382, REQ-5).
    pub tcp_established_idle: Duration,
    /// Whether packets from outside keep a mapping alive too (RFC 4787, REQ-6a). Packets from inside
    /// always do.
    pub refresh_inbound: bool,
    /// Whether a mapping is timed as a whole or each of its sessions apart.
    pub timer: TimerScope,
    /// The answer to a SYN from outside that matches nothing (RFC 5382, REQ-4).
    pub unsolicited_syn: Unsolicited,
    /// What a RST does to its session.
    pub reset: OnReset,
    /// Whether a datagram that arrives before the inside has sent to its source leaves a trace that
    /// moves the later mapping towards that source to another port, as Linux `masquerade` does without
    /// a drop rule. `None`: no. The duration is how long the trace lives; each such datagram renews it.
    pub spoiled_by_early: Option<Duration>,
    /// Whether UDP is not translated at all.
    pub block_udp: bool,
}

/// On what of the remote endpoint a mapping or a filter depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependence {
    /// On nothing.
    EndpointIndependent,
    /// On its address.
    AddressDependent,
    /// On its address and port.
    AddressAndPortDependent,
}

/// What the right to send in is attached to. The two differ only where one internal endpoint has
/// several mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PermissionScope {
    /// The mapping that the packet to the remote endpoint left by: the draft's symmetric NAT.
    Mapping,
    /// The internal endpoint: whoever it sent to may use each of its mappings, the letter of RFC 4787.
    InternalEndpoint,
}

/// Where the port of a mapping comes from when it is not the internal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FreshPort {
    /// The next one that is free, counted from `first`, for each transport apart.
    Sequential {
        /// The first port given out.
        first: u16,
    },
    /// Any that is free, evenly drawn.
    Random,
}

/// What happens to a packet from the inside to the NAT's own external address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hairpin {
    /// It is dropped.
    None,
    /// It is delivered, from the sender's external endpoint (RFC 4787, REQ-9a).
    ExternalSource,
    /// It is delivered, from the sender's internal endpoint.
    InternalSource,
}

/// What a timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerScope {
    /// The mapping: traffic with anybody keeps every session.
    Mapping,
    /// The session: traffic with the server does not keep the one with the peer.
    Session,
}

/// The answer to a SYN that matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unsolicited {
    /// Silence.
    Drop,
    /// A reset.
    Reset,
    /// An ICMP port unreachable, at once.
    Icmp,
}

/// What a RST that passes does to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnReset {
    /// It stays for the transitory timeout (RFC 7857).
    Keep,
    /// It ends at once, and the mapping with its last session.
    Forget,
}

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
            ports: (1024, 65535),
            hairpin: Hairpin::None,
            hairpin_filtered: true,
            udp_idle: Duration::from_secs(300),
            tcp_transitory_idle: Duration::from_secs(240),
            tcp_established_idle: Duration::from_secs(7440),
            refresh_inbound: false,
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
        self.fresh_port = FreshPort::Sequential { first };
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
