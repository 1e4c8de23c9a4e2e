//! Events that own their octets.

use alloc::vec::Vec;

use pinhole_proto::peer::{PathInfo, PeerEvent};
use pinhole_proto::server::ServerEvent;
use pinhole_proto::{Endpoint, Transport};

/// An event of a [`Peer`](pinhole_proto::peer::Peer) that owns its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSaid {
    /// The event; where it carries octets, they are empty here.
    pub event: PeerEvent<'static>,
    /// The octets that it carried.
    pub octets: Vec<u8>,
}

impl PeerSaid {
    /// The path that data takes from here on, if the event is about that.
    #[must_use]
    pub const fn selected(&self) -> Option<PathInfo> {
        match self.event {
            PeerEvent::Selected { path, .. } => Some(path),
            _ => None,
        }
    }

    /// What the other side sees of a path's end here, if the event says so.
    pub(crate) fn mapped(&self, local: Endpoint, remote: Endpoint) -> Option<Endpoint> {
        match self.event {
            PeerEvent::Path { path, .. } | PeerEvent::Selected { path, .. } => {
                path.mapped.filter(|_| (path.local, path.remote) == (local, remote))
            }
            _ => None,
        }
    }

    pub(super) fn is_online_over(&self, wanted: Transport) -> bool {
        matches!(self.event, PeerEvent::Online { transport, .. } if transport == wanted)
    }
}

impl From<PeerEvent<'_>> for PeerSaid {
    fn from(event: PeerEvent<'_>) -> Self {
        let mut kept = Vec::new();
        let event = match event {
            PeerEvent::Datagram { session, octets } => {
                kept.extend_from_slice(octets);
                PeerEvent::Datagram { session, octets: &[] }
            }
            PeerEvent::Stream { session, octets } => {
                kept.extend_from_slice(octets);
                PeerEvent::Stream { session, octets: &[] }
            }
            PeerEvent::ServerKey(key) => PeerEvent::ServerKey(key),
            PeerEvent::Online { transport, private, public } => PeerEvent::Online { transport, private, public },
            PeerEvent::Offline { transport, reason } => PeerEvent::Offline { transport, reason },
            PeerEvent::ServerUnreachable => PeerEvent::ServerUnreachable,
            PeerEvent::Replaced => PeerEvent::Replaced,
            PeerEvent::ServerRefused(refusal) => PeerEvent::ServerRefused(refusal),
            PeerEvent::Introduced { session, peer, transport, initiator } => {
                PeerEvent::Introduced { session, peer, transport, initiator }
            }
            PeerEvent::Established { session, peer, initiator } => PeerEvent::Established { session, peer, initiator },
            PeerEvent::Path { session, state, path } => PeerEvent::Path { session, state, path },
            PeerEvent::Selected { session, path } => PeerEvent::Selected { session, path },
            PeerEvent::PathLost { session, path } => PeerEvent::PathLost { session, path },
            PeerEvent::Finished { session } => PeerEvent::Finished { session },
            PeerEvent::Acknowledged { session, offset } => PeerEvent::Acknowledged { session, offset },
            PeerEvent::Writable { session } => PeerEvent::Writable { session },
            PeerEvent::Attempt { session, number, strategy, width } => {
                PeerEvent::Attempt { session, number, strategy, width }
            }
            PeerEvent::NotDirect { session, verdict, certainty, evidence } => {
                PeerEvent::NotDirect { session, verdict, certainty, evidence }
            }
            PeerEvent::Withdrawn { session, verdict } => PeerEvent::Withdrawn { session, verdict },
            PeerEvent::Closed { session, reason } => PeerEvent::Closed { session, reason },
            PeerEvent::Stopped => PeerEvent::Stopped,
        };
        Self { event, octets: kept }
    }
}

/// An event of a server without the one that carries octets.
pub(crate) const fn server_event(event: ServerEvent<'_>) -> Option<ServerEvent<'static>> {
    Some(match event {
        ServerEvent::Forward { .. } | ServerEvent::Misdirected { .. } | ServerEvent::Misplaced { .. } => return None,
        ServerEvent::Listening { transport, socket, local } => ServerEvent::Listening { transport, socket, local },
        ServerEvent::ListenFailed { transport, port, error } => ServerEvent::ListenFailed { transport, port, error },
        ServerEvent::Registered { peer, transport, public, since } => {
            ServerEvent::Registered { peer, transport, public, since }
        }
        ServerEvent::Unregistered { peer, reason } => ServerEvent::Unregistered { peer, reason },
        ServerEvent::Introduced { initiator, responder, transport } => {
            ServerEvent::Introduced { initiator, responder, transport }
        }
        ServerEvent::RelayOpened { a, b } => ServerEvent::RelayOpened { a, b },
        ServerEvent::RelayClosed { a, b, octets } => ServerEvent::RelayClosed { a, b, octets },
        ServerEvent::Stopped => ServerEvent::Stopped,
    })
}
