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
}

/// What a RST that passes does to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReset {
    /// It stays for the transitory timeout (RFC 7857).
    Keep,
    /// It ends at once, and the mapping with its last session.
    Forget,
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
    pub const ALL: [Self; 3] = [Self::Drop, Self::Reset, Self::Icmp];
}

impl OnReset {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::Keep, Self::Forget];
}

impl Refresh {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Outbound, Self::Inbound, Self::Both];
}
