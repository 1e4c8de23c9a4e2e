//! What two ends that share keys keep: counters, replay windows, the other end's index
//! (`spec/security.md`, "Sealing").

use alloc::vec::Vec;

use crate::discard::Discard;
use crate::noise::Keys;
use crate::replay::{Arrival, Replay};
use crate::wire::message::Message;
use crate::wire::sealed::{Index, Sealed, seal_packet};

/// Keys and their use.
#[derive(Clone, Debug)]
pub(crate) struct Association {
    keys: Keys,
    remote: Index,
    replay: Replay,
    next_lane: u16,
    probes: Lane,
}

/// A sender's path number and its packet counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    path: u16,
    next: u64,
}

impl Association {
    /// `remote` is the index that the other end issued.
    pub(crate) fn new(keys: Keys, remote: Index) -> Self {
        Self { keys, remote, replay: Replay::default(), next_lane: 1, probes: Lane::default() }
    }

    /// The index that the other end issued.
    pub(crate) const fn remote(&self) -> Index {
        self.remote
    }

    /// A path number that was not used before. After 65,535 of them the last is shared, which a
    /// datagram path survives and a stream does not.
    pub(crate) fn lane(&mut self) -> Lane {
        // [R-SEC-034]
        let path = self.next_lane;
        self.next_lane = self.next_lane.saturating_add(1);
        Lane { path, next: 0 }
    }

    /// Seals messages on a path of their own, or, without one, on path 0.
    pub(crate) fn seal(&mut self, lane: Option<&mut Lane>, messages: &[Message<'_>]) -> Vec<u8> {
        let mut plaintext = Vec::new();
        for message in messages {
            message.encode(&mut plaintext);
        }
        self.seal_plaintext(lane, &plaintext)
    }

    /// Seals encoded messages.
    pub(crate) fn seal_plaintext(&mut self, lane: Option<&mut Lane>, plaintext: &[u8]) -> Vec<u8> {
        // [R-SEC-034] [R-SEC-035]
        let lane = lane.unwrap_or(&mut self.probes);
        let counter = u64::from(lane.path) << 48 | lane.next;
        lane.next += 1;
        seal_packet(&self.keys.send, self.remote, counter, plaintext)
    }

    /// Opens a packet that the replay windows allow. [`enter`](Self::enter) follows once it is accepted.
    pub(crate) fn open(&self, sealed: &Sealed<'_>, arrival: Arrival) -> Result<Vec<u8>, Discard> {
        self.replay.check(sealed.counter, arrival)?;
        sealed.open(&self.keys.receive)
    }

    /// Opens a packet for somebody who only looks: replay windows neither refuse nor learn it.
    pub(crate) fn peek(&self, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        sealed.open(&self.keys.receive).ok()
    }

    /// Enters an opened packet into the replay windows.
    pub(crate) fn enter(&mut self, sealed: &Sealed<'_>, arrival: Arrival) {
        self.replay.enter(sealed.counter, arrival);
    }
}
