//! What would have made it work: the same play again, each time with one small change.

use pinhole_sim::action::Action;
use pinhole_sim::nat::{Rule, Values};
use pinhole_sim::trace::{Record, What};
use pinhole_sim::{Behaviour, Effect, Fault, JourneyId, Pick, Place, World};
use serde::Serialize;

use crate::frame::{Fate, fate};
use crate::nats;
use crate::run::{Edit, Play, Run};
use crate::script;
use crate::text::Text;
use crate::words;

/// A change that flips what is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The change in words, with what comes of it.
    pub text: Text,
    /// The edits that make it.
    pub edits: Vec<Edit>,
    /// The same packet's fate in that run.
    pub fate: Fate,
}

/// The changes that let the packet of a record pass where it was dropped: one field of the NAT, or the
/// packet's own delay. Each was tried; those that do not help are not told.
///
/// `edits` are those of the run that the record is from.
#[must_use]
pub fn suggestions(play: &Play, edits: &[Edit], run: &Run, names: &World, record: usize) -> Vec<Suggestion> {
    let Some(record) = run.records().get(record) else {
        return Vec::new();
    };
    let (What::Decided(receipt), Some(Place::Nat(nat))) = (&record.what, record.to) else {
        return Vec::new();
    };
    if fate(&record.what) == Fate::Passed {
        return Vec::new();
    }
    let name = names.trace().name(Place::Nat(nat)).to_owned();
    let mut tried: Vec<Edit> = Vec::new();
    let behaviour = names.nat(nat).behaviour();
    let failed = receipt.checks.all().iter().filter(|check| !check.held);
    for (field, value) in failed.flat_map(|check| loosened(check.rule, behaviour)) {
        tried.push(Edit { at: 0, action: Action::SetField { nat: name.clone(), field: field.into(), value } });
    }
    tried.extend(DELAYS.iter().map(|ms| delayed(record.journey, *ms)));
    let mut found: Vec<Suggestion> = Vec::new();
    for edit in tried {
        let is_delay = matches!(edit.action, Action::Fault(_));
        // The shortest delay that helps is the smallest change; longer ones say nothing more.
        if is_delay
            && found.iter().any(|known| matches!(known.edits.last(), Some(Edit { action: Action::Fault(_), .. })))
        {
            continue;
        }
        let mut all = edits.to_vec();
        all.push(edit.clone());
        let Ok(other) = Run::of(play, &all, crate::page::MAX_STEPS) else {
            continue;
        };
        let Some(now) = same_packet(&other, run, record) else {
            continue;
        };
        let outcome = fate(&now.what);
        if outcome == Fate::Passed && other.refused().is_empty() {
            let text = Text::of("suggestion")
                .with_text("change", script::action(&edit.action))
                .with_text("packet", words::packet_name(names, &record.packet));
            found.push(Suggestion { text, edits: all, fate: outcome });
        }
    }
    found
}

/// The same packet at the same machine in another run: the record of its arrival there.
fn same_packet<'a>(other: &'a Run, run: &Run, wanted: &Record) -> Option<&'a Record> {
    // Until the runs part, packets have the same names in both.
    let sent = |run: &Run| {
        run.records()
            .iter()
            .find(|record| record.journey == wanted.journey)
            .map(|record| (record.from, record.packet.octets().to_vec()))
    };
    if sent(other) != sent(run) {
        return None;
    }
    other.records().iter().find(|record| {
        record.journey == wanted.journey && record.to == wanted.to && matches!(record.what, What::Decided(_))
    })
}

/// Values of the fields that the failed rule is about, other than the one held.
fn loosened(rule: Rule, behaviour: &Behaviour) -> Vec<(&'static str, String)> {
    let fields: &[&str] = match rule {
        Rule::Filter => &["filtering", "permission", "tcp-filtering"],
        Rule::ExternalMapped => &["mapping", "fresh-port", "udp-idle-ms", "preserve-port"],
        Rule::Hairpin => &["hairpin"],
        Rule::UdpAllowed => &["block-udp"],
        Rule::CrossingSynAllowed | Rule::SynAckAllowed => &["simultaneous-open"],
        _ => &[],
    };
    let mut found = Vec::new();
    for name in fields {
        let Some(field) = Behaviour::field(name) else { continue };
        let held = nats::get(behaviour, name);
        let values: Vec<String> = match field.values() {
            Values::Flag => vec!["true".into(), "false".into()],
            Values::OneOf(names) => names.iter().map(ToString::to_string).collect(),
            Values::Number(..) | Values::NumberOrNothing(..) => vec!["300000".into()],
            Values::Ports | Values::PortsOrNothing => Vec::new(),
        };
        found.extend(values.into_iter().filter(|value| *value != held).map(|value| (field.name, value)));
    }
    found
}

fn delayed(journey: JourneyId, ms: u64) -> Edit {
    let pick = Pick { journey: Some(journey), ..Pick::default() };
    Edit { at: 0, action: Action::Fault(Fault { pick, skip: 0, count: 1, effect: Effect::Delay { ms } }) }
}

/// The delays that are tried, in milliseconds.
const DELAYS: [u64; 9] = [1, 5, 10, 20, 40, 80, 160, 320, 640];
