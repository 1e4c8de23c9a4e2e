//! How a NAT behaves, in the words of RFC 4787 and RFC 5382.

use pinhole_proto::{Duration, Transport};

use super::habits::{
    CounterScope, Dependence, FreshPort, Hairpin, Ipv6, Kind, OnConflict, OnFull, OnIcmp, OnReboot, OnReset,
    Overloading, PermissionScope, Pooling, PortRanges, Refresh, SimultaneousOpen, TimerScope, Translation, Unsolicited,
    UnsolicitedDatagram,
};

/// Every property of a NAT. The presets have the draft's names; the default is the port-restricted
/// cone with the timeouts that RFC 4787 and RFC 5382 recommend.
///
/// [`Behaviour::FIELDS`] lists the fields with their values. In JSON a behaviour is an object of these
/// names; a field that is not there has its default. Durations are whole milliseconds, as the names
/// say. What is read has been [checked](Behaviour::check); a NAT takes any behaviour and never panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// What is translated.
    pub translation: Translation,
    /// What a NAT of IPv4 does with IPv6.
    pub ipv6: Ipv6,
    /// Whether UDP is not translated at all.
    pub block_udp: bool,
    /// Which sessions of an internal endpoint share an external endpoint (RFC 4787, section 4.1).
    pub mapping: Dependence,
    /// The same for TCP, where that differs (RFC 5382, REQ-1).
    pub tcp_mapping: Option<Kind>,
    /// Which remote endpoints may send in (RFC 4787, section 5).
    pub filtering: Dependence,
    /// The same for TCP, where that differs (RFC 5382, REQ-3b).
    pub tcp_filtering: Option<Kind>,
    /// What the right to send in is attached to.
    pub permission: PermissionScope,
    /// Whether an internal endpoint whose port another inside host uses too gets a mapping for each
    /// further remote endpoint (against RFC 4787, REQ-11).
    pub turns_symmetric: bool,
    /// Whether a mapping takes the internal port when that is free (RFC 4787, section 4.2.1).
    pub preserve_port: bool,
    /// Where a mapping goes when it is not free.
    pub conflict: OnConflict,
    /// Whether two mappings may have one external endpoint (RFC 4787, REQ-3).
    pub overloading: Overloading,
    /// Whether an even internal port gets an even external one, and an odd one an odd (RFC 4787, REQ-4).
    pub preserve_parity: bool,
    /// Whether the neighbour of an internal port gets the neighbour of its external port, where that is
    /// free (RFC 4787, section 4.2.3).
    pub contiguous: bool,
    /// Which external ports an internal port may get (RFC 4787, REQ-3a). A range of which the NAT has no
    /// port does not bind.
    pub port_ranges: PortRanges,
    /// Where the port of a mapping comes from otherwise.
    pub fresh_port: FreshPort,
    /// The port that sequential allocation begins with.
    pub first_port: u16,
    /// How far the next sequential port is from the last.
    pub port_step: u16,
    /// What sequential ports are counted for.
    pub counter: CounterScope,
    /// The lowest and highest external port.
    pub ports: (u16, u16),
    /// Ports are given to inside hosts in blocks of so many, and a host gets mappings from its own alone.
    pub block: Option<u16>,
    /// How many blocks a host may have.
    pub blocks_per_host: u16,
    /// External ports set apart for endpoint-independent mappings (the draft's incremental cone support,
    /// section 5.2, one-to-many ports); other mappings do not get them.
    pub one_to_many: Option<(u16, u16)>,
    /// The internal ports whose mappings come from there.
    pub one_to_many_for: (u16, u16),
    /// How long a port rests after its mapping ended (RFC 6888 asks for 120 s).
    pub reuse_delay: Duration,
    /// Which of several external addresses a mapping gets (RFC 4787, REQ-2).
    pub pooling: Pooling,
    /// What happens to a packet from the inside to the NAT's own external address
    /// (RFC 4787, REQ-9; the draft's loopback translation).
    pub hairpin: Hairpin,
    /// Whether hairpin traffic passes the same filter as traffic from outside.
    pub hairpin_filtered: bool,
    /// How long a UDP mapping lives without traffic (RFC 4787, REQ-5).
    pub udp_idle: Duration,
    /// The same towards remote ports 0 to 1023, where it is shorter (RFC 4787, REQ-5a).
    pub udp_idle_well_known: Option<Duration>,
    /// The same as long as nothing has come back, where it is shorter.
    pub udp_idle_unanswered: Option<Duration>,
    /// How long a TCP session lives without traffic before both sides have sent an ACK (RFC 5382, REQ-5).
    pub tcp_transitory_idle: Duration,
    /// How long it lives after both have sent a FIN or one a RST, where that differs (RFC 7857).
    pub tcp_closing_idle: Option<Duration>,
    /// How long an established TCP session lives without traffic (RFC 5382, REQ-5).
    pub tcp_established_idle: Duration,
    /// How long a mapping lives at most, whatever the traffic.
    pub lifetime: Option<Duration>,
    /// Which packets keep a mapping alive (RFC 4787, REQ-6).
    pub refresh: Refresh,
    /// Whether resets and ICMP errors from inside keep it alive too (against RFC 7857).
    pub refresh_by_errors: bool,
    /// Whether a mapping is timed as a whole or each of its sessions apart.
    pub timer: TimerScope,
    /// What an ICMP error from outside does (RFC 4787, REQ-12).
    pub icmp: OnIcmp,
    /// What a RST does to its session.
    pub reset: OnReset,
    /// The answer to a datagram from outside that matches nothing.
    pub unsolicited_datagram: UnsolicitedDatagram,
    /// The answer to a SYN from outside that matches nothing (RFC 5382, REQ-4).
    pub unsolicited_syn: Unsolicited,
    /// How long a delayed answer waits (RFC 5382, REQ-4: at least 6 s).
    pub syn_grace: Duration,
    /// Whether a datagram that arrives before the inside has sent to its source leaves a trace that
    /// moves the later mapping towards that source to another port, as Linux `masquerade` does without
    /// a drop rule. `None`: no. The duration is how long the trace lives; each such datagram renews it.
    pub spoiled_by_early: Option<Duration>,
    /// The same for a SYN that arrives early.
    pub spoiled_by_early_syn: Option<Duration>,
    /// What becomes of crossing SYNs (RFC 5382, REQ-2a).
    pub simultaneous_open: SimultaneousOpen,
    /// How many mappings there are at most.
    pub max_mappings: u32,
    /// How many one inside host has at most.
    pub max_mappings_per_host: u32,
    /// What happens to one more.
    pub full: OnFull,
    /// With which ports it begins after a restart.
    pub reboot: OnReboot,
    /// Whether four octets of a payload that look like the translated address are translated too.
    pub rewrite_payload: bool,
}

impl Behaviour {
    /// How mappings of a transport depend on the remote endpoint.
    #[must_use]
    pub fn mapping_of(&self, transport: Transport) -> Kind {
        match (self.translation, transport, self.tcp_mapping) {
            (Translation::Basic | Translation::Firewall, _, _) => Kind::EndpointIndependent,
            (Translation::Napt, Transport::Tcp, Some(kind)) => kind,
            (Translation::Napt, _, _) => self.mapping.into(),
        }
    }

    /// How the filter of a transport depends on the remote endpoint.
    #[must_use]
    pub fn filtering_of(&self, transport: Transport) -> Kind {
        match (transport, self.tcp_filtering) {
            (Transport::Tcp, Some(kind)) => kind,
            (Transport::Tcp | Transport::Udp, _) => self.filtering.into(),
        }
    }
}
