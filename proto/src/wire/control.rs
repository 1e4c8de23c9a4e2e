//! The bodies of the control messages inside `Sealed` (`spec/registration.md`, `spec/introduction.md`,
//! `spec/sessions.md`). Each struct is the layout of its body: fields in order.

use serde::{Deserialize, Serialize};

use super::code::{Allocation, Mapping, Policy, Refusal, Strategy, Transports};
use super::sealed::ChannelId;
use super::{List, Nonce, SessionId, Versions};
use crate::constants::{MAX_CANDIDATES, MAX_MESSAGE_1, MAX_MESSAGE_2, MAX_PRIVATE};
use crate::endpoint::Endpoint;
use crate::key::PeerId;

/// Candidates of a session.
pub type Candidates = List<Endpoint, MAX_CANDIDATES>;

/// Return this nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathCheck {
    /// Comes back in [`PathReply`].
    pub nonce: Nonce,
    /// Where the packet goes to: the receiver's endpoint as the sender sees it.
    pub observed: Endpoint,
}

/// The nonce of a [`PathCheck`] or a `Punch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathReply {
    /// The nonce.
    pub nonce: Nonce,
    /// Where the check came from: the receiver's endpoint as the sender sees it.
    pub observed: Endpoint,
}

/// Answer without content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledge {}

/// Answer: no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// Why.
    pub code: Refusal,
}

/// Keep or set up a binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The peer's private endpoints for the transport that this message came by.
    pub private: List<Endpoint, MAX_PRIVATE>,
    /// Who may be introduced to the peer.
    pub policy: Policy,
    /// Whether the peer's endpoints may be told to peers that it is introduced to.
    pub disclose: bool,
    /// Whether the peer's sessions may use the relay.
    pub relay: bool,
    /// The peer has moved here: the endpoint before need not be asked.
    pub moved: bool,
}

/// Answer to [`Refresh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// How long the registration lives without another refresh, in seconds.
    pub lifetime: u16,
    /// When to refresh, in seconds.
    pub interval: u16,
    /// Where the request came from.
    pub observed: Endpoint,
}

/// End the registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unregister {}

/// Another registration of the same key has replaced this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {}

/// Answer to where this came from, later, and nothing until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// How much later, in seconds.
    pub after: u8,
}

/// Introduce me to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// The peer to reach.
    pub target: PeerId,
    /// The session's name.
    pub session: SessionId,
    /// The transports that the session may use.
    pub transports: Transports,
    /// The versions that the initiator speaks between peers.
    pub versions: Versions,
    /// Noise KK message 1.
    pub message_1: List<u8, MAX_MESSAGE_1>,
}

/// Answer to [`Connect`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduced {
    /// The session's transport: one bit.
    pub transport: Transports,
    /// Where the responder may be reached; empty until it accepted, if that is its policy.
    pub candidates: Candidates,
    /// The initiator's side of a relay channel.
    pub channel: Option<ChannelId>,
    /// The round trip between the server and the receiver, in microseconds; 0 when not measured.
    pub own_round_trip: u32,
    /// The round trip between the server and the other peer, in microseconds; 0 when not measured.
    pub other_round_trip: u32,
}

/// A peer wants a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduce {
    /// The initiator.
    pub initiator: PeerId,
    /// The session's name.
    pub session: SessionId,
    /// The session's transport: one bit.
    pub transport: Transports,
    /// The versions of [`Connect`].
    pub versions: Versions,
    /// Where the initiator may be reached.
    pub candidates: Candidates,
    /// The responder's side of a relay channel.
    pub channel: Option<ChannelId>,
    /// The round trip between the server and the receiver, in microseconds; 0 when not measured.
    pub own_round_trip: u32,
    /// The round trip between the server and the other peer, in microseconds; 0 when not measured.
    pub other_round_trip: u32,
    /// Noise KK message 1.
    pub message_1: List<u8, MAX_MESSAGE_1>,
}

/// Answer to [`Introduce`]; the other one is [`Refuse`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Noise KK message 2.
    pub message_2: List<u8, MAX_MESSAGE_2>,
}

/// What the responder answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The session.
    pub session: SessionId,
    /// Where the responder may be reached.
    pub candidates: Candidates,
    /// Noise KK message 2.
    pub message_2: List<u8, MAX_MESSAGE_2>,
}

/// The responder refused, or did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The session.
    pub session: SessionId,
    /// Why.
    pub code: Refusal,
}

/// A relay channel for a session, after the server lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOpen {
    /// The session.
    pub session: SessionId,
    /// The other peer.
    pub peer: PeerId,
    /// The session's transport: one bit.
    pub transport: Transports,
}

/// Answer to [`RelayOpen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOpened {
    /// The asking peer's side of the channel.
    pub channel: ChannelId,
}

/// The path that this came by carries the session's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {}

/// Punch again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts attempts of the session from 1.
    pub number: u16,
    /// How.
    pub strategy: Strategy,
    /// How long both sides wait before they begin, in milliseconds: the receiver from when it answers, the
    /// sender from when the answer arrives.
    pub delay: u16,
    /// How many ports of the other side each side tries, by the strategy's own rule; 0 where it has none.
    pub width: u16,
    /// How the sender's NAT maps.
    pub mapping: Mapping,
    /// Where the sender may be reached, private endpoints included.
    pub candidates: Candidates,
    /// Where the sender's next mapping is expected.
    pub forecast: Option<Forecast>,
}

/// Answer to [`Attempt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// Whether the sender takes part.
    pub accepted: bool,
    /// The width that both sides use, at most that of the [`Attempt`].
    pub width: u16,
    /// How the sender's NAT maps.
    pub mapping: Mapping,
    /// Where the sender may be reached, private endpoints included.
    pub candidates: Candidates,
    /// Where the sender's next mapping is expected.
    pub forecast: Option<Forecast>,
}

/// What a peer measured of its NAT's port allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// How ports follow each other.
    pub allocation: Allocation,
    /// The external endpoint of the next mapping, if the ports follow each other; else the latest one.
    pub endpoint: Endpoint,
    /// What is added to a port to have the next one, modulo 65,536; 0 where they do not follow each other.
    pub step: u16,
}

/// The session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {}

/// The sender's byte stream ends at this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// The number of octets in the stream.
    pub offset: u64,
}

/// What of the byte stream arrived, and how much more may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Everything before this offset arrived.
    pub next: u64,
    /// How many octets from there on may be sent.
    pub window: u32,
}
