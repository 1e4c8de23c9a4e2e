//! The clauses of the engine's contract, over mutated inputs of valid runs: the same for every engine that
//! keeps its own side of a conversation.

mod netcheck;
mod peer;

use std::collections::VecDeque;
use std::fmt::Debug;

use pinhole_proto::{Engine, Input, Instant};

use crate::world::{Kept, Order, Told, drain_engine};

/// An engine that is held to its contract.
trait Subject: Engine + Clone {
    /// What an ignored input must leave alone.
    type State: PartialEq + Debug;

    /// The state without what an ignored input may move.
    fn state(&self) -> Self::State;

    fn told(event: Self::Event<'_>) -> Told;

    /// Whether an ignored input may have this order for an answer.
    fn may_answer(_order: &Order, _ignored: &Kept) -> bool {
        false
    }

    fn drain(&mut self) -> (Vec<Order>, Option<Instant>) {
        let mut orders = VecDeque::new();
        let deadline = drain_engine(self, &mut orders, Self::told);
        (orders.into(), deadline)
    }
}

/// What an engine went through: itself before, and its inputs.
struct Run<S> {
    initial: S,
    inputs: Vec<(Instant, Kept)>,
}

impl<S: Subject> Run<S> {
    fn start(&self) -> S {
        let mut subject = self.initial.clone();
        subject.drain();
        subject
    }
}

/// Clauses 1 and 2, each run so many times; how many inputs were accepted and how many ignored.
fn mutate_inputs<S: Subject>(runs: &[Run<S>], times: u32) -> (u32, u32) {
    let (mut accepted, mut ignored) = (0, 0);
    let mut dice = Dice(42);
    for run in runs {
        for _ in 0..times {
            let mut subject = run.start();
            for (at, kept) in &run.inputs {
                let mutated = mutate(kept, &mut dice);
                let mut before = subject.clone();
                match subject.handle_input(*at, mutated.as_input()) {
                    Ok(()) => {
                        accepted += 1;
                        subject.drain();
                        if dice.below(3) == 0 {
                            continue;
                        }
                    }
                    Err(discard) => {
                        ignored += 1;
                        before.handle_input(*at, Input::Timeout).unwrap();
                        let (mut orders, deadline) = subject.drain();
                        orders.retain(|order| !S::may_answer(order, &mutated));
                        assert_eq!(before.drain(), (orders, deadline), "{discard:?} on {mutated:?}");
                        assert_eq!(before.state(), subject.state(), "{discard:?} on {mutated:?}");
                    }
                }
                // The run goes on with the true input, if it was not the same.
                subject = before;
                let _ = subject.handle_input(*at, kept.as_input());
                subject.drain();
            }
        }
    }
    (accepted, ignored)
}

/// Clauses 3, 4 and 5; how many deadlines there were.
fn watch_deadlines<S: Subject>(runs: &[Run<S>]) -> u32 {
    let mut deadlines = 0;
    for run in runs {
        let mut subject = run.start();
        for (at, kept) in &run.inputs {
            let _ = subject.handle_input(*at, kept.as_input());
            let (_, deadline) = subject.drain();
            assert_eq!(subject.drain().0, [], "everything was returned before the deadline");
            let Some(deadline) = deadline else { continue };
            assert!(deadline > *at, "the deadline {deadline:?} is later than the input at {at:?}");
            deadlines += 1;
            let mut early = subject.clone();
            early.handle_input(Instant::from_micros(deadline.as_micros() - 1), Input::Timeout).unwrap();
            assert_eq!(early.drain(), (vec![], Some(deadline)));
            assert_eq!(early.state(), subject.state());
            let mut due = subject.clone();
            due.handle_input(deadline, Input::Timeout).unwrap();
            let (_, next) = due.drain();
            assert!(next.is_none_or(|next| next > deadline), "{next:?} after {deadline:?}");
        }
    }
    deadlines
}

/// Clause 6.
fn repeat<S: Subject>(runs: &[Run<S>]) {
    for run in runs {
        let (mut one, mut other) = (run.initial.clone(), run.initial.clone());
        for (at, kept) in &run.inputs {
            assert_eq!(one.handle_input(*at, kept.as_input()), other.handle_input(*at, kept.as_input()));
            assert_eq!(one.drain(), other.drain());
        }
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }

    /// Nothing in half of the cases.
    fn damage(&mut self, octets: &mut Vec<u8>) {
        match self.below(6) {
            0 if !octets.is_empty() => {
                let at = self.below(octets.len());
                octets[at] ^= 1 << self.below(8);
            }
            1 => octets.truncate(self.below(octets.len())),
            2 => octets.push(0),
            _ => {}
        }
    }
}

fn mutate(kept: &Kept, dice: &mut Dice) -> Kept {
    let mut kept = kept.clone();
    match &mut kept {
        Kept::Datagram(socket, _, remote, octets) => match dice.below(8) {
            0 => *remote = remote.with_port(remote.port() ^ 1),
            1 => socket.0 ^= 1,
            _ => dice.damage(octets),
        },
        Kept::Received(stream, octets) => match dice.below(8) {
            0 => stream.0 ^= 1,
            _ => dice.damage(octets),
        },
        Kept::Accepted(stream, socket, ..) => match dice.below(4) {
            0 => stream.0 ^= 1,
            1 => socket.0 += 1,
            _ => {}
        },
        Kept::Opened(socket, _) if dice.below(4) == 0 => socket.0 += 20,
        _ => {}
    }
    kept
}
