//! The page's JSON is JSON: `serde_json` writes and reads the same.

use std::collections::BTreeMap;

use pinhole_sim::scenario::{self, Scenario};
use pinhole_viz::api::Api;
use pinhole_viz::json::{read, write};
use pinhole_viz::page::Page;
use pinhole_viz::run::Edit;
use pinhole_viz::scenarios;
use serde::Serialize;
use serde_json::Value;

fn same<T: Serialize>(value: &T) {
    assert_eq!(write(value).unwrap(), serde_json::to_string(value).unwrap());
}

#[test]
fn what_the_page_shows_is_written_as_serde_json_writes_it() {
    for (name, _) in scenario::ALL {
        let mut page = Page::open(&format!("#v=1&s={name}"));
        let length = page.view().length;
        for index in (0..length).step_by(1.max(length / 8)) {
            let frame = page.seek(index);
            same(&frame);
            same(&page.question(index));
            same(&frame.happenings.first().and_then(|happening| page.bytes(happening.journey).ok()));
        }
        same(&page.view());
        same(&page.ladder(page.branch_shown(), true));
        same(&page.arrivals());
        for record in page.current().run().records() {
            same(&record.what);
        }
    }
    same(&Page::open("#v=1&x=W10&colour=\u{1}\"\\\u{1f}\u{8}\u{c}\n\r\té𝄞&i=x").view());
}

#[test]
fn every_scenario_is_read_as_serde_json_reads_it() {
    for (name, text) in scenario::ALL {
        let scenario: Scenario = read(text).unwrap_or_else(|damage| panic!("{name}: {damage}"));
        assert_eq!(scenario, Scenario::from_json(text).unwrap(), "{name}");
        same(&scenario);
        assert_eq!(read::<Scenario>(&write(&scenario).unwrap()).unwrap(), scenario, "{name}");
    }
}

#[test]
fn what_the_page_has_of_a_scenario_is_what_its_file_says() {
    assert!(scenario::NAMES.iter().eq(scenario::ALL.iter().map(|(name, _)| name)));
    for (name, text) in scenario::ALL {
        let (here, file) = (scenarios::named(name).unwrap(), Scenario::from_json(text).unwrap());
        assert_eq!((here.name, here.source), (file.name, file.source.as_str()));
        assert_eq!((here.nats, here.hosts, here.actions), (file.nats, file.hosts, file.actions), "{name}");
        let marks = file.marks.into_iter().map(|mark| (mark.step, mark.title, mark.pick, mark.skip));
        assert!(here.marks.into_iter().map(|mark| (mark.step, mark.title, mark.pick, mark.skip)).eq(marks), "{name}");
    }
    assert_eq!(scenarios::named("f15"), None);
}

/// A document with everything, whole numbers alone.
const EVERYTHING: &str = concat!(
    " {\"a\" : [ 0, -1, 18446744073709551615, -9223372036854775808 ],\n\t\"b\":{},\"c\":[],\r\n",
    r#" "d\u00e9\ud834\udd1e\"\\\/\b\f\n\r\t": [ null , true,false ], "e": "é𝄞\u0000", "": { "deep": [[[]]] } } "#
);

#[test]
fn what_serde_json_refuses_is_refused_and_everything_else_is_read_alike() {
    assert!(serde_json::from_str::<Value>(EVERYTHING).is_ok());
    let octets = EVERYTHING.as_bytes();
    let (mut taken, mut refused) = (0, 0);
    for at in 0..=octets.len() {
        let mut texts = vec![octets[..at].to_vec(), octets[at..].to_vec()];
        for octet in b"\0\t \"\\{}[]:,-0189aeunt\x7f\xc3\xa9" {
            let mut with = octets.to_vec();
            with.insert(at, *octet);
            let mut instead = octets.to_vec();
            instead[at.min(octets.len() - 1)] = *octet;
            texts.extend([with, instead]);
        }
        for text in texts.iter().filter_map(|text| str::from_utf8(text).ok()) {
            let (ours, theirs) = (read::<Value>(text), serde_json::from_str::<Value>(text));
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{text}"),
                (Err(_), Err(_)) => {}
                // What is not there: numbers that are not whole or too large. And no key may be there twice.
                (Err(damage), Ok(_)) => {
                    let told = damage.to_string();
                    assert!(told.contains("whole number") || told.contains("duplicate"), "{told}: {text}");
                }
                (Ok(_), Err(error)) => panic!("{error}: {text}"),
            }
            *if ours.is_ok() { &mut taken } else { &mut refused } += 1;
        }
    }
    assert!(taken > 500 && refused > 5000, "{taken} {refused}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let edits = |text: &str| read::<Vec<Edit>>(text).unwrap_err().to_string();
    for (text, told) in [
        ("", "expected a value at line 1 column 1"),
        ("[", "expected a value at line 1 column 2"),
        ("[]]", "trailing characters at line 1 column 3"),
        ("{}", "expected an array at line 1 column 1"),
        ("[{\"at\":0}]", "missing field `action` at line 1 column 2"),
        ("[{\"at\":-1}]", "expected a whole number at line 1 column 8"),
        ("[{\"at\":1.5}]", "no whole number of 64 bits at line 1 column 11"),
        ("[{\"at\":0,\"at\":0}]", "duplicate field `at` at line 1 column 14"),
        ("[\n{\"é\":0}]", "unknown field `é` at line 2 column 2"),
        ("[{\"at\":0,\n \"action\":{\"do\":\"cut\"}}]", "missing field `machine` at line 2 column 11"),
        ("[{\"action\":{\"do\":\"cut\",\"machine\":7}}]", "expected a text at line 1 column 34"),
        ("[{\"action\":{\"do\":\"cut\",\"machine\":\"A", "a text without an end at line 1 column 36"),
        ("[{\"action\":{\"do\":\"fault\",\"effect\":{\"delay\":{}}}}]", "missing field `ms` at line 1 column 44"),
        (
            "[{\"action\":{\"do\":\"fault\",\"effect\":\"fly\"}}]",
            "`fly` is none of drop, delay, duplicate, reorder, corrupt at line 1 column 35",
        ),
        ("[{\"action\":{\"do\":\"datagram\",\"host\":\"A\",\"port\":65536}}]", "expected u16 at line 1 column 47"),
    ] {
        assert_eq!(edits(text), told, "{text}");
    }
    assert!(edits(&"[".repeat(10_000)).starts_with("too deep at line 1"));
    assert_eq!(read::<(usize, bool)>("[1]").unwrap_err().to_string(), "expected an array of 2 at line 1 column 1");
}

#[test]
fn what_has_no_json_here_is_not_written() {
    assert!(write(&1.5).is_err());
    assert!(write(&BTreeMap::from([(1, 2)])).is_err());
    assert_eq!(write(&BTreeMap::from([("1", Some(2)), ("2", None)])).unwrap(), r#"{"1":2,"2":null}"#);
}

#[test]
fn a_call_with_a_damaged_argument_is_refused_with_the_place() {
    let answer = Api::default().call("seek", "x");
    assert_eq!(answer, r#"{"refused":{"key":"notice.argument","with":{"why":"expected a value at line 1 column 1"}}}"#);
}
