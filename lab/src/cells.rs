//! The cells: networks, kinds of NAT and transports, with what is expected of each.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pinhole_sim::nat::{OnReset, PermissionScope, Unsolicited};
use pinhole_sim::{Behaviour, Dependence, Hairpin};
use serde_json::{Value, json};

use crate::error::LabError;
use crate::line::Line;
use crate::nat::{NatKind, UnsolicitedSyn};
use crate::oracle;
use crate::recording::{Direction, Packet};
use crate::topology::{Kind, Topology};
use crate::trial::{Meeting, Outcome, Over, Programs, is, text};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Its name.
    pub name: &'static str,
    /// The network, without its lines.
    pub topology: Topology,
    /// The transports to try.
    pub over: &'static [Over],
    /// What is expected.
    pub expected: Expected,
}

/// What is expected of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A direct path over the transport that was asked for.
    Direct,
    /// A direct path over TCP, whatever was asked for.
    DirectOverTcp,
    /// What `spec/reachability.json` says of the two NATs, which are of the model.
    Oracle,
    /// A direct path over UDP by predicted ports.
    Predicted,
    /// A relayed session with one of these verdicts.
    Relayed(&'static [&'static str]),
}

/// The trials of one cell over one transport.
#[derive(Clone, Debug)]
pub struct Row {
    /// The cell.
    pub cell: Cell,
    /// The transport asked for.
    pub over: Over,
    /// One outcome for each trial that ran.
    pub outcomes: Vec<Outcome>,
    /// What was not as expected, in words.
    pub faults: Vec<String>,
}

const BOTH: &[Over] = &[Over::Udp, Over::Tcp];

/// Every cell.
#[must_use]
pub fn cells() -> Vec<Cell> {
    use NatKind::{AddressRestricted, Full, PortRestricted, PortRestrictedOtherPort, SpoiledByEarlyPackets, Symmetric};
    let nats = |name, nat_a, nat_b, syn, expected| Cell {
        name,
        topology: Topology { nat_a, nat_b, syn, ..Topology::new(Kind::TwoNats) },
        over: BOTH,
        expected,
    };
    let network = |name, kind, nat, expected| Cell {
        name,
        topology: Topology { nat_a: nat, nat_b: nat, nat_isp: nat, ..Topology::new(kind) },
        over: BOTH,
        expected,
    };
    let (drop, rst) = (UnsolicitedSyn::Drop, UnsolicitedSyn::Rst);
    let other = PortRestrictedOtherPort;
    // Over UDP the ports were sampled before that was given up.
    let one_dependent = Expected::Relayed(&["endpoint-dependent", "random-allocation"]);
    let both_dependent = Expected::Relayed(&["both-endpoint-dependent", "random-allocation"]);
    vec![
        nats("cone / cone", PortRestricted, PortRestricted, drop, Expected::Direct),
        nats("cone / cone, RST", PortRestricted, PortRestricted, rst, Expected::Direct),
        nats("cone / cone, other port", other, other, drop, Expected::Direct),
        nats("cone / cone, other port, RST", other, other, rst, Expected::Direct),
        nats("full / address-restricted", Full, AddressRestricted, drop, Expected::Direct),
        nats("spoiled / spoiled", SpoiledByEarlyPackets, SpoiledByEarlyPackets, drop, Expected::Direct),
        nats("full / symmetric", Full, Symmetric, drop, Expected::Direct),
        nats("symmetric / full", Symmetric, Full, drop, Expected::Direct),
        nats("address-restricted / symmetric", AddressRestricted, Symmetric, drop, Expected::Direct),
        nats("symmetric / address-restricted", Symmetric, AddressRestricted, drop, Expected::Direct),
        nats("cone / symmetric", PortRestricted, Symmetric, drop, one_dependent),
        nats("symmetric / cone, other port", Symmetric, other, drop, one_dependent),
        nats("symmetric / symmetric", Symmetric, Symmetric, drop, both_dependent),
        network("same NAT", Kind::SameNat { hairpin: false }, PortRestricted, Expected::Direct),
        network("same NAT, hairpin", Kind::SameNat { hairpin: true }, other, Expected::Direct),
        network("two levels, hairpin", Kind::TwoLevels { hairpin: true }, other, Expected::Direct),
        network("two levels", Kind::TwoLevels { hairpin: false }, other, Expected::Relayed(&["no-hairpin"])),
        network("provider above A", Kind::CgnatAboveA, PortRestricted, Expected::Direct),
        network("B public", Kind::BPublic, other, Expected::Direct),
        network("both public", Kind::BothPublic, PortRestricted, Expected::Direct),
        network("stranger at B's private address", Kind::Stranger, other, Expected::Direct),
        network("IPv6 firewalls", Kind::Ipv6Firewalls, PortRestricted, Expected::Direct),
        Cell {
            over: &[Over::Auto],
            ..network("A's UDP blocked", Kind::UdpBlocked, PortRestricted, Expected::DirectOverTcp)
        },
    ]
}

/// The cells with NATs of the model: those of the kernel through the model, which expect the same, and kinds
/// that no kernel makes.
#[must_use]
pub fn model_cells() -> Vec<Cell> {
    let through = |nat: NatKind| NatKind::Model(nat.model());
    // The model translates IPv4, and there is nothing to translate between public hosts.
    let has_nats = |cell: &Cell| !matches!(cell.topology.kind, Kind::Ipv6Firewalls | Kind::BothPublic);
    let mut all: Vec<_> = cells().into_iter().filter(has_nats).collect();
    for cell in &mut all {
        let topology = &mut cell.topology;
        for nat in [&mut topology.nat_a, &mut topology.nat_b, &mut topology.nat_isp] {
            *nat = through(*nat);
        }
    }
    let two = |name, nat_a, nat_b| Cell {
        name,
        topology: Topology {
            nat_a: NatKind::Model(nat_a),
            nat_b: NatKind::Model(nat_b),
            ..Topology::new(Kind::TwoNats)
        },
        over: BOTH,
        expected: Expected::Oracle,
    };
    let (ei, ad) = (Dependence::EndpointIndependent, Dependence::AddressDependent);
    let cone = Behaviour::port_restricted();
    let symmetric = Behaviour::symmetric();
    let by_address = cone.with_mapping(ad);
    let keeps = |nat| Behaviour { preserve_port: true, ..nat };
    let shared = |nat| Behaviour { permission: PermissionScope::InternalEndpoint, ..nat };
    let predicted = |name, a, b| Cell { over: &[Over::Udp], ..two(name, a, b) };
    let sequential = Behaviour::symmetric_sequential;
    let refuses = |answer, reset| Behaviour { reset, ..cone.with_unsolicited_syn(answer) };
    let two_levels = |name, home, expected| {
        let isp = Behaviour { hairpin_filtered: false, ..cone.with_hairpin(Hairpin::InternalSource) };
        let mut cell = two(name, home, home);
        cell.topology =
            Topology { kind: Kind::TwoLevels { hairpin: true }, nat_isp: NatKind::Model(isp), ..cell.topology };
        Cell { over: &[Over::Udp], expected, ..cell }
    };
    all.extend([
        two("sequential / full", Behaviour::symmetric_sequential(50_000), Behaviour::full_cone()),
        predicted("sequential / sequential", sequential(54_000), sequential(50_000)),
        predicted("sequential / cone", sequential(54_000), cone),
        predicted("sequential / symmetric, keeps ports", sequential(54_000), keeps(symmetric)),
        predicted("by address, sequential / sequential", sequential(54_000).with_mapping(ad), sequential(50_000)),
        two("cone, sequential / the same", cone.with_ports_from(50_000), cone.with_ports_from(52_000)),
        two("by address / cone", by_address, cone),
        two("by address / address-restricted", by_address, cone.with_filtering(ad)),
        two(
            "by address, shared / the same",
            shared(by_address.with_filtering(ad)),
            shared(by_address.with_filtering(ad)),
        ),
        two("by address, open / the same", by_address.with_filtering(ei), by_address.with_filtering(ei)),
        two("symmetric, open / the same", symmetric.with_filtering(ei), symmetric.with_filtering(ei)),
        two("symmetric, shared / address-restricted", shared(symmetric.with_filtering(ad)), cone.with_filtering(ad)),
        two("symmetric, open / by address, open", symmetric.with_filtering(ei), by_address.with_filtering(ei)),
        two(
            "cone, ICMP for SYNs / the same",
            refuses(Unsolicited::Icmp, OnReset::Keep),
            refuses(Unsolicited::Icmp, OnReset::Keep),
        ),
        two(
            "cone, RST ends sessions / the same",
            refuses(Unsolicited::Reset, OnReset::Forget),
            refuses(Unsolicited::Reset, OnReset::Forget),
        ),
        two(
            "cone, late ICMP for SYNs / the same",
            refuses(Unsolicited::IcmpDelayed, OnReset::Keep),
            refuses(Unsolicited::IcmpDelayed, OnReset::Keep),
        ),
        two("cone, 20 s / the same", with_idle(cone, 20), with_idle(cone, 20)),
        two_levels(
            "two levels, hairpin by private source",
            cone,
            Expected::Relayed(&["no-hairpin", "filtered", "unknown"]),
        ),
        two_levels("two levels, full, private source", Behaviour::full_cone(), Expected::Direct),
    ]);
    all
}

const fn with_idle(behaviour: Behaviour, seconds: u64) -> Behaviour {
    Behaviour { udp_idle: Duration::from_secs(seconds), ..behaviour }
}

/// The lines that the bars are measured with: 25 ms one way at A and B, none at the server.
#[must_use]
pub fn with_lines(mut topology: Topology, a_ms: u64, b_ms: u64, loss: f64, seed: u64) -> Topology {
    topology.line_a = Line::with_delay(Duration::from_millis(a_ms)).losing(loss, seed);
    topology.line_b = Line::with_delay(Duration::from_millis(b_ms)).losing(loss, seed.wrapping_add(1));
    topology.line_s = topology.line_s.losing(loss, seed.wrapping_add(2));
    topology
}

/// Runs a cell so many times, each in a network of its own.
///
/// # Errors
///
/// Whatever keeps a trial from running at all; what a trial shows is in the row.
pub fn run(cell: Cell, over: Over, times: usize, programs: &Programs, directory: &Path) -> Result<Row, LabError> {
    let mut row = Row { cell, over, outcomes: Vec::new(), faults: Vec::new() };
    for time in 0..times {
        let seed = time as u64 * 3 + 1;
        let mut topology = with_lines(cell.topology, 25, 25, 0.0, seed);
        topology.seed = topology.seed.wrapping_add(time as u32);
        let place = directory.join(format!("{}-{}-{time}", slug(cell.name), over.name()));
        let meeting = Meeting::new(&topology, over, programs, &place)?;
        let captures = [meeting.lab.capture("a", "eth0").ok(), meeting.lab.capture("b", "eth0").ok()];
        let outcome = meeting.ping(SETTLE)?;
        let mut fault = judge(expected(&cell, over)?, over, &outcome);
        // Where both NATs filter and lines take time, each side's SYN is on its way before it saw one arrive.
        let crossing = over == Over::Tcp && cell.expected == Expected::Direct && crosses(&topology);
        if let (None, true, [Some(a), Some(b)]) = (&fault, crossing, captures)
            && [a, b].into_iter().any(|side| !syn_leaves_first(&side.finish().packets(), &meeting))
        {
            fault = Some("a SYN arrived before one had left".to_owned());
        }
        if let Some(fault) = fault {
            row.faults.push(format!("trial {time}: {fault}: {}", outcome.line()));
        }
        row.outcomes.push(outcome);
    }
    Ok(row)
}

/// What is expected of a cell over a transport, by itself or by the oracle.
fn expected(cell: &Cell, over: Over) -> Result<Expected, LabError> {
    if cell.expected != Expected::Oracle {
        return Ok(cell.expected);
    }
    let (a, b) = (cell.topology.nat_a.model(), cell.topology.nat_b.model());
    Ok(match oracle::technique(Some(&a), Some(&b), over)?.as_deref() {
        Some("predicted") => Expected::Predicted,
        Some(_) => Expected::Direct,
        None => NOT_DIRECT,
    })
}

fn judge(expected: Expected, over: Over, outcome: &Outcome) -> Option<String> {
    let transport = outcome.transport.as_str();
    match expected {
        Expected::Direct | Expected::Predicted if outcome.direct.is_none() => Some("no direct path".to_owned()),
        Expected::Predicted if last_strategy(outcome) != "predicted" => Some(format!("by {}", last_strategy(outcome))),
        Expected::Direct | Expected::Predicted if transport != over.name() => Some(format!("over {transport}")),
        Expected::DirectOverTcp if outcome.direct.is_none() || transport != "tcp" => {
            Some(format!("no direct path over TCP but {transport:?}"))
        }
        Expected::Relayed(_) if outcome.direct.is_some() => Some("a direct path".to_owned()),
        Expected::Relayed(verdicts) if !outcome.verdict.as_deref().is_some_and(|code| verdicts.contains(&code)) => {
            Some(format!("not one of {verdicts:?}"))
        }
        Expected::Oracle => Some("the oracle was not asked".to_owned()),
        _ if outcome.echo_ms.is_none() => Some("no echo".to_owned()),
        _ if outcome.code != Some(0) => Some(format!("exit code {:?}", outcome.code)),
        _ => None,
    }
}

/// The strategy of the last attempt; plain where there was only the first.
fn last_strategy(outcome: &Outcome) -> String {
    let last = outcome.events.iter().rfind(|event| is(event, "attempt"));
    last.map_or_else(|| "plain".to_owned(), |event| text(event, "strategy"))
}

/// Two sites with a filter each, of which neither lets a SYN in unasked.
fn crosses(topology: &Topology) -> bool {
    let shut = |nat| matches!(nat, NatKind::PortRestricted | NatKind::PortRestrictedOtherPort);
    topology.kind == Kind::TwoNats && shut(topology.nat_a) && shut(topology.nat_b)
}

/// Whether, of the SYNs that are not for the server, one left before the first arrived.
fn syn_leaves_first(packets: &[Packet], meeting: &Meeting) -> bool {
    let servers = meeting.lab.addresses("s").unwrap_or_default();
    let first = |direction: Direction| {
        let peers = |packet: &&Packet| {
            let view = crate::ladder::View::of(&packet.octets);
            packet.direction == direction
                && view.is_some_and(|view| {
                    view.is_syn() && !servers.contains(&view.source.ip()) && !servers.contains(&view.destination.ip())
                })
        };
        packets.iter().find(peers).map(|packet| packet.at)
    };
    match (first(Direction::Out), first(Direction::In)) {
        (Some(left), Some(arrived)) => left < arrived,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// The table for people.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<38} {:<4} {:>7}  {:>16}  {:>16}  {:>12}  path of the first trial",
        "cell", "over", "ok", "direct ms", "first echo ms", "A's packets"
    );
    out + &self::rows(rows)
}

/// The lines of the table without its head.
#[must_use]
pub fn rows(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let good = row.outcomes.len() - row.faults.len();
        let numbers = |of: fn(&Outcome) -> Option<f64>| spread(row.outcomes.iter().filter_map(of).collect());
        let _ = writeln!(
            out,
            "{:<38} {:<4} {:>3}/{:<3}  {:>16}  {:>16}  {:>12}  {}",
            row.cell.name,
            row.over.name(),
            good,
            row.outcomes.len(),
            numbers(|outcome| outcome.direct_ms),
            numbers(|outcome| outcome.echo_ms),
            spread(row.outcomes.iter().filter_map(|outcome| Some(outcome.wire?.0 as f64)).collect()),
            row.outcomes.first().map(Outcome::line).unwrap_or_default(),
        );
        for fault in &row.faults {
            let _ = writeln!(out, "    {fault}");
        }
    }
    out
}

/// The table for programs.
#[must_use]
pub fn report(rows: &[Row]) -> Value {
    let rows = rows.iter().map(|row| {
        let list = |of: fn(&Outcome) -> Value| row.outcomes.iter().map(of).collect::<Vec<_>>();
        json!({
            "cell": row.cell.name,
            "over": row.over.name(),
            "faults": row.faults,
            "direct_ms": list(|outcome| json!(outcome.direct_ms)),
            "echo_ms": list(|outcome| json!(outcome.echo_ms)),
            "packets": list(|outcome| json!(outcome.wire.map(|wire| wire.0))),
            "octets": list(|outcome| json!(outcome.wire.map(|wire| wire.1))),
            "verdict": list(|outcome| json!(outcome.verdict)),
            "path": list(|outcome| json!(outcome.line())),
        })
    });
    Value::Array(rows.collect())
}

/// The median of some numbers; nothing when there are none.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len().checked_sub(1)? / 2;
    let upper = numbers.len() / 2;
    Some((numbers[middle] + numbers[upper]) / 2.0)
}

fn spread(numbers: Vec<f64>) -> String {
    let worst = numbers.iter().copied().fold(f64::MIN, f64::max);
    median(numbers).map_or_else(|| "-".to_owned(), |median| format!("{median:.0} (to {worst:.0})"))
}

/// The verdicts of two NATs that nothing gets through.
const NOT_DIRECT: Expected = Expected::Relayed(&["endpoint-dependent", "both-endpoint-dependent", "random-allocation"]);

fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// How long both peers are registered before A connects.
pub const SETTLE: Duration = Duration::from_millis(1_500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let mut names: Vec<_> = model_cells().iter().map(|cell| slug(cell.name)).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_oracle_knows_every_pair_that_it_is_asked_about() {
        for cell in model_cells() {
            for over in cell.over {
                assert_ne!(expected(&cell, *over).unwrap(), Expected::Oracle, "{}", cell.name);
            }
        }
        let predicted =
            model_cells().into_iter().filter(|cell| expected(cell, Over::Udp).unwrap() == Expected::Predicted);
        assert_eq!(predicted.count(), 4);
    }
}
