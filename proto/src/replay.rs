//! Replay protection: one window for each path number (`spec/security.md`, "Replay").

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::constants::{MAX_PATH_NUMBERS, REPLAY_WINDOW};
use crate::discard::Discard;

const WORDS: usize = REPLAY_WINDOW / 64;

/// The counters seen from one sender under one key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replay {
    /// In ascending order. A server has one of these for each registered peer, so it is as large as it has to be.
    paths: Vec<(u16, Window)>,
    /// Path numbers up to this one that are not in `paths` are retired. 0 retires none but is never absent for long.
    floor: Option<u16>,
}

/// How packets of a path number arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// In any order, with losses.
    Datagram,
    /// In order, without losses.
    Stream,
}

#[derive(Clone, Debug)]
enum Window {
    /// Datagrams that came without a gap and in order: every number between these, and no other.
    Run {
        first: u64,
        highest: u64,
    },
    Datagram {
        highest: u64,
        seen: Box<[u64; WORDS]>,
    },
    Stream {
        next: u64,
    },
}

impl Replay {
    /// Whether a packet may be opened; changes nothing.
    pub(crate) fn check(&self, counter: u64, arrival: Arrival) -> Result<(), Discard> {
        let (path, number) = split(counter);
        let Some(window) = self.place(path).ok().map(|at| &self.paths[at].1) else {
            // [R-SEC-038]
            if self.floor.is_some_and(|floor| path <= floor) {
                return Err(Discard::PathNumberRetired);
            }
            return if arrival == Arrival::Stream && number != 0 { Err(Discard::StreamOutOfOrder) } else { Ok(()) };
        };
        match (window, arrival) {
            (&Window::Run { first, highest }, Arrival::Datagram) => {
                // [R-SEC-036]
                let old = highest.checked_sub(number).is_some_and(|age| age >= REPLAY_WINDOW as u64);
                if old || (first..=highest).contains(&number) { Err(Discard::Replayed) } else { Ok(()) }
            }
            (Window::Datagram { highest, seen }, Arrival::Datagram) => {
                // [R-SEC-036]
                let Some(age) = highest.checked_sub(number) else {
                    return Ok(());
                };
                if age >= REPLAY_WINDOW as u64 || bit(seen, number) { Err(Discard::Replayed) } else { Ok(()) }
            }
            (Window::Stream { next }, Arrival::Stream) => {
                // [R-SEC-037]
                if number == *next { Ok(()) } else { Err(Discard::StreamOutOfOrder) }
            }
            // [R-SEC-039]
            (Window::Run { .. } | Window::Datagram { .. }, Arrival::Stream)
            | (Window::Stream { .. }, Arrival::Datagram) => Err(Discard::PathNumberRetired),
        }
    }

    /// Enters a packet that was opened after [`check`](Self::check) allowed it.
    // [R-SEC-040]
    pub(crate) fn enter(&mut self, counter: u64, arrival: Arrival) {
        let (path, number) = split(counter);
        let at = match self.place(path) {
            Ok(at) => at,
            Err(_) => self.begin(path, number, arrival),
        };
        let window = &mut self.paths[at].1;
        match window {
            Window::Run { first, highest } => {
                if number == *highest + 1 {
                    *highest = number;
                } else if !(*first..=*highest).contains(&number) {
                    let mut seen = Box::new([0; WORDS]);
                    let oldest = highest.saturating_sub(REPLAY_WINDOW as u64 - 1);
                    for number in oldest.max(*first)..=*highest {
                        set(&mut seen, number, true);
                    }
                    let mut highest = *highest;
                    note(&mut highest, &mut seen, number);
                    *window = Window::Datagram { highest, seen };
                }
            }
            Window::Datagram { highest, seen } => note(highest, seen, number),
            Window::Stream { next } => *next = number + 1,
        }
    }

    fn place(&self, path: u16) -> Result<usize, usize> {
        self.paths.binary_search_by_key(&path, |&(path, _)| path)
    }

    /// Makes a window for a path number of which nothing was seen.
    fn begin(&mut self, path: u16, number: u64, arrival: Arrival) -> usize {
        // [R-SEC-038]
        if self.paths.len() >= MAX_PATH_NUMBERS {
            // The lowest number but 0, which every probe shares.
            if let Some(at) = self.paths.iter().position(|&(path, _)| path != 0) {
                let (oldest, _) = self.paths.remove(at);
                self.floor = self.floor.max(Some(oldest));
            }
        }
        let window = match arrival {
            Arrival::Datagram => Window::Run { first: number, highest: number },
            Arrival::Stream => Window::Stream { next: 0 },
        };
        let at = self.place(path).unwrap_or_else(|at| at);
        self.paths.reserve_exact(1);
        self.paths.insert(at, (path, window));
        at
    }
}

/// Enters a number into a window of bits.
fn note(highest: &mut u64, seen: &mut [u64; WORDS], number: u64) {
    if number > *highest {
        if number - *highest >= REPLAY_WINDOW as u64 {
            *seen = [0; WORDS];
        } else {
            for skipped in *highest + 1..=number {
                set(seen, skipped, false);
            }
        }
        *highest = number;
    }
    set(seen, number, true);
}

const fn split(counter: u64) -> (u16, u64) {
    ((counter >> 48) as u16, counter & ((1 << 48) - 1))
}

const fn place(number: u64) -> (usize, u64) {
    let slot = (number % REPLAY_WINDOW as u64) as usize;
    (slot / 64, 1 << (slot % 64))
}

const fn bit(seen: &[u64; WORDS], number: u64) -> bool {
    let (word, mask) = place(number);
    seen[word] & mask != 0
}

const fn set(seen: &mut [u64; WORDS], number: u64, on: bool) {
    let (word, mask) = place(number);
    if on {
        seen[word] |= mask;
    } else {
        seen[word] &= !mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    const PATH_1: u64 = 1 << 48;

    // [R-SEC-036]
    #[test]
    fn every_number_passes_once_within_the_window() {
        let mut replay = Replay::default();
        let mut model = BTreeSet::new();
        let mut highest = 0;
        let mut rng = crate::rng::Rng::pair([1; 32]).0;
        for _ in 0..20_000 {
            let number = (highest + rng.below(40)).saturating_sub(rng.below(1_200));
            let expected = number + 1_024 > highest && !model.contains(&number);
            assert_eq!(replay.check(number, Arrival::Datagram).is_ok(), expected, "{number} of {highest}");
            if expected {
                replay.enter(number, Arrival::Datagram);
                model.insert(number);
                highest = highest.max(number);
            }
        }
        assert!(model.len() > 2_000);
    }

    // [R-SEC-036]
    #[test]
    fn a_run_and_its_bits_refuse_the_same_numbers() {
        // Whatever comes first, a run of any length, and then one number anywhere.
        for first in [0, 1, 5, 1_023, 1_024, 3_000] {
            for length in [1, 2, 63, 64, 65, 1_023, 1_024, 1_025, 2_500] {
                let mut run = Replay::default();
                for number in first..first + length {
                    assert_eq!(run.check(number, Arrival::Datagram), Ok(()));
                    run.enter(number, Arrival::Datagram);
                }
                assert!(matches!(run.paths[0].1, Window::Run { .. }));
                let highest = first + length - 1;
                for number in 0..highest + 1_100 {
                    let fits = number > highest || (number < first && highest - number < 1_024);
                    assert_eq!(run.check(number, Arrival::Datagram).is_ok(), fits, "{first} {length} {number}");
                }
                for number in [first.saturating_sub(3), highest + 2, highest + 1_500] {
                    let mut bits = run.clone();
                    if bits.check(number, Arrival::Datagram).is_err() {
                        continue;
                    }
                    bits.enter(number, Arrival::Datagram);
                    let top = number.max(highest);
                    for later in 0..top + 1_100 {
                        let seen = (first..=highest).contains(&later) || later == number;
                        let fits = later > top || (top - later < 1_024 && !seen);
                        let found = bits.check(later, Arrival::Datagram).is_ok();
                        assert_eq!(found, fits, "{first} {length} {number} {later}");
                    }
                }
            }
        }
    }

    // [R-SEC-037] [R-SEC-039]
    #[test]
    fn a_stream_takes_the_next_number_only() {
        let mut replay = Replay::default();
        assert_eq!(replay.check(PATH_1 + 1, Arrival::Stream), Err(Discard::StreamOutOfOrder));
        for number in 0..3 {
            assert_eq!(replay.check(PATH_1 + number, Arrival::Stream), Ok(()));
            replay.enter(PATH_1 + number, Arrival::Stream);
            assert_eq!(replay.check(PATH_1 + number, Arrival::Stream), Err(Discard::StreamOutOfOrder));
        }
        assert_eq!(replay.check(PATH_1 + 3, Arrival::Datagram), Err(Discard::PathNumberRetired));
    }

    // [R-SEC-038]
    #[test]
    fn a_path_number_pushed_out_does_not_come_back() {
        let mut replay = Replay::default();
        for path in 0..=MAX_PATH_NUMBERS as u64 {
            replay.enter(path << 48, Arrival::Datagram);
        }
        assert_eq!(replay.check(PATH_1 + 9, Arrival::Datagram), Err(Discard::PathNumberRetired));
        assert_eq!(replay.check(9, Arrival::Datagram), Ok(()));
        assert_eq!(replay.check((2 << 48) + 9, Arrival::Datagram), Ok(()));
    }
}
