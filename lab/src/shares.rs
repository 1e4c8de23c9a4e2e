//! How often a guess hits: the share of direct sessions beside its closed form, and what the guess cost.
//!
//! `spec/reachability.md` has the forms: two quiet NATs that give ports out one after the other always meet, and
//! `m` sockets behind random ports meet `n` tried ports with 1 - C(N - m, n) / C(N, n). With somebody else behind
//! A's NAT who takes t ports on average between A's last sample and its first shot, an attempt with the window w
//! meets with min(1, max(0, w - t)); somebody who fills the NAT's table leaves fewer sockets a mapping. t and m are
//! counted on A's wire.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pinhole_proto::constants::{BIRTHDAY_PORTS, BIRTHDAY_SOCKETS, LOWEST_PORT, MAX_SHOTS};
use pinhole_sim::nat::OnFull;
use pinhole_sim::{Behaviour, Rng};
use serde_json::Value;

use crate::cells::with_lines;
use crate::competing::{self, Load};
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
    /// The one-way delay of either line, in milliseconds.
    delay: u64,
    /// Who else is behind A's NAT.
    pub load: Option<Load>,
}

/// One attempt to guess.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// How many ports of the other side were tried.
    pub width: u64,
    /// Whether it made the session direct.
    pub hit: bool,
    /// With what probability it does, by the closed form for what was counted on the wire.
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
    /// The attempts by the strategy, in their order.
    pub tries: Vec<Try>,
    /// The line for people.
    pub line: String,
}

/// Every share; with somebody who competes where he opens so many mappings a second.
#[must_use]
pub fn shares(competing: Option<f64>) -> Vec<Share> {
    let quiet = [
        Share {
            name: "sequential / sequential",
            strategy: "predicted",
            options: &["--strategies", "plain,predicted"],
            nat_a: Behaviour::symmetric_sequential(40_000),
            nat_b: Behaviour::symmetric_sequential(50_000),
            delay: 5,
            load: None,
        },
        Share {
            name: "random / port-restricted, birthday",
            strategy: "birthday",
            options: &["--strategies", "plain,predicted,birthday", "--birthday"],
            nat_a: Behaviour::symmetric(),
            nat_b: Behaviour::port_restricted(),
            delay: 5,
            load: None,
        },
    ];
    let Some(rate) = competing else { return quiet.to_vec() };
    let [sequential, random] = quiet;
    let every = Duration::from_secs_f64(1.0 / rate);
    vec![
        Share { delay: 25, load: Some(Load::Every(every)), ..sequential },
        Share {
            nat_a: Behaviour { max_mappings: TABLE, full: OnFull::Refuse, ..random.nat_a },
            load: Some(Load::Holds(HELD)),
            ..random
        },
    ]
}

/// The probability that one of `sockets` random ports is among `ports` others.
fn meeting(sockets: u64, ports: u64) -> f64 {
    let all = 65_536 - u64::from(LOWEST_PORT);
    let missed: f64 = (0..ports).map(|tried| 1.0 - sockets as f64 / (all - tried) as f64).product();
    1.0 - missed
}

/// The probability that ports are still where they are expected, when `taken` of them are taken on average.
fn still(width: u64, taken: f64) -> f64 {
    (width as f64 - taken).clamp(0.0, 1.0)
}

/// One run.
///
/// # Errors
///
/// Whatever keeps it from running at all.
pub fn run(share: &Share, number: usize, programs: &Programs, directory: &Path) -> Result<Guess, LabError> {
    let mut topology = Topology {
        nat_a: NatKind::Model(share.nat_a),
        nat_b: NatKind::Model(share.nat_b),
        ..with_lines(Topology::new(Kind::TwoNats), share.delay, share.delay, 0.0, 1)
    };
    topology.seed = topology.seed.wrapping_add(number as u32);
    let options = share.options.iter().map(|option| (*option).to_owned()).collect();
    let programs = Programs { options, ..programs.clone() };
    let meeting = Meeting::new(&topology, Over::Udp, &programs, &directory.join(number.to_string()))?;
    let mut a = meeting.peer("a", "a", &["ping", meeting.id(), "--hold", "--timeout", "25"])?;
    a.event("online", PATIENCE)?;
    std::thread::sleep(SETTLE);
    let stop = AtomicBool::new(false);
    let phase = Rng::new(number as u64).below(PHASES) as f64 / PHASES as f64;
    let client = |load| competing::open(&meeting.lab, "a", load, phase, &stop);
    if let Some(load @ Load::Holds(_)) = share.load {
        client(load)?;
    }
    let outcome = std::thread::scope(|scope| {
        let other = match share.load {
            Some(load @ Load::Every(_)) => Some(scope.spawn(move || client(load))),
            Some(Load::Holds(_)) | None => None,
        };
        let outcome = a.write_line("go").and_then(|()| meeting.outcome(a, PATIENCE));
        stop.store(true, Ordering::Relaxed);
        match other.map(std::thread::ScopedJoinHandle::join) {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            Some(Ok(Ok(()))) | None => outcome,
        }
    })?;
    let (from, to) = span(share, &outcome);
    let mut shots = Vec::new();
    for (site, other) in [("a", "b"), ("b", "a")] {
        shots.extend(sent(meeting.lab.wire(site)?, meeting.lab.public_address(other)?, at(from), at(to)));
    }
    let direct = from < to && outcome.direct.is_some();
    // A guess that missed waits for a while after its last shot.
    let took = match shots.iter().map(|(at, _)| at).max() {
        Some(last) if !direct => last.saturating_duration_since(at(from)),
        _ => Duration::from_micros(to.saturating_sub(from)),
    };
    let tries = tries(share, &meeting, &outcome)?;
    Ok(Guess { direct, took, packets: shots.len(), tries, line: outcome.line() })
}

/// Each attempt by the strategy with its probability, of which the wire tells what the form asks for.
fn tries(share: &Share, meeting: &Meeting, outcome: &Outcome) -> Result<Vec<Try>, LabError> {
    let begun: Vec<&Value> =
        outcome.events.iter().filter(|event| is(event, "attempt") && event["strategy"] == share.strategy).collect();
    let (wire, b) = (meeting.lab.wire("a")?, meeting.lab.public_address("b")?);
    let moment = |event: &Value| at(event["t_us"].as_u64().unwrap_or(0));
    let each = begun.iter().enumerate().map(|(place, event)| {
        let last = place + 1 == begun.len();
        let until = begun.get(place + 1).map_or_else(Instant::now, |next| moment(next));
        let shots = sent(wire, b, moment(event), until);
        let width = event["width"].as_u64().unwrap_or(0);
        let form = match share.load {
            Some(Load::Every(every)) => {
                let shot = shots.iter().map(|(at, _)| *at).min();
                let taken = shot.map(|shot| since_sample(wire, shot).as_secs_f64() / every.as_secs_f64());
                still(width, taken.unwrap_or(f64::INFINITY))
            }
            // What was there before the first shot leaves that much room, also where a hit came before all were sent.
            Some(Load::Holds(_)) => {
                let taken = shots.iter().map(|(at, _)| *at).min().map_or(0, |shot| mappings(wire, shot));
                meeting_of((TABLE as usize).saturating_sub(taken).min(usize::from(BIRTHDAY_SOCKETS)))
            }
            None if share.strategy == "birthday" => meeting_of(usize::from(BIRTHDAY_SOCKETS)),
            None => 1.0,
        };
        Try { width, hit: last && outcome.direct.is_some(), form }
    });
    Ok(each.collect())
}

/// The public ports that a site has sent from before a moment.
fn mappings(wire: &Recording, until: Instant) -> usize {
    let packets = wire.packets().into_iter().filter(|packet| packet.direction == Direction::Out && packet.at < until);
    let ports = packets.filter_map(|packet| Some(crate::ladder::View::of(&packet.octets)?.source.port()));
    ports.collect::<std::collections::BTreeSet<u16>>().len()
}

fn meeting_of(sockets: usize) -> f64 {
    meeting(sockets as u64, u64::from(BIRTHDAY_PORTS))
}

/// The time from the last sample that left before `shot` until then.
fn since_sample(wire: &Recording, shot: Instant) -> Duration {
    let sample = wire.packets().into_iter().rfind(|packet| {
        let view = crate::ladder::View::of(&packet.octets);
        packet.direction == Direction::Out && packet.at < shot && view.is_some_and(|view| view.is_discover())
    });
    sample.map_or(Duration::MAX, |sample| shot.saturating_duration_since(sample.at))
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

/// When and from which port a site sent to an address, between two moments.
fn sent(wire: &Recording, to: IpAddr, from: Instant, until: Instant) -> Vec<(Instant, u16)> {
    let packets = wire.packets().into_iter().filter_map(|packet| {
        let view = crate::ladder::View::of(&packet.octets)?;
        let meant =
            packet.direction == Direction::Out && (from..until).contains(&packet.at) && view.destination.ip() == to;
        meant.then(|| (packet.at, view.source.port()))
    });
    packets.collect()
}

/// The longest that a guess may take.
pub const LONGEST: Duration = Duration::from_secs(5);

/// The most packets that a guess may take.
pub const MOST: usize = MAX_SHOTS as usize;

/// How long a peer may take to say what it has to say.
const PATIENCE: Duration = Duration::from_secs(40);

/// The mappings that the NAT has room for where somebody fills it, and how many he has. Some of the rest have gone
/// to A's own questions before it guesses.
const TABLE: u32 = 1_024;
const HELD: u16 = 880;

/// The moments within an interval at which somebody may begin.
const PHASES: u64 = 1 << 20;

/// How long both peers are registered before A connects.
const SETTLE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sockets_meet_few_ports_as_counted() {
        // One socket among all the ports, of which n are tried.
        assert!((meeting(1, 645) - 645.0 / 64_512.0).abs() < 1e-9);
        assert!(meeting(256, 1_180) > 0.99);
    }

    #[test]
    fn the_forms_are_those_of_the_oracle() {
        let file: Value = serde_json::from_str(include_str!("../../spec/reachability.json")).unwrap();
        let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
        let predicted = file["loads"]["predicted"].as_array().unwrap();
        for row in predicted {
            let form = still(row["width"].as_u64().unwrap(), number(row, "taken"));
            assert!((form - number(row, "probability")).abs() < 1e-6, "{row}");
        }
        let birthday = file["loads"]["birthday"].as_array().unwrap();
        for row in birthday {
            let form = meeting_of(row["sockets"].as_u64().unwrap() as usize);
            assert!((form - number(row, "probability")).abs() < 1e-6, "{row}");
        }
        assert!(predicted.len() > 20 && birthday.len() >= 5);
    }
}
