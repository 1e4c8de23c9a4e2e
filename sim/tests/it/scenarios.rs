//! The scenario files: each comes out as it says, and none would if it said otherwise.

use pinhole_sim::scenario::{self, Expect, Mark, Run, Scenario, ScenarioError};
use serde_json::Value;

fn played(scenario: &Scenario, seed: u64) -> Run {
    let mut run = Run::new(scenario, seed).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
    run.play().unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
    run
}

#[test]
fn every_scenario_comes_out_as_it_says() {
    for (name, text) in scenario::ALL {
        let scenario = Scenario::from_json(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(scenario.name, *name);
        for seed in 1..=3 {
            let run = played(&scenario, seed);
            let mismatches = run.check();
            assert!(mismatches.is_empty(), "{name}, seed {seed}: {mismatches:#?}\n{}", run.world.trace().ladder());
        }
    }
}

#[test]
fn a_scenario_that_expects_anything_else_fails() {
    for (name, text) in scenario::ALL {
        let scenario = Scenario::from_json(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let run = played(&scenario, 1);
        let marks = serde_json::to_value(&scenario.marks).expect("data");
        let expect = serde_json::to_value(&scenario.expect).expect("data");
        let mut tried = 0;
        for marks in otherwise(&marks) {
            let Ok(marks) = serde_json::from_value::<Vec<Mark>>(marks.clone()) else {
                continue;
            };
            tried += 1;
            assert_ne!(run.check_against(&marks, &scenario.expect), [], "{name}: {marks:#?}");
        }
        for expect in otherwise(&expect) {
            let Ok(expect) = serde_json::from_value::<Expect>(expect.clone()) else {
                continue;
            };
            tried += 1;
            assert_ne!(run.check_against(&scenario.marks, &expect), [], "{name}: {expect:#?}");
        }
        assert!(tried > 0, "{name} expects nothing");
    }
}

/// Every way to change one word, number or port in what is expected. What a mark is called and how it is picked
/// does not count as an expectation.
fn otherwise(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let digits = text.char_indices().filter(|(_, letter)| letter.is_ascii_digit());
            let mut out: Vec<Value> = digits
                .map(|(at, digit)| {
                    let other = if digit == '7' { "8" } else { "7" };
                    format!("{}{other}{}", &text[..at], &text[at + 1..]).into()
                })
                .collect();
            let words = ["dropped", "delivered", "public", "private", "relayed", "none", "nobody"];
            out.extend(words.into_iter().filter(|word| word != text).map(Value::from));
            out
        }
        Value::Number(number) => {
            let number = number.as_u64().expect("numbers here are counts");
            vec![(number + 1).into()]
        }
        Value::Array(items) => {
            let within = items.iter().enumerate().flat_map(|(at, item)| {
                otherwise(item).into_iter().map(move |item| {
                    let mut items = items.clone();
                    items[at] = item;
                    items.into()
                })
            });
            let strings = items.iter().all(Value::is_string);
            let without = (0..if strings { items.len() } else { 0 }).map(|at| {
                let mut items = items.clone();
                items.remove(at);
                items.into()
            });
            within.chain(without).collect()
        }
        Value::Object(members) => members
            .iter()
            .filter(|(key, _)| !["step", "title", "pick", "skip"].contains(&key.as_str()))
            .flat_map(|(key, member)| {
                otherwise(member).into_iter().map(move |member| {
                    let mut members = members.clone();
                    members.insert(key.clone(), member);
                    members.into()
                })
            })
            .collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

#[test]
fn a_scenario_runs_the_same_from_its_serialised_form() {
    let scenario = scenario::named("f5-udp-hole-punching").expect("it is in the list");
    let text = serde_json::to_string(&scenario).expect("data");
    let again = Scenario::from_json(&text).expect("what was written reads");
    assert_eq!(again, scenario);
    assert_eq!(played(&again, 5).world.trace().digest(), played(&scenario, 5).world.trace().digest());
}

#[test]
fn a_file_that_is_not_a_scenario_says_why() {
    let scenario = scenario::named("f5-udp-hole-punching").expect("it is in the list");
    let good = serde_json::to_value(&scenario).expect("data");
    let broken = |path: &str, value: Value| {
        let mut value_of = good.clone();
        *value_of.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        Scenario::from_json(&value_of.to_string()).and_then(|scenario| {
            let mut run = Run::new(&scenario, 1)?;
            run.play()
        })
    };
    let format = |result| matches!(result, Err(ScenarioError::Format(_)));
    assert!(format(broken("/nats/0/network", "10.0.0.1/33".into())));
    assert!(format(broken("/nats/0/behaviour/ports", serde_json::json!([9, 1]))));
    assert!(format(broken("/hosts/0/addresses/0", "18.181.0".into())));
    assert!(format(broken("/hosts/1/runs/peer/strategies", serde_json::json!(["dance"]))));
    assert!(format(broken("/actions/0", serde_json::json!({"do": "dance"}))));
    assert!(format(broken("/expect", serde_json::json!({"hope": 1}))));
    assert!(format(Scenario::from_json("{").map(|_| ())));
    assert_eq!(broken("/nats/1/name", "NAT A".into()), Err(ScenarioError::NameTwice("NAT A".into())));
    assert_eq!(broken("/hosts/1/name", "NAT A".into()), Err(ScenarioError::NameTwice("NAT A".into())));
    assert_eq!(broken("/hosts/1/realm", "moon".into()), Err(ScenarioError::UnknownRealm("moon".into())));
    let taken = "155.99.25.11";
    let address = ScenarioError::Address(taken.parse().expect("an address"));
    assert_eq!(broken("/hosts/0/addresses/0", taken.into()), Err(address));
    assert_eq!(broken("/hosts/0/addresses", Value::Array(vec![])), Err(ScenarioError::NoAddress("S".into())));
    let elsewhere = broken("/hosts/1/runs/peer/server", "18.181.0.31:9".into());
    assert_eq!(elsewhere, Err(ScenarioError::NoServer("A".into())));
    assert!(matches!(broken("/actions/2/to", "C".into()), Err(ScenarioError::Action(2, _))));
}
