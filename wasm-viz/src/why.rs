//! What would have made it work: the same play again, each time with one small change.

use pinhole_sim::action::Action;
use pinhole_sim::nat::{Rule, Values};
use pinhole_sim::trace::{Record, What};
use pinhole_sim::{Behaviour, Effect, Fault, JourneyId, Pick, Place, World};
use serde::Serialize;

use crate::branch::edit_text;
use crate::frame::{Fate, fate};
use crate::matrix::changes;
use crate::nats;
use crate::outcome::outcome;
use crate::run::{Edit, Play, Run};
use crate::script;
use crate::text::Text;

/// A change that flips what is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The change in words.
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
pub fn suggestions(play: &Play, edits: &[Edit], run: &Run, record: usize) -> Vec<Suggestion> {
    let names = run.end();
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
            found.push(Suggestion { text: edit_text(&edit, &other), edits: all, fate: outcome });
        }
    }
    found
}

/// The smallest changes that would have made a run end in a direct path: one field of one NAT, else one NAT of
/// another kind, else both of one kind. Each was tried; only those that help are told.
#[must_use]
pub fn remedies(play: &Play, edits: &[Edit], end: &World) -> Vec<Suggestion> {
    if outcome(end).kind == "direct" {
        return Vec::new();
    }
    let nats: Vec<(String, &Behaviour)> =
        end.nats().map(|nat| (end.trace().name(Place::Nat(nat)).to_owned(), end.nat(nat).behaviour())).collect();
    let fields = nats.iter().flat_map(|(name, behaviour)| {
        let values = DECIDING.iter().flat_map(|field| others(behaviour, field));
        values.map(|(field, value)| {
            let edit = Edit { at: 0, action: Action::SetField { nat: name.clone(), field: field.into(), value } };
            (script::action(&edit.action), vec![edit])
        })
    });
    let kind = |(name, behaviour): &(String, &Behaviour), (id, make): &(&str, nats::Make)| {
        let text = Text::of("change.kind").with("nat", name).with_text("kind", Text::of(format!("preset.{id}")));
        (text, changes(name, behaviour, &make()))
    };
    let kinds = nats.iter().flat_map(|nat| nats::PRESETS.iter().map(move |preset| kind(nat, preset)));
    let pairs = nats::PRESETS.iter().map(|preset| {
        let every = nats.iter().flat_map(|nat| kind(nat, preset).1);
        (Text::of("change.every-kind").with_text("kind", Text::of(format!("preset.{}", preset.0))), every.collect())
    });
    let tried: [Vec<(Text, Vec<Edit>)>; 3] = [fields.collect(), kinds.collect(), pairs.collect()];
    for changes in tried {
        let found: Vec<_> = changes.into_iter().filter_map(|(text, more)| remedy(play, edits, &text, more)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// A change that makes the path direct, if it does.
fn remedy(play: &Play, edits: &[Edit], text: &Text, more: Vec<Edit>) -> Option<Suggestion> {
    if more.is_empty() {
        return None;
    }
    let mut all = edits.to_vec();
    all.extend(more);
    let run = Run::of(play, &all, crate::page::MAX_STEPS).ok()?;
    let came = outcome(run.end());
    (came.kind == "direct" && run.refused().is_empty()).then(|| {
        let text = Text::of("remedy").with_text("change", text.clone()).with_text("outcome", came.text);
        Suggestion { text, edits: all, fate: Fate::Passed }
    })
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
    fields.iter().flat_map(|name| others(behaviour, name)).collect()
}

/// The values of a field other than the one held.
fn others(behaviour: &Behaviour, name: &str) -> Vec<(&'static str, String)> {
    let Some(field) = Behaviour::field(name) else { return Vec::new() };
    let held = nats::get(behaviour, name);
    let values: Vec<String> = match field.values() {
        Values::Flag => vec!["true".into(), "false".into()],
        Values::OneOf(names) => names.iter().map(ToString::to_string).collect(),
        Values::Number(..) | Values::NumberOrNothing(..) => vec!["300000".into()],
        Values::Ports | Values::PortsOrNothing => Vec::new(),
    };
    values.into_iter().filter(|value| *value != held).map(|value| (field.name, value)).collect()
}

fn delayed(journey: JourneyId, ms: u64) -> Edit {
    let pick = Pick { journey: Some(journey), ..Pick::default() };
    Edit { at: 0, action: Action::Fault(Fault { pick, skip: 0, count: 1, effect: Effect::Delay { ms } }) }
}

/// The fields that decide whether peers reach each other.
const DECIDING: [&str; 7] =
    ["mapping", "filtering", "permission", "fresh-port", "hairpin", "unsolicited-syn", "simultaneous-open"];
/// The delays that are tried, in milliseconds.
const DELAYS: [u64; 9] = [1, 5, 10, 20, 40, 80, 160, 320, 640];
