//! What is to be seen after one step: the machines, what is under way, the tables, what was just decided.

use pinhole_proto::{Instant, Transport};
use pinhole_sim::nat::{Decision, Receipt, RowId, Rule};
use pinhole_sim::trace::{Record, What};
use pinhole_sim::{NatId, Place, World};
use serde::Serialize;

use crate::duty::duty;
use crate::hops::Hops;
use crate::knows::{self, Knows};
use crate::order::ordered;
use crate::past::{Past, Span};
use crate::run::Run;
use crate::text::Text;
use crate::words;

/// The world after one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The step.
    pub index: usize,
    /// The time, in microseconds.
    pub time: u64,
    /// What the step was, in one sentence.
    pub event: Text,
    /// What happened in the step, in order.
    pub happenings: Vec<Happening>,
    /// What is on the lines, in the order in which it arrives.
    pub flights: Vec<Flight>,
    /// The tables of the NATs.
    pub tables: Vec<Table>,
    /// What each machine knows.
    pub knows: Vec<Knows>,
    /// What the server still does for peers that have a path; before they have one, what it does at the end.
    pub server: Option<Text>,
}

/// Something that happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// Its name: the record.
    pub id: usize,
    /// The packet.
    pub journey: u64,
    /// The machine that did it, or sent the packet.
    pub machine: String,
    /// The machine that put it on the line.
    pub from: String,
    /// The packet as it is there.
    pub packet: PacketLine,
    /// What became of it.
    pub verdict: Fate,
    /// The same in words.
    pub text: Text,
    /// The checks that were made, in order.
    pub checks: Vec<CheckLine>,
    /// The row of the machine's table that decided.
    pub row: Option<String>,
    /// The column of that row that the packet was compared with: `remotes` or `external`.
    pub column: Option<&'static str>,
}

/// What became of a packet at a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It was put on a line.
    Sent,
    /// A NAT let it pass.
    Passed,
    /// A socket took it.
    Delivered,
    /// It was dropped.
    Dropped,
    /// It was dropped and answered.
    Answered,
    /// It was lost on the way.
    Lost,
}

/// One line about a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PacketLine {
    /// What it is.
    pub name: Text,
    /// Where it comes from.
    pub source: String,
    /// Where it goes.
    pub destination: String,
    /// Its length with all headers.
    pub octets: usize,
    /// `udp` or `tcp`.
    pub transport: String,
}

/// One check of a NAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// Whether it held.
    pub held: bool,
    /// Whether it is the one for which the packet was refused.
    pub decisive: bool,
    /// What it says.
    pub text: Text,
    /// What was found.
    pub found: Text,
    /// What it was compared with.
    pub against: Text,
    /// The text that the rule is from.
    pub source: &'static str,
}

/// A packet on a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flight {
    /// The packet.
    pub journey: u64,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The packet.
    pub packet: PacketLine,
    /// How far it is, in thousandths of its way.
    pub progress: u32,
}

/// The table of a NAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The NAT.
    pub nat: String,
    /// Its rows, oldest first.
    pub rows: Vec<RowLine>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowLine {
    /// Its name.
    pub id: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// The internal endpoint.
    pub internal: String,
    /// The external endpoint.
    pub external: String,
    /// What of the remote endpoint it is for.
    pub key: Text,
    /// What the last step did to it.
    pub state: RowState,
    /// How long it lives without traffic, in milliseconds; 0 once it has ended.
    pub left: u64,
    /// The remote endpoints that were sent to.
    pub sessions: Vec<SessionLine>,
}

/// A remote endpoint of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionLine {
    /// The endpoint.
    pub remote: String,
    /// What the last step did to it.
    pub state: RowState,
    /// How long it lives without traffic, in milliseconds; 0 once it has ended.
    pub left: u64,
}

/// What the last step did to a row or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowState {
    /// It began.
    Created,
    /// It was kept alive.
    Refreshed,
    /// Nothing.
    Standing,
    /// Nothing, and less than a tenth of its time is left.
    Expiring,
    /// It has ended.
    Expired,
}

/// The frame of step `index` in `world`, which is the world after it; `past` is what was before it.
#[must_use]
pub fn frame(run: &Run, hops: &Hops, index: usize, past: &Past, world: &World) -> Frame {
    // Its engines have all keys.
    let names = run.end();
    let step = run.steps().get(index);
    let records = step.map_or(&[][..], |step| &run.records()[step.records.clone()]);
    let first = step.map_or(0, |step| step.records.start);
    let until = &run.records()[..first + records.len()];
    let happenings: Vec<_> =
        records.iter().enumerate().map(|(n, record)| happening(first + n, record, world, names)).collect();
    let event = step.and_then(|step| step.action.as_ref()).map(crate::script::action);
    let event = event.or_else(|| summary(&happenings)).unwrap_or_else(|| Text::of("event.beginning"));
    let flights = ordered(hops.under_way(index), |one, other| one.due < other.due);
    Frame {
        index,
        time: world.now().as_micros(),
        event,
        happenings,
        flights: flights.into_iter().map(|hop| flight(run, hop, world, names)).collect(),
        tables: world.nats().map(|nat| table(past, world, nat)).collect(),
        knows: knows::knows(past, until, world),
        server: duty(until, world).or_else(|| {
            let later = duty(run.records(), names)?;
            Some(Text::of("server.later").with_text("duty", later))
        }),
    }
}

/// What a step is about: what became of the packet that arrived, else what was sent.
fn summary(happenings: &[Happening]) -> Option<Text> {
    let telling = |happening: &&Happening| happening.verdict != Fate::Sent;
    happenings.iter().find(telling).or_else(|| happenings.first()).map(|happening| happening.text.clone())
}

/// What happened to a packet, with the checks that decided.
#[must_use]
pub fn happening(id: usize, record: &Record, world: &World, names: &World) -> Happening {
    let name = words::packet_name(names, &record.packet);
    let text = words::happening(world, record.to, &record.packet, &name, &record.what);
    let (checks, row, column) = match &record.what {
        What::Decided(receipt) => {
            let (row, column) = match (receipt.filter, receipt.nearest) {
                (Some(filter), _) => (Some(filter.row), Some("remotes")),
                (None, Some(nearest)) => (Some(nearest), Some("external")),
                (None, None) => (receipt.mapping.map(|mapping| mapping.row), None),
            };
            (check_lines(receipt, record.packet.transport()), row, column)
        }
        _ => (Vec::new(), None, None),
    };
    let verdict = fate(&record.what);
    let place = if verdict == Fate::Sent { Some(record.from) } else { record.to };
    let machine = world.trace().name(place.unwrap_or(record.from)).to_owned();
    let row = row.map(|row| row_name(&machine, row));
    let (journey, from) = (record.journey.0, world.trace().name(record.from).to_owned());
    let packet = line(&record.packet, name);
    Happening { id, journey, machine, from, packet, verdict, text, checks, row, column }
}

/// The checks of a receipt. The last one that failed decided a refusal; whether that is answered is asked after it.
pub(crate) fn check_lines(receipt: &Receipt, transport: Transport) -> Vec<CheckLine> {
    let checks = receipt.checks.all();
    let refused = !matches!(receipt.decision, Decision::Forwarded { .. });
    let decisive = checks.iter().rposition(|check| refused && !check.held && check.rule != Rule::RefusalAnswered);
    let line = |(at, check)| CheckLine { decisive: Some(at) == decisive, ..check_line(check, transport) };
    checks.iter().enumerate().map(line).collect()
}

fn check_line(check: &pinhole_sim::nat::Check, transport: Transport) -> CheckLine {
    CheckLine {
        held: check.held,
        decisive: false,
        text: words::check(check),
        found: words::operand(&check.found),
        against: words::operand(&check.against),
        source: check.rule.source(transport),
    }
}

/// What became of a packet.
#[must_use]
pub const fn fate(what: &What) -> Fate {
    match what {
        What::Sent(_) | What::Copied(_) | What::Held => Fate::Sent,
        What::Lost | What::Cut | What::Removed => Fate::Lost,
        What::NoRoute | What::TtlExpired | What::NoSocket(_) => Fate::Dropped,
        What::Delivered(_) => Fate::Delivered,
        What::Decided(receipt) => match receipt.decision {
            Decision::Forwarded { .. } => Fate::Passed,
            Decision::Dropped(_) => Fate::Dropped,
            Decision::Answered(_) => Fate::Answered,
        },
    }
}

/// One line about a packet.
#[must_use]
pub fn line(packet: &pinhole_sim::Packet, name: Text) -> PacketLine {
    PacketLine {
        name,
        source: packet.source.to_string(),
        destination: packet.destination.to_string(),
        octets: packet.wire_length(),
        transport: words::key_of(&packet.transport()),
    }
}

fn flight(run: &Run, hop: &crate::hops::Hop, world: &World, names: &World) -> Flight {
    let packet = &run.records()[hop.record].packet;
    let whole = hop.due.map_or(0, |due| (due - hop.left).as_micros()).max(1);
    let gone = (world.now() - hop.left).as_micros().min(whole);
    Flight {
        journey: hop.journey.0,
        from: world.trace().name(hop.from).to_owned(),
        to: hop.to.map_or_else(String::new, |to| world.trace().name(to).to_owned()),
        packet: line(packet, words::packet_name(names, packet)),
        progress: u32::try_from(gone * 1000 / whole).unwrap_or(1000),
    }
}

/// The name of a row on the page.
fn row_name(nat: &str, row: RowId) -> String {
    format!("{nat} {}", row.0 + 1)
}

fn table(past: &Past, world: &World, nat: NatId) -> Table {
    let name = world.trace().name(Place::Nat(nat)).to_owned();
    let here = world.nat(nat);
    let now = world.now();
    let rows = here.rows().map(|row| {
        let sessions = row.sessions.iter().map(|(remote, session)| {
            let before = past.span(nat, row.id, Some(*remote));
            // A mapping that is timed as a whole has no clock for each of its sessions.
            let ends = here.ends_at(row, Some(*remote)).max(session.used);
            let (state, left) = state(now, (session.since, session.used), before, ends);
            SessionLine { remote: remote.to_string(), state, left }
        });
        let ends = match row.sessions.keys().map(|remote| here.ends_at(row, Some(*remote))).max() {
            Some(last) => here.ends_at(row, None).min(last.max(row.used)),
            None => here.ends_at(row, None),
        };
        let (state, left) = state(now, (row.since, row.used), past.span(nat, row.id, None), ends);
        RowLine {
            id: row_name(&name, row.id),
            transport: words::key_of(&row.transport),
            internal: row.internal.to_string(),
            external: row.external.to_string(),
            key: words::remote_key(row.key),
            state,
            left,
            sessions: sessions.collect(),
        }
    });
    Table { rows: rows.collect(), nat: name }
}

fn state(now: Instant, (since, used): Span, before: Option<Span>, ends: Instant) -> (RowState, u64) {
    let left = (ends.max(now) - now).as_millis();
    let whole = (ends.max(used) - used).as_millis();
    let state = match before {
        _ if left == 0 => RowState::Expired,
        None => RowState::Created,
        Some(before) if before != (since, used) => RowState::Refreshed,
        Some(_) if left * 10 < whole => RowState::Expiring,
        Some(_) => RowState::Standing,
    };
    (state, u64::try_from(left).unwrap_or(u64::MAX))
}
