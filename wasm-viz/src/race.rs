//! Which packet arrives next: what is on the lines, and the edits that let a chosen one win.

use pinhole_sim::action::Action;
use pinhole_sim::{Effect, Fault, Pick};
use serde::Serialize;

use crate::hops::{Hop, Hops};
use crate::order::ordered;
use crate::run::{Edit, Run};
use crate::text::Text;
use crate::words;

/// A packet that may arrive next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Arrival {
    /// The packet.
    pub journey: u64,
    /// The packet and where it goes, in words.
    pub text: Text,
    /// What has to be changed for it to be the next one: nothing for the one that is.
    pub edits: Vec<Edit>,
}

/// What may arrive after step `index`. Letting one win holds up those that are due before it until one
/// millisecond after it.
#[must_use]
pub fn arrivals(run: &Run, hops: &Hops, index: usize) -> Vec<Arrival> {
    let names = run.end();
    let under_way = hops.under_way(index).filter(|hop| hop.to.is_some());
    let flights: Vec<&Hop> = ordered(under_way, |a, b| a.due < b.due);
    let winner = |hop: &Hop| {
        let earlier = flights.iter().filter(|other| other.due < hop.due);
        earlier.map(|other| hold_up(run, other, hop)).collect()
    };
    flights
        .iter()
        .map(|hop| {
            let packet = &run.records()[hop.record].packet;
            let to = hop.to.map_or("?", |to| names.trace().name(to));
            let text = Text::of("arrival")
                .with_text("packet", words::packet_name(names, packet))
                .with("source", packet.source)
                .with("machine", to);
            Arrival { journey: hop.journey.0, text, edits: winner(hop) }
        })
        .collect()
}

fn hold_up(run: &Run, other: &Hop, winner: &Hop) -> Edit {
    let names = run.end();
    let late = match (winner.due, other.due) {
        (Some(winner), Some(other)) => (winner - other).as_millis(),
        _ => 0,
    };
    let record = &run.records()[other.record];
    let pick = Pick {
        journey: Some(other.journey),
        realm: Some(names.trace().realm_name(record.realm).to_owned()),
        ..Pick::default()
    };
    let ms = u64::try_from(late).unwrap_or(u64::MAX).saturating_add(1);
    Edit { at: 0, action: Action::Fault(Fault { pick, skip: 0, count: 1, effect: Effect::Delay { ms } }) }
}
