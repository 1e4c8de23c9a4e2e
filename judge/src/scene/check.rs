//! What must hold in every world.

use std::collections::{BTreeMap, BTreeSet};

use pinhole_proto::constants::{MAX_PROBE_OCTETS, MAX_PROBES, MAX_SHOTS, PROBE_PERIOD};
use pinhole_proto::peer::{CloseReason, PathKind, PeerEvent, SessionHandle};
use pinhole_proto::{Address, Duration, Instant, Transport};
use pinhole_sim::Action;
use pinhole_sim::cast::octet_at;
use pinhole_sim::topology::{SERVER, SERVER_ALTERNATE};
use pinhole_sim::worlds::{PeerSaid, Trio};

use super::life::{Life, Run};
use super::{MOST_RECORDS, Network, Relay, Scene, Setting, times};
use crate::{Allowed, Oracle, Side};

/// The oracle, where it applies: both NATs are of its kinds, nothing is lost, and A's question has had time.
pub(super) fn oracle(scene: &Scene, trio: &Trio, life: &Life, oracle: &Oracle) -> Option<String> {
    if life.undisturbed_for(trio.world.now()) < PATIENCE || !is_clean(scene) {
        return None;
    }
    let introduced = trio.said(trio.net.a).iter().find_map(|(_, said)| match said.event {
        PeerEvent::Introduced { transport, .. } => Some(transport),
        _ => None,
    })?;
    let sides = [scene.side(0, introduced)?, scene.side(1, introduced)?];
    if [scene.a, scene.b].iter().any(|setting| setting.relay == Relay::Only) {
        return trio.is_direct(trio.net.a).then(|| "direct, though the relay only is allowed".to_owned());
    }
    let all = Side::all(introduced);
    let number = all.iter().position(|side| *side == sides[1])?;
    // What is more than a plain attempt both sides take part in, and agree on by the relay.
    let agrees = |setting: &Setting| setting.guesses && setting.relay == Relay::Allow;
    let allowed = if agrees(&scene.a) && agrees(&scene.b) { Allowed::ALL } else { Allowed::PLAIN };
    let expected = oracle.outcome(introduced, sides[0], number, allowed);
    let found = [trio.net.a, trio.net.b].map(|host| trio.is_direct(host));
    let right = match expected {
        // What is only probable may miss in one world; how often it does is judged by `share`.
        Some((_, probability)) if probability < 1.0 => found[0] == found[1],
        expected => found == [expected.is_some(); 2],
    };
    (!right).then(|| {
        let [a, b] = sides.map(|side| side.name(introduced));
        format!("{introduced:?} {a} {b}: direct at A, at B: {found:?}; the oracle has {expected:?}")
    })
}

/// Everything that does not need the oracle.
pub(super) fn all(scene: &Scene, trio: &Trio, life: &Life) -> Vec<String> {
    if trio.world.trace().count() > MOST_RECORDS {
        return vec![format!("a storm: {} entries in the trace", trio.world.trace().count())];
    }
    let mut wrong = Vec::new();
    for (at, run) in life.runs.iter().enumerate() {
        let others = || life.runs.iter().filter(move |other| other.side != run.side);
        let said = |what: String| format!("{} (run {at}): {what}", ["A", "B"][run.side]);
        wrong.extend(authenticated(run).into_iter().map(said));
        wrong.extend(datagrams(run, others()).into_iter().map(said));
        wrong.extend(streams(run, others()).into_iter().map(said));
        wrong.extend(repeated(run).into_iter().map(said));
    }
    for side in 0..2 {
        let name = ["A", "B"][side];
        wrong.extend(verdicts(trio, life, side).into_iter().map(|what| format!("{name}: {what}")));
        let guesses = scene.a.guesses && scene.b.guesses;
        wrong.extend(budgets(trio, life, side, guesses).into_iter().map(|what| format!("{name}: {what}")));
    }
    wrong.extend(delivered(scene, trio, life));
    wrong
}

/// No data before the session is established, and none after it is closed.
fn authenticated(run: &Run) -> Vec<String> {
    let (mut open, mut wrong) = (BTreeSet::new(), Vec::new());
    for (at, said) in &run.said {
        match said.event {
            PeerEvent::Established { session, .. } => {
                open.insert(session);
            }
            PeerEvent::Closed { session, .. } => {
                open.remove(&session);
            }
            PeerEvent::Datagram { session, .. }
            | PeerEvent::Stream { session, .. }
            | PeerEvent::Acknowledged { session, .. }
                if !open.contains(&session) =>
            {
                wrong.push(format!("data of a session that is not established at {at:?}: {:?}", said.event));
            }
            _ => {}
        }
    }
    wrong
}

/// Datagrams arrive as they were sent, at most once.
fn datagrams<'a>(run: &Run, others: impl Iterator<Item = &'a Run>) -> Vec<String> {
    let sent: BTreeSet<&str> = others.flat_map(|other| &other.sent).map(String::as_str).collect();
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for (at, said) in &run.said {
        if !matches!(said.event, PeerEvent::Datagram { .. }) {
            continue;
        }
        let text = String::from_utf8_lossy(&said.octets).into_owned();
        if !sent.contains(text.as_str()) {
            wrong.push(format!("a datagram that nobody sent at {at:?}: {text:?}"));
        } else if !seen.insert(text.clone()) {
            wrong.push(format!("a datagram for the second time at {at:?}: {text:?}"));
        }
    }
    wrong
}

/// A byte stream arrives in order, without a gap or a repetition, and no further than it was written; what is
/// acknowledged has arrived.
fn streams<'a>(run: &Run, others: impl Iterator<Item = &'a Run>) -> Vec<String> {
    let others: Vec<&Run> = others.collect();
    let written = others.iter().map(|other| other.written).max().unwrap_or(0);
    let (mut received, mut wrong) = (BTreeMap::<SessionHandle, u64>::new(), Vec::new());
    let mut acknowledged = 0;
    for (at, said) in &run.said {
        match said.event {
            PeerEvent::Stream { session, .. } => {
                let place = received.entry(session).or_default();
                let good = said.octets.iter().enumerate().all(|(n, octet)| octet_at(*place + n as u64) == *octet);
                if !good {
                    wrong.push(format!("octets at {place} of the byte stream are others at {at:?}"));
                }
                *place += said.octets.len() as u64;
                if *place > written {
                    wrong.push(format!("{place} octets of a byte stream of {written} at {at:?}"));
                }
            }
            PeerEvent::Acknowledged { offset, .. } => acknowledged = acknowledged.max(offset),
            _ => {}
        }
    }
    let most = others.iter().flat_map(|other| received_by(other).into_values()).max().unwrap_or(0);
    if acknowledged > most {
        wrong.push(format!("{acknowledged} octets were acknowledged, {most} delivered"));
    }
    wrong
}

fn received_by(run: &Run) -> BTreeMap<SessionHandle, u64> {
    let mut received = BTreeMap::new();
    for (_, said) in &run.said {
        if let PeerEvent::Stream { session, .. } = said.event {
            *received.entry(session).or_default() += said.octets.len() as u64;
        }
    }
    received
}

/// Who asked for a session has a direct one, or has been told why not.
fn verdicts(trio: &Trio, life: &Life, side: usize) -> Vec<String> {
    let run = life.last(side);
    if !run.runs {
        return Vec::new();
    }
    let answered = |session: SessionHandle| {
        run.said.iter().any(|(_, said)| match said.event {
            PeerEvent::Selected { session: of, path } => of == session && path.kind != PathKind::Relayed,
            PeerEvent::NotDirect { session: of, .. } | PeerEvent::Closed { session: of, .. } => of == session,
            PeerEvent::Stopped => true,
            _ => false,
        })
    };
    let due = run.asked.iter().filter(|(at, _)| trio.world.now() - *at >= VERDICT);
    due.filter(|(_, session)| !answered(*session))
        .map(|(at, session)| format!("the {session:?} asked for at {at:?} has neither a direct path nor a verdict"))
        .collect()
}

/// An application is not told the same verdict of a session twice.
fn repeated(run: &Run) -> Vec<String> {
    let (mut told, mut wrong) = (BTreeMap::new(), Vec::new());
    for (at, said) in &run.said {
        match said.event {
            PeerEvent::NotDirect { session, verdict, .. } if told.insert(session, verdict) == Some(verdict) => {
                wrong.push(format!("{} of {session:?} for the second time at {at:?}", verdict.name()));
            }
            PeerEvent::Withdrawn { session, .. } => {
                told.remove(&session);
            }
            _ => {}
        }
    }
    wrong
}

/// No address from which nothing has come gets more than the budgets.
fn budgets(trio: &Trio, life: &Life, side: usize, guesses: bool) -> Vec<String> {
    // Shots that the other side agreed to have a budget of their own.
    let shots = if guesses { MAX_SHOTS } else { 0 };
    let most = (MAX_PROBES + shots) as usize;
    let most_octets = MAX_PROBE_OCTETS as usize + shots as usize * SHOT_OCTETS;
    let mut heard = BTreeSet::<Address>::new();
    let mut spent = BTreeMap::<Address, Vec<(Instant, usize)>>::new();
    let mut wrong = Vec::new();
    let mut starts = life.starts(side).peekable();
    for (at, sent, packet) in times(trio, life.host(side)) {
        // A process that starts anew knows nothing of what the one before it sent.
        while starts.next_if(|start| *start <= at).is_some() {
            heard.clear();
            spent.clear();
        }
        if packet.transport() != Transport::Udp {
            continue;
        }
        let address = if sent { packet.destination.address() } else { packet.source.address() };
        if !sent {
            heard.insert(address);
        } else if address != SERVER && address != SERVER_ALTERNATE && !heard.contains(&address) {
            let spent = spent.entry(address).or_default();
            spent.retain(|(before, _)| at - *before < PROBE_PERIOD);
            spent.push((at, packet.octets().len()));
            let octets: usize = spent.iter().map(|(_, octets)| octets).sum();
            if spent.len() > most || octets > most_octets {
                wrong.push(format!("{} packets, {octets} octets to {address} at {at:?}", spent.len()));
            }
        }
    }
    wrong
}

/// In a world without faults what is said last, when all is quiet, arrives.
fn delivered(scene: &Scene, trio: &Trio, life: &Life) -> Vec<String> {
    let mut wrong = Vec::new();
    let changes = |action: &Action| match action {
        // Behind a firewall private addresses reach nobody, for good.
        Action::SetField { field, .. } => field == "translation",
        action => matches!(action, Action::SetLine { .. } | Action::SetNat { .. }),
    };
    if !is_clean(scene)
        || scene.actions.iter().any(changes)
        || scene.side(0, Transport::Tcp).is_none()
        || scene.side(1, Transport::Tcp).is_none()
    {
        return wrong;
    }
    let runs = [life.last(0), life.last(1)];
    if runs.iter().any(|run| !run.runs || run.closed || usable(run).is_none()) {
        return wrong;
    }
    for (run, other) in [(runs[0], runs[1]), (runs[1], runs[0])] {
        let Some(last) = run.sent.last().filter(|text| text.starts_with("last")) else {
            continue;
        };
        let arrived = |said: &PeerSaid| said.octets == last.as_bytes();
        if !other.said.iter().any(|(_, said)| arrived(said)) {
            let way = trio.selected(life.host(run.side)).map(|path| path.kind);
            wrong.push(format!("{last:?} did not arrive; the way of its sender is {way:?}"));
        }
    }
    wrong
}

/// The session of a run that is established and not closed, if it is the only one that ever was.
fn usable(run: &Run) -> Option<SessionHandle> {
    let mut found = None;
    for (_, said) in &run.said {
        match said.event {
            PeerEvent::Established { session, .. } => found = Some(session),
            PeerEvent::Closed { session, reason } if Some(session) == found && reason != CloseReason::Superseded => {
                return None;
            }
            _ => {}
        }
    }
    found
}

/// Nothing is lost on the lines.
fn is_clean(scene: &Scene) -> bool {
    use pinhole_sim::Chance;
    let ways = [scene.line_a.up, scene.line_a.down, scene.line_b.up, scene.line_b.down];
    ways.iter().all(|way| way.loss == Chance::NEVER)
}

impl Scene {
    /// The side of the oracle that a peer is on, if it is one.
    pub(super) fn side(&self, peer: usize, transport: Transport) -> Option<Side> {
        let behaviour = match (self.network, peer) {
            (Network::BothPublic, _) | (Network::APublic, 0) | (Network::BPublic, 1) => return Some(Side::Public),
            (Network::TwoNats | Network::BPublic, 0) => self.nat_a,
            (Network::TwoNats | Network::APublic, _) => self.nat_b,
            (Network::SameNat | Network::TwoLevels | Network::BPublic, _) => return None,
        };
        let found =
            Side::all(Transport::Tcp).into_iter().find(|side| side.behaviour(behaviour.first_port) == Some(behaviour));
        found.map(|side| side.over(transport))
    }
}

/// How long all attempts of a session take at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);
/// A shot is one small sealed check.
const SHOT_OCTETS: usize = 64;
/// How long a peer may wait for the server and all attempts.
const VERDICT: Duration = Duration::from_secs(60);
