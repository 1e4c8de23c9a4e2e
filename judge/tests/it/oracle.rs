//! The oracle by itself.

use std::path::Path;
use std::process::Command;

use pinhole_judge::oracle::OracleError;
use pinhole_judge::{Oracle, Side};
use pinhole_proto::Transport;

use crate::oracle;

#[test]
fn the_oracle_is_what_its_program_derives() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reachability.py");
    let status = Command::new("python3").arg(program).arg("--check").status().expect("python3 runs");
    assert!(status.success());
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

/// `p`: direct by plain punching.
const UDP: [&str; 5] = ["ppppp", "ppppp", "ppp--", "pp---", "pp---"];

#[test]
fn the_table_of_the_five_draft_nats_is_a_special_case() {
    let oracle = oracle();
    let sides = Side::all(Transport::Udp);
    let number = |name: &str| sides.iter().position(|side| side.name(Transport::Udp) == name).expect("a side");
    for (a, expected) in KINDS.iter().zip(UDP) {
        let row: String = KINDS
            .iter()
            .map(|b| {
                let techniques = oracle.techniques(Transport::Udp, sides[number(a)], number(b));
                if techniques.iter().any(|technique| technique == "plain") { 'p' } else { '-' }
            })
            .collect();
        assert_eq!(row, expected, "{a}");
    }
}

#[test]
fn who_asks_makes_no_difference_to_the_oracle() {
    let oracle = oracle();
    for transport in [Transport::Udp, Transport::Tcp] {
        let sides = Side::all(transport);
        for (number, a) in sides.iter().enumerate() {
            for (other, b) in sides.iter().enumerate() {
                assert_eq!(oracle.techniques(transport, *a, other), oracle.techniques(transport, *b, number));
            }
        }
    }
}

#[test]
fn an_oracle_that_lacks_a_row_or_an_outcome_is_refused() {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reachability.json");
    let text = std::fs::read_to_string(spec).expect("the file is there");
    let lacking = text.replacen("ei-ad-mapping-random", "ei-ad-mapping-fixed", 1);
    assert!(
        matches!(Oracle::parse(&lacking), Err(OracleError::Row(name, Transport::Udp)) if name == "ei-ad-mapping-random")
    );
    let short = text.replacen("pppp\"", "ppp\"", 1);
    assert!(matches!(Oracle::parse(&short), Err(OracleError::Row(..))));
    let unlisted = text.replacen("pppp\"", "ppp?\"", 1);
    assert!(matches!(Oracle::parse(&unlisted), Err(OracleError::Outcome(..))));
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
