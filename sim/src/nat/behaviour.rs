//! How a NAT behaves, in the words of RFC 4787 and RFC 5382.

use pinhole_proto::Duration;

use super::habits::{Dependence, FreshPort, Hairpin, OnReset, PermissionScope, Refresh, TimerScope, Unsolicited};

/// Every property of a NAT. The presets have the draft's names; the default is the port-restricted
/// cone with the timeouts that RFC 4787 and RFC 5382 recommend.
///
/// [`Behaviour::FIELDS`] lists the fields with their values. In JSON a behaviour is an object of these
/// names; a field that is not there has its default. Durations are whole milliseconds, as the names
/// say. What is read has been [checked](Behaviour::check); a NAT takes any behaviour and never panics.
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
    /// The port that sequential allocation begins with.
    pub first_port: u16,
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
    /// Which packets keep a mapping alive (RFC 4787, REQ-6).
    pub refresh: Refresh,
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
