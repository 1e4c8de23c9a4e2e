//! Behaviours as JSON and as names and values.

use std::collections::BTreeSet;

use pinhole_proto::Duration;
use pinhole_sim::Behaviour;
use pinhole_sim::nat::{
    CounterScope, Dependence, FieldError, FreshPort, Hairpin, Ipv6, Kind, OnConflict, OnFull, OnIcmp, OnReboot,
    OnReset, Overloading, PermissionScope, Pooling, PortRanges, Refresh, Senseless, SimultaneousOpen, TimerScope,
    Translation, Unsolicited, UnsolicitedDatagram, Value,
};
use serde::Serialize;

fn read(json: &str) -> Result<Behaviour, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn every_value_of_every_field_survives_a_round_trip_and_changes_nothing_else() {
    let default = serde_json::to_value(Behaviour::default()).unwrap();
    assert_eq!(default.as_object().unwrap().len(), Behaviour::FIELDS.len());
    for field in Behaviour::FIELDS {
        let mut written = BTreeSet::new();
        for value in field.samples() {
            let mut behaviour = Behaviour::default();
            field.set(&mut behaviour, value).unwrap();
            assert_eq!(field.get(&behaviour), value, "{}", field.name);
            let mut by_text = Behaviour::default();
            by_text.set(field.name, &value.to_string()).unwrap();
            assert_eq!(by_text, behaviour);
            if behaviour.check().is_err() {
                continue;
            }
            let json = serde_json::to_value(behaviour).unwrap();
            for (key, entry) in json.as_object().unwrap() {
                assert!(key == field.name || *entry == default[key], "{key}");
            }
            written.insert(json[field.name].to_string());
            let alone = serde_json::json!({ field.name: json[field.name] });
            assert_eq!(read(&alone.to_string()), Ok(behaviour));
            assert_eq!(read(&json.to_string()), Ok(behaviour));
        }
        assert!(written.len() > 1, "{} has one value", field.name);
    }
}

#[test]
fn the_names_of_values_are_those_that_receipts_use() {
    fn names<T: Serialize>(values: &[T]) -> Vec<String> {
        values.iter().map(|value| serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()).collect()
    }
    let tcp: Vec<String> = std::iter::once("as-udp".to_owned()).chain(names(&Kind::ALL)).collect();
    let known = [
        ("tcp-mapping", tcp.clone()),
        ("tcp-filtering", tcp),
        ("translation", names(&Translation::ALL)),
        ("ipv6", names(&Ipv6::ALL)),
        ("mapping", names(&Dependence::ALL)),
        ("filtering", names(&Dependence::ALL)),
        ("permission", names(&PermissionScope::ALL)),
        ("conflict", names(&OnConflict::ALL)),
        ("overloading", names(&Overloading::ALL)),
        ("port-ranges", names(&PortRanges::ALL)),
        ("fresh-port", names(&FreshPort::ALL)),
        ("counter", names(&CounterScope::ALL)),
        ("pooling", names(&Pooling::ALL)),
        ("hairpin", names(&Hairpin::ALL)),
        ("refresh", names(&Refresh::ALL)),
        ("timer", names(&TimerScope::ALL)),
        ("icmp", names(&OnIcmp::ALL)),
        ("reset", names(&OnReset::ALL)),
        ("unsolicited-datagram", names(&UnsolicitedDatagram::ALL)),
        ("unsolicited-syn", names(&Unsolicited::ALL)),
        ("simultaneous-open", names(&SimultaneousOpen::ALL)),
        ("full", names(&OnFull::ALL)),
        ("reboot", names(&OnReboot::ALL)),
    ];
    let choices = Behaviour::FIELDS.iter().filter(|field| {
        let mut samples = field.samples();
        samples.all(|value| matches!(value, Value::Name(_)))
    });
    assert_eq!(choices.count(), known.len());
    for (name, expected) in known {
        let field = Behaviour::field(name).unwrap();
        let values: Vec<String> = field.samples().map(|value| value.to_string()).collect();
        assert_eq!(values, expected, "{name}");
    }
}

#[test]
fn a_profile_names_only_what_differs_from_the_default() {
    assert_eq!(read("{}"), Ok(Behaviour::default()));
    let text = r#"{ "mapping": "address-and-port-dependent", "fresh-port": "sequential", "first-port": 62000 }"#;
    assert_eq!(read(text), Ok(Behaviour::symmetric_sequential(62_000)));
}

#[test]
fn a_profile_that_no_nat_can_have_is_refused_with_the_field_at_fault() {
    for (text, part) in [
        (r#"{ "colour": "green" }"#, "unknown field `colour`"),
        (r#"{ "mapping": "green" }"#, "`mapping` takes endpoint-independent, address-dependent"),
        (r#"{ "mapping": 1 }"#, "`mapping` takes"),
        (r#"{ "mapping": null }"#, "`mapping` takes"),
        (r#"{ "udp-idle-ms": 0 }"#, "`udp-idle-ms` takes a number from 1"),
        (r#"{ "udp-idle-ms": -1 }"#, "`udp-idle-ms`"),
        (r#"{ "udp-idle-ms": 1.5 }"#, "`udp-idle-ms`"),
        (r#"{ "udp-idle-ms": 99999999999999 }"#, "`udp-idle-ms` takes"),
        (r#"{ "ports": [2000, 1000] }"#, "`ports` takes"),
        (r#"{ "ports": [2000] }"#, "invalid length"),
        (r#"{ "ports": [2000, 2001, 2002] }"#, "invalid length"),
        (r#"{ "ports": [2000, 70000] }"#, "invalid value"),
        (r#"{ "ports": [2000, 3000] }"#, "`first-port` is none of `ports`"),
        (r#"{ "first-port": 0 }"#, "`first-port` takes"),
        (r#"{ "mapping": "address-dependent", "mapping": "address-dependent" }"#, "duplicate field"),
        ("[]", "an object of the fields"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn a_behaviour_that_no_nat_can_have_is_not_written() {
    let zero = Behaviour { udp_idle: Duration::ZERO, ..Behaviour::default() };
    assert_eq!(zero.check(), Err(Senseless::SpanOutOfRange("udp-idle-ms")));
    assert!(serde_json::to_string(&zero).is_err());
    let part = Behaviour { spoiled_by_early: Some(Duration::from_micros(1500)), ..Behaviour::default() };
    assert_eq!(part.check(), Err(Senseless::SpanNotWhole("spoiled-by-early-ms")));
    let reversed = Behaviour { ports: (9, 8), ..Behaviour::default() };
    assert_eq!(reversed.check(), Err(Senseless::PortsReversed("ports")));
}

#[test]
fn an_unknown_name_or_value_changes_nothing() {
    let mut behaviour = Behaviour::default();
    assert_eq!(behaviour.set("colour", "green"), Err(FieldError::NoSuchField));
    assert!(matches!(behaviour.set("ports", "9-8"), Err(FieldError::NoSuchValue("ports", _))));
    assert!(matches!(behaviour.set("udp-idle-ms", "none"), Err(FieldError::NoSuchValue("udp-idle-ms", _))));
    assert_eq!(behaviour, Behaviour::default());
}

#[test]
fn presets_have_the_names_of_the_draft_and_can_be_written() {
    for (name, behaviour) in Behaviour::PRESETS {
        assert_eq!(Behaviour::preset(name), Some(behaviour));
        let json = serde_json::to_string(&behaviour).unwrap();
        assert_eq!(read(&json), Ok(behaviour), "{name}");
    }
    assert_eq!(Behaviour::preset("port-restricted-cone"), Some(Behaviour::default()));
    assert_eq!(Behaviour::preset("onion"), None);
}

#[test]
fn the_table_of_the_fields_is_data_too() {
    let table = serde_json::to_value(Behaviour::FIELDS).unwrap();
    let mapping = table.as_array().unwrap().iter().find(|field| field["name"] == "mapping").unwrap();
    assert_eq!(mapping["source"], "RFC 4787 REQ-1");
    assert_eq!(mapping["default"], "endpoint-independent");
    let values = serde_json::json!({
        "one-of": ["endpoint-independent", "address-dependent", "address-and-port-dependent"],
    });
    assert_eq!(mapping["values"], values);
}
