//! Packets and keys.

use pinhole_proto::constants::{
    DISCOVER_SIZE, MAX_ALTERNATES, MAX_PACKET, MAX_REGISTERED, MAX_SERVER_KEYS, MAX_VERSIONS, PUNCH_SIZE, REGISTER_SIZE,
};
use pinhole_proto::{Discard, Endpoint};

use super::layout::{Body, not_canonical, weak};
use super::messages::{NONCE, SESSION, endpoint, key, surround};
use super::{Group, Suite};

const TRANSACTION: [u8; 16] =
    [0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98, 0xa9, 0xba, 0xcb, 0xdc, 0xed, 0xfe, 0x0f];
const COOKIE: [u8; 16] = [0xcc; 16];
const INDEX: [u8; 4] = [1, 2, 3, 4];

pub(super) fn suite() -> Suite {
    Suite {
        name: "packets",
        groups: vec![
            discover(),
            discovered(),
            register(),
            registered(),
            punch(),
            punch_reply(),
            sealed(),
            relayed(),
            reset(),
            any(),
        ],
    }
}

fn padded(mut octets: Vec<u8>, size: usize) -> Vec<u8> {
    octets.resize(size, 0);
    octets
}

fn changed(octets: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut octets = octets.to_vec();
    assert_ne!(octets[at], value, "a change changes something");
    octets[at] = value;
    octets
}

/// Adds lengths that a kind with one length does not have.
fn one_size(group: &mut Group, valid: &[u8], before: &[usize]) {
    let mut shorter: Vec<usize> = before.to_vec();
    shorter.extend([2, 3, valid.len() - 1]);
    shorter.sort_unstable();
    shorter.dedup();
    for length in shorter {
        group.invalid("SizeWrong", format!("{length} of {} octets", valid.len()), Discard::TooShort, &valid[..length]);
    }
    for more in [1, 2, MAX_PACKET - valid.len()] {
        group.invalid(
            "SizeWrong",
            format!("{more} octets too many"),
            Discard::TooLong,
            &padded(valid.to_vec(), valid.len() + more),
        );
    }
}

/// Adds versions that a kind does not have.
fn versions(group: &mut Group, valid: &[u8]) {
    for version in [0, 1, 2, 0x0a, 0xff] {
        if version != valid[1] {
            group.invalid(
                "VersionUnsupported",
                format!("version {version}"),
                Discard::VersionUnsupported,
                &changed(valid, 1, version),
            );
        }
    }
}

fn reserved(group: &mut Group, valid: &[u8]) {
    for (at, value) in [(2, 1), (3, 1), (2, 0xff), (3, 0x80)] {
        group.invalid(
            "ReservedNotZero",
            format!("octet {at} is {value}"),
            Discard::ReservedNotZero,
            &changed(valid, at, value),
        );
    }
}

fn padding(group: &mut Group, valid: &[u8], from: usize) {
    for at in [from, from + 1, valid.len() - 1] {
        group.invalid("PaddingNotZero", format!("octet {at} is 1"), Discard::PaddingNotZero, &changed(valid, at, 1));
    }
}

fn magic(group: &mut Group, valid: &[u8]) {
    for at in 2..6 {
        group.invalid("MagicWrong", format!("octet {at} is 0"), Discard::MagicWrong, &changed(valid, at, 0));
    }
}

fn discovery(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], b"PNCH".as_slice(), &TRANSACTION, body].concat()
}

fn discover() -> Group {
    let mut group = Group::new("Packet", "Discover");
    let frame = |body: &[u8]| padded(discovery(0x04, body), DISCOVER_SIZE);
    let body = |versions: &[u8], reply_from| Body::default().versions(versions).octet(reply_from);
    let ordinary = body(&[1], 0);
    let valid = frame(&ordinary.octets);
    group.canonical("Ordinary", "version 1", &valid);
    group.canonical("Grease", "version 1 and GREASE", &frame(&body(&[1, 0x0a], 0).octets));
    group.canonical(
        "BoundaryList",
        "the most versions, from the other address and port",
        &frame(&body(&[1, 2, 3, 4, 5, 6, 7, 8], 3).octets),
    );
    group.canonical("Ordinary", "from the other port", &frame(&body(&[1], 1).octets));
    group.canonical("Ordinary", "from the other address", &frame(&body(&[1], 2).octets));
    group.invalid("EmptyList", "no version", Discard::BodyMalformed, &frame(&body(&[], 0).octets));
    for reply_from in [4, 7, 0x80, 0xff] {
        group.invalid(
            "ReplyFromOutOfRange",
            format!("reply from {reply_from}"),
            Discard::BodyMalformed,
            &frame(&body(&[1], reply_from).octets),
        );
    }
    ordinary.spell_wrongly(&mut group, "Discover", frame);
    one_size(&mut group, &valid, &[6, 22, 23, 25]);
    versions(&mut group, &valid);
    magic(&mut group, &valid);
    padding(&mut group, &valid, 25);
    group.invalid(
        "SizeWrong",
        "too short and no magic: the length is looked at first",
        Discard::TooShort,
        &changed(&valid[..100], 2, 0),
    );
    group.invalid(
        "PaddingNotZero",
        "an extension: Discover has none",
        Discard::PaddingNotZero,
        &padded([&valid[..25], &[0x80, 0x01, 0, 0]].concat(), DISCOVER_SIZE),
    );
    group
}

fn discovered() -> Group {
    let mut group = Group::new("Packet", "Discovered");
    let frame = |body: &[u8]| discovery(0x05, body);
    let body = |versions: &[u8], observed: &str, alternates: &[Endpoint], keys: &[u8]| {
        let body = Body::default().versions(versions).masked("observed", endpoint(observed), TRANSACTION).length(
            "alternates",
            alternates.len(),
            MAX_ALTERNATES,
            7,
        );
        let body = alternates.iter().fold(body, |body, &alternate| body.masked("alternates", alternate, TRANSACTION));
        let body = body.length("keys", keys.len(), MAX_SERVER_KEYS, 32);
        keys.iter().fold(body, |body, &octet| body.key("keys", &key(octet))).fixed(&COOKIE)
    };
    let ordinary = body(&[1], "155.99.25.11:62000", &[endpoint("18.181.0.31:4654")], &[3]);
    let valid = frame(&ordinary.octets);
    group.canonical("Ordinary", "IPv4, one alternate", &valid);
    group.canonical("Minimal", "no alternate", &frame(&body(&[1], "192.0.2.1:1", &[], &[3]).octets));
    group.canonical("Ordinary", "IPv6, two keys", &frame(&body(&[1], "[2001:db8::1]:62000", &[], &[3, 4]).octets));
    group.canonical(
        "BoundaryList",
        "the most alternates, versions with GREASE",
        &frame(
            &body(
                &[1, 0x1a],
                "[2001:db8::1]:62000",
                &[endpoint("18.181.0.31:4654"), endpoint("18.181.0.32:4653"), endpoint("[2001:db8::53]:4654")],
                &[3],
            )
            .octets,
        ),
    );
    group.canonical("Ordinary", "an observed endpoint that the mask turns into ::ffff:0:0/96", &{
        let mut v6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4];
        for (octet, mask) in v6.iter_mut().zip(TRANSACTION) {
            *octet ^= mask;
        }
        let observed = Endpoint::new(std::net::IpAddr::from(v6), 9);
        frame(&body(&[1], &observed.to_string(), &[], &[3]).octets)
    });
    let dialled = |value: &[u8]| {
        let extension = [&[0x80, 0x02, 0, value.len() as u8], value].concat();
        [&valid[..], &extension].concat()
    };
    group.canonical("DialBack", "the server's dial was refused", &dialled(&[2]));
    group.canonical("DialBack", "a code without meaning", &dialled(&[9]));
    group.valid("DialBack", "of two octets: as if it were not there", &dialled(&[2, 2]));
    group.valid("DialBack", "of none", &dialled(&[]));
    group.invalid(
        "EmptyList",
        "no version",
        Discard::BodyMalformed,
        &frame(&body(&[], "192.0.2.1:1", &[], &[3]).octets),
    );
    group.invalid("EmptyList", "no key", Discard::BodyMalformed, &frame(&body(&[1], "192.0.2.1:1", &[], &[]).octets));
    group.invalid(
        "EmptyList",
        "no key, and a trailing octet: the body is looked at first",
        Discard::BodyMalformed,
        &frame(&[body(&[1], "192.0.2.1:1", &[], &[]).octets, vec![0]].concat()),
    );
    group.invalid(
        "ListTooLong",
        "three keys",
        Discard::BodyMalformed,
        &frame(&body(&[1], "192.0.2.1:1", &[], &[3, 4, 5]).octets),
    );
    ordinary.cut_short(&mut group, "Discovered", frame);
    ordinary.spell_wrongly(&mut group, "Discovered", frame);
    surround(&mut group, "Discovered", &ordinary.octets, frame);
    for length in 2..22 {
        group.invalid("SizeWrong", format!("{length} octets"), Discard::TooShort, &valid[..length]);
    }
    let long = |size: usize| {
        let value = u16::try_from(size - valid.len() - 4).unwrap_or(0).to_be_bytes();
        padded([valid.as_slice(), &[0x80, 0x01], &value].concat(), size)
    };
    group.valid("BoundarySize", "padded to the most octets", &long(DISCOVER_SIZE));
    for size in [DISCOVER_SIZE + 1, MAX_PACKET] {
        group.invalid("SizeWrong", format!("{size} octets"), Discard::TooLong, &long(size));
    }
    versions(&mut group, &valid);
    magic(&mut group, &valid);
    group
}

fn counted(octets: &[u8]) -> Vec<u8> {
    let length = u16::try_from(octets.len()).expect("the part fits");
    [length.to_be_bytes().as_slice(), octets].concat()
}

fn register() -> Group {
    let mut group = Group::new("Packet", "Register");
    let lists = |offered: &[u8], answered: &[u8]| {
        Body::default().octet_list("offered", offered, MAX_VERSIONS).octet_list("answered", answered, MAX_VERSIONS)
    };
    let with = |cookie: [u8; 16], lists: &[u8], message_1: &[u8]| {
        let head = [&[0x06, 1, 0, 0], INDEX.as_slice(), &cookie, lists, &counted(message_1)].concat();
        padded(head, REGISTER_SIZE)
    };
    let ordinary = lists(&[1], &[1]);
    let one = &ordinary.octets;
    let valid = with(COOKIE, one, &[0x11; 96]);
    group.canonical("Ordinary", "with a cookie", &valid);
    let none = lists(&[], &[]).octets;
    group.canonical("Ordinary", "without Discover: no cookie and no lists", &with([0; 16], &none, &[0x11; 96]));
    let grease = lists(&[1, 0x0a], &[0x1a, 1]).octets;
    group.canonical("Grease", "GREASE versions", &with(COOKIE, &grease, &[0x11; 96]));
    let most = lists(&[1, 2, 3, 4, 5, 6, 7, 8], &[8, 7, 6, 5, 4, 3, 2, 1]).octets;
    group.canonical("BoundaryList", "the most versions", &with(COOKIE, &most, &[0x11; 96]));
    group.canonical("Minimal", "an empty message 1, which no handshake accepts", &with(COOKIE, one, &[]));
    group.canonical("BoundarySize", "message 1 up to the end", &with(COOKIE, one, &[0x11; 226]));
    ordinary.spell_wrongly(&mut group, "Register", |body| with(COOKIE, body, &[0x11; 96]));
    one_size(&mut group, &valid, &[4, 8, 24, 28, 30, 126]);
    versions(&mut group, &valid);
    reserved(&mut group, &valid);
    padding(&mut group, &valid, 126);
    for (at, value) in [(29, 227), (28, 1), (28, 0xff)] {
        group.invalid(
            "CountedOverrun",
            format!("octet {at} of the length is {value}"),
            Discard::TooShort,
            &changed(&valid, at, value),
        );
    }
    group.invalid(
        "PaddingNotZero",
        "the length of message 1 is one less: its last octet becomes padding",
        Discard::PaddingNotZero,
        &changed(&valid, 29, 95),
    );
    group.invalid(
        "ReservedNotZero",
        "reserved and padding are wrong: the reserved octets are looked at first",
        Discard::ReservedNotZero,
        &changed(&changed(&valid, 3, 1), 200, 1),
    );
    group.invalid(
        "ListTooLong",
        "a list and the length behind it are wrong: the body is looked at first",
        Discard::BodyMalformed,
        &changed(&changed(&valid, 24, 9), 28, 0xff),
    );
    group
}

fn registered() -> Group {
    let mut group = Group::new("Packet", "Registered");
    let with =
        |message_2: &[u8], sealed: &[u8]| [&[0x07, 1, 0, 0], INDEX.as_slice(), &counted(message_2), sealed].concat();
    let sealed = [&[0x0a, 1, 0, 0, 1, 2, 3, 4], [0; 8].as_slice(), &[0x55; 38]].concat();
    let valid = with(&[0x22; 68], &sealed);
    group.canonical("Ordinary", "message 2 and a sealed packet", &valid);
    group.canonical("Minimal", "nothing in it, which no peer accepts", &with(&[], &[]));
    group.canonical("BoundarySize", "the most octets", &with(&[0x22; 68], &[0x55; MAX_REGISTERED - 78]));
    for size in [MAX_REGISTERED + 1, MAX_PACKET] {
        group.invalid("SizeWrong", format!("{size} octets"), Discard::TooLong, &padded(valid.clone(), size));
    }
    for length in 2..10 {
        group.invalid("SizeWrong", format!("{length} octets"), Discard::TooShort, &valid[..length]);
    }
    for (at, value) in [(9, 200), (8, 1)] {
        group.invalid(
            "CountedOverrun",
            format!("octet {at} of the length is {value}"),
            Discard::TooShort,
            &changed(&valid, at, value),
        );
    }
    versions(&mut group, &valid);
    reserved(&mut group, &valid);
    group
}

fn punch() -> Group {
    let mut group = Group::new("Packet", "Punch");
    let head = [&[0x08, 1], SESSION.as_slice(), &NONCE, &[0x33; 16]].concat();
    let valid = padded(head, PUNCH_SIZE);
    group.canonical("Ordinary", "a punch", &valid);
    one_size(&mut group, &valid, &[10, 18, 34]);
    versions(&mut group, &valid);
    padding(&mut group, &valid, 34);
    group
}

fn punch_reply() -> Group {
    let mut group = Group::new("Packet", "PunchReply");
    let with = |message_2: &[u8], sealed: &[u8]| [&[0x09, 1], SESSION.as_slice(), &counted(message_2), sealed].concat();
    let valid = with(&[0x22; 60], &[0x55; 70]);
    group.canonical("Ordinary", "message 2 and a sealed packet", &valid);
    group.canonical("Minimal", "nothing in it, which no peer accepts", &with(&[], &[]));
    group.canonical("BoundarySize", "the most octets", &with(&[0x22; 140], &[0x55; PUNCH_SIZE - 152]));
    for size in [PUNCH_SIZE + 1, MAX_PACKET] {
        group.invalid("SizeWrong", format!("{size} octets"), Discard::TooLong, &padded(valid.clone(), size));
    }
    for length in 2..12 {
        group.invalid("SizeWrong", format!("{length} octets"), Discard::TooShort, &valid[..length]);
    }
    for (at, value) in [(11, 131), (10, 1)] {
        group.invalid(
            "CountedOverrun",
            format!("octet {at} of the length is {value}"),
            Discard::TooShort,
            &changed(&valid, at, value),
        );
    }
    versions(&mut group, &valid);
    group
}

fn sealed() -> Group {
    let mut group = Group::new("Packet", "Sealed");
    let with = |counter: u64, ciphertext: usize| {
        let head = [&[0x0a, 1, 0, 0], INDEX.as_slice(), &counter.to_be_bytes()].concat();
        padded(head, 16 + ciphertext)
    };
    let valid = with((2 << 48) + 5, 30);
    group.canonical("Ordinary", "path 2, packet 5", &valid);
    group.canonical("Minimal", "a tag and nothing else", &with(0, 16));
    group.canonical("BoundarySize", "the longest packet", &with(u64::MAX, MAX_PACKET - 16));
    for length in 2..16 {
        group.invalid("SizeWrong", format!("{length} octets"), Discard::TooShort, &valid[..length]);
    }
    for length in [16, 17, 24, 31] {
        group.invalid("SizeWrong", format!("{length} octets: no tag"), Discard::TooShort, &valid[..length]);
    }
    group.invalid(
        "ReservedNotZero",
        "no tag, and a reserved octet: the reserved octets are looked at first",
        Discard::ReservedNotZero,
        &changed(&valid[..20], 2, 1),
    );
    versions(&mut group, &valid);
    reserved(&mut group, &valid);
    group
}

fn relayed() -> Group {
    let mut group = Group::new("Packet", "Relayed");
    let with = |length: usize| [&[0x0b, 1], [0xc0; 8].as_slice(), &vec![0x0a; length]].concat();
    group.canonical("Ordinary", "32 octets", &with(32));
    group.canonical("Minimal", "one octet", &with(1));
    group.canonical("BoundarySize", "the longest packet", &with(MAX_PACKET - 10));
    let valid = with(1);
    for length in 2..11 {
        group.invalid("SizeWrong", format!("{length} octets"), Discard::TooShort, &valid[..length]);
    }
    group.invalid("SizeWrong", "one octet too many", Discard::TooLong, &with(MAX_PACKET - 9));
    versions(&mut group, &valid);
    group
}

fn reset() -> Group {
    let mut group = Group::new("Packet", "Reset");
    let valid = [&[0x0c, 1], INDEX.as_slice(), &[0x77; 16]].concat();
    group.canonical("Ordinary", "a reset", &valid);
    one_size(&mut group, &valid, &[4, 6, 10, 21]);
    versions(&mut group, &valid);
    group
}

/// Whatever the kind.
fn any() -> Group {
    let mut group = Group::new("Packet", "any kind");
    group.invalid("SizeWrong", "no octet", Discard::TooShort, &[]);
    group.invalid("SizeWrong", "a kind without a version", Discard::TooShort, &[0x0a]);
    group.invalid("SizeWrong", "an unknown kind without a version", Discard::TooShort, &[0xff]);
    for kind in 0x04..=0x0c {
        let version = u8::from(kind > 0x05);
        group.invalid(
            "SizeWrong",
            format!("1,201 octets of kind 0x{kind:02x}"),
            Discard::TooLong,
            &padded(vec![kind, version], MAX_PACKET + 1),
        );
    }
    group.invalid(
        "SizeWrong",
        "1,201 octets of an unknown kind: the length is looked at first",
        Discard::TooLong,
        &padded(vec![0xff, 9], MAX_PACKET + 1),
    );
    for (kind, comment) in [
        (0x00, "STUN"),
        (0x03, "the last before Pinhole's"),
        (0x0d, "unassigned"),
        (0x0e, "private"),
        (0x0f, "GREASE"),
        (0x10, "ZRTP"),
        (0x16, "DTLS"),
        (0x40, "TURN channel or QUIC"),
        (0x80, "RTP"),
        (0xff, "the last"),
    ] {
        let flag = if kind == 0x0f { "Grease" } else { "KindUnknown" };
        group.invalid(flag, format!("kind 0x{kind:02x}: {comment}"), Discard::KindUnknown, &padded(vec![kind, 1], 40));
    }
    group.invalid(
        "KindUnknown",
        "an unknown kind of an unknown version: the kind is looked at first",
        Discard::KindUnknown,
        &padded(vec![0x0f, 9], 40),
    );
    group
}

pub(super) fn keys() -> Suite {
    let mut group = Group::new("Key", "public keys");
    for octet in 1..=4 {
        group.canonical("Ordinary", format!("of the secret {octet:02x} repeated"), key(octet).as_octets());
    }
    group.canonical("Minimal", "two, which is on the twist", &padded(vec![2], 32));
    let mut largest = not_canonical()[0].1;
    largest[0] -= 2;
    group.canonical("BoundarySize", "the largest key", &largest);
    for (name, octets) in weak() {
        group.invalid("KeyWeak", name, Discard::BodyMalformed, &octets);
    }
    for (name, octets) in not_canonical() {
        group.invalid("KeyNotCanonical", name, Discard::BodyMalformed, &octets);
    }
    Suite { name: "keys", groups: vec![group] }
}
