//! An X25519 that remembers.
//!
//! A run that is repeated, or that goes back a step, computes the same shared secrets again.
//! [`Memo`] looks them up instead. The function is pure, so its results are those of [`Dalek`], whatever is
//! remembered; only the time differs.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pinhole_proto::noise::{Dalek, X25519};

/// X25519 by curve25519-dalek, with one bounded table of results for the whole process. Of two results that
/// belong into one slot the later one stays. For simulations only: secrets stay in the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memo;

impl Memo {
    /// The function as configurations want it.
    #[must_use]
    pub fn shared() -> Arc<dyn X25519> {
        Arc::new(Self)
    }
}

impl X25519 for Memo {
    fn public_key(&self, secret: &[u8; 32]) -> [u8; 32] {
        // The product with the base point, so that `agree` may find it too.
        TABLE.get_or(secret, &BASE_POINT, || Dalek.public_key(secret))
    }

    fn agree(&self, secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
        TABLE.get_or(secret, public, || Dalek.agree(secret, public))
    }
}

struct Table<const SLOTS: usize> {
    slots: [Slot; SLOTS],
}

/// One result and its operands. Whoever finds the slot busy does without it.
struct Slot {
    busy: AtomicBool,
    words: [AtomicU64; WORDS],
}

impl<const SLOTS: usize> Table<SLOTS> {
    const fn new() -> Self {
        Self { slots: [const { Slot::new() }; SLOTS] }
    }

    fn get_or(&self, secret: &[u8; 32], public: &[u8; 32], compute: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        let operands = operands(secret, public);
        let hash = operands.iter().fold(0, |hash: u64, word| (hash ^ word).wrapping_mul(FACTOR).rotate_left(29));
        let at = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        let slot = &self.slots[at];
        if let Some(result) = slot.recall(&operands) {
            return result;
        }
        let result = compute();
        slot.remember(&operands, &result);
        result
    }
}

impl Slot {
    const fn new() -> Self {
        Self { busy: AtomicBool::new(false), words: [const { AtomicU64::new(0) }; WORDS] }
    }

    fn recall(&self, operands: &[u64; 8]) -> Option<[u8; 32]> {
        self.alone(|words| {
            let equal = operands.iter().zip(words).all(|(a, b)| *a == b.load(Ordering::Relaxed));
            let mut result = [0; 32];
            for (octets, word) in result.chunks_mut(8).zip(&words[8..]) {
                octets.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            }
            // An empty slot answers the operands zero and zero with zeros, which is their product.
            equal.then_some(result)
        })?
    }

    fn remember(&self, operands: &[u64; 8], result: &[u8; 32]) {
        self.alone(|words| {
            let result = result.chunks_exact(8).map(word);
            for (to, from) in words.iter().zip(operands.iter().copied().chain(result)) {
                to.store(from, Ordering::Relaxed);
            }
        });
    }

    fn alone<R>(&self, act: impl FnOnce(&[AtomicU64; WORDS]) -> R) -> Option<R> {
        self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let result = act(&self.words);
        self.busy.store(false, Ordering::Release);
        Some(result)
    }
}

fn operands(secret: &[u8; 32], public: &[u8; 32]) -> [u64; 8] {
    let mut words = secret.chunks_exact(8).chain(public.chunks_exact(8)).map(word);
    core::array::from_fn(|_| words.next().unwrap_or(0))
}

fn word(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))
}

static TABLE: Table<MAX_MEMO> = Table::new();

/// How many results are remembered: 104 octets each.
const MAX_MEMO: usize = 4_096;
const WORDS: usize = 12;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const BASE_POINT: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_question_is_answered_without_computing() {
        let table: Table<8> = Table::new();
        let mut computed = 0;
        for _ in 0..3 {
            let answer = table.get_or(&[1; 32], &[2; 32], || {
                computed += 1;
                [7; 32]
            });
            assert_eq!(answer, [7; 32]);
        }
        assert_eq!(computed, 1);
    }

    #[test]
    fn a_table_that_is_far_too_small_still_answers_right() {
        let table: Table<2> = Table::new();
        let answer = |number: u8| [number.wrapping_mul(31); 32];
        for round in 0..3 {
            for number in 0..=255 {
                let key = [number; 32];
                assert_eq!(table.get_or(&key, &[9; 32], || answer(number)), answer(number), "round {round}");
            }
        }
    }

    #[test]
    fn the_results_are_those_of_the_curve() {
        let mut key = [3; 32];
        for _ in 0..20 {
            let public = Dalek.public_key(&key);
            for _ in 0..2 {
                assert_eq!(Memo.public_key(&key), public);
                assert_eq!(Memo.agree(&key, &public), Dalek.agree(&key, &public));
                assert_eq!(Memo.agree(&key, &BASE_POINT), Dalek.agree(&key, &BASE_POINT));
            }
            key = public;
        }
    }
}
