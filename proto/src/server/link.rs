//! Where packets come from and answers go to.

use crate::endpoint::{Address, Endpoint, Family};
use crate::engine::{SocketId, StreamId, Transport};
use crate::replay::Arrival;

/// One way between this server and somebody.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    /// Datagrams between one of the server's sockets and an endpoint.
    Datagram {
        socket: SocketId,
        /// The server's own address, on which the last packet came; not part of what the link is.
        local: Option<Address>,
        remote: Endpoint,
    },
    /// A stream that the server accepted.
    Stream { stream: StreamId, remote: Endpoint },
}

/// What a registration has one binding of.
pub(super) type Slot = (Transport, Family);

impl Link {
    pub(super) const fn remote(self) -> Endpoint {
        match self {
            Self::Datagram { remote, .. } | Self::Stream { remote, .. } => remote,
        }
    }

    pub(super) const fn transport(self) -> Transport {
        match self {
            Self::Datagram { .. } => Transport::Udp,
            Self::Stream { .. } => Transport::Tcp,
        }
    }

    pub(super) const fn slot(self) -> Slot {
        (self.transport(), self.remote().family())
    }

    pub(super) const fn arrival(self) -> Arrival {
        match self {
            Self::Datagram { .. } => Arrival::Datagram,
            Self::Stream { .. } => Arrival::Stream,
        }
    }

    pub(super) const fn stream(self) -> Option<StreamId> {
        match self {
            Self::Datagram { .. } => None,
            Self::Stream { stream, .. } => Some(stream),
        }
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (
                Self::Datagram { socket, remote, .. },
                Self::Datagram { socket: other_socket, remote: other_remote, .. },
            ) => (socket, remote) == (other_socket, other_remote),
            (Self::Stream { stream, .. }, Self::Stream { stream: other, .. }) => stream == other,
            (Self::Datagram { .. }, Self::Stream { .. }) | (Self::Stream { .. }, Self::Datagram { .. }) => false,
        }
    }
}

impl Eq for Link {}
