//! Deadlines by name.

use crate::sorted::{SortedMap, SortedSet};
use crate::time::Instant;

/// What is due when. A name has one deadline at most.
#[derive(Clone, Debug)]
pub(crate) struct Timers<K> {
    due: SortedSet<(Instant, K)>,
    by_name: SortedMap<K, Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { due: SortedSet::new(), by_name: SortedMap::new() }
    }

    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, name: K, at: Instant) {
        self.clear(name);
        self.due.insert((at, name));
        self.by_name.insert(name, at);
    }

    /// Sets a deadline unless there is an earlier one.
    pub(crate) fn set_earlier(&mut self, name: K, at: Instant) {
        if self.by_name.get(&name).is_none_or(|&before| at < before) {
            self.set(name, at);
        }
    }

    /// Removes a deadline.
    pub(crate) fn clear(&mut self, name: K) {
        if let Some(at) = self.by_name.remove(&name) {
            self.due.remove(&(at, name));
        }
    }

    /// Takes the earliest deadline that is not later than `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        let &(at, name) = self.due.first()?;
        if at > now {
            return None;
        }
        self.clear(name);
        Some(name)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }
}
