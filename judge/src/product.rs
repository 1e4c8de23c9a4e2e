//! Every pair of sides, compared with the oracle.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pinhole_proto::Transport;

use crate::pair::{Found, Pair};
use crate::{Allowed, Oracle, Side};

/// A pair whose run is not what the oracle says.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The pair.
    pub pair: Pair,
    /// The technique by which the oracle has it direct, and how probable that is.
    pub expected: Option<(String, f64)>,
    /// What came of it.
    pub found: Found,
}

/// What came of a product.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// How many pairs were run.
    pub pairs: usize,
    /// How many of them were direct.
    pub direct: usize,
    /// How many packets arrived somewhere in all of them.
    pub arrivals: u64,
    /// The digests of all runs, combined; the order does not matter.
    pub digest: u64,
    /// Where the run and the oracle differ.
    pub differences: Vec<Difference>,
}

/// Which pairs of the product are run: those whose number leaves `rest` when divided by `step`.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// 1 for all of them.
    pub step: usize,
    /// Below `step`.
    pub rest: usize,
}

impl Part {
    /// All pairs.
    pub const ALL: Self = Self { step: 1, rest: 0 };

    fn numbers(self, sides: &[Side]) -> Vec<usize> {
        let step = self.step.max(1);
        (0..sides.len() * sides.len()).filter(|number| number % step == self.rest % step).collect()
    }
}

/// The digest of [`run`], on one thread and without an oracle.
#[must_use]
pub fn digest(transport: Transport, allowed: Allowed, part: Part) -> u64 {
    let sides = Side::all(transport);
    let digest = |number| pair(transport, allowed, &sides, number).run().digest;
    part.numbers(&sides).into_iter().map(digest).fold(0, u64::wrapping_add)
}

/// Runs pairs over a transport, on as many threads as there are processors.
#[must_use]
pub fn run(oracle: &Oracle, transport: Transport, allowed: Allowed, part: Part) -> Judgement {
    let sides = Side::all(transport);
    let numbers = part.numbers(&sides);
    let next = AtomicUsize::new(0);
    let whole = Mutex::new(Judgement::default());
    let work = || {
        let mut own = Judgement::default();
        while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            own.add(judge(oracle, transport, allowed, &sides, number));
        }
        if let Ok(mut whole) = whole.lock() {
            whole.join(own);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    whole.into_inner().unwrap_or_default()
}

/// Runs one pair of the product, by its number.
#[must_use]
pub fn judge(
    oracle: &Oracle,
    transport: Transport,
    allowed: Allowed,
    sides: &[Side],
    number: usize,
) -> (Found, Option<Difference>) {
    let (a, b) = (number / sides.len(), number % sides.len());
    let mut pair = pair(transport, allowed, sides, number);
    let expected = oracle.outcome(transport, sides[a], b, allowed);
    let first = pair.run();
    let mut found = first.clone();
    if let Some((_, probability)) = expected {
        // What is only probable has further seeds; how often it hits is judged by `share`.
        let mut missed = 1.0 - probability;
        while !found.direct && found.wrong.is_none() && missed > IMPOSSIBLE {
            missed *= 1.0 - probability;
            pair.seed += SEEDS as u64;
            found = pair.run();
        }
    }
    let by = found.by.map(|(strategy, _)| strategy.name());
    let differs = by != expected.map(|(name, _)| name) || found.wrong.is_some();
    let expected = expected.map(|(name, probability)| (name.to_owned(), probability));
    (first, differs.then_some(Difference { pair, expected, found }))
}

/// A pair of the product. Seeds differ between neighbours, so that ports are not the same everywhere.
#[must_use]
pub fn pair(transport: Transport, allowed: Allowed, sides: &[Side], number: usize) -> Pair {
    let (a, b) = (sides[number / sides.len()], sides[number % sides.len()]);
    Pair { transport, a, b, allowed, seed: (number % SEEDS) as u64 }
}

impl Judgement {
    fn add(&mut self, (found, difference): (Found, Option<Difference>)) {
        self.pairs += 1;
        self.direct += usize::from(found.direct);
        self.arrivals += found.arrivals;
        self.digest = self.digest.wrapping_add(found.digest);
        self.differences.extend(difference);
    }

    fn join(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.direct += other.direct;
        self.arrivals += other.arrivals;
        self.digest = self.digest.wrapping_add(other.digest);
        self.differences.extend(other.differences);
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { transport, a, b, allowed, seed } = self.pair;
        let transport_name = if transport == Transport::Udp { "udp" } else { "tcp" };
        let (a, b, allowed) = (a.name(transport), b.name(transport), allowed.name);
        write!(f, "{transport_name} {a} {b} --allowed {allowed} --seed {seed}: ")?;
        match self.found.by {
            Some((strategy, _)) => write!(f, "direct, {}", strategy.name())?,
            None => f.write_str("not direct")?,
        }
        match &self.expected {
            Some((name, probability)) => write!(f, "; the oracle has {name}, {probability}")?,
            None => f.write_str("; the oracle has nothing")?,
        }
        match &self.found.wrong {
            Some(wrong) => write!(f, "; {wrong}"),
            None => Ok(()),
        }
    }
}

/// A chance that is none.
const IMPOSSIBLE: f64 = 1e-6;

/// How many different seeds a product uses.
const SEEDS: usize = 7;
