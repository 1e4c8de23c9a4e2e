//! The ladder: a row for each packet, from the machine that made it to where it ended.

use pinhole_proto::server::Server;
use pinhole_sim::{JourneyId, NatId, Place, RealmId, World};
use serde::Serialize;

use crate::branch::{Milestone, UNNUMBERED};
use crate::frame::{Fate, fate};
use crate::hops::{Hop, Hops};
use crate::run::Run;
use crate::text::Text;
use crate::words;

/// A ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ladder {
    /// The machines, left to right.
    pub columns: Vec<String>,
    /// The packets, in the order in which they were made, and what is folded away between them.
    pub rows: Vec<Row>,
    /// How many rows there are; where `rows` has fewer they are to be fetched.
    pub length: usize,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "row", rename_all = "kebab-case")]
pub enum Row {
    /// A packet.
    Packet(PacketRow),
    /// Packets that are not shown.
    Folded {
        /// How many.
        count: usize,
        /// The step in which the first was sent.
        index: usize,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Something that is no packet, in a trace.
    Note {
        /// The step.
        index: usize,
        /// When, in microseconds.
        time: u64,
        /// What.
        text: Text,
    },
}

/// A packet's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PacketRow {
    /// The packet.
    pub journey: u64,
    /// The step in which it was sent.
    pub index: usize,
    /// The step in which it ended, if it did.
    pub ended: Option<usize>,
    /// When it was sent, in microseconds.
    pub time: u64,
    /// The number that the scenario's text gives it.
    pub step: Option<String>,
    /// What that text calls it.
    pub title: Option<Text>,
    /// What it is.
    pub name: Text,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Its way.
    pub hops: Vec<HopRow>,
}

/// A network that it crosses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HopRow {
    /// From which machine.
    pub from: String,
    /// To which; empty where nobody has the address.
    pub to: String,
    /// The step in which it was put on the line.
    pub sent: usize,
    /// The step in which it arrived.
    pub arrived: Option<usize>,
    /// Its source there.
    pub source: String,
    /// Its destination there.
    pub destination: String,
    /// What became of it at the end of the hop.
    pub fate: Fate,
    /// The record that tells so.
    pub record: usize,
    /// The same in words, unless it passed.
    pub text: Option<Text>,
}

/// Draws the ladder: of every packet, or of those in `marks` with the others folded.
#[must_use]
pub fn ladder(run: &Run, hops: &Hops, marks: &[Milestone], all: bool) -> Ladder {
    let names = run.end();
    let mut rows = Vec::new();
    let mut folded: Option<Row> = None;
    let all = all || marks.is_empty();
    for journey in hops.journeys() {
        let mark = marks.iter().find(|mark| mark.journey == journey.0);
        if !all && mark.is_none() {
            if let Some(Row::Folded { count, last, .. }) = &mut folded {
                *count += 1;
                *last = journey.0;
            } else {
                let index = hops.journey(journey).next().map_or(0, |hop| hop.sent);
                folded = Some(Row::Folded { count: 1, index, first: journey.0, last: journey.0 });
            }
            continue;
        }
        rows.extend(folded.take());
        rows.extend(packet(run, hops, journey, mark).map(Row::Packet));
    }
    rows.extend(folded);
    Ladder { columns: columns(names), length: rows.len(), rows }
}

fn packet(run: &Run, hops: &Hops, journey: JourneyId, mark: Option<&Milestone>) -> Option<PacketRow> {
    let names = run.end();
    let first = hops.journey(journey).next()?;
    let packet = &run.records()[first.record].packet;
    let rows: Vec<_> = hops.journey(journey).map(|hop| hop_row(run, hop)).collect();
    Some(PacketRow {
        journey: journey.0,
        index: first.sent,
        ended: rows.last().and_then(|row| row.arrived),
        time: first.left.as_micros(),
        step: mark.map(|mark| mark.step.clone()).filter(|step| step != UNNUMBERED),
        title: mark.map(|mark| mark.text.clone()),
        name: words::packet_name(names, packet),
        transport: words::key_of(&packet.transport()),
        hops: rows,
    })
}

fn hop_row(run: &Run, hop: &Hop) -> HopRow {
    let names = run.end();
    let sent = &run.records()[hop.record];
    let (record, at) = match hop.arrival {
        Some((_, at)) => (&run.records()[at], at),
        None => (sent, hop.record),
    };
    let fate = fate(&record.what);
    let text = (fate != Fate::Passed && fate != Fate::Sent).then(|| {
        let name = words::packet_name(names, &record.packet);
        words::happening(names, record.to, &record.packet, &name, &record.what)
    });
    HopRow {
        from: names.trace().name(hop.from).to_owned(),
        to: hop.to.map_or_else(String::new, |to| names.trace().name(to).to_owned()),
        sent: hop.sent,
        arrived: hop.arrival.map(|(step, _)| step).or_else(|| hop.due.is_none().then_some(hop.sent)),
        source: sent.packet.source.to_string(),
        destination: sent.packet.destination.to_string(),
        fate,
        record: at,
        text,
    }
}

/// The machines left to right: servers in the middle, with the NAT that everybody is behind, if there is one;
/// the first way down into private networks on the left, the others on the right. In the draft's figures
/// A, NAT A, S, NAT B, B.
#[must_use]
pub fn columns(world: &World) -> Vec<String> {
    let internet = RealmId::INTERNET;
    let outer: Vec<_> = world.nats().filter(|nat| world.outside(*nat) == internet).collect();
    let (servers, public): (Vec<_>, Vec<_>) = world
        .hosts()
        .filter(|host| world.realm_of(*host) == internet)
        .partition(|host| world.engine_if::<Server>(*host).is_some());
    let mut middle: Vec<Place> = servers.into_iter().map(Place::Host).collect();
    let mut ways: Vec<Vec<Place>> = match outer.as_slice() {
        [only] => {
            middle.push(Place::Nat(*only));
            below(world, *only)
        }
        several => several.iter().map(|nat| way(world, *nat)).collect(),
    };
    ways.extend(public.into_iter().map(|host| vec![Place::Host(host)]));
    let mut ways = ways.into_iter();
    let mut all = ways.next().unwrap_or_default();
    all.reverse();
    all.append(&mut middle);
    all.extend(ways.flatten());
    all.into_iter().map(|place| world.trace().name(place).to_owned()).collect()
}

/// A NAT and everything behind it, outside in.
fn way(world: &World, nat: NatId) -> Vec<Place> {
    let mut way = vec![Place::Nat(nat)];
    way.extend(below(world, nat).into_iter().flatten());
    way
}

/// The ways down from a NAT.
fn below(world: &World, nat: NatId) -> Vec<Vec<Place>> {
    let realm = world.inside(nat);
    let nats = world.nats().filter(|inner| world.outside(*inner) == realm).map(|inner| way(world, inner));
    let hosts = world.hosts().filter(|host| world.realm_of(*host) == realm).map(|host| vec![Place::Host(host)]);
    nats.chain(hosts).collect()
}
