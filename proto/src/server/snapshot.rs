//! A view of a server's state for tests, transcripts and pages.

use alloc::vec::Vec;

use serde::Serialize;

use super::Server;
use super::api::ServerStream;
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::key::PeerId;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::code::Policy;

/// What a server holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerSnapshot {
    /// Ports that are ordered or open.
    pub sockets: usize,
    /// Registered peers, by index.
    pub registrations: Vec<RegistrationView>,
    /// Peers that have not answered their nonce, and from how many sources their `Register` came.
    pub pending: Vec<(PeerId, usize)>,
    /// Relay channels, the oldest first.
    pub channels: Vec<ChannelView>,
    /// Accepted streams.
    pub streams: Vec<ServerStream>,
    /// Dials under way that streams asked for.
    pub dial_backs: usize,
    /// When the next timer is due.
    pub deadline: Option<Instant>,
    /// How many keys each table of rates remembers.
    pub rates: RateTables,
    /// Questions that other engines have not answered.
    pub asked: usize,
    /// Answers to other engines that are remembered.
    pub told: usize,
    /// What was discarded, by reason.
    pub discards: SortedMap<Discard, u64>,
}

/// The tables of rates, each of which has at most [`MAX_RATES`](crate::constants::MAX_RATES) keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RateTables {
    /// `Register`s, by source and by whether it showed a cookie.
    pub registers: usize,
    /// `Reset`s, by source.
    pub resets: usize,
    /// Introductions, by the peer that is asked for.
    pub to_target: usize,
    /// Introductions, by both peers.
    pub by_pair: usize,
    /// By the source that asks to be dialled.
    pub dial_backs: usize,
}

/// A registered peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegistrationView {
    /// The peer.
    pub peer: PeerId,
    /// Its bindings.
    pub bindings: Vec<BindingView>,
    /// Who may be introduced to it: 0 nobody, 1 whom it accepts, 2 everybody.
    pub policy: Policy,
    /// Whether its endpoints are told.
    pub disclose: bool,
    /// Whether its sessions may use the relay.
    pub relay: bool,
    /// The round trip in microseconds, 0 when it was not measured.
    pub round_trip: u32,
}

/// A binding of a registered peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BindingView {
    /// The transport.
    pub transport: Transport,
    /// The endpoint that was observed.
    pub public: Endpoint,
    /// The endpoints that the peer reported.
    pub private: Vec<Endpoint>,
}

/// A relay channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelView {
    /// The transport.
    pub transport: Transport,
    /// The two peers, each with whether it wants the channel.
    pub sides: [(PeerId, bool); 2],
    /// Packets relayed.
    pub packets: u64,
    /// Octets relayed.
    pub octets: u64,
}

/// The view of `server`.
pub(super) fn of(server: &Server) -> ServerSnapshot {
    let common = &server.common;
    let registrations = server.registry.iter().map(|registration| RegistrationView {
        peer: registration.peer,
        bindings: registration
            .bindings()
            .iter()
            .map(|binding| BindingView {
                transport: binding.link.transport(),
                public: binding.link.remote(),
                private: binding.private.to_vec(),
            })
            .collect(),
        policy: registration.terms.policy,
        disclose: registration.terms.disclose,
        relay: registration.terms.relay,
        round_trip: registration.smoothed_round_trip(),
    });
    let channels = server.relay.iter().map(|channel| ChannelView {
        transport: channel.transport,
        sides: [&channel.sides[0], &channel.sides[1]].map(|side| (side.peer, side.wanted)),
        packets: channel.packets,
        octets: channel.octets,
    });
    let streams = common
        .streams
        .iter()
        .map(|(stream, bound)| ServerStream { peer: bound.and_then(|index| server.registry.name(index)), ..stream });
    let (asked, told) = common.forwards.len();
    ServerSnapshot {
        asked,
        told,
        sockets: common.sockets.len(),
        registrations: registrations.collect(),
        pending: server.admission.pending.iter().collect(),
        channels: channels.collect(),
        streams: streams.collect(),
        deadline: common.timers.next(),
        dial_backs: server.common.dial_backs.len(),
        rates: RateTables {
            registers: server.admission.remembered(),
            resets: server.resets.remembered(),
            to_target: server.introductions.remembered().0,
            by_pair: server.introductions.remembered().1,
            dial_backs: server.common.dial_backs.rates(),
        },
        discards: common.discards.clone(),
    }
}
