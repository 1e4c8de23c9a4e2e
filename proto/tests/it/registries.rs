//! `spec/registries/*.csv` and the code name the same numbers.

use std::collections::{BTreeMap, BTreeSet};

use pinhole_proto::constants as c;
use pinhole_proto::key::{KeyError, PublicKey};
use pinhole_proto::server::Limits;
use pinhole_proto::wire::code::{Allocation, Refusal, Strategy, Verdict};
use pinhole_proto::{Discard, Duration};

const CONSTANTS: &str = include_str!("../../src/constants.rs");
const CODES: &str = include_str!("../../src/wire/code.rs");
const DISCARDS: &str = include_str!("../../src/discard.rs");

/// Rows that no constant of `proto` has: the number is spelled otherwise there, or no engine keeps it.
const NOT_IN_PROTO: [&str; 3] = ["CHANNEL_BUFFER", "KEY_PACKETS", "RESET_SPREAD"];

fn registry(name: &str) -> Vec<Vec<String>> {
    let path = format!("{}/../spec/registries/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut rows: Vec<Vec<String>> = text.lines().map(cells).collect();
    let header = rows.remove(0);
    for row in &rows {
        assert_eq!(row.len(), header.len(), "{name}: {row:?}");
    }
    rows
}

/// The cells of one line; a quoted cell may hold commas.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

fn number(text: &str) -> u64 {
    text.strip_prefix("0x")
        .map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16))
        .unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// First and last value of a row.
fn range(row: &[String]) -> (u64, u64) {
    let (first, last) = row[0].split_once('-').unwrap_or((&row[0], &row[0]));
    (number(first), number(last))
}

/// The named values of a registry.
fn assigned(name: &str) -> BTreeMap<String, u64> {
    registry(name).iter().filter(|row| row[2] == "assigned").map(|row| (row[1].clone(), number(&row[0]))).collect()
}

/// The constants in the block of `code.rs` that begins with `start`, by the name that `spell` makes.
fn codes(start: &str, spell: fn(&str) -> String) -> BTreeMap<String, u64> {
    let (_, block) = CODES.split_once(start).unwrap();
    let (block, _) = block.split_once("\n}\n").unwrap();
    block
        .lines()
        .filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("pub const ")?.split_once(": ")?;
            let value = value.split_once(" = ")?.1.trim_end_matches(';');
            let value = value.strip_prefix("Self(").map_or(value, |value| value.trim_end_matches(')'));
            Some((spell(name), number(value)))
        })
        .collect()
}

fn camel(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_string() + &word[1..].to_lowercase()).collect()
}

fn kebab(name: &str) -> String {
    name.replace('_', "-").to_lowercase()
}

#[test]
fn every_code_is_in_its_registry_and_the_other_way_round() {
    let mut packets = codes("pub mod packet {", camel);
    assert_eq!(packets.remove("Grease"), Some(0x0f));
    assert_eq!(packets, assigned("packets"));
    let mut messages = codes("pub mod message {", camel);
    assert_eq!(messages.remove("Ignorable"), Some(0x80));
    assert_eq!(messages, assigned("messages"));
    assert_eq!(codes("impl Refusal {", kebab), assigned("refusals"));
    assert_eq!(codes("impl Verdict {", kebab), assigned("verdicts"));
    assert_eq!(codes("impl Mapping {", kebab), assigned("mappings"));
    assert_eq!(codes("impl DialBack {", kebab), assigned("dial-backs"));
    assert_eq!(codes("impl Policy {", kebab), assigned("policies"));
    assert_eq!(codes("impl Strategy {", kebab), assigned("strategies"));
    assert_eq!(codes("impl Allocation {", kebab), assigned("allocations"));
    assert_eq!(codes("impl Transports {", kebab), assigned("transports"));
    assert_eq!(
        assigned("extensions"),
        BTreeMap::from([
            ("Padding".into(), u64::from(pinhole_proto::wire::extension::PADDING)),
            ("DialBack".into(), u64::from(pinhole_proto::wire::extension::DIAL_BACK))
        ])
    );
    assert_eq!(
        assigned("versions"),
        BTreeMap::from([("invariant".into(), 0), (c::VERSION.to_string(), c::VERSION.into())])
    );
}

#[test]
fn the_names_of_codes_are_those_of_the_registries() {
    for (name, value) in assigned("refusals") {
        assert_eq!(Refusal(u8::try_from(value).unwrap()).name(), name);
    }
    for (name, value) in assigned("verdicts") {
        assert_eq!(Verdict(u8::try_from(value).unwrap()).name(), name);
    }
    for (name, value) in assigned("strategies") {
        assert_eq!(Strategy(u8::try_from(value).unwrap()).name(), name);
    }
    for (name, value) in assigned("allocations") {
        assert_eq!(Allocation(u8::try_from(value).unwrap()).name(), name);
    }
}

#[test]
fn every_registry_says_something_about_every_value_once() {
    for (name, first, last) in [
        ("packets", 0x04, 0x0f),
        ("versions", 0, 0xff),
        ("messages", 0, 0xff),
        ("extensions", 0, 0xffff),
        ("refusals", 0, 0xff),
        ("verdicts", 0, 0xff),
        ("mappings", 0, 0xff),
        ("dial-backs", 0, 0xff),
        ("policies", 0, 0xff),
        ("strategies", 0, 0xff),
        ("allocations", 0, 0xff),
    ] {
        let mut next = first;
        for row in registry(name) {
            let (from, to) = range(&row);
            assert_eq!(from, next, "{name}: {row:?}");
            assert!(from <= to, "{name}: {row:?}");
            assert_eq!(
                !row[1].is_empty(),
                matches!(row[2].as_str(), "assigned") || row[1] == "Grease",
                "{name}: {row:?}"
            );
            assert!(["assigned", "unassigned", "private", "grease"].contains(&row[2].as_str()), "{name}: {row:?}");
            next = to + 1;
        }
        assert_eq!(next, last + 1, "{name}");
    }
}

#[test]
fn every_reference_is_a_chapter() {
    for name in [
        "packets",
        "versions",
        "messages",
        "extensions",
        "refusals",
        "verdicts",
        "mappings",
        "dial-backs",
        "policies",
        "strategies",
        "allocations",
        "transports",
        "weak-keys",
        "limits",
    ] {
        for row in registry(name) {
            let chapter = row.last().unwrap();
            let path = format!("{}/../spec/{chapter}", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&path).exists(), "{name}: {row:?}");
        }
    }
}

#[test]
fn every_limit_that_a_chapter_names_has_a_row() {
    let rows = registry("limits");
    let spec = format!("{}/../spec", env!("CARGO_MANIFEST_DIR"));
    let mut named = BTreeSet::new();
    for entry in std::fs::read_dir(spec).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&path).unwrap();
            for name in text.split('`').skip(1).step_by(2) {
                if name.len() > 3 && name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_' || c == b'1' || c == b'2')
                {
                    assert!(rows.iter().any(|row| row[0] == name), "{}: {name}", path.display());
                    named.insert(name.to_string());
                }
            }
        }
    }
    for row in rows.iter().filter(|row| row[0] != "VERSION") {
        assert!(named.contains(&row[0]), "no chapter names {}", row[0]);
    }
}

#[test]
fn weak_keys_are_those_that_are_refused() {
    let weak = registry("weak-keys");
    assert_eq!(weak.len(), 5);
    for row in weak {
        let octets: Vec<u8> =
            (0..64).step_by(2).map(|at| u8::from_str_radix(&row[0][at..at + 2], 16).unwrap()).collect();
        assert_eq!(PublicKey::new(octets.try_into().unwrap()), Err(KeyError::Weak), "{row:?}");
    }
}

#[test]
fn every_discard_is_in_its_registry_with_its_meaning() {
    let (_, block) = DISCARDS.split_once("pub enum Discard {").unwrap();
    let mut in_code = vec![];
    let mut meaning = String::new();
    for line in block.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning = text.trim().trim_end_matches('.').to_string();
        } else if let Some(name) = line.strip_suffix(',') {
            let mut spelled = String::new();
            for c in name.chars() {
                if c.is_uppercase() && !spelled.is_empty() {
                    spelled.push('-');
                }
                spelled.push(c.to_ascii_lowercase());
            }
            in_code.push(vec![spelled, meaning.clone()]);
        }
    }
    assert_eq!(in_code, registry("discards"));
    assert_eq!(serde_json::to_string(&Discard::StreamOutOfOrder).unwrap(), "\"stream-out-of-order\"");
}

#[test]
fn limits_and_constants_are_the_same_numbers() {
    let rows = registry("limits");
    let names: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names.len(), rows.len(), "no name twice");
    let mut in_table = BTreeSet::new();
    for (name, value) in limits() {
        in_table.insert(name);
        let row = rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("limits.csv lacks {name}"));
        assert_eq!(row[1], value, "{name}");
    }
    for name in NOT_IN_PROTO {
        assert!(in_table.insert(name), "{name} is in proto");
    }
    assert_eq!(names, in_table);
    for line in CONSTANTS.lines() {
        if let Some(rest) = line.strip_prefix("pub const ") {
            let name = rest.split(':').next().unwrap();
            assert!(names.contains(name), "limits.csv lacks {name}");
        }
    }
}

fn limits() -> Vec<(&'static str, String)> {
    let ms = |duration: Duration| (duration.as_micros() / 1_000).to_string();
    let n = |number: usize| number.to_string();
    let l = Limits::default();
    vec![
        ("VERSION", c::VERSION.to_string()),
        ("DEFAULT_PORT", c::DEFAULT_PORT.to_string()),
        ("DEFAULT_ALTERNATE_PORT", c::DEFAULT_ALTERNATE_PORT.to_string()),
        ("MAX_PACKET", n(c::MAX_PACKET)),
        ("MAX_PEER_PACKET", n(c::MAX_PEER_PACKET)),
        ("SEAL_OVERHEAD", n(c::SEAL_OVERHEAD)),
        ("DISCOVER_SIZE", n(c::DISCOVER_SIZE)),
        ("REGISTER_SIZE", n(c::REGISTER_SIZE)),
        ("MAX_REGISTERED", n(c::MAX_REGISTERED)),
        ("PUNCH_SIZE", n(c::PUNCH_SIZE)),
        ("MAX_MESSAGE_1", n(c::MAX_MESSAGE_1)),
        ("MAX_MESSAGE_2", n(c::MAX_MESSAGE_2)),
        ("MAX_DATAGRAM", n(c::MAX_DATAGRAM)),
        ("MAX_DATA", n(c::MAX_DATA)),
        ("MAX_VERSIONS", n(c::MAX_VERSIONS)),
        ("MAX_ALTERNATES", n(c::MAX_ALTERNATES)),
        ("MAX_SERVER_KEYS", n(c::MAX_SERVER_KEYS)),
        ("MAX_EXTENSIONS", n(c::MAX_EXTENSIONS)),
        ("MAX_PRIVATE", n(c::MAX_PRIVATE)),
        ("MAX_CANDIDATES", n(c::MAX_CANDIDATES)),
        ("REGISTRATION_LIFETIME", ms(c::REGISTRATION_LIFETIME)),
        ("REFRESH", ms(c::REFRESH)),
        ("MIN_REFRESH", ms(c::MIN_REFRESH)),
        ("MAX_REFRESH", ms(c::MAX_REFRESH)),
        ("PENDING_LIFETIME", ms(c::PENDING_LIFETIME)),
        ("MAX_PENDING_SOURCES", n(c::MAX_PENDING_SOURCES)),
        ("MOVE_CHECK", ms(c::MOVE_CHECK)),
        ("COOKIE_ROTATION", ms(c::COOKIE_ROTATION)),
        ("RESETS_PER_SECOND", c::RESETS_PER_SECOND.to_string()),
        ("INTRODUCTIONS_PER_SECOND", c::INTRODUCTIONS_PER_SECOND.to_string()),
        ("INTRODUCTIONS_PER_PAIR", c::INTRODUCTIONS_PER_PAIR.to_string()),
        ("INTRODUCTIONS_PER_PAIR_BURST", c::INTRODUCTIONS_PER_PAIR_BURST.to_string()),
        ("MAX_RATES", n(c::MAX_RATES)),
        ("MAX_BINDINGS", n(c::MAX_BINDINGS)),
        ("REQUEST_RETRY", ms(c::REQUEST_RETRY)),
        ("MAX_REQUEST_RETRIES", c::MAX_REQUEST_RETRIES.to_string()),
        ("MAX_REQUESTS", n(c::MAX_REQUESTS)),
        ("MAX_ANSWERS", n(c::MAX_ANSWERS)),
        ("REPLAY_WINDOW", n(c::REPLAY_WINDOW)),
        ("MAX_PATH_NUMBERS", n(c::MAX_PATH_NUMBERS)),
        ("PUNCH_TIMES", c::PUNCH_TIMES.map(|at| at.to_string()).join(" ")),
        ("ATTEMPT_TIMEOUT", ms(c::ATTEMPT_TIMEOUT)),
        ("TCP_ATTEMPT_TIMEOUT", ms(c::TCP_ATTEMPT_TIMEOUT)),
        ("MAX_ATTEMPTS", c::MAX_ATTEMPTS.to_string()),
        ("ATTEMPTS_PER_MINUTE", c::ATTEMPTS_PER_MINUTE.to_string()),
        ("MAX_UNNAMED", n(c::MAX_UNNAMED)),
        ("GUESS_TIMEOUT", ms(c::GUESS_TIMEOUT)),
        ("BIRTHDAY_TIMEOUT", ms(c::BIRTHDAY_TIMEOUT)),
        ("VOLLEY_TIMES", c::VOLLEY_TIMES.map(|at| at.to_string()).join(" ")),
        ("WINDOWS", c::WINDOWS.map(|window| window.to_string()).join(" ")),
        ("MAX_WINDOW", c::MAX_WINDOW.to_string()),
        ("SAMPLES", c::SAMPLES.to_string()),
        ("SAMPLE_RETRY", ms(c::SAMPLE_RETRY)),
        ("MAX_SAMPLE_TRIES", c::MAX_SAMPLE_TRIES.to_string()),
        ("MAX_STEP", c::MAX_STEP.to_string()),
        ("MAX_SHOTS", c::MAX_SHOTS.to_string()),
        ("SHOT_PERIOD", ms(c::SHOT_PERIOD)),
        ("MAX_SHOT_AT", n(c::MAX_SHOT_AT)),
        ("MAX_THROW_AWAY", n(c::MAX_THROW_AWAY)),
        ("BIRTHDAY_SOCKETS", c::BIRTHDAY_SOCKETS.to_string()),
        ("BIRTHDAY_PORTS", c::BIRTHDAY_PORTS.to_string()),
        ("BIRTHDAY_INTERVAL", ms(c::BIRTHDAY_INTERVAL)),
        ("BIRTHDAY_CATCH_UP", ms(c::BIRTHDAY_CATCH_UP)),
        ("BIRTHDAY_SPAN", ms(c::BIRTHDAY_SPAN)),
        ("LOWEST_PORT", c::LOWEST_PORT.to_string()),
        ("LOW_TTL_DELAY", ms(c::LOW_TTL_DELAY)),
        ("MAX_MESSAGE_2_TRIES", c::MAX_MESSAGE_2_TRIES.to_string()),
        ("MAX_EARLY_PUNCHES", n(c::MAX_EARLY_PUNCHES)),
        ("EARLY_PUNCH_LIFETIME", ms(c::EARLY_PUNCH_LIFETIME)),
        ("MAX_PROBES", c::MAX_PROBES.to_string()),
        ("RELAY_PAUSE", n(c::RELAY_PAUSE)),
        ("RELAY_RESUME", n(c::RELAY_RESUME)),
        ("FORWARD_WINDOW", n(c::FORWARD_WINDOW)),
        ("MAX_FORWARDS", n(c::MAX_FORWARDS)),
        ("FORWARD_MEMORY", ms(c::FORWARD_MEMORY)),
        ("RELAY_FULL", n(c::RELAY_FULL)),
        ("RELAY_STALL", ms(c::RELAY_STALL)),
        ("MAX_PROBE_OCTETS", c::MAX_PROBE_OCTETS.to_string()),
        ("PROBE_PERIOD", ms(c::PROBE_PERIOD)),
        ("MAX_PROBED", n(c::MAX_PROBED)),
        ("HEARD_FACTOR", c::HEARD_FACTOR.to_string()),
        ("MAX_HEARD_OCTETS", c::MAX_HEARD_OCTETS.to_string()),
        ("MAX_PATHS", n(c::MAX_PATHS)),
        ("KEEPALIVE", ms(c::KEEPALIVE)),
        ("MAX_UNANSWERED", c::MAX_UNANSWERED.to_string()),
        ("KEEPALIVE_RETRY", ms(c::KEEPALIVE_RETRY)),
        ("KEY_LIFETIME", ms(c::KEY_LIFETIME)),
        ("BUSY_PACKETS", c::BUSY_PACKETS.to_string()),
        ("BUSY_PATIENCE", ms(c::BUSY_PATIENCE)),
        ("BUSY_RETRY", ms(c::BUSY_RETRY)),
        ("MAX_UNANSWERED_BUSY", c::MAX_UNANSWERED_BUSY.to_string()),
        ("KEEPALIVE_STEPS", c::KEEPALIVE_STEPS.map(|step| step.to_string()).join(" ")),
        ("MAX_KEEPALIVE", ms(c::MAX_KEEPALIVE)),
        ("KEEPALIVE_LEAD", ms(c::KEEPALIVE_LEAD)),
        ("ECHO_GRACE", ms(c::ECHO_GRACE)),
        ("MAX_ECHOES", n(c::MAX_ECHOES)),
        ("DIAL_BACK_PATIENCE", ms(c::DIAL_BACK_PATIENCE)),
        ("MAX_DIAL_BACKS", n(c::MAX_DIAL_BACKS)),
        ("DIAL_BACKS_PER_SECOND", c::DIAL_BACKS_PER_SECOND.to_string()),
        ("DIAL_BACKS_BURST", c::DIAL_BACKS_BURST.to_string()),
        ("MAX_SILENCE", ms(c::MAX_SILENCE)),
        ("CONSENT", ms(c::CONSENT)),
        ("DIAL_RETRY_AFTER_RESET", ms(c::DIAL_RETRY_AFTER_RESET)),
        ("DIAL_RETRY", ms(c::DIAL_RETRY)),
        ("DIAL_JITTER", c::DIAL_JITTER.to_string()),
        ("MAX_DIALS", c::MAX_DIALS.to_string()),
        ("FIRST_FRAME", ms(c::FIRST_FRAME)),
        ("MAX_UNPROVED_STREAMS", n(c::MAX_UNPROVED_STREAMS)),
        ("LOSER_LINGER", ms(c::LOSER_LINGER)),
        ("STREAM_WINDOW", n(c::STREAM_WINDOW)),
        ("STREAM_RETRY", ms(c::STREAM_RETRY)),
        ("MAX_STREAM_RETRY", ms(c::MAX_STREAM_RETRY)),
        ("MAX_SESSIONS", n(c::MAX_SESSIONS)),
        ("CHANNEL_UNUSED", ms(c::CHANNEL_UNUSED)),
        ("CHANNEL_USED", ms(c::CHANNEL_USED)),
        ("REGISTER_RETRY", ms(c::REGISTER_RETRY)),
        ("MAX_REGISTER_RETRY", ms(c::MAX_REGISTER_RETRY)),
        ("SERVER_UNREACHABLE", ms(c::SERVER_UNREACHABLE)),
        ("MAX_REGISTRATIONS", n(l.registrations)),
        ("REGISTRATIONS_PER_SOURCE", n(l.registrations_per_source)),
        ("REGISTERS_PER_SECOND", l.registers_per_second.to_string()),
        ("MAX_PENDING", n(l.pending)),
        ("MAX_CHANNELS", n(l.channels)),
        ("CHANNELS_PER_PEER", n(l.channels_per_peer)),
        ("MAX_STREAMS", n(l.streams)),
        ("STREAMS_PER_SOURCE", n(l.streams_per_source)),
        ("COOKIE_ABOVE", l.cookie_above.to_string()),
    ]
}
