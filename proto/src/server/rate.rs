//! Rates by key: how often something may happen, in a table of bounded size.

use crate::constants::MAX_RATES;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::{Duration, Instant};

/// A rate for each key: so many a second, so many at once.
///
/// A key stands with the moment at which its allowance is whole again; past that moment it is as good as
/// absent. When the table is full the key whose allowance is whole the earliest is forgotten.
#[derive(Clone, Debug)]
pub(super) struct RateLimiter<K> {
    every: Duration,
    burst: u32,
    whole_at: SortedMap<K, Instant>,
    order: SortedSet<(Instant, K)>,
}

impl<K: Ord + Copy> RateLimiter<K> {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            every: Duration::from_secs(1) / per_second.max(1),
            burst: burst.max(1),
            whole_at: SortedMap::new(),
            order: SortedSet::new(),
        }
    }

    /// Takes one from the allowance of `key`, if there is one.
    pub(super) fn take(&mut self, now: Instant, key: K) -> bool {
        let before = self.whole_at.get(&key).copied();
        let whole_at = before.unwrap_or(now).max(now);
        if whole_at - now > self.every * (self.burst - 1) {
            return false;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key));
        }
        let whole_at = whole_at + self.every;
        self.whole_at.insert(key, whole_at);
        self.order.insert((whole_at, key));
        self.shrink(now);
        true
    }

    /// How many keys are remembered.
    pub(super) fn len(&self) -> usize {
        self.whole_at.len()
    }

    /// Forgets a few whole keys, and as many others as are too many.
    fn shrink(&mut self, now: Instant) {
        for _ in 0..2 {
            let Some(&(whole_at, key)) = self.order.first() else {
                return;
            };
            if whole_at > now && self.whole_at.len() <= MAX_RATES {
                return;
            }
            self.order.remove(&(whole_at, key));
            self.whole_at.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_its_burst_and_then_its_rate() {
        let mut rates = RateLimiter::new(10, 3);
        let at = |millis: u64| Instant::from_micros(millis * 1_000);
        assert_eq!(
            [0, 0, 0, 0, 50, 100, 100, 200].map(|millis| rates.take(at(millis), 'a')),
            [true, true, true, false, false, true, false, true]
        );
        assert!(rates.take(at(200), 'b'));
    }

    #[test]
    fn a_flood_of_keys_stays_at_the_bound_and_whole_keys_go_first() {
        let mut rates = RateLimiter::new(1, 2);
        for key in 0..3 * MAX_RATES {
            assert!(rates.take(Instant::ZERO, key));
            assert!(rates.len() <= MAX_RATES);
        }
        let later = Instant::from_micros(5_000_000);
        for key in 0..MAX_RATES / 2 {
            assert!(rates.take(later, 10 * MAX_RATES + key));
        }
        assert_eq!(rates.len(), MAX_RATES / 2);
    }
}
