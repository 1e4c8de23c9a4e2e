//! Replay protection: one window for each path number (`spec/security.md`, "Replay").

use alloc::collections::BTreeMap;

use crate::constants::{MAX_PATH_NUMBERS, REPLAY_WINDOW};
use crate::discard::Discard;

const WORDS: usize = REPLAY_WINDOW / 64;

/// The counters seen from one sender under one key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replay {
    paths: BTreeMap<u16, Window>,
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
    Datagram { highest: u64, seen: [u64; WORDS] },
    Stream { next: u64 },
}

impl Replay {
    /// Whether a packet may be opened; changes nothing.
    pub(crate) fn check(&self, counter: u64, arrival: Arrival) -> Result<(), Discard> {
        let (path, number) = split(counter);
        let Some(window) = self.paths.get(&path) else {
            // [R-SEC-038]
            if self.floor.is_some_and(|floor| path <= floor) {
                return Err(Discard::PathNumberRetired);
            }
            return if arrival == Arrival::Stream && number != 0 { Err(Discard::StreamOutOfOrder) } else { Ok(()) };
        };
        match (window, arrival) {
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
            (Window::Datagram { .. }, Arrival::Stream) | (Window::Stream { .. }, Arrival::Datagram) => {
                Err(Discard::PathNumberRetired)
            }
        }
    }

    /// Enters a packet that was opened after [`check`](Self::check) allowed it.
    // [R-SEC-040]
    pub(crate) fn enter(&mut self, counter: u64, arrival: Arrival) {
        let (path, number) = split(counter);
        if !self.paths.contains_key(&path) {
            // [R-SEC-038]
            if self.paths.len() >= MAX_PATH_NUMBERS {
                // The lowest number but 0, which every probe shares.
                let oldest = self.paths.keys().copied().find(|&path| path != 0);
                if let Some(oldest) = oldest {
                    self.paths.remove(&oldest);
                    self.floor = self.floor.max(Some(oldest));
                }
            }
            let window = match arrival {
                Arrival::Datagram => Window::Datagram { highest: 0, seen: [0; WORDS] },
                Arrival::Stream => Window::Stream { next: 0 },
            };
            self.paths.insert(path, window);
        }
        match self.paths.get_mut(&path) {
            Some(Window::Datagram { highest, seen }) => {
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
            Some(Window::Stream { next }) => *next = number + 1,
            None => {}
        }
    }
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
