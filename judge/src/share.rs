//! How often a guess hits, beside what the oracle says of it, where other clients want ports, too.

use core::any::Any;
use core::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use pinhole_proto::wire::code::Strategy;
use pinhole_proto::{Address, Discard, Duration, Endpoint, Input, Instant, Output, Transport};
use pinhole_sim::nat::{Competitor, CompetitorPlan, OnFull};
use pinhole_sim::topology::{A, B};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{HostId, Line, NatId, Node, Order, Rng};

use crate::binomial::interval;
use crate::oracle::{Sockets, Taken};
use crate::pair::{Found, Pair};
use crate::{Allowed, Oracle, Side};

/// A guess that does not always hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guess {
    /// Two NATs with sequential ports, one of which somebody else uses, too.
    Predicted(Transport, Taken),
    /// Random ports against a known one, where others leave the NAT room for some sockets only.
    Birthday(Sockets),
}

/// What came of many runs.
#[derive(Clone, Debug)]
pub struct Share {
    /// The guess.
    pub guess: Guess,
    /// How many runs there were.
    pub runs: u64,
    /// How many of them were direct by the guess.
    pub hits: u64,
    /// What was wrong whatever the oracle says, and the seed.
    pub wrong: Vec<(u64, String)>,
}

/// Every guess of the oracle's that is neither sure nor hopeless.
#[must_use]
pub fn guesses(oracle: &Oracle) -> Vec<Guess> {
    let loads = oracle.loads();
    let over = |transport| move |taken: &Taken| Guess::Predicted(transport, *taken);
    let predicted = loads.predicted.iter().map(over(Transport::Udp));
    let all = predicted.chain(loads.tcp_predicted.iter().map(over(Transport::Tcp)));
    let all = all.chain(loads.birthday.iter().copied().map(Guess::Birthday));
    all.filter(|guess| guess.probability() > 0.0 && guess.probability() < 1.0).collect()
}

/// Runs a guess with the seeds of `count` worlds, on as many threads as there are processors.
#[must_use]
pub fn run(guess: Guess, count: u64) -> Share {
    let next = AtomicU64::new(0);
    let whole = Mutex::new(Share { guess, runs: count, hits: 0, wrong: Vec::new() });
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return;
            }
            let result = guess.run(seed);
            if let Ok(mut whole) = whole.lock() {
                match result {
                    Ok(hit) => whole.hits += u64::from(hit),
                    Err(wrong) => whole.wrong.push((seed, wrong)),
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    whole.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Guess {
    /// How probable the oracle has it that it hits.
    #[must_use]
    pub const fn probability(&self) -> f64 {
        match self {
            Self::Predicted(_, taken) => taken.probability,
            Self::Birthday(sockets) => sockets.probability,
        }
    }

    /// Whether it hits in the world of a seed.
    ///
    /// # Errors
    /// What is wrong with the run whatever the oracle says.
    pub fn run(self, seed: u64) -> Result<bool, String> {
        match self {
            Self::Predicted(transport, taken) => predicted(transport, taken, seed),
            Self::Birthday(sockets) => birthday(sockets, seed),
        }
    }
}

/// A client behind NAT A opens mappings at equal intervals. Where in one of them the samples leave is not known.
fn predicted(transport: Transport, taken: Taken, seed: u64) -> Result<bool, String> {
    let side = side(transport, "apd-apd-mapping-sequential");
    let pair = Pair { transport, a: side, b: side, allowed: Allowed::DEFAULT, seed };
    let plan = pair.plan();
    // A's samples, the proposal, B's samples and the answer: four ways over each of the two lines, and two more where
    // each sample is a connection.
    let (ways, strategy) = match transport {
        Transport::Udp => (4, Strategy::PREDICTED),
        Transport::Tcp => (6, Strategy::TCP_PREDICTED),
    };
    let between = (plan.line_a.up.delay + plan.line_b.up.delay) * ways;
    let every = between.div_f64(taken.taken);
    let mut trio = pair.build(&plan);
    let phase = every.mul_f64(Rng::new(seed).below(PHASES) as f64 / PHASES as f64);
    let count = 60_000;
    let nat = trio.net.nat_a;
    compete(&mut trio, nat, A, Schedule { transport, start: Instant::ZERO + phase, every, count })?;
    let found = played(pair, &mut trio)?;
    Ok(found.by == Some((strategy, taken.width)))
}

/// A client behind NAT B has so many mappings that the NAT has room for some sockets only.
fn birthday(sockets: Sockets, seed: u64) -> Result<bool, String> {
    let (a, b) = (side(Transport::Udp, "ei-apd-mapping-preserving"), side(Transport::Udp, "apd-apd-mapping-random"));
    let pair = Pair { transport: Transport::Udp, a, b, allowed: Allowed::ALL, seed };
    let mut plan = pair.plan();
    plan.nat_b.max_mappings = OTHERS_MAPPINGS + OWN_MAPPINGS + u32::from(sockets.sockets);
    plan.nat_b.full = OnFull::Refuse;
    let mut trio = pair.build(&plan);
    let count = OTHERS_MAPPINGS;
    let nat = trio.net.nat_b;
    let every = Duration::from_millis(1);
    compete(&mut trio, nat, B, Schedule { transport: Transport::Udp, start: Instant::ZERO, every, count })?;
    let found = played(pair, &mut trio)?;
    let of_b = nat.map_or(0, |nat| {
        let rows = trio.world.nat(nat).rows().filter(|row| row.internal.address() == B);
        rows.count()
    });
    let expected = OWN_MAPPINGS as usize + usize::from(sockets.sockets);
    match found.by {
        Some((Strategy::BIRTHDAY, _)) if of_b <= expected => Ok(true),
        None if of_b == expected => Ok(false),
        by => Err(format!("{by:?} with {of_b} of {expected} mappings of B")),
    }
}

struct Schedule {
    transport: Transport,
    start: Instant,
    every: Duration,
    count: u32,
}

/// Puts a client behind a NAT, beside its peer.
fn compete(trio: &mut Trio, nat: Option<NatId>, peer: Address, schedule: Schedule) -> Result<HostId, String> {
    let nat = nat.ok_or("there is no NAT")?;
    let realm = trio.world.inside(nat);
    let Address::V4(peer) = peer else { return Err("the peer has no IPv4".to_owned()) };
    let [a, b, c, d] = peer.octets();
    let host = trio.world.add_host("C", realm, &[Address::from([a, b, c, d + 100])], Line::default());
    let Schedule { transport, start, every, count } = schedule;
    let target = Endpoint::new(Address::from([203, 0, 113, 7]), 7);
    let plan = CompetitorPlan { transport, target, start, every, jitter: false, count };
    trio.world.start(host, Apart(Competitor::new(plan, Rng::new(0))));
    Ok(host)
}

/// A client each of whose sockets has a port of its own, where a drawn one may have been drawn before and have a
/// mapping already.
#[derive(Clone)]
struct Apart(Competitor);

impl Node for Apart {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        self.0.handle_input(now, input)
    }

    fn drain(&mut self, now: Instant, sink: &mut dyn FnMut(Order<'_>)) -> Option<Instant> {
        self.0.drain(now, &mut |order| match order {
            Output::Open { socket, transport, family, share, .. } => {
                let port = FIRST_PORT + (socket.0 % u32::from(u16::MAX - FIRST_PORT)) as u16;
                sink(Output::Open { socket, transport, family, port, share });
            }
            other => sink(other),
        })
    }

    fn engine(&self) -> &dyn Any {
        self.0.engine()
    }

    fn engine_mut(&mut self) -> &mut dyn Any {
        self.0.engine_mut()
    }

    fn log(&self) -> &dyn Any {
        self.0.log()
    }
}

fn played(pair: Pair, trio: &mut Trio) -> Result<Found, String> {
    trio.world.trace_mut().keep(false);
    let found = pair.play(trio);
    found.wrong.clone().map_or(Ok(found), Err)
}

/// A side by its name over UDP; over TCP it drops what it does not expect.
fn side(transport: Transport, name: &str) -> Side {
    let mut sides = Side::all(Transport::Udp).into_iter();
    let found = sides.find(|side| side.name(Transport::Udp) == name).map(|side| side.over(transport));
    found.expect("the name is that of a side")
}

impl Share {
    /// Whether the hits are those of the oracle's probability, as far as chance lets them be.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let (least, most) = interval(self.runs, self.guess.probability());
        self.wrong.is_empty() && (least..=most).contains(&self.hits)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.guess {
            Guess::Predicted(transport, taken) => {
                write!(f, "predicted over {transport:?}, window {}, {} ports taken", taken.width, taken.taken)?
            }
            Guess::Birthday(sockets) => write!(f, "birthday, {} sockets", sockets.sockets)?,
        }
        let (least, most) = interval(self.runs, self.guess.probability());
        let probability = self.guess.probability();
        write!(f, ": {} of {} direct; {probability} are {least} to {most} with 99 %", self.hits, self.runs)?;
        for (seed, wrong) in &self.wrong {
            write!(f, "; seed {seed}: {wrong}")?;
        }
        Ok(())
    }
}

/// The first port of a client's.
const FIRST_PORT: u16 = 2_000;

/// How finely the moment is drawn at which a client begins.
const PHASES: u64 = 1_000_000;

/// How many mappings of NAT B the client has.
const OTHERS_MAPPINGS: u32 = 400;

/// How many B has when the birthday attempt begins: towards the server's main endpoint, its other port and A's, and
/// those of the samples.
const OWN_MAPPINGS: u32 = 6;
