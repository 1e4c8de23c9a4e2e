//! A peer's state to look at: for tests, transcripts and the page.

use alloc::vec::Vec;

use serde::Serialize;

use super::Peer;
use super::api::{PathInfo, PathKind, PathState, SessionHandle};
use super::session::{Session, Stage};
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::key::PeerId;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::code::Mapping;

/// The state of a [`Peer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerSnapshot {
    /// The peer.
    pub id: PeerId,
    /// Its registrations.
    pub bindings: Vec<BindingSnapshot>,
    /// Its sessions.
    pub sessions: Vec<SessionSnapshot>,
    /// Local ports that sessions opened for guesses.
    pub guessing: usize,
    /// Streams of all kinds.
    pub streams: usize,
    /// Addresses in the probe budget.
    pub probed: usize,
    /// Punches that wait for their introduction.
    pub early: usize,
    /// The next deadline.
    pub deadline: Option<Instant>,
    /// Discards inside accepted inputs, by reason.
    pub discards: SortedMap<Discard, u64>,
}

/// One transport and family of the leg to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BindingSnapshot {
    /// The transport.
    pub transport: Transport,
    /// The server's endpoint.
    pub server: Endpoint,
    /// How far it is: a state of `spec/registration.md`.
    pub state: &'static str,
    /// The endpoint that the server observed.
    pub public: Option<Endpoint>,
    /// How the NAT on the way maps.
    pub mapping: Mapping,
    /// The longest silence that the NAT on the way is thought to bear, in seconds.
    pub idle: Option<u64>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionSnapshot {
    /// Its handle.
    pub handle: SessionHandle,
    /// The other peer.
    pub peer: PeerId,
    /// Whether this side wrote message 1.
    pub initiator: bool,
    /// How far it is: a state of `spec/sessions.md`.
    pub state: &'static str,
    /// Its transport, once introduced.
    pub transport: Option<Transport>,
    /// Its direct paths.
    pub paths: Vec<PathSnapshot>,
    /// What carries data.
    pub selected: Option<PathInfo>,
    /// Whether there is a relay channel.
    pub relayed: bool,
    /// The number of the last attempt that began.
    pub attempt: u16,
    /// What the attempt does.
    pub attempting: &'static str,
    /// Sockets that were opened for guesses and samples.
    pub sockets: u32,
    /// Packets that were sent to guessed ports.
    pub shots: u32,
}

/// One direct path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathSnapshot {
    /// Its kind.
    pub kind: PathKind,
    /// Its state.
    pub state: PathState,
    /// Where it leads to.
    pub remote: Option<Endpoint>,
    /// Octets received.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
}

impl Peer {
    /// The state, to look at.
    #[must_use]
    pub fn snapshot(&self) -> PeerSnapshot {
        let bindings = self.leg.bindings().iter().map(|binding| BindingSnapshot {
            transport: binding.transport,
            server: binding.server,
            state: binding.stage_name(),
            public: binding.public,
            mapping: binding.mapping,
            idle: binding.idle.safe().map(|span| span.as_secs()),
        });
        PeerSnapshot {
            id: self.core.id,
            bindings: bindings.collect(),
            sessions: self.sessions.values().map(session).collect(),
            guessing: self.core.ports.iter().filter(|port| port.owner.is_some()).count(),
            streams: self.core.streams.len(),
            probed: self.core.budget.len(),
            early: self.early.len(),
            deadline: self.core.timers.next(),
            discards: self.core.discards.clone(),
        }
    }
}

fn session(session: &Session) -> SessionSnapshot {
    let paths = session.paths().iter().map(|path| PathSnapshot {
        kind: path.kind,
        state: path.state(),
        remote: path.remote(),
        received: path.received,
        sent: path.sent,
    });
    SessionSnapshot {
        handle: session.handle,
        peer: session.peer,
        initiator: session.is_initiator(),
        state: match session.stage() {
            Stage::Asking => "asking",
            Stage::Introduced => "introduced",
            Stage::Keyed => "keyed",
            Stage::Established => "established",
            Stage::Ended => "ended",
        },
        transport: session.transport(),
        paths: paths.collect(),
        selected: session.selected(),
        relayed: session.channel().is_some(),
        attempt: session.attempt().number(),
        attempting: session.attempt().name(),
        sockets: session.spent().sockets,
        shots: session.spent().shots,
    }
}
