//! The same packets through the model, and the comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::time::Duration;

use pinhole_proto::{Address, Endpoint, Instant};
use pinhole_sim::nat::{Decision, MappingReceipt, MappingRule, RowId, Side};
use pinhole_sim::packet::{Body, Flags};
use pinhole_sim::{Behaviour, Nat, Packet, Rng};

use super::Report;
use super::kernel::{EVERYBODY, Fate, PUBLIC, Run, Sequence, Step, view};
use super::script::{Endpoints, Shot, Way};
use super::subject::{ESTABLISHED, FLOW, Subject, TIMEOUT};
use crate::nat::{NatKind, UnsolicitedSyn};

/// What the model made of a packet.
#[derive(Clone, Debug)]
struct Modelled {
    fate: Fate,
    /// The mapping by which it left.
    mapping: Option<MappingReceipt>,
    /// The mappings that were there afterwards.
    rows: BTreeSet<RowId>,
}

/// Compares what a kernel made of its sequences with what a behaviour of the model makes of them.
pub(super) fn judge(subject: &Subject, claim: Behaviour, run: &Run, rng: &Rng) -> Report {
    let collided = collided(subject, run);
    let mut report = Report::default();
    for sequence in &run.sequences {
        let modelled = replay(subject, claim, sequence, rng);
        let near = [claim_with(claim, -1), claim_with(claim, 1)].into_iter().any(|other| {
            let kinds = |modelled: &[Modelled]| modelled.iter().map(kind).collect::<Vec<_>>();
            kinds(&replay(subject, other, sequence, rng)) != kinds(&modelled)
        });
        if near || collided.contains(&sequence.endpoints.number()) {
            report.undecided += 1;
            continue;
        }
        report.sequences += 1;
        compare(subject, sequence, &modelled, &mut report);
    }
    report
}

/// Compares a sequence up to where the two NATs are no longer in the same state.
fn compare(subject: &Subject, sequence: &Sequence, modelled: &[Modelled], report: &mut Report) {
    let mut pairs = BTreeMap::new();
    let mut alike = true;
    for (number, (step, model)) in sequence.steps.iter().zip(modelled).enumerate() {
        report.packets += 1;
        let agreed = agree(sequence.endpoints, step, model, &mut pairs);
        pairs.retain(|row, _| model.rows.contains(row));
        let Err(what) = agreed else {
            continue;
        };
        alike = false;
        let context = Context { subject, sequence, number, step, model };
        match DIFFERENCES.iter().find(|difference| (difference.is)(&context)) {
            Some(difference) => {
                *report.known.entry(difference.id).or_default() += 1;
                if !difference.goes_on {
                    break;
                }
            }
            None => {
                report.unexplained.push(tell(subject, sequence, modelled, number, &what));
                break;
            }
        }
    }
    report.alike += usize::from(alike);
}

/// Whether one packet fared alike. `pairs` has the kernel's port for each mapping of the model.
fn agree(
    endpoints: Endpoints,
    step: &Step,
    model: &Modelled,
    pairs: &mut BTreeMap<RowId, (bool, u16)>,
) -> Result<(), String> {
    pairs.retain(|row, _| model.rows.contains(row));
    let (
        Fate::Passed { inside, source, destination },
        Fate::Passed { inside: expected, destination: to, source: from },
    ) = (step.fate, model.fate)
    else {
        return if step.fate == model.fate { Ok(()) } else { Err("another fate".into()) };
    };
    if inside != expected || destination != to {
        return Err(format!("it went to {destination} instead of {to}"));
    }
    if *source.ip() != *from.ip() {
        return Err(format!("it came from {source} instead of {from}"));
    }
    let Some(mapping) = model.mapping else {
        return if source == from { Ok(()) } else { Err(format!("it came from {source} instead of {from}")) };
    };
    let (Way::Out { from: sender, .. } | Way::Turn { from: sender, .. }) = step.shot.way else {
        return Ok(());
    };
    let private = endpoints.inside(sender).port();
    let kept = mapping.external.port() == private;
    let pair = (step.shot.is_udp(), source.port());
    match pairs.get(&mapping.row) {
        Some(known) if *known == pair => Ok(()),
        Some((_, port)) => Err(format!("a mapping moved from port {port} to {}", source.port())),
        None if kept && source.port() != private => Err(format!("port {private} was not kept")),
        None if !kept && source.port() == private => Err(format!("port {private} was kept")),
        None if !kept && pairs.values().any(|other| *other == pair) => {
            Err(format!("two mappings have port {}", source.port()))
        }
        None => {
            pairs.insert(mapping.row, pair);
            Ok(())
        }
    }
}

/// Sends a sequence through the model, at the times at which it went through the kernel.
fn replay(subject: &Subject, claim: Behaviour, sequence: &Sequence, rng: &Rng) -> Vec<Modelled> {
    let mut nat = Nat::new(claim, Address::V4(PUBLIC), rng.fork(1 << 20));
    let mut ports: BTreeMap<(bool, usize, usize), u16> = BTreeMap::new();
    let endpoints = sequence.endpoints;
    let mut modelled = Vec::new();
    for step in &sequence.steps {
        let shot = &step.shot;
        let seen = |inside: usize, via: usize| {
            let port = ports.get(&(shot.is_udp(), inside, view(subject, via))).copied();
            SocketAddrV4::new(PUBLIC, port.unwrap_or_else(|| endpoints.inside(inside).port()))
        };
        let (side, packet) = match shot.way {
            Way::Out { from, to } => (Side::Inside, shot.packet(endpoints.inside(from), endpoints.outside(to))),
            Way::In { from, to, via } => (Side::Outside, shot.packet(endpoints.outside(from), seen(to, via))),
            Way::Turn { from, to } => (Side::Inside, shot.packet(endpoints.inside(from), seen(to, 0))),
        };
        // The epoch lies before the run, so that nothing happens at the origin of time.
        let now = Instant::ZERO + Duration::from_secs(1_000) + step.at;
        // What connection tracking calls invalid never gets as far as the NAT; the model says what it would do
        // with it, and forgets it.
        let withheld = step.invalid && !matches!(step.fate, Fate::Passed { .. });
        let passage = if withheld { nat.clone().handle(now, side, packet) } else { nat.handle(now, side, packet) };
        let fate = fate(passage.receipt.decision, passage.packet.as_ref());
        if let (Way::Out { from, to }, Fate::Passed { source, .. }, false) = (shot.way, fate, withheld) {
            for view in [to, EVERYBODY] {
                ports.insert((shot.is_udp(), from, view), source.port());
            }
        }
        modelled.push(Modelled {
            fate,
            mapping: passage.receipt.mapping,
            rows: nat.rows().map(|row| row.id).collect(),
        });
    }
    modelled
}

fn fate(decision: Decision, packet: Option<&(Side, Packet)>) -> Fate {
    let Some((side, packet)) = packet else {
        return Fate::Dropped;
    };
    match (decision, &packet.body) {
        (Decision::Forwarded { .. }, _) => match (socket(packet.source), socket(packet.destination)) {
            (Some(source), Some(destination)) => Fate::Passed { inside: *side == Side::Inside, source, destination },
            _ => Fate::Dropped,
        },
        (_, Body::Icmp(_)) => Fate::Icmp,
        (_, Body::Tcp(_) | Body::Udp(_)) => Fate::Reset,
    }
}

fn socket(endpoint: Endpoint) -> Option<SocketAddrV4> {
    match endpoint.address() {
        Address::V4(address) => Some(SocketAddrV4::new(address, endpoint.port())),
        Address::V6(_) => None,
    }
}

/// What must not depend on a little more or less time.
fn kind(modelled: &Modelled) -> (bool, bool, Option<bool>) {
    let passed = matches!(modelled.fate, Fate::Passed { .. });
    let reused = modelled.mapping.map(|mapping| mapping.rule == MappingRule::Reused);
    (passed, modelled.fate == Fate::Dropped, reused)
}

/// The claim with timeouts that are a little shorter or longer.
fn claim_with(mut claim: Behaviour, sign: i32) -> Behaviour {
    let change = |span: Duration| if sign < 0 { span - MARGIN } else { span + MARGIN };
    claim.udp_idle = change(claim.udp_idle);
    claim.tcp_transitory_idle = change(claim.tcp_transitory_idle);
    claim.tcp_established_idle = change(claim.tcp_established_idle);
    claim.spoiled_by_early = claim.spoiled_by_early.map(change);
    claim
}

/// The sequences whose inside endpoints got a port that another endpoint has by the same hash.
fn collided(subject: &Subject, run: &Run) -> BTreeSet<u16> {
    let mut owners: BTreeMap<(bool, u16), BTreeSet<(u16, usize)>> = BTreeMap::new();
    if subject.is_hashed() {
        for sequence in &run.sequences {
            for step in &sequence.steps {
                if let (Way::Out { from, .. }, Fate::Passed { source, .. }) = (step.shot.way, step.fate) {
                    let owner = (sequence.endpoints.number(), from);
                    owners.entry((step.shot.is_udp(), source.port())).or_default().insert(owner);
                }
            }
        }
    }
    owners.into_values().filter(|owners| owners.len() > 1).flatten().map(|(number, _)| number).collect()
}

/// A sequence for people, up to a packet.
fn tell(subject: &Subject, sequence: &Sequence, modelled: &[Modelled], number: usize, what: &str) -> String {
    let mut out = format!("{}, packet {number}: {what}\n", subject.name);
    for index in 0..super::script::INSIDE {
        out += &format!(
            "  i{index} {}  o{index} {}\n",
            sequence.endpoints.inside(index),
            sequence.endpoints.outside(index)
        );
    }
    for (step, model) in sequence.steps.iter().zip(modelled).take(number + 1) {
        out += &format!(
            "  {:>6} ms  {}{}: kernel {:?}{}, model {:?} {:?}\n",
            step.at.as_millis(),
            step.shot,
            step.port.map(|port| format!(" (port {port})")).unwrap_or_default(),
            step.fate,
            if step.invalid { " (invalid)" } else { "" },
            model.fate,
            model.mapping.map(|mapping| (mapping.rule, mapping.row)),
        );
    }
    out
}

/// A known difference between the kernel and the model; `nat/differences.csv` has the words.
#[derive(Clone, Copy)]
pub struct Difference {
    /// Its name.
    pub id: &'static str,
    /// Whether the two are in the same state afterwards, so that the comparison goes on.
    goes_on: bool,
    is: fn(&Context<'_>) -> bool,
}

impl std::fmt::Debug for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// A packet that fared differently.
struct Context<'a> {
    subject: &'a Subject,
    sequence: &'a Sequence,
    number: usize,
    step: &'a Step,
    model: &'a Modelled,
}

impl Context<'_> {
    fn passed_by_model(&self) -> bool {
        matches!(self.model.fate, Fate::Passed { .. })
    }

    fn opens(shot: &Shot) -> bool {
        shot.tcp.is_some_and(|(flags, _, _)| flags.opens())
    }
}

/// The inside and the outside endpoint of a packet.
fn ends(shot: &Shot) -> Option<(usize, usize)> {
    match shot.way {
        Way::Out { from, to } => Some((from, to)),
        Way::In { from, to, .. } => Some((to, from)),
        Way::Turn { .. } => None,
    }
}

impl Context<'_> {
    /// The packets between two ends, over the same transport, that the kernel let through before.
    fn between(&self, these: Option<(usize, usize)>) -> impl DoubleEndedIterator<Item = &Step> {
        let udp = self.step.shot.is_udp();
        self.sequence.steps[..self.number].iter().filter(move |step| {
            ends(&step.shot) == these && step.shot.is_udp() == udp && matches!(step.fate, Fate::Passed { .. })
        })
    }

    /// The packets between the same two ends.
    fn conversation(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.between(ends(&self.step.shot))
    }

    /// Whether all that the inside endpoint sent of late belongs to flows that the outside began.
    fn is_kept_by_answers(&self) -> bool {
        let Some((inside, _)) = ends(&self.step.shot) else {
            return false;
        };
        let own = (0..super::script::OUTSIDE).filter_map(|outside| {
            let mut last: Option<Duration> = None;
            let (mut outward, mut sent) = (false, None);
            for step in self.between(Some((inside, outside))) {
                let out = matches!(step.shot.way, Way::Out { .. });
                if last.is_none_or(|last| step.at.saturating_sub(last) > FLOW) {
                    outward = out;
                }
                if out && outward {
                    sent = Some(step.at);
                }
                last = Some(step.at);
            }
            sent
        });
        own.max().is_none_or(|sent| self.step.at.saturating_sub(sent) + MARGIN > TIMEOUT)
    }

    /// Whether the flow is one that nothing but repeated SYNs or SYN-ACKs kept alive.
    fn is_stale_opening(&self) -> bool {
        let mut fresh = None;
        let mut seen = Vec::new();
        for step in self.conversation() {
            let inward = matches!(step.shot.way, Way::In { .. });
            let flags = step.shot.tcp.map(|(flags, _, _)| flags);
            let repeats = flags.is_some_and(|flags| flags.syn) && seen.contains(&(inward, flags));
            if !repeats {
                fresh = Some(step.at);
            }
            seen.push((inward, flags));
        }
        !self.step.shot.is_udp() && fresh.is_some_and(|at| self.step.at.saturating_sub(at) + MARGIN > TIMEOUT)
    }

    /// Whether the flow began with a segment in the middle of a connection.
    fn is_picked_up(&self) -> bool {
        let mut last: Option<Duration> = None;
        let mut picked_up = false;
        for step in self.conversation() {
            let Some((flags, _, _)) = step.shot.tcp else {
                return false;
            };
            if last.is_none_or(|last| step.at.saturating_sub(last) > TIMEOUT) {
                picked_up = matches!(step.shot.way, Way::Out { .. }) && flags == Flags::ACK;
            }
            last = Some(step.at);
        }
        picked_up && last.is_some_and(|last| self.step.at.saturating_sub(last) < ESTABLISHED + MARGIN)
    }

    /// Whether the kernel gave the sender its private port or one that it had given it before, after it had
    /// given it another than the private one.
    fn was_diverted(&self) -> bool {
        let port = |step: &Step| match (step.shot.way, step.fate) {
            (Way::Out { from, .. }, Fate::Passed { source, .. }) => Some((from, step.shot.is_udp(), source.port())),
            _ => None,
        };
        let Some((from, udp, now)) = port(self.step) else {
            return false;
        };
        let private = self.sequence.endpoints.inside(from).port();
        let earlier = self.sequence.steps[..self.number].iter().filter_map(port);
        let had: Vec<u16> = earlier.filter(|other| (other.0, other.1) == (from, udp)).map(|other| other.2).collect();
        had.iter().any(|port| *port != private) && (now == private || had.contains(&now))
    }
}

/// Every known difference.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        id: "invalid-segment",
        goes_on: true,
        is: |at| at.step.invalid && at.passed_by_model() && !matches!(at.step.fate, Fate::Passed { .. }),
    },
    Difference {
        id: "reject-answers-every-segment",
        goes_on: true,
        is: |at| {
            at.subject.syn == UnsolicitedSyn::Rst
                && at.step.fate == Fate::Reset
                && at.model.fate == Fate::Dropped
                && (!Context::opens(&at.step.shot) || matches!(at.step.shot.way, Way::Turn { .. }))
        },
    },
    Difference {
        id: "newest-port-of-the-source",
        goes_on: false,
        is: |at| {
            matches!(at.subject.kind, NatKind::SpoiledByEarlyPackets | NatKind::PortRestricted)
                && at.passed_by_model()
                && at.was_diverted()
        },
    },
    Difference {
        id: "reopened-connection",
        goes_on: false,
        is: |at| {
            let ends = |step: &Step| step.shot.tcp.is_some_and(|(flags, _, _)| flags.rst || flags.fin);
            !at.subject.has_maps() && Context::opens(&at.step.shot) && at.conversation().any(ends)
        },
    },
    Difference {
        id: "repeated-opening-does-not-refresh",
        goes_on: false,
        is: |at| !at.subject.has_maps() && at.passed_by_model() && at.is_stale_opening(),
    },
    Difference {
        id: "picked-up-is-established",
        goes_on: false,
        is: |at| {
            !at.subject.has_maps()
                && at.model.fate != at.step.fate
                && matches!(at.step.fate, Fate::Passed { .. })
                && at.is_picked_up()
        },
    },
    Difference {
        id: "answer-to-a-stranger",
        goes_on: false,
        is: |at| {
            at.subject.has_maps() && at.passed_by_model() && at.step.fate == Fate::Dropped && at.is_kept_by_answers()
        },
    },
    Difference {
        id: "hairpin-before-mapping",
        goes_on: false,
        is: |at| match (at.step.shot.way, at.step.fate) {
            (Way::Turn { from, .. }, Fate::Passed { inside: true, source, .. }) => {
                at.subject.hairpin && source.port() == at.sequence.endpoints.inside(from).port()
            }
            _ => false,
        },
    },
];

/// How far from a timeout a packet has to be.
const MARGIN: Duration = Duration::from_millis(120);
