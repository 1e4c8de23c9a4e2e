//! The values that the fields of a behaviour take.

use serde::{Deserialize, Serialize};

/// On what of the remote endpoint a mapping or a filter depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PermissionScope {
    /// The mapping that the packet to the remote endpoint left by: the draft's symmetric NAT.
    Mapping,
    /// The internal endpoint: whoever it sent to may use each of its mappings, the letter of RFC 4787.
    InternalEndpoint,
}

/// Where the port of a mapping comes from when it is not the internal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreshPort {
    /// The next one that is free, counted from [`first_port`](super::Behaviour::first_port), for each
    /// transport apart.
    Sequential,
    /// Any that is free, evenly drawn.
    Random,
}

/// What happens to a packet from the inside to the NAT's own external address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hairpin {
    /// It is dropped.
    None,
    /// It is delivered, from the sender's external endpoint (RFC 4787, REQ-9a).
    ExternalSource,
    /// It is delivered, from the sender's internal endpoint.
    InternalSource,
}

/// What a timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerScope {
    /// The mapping: traffic with anybody keeps every session.
    Mapping,
    /// The session: traffic with the server does not keep the one with the peer.
    Session,
}

/// The answer to a SYN that matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsolicited {
    /// Silence.
    Drop,
    /// A reset.
    Reset,
    /// An ICMP port unreachable, at once.
    Icmp,
    /// The same after a grace, unless a SYN to its sender leaves meanwhile (RFC 5382, REQ-4).
    IcmpDelayed,
    /// It is let in where a mapping exists, whatever the filter says.
    LetIn,
}

/// What a RST that passes does to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReset {
    /// It stays for the transitory timeout (RFC 7857).
    Keep,
    /// It ends at once, and the mapping with its last session.
    Forget,
    /// The same where nothing else has come in yet, as Linux does; otherwise it stays for the closing timeout.
    ForgetUnanswered,
}

/// Which packets keep a mapping alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refresh {
    /// Those from inside (RFC 4787, REQ-6).
    Outbound,
    /// Those from outside alone.
    Inbound,
    /// Both (RFC 4787, REQ-6a).
    Both,
}

/// On what of the remote endpoint a mapping or a filter depends, in the table of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// On nothing.
    EndpointIndependent,
    /// On its address.
    AddressDependent,
    /// On its address and port.
    AddressAndPortDependent,
    /// On the TCP connection: each has a mapping of its own, and nobody opens one inwards.
    ConnectionDependent,
}

/// What is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Translation {
    /// Address and port (NAPT).
    Napt,
    /// The address alone: each inside host has an external one to itself (the draft's Basic NAT). The mapping
    /// is endpoint-independent.
    Basic,
    /// Nothing: packets are filtered as they are (the draft's P2P-firewall). The mapping is
    /// endpoint-independent, there is no hairpin.
    Firewall,
}

/// What a NAT of IPv4 does with IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6 {
    /// Nothing passes.
    Drop,
    /// A stateful firewall with the same filter and timeouts.
    Filter,
    /// Everything passes.
    Pass,
}

/// Which of several external addresses a mapping gets (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The one that the inside host has already (REQ-2).
    Paired,
    /// Any; when one has no free port, another.
    Arbitrary,
}

/// Where a mapping goes whose internal port is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// To another port of the address.
    AnotherPort,
    /// To the same port of another address of the pool, under arbitrary pooling; else to another port.
    AnotherAddress,
}

/// Whether two mappings may have one external endpoint (RFC 4787, REQ-3; RFC 5382, REQ-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overloading {
    /// Never.
    Never,
    /// Where they have no remote endpoint in common (RFC 7857; Linux).
    OtherRemotes,
    /// Where the internal port is kept, whoever has it. Packets from a remote endpoint that both talk to
    /// reach the one that sent there last.
    Always,
}

/// Which external ports an internal port may get (RFC 4787, REQ-3a).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortRanges {
    /// Any.
    One,
    /// Of 0 to 1023 or of 1024 to 65535, whichever it is of itself.
    Two,
    /// Of 0 to 1023, of 1024 to 49151 or of 49152 to 65535, whichever it is of itself.
    Three,
}

/// What sequential ports are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CounterScope {
    /// The whole NAT.
    Nat,
    /// Each inside host apart.
    Host,
}

/// What an ICMP error about a mapping does (RFC 4787, REQ-12; RFC 5382, REQ-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnIcmp {
    /// It is translated.
    Keep,
    /// It is translated and ends its session, and the mapping with its last session.
    Forget,
    /// It is dropped.
    Drop,
}

/// The answer to a datagram that matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnsolicitedDatagram {
    /// Silence.
    Drop,
    /// An ICMP port unreachable.
    Icmp,
}

/// What becomes of crossing SYNs (RFC 5382, REQ-2a).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SimultaneousOpen {
    /// Both pass.
    Supported,
    /// A SYN from where the inside has just sent one to is refused.
    InboundSynRefused,
    /// A SYN-ACK from an inside that began with a SYN is dropped.
    OutboundSynAckDropped,
}

/// What happens to a mapping for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// It is not made; the packet is dropped.
    Refuse,
    /// The oldest makes room.
    EvictOldest,
}

/// With which ports a NAT begins after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReboot {
    /// The first ones again.
    BeginAnew,
    /// Those after the last given.
    Resume,
}

impl Dependence {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::EndpointIndependent, Self::AddressDependent, Self::AddressAndPortDependent];
}

impl PermissionScope {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Mapping, Self::InternalEndpoint];
}

impl FreshPort {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Sequential, Self::Random];
}

impl Hairpin {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::None, Self::ExternalSource, Self::InternalSource];
}

impl TimerScope {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Mapping, Self::Session];
}

impl Unsolicited {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 5] = [Self::Drop, Self::Reset, Self::Icmp, Self::IcmpDelayed, Self::LetIn];
}

impl OnReset {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Forget, Self::ForgetUnanswered];
}

impl Refresh {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Outbound, Self::Inbound, Self::Both];
}

impl Kind {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 4] =
        [Self::EndpointIndependent, Self::AddressDependent, Self::AddressAndPortDependent, Self::ConnectionDependent];
}

impl Translation {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Napt, Self::Basic, Self::Firewall];
}

impl Ipv6 {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Filter, Self::Pass];
}

impl Pooling {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Paired, Self::Arbitrary];
}

impl OnConflict {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::AnotherPort, Self::AnotherAddress];
}

impl Overloading {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Never, Self::OtherRemotes, Self::Always];
}

impl PortRanges {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];
}

impl CounterScope {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Nat, Self::Host];
}

impl OnIcmp {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Forget, Self::Drop];
}

impl UnsolicitedDatagram {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Drop, Self::Icmp];
}

impl SimultaneousOpen {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Supported, Self::InboundSynRefused, Self::OutboundSynAckDropped];
}

impl OnFull {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Refuse, Self::EvictOldest];
}

impl OnReboot {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::BeginAnew, Self::Resume];
}

impl From<Dependence> for Kind {
    fn from(dependence: Dependence) -> Self {
        match dependence {
            Dependence::EndpointIndependent => Self::EndpointIndependent,
            Dependence::AddressDependent => Self::AddressDependent,
            Dependence::AddressAndPortDependent => Self::AddressAndPortDependent,
        }
    }
}
