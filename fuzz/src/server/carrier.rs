//! What carries messages, datagrams and streams between the engines of one server, and knows which of them has
//! which peer: the part of a server process that is no engine. It loses, repeats and reorders as the script says.

use std::collections::BTreeMap;

use pinhole_proto::server::Recipient;
use pinhole_proto::{Address, Endpoint, Instant, PeerId, SocketId, Transport};

/// Something on its way between engines.
#[derive(Clone)]
pub(super) enum Flight {
    Forward { from: usize, to: Recipient, payload: Vec<u8> },
    Replace { to: usize, peer: PeerId, transport: Transport, public: Endpoint },
    Datagram { to: usize, socket: SocketId, local: Option<Address>, remote: Endpoint, payload: Vec<u8> },
    Stream { to: usize, socket: SocketId, remote: Endpoint, client: Option<usize>, octets: Vec<u8> },
}

/// Who is registered where.
#[derive(Clone, Default)]
pub(super) struct Directory(BTreeMap<PeerId, Entry>);

#[derive(Clone)]
struct Entry {
    engine: usize,
    transport: Transport,
    public: Endpoint,
    since: Instant,
}

impl Directory {
    /// An engine says that it has a peer. If another one has it too, the older is to be told.
    pub(super) fn registered(
        &mut self,
        engine: usize,
        peer: PeerId,
        (transport, public): (Transport, Endpoint),
        since: Instant,
    ) -> Option<Flight> {
        let new = Entry { engine, transport, public, since };
        let old = self.0.insert(peer, new.clone()).filter(|old| old.engine != engine)?;
        let (newer, older) = if old.since > since { (old, new) } else { (new, old) };
        let told = Flight::Replace { to: older.engine, peer, transport: newer.transport, public: newer.public };
        self.0.insert(peer, newer);
        Some(told)
    }

    /// An engine says that it has a peer no longer.
    pub(super) fn unregistered(&mut self, engine: usize, peer: PeerId) {
        if self.place(peer) == Some(engine) {
            self.0.remove(&peer);
        }
    }

    /// Where a peer is.
    pub(super) fn place(&self, peer: PeerId) -> Option<usize> {
        self.0.get(&peer).map(|entry| entry.engine)
    }
}
