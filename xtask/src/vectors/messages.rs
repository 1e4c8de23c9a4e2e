//! Messages inside `Sealed`, and extensions.

use pinhole_proto::constants::{MAX_CANDIDATES, MAX_EXTENSIONS, MAX_MESSAGE_1, MAX_MESSAGE_2, MAX_PRIVATE};
use pinhole_proto::wire::code::message as code;
use pinhole_proto::{Discard, Endpoint, PublicKey};

use super::layout::Body;
use super::{Group, Suite};

pub(super) const SESSION: [u8; 8] = *b"session1";
pub(super) const NONCE: [u8; 8] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7];
const CHANNEL: [u8; 8] = [0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
const REQUEST: [u8; 4] = [0, 0, 0, 7];

pub(super) fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("the endpoint is well spelled")
}

/// The public key of the secret that repeats `octet`.
pub(super) fn key(octet: u8) -> PublicKey {
    pinhole_proto::noise::public_key(&pinhole_proto::noise::Dalek, &[octet; 32])
}

/// A message around `content`.
fn framed(code: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("the content fits");
    [&[code], length.to_be_bytes().as_slice(), content].concat()
}

/// A request or an answer around `body`.
fn controlled(code: u8, body: &[u8]) -> Vec<u8> {
    framed(code, &[REQUEST.as_slice(), body].concat())
}

pub(super) fn suite() -> Suite {
    let mut groups: Vec<Group> =
        bodies().into_iter().map(|(name, code, bodies)| control(name, code, &bodies)).collect();
    groups.push(datagram());
    groups.push(data());
    groups.push(ack());
    groups.push(extensions());
    groups.push(sequences());
    Suite { name: "messages", groups }
}

type Row = (&'static str, u8, Vec<(&'static str, Body)>);

/// Requests and answers with one or more bodies each; the first one is varied.
fn bodies() -> Vec<Row> {
    let b = Body::default;
    let v4 = endpoint("155.99.25.11:62000");
    let v6 = endpoint("[2001:db8::7]:31000");
    let (alice, bob) = (key(1), key(2));
    let full: Vec<Endpoint> = (1..=8).map(|n| endpoint(&format!("[2001:db8::{n}]:{n}"))).collect();
    let check = |at| b().fixed(&NONCE).endpoint("observed", at);
    let empty = || vec![("no content", b())];
    let refresh = |private: &[Endpoint], policy, disclose, relay, moved| {
        b().endpoints("private", private, MAX_PRIVATE)
            .octet(policy)
            .boolean("disclose", disclose)
            .boolean("relay", relay)
            .boolean("moved", moved)
    };
    let connect = |versions: &[u8], message_1: &[u8]| {
        b().key("target", &bob).fixed(&SESSION).octet(1).versions(versions).octet_list(
            "message_1",
            message_1,
            MAX_MESSAGE_1,
        )
    };
    let channel = |body: Body, channel: Option<[u8; 8]>| match channel {
        None => body.boolean("channel", false),
        Some(octets) => body.boolean("channel", true).fixed(&octets),
    };
    let round_trips =
        |body: Body, own, other| body.integer("own_round_trip", 32, own).integer("other_round_trip", 32, other);
    let introduced = |candidates: &[Endpoint], id, own, other| {
        let body = b().octet(1).endpoints("candidates", candidates, MAX_CANDIDATES);
        round_trips(channel(body, id), own, other)
    };
    let introduce = |candidates: &[Endpoint], id, message_1: &[u8]| {
        let body = b().key("initiator", &alice).fixed(&SESSION).octet(1).versions(&[1]).endpoints(
            "candidates",
            candidates,
            MAX_CANDIDATES,
        );
        round_trips(channel(body, id), 0, 25).octet_list("message_1", message_1, MAX_MESSAGE_1)
    };
    let answer = |message_2: &[u8]| b().octet_list("message_2", message_2, MAX_MESSAGE_2);
    let answered = |candidates: &[Endpoint], message_2: &[u8]| {
        b().fixed(&SESSION).endpoints("candidates", candidates, MAX_CANDIDATES).octet_list(
            "message_2",
            message_2,
            MAX_MESSAGE_2,
        )
    };
    let attempt = |body: Body, width, candidates: &[Endpoint], forecast: Option<(u8, Endpoint, u64)>| {
        let body = body.integer("width", 16, width).octet(2).endpoints("candidates", candidates, MAX_CANDIDATES);
        match forecast {
            None => body.boolean("forecast", false),
            Some((allocation, at, step)) => {
                body.boolean("forecast", true).octet(allocation).endpoint("endpoint", at).integer("step", 16, step)
            }
        }
    };
    let numbered = |number| b().integer("number", 16, number);
    let taken = |accepted| b().boolean("accepted", accepted);
    vec![
        ("PathCheck", code::PATH_CHECK, vec![("IPv4", check(v4)), ("IPv6", check(v6))]),
        ("PathReply", code::PATH_REPLY, vec![("IPv6", check(v6)), ("IPv4", check(v4))]),
        ("Acknowledge", code::ACKNOWLEDGE, empty()),
        (
            "Refuse",
            code::REFUSE,
            vec![
                ("limited", b().octet(3)),
                ("a code that no registry assigns", b().octet(200)),
                ("GREASE", b().octet(138)),
            ],
        ),
        (
            "Refresh",
            code::REFRESH,
            vec![
                ("one private endpoint", refresh(&[endpoint("10.0.0.1:1234")], 2, true, true, false)),
                ("nothing to tell", refresh(&[], 0, false, false, true)),
                ("the most private endpoints", refresh(&full[..4], 1, true, false, false)),
                ("GREASE policy", refresh(&[], 138, false, false, false)),
            ],
        ),
        (
            "Refreshed",
            code::REFRESHED,
            vec![
                (
                    "120 s and 25 s",
                    b().integer("lifetime", 16, 120).integer("interval", 16, 25).endpoint("observed", v4),
                ),
                (
                    "the largest numbers",
                    b().integer("lifetime", 16, 0xffff).integer("interval", 16, 0xffff).endpoint("observed", v6),
                ),
                (
                    "128 takes two octets",
                    b().integer("lifetime", 16, 128).integer("interval", 16, 127).endpoint("observed", v4),
                ),
            ],
        ),
        ("Unregister", code::UNREGISTER, empty()),
        ("Replaced", code::REPLACED, empty()),
        ("Echo", code::ECHO, vec![("28 s", b().octet(28)), ("at once", b().octet(0)), ("the longest", b().octet(255))]),
        (
            "Connect",
            code::CONNECT,
            vec![
                ("a short message 1", connect(&[1], &[0x11, 0x12, 0x13])),
                ("the longest message 1", connect(&[1], &[0x11; MAX_MESSAGE_1])),
                ("no versions and an empty message 1", connect(&[], &[])),
                ("eight versions, some GREASE", connect(&[1, 0x0a, 0x1a, 4, 5, 6, 7, 8], &[0x11])),
            ],
        ),
        (
            "Introduced",
            code::INTRODUCED,
            vec![
                ("one candidate and a channel", introduced(&[endpoint("138.76.29.7:31000")], Some(CHANNEL), 1, 2)),
                ("neither candidate nor channel", introduced(&[], None, 0, 0)),
                ("the most candidates, long round trips", introduced(&full, Some(CHANNEL), 0xffff_ffff, 200_000)),
            ],
        ),
        (
            "Introduce",
            code::INTRODUCE,
            vec![
                ("one candidate and a channel", introduce(&[v4], Some(CHANNEL), &[0x11, 0x12])),
                ("neither candidate nor channel", introduce(&[], None, &[])),
                (
                    "the most candidates and the longest message 1",
                    introduce(&full, Some(CHANNEL), &[0x11; MAX_MESSAGE_1]),
                ),
            ],
        ),
        (
            "Answer",
            code::ANSWER,
            vec![
                ("a short message 2", answer(&[0x21, 0x22])),
                ("the longest message 2", answer(&[0x21; MAX_MESSAGE_2])),
                ("128 octets: the length takes two", answer(&[0x21; 128])),
            ],
        ),
        (
            "Answered",
            code::ANSWERED,
            vec![
                ("one candidate", answered(&[endpoint("138.76.29.7:31000")], &[0x21, 0x22])),
                ("the most of all", answered(&full, &[0x21; MAX_MESSAGE_2])),
            ],
        ),
        (
            "Rejected",
            code::REJECTED,
            vec![("refused", b().fixed(&SESSION).octet(2)), ("a private code", b().fixed(&SESSION).octet(250))],
        ),
        (
            "RelayOpen",
            code::RELAY_OPEN,
            vec![
                ("UDP", b().fixed(&SESSION).key("peer", &bob).octet(1)),
                ("TCP", b().fixed(&SESSION).key("peer", &alice).octet(2)),
            ],
        ),
        ("RelayOpened", code::RELAY_OPENED, vec![("a channel", b().fixed(&CHANNEL))]),
        ("Select", code::SELECT, empty()),
        (
            "Attempt",
            code::ATTEMPT,
            vec![
                (
                    "ports that follow each other",
                    attempt(numbered(2).octet(1).integer("delay", 16, 0), 8, &[v4], Some((1, v4, 1))),
                ),
                ("nothing to tell", attempt(numbered(0xffff).octet(0).integer("delay", 16, 0), 0, &[], None)),
                (
                    "the most candidates and descending ports",
                    attempt(numbered(128).octet(4).integer("delay", 16, 1_500), 64, &full, Some((1, v6, 0xffff))),
                ),
                (
                    "a strategy that no registry assigns",
                    attempt(numbered(1).octet(77).integer("delay", 16, 0xffff), 0xffff, &[], Some((9, v4, 0))),
                ),
                ("GREASE", attempt(numbered(1).octet(138).integer("delay", 16, 0), 0, &[], Some((138, v4, 0)))),
            ],
        ),
        (
            "Attempted",
            code::ATTEMPTED,
            vec![
                ("ports that follow each other", attempt(taken(true), 8, &[v4], Some((1, v4, 2)))),
                ("refused", attempt(taken(false), 0, &[], None)),
                ("the most candidates and random ports", attempt(taken(true), 1_180, &full, Some((2, v6, 0)))),
            ],
        ),
        ("Close", code::CLOSE, empty()),
        (
            "Finish",
            code::FINISH,
            vec![
                ("an empty stream", b().integer("offset", 64, 0)),
                ("2^53 and one", b().integer("offset", 64, (1 << 53) + 1)),
                ("the largest", b().integer("offset", 64, u64::MAX)),
            ],
        ),
    ]
}

fn control(name: &'static str, code: u8, bodies: &[(&str, Body)]) -> Group {
    let mut group = Group::new("Messages", name);
    let frame = |body: &[u8]| controlled(code, body);
    for (comment, body) in bodies {
        let flag = if ["most", "longest", "eight"].iter().any(|word| comment.contains(word)) {
            "BoundaryList"
        } else if comment.contains("GREASE") {
            "Grease"
        } else if ["no registry", "private code"].iter().any(|word| comment.contains(word)) {
            "CodeOpen"
        } else {
            "Ordinary"
        };
        group.canonical(flag, format!("{name}: {comment}"), &frame(&body.octets));
    }
    let (_, body) = &bodies[0];
    body.cut_short(&mut group, name, frame);
    body.spell_wrongly(&mut group, name, frame);
    surround(&mut group, name, &body.octets, frame);
    for length in 0..4 {
        group.invalid(
            "MessageTooShort",
            format!("{name}: {length} octets of the request id"),
            Discard::TooShort,
            &framed(code, &REQUEST[..length]),
        );
    }
    let mut longer = frame(&body.octets);
    longer[2] += 1;
    group.invalid("MessageTooShort", format!("{name}: the length claims one octet more"), Discard::TooShort, &longer);
    group
}

/// Adds what may and may not stand behind a body.
pub(super) fn surround(group: &mut Group, name: &str, body: &[u8], frame: impl Fn(&[u8]) -> Vec<u8>) {
    let with = |more: &[u8]| frame(&[body, more].concat());
    group.invalid("Trailing", format!("{name}: one trailing octet"), Discard::ExtensionMalformed, &with(&[0]));
    group.invalid(
        "UnknownCriticalExtension",
        format!("{name}: an unknown extension that must be understood"),
        Discard::ExtensionUnknown,
        &with(&[0, 1, 0, 0]),
    );
    let canonical = group.valid(
        "Grease",
        format!("{name}: a GREASE extension that may be ignored"),
        &with(&[0x8a, 0x8a, 0, 2, 0xfe, 0xed]),
    );
    assert_eq!(canonical, frame(body));
}

fn datagram() -> Group {
    let mut group = Group::new("Messages", "Datagram");
    let frame = |octets: &[u8]| framed(code::DATAGRAM, octets);
    group.canonical("Minimal", "an empty datagram", &frame(&[]));
    group.canonical("Ordinary", "five octets", &frame(b"hello"));
    group.canonical("BoundarySize", "the longest datagram", &frame(&[0x5a; pinhole_proto::constants::MAX_DATAGRAM]));
    group.canonical("Ordinary", "octets that look like an extension are content", &frame(&[0, 1, 0, 0]));
    let whole = frame(b"hello");
    for length in 0..whole.len() {
        group.invalid(
            "MessageTooShort",
            format!("{length} of {} octets", whole.len()),
            Discard::TooShort,
            &whole[..length],
        );
    }
    group
}

fn data() -> Group {
    let mut group = Group::new("Messages", "Data");
    let frame = |offset: u64, octets: &[u8]| framed(code::DATA, &[offset.to_be_bytes().as_slice(), octets].concat());
    group.canonical("Minimal", "an offset and no octets", &frame(0, &[]));
    group.canonical("Ordinary", "five octets at 2^53 plus 1", &frame((1 << 53) + 1, b"hello"));
    group.canonical("Ordinary", "the largest offset", &frame(u64::MAX, b"x"));
    group.canonical("BoundarySize", "the most octets", &frame(9, &[0x5a; pinhole_proto::constants::MAX_DATA]));
    for length in 0..8 {
        group.invalid(
            "MessageTooShort",
            format!("{length} octets of the offset"),
            Discard::TooShort,
            &framed(code::DATA, &[0; 8][..length]),
        );
    }
    group
}

fn ack() -> Group {
    let mut group = Group::new("Messages", "Ack");
    let frame = |body: &[u8]| framed(code::ACK, body);
    let body = Body::default().integer("next", 64, 5).integer("window", 32, 100);
    group.canonical("Ordinary", "next 5, window 100", &frame(&body.octets));
    let largest = Body::default().integer("next", 64, u64::MAX).integer("window", 32, u64::from(u32::MAX));
    group.canonical("Ordinary", "the largest numbers", &frame(&largest.octets));
    body.cut_short(&mut group, "Ack", frame);
    largest.cut_short(&mut group, "Ack with the largest numbers", frame);
    body.spell_wrongly(&mut group, "Ack", frame);
    surround(&mut group, "Ack", &body.octets, frame);
    group
}

fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("the value fits");
    [kind.to_be_bytes().as_slice(), &length.to_be_bytes(), value].concat()
}

/// Extensions, behind an Acknowledge.
fn extensions() -> Group {
    let mut group = Group::new("Messages", "extensions");
    let frame = |more: &[u8]| controlled(code::ACKNOWLEDGE, more);
    let ignorable = |count: usize| -> Vec<u8> {
        (0..count).flat_map(|n| extension(0x9000 + u16::try_from(n).unwrap_or(0), &[n as u8])).collect()
    };
    for (flag, comment, octets) in [
        ("Ordinary", "padding of no octets", extension(0x8001, &[])),
        ("Ordinary", "padding of 40 octets", extension(0x8001, &[0; 40])),
        ("Ordinary", "padding need not be zeros", extension(0x8001, &[1, 2, 3])),
        ("IgnorableExtension", "the smallest ignorable type", extension(0x8000, &[1])),
        ("IgnorableExtension", "the largest type, which is private", extension(0xffff, &[1])),
        (
            "Grease",
            "padding and two GREASE types, ascending",
            [extension(0x8001, &[0]), extension(0x8a8a, &[]), extension(0x9a9a, &[7; 9])].concat(),
        ),
        ("BoundaryList", "the most extensions", ignorable(MAX_EXTENSIONS)),
    ] {
        group.valid(flag, comment, &frame(&octets));
    }
    for (flag, comment, octets) in [
        ("Trailing", "two octets", vec![0x80, 0x01]),
        ("Trailing", "three octets", vec![0x80, 0x01, 0]),
        ("ExtensionOverrun", "a value of two octets, one follows", vec![0x80, 0x01, 0, 2, 0]),
        ("ExtensionOverrun", "a value of 65,535 octets, none follows", vec![0x80, 0x01, 0xff, 0xff]),
        ("ExtensionOverrun", "the second one is cut short", [extension(0x8001, &[]), vec![0x80, 0x02, 0, 1]].concat()),
        ("Trailing", "one octet behind an extension", [extension(0x8001, &[]), vec![0]].concat()),
        ("DuplicateExtension", "padding twice", [extension(0x8001, &[]), extension(0x8001, &[])].concat()),
        (
            "DuplicateExtension",
            "an ignorable type twice, with different values",
            [extension(0x9a9a, &[1]), extension(0x9a9a, &[2])].concat(),
        ),
        ("UnsortedExtension", "descending", [extension(0x8a8a, &[]), extension(0x8001, &[])].concat()),
        (
            "UnsortedExtension",
            "one that must be understood behind one that need not be",
            [extension(0x8001, &[]), extension(0x0001, &[])].concat(),
        ),
        ("ListTooLong", "one extension more than the maximum", ignorable(MAX_EXTENSIONS + 1)),
        (
            "ExtensionOverrun",
            "an unknown one that must be understood, cut short: its structure is looked at first",
            vec![0, 1, 0, 1],
        ),
    ] {
        group.invalid(flag, comment, Discard::ExtensionMalformed, &frame(&octets));
    }
    for (comment, octets) in [
        ("type 0", extension(0, &[])),
        ("type 0x7fff, which is private", extension(0x7fff, &[1])),
        ("first unknown, then malformed: the first failure wins", [extension(1, &[]), vec![9]].concat()),
    ] {
        group.invalid("UnknownCriticalExtension", comment, Discard::ExtensionUnknown, &frame(&octets));
    }
    group
}

/// Codes that version 1 does not have, and several messages in a row.
fn sequences() -> Group {
    let mut group = Group::new("Messages", "sequences");
    let acknowledge = controlled(code::ACKNOWLEDGE, &[]);
    let datagram = framed(code::DATAGRAM, b"x");
    group.invalid("MessageTooShort", "no message", Discard::TooShort, &[]);
    group.canonical("Ordinary", "an answer and a datagram", &[acknowledge.clone(), datagram.clone()].concat());
    group.canonical("Ordinary", "forty datagrams", &datagram.repeat(40));
    for code in [0x80, 0x8a, 0x9a, 0xef, 0xf0, 0xff] {
        let flag = if matches!(code, 0x8a | 0x9a) { "Grease" } else { "MessageUnknown" };
        group.valid(flag, format!("code 0x{code:02x} is skipped"), &framed(code, &[1, 2, 3]));
    }
    group.valid(
        "MessageUnknown",
        "a skipped message between two others",
        &[acknowledge.clone(), framed(0x8a, &[9; 5]), datagram.clone()].concat(),
    );
    for code in [0x00, 0x05, 0x0f, 0x15, 0x1e, 0x22, 0x35, 0x3b, 0x70, 0x7f] {
        group.invalid(
            "MessageUnknown",
            format!("code 0x{code:02x} must be understood"),
            Discard::MessageUnexpected,
            &controlled(code, &[]),
        );
    }
    group.invalid(
        "MessageUnknown",
        "an unknown code with less than a request id: the request id is looked at first",
        Discard::TooShort,
        &framed(0x3b, &[0; 3]),
    );
    group.invalid(
        "MessageUnknown",
        "the second message is unknown",
        Discard::MessageUnexpected,
        &[datagram.clone(), controlled(0x05, &[])].concat(),
    );
    group.invalid(
        "MessageTooShort",
        "one octet behind a message",
        Discard::TooShort,
        &[acknowledge.clone(), vec![0]].concat(),
    );
    group.invalid("MessageTooShort", "an ignorable message is cut short", Discard::TooShort, &[0x8a, 0, 2, 1]);
    group
}
