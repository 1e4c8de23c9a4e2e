//! Whether a node is registered, and what stands in the way.

use std::io;
use std::sync::Arc;

use pinhole_proto::{Endpoint, Transport};

/// A registration in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The transport.
    pub transport: Transport,
    /// The endpoint that this side knows.
    pub private: Endpoint,
    /// The endpoint that the server observed.
    pub public: Endpoint,
}

/// Whether a node is registered.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The registrations in effect: at most one per transport and address family.
    pub online: Vec<Binding>,
    /// What stands in the way, if anything was reported since the last registration.
    pub trouble: Option<Trouble>,
}

/// Why a node is not registered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    /// The server does not answer over any transport. The node goes on trying.
    #[error("the server does not answer")]
    ServerUnreachable,
    /// The server's key is not the one in the URL, or not the one remembered.
    #[error("the server's key is not the expected one")]
    ServerKeyDiffers,
    /// The server speaks no version of the protocol that this peer speaks.
    #[error("the server speaks no version of the protocol that this peer speaks")]
    UnsupportedVersion,
    /// Somebody registered with the same key.
    #[error("another peer registered with the same key")]
    Replaced,
    /// The node was shut down.
    #[error("the node was shut down")]
    Stopped,
    /// The driver failed; the node has ended.
    #[error("sockets or clock failed: {0}")]
    Driver(#[source] Arc<io::Error>),
}

impl Status {
    /// Whether a registration over this transport is in effect.
    #[must_use]
    pub fn has(&self, transport: Transport) -> bool {
        self.online.iter().any(|binding| binding.transport == transport)
    }

    pub(crate) fn add(&mut self, binding: Binding) {
        let place = |b: &Binding| (b.transport, b.public.family());
        self.online.retain(|known| place(known) != place(&binding));
        self.online.push(binding);
        self.trouble = None;
    }

    pub(crate) fn remove(&mut self, transport: Transport) {
        self.online.retain(|known| known.transport != transport);
    }
}
