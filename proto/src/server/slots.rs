//! The indexes that this engine may issue: shard, boot, and a number of 16 bits.

use alloc::collections::VecDeque;

use crate::wire::Index;

/// Free numbers. The one that was free the longest goes first, so that a peer that lost its registration
/// hears "unknown" for as long as possible before its index means somebody else.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    shard: u8,
    boot: u8,
    fresh: u32,
    freed: VecDeque<u16>,
}

impl Slots {
    pub(super) const fn new(shard: u8, boot: u8) -> Self {
        Self { shard, boot, fresh: 0, freed: VecDeque::new() }
    }

    /// An index that nobody has.
    pub(super) fn take(&mut self) -> Option<Index> {
        let number = match u16::try_from(self.fresh) {
            Ok(number) => {
                self.fresh += 1;
                number
            }
            Err(_) => self.freed.pop_front()?,
        };
        let [high, low] = number.to_be_bytes();
        Some(Index([self.shard, self.boot, high, low]))
    }

    /// Whether every index is somebody's.
    pub(super) fn are_exhausted(&self) -> bool {
        self.fresh > u32::from(u16::MAX) && self.freed.is_empty()
    }

    /// Gives an index back.
    pub(super) fn give_back(&mut self, index: Index) {
        let [_, _, high, low] = index.0;
        self.freed.push_back(u16::from_be_bytes([high, low]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_issued_once_and_the_longest_free_first() {
        let mut slots = Slots::new(3, 9);
        assert_eq!(slots.take(), Some(Index([3, 9, 0, 0])));
        slots.give_back(Index([3, 9, 0, 0]));
        for number in 1..=u16::MAX {
            let [high, low] = number.to_be_bytes();
            assert_eq!(slots.take(), Some(Index([3, 9, high, low])));
        }
        assert_eq!(slots.take(), Some(Index([3, 9, 0, 0])));
        assert_eq!(slots.take(), None);
    }
}
