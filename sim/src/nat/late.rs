//! Answers to SYNs that wait for their grace to pass (RFC 5382, REQ-4).

use pinhole_proto::sorted::{SortedMap, SortedSet};
use pinhole_proto::{Endpoint, Instant};

use super::{DropRule, Side};
use crate::packet::Packet;

/// The external endpoint that a SYN came to, and where it came from.
pub(super) type Pair = (Endpoint, Endpoint);

/// The answers that wait.
#[derive(Clone, Debug)]
pub(super) struct Late {
    waiting: SortedMap<Pair, Waiting>,
    order: SortedSet<(Instant, Pair)>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) due: Instant,
    pub(super) side: Side,
    pub(super) rule: DropRule,
    pub(super) answer: Packet,
}

impl Late {
    pub(super) const fn new() -> Self {
        Self { waiting: SortedMap::new(), order: SortedSet::new() }
    }

    /// Puts an answer back; a SYN sent again does not delay it further. Above the limit there is none.
    pub(super) fn insert(&mut self, pair: Pair, waiting: Waiting) {
        if self.waiting.len() < MAX_LATE && !self.waiting.contains_key(&pair) {
            self.order.insert((waiting.due, pair));
            self.waiting.insert(pair, waiting);
        }
    }

    /// Forgets the answer of a connection that the inside opens meanwhile.
    pub(super) fn cancel(&mut self, pair: Pair) {
        if let Some(waiting) = self.waiting.remove(&pair) {
            self.order.remove(&(waiting.due, pair));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    pub(super) fn pop(&mut self, now: Instant) -> Option<(Pair, Waiting)> {
        let (due, pair) = self.order.first().copied()?;
        if due > now {
            return None;
        }
        self.order.pop_first();
        self.waiting.remove(&pair).map(|waiting| (pair, waiting))
    }
}

/// The most answers that wait.
const MAX_LATE: usize = 4096;
