//! How much goes to an address that nobody has proved (`spec/punching.md`, "Budgets"; SEC-8, SEC-9).

use alloc::collections::VecDeque;

use crate::constants::{MAX_PROBE_OCTETS, MAX_PROBED, MAX_PROBES, MAX_SHOT_AT, MAX_SHOTS, PROBE_PERIOD, SHOT_PERIOD};
use crate::endpoint::Address;
use crate::sorted::SortedMap;
use crate::time::Instant;

/// What went to each unproved address within the latest period, over all sessions and ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget {
    spent: SortedMap<Address, VecDeque<Probe>>,
    /// Shots of attempts that the other peer agreed to, which have a budget of their own.
    shots: SortedMap<Address, Shots>,
}

/// A packet that was taken out of the budget; there are at most [`MAX_PROBES`] for an address.
#[derive(Clone, Copy, Debug)]
struct Probe {
    at: Instant,
    octets: u32,
}

#[derive(Clone, Copy, Debug)]
struct Shots {
    since: Instant,
    packets: u32,
}

impl Budget {
    /// Takes a packet out of the budget of `address`, if it fits.
    pub(super) fn take(&mut self, now: Instant, address: Address, octets: usize) -> bool {
        let is_spent = |probe: &Probe| now - probe.at < PROBE_PERIOD;
        if !self.spent.contains_key(&address) && self.spent.len() >= MAX_PROBED {
            self.spent.retain(|_, probes| probes.back().is_some_and(is_spent));
            // [R-PUNCH-016] [R-LIM-004]
            if self.spent.len() >= MAX_PROBED {
                return false;
            }
        }
        let probes = self.spent.or_insert_with(address, Default::default);
        while probes.front().is_some_and(|probe| !is_spent(probe)) {
            probes.pop_front();
        }
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let sum = probes.iter().fold(octets, |sum, probe| sum.saturating_add(probe.octets));
        // [R-PUNCH-015] Within any period, and not within each of those that follow one another.
        if probes.len() >= MAX_PROBES as usize || sum > MAX_PROBE_OCTETS {
            return false;
        }
        probes.push_back(Probe { at: now, octets });
        true
    }

    /// Takes a shot out of the budget of `address`, if it fits.
    pub(super) fn take_shot(&mut self, now: Instant, address: Address) -> bool {
        if !self.shots.contains_key(&address) && self.shots.len() >= MAX_SHOT_AT {
            self.shots.retain(|_, spent| now - spent.since < SHOT_PERIOD);
            // [R-PRED-006] [R-LIM-004]
            if self.shots.len() >= MAX_SHOT_AT {
                return false;
            }
        }
        let spent = self.shots.or_insert_with(address, || Shots { since: now, packets: 0 });
        if now - spent.since >= SHOT_PERIOD {
            *spent = Shots { since: now, packets: 0 };
        }
        spent.packets = spent.packets.saturating_add(1);
        spent.packets <= MAX_SHOTS
    }

    /// A path to `address` was proved: what was spent on it does not count.
    pub(super) fn proved(&mut self, address: Address) {
        self.spent.remove(&address);
    }

    /// How many addresses are remembered.
    pub(super) fn len(&self) -> usize {
        self.spent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    // [R-PUNCH-015]
    #[test]
    fn an_unproved_address_gets_twelve_packets_in_ten_seconds() {
        let (mut budget, address) = (Budget::default(), Address::from([192, 0, 2, 1]));
        let now = Instant::from_micros(5);
        assert_eq!((0..20).filter(|_| budget.take(now, address, 100)).count(), 12);
        assert!(!budget.take(now + Duration::from_secs(9), address, 1));
        assert!(budget.take(now + Duration::from_secs(10), address, 1));
        budget.proved(address);
        assert_eq!((0..20).filter(|_| budget.take(now, address, 500)).count(), 4);
    }

    // [R-PRED-006]
    #[test]
    fn an_address_gets_so_many_shots_a_minute_and_so_many_addresses_get_any() {
        let (mut budget, now) = (Budget::default(), Instant::from_micros(5));
        let address = |number: u32| Address::from(number.to_be_bytes());
        assert_eq!((0..5_000).filter(|_| budget.take_shot(now, address(1))).count(), MAX_SHOTS as usize);
        assert!(!budget.take_shot(now + Duration::from_secs(59), address(1)));
        assert!(budget.take_shot(now + Duration::from_secs(60), address(1)));
        let others = (2..1_000).filter(|number| budget.take_shot(now, address(*number))).count();
        assert_eq!(others, MAX_SHOT_AT - 1);
    }

    // [R-PUNCH-015]
    #[test]
    fn a_period_begins_with_each_packet() {
        let (mut budget, address) = (Budget::default(), Address::from([192, 0, 2, 1]));
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        assert!(budget.take(at(0), address, 100));
        assert_eq!((0..20).filter(|_| budget.take(at(9), address, 100)).count(), 11);
        assert_eq!((0..20).filter(|_| budget.take(at(10), address, 100)).count(), 1);
        assert_eq!((0..20).filter(|_| budget.take(at(18), address, 100)).count(), 0);
        assert_eq!((0..20).filter(|_| budget.take(at(19), address, 100)).count(), 11);
    }

    // [R-PUNCH-016]
    #[test]
    fn the_table_is_bounded() {
        let mut budget = Budget::default();
        for number in 0..MAX_PROBED as u32 + 10 {
            let taken = budget.take(Instant::ZERO, Address::from(number.to_be_bytes()), 1);
            assert_eq!(taken, (number as usize) < MAX_PROBED);
        }
        assert_eq!(budget.len(), MAX_PROBED);
    }
}
