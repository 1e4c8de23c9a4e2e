//! Every key that the core can emit has a template in every language, with the operands that it needs.

use std::collections::{BTreeMap, BTreeSet};

use pinhole_sim::Behaviour;
use pinhole_sim::nat::{Check, DropRule, Operand, Rule, Values};
use pinhole_sim::scenario;
use pinhole_viz::export::text;
use pinhole_viz::lessons::lessons;
use pinhole_viz::nats::PRESETS;
use pinhole_viz::page::Page;
use pinhole_viz::words::{check, key_of};
use serde_json::Value;

const LANGUAGES: [(&str, &str); 2] =
    [("en", include_str!("../../web/i18n/en.json")), ("zh-Hans", include_str!("../../web/i18n/zh-Hans.json"))];

/// The keys that follow from lists, whether a scenario shows them or not.
fn listed() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for rule in Rule::ALL {
        keys.extend(["held", "failed"].map(|outcome| format!("check.{}.{outcome}", key_of(&rule))));
    }
    keys.extend(DropRule::ALL.iter().map(|rule| format!("drop.{}", key_of(rule))));
    for field in Behaviour::FIELDS {
        keys.insert(format!("field.{}", field.name));
        if let Values::OneOf(names) = field.values() {
            keys.extend(names.iter().map(|value| format!("value.{}.{value}", field.name)));
        }
    }
    keys.extend(PRESETS.iter().map(|(id, _)| format!("preset.{id}")));
    for (name, _) in scenario::ALL {
        keys.extend([format!("title.{name}"), format!("story.{name}")]);
    }
    keys.extend(pinhole_viz::trace::event_keys());
    keys.extend(lessons().into_iter().map(|lesson| lesson.title.key));
    let said = ["remedy", "change.kind", "change.every-kind", "outcome.heard", "outcome.unheard"];
    keys.extend(said.map(str::to_owned));
    keys.extend(["idle", "relays", "keeps", "keeps-none", "later"].map(|what| format!("server.{what}")));
    let verdicts = include_str!("../../../spec/registries/verdicts.csv").lines().skip(1);
    let names = verdicts.filter_map(|line| line.split(',').nth(1)).filter(|name| !name.is_empty());
    keys.extend(names.map(|name| format!("verdict.{name}")));
    keys
}

/// The keys in a piece of JSON, each with the operands that came with it.
pub(crate) fn collect(value: &Value, into: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(map) => {
            if let Some(key) = map.get("key").and_then(Value::as_str)
                && map.keys().all(|name| name == "key" || name == "with")
            {
                let with = map.get("with").and_then(Value::as_object);
                into.entry(key.to_owned()).or_default().extend(with.into_iter().flat_map(|with| with.keys().cloned()));
            }
            map.values().for_each(|value| collect(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}

fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let mut keys = BTreeMap::new();
    for (name, _) in scenario::ALL {
        let mut page = Page::open(&format!("#v=1&s={name}"));
        collect(&serde_json::to_value(page.view()).unwrap(), &mut keys);
        collect(&serde_json::to_value(page.ladder(page.branch_shown(), true)).unwrap(), &mut keys);
        let length = page.view().length;
        for index in (0..length).step_by(1.max(length / 40)) {
            let frame = page.seek(index);
            collect(&serde_json::to_value(&frame).unwrap(), &mut keys);
            if index % 3 == 1 {
                collect(&serde_json::to_value(page.question(index)).unwrap(), &mut keys);
                collect(&serde_json::to_value(page.arrivals()).unwrap(), &mut keys);
            }
            if let Some(first) = frame.happenings.first() {
                collect(&serde_json::to_value(page.bytes(first.journey).unwrap()).unwrap(), &mut keys);
            }
        }
    }
    crate::trace::shown(&mut keys);
    keys
}

#[test]
fn every_key_has_a_template_in_every_language_with_the_same_operands() {
    let shown = shown();
    let wanted: BTreeSet<String> = listed().into_iter().chain(shown.keys().cloned()).collect();
    let templates: Vec<(&str, BTreeMap<String, String>)> =
        LANGUAGES.iter().map(|(name, text)| (*name, serde_json::from_str(text).unwrap())).collect();
    if let Ok(path) = std::env::var("PINHOLE_VIZ_KEYS") {
        let list: Vec<String> =
            wanted.iter().map(|key| format!("{key} {:?}", shown.get(key).cloned().unwrap_or_default())).collect();
        std::fs::write(path, list.join("\n")).unwrap();
    }
    let keys = |index: usize| templates[index].1.keys().collect::<BTreeSet<_>>();
    assert_eq!(keys(0).symmetric_difference(&keys(1)).collect::<Vec<_>>(), Vec::<&&String>::new());
    for (language, templates) in &templates {
        let missing: Vec<_> = wanted.iter().filter(|key| !templates.contains_key(*key)).collect();
        assert!(missing.is_empty(), "{language} lacks {missing:?}");
        for (key, template) in templates {
            let holes = template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(hole, _)| hole);
            if let Some(operands) = shown.get(key) {
                let unknown: Vec<_> = holes.filter(|hole| !operands.contains(*hole)).collect();
                assert!(unknown.is_empty(), "{language} {key}: nobody gives {unknown:?}");
            }
        }
    }
}

/// The names of fields in some JSON of the octets.
fn field_names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let name = map.get("name").and_then(Value::as_str).filter(|_| map.contains_key("length"));
            into.extend(name.map(str::to_owned));
            map.values().for_each(|value| field_names(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| field_names(value, into)),
        _ => {}
    }
}

#[test]
fn a_field_whose_meaning_is_told_is_called_what_the_decoder_calls_it() {
    let mut names = BTreeSet::new();
    for name in ["f5-udp-hole-punching", "f9-peers", "f10-peers"] {
        let page = Page::open(&format!("#v=1&s={name}"));
        for journey in 0.. {
            let Ok(bytes) = page.bytes(journey) else { break };
            field_names(&serde_json::to_value(bytes).unwrap(), &mut names);
        }
    }
    let english: BTreeMap<String, String> = serde_json::from_str(LANGUAGES[0].1).unwrap();
    let told: Vec<_> = english.iter().filter(|(key, _)| key.starts_with("octet.")).map(|(_, name)| name).collect();
    let unknown: Vec<_> = told.iter().filter(|name| !names.contains(**name)).collect();
    assert!(told.len() >= 40 && unknown.is_empty(), "{unknown:?} of {names:?}");
}

#[test]
fn a_filter_that_knows_the_sender_and_refuses_it_tells_of_another_connection() {
    let [one, other] = ["192.0.2.1:1", "192.0.2.2:2"].map(|endpoint| Operand::Endpoint(endpoint.parse().unwrap()));
    let key = |against| check(&Check { rule: Rule::Filter, found: one, against, held: false }).key;
    assert_eq!((key(other).as_str(), key(one).as_str()), ("check.filter.failed", "check.same-connection.failed"));
}

#[test]
fn a_check_cites_the_rfc_of_its_transport() {
    for (name, filter, refusal) in [
        ("f5-udp-hole-punching", "RFC 4787 REQ-8", "RFC 4787 5"),
        ("f4-connection-reversal", "RFC 5382 REQ-3", "RFC 5382 REQ-4"),
    ] {
        let mut page = Page::open(&format!("#v=1&s={name}"));
        let frame = page.seek(page.view().cursor);
        let checks = frame.happenings[0].checks.iter();
        let source = |key: &str| checks.clone().find(|check| check.text.key == key).map(|check| check.source);
        assert_eq!(source("check.filter.failed"), Some(filter));
        assert_eq!(source("check.refusal-answered.failed"), Some(refusal));
    }
}

#[test]
fn the_ladder_as_text_names_packets_and_why_they_are_dropped() {
    let text = |name: &str| {
        let page = Page::open(&format!("#v=1&s={name}"));
        text(&page.ladder(page.branch_shown(), false).unwrap())
    };
    assert!(text("f5-udp-hole-punching").contains("[dropped: filtered]"));
    assert!(text("f9-port-prediction").contains("1. datagram 10.0.0.1:1234 -> 18.181.0.31:1234"));
}
