//! The oracle by itself.

use std::path::Path;
use std::process::Command;

use pinhole_judge::oracle::OracleError;
use pinhole_judge::{Allowed, Oracle, Side};
use pinhole_proto::Transport;

use crate::oracle;

#[test]
fn the_oracle_is_what_its_program_derives() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reachability.py");
    let status = Command::new("python3").arg(program).arg("--check").status().expect("python3 runs");
    assert!(status.success());
}

#[test]
fn the_worked_examples_are_what_the_program_derives_and_what_the_file_says() {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec");
    let text = std::fs::read_to_string(spec.join("reachability.md")).expect("the chapter is there");
    let oracle = oracle();
    let mut shown = Vec::new();
    for example in text.split("```\n$ python3 spec/reachability.py ").skip(1) {
        let (command, rest) = example.split_once('\n').expect("the example has lines");
        let (printed, _) = rest.split_once("```").expect("the example ends");
        let arguments: Vec<&str> = command.split(' ').collect();
        let run = Command::new("python3").arg(spec.join("reachability.py")).args(&arguments).output();
        let output = run.expect("python3 runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), printed, "{command}");
        let ["explain", a, b, transport, technique] = arguments[..] else { panic!("{command}") };
        let transport = if transport == "tcp" { Transport::Tcp } else { Transport::Udp };
        let sides = Side::all(transport);
        let number = |name: &str| sides.iter().position(|side| side.name(transport) == name).expect("a side");
        let listed = oracle.techniques(transport, sides[number(a)], number(b)).iter().any(|name| name == technique);
        let ending = if listed { ": direct\n" } else { ": not direct\n" };
        assert!(printed.ends_with(&format!("{technique}{ending}")), "{command}");
        shown.push((transport, technique));
    }
    for guess in ["low-ttl", "predicted"].map(|name| (Transport::Udp, name)).into_iter().chain(
        ["low-ttl", "tcp-predicted", "tcp-sequential-keep", "tcp-sequential-close"].map(|name| (Transport::Tcp, name)),
    ) {
        assert!(shown.contains(&guess), "{guess:?}");
    }
}

/// The rows and columns of the table that the draft's and RFC 5128's readers expect, with permissions
/// attached to the mapping.
const KINDS: [&str; 5] = [
    "ei-ei-mapping-random",
    "ei-ad-mapping-random",
    "ei-apd-mapping-random",
    "apd-apd-mapping-sequential",
    "apd-apd-mapping-random",
];

/// By its first letter what makes a pair direct over UDP where both users ask for everything.
const UDP: [&str; 5] = ["ppppp", "ppppp", "ppp*b", "pp**-", "ppb--"];

#[test]
fn the_table_of_the_five_draft_nats_is_a_special_case() {
    let oracle = oracle();
    let sides = Side::all(Transport::Udp);
    let number = |name: &str| sides.iter().position(|side| side.name(Transport::Udp) == name).expect("a side");
    for (a, expected) in KINDS.iter().zip(UDP) {
        let outcome = |b: &&str| match oracle
            .outcome(Transport::Udp, sides[number(a)], number(b), Allowed::ALL)
            .map(|(name, _)| name)
        {
            None => '-',
            Some("plain") => 'p',
            Some("predicted") => '*',
            Some("birthday") => 'b',
            Some(other) => panic!("{other}"),
        };
        assert_eq!(KINDS.iter().map(outcome).collect::<String>(), expected, "{a}");
    }
}

/// Only a sequential attempt by itself has one side that begins: whoever asked for the session.
#[test]
fn who_asks_makes_no_difference_to_what_comes_of_a_session() {
    let oracle = oracle();
    for transport in [Transport::Udp, Transport::Tcp] {
        let sides = Side::all(transport);
        let beginners = |allowed: &&Allowed| !allowed.name.starts_with("tcp-sequential");
        for allowed in Allowed::of(transport).iter().filter(beginners) {
            for (number, a) in sides.iter().enumerate() {
                for (other, b) in sides.iter().enumerate().skip(number) {
                    let forth = oracle.outcome(transport, *a, other, *allowed);
                    assert_eq!(forth, oracle.outcome(transport, *b, number, *allowed), "{}", allowed.name);
                }
            }
        }
    }
}

#[test]
fn what_is_not_allowed_makes_no_pair_direct() {
    let oracle = oracle();
    let sides = Side::all(Transport::Udp);
    let number = |name: &str| sides.iter().position(|side| side.name(Transport::Udp) == name).expect("a side");
    let (a, b) = (sides[number("ei-apd-mapping-preserving")], number("apd-apd-mapping-random"));
    assert_eq!(oracle.outcome(Transport::Udp, a, b, Allowed::DEFAULT), None);
    let (name, probability) = oracle.outcome(Transport::Udp, a, b, Allowed::ALL).expect("both asked for it");
    assert!(name == "birthday" && probability > 0.99 && probability < 1.0, "{name}, {probability}");
    assert_eq!(oracle.technique("birthday").map(|technique| technique.default), Some(false));
}

#[test]
fn an_oracle_that_lacks_a_row_or_an_outcome_is_refused() {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reachability.json");
    let text = std::fs::read_to_string(spec).expect("the file is there");
    let lacking = text.replacen("ei-ad-mapping-random", "ei-ad-mapping-fixed", 1);
    assert!(
        matches!(Oracle::parse(&lacking), Err(OracleError::Row(name, Transport::Udp)) if name == "ei-ad-mapping-random")
    );
    let short = text.replacen("aaaa", "aaa", 1);
    assert!(matches!(Oracle::parse(&short), Err(OracleError::Row(..))));
    let unlisted = text.replacen("aaaa", "aaa?", 1);
    assert!(matches!(Oracle::parse(&unlisted), Err(OracleError::Outcome(..))));
    let strange = text.replacen("\"plain\"\n", "\"magic\"\n", 1);
    assert!(matches!(Oracle::parse(&strange), Err(OracleError::Technique(name)) if name == "magic"));
    assert!(matches!(Oracle::parse("{}"), Err(OracleError::Form(_))));
}

#[test]
fn an_exception_needs_a_pair_and_a_sentence_and_there_are_at_most_ten() {
    let (a, b) = ("ei-ei-mapping-random", "apd-apd-mapping-random");
    let csv = |rows: &[String]| format!("transport,a,b,techniques,sentence\n{}\n", rows.join("\n"));
    let row = format!("udp,{a},{b},,\"RFC 4787, REQ-1: a sentence, with commas\"");
    let excepted = oracle().with_exceptions(&csv(std::slice::from_ref(&row))).expect("it is complete");
    let sides = Side::all(Transport::Udp);
    let number = |name: &str| sides.iter().position(|side| side.name(Transport::Udp) == name).expect("a side");
    assert!(!oracle().techniques(Transport::Udp, sides[number(a)], number(b)).is_empty());
    assert!(excepted.techniques(Transport::Udp, sides[number(a)], number(b)).is_empty());
    let many = vec![row.clone(); 11];
    for bad in [csv(&many), csv(&[format!("udp,{a},{b},plain,")]), csv(&[row.replace(a, "moon")]), csv(&["udp".into()])]
    {
        assert!(matches!(oracle().with_exceptions(&bad), Err(OracleError::Exception(_))), "{bad}");
    }
}
