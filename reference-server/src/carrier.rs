//! What goes from one engine of the process to another, and who is registered where.
//!
//! Each engine has two queues, because what may be lost must not keep out what may not:
//!
//! | queue | holds | when it is full |
//! |---|---|---|
//! | packets | datagrams that arrived at the wrong engine, relayed datagrams | the packet is dropped, as by a full socket |
//! | orders | questions and answers, relayed packets of streams, streams, replacements | questions are repeated by who asks; a channel over streams ends; a stream is closed; a replacement is kept back and tried again |
//!
//! Whatever is dropped is counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use pinhole_driver::Detached;
use pinhole_proto::{Address, Endpoint, Instant, PeerId, SocketId, Transport};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What may be dropped.
pub(crate) enum Packet {
    Datagram { socket: SocketId, local: Address, remote: Endpoint, payload: Vec<u8> },
    Forwarded(Vec<u8>),
}

/// What should not be.
pub(crate) enum Order {
    Forwarded(Vec<u8>),
    Replace(Replacement),
    Stop,
    Stream {
        socket: SocketId,
        stream: Detached,
        octets: Vec<u8>,
    },
    /// Say how large the tables are.
    Tables,
}

/// A registration that is newer than one of the same peer elsewhere, and where it is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replacement {
    pub(crate) shard: u8,
    pub(crate) peer: PeerId,
    pub(crate) transport: Transport,
    pub(crate) public: Endpoint,
}

/// What one engine hears.
pub(crate) struct Inbox {
    pub(crate) packets: Receiver<Packet>,
    pub(crate) orders: Receiver<Order>,
}

/// The ways to every engine, and the directory.
pub(crate) struct Carrier {
    ways: Vec<(Sender<Packet>, Sender<Order>)>,
    directory: RwLock<HashMap<PeerId, Place>>,
    dropped: AtomicU64,
}

#[derive(Clone, Copy)]
struct Place {
    shard: u8,
    since: Instant,
    transport: Transport,
    public: Endpoint,
}

impl Carrier {
    /// A carrier between so many engines, and the inbox of each.
    pub(crate) fn new(engines: u8) -> (Self, Vec<Inbox>) {
        let mut ways = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..engines {
            let (packets_in, packets) = channel(MAX_PACKETS);
            let (orders_in, orders) = channel(MAX_ORDERS);
            ways.push((packets_in, orders_in));
            inboxes.push(Inbox { packets, orders });
        }
        (Self { ways, directory: RwLock::default(), dropped: AtomicU64::new(0) }, inboxes)
    }

    pub(crate) fn packet(&self, shard: u8, packet: Packet) {
        let sent = self.ways.get(usize::from(shard)).is_some_and(|(packets, _)| packets.try_send(packet).is_ok());
        if !sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `false` when the queue is full or the engine has ended.
    pub(crate) fn order(&self, shard: u8, order: Order) -> bool {
        let sent = self.ways.get(usize::from(shard)).is_some_and(|(_, orders)| orders.try_send(order).is_ok());
        if !sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// How much had no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The engine that a peer registered with last.
    pub(crate) fn place(&self, peer: PeerId) -> Option<u8> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).get(&peer).map(|place| place.shard)
    }

    /// Enters a registration. Of two that engines have of one peer the older one is to be replaced.
    pub(crate) fn registered(
        &self,
        shard: u8,
        peer: PeerId,
        (transport, public): (Transport, Endpoint),
        since: Instant,
    ) -> Option<Replacement> {
        let here = Place { shard, since, transport, public };
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        let (older, newer) = match directory.entry(peer) {
            Entry::Vacant(entry) => {
                entry.insert(here);
                return None;
            }
            Entry::Occupied(mut entry) if entry.get().shard == shard => {
                entry.insert(here);
                return None;
            }
            Entry::Occupied(entry) if entry.get().since > since => (here, *entry.get()),
            Entry::Occupied(mut entry) => (entry.insert(here), here),
        };
        Some(Replacement { shard: older.shard, peer, transport: newer.transport, public: newer.public })
    }

    /// Removes a registration, unless another engine has a newer one.
    pub(crate) fn unregistered(&self, shard: u8, peer: PeerId) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if directory.get(&peer).is_some_and(|place| place.shard == shard) {
            directory.remove(&peer);
        }
    }
}

/// The most packets that wait for an engine: some five megabytes.
const MAX_PACKETS: usize = 4_096;
/// The most orders that wait for an engine.
const MAX_ORDERS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        pinhole_proto::noise::public_key(&pinhole_proto::noise::Dalek, &[number; 32])
    }

    #[test]
    fn the_registration_that_took_effect_last_is_the_peers_place() {
        let (carrier, _inboxes) = Carrier::new(3);
        let seen = |port| (Transport::Udp, Endpoint::new([192, 0, 2, 1].into(), port));
        let enter = |shard, port, at| carrier.registered(shard, peer(1), seen(port), Instant::from_micros(at));
        assert!(enter(0, 1, 10).is_none());
        assert!(enter(0, 1, 10).is_none(), "a binding of the same registration");
        let replaced = enter(1, 2, 20).unwrap();
        assert_eq!((replaced.shard, replaced.public), (0, seen(2).1));
        assert_eq!(carrier.place(peer(1)), Some(1));
        // What an engine tells late is older all the same.
        let replaced = enter(2, 3, 15).unwrap();
        assert_eq!((replaced.shard, replaced.public), (2, seen(2).1));
        carrier.unregistered(0, peer(1));
        carrier.unregistered(2, peer(1));
        assert_eq!(carrier.place(peer(1)), Some(1));
        carrier.unregistered(1, peer(1));
        assert_eq!(carrier.place(peer(1)), None);
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_leaves_the_other_alone() {
        let (carrier, mut inboxes) = Carrier::new(1);
        for _ in 0..MAX_PACKETS + 5 {
            carrier.packet(0, Packet::Forwarded(Vec::new()));
        }
        assert_eq!(carrier.dropped(), 5);
        assert!(carrier.order(0, Order::Tables));
        assert!(!carrier.order(1, Order::Tables), "there is no such engine");
        assert!(inboxes[0].packets.try_recv().is_ok() && inboxes[0].orders.try_recv().is_ok());
    }
}
