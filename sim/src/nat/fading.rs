//! A set whose members fade.

use pinhole_proto::Instant;
use pinhole_proto::sorted::{SortedMap, SortedSet};

/// Members with the moment at which each leaves; of too many the one that would leave first makes room.
#[derive(Clone, Debug)]
pub(super) struct Fading<K> {
    until: SortedMap<K, Instant>,
    order: SortedSet<(Instant, K)>,
}

impl<K: Ord + Copy> Fading<K> {
    pub(super) const fn new() -> Self {
        Self { until: SortedMap::new(), order: SortedSet::new() }
    }

    pub(super) fn contains(&self, member: K) -> bool {
        self.until.contains_key(&member)
    }

    /// The members from one to another.
    pub(super) fn range(&self, low: K, high: K) -> impl Iterator<Item = K> + '_ {
        self.until.range(low..=high).map(|(member, _)| *member)
    }

    pub(super) fn insert(&mut self, member: K, until: Instant) {
        if let Some(before) = self.until.insert(member, until) {
            self.order.remove(&(before, member));
        }
        self.order.insert((until, member));
        if self.until.len() > MAX_FADING
            && let Some((_, first)) = self.order.pop_first()
        {
            self.until.remove(&first);
        }
    }

    /// Removes those whose moment has come.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((until, member)) = self.order.first().copied() {
            if until > now {
                break;
            }
            self.order.pop_first();
            self.until.remove(&member);
        }
    }
}

/// The most members: one for each port.
const MAX_FADING: usize = 65_536;
