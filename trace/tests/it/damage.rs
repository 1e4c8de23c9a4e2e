//! What is not a trace is refused, with the place.

use pinhole_trace::{Expected, MAX_LINE, MAX_LINES, MAX_OCTETS, Problem, read};
use proptest::prelude::*;

use crate::sample;

const HEADER: &str = r#"{"trace":"pinhole/1","engine":"peer"}"#;

/// What is said of a file whose second line this is.
fn said(line: &str) -> String {
    read(format!("{HEADER}\n{line}\n").as_bytes()).unwrap_err().to_string()
}

#[test]
fn each_damage_is_told_with_its_place_and_what_was_expected() {
    for (line, expected) in [
        ("", "line 2: not JSON at column 0: EOF while parsing a value"),
        ("garbage", "line 2: not JSON at column 1: expected value"),
        (r#"{"t":1,"in":"timeout""#, "line 2: not JSON at column 21: EOF while parsing an object"),
        ("[]", "line 2: an object is expected, not []"),
        (r#"{"in":"timeout"}"#, "line 2, t: it is missing"),
        (r#"{"t":-1,"in":"timeout"}"#, "line 2, t: a whole number up to 18446744073709551615 is expected, not -1"),
        (
            r#"{"t":1,"ni":"timeout"}"#,
            r#"line 2: one of in, out, discard, unsent, command, reply is expected, not ["ni","t"]"#,
        ),
        (
            r#"{"t":1,"in":"timeout","out":{"wait":null}}"#,
            r#"line 2: one of in, out, discard, unsent, command, reply is expected, not ["in","out","t"]"#,
        ),
        (
            r#"{"t":1,"out":{"transmit":{"socket":0,"local":null,"remote":"192.0.2.1","ttl":null,"payload":""}}}"#,
            r#"line 2, out.transmit.remote: an address and a port is expected, not "192.0.2.1""#,
        ),
        (
            r#"{"t":1,"out":{"transmit":{"socket":0,"local":7,"remote":"192.0.2.1:1","ttl":null,"payload":""}}}"#,
            "line 2, out.transmit.local: an IP address is expected, not 7",
        ),
        (
            r#"{"t":1,"out":{"transmit":{"socket":0,"local":null,"remote":"192.0.2.1:1","ttl":256,"payload":""}}}"#,
            "line 2, out.transmit.ttl: a whole number up to 255 is expected, not 256",
        ),
        (
            r#"{"t":1,"in":{"stream":{"stream":0,"received":"abc"}}}"#,
            r#"line 2, in.stream.received: an even number of hexadecimal digits is expected, not "abc""#,
        ),
        (
            r#"{"t":1,"in":{"stream":{"stream":0,"closed":"bored"}}}"#,
            r#"line 2, in.stream.closed: one of address-in-use, address-not-available, unreachable, not-permitted, refused, reset, timed-out, other is expected, not "bored""#,
        ),
        (
            r#"{"t":1,"in":{"interfaces":[{"address":"192.0.2.1","prefix":"24"}]}}"#,
            r#"line 2, in.interfaces.prefix: a whole number up to 255 is expected, not "24""#,
        ),
        (r#"{"t":1,"out":{"close":{"stream":0}}}"#, "line 2, out.close.abort: it is missing"),
    ] {
        assert_eq!(said(line), expected, "{line}");
    }
}

#[test]
fn a_line_that_goes_back_in_time_is_refused() {
    let file = format!("{HEADER}\n{{\"t\":5,\"in\":\"timeout\"}}\n{{\"t\":4,\"in\":\"timeout\"}}\n");
    let error = read(file.as_bytes()).unwrap_err();
    assert_eq!((error.line, error.field.as_str(), error.problem), (3, "t", Problem::Backwards));
}

#[test]
fn a_first_line_that_is_not_a_header_is_refused() {
    for (file, expected) in [
        ("", "line 1: the file is empty"),
        ("\n", "line 1: not JSON at column 0: EOF while parsing a value"),
        (r#"{"trace":"pinh"#, "line 1: not JSON at column 14: EOF while parsing a string"),
        (r#"{"t":0,"in":"timeout"}"#, "line 1, trace: it is missing"),
        (r#"{"trace":"pinhole/9"}"#, "line 1, trace: pinhole/1 is expected as the version, not pinhole/9"),
        (
            r#"{"trace":"pinhole/1","engine":"steam"}"#,
            r#"line 1, engine: one of peer, server, netcheck is expected, not "steam""#,
        ),
    ] {
        assert_eq!(read(file.as_bytes()).unwrap_err().to_string(), expected, "{file}");
    }
    assert_eq!(read(&[0xff; 100]).unwrap_err().line, 1);
}

#[test]
fn bounds_are_kept() {
    let long = format!(r#"{{"t":1,"command":"{}"}}"#, "a".repeat(MAX_LINE));
    assert!(said(&long).ends_with("the line has more than 1048576 octets"));
    let line = "{\"t\":1,\"in\":\"timeout\"}\n";
    let within = format!("{HEADER}\n{}", line.repeat(MAX_LINES - 1));
    assert_eq!(read(within.as_bytes()).unwrap().lines.len(), MAX_LINES - 1);
    let error = read(format!("{within}{line}").as_bytes()).unwrap_err();
    assert_eq!((error.line, error.problem), (MAX_LINES + 1, Problem::TooManyLines));
    let error = read(&vec![b'\n'; MAX_OCTETS + 1]).unwrap_err();
    assert_eq!(error.problem, Problem::FileTooLong);
}

#[test]
fn what_was_found_is_cut_where_it_is_long() {
    let line = format!(r#"{{"t":1,"discard":["{}"]}}"#, "ü".repeat(1000));
    let error = read(format!("{HEADER}\n{line}\n").as_bytes()).unwrap_err();
    let Problem::Expected { what: Expected::Text, found } = error.problem else { panic!("{error:?}") };
    assert_eq!((found.chars().count(), error.field.as_str()), (61, "discard"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any octets are a trace or not, and where they are not that is within the file.
    #[test]
    fn octets_that_are_changed_anywhere_are_read_or_refused_with_a_place(
        changes in prop::collection::vec((0..3_u8, any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut file = sample::file().into_bytes();
        for (how, at, octet) in changes {
            let at = at.index(file.len());
            match how {
                0 => file[at] = octet,
                1 => file.insert(at, octet),
                _ => { file.remove(at); }
            }
        }
        let lines = file.split(|octet| *octet == b'\n').count();
        if let Err(error) = read(&file) {
            prop_assert!((1..=lines).contains(&error.line), "{error}");
        }
    }

    /// A line of garbage is the line that is named.
    #[test]
    fn the_line_that_is_damaged_is_the_one_that_is_named(at in any::<prop::sample::Index>(), garbage in "[^\n{]{1,40}") {
        let file = sample::file();
        let mut lines: Vec<&str> = file.lines().collect();
        let at = at.index(lines.len());
        lines[at] = &garbage;
        let error = read((lines.join("\n") + "\n").as_bytes()).unwrap_err();
        prop_assert_eq!(error.line, at + 1);
    }
}
