//! How often a guess hits: the share of direct sessions beside its closed form, and what the guess cost.
//!
//! `spec/prediction.md` has the forms: two quiet NATs that give ports out one after the other always meet, and
//! `m` sockets behind random ports meet `n` tried ports with 1 - C(N - m, n) / C(N, n).

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use pinhole_proto::constants::{BIRTHDAY_PORTS, BIRTHDAY_SOCKETS, LOWEST_PORT, MAX_SHOTS};
use pinhole_sim::Behaviour;
use serde_json::Value;

use crate::cells::with_lines;
use crate::error::LabError;
use crate::nat::NatKind;
use crate::recording::{Direction, Recording};
use crate::topology::{Kind, Topology};
use crate::trial::{Meeting, Outcome, Over, Programs, at, is};

/// A pair of NATs that takes a guess.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Its name.
    pub name: &'static str,
    /// The strategy by which it is to become direct.
    pub strategy: &'static str,
    /// The options of both peers.
    pub options: &'static [&'static str],
    nat_a: Behaviour,
    nat_b: Behaviour,
    /// The share that the closed form gives.
    pub form: f64,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Guess {
    /// Whether the session became direct by the strategy.
    pub direct: bool,
    /// From the beginning of the last attempt by the strategy to the proof of a path, or to its last shot.
    pub took: Duration,
    /// What both sides sent to each other meanwhile, in packets.
    pub packets: usize,
    /// The line for people.
    pub line: String,
}

/// Every share.
#[must_use]
pub fn shares() -> Vec<Share> {
    let symmetric = Behaviour::symmetric();
    vec![
        Share {
            name: "sequential / sequential, quiet",
            strategy: "predicted",
            options: &["--strategies", "plain,predicted"],
            nat_a: Behaviour::symmetric_sequential(40_000),
            nat_b: Behaviour::symmetric_sequential(50_000),
            form: 1.0,
        },
        Share {
            name: "random / port-restricted, birthday",
            strategy: "birthday",
            options: &["--strategies", "plain,predicted,birthday", "--birthday"],
            nat_a: symmetric,
            nat_b: Behaviour::port_restricted(),
            form: meeting(u64::from(BIRTHDAY_SOCKETS), u64::from(BIRTHDAY_PORTS)),
        },
    ]
}

/// The probability that one of `sockets` random ports is among `ports` others.
fn meeting(sockets: u64, ports: u64) -> f64 {
    let all = 65_536 - u64::from(LOWEST_PORT);
    let missed: f64 = (0..ports).map(|tried| 1.0 - sockets as f64 / (all - tried) as f64).product();
    1.0 - missed
}

/// How many of `runs` are direct with a probability of 99 %, where each is with `form`: the least and the most.
#[must_use]
pub fn interval(runs: usize, form: f64) -> (usize, usize) {
    // The binomial distribution by its logarithms, which do not underflow.
    let logarithm = |hits: usize| -> f64 {
        let choose: f64 = (0..hits).map(|n| ((runs - n) as f64 / (n + 1) as f64).ln()).sum();
        let part = |count: usize, chance: f64| if count == 0 { 0.0 } else { count as f64 * chance.ln() };
        choose + part(hits, form) + part(runs - hits, 1.0 - form)
    };
    let mass: Vec<f64> = (0..=runs).map(|hits| logarithm(hits).exp()).collect();
    let beyond = |sum: &mut f64, mass: &f64| {
        *sum += mass;
        *sum > 0.005
    };
    let (mut below, mut above) = (0.0, 0.0);
    let least = mass.iter().position(|mass| beyond(&mut below, mass)).unwrap_or(0);
    let most = mass.iter().rposition(|mass| beyond(&mut above, mass)).unwrap_or(runs);
    (least, most)
}

/// One run, with 5 ms one way on either line.
///
/// # Errors
///
/// Whatever keeps it from running at all.
pub fn run(share: &Share, number: usize, programs: &Programs, directory: &Path) -> Result<Guess, LabError> {
    let mut topology = Topology {
        nat_a: NatKind::Model(share.nat_a),
        nat_b: NatKind::Model(share.nat_b),
        ..with_lines(Topology::new(Kind::TwoNats), 5, 5, 0.0, 1)
    };
    topology.seed = topology.seed.wrapping_add(number as u32);
    let options = share.options.iter().map(|option| (*option).to_owned()).collect();
    let programs = Programs { options, ..programs.clone() };
    let meeting = Meeting::new(&topology, Over::Udp, &programs, &directory.join(number.to_string()))?;
    let mut a = meeting.peer("a", "a", &["ping", meeting.id(), "--hold", "--timeout", "25"])?;
    a.event("online", PATIENCE)?;
    std::thread::sleep(SETTLE);
    a.write_line("go")?;
    let outcome = meeting.outcome(a, PATIENCE)?;
    let (from, to) = span(share, &outcome);
    let mut shots = Vec::new();
    for (site, other) in [("a", "b"), ("b", "a")] {
        shots.extend(sent(meeting.lab.wire(site)?, meeting.lab.public_address(other)?, at(from), at(to)));
    }
    let direct = from < to && outcome.direct.is_some();
    // A guess that missed waits for a while after its last shot.
    let took = match shots.iter().max() {
        Some(last) if !direct => last.saturating_duration_since(at(from)),
        _ => Duration::from_micros(to.saturating_sub(from)),
    };
    Ok(Guess { direct, took, packets: shots.len(), line: outcome.line() })
}

/// From the beginning of the last attempt by the strategy to the proof of a path, or the verdict; nothing where
/// there was no such attempt.
fn span(share: &Share, outcome: &Outcome) -> (u64, u64) {
    let time = |value: &Value| value["t_us"].as_u64();
    let begins = |value: &&Value| is(value, "attempt") && value["strategy"] == share.strategy;
    let Some(from) = outcome.events.iter().rev().find(begins).and_then(time) else {
        return (0, 0);
    };
    let ends = |value: &&Value| {
        let proved = is(value, "path") && value["kind"] != "relayed" && value["state"] == "proved";
        (proved || is(value, "verdict")) && time(value).is_some_and(|at| at > from)
    };
    (from, outcome.events.iter().find(ends).and_then(time).unwrap_or(from))
}

/// When a site sent to an address, between two moments.
fn sent(wire: &Recording, to: IpAddr, from: Instant, until: Instant) -> Vec<Instant> {
    let packets = wire.packets().into_iter().filter(|packet| {
        let view = crate::ladder::View::of(&packet.octets);
        packet.direction == Direction::Out
            && (from..until).contains(&packet.at)
            && view.is_some_and(|view| view.destination.ip() == to)
    });
    packets.map(|packet| packet.at).collect()
}

/// The longest that a guess may take.
pub const LONGEST: Duration = Duration::from_secs(5);

/// The most packets that a guess may take.
pub const MOST: usize = MAX_SHOTS as usize;

/// How long a peer may take to say what it has to say.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long both peers are registered before A connects.
const SETTLE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_ninety_nine_percent() {
        assert_eq!(interval(300, 1.0), (300, 300));
        assert_eq!(interval(300, 0.0), (0, 0));
        // Of 10 throws of a coin 0 and 10 have one chance in 1,024 each, and 1 and 9 ten.
        assert_eq!(interval(10, 0.5), (1, 9));
        let (least, most) = interval(300, 0.991);
        assert!((290..294).contains(&least) && most == 300, "{least} to {most}");
    }

    #[test]
    fn few_sockets_meet_few_ports_as_counted() {
        // One socket among all the ports, of which n are tried.
        assert!((meeting(1, 645) - 645.0 / 64_512.0).abs() < 1e-9);
        assert!(meeting(256, 1_180) > 0.99);
    }
}
