//! What a node tells: everything that its engine reports, except the data itself.

use pinhole_proto::peer::{
    Certainty, CloseReason, Evidence, OfflineReason, PathInfo, PathState, PeerEvent, ServerRefusal, SessionHandle,
};
use pinhole_proto::wire::code::{Strategy, Verdict};
use pinhole_proto::{Endpoint, PeerId, ServerKey, Transport};
use tokio::sync::broadcast;

use crate::moment::Moment;

/// Something that happened to a node or to one of its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server's key, when the URL named none.
    ServerKey(ServerKey),
    /// A registration took effect, or its public endpoint changed.
    Online {
        /// The transport.
        transport: Transport,
        /// The endpoint that this side knows.
        private: Endpoint,
        /// The endpoint that the server observed.
        public: Endpoint,
    },
    /// A registration was lost; the node goes on trying.
    Offline {
        /// The transport.
        transport: Transport,
        /// Why.
        reason: OfflineReason,
    },
    /// The server was not reached over any transport; the node goes on trying.
    ServerUnreachable,
    /// Somebody registered with the same key: this node does not register again.
    Replaced,
    /// The server's handshake failed, or its key is not the one expected.
    ServerRefused(ServerRefusal),
    /// The server introduced this peer and another.
    Introduced {
        /// The session.
        session: SessionHandle,
        /// The other peer.
        peer: PeerId,
        /// The session's transport, which decides its service.
        transport: Transport,
        /// Whether this side asked for it.
        initiator: bool,
    },
    /// The other peer proved that it holds its key.
    Established {
        /// The session.
        session: SessionHandle,
        /// The other peer.
        peer: PeerId,
        /// Whether this side asked for it.
        initiator: bool,
    },
    /// A path was heard or proved.
    Path {
        /// The session.
        session: SessionHandle,
        /// How far it is.
        state: PathState,
        /// Which path.
        path: PathInfo,
    },
    /// Data takes this path from here on.
    Selected {
        /// The session.
        session: SessionHandle,
        /// Which path.
        path: PathInfo,
    },
    /// A path died.
    PathLost {
        /// The session.
        session: SessionHandle,
        /// Which path.
        path: PathInfo,
    },
    /// An attempt to find a direct path begins.
    Attempt {
        /// The session.
        session: SessionHandle,
        /// Counts the session's attempts from 1.
        number: u16,
        /// How.
        strategy: Strategy,
        /// How many ports are tried, or the TTL: what the strategy makes of it.
        width: u16,
    },
    /// No direct path was found in this attempt.
    NotDirect {
        /// The session.
        session: SessionHandle,
        /// Why.
        verdict: Verdict,
        /// How sure that is.
        certainty: Certainty,
        /// What it rests on.
        evidence: Evidence,
    },
    /// A direct path was proved: the verdict told before does not hold.
    Withdrawn {
        /// The session.
        session: SessionHandle,
        /// The verdict.
        verdict: Verdict,
    },
    /// A session ended.
    Closed {
        /// The session.
        session: SessionHandle,
        /// Why.
        reason: CloseReason,
    },
    /// The node has ended.
    Stopped,
    /// The reader of this stream was slow: so many events before this one are missing.
    Missed(u64),
}

impl Event {
    /// The session that the event is about, if it is about one.
    #[must_use]
    pub const fn session(&self) -> Option<SessionHandle> {
        match *self {
            Self::Introduced { session, .. }
            | Self::Established { session, .. }
            | Self::Path { session, .. }
            | Self::Selected { session, .. }
            | Self::PathLost { session, .. }
            | Self::Attempt { session, .. }
            | Self::NotDirect { session, .. }
            | Self::Withdrawn { session, .. }
            | Self::Closed { session, .. } => Some(session),
            Self::ServerKey(_)
            | Self::Online { .. }
            | Self::Offline { .. }
            | Self::ServerUnreachable
            | Self::Replaced
            | Self::ServerRefused(_)
            | Self::Stopped
            | Self::Missed(_) => None,
        }
    }

    /// The engine's event without the data; `None` for what is only data.
    pub(crate) const fn from_engine(event: &PeerEvent<'_>) -> Option<Self> {
        Some(match *event {
            PeerEvent::ServerKey(key) => Self::ServerKey(key),
            PeerEvent::Online { transport, private, public } => Self::Online { transport, private, public },
            PeerEvent::Offline { transport, reason } => Self::Offline { transport, reason },
            PeerEvent::ServerUnreachable => Self::ServerUnreachable,
            PeerEvent::Replaced => Self::Replaced,
            PeerEvent::ServerRefused(refusal) => Self::ServerRefused(refusal),
            PeerEvent::Introduced { session, peer, transport, initiator } => {
                Self::Introduced { session, peer, transport, initiator }
            }
            PeerEvent::Established { session, peer, initiator } => Self::Established { session, peer, initiator },
            PeerEvent::Path { session, state, path } => Self::Path { session, state, path },
            PeerEvent::Selected { session, path } => Self::Selected { session, path },
            PeerEvent::PathLost { session, path } => Self::PathLost { session, path },
            PeerEvent::Attempt { session, number, strategy, width } => {
                Self::Attempt { session, number, strategy, width }
            }
            PeerEvent::NotDirect { session, verdict, certainty, evidence } => {
                Self::NotDirect { session, verdict, certainty, evidence }
            }
            PeerEvent::Withdrawn { session, verdict } => Self::Withdrawn { session, verdict },
            PeerEvent::Closed { session, reason } => Self::Closed { session, reason },
            PeerEvent::Stopped => Self::Stopped,
            PeerEvent::Datagram { .. }
            | PeerEvent::Stream { .. }
            | PeerEvent::Finished { .. }
            | PeerEvent::Acknowledged { .. }
            | PeerEvent::Writable { .. } => return None,
        })
    }
}

/// An event and when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// When the engine reported it.
    pub at: Moment,
    /// What happened.
    pub event: Event,
}

/// A stream of a node's events; see [`Node::events`](crate::Node::events).
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<Stamped>);

impl Events {
    /// The next event; `None` once the node has ended and everything was read. Cancel-safe.
    pub async fn next(&mut self) -> Option<Stamped> {
        match self.0.recv().await {
            Ok(stamped) => Some(stamped),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event, if there is one at this moment.
    pub fn try_next(&mut self) -> Option<Stamped> {
        match self.0.try_recv() {
            Ok(stamped) => Some(stamped),
            Err(broadcast::error::TryRecvError::Lagged(count)) => Some(missed(count)),
            Err(broadcast::error::TryRecvError::Closed | broadcast::error::TryRecvError::Empty) => None,
        }
    }
}

fn missed(count: u64) -> Stamped {
    Stamped { at: Moment::now(), event: Event::Missed(count) }
}
