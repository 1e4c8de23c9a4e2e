//! Handshakes, sealing and proofs with pinned secrets.

use pinhole_proto::Discard;
use pinhole_proto::wire::sealed::{Index, seal_packet};
use serde_json::{Value, json};

use super::layout::{not_canonical, weak};
use super::messages::{NONCE, SESSION, endpoint, key};
use super::{Group, Suite, shared};
use crate::vectors::describe::hex;

pub(super) fn handshakes() -> Suite {
    Suite { name: "handshakes", groups: vec![ik(), kk(), proof()] }
}

pub(super) fn sealing() -> Suite {
    Suite { name: "sealing", groups: vec![seal(), open()] }
}

/// What one side has; both sides agree in `prologue_from`.
fn side(secret: u8, ephemeral: u8, payload: &[u8], prologue_from: &Value) -> Value {
    json!({
        "secret": hex(&[secret; 32]),
        "public": key(secret),
        "ephemeral": hex(&[ephemeral; 32]),
        "payload": hex(payload),
        "prologue_from": prologue_from,
        "prologue": hex(&shared::prologue(prologue_from)),
    })
}

fn given(pattern: &str, initiator: Value, responder: Value) -> Value {
    json!({ "pattern": pattern, "initiator": initiator, "responder": responder })
}

fn run(group: &mut Group, flag: &'static str, comment: &str, given: Value) -> Value {
    let outcome = shared::handshake(&given).expect(comment);
    group.given(flag, comment, given, Ok(outcome.clone()));
    outcome
}

fn fail(group: &mut Group, flag: &'static str, comment: &str, given: Value) {
    assert_eq!(shared::handshake(&given), Err(Discard::HandshakeFailed), "{comment}");
    group.given(flag, comment, given, Err(Discard::HandshakeFailed));
}

/// Adds every way in which one of the messages may be spoilt.
fn tampered(group: &mut Group, valid: &Value, outcome: &Value) {
    for name in ["message_1", "message_2"] {
        let message = shared::octets(&outcome[name]);
        let mut spoil = |flag, comment: &str, octets: &[u8]| {
            let mut given = valid.clone();
            given[name] = hex(octets).into();
            fail(group, flag, &format!("{name}: {comment}"), given);
        };
        for at in [0, 31, 32, message.len() - 17, message.len() - 1] {
            let mut octets = message.clone();
            octets[at] ^= 1;
            spoil("HandshakeTampered", &format!("bit 0 of octet {at} turned"), &octets);
        }
        for length in [0, 31, 32, 47, message.len() - 1] {
            spoil("HandshakeTampered", &format!("cut to {length} octets"), &message[..length]);
        }
        spoil("HandshakeTampered", "one octet more", &[&message[..], &[0]].concat());
        for (what, point) in weak().iter().map(|(name, octets)| (name.as_str(), octets)) {
            let octets = [point.as_slice(), &message[32..]].concat();
            spoil("ZeroSecret", &format!("the ephemeral key is of small order: {what}"), &octets);
        }
        let octets = [not_canonical()[0].1.as_slice(), &message[32..]].concat();
        spoil("ZeroSecret", "the ephemeral key is a second spelling of zero", &octets);
    }
}

fn ik() -> Group {
    let mut group = Group::new("Handshake", "Noise IK, peer to server");
    let from = json!({ "offered": [1], "answered": [1] });
    let welcome = [&[0, 1, 2, 3], [0x77; 16].as_slice()].concat();
    let valid = given("IK", side(1, 11, &[], &from), side(3, 13, &welcome, &from));
    let outcome = run(&mut group, "Ordinary", "versions 1 and 1, a Welcome", valid.clone());
    let none = json!({ "offered": [], "answered": [] });
    let without = given("IK", side(1, 11, &[], &none), side(3, 13, &welcome, &none));
    run(&mut group, "Ordinary", "registered without Discover", without.clone());
    let grease = json!({ "offered": [1, 10], "answered": [1, 26] });
    let greased = given("IK", side(2, 12, &[], &grease), side(3, 14, &welcome, &grease));
    run(&mut group, "Grease", "GREASE versions", greased);
    tampered(&mut group, &valid, &outcome);
    for (comment, other) in [
        ("the list of versions in Discover was cut on the way", json!({ "offered": [], "answered": [1] })),
        ("the list of versions in Discovered was changed on the way", json!({ "offered": [1], "answered": [2] })),
        ("one side knows of no Discover", none),
    ] {
        let given = given("IK", side(1, 11, &[], &from), side(3, 13, &welcome, &other));
        fail(&mut group, "HandshakeTampered", comment, given);
    }
    let mut another = valid.clone();
    another["initiator"]["public"] = json!(key(1));
    another["message_1"] = shared::handshake(&without).expect("it is valid")["message_1"].clone();
    fail(&mut group, "HandshakeTampered", "message 1 of another handshake", another);
    group
}

fn kk() -> Group {
    let mut group = Group::new("Handshake", "Noise KK, peer to peer");
    let from = |session: &[u8], versions: &[u8]| {
        json!({
            "session": hex(session),
            "initiator": key(1),
            "responder": key(2),
            "versions": versions,
        })
    };
    let ordinary = from(&SESSION, &[1]);
    // Index, versions, private endpoints, mapping; an Acceptance has no versions.
    let offer = [[9, 8, 7, 6, 1, 1, 1].as_slice(), &[4, 10, 0, 0, 1, 0x04, 0xd2], &[1]].concat();
    let acceptance = [[5, 4, 3, 2, 1].as_slice(), &[4, 10, 1, 1, 3, 0x04, 0xd2], &[1]].concat();
    let valid = given("KK", side(1, 21, &offer, &ordinary), side(2, 22, &acceptance, &ordinary));
    let outcome = run(&mut group, "Ordinary", "an Offer and an Acceptance", valid.clone());
    let empty = given("KK", side(1, 21, &[], &ordinary), side(2, 22, &[], &ordinary));
    run(&mut group, "Minimal", "empty payloads", empty);
    let grease = from(&SESSION, &[1, 10]);
    let greased = given("KK", side(1, 23, &offer, &grease), side(2, 24, &acceptance, &grease));
    run(&mut group, "Grease", "GREASE versions", greased);
    tampered(&mut group, &valid, &outcome);
    let mut swapped = ordinary.clone();
    swapped["initiator"] = json!(key(2));
    swapped["responder"] = json!(key(1));
    for (comment, other) in [
        ("another session", from(b"session2", &[1])),
        ("the list of versions was cut on the way", from(&SESSION, &[])),
        ("the list of versions was changed on the way", from(&SESSION, &[2])),
        ("the roles are swapped in one prologue", swapped),
    ] {
        let given = given("KK", side(1, 21, &offer, &ordinary), side(2, 22, &acceptance, &other));
        fail(&mut group, "HandshakeTampered", comment, given);
    }
    let mut stranger = valid.clone();
    stranger["initiator"]["secret"] = hex(&[5; 32]).into();
    fail(&mut group, "HandshakeTampered", "the initiator does not hold its key", stranger);
    let mut stranger = valid;
    stranger["responder"]["secret"] = hex(&[5; 32]).into();
    fail(&mut group, "HandshakeTampered", "the responder does not hold its key", stranger);
    group
}

fn proof() -> Group {
    let mut group = Group::new("Proof", "the proof of a Punch");
    for (comment, message_1) in [
        ("of no octets", vec![]),
        ("of 96 octets", vec![0x11; 96]),
        ("of the longest message 1", vec![0x5a; pinhole_proto::constants::MAX_MESSAGE_1]),
    ] {
        let given = json!({ "message_1": hex(&message_1) });
        let outcome = shared::proof(&given);
        group.given("Proof", comment, given, Ok(outcome));
    }
    group
}

/// An encoded PathCheck to the endpoint of A in the overview's example.
fn path_check() -> Vec<u8> {
    let body = super::layout::Body::default().fixed(&NONCE).endpoint("observed", endpoint("155.99.25.11:62000")).octets;
    let content = [&[0, 0, 0, 0], body.as_slice()].concat();
    [&[1, 0, content.len() as u8], content.as_slice()].concat()
}

fn seal() -> Group {
    let mut group = Group::new("Seal", "sealing");
    for (comment, path, number, plaintext) in [
        ("no plaintext", 0, 0, vec![]),
        ("a PathCheck on path 0", 0, 0, path_check()),
        ("a datagram on path 1", 1, 5, b"\x38\x00\x05hello".to_vec()),
        ("the largest counter", 0xffff, (1_u64 << 48) - 1, b"\x38\x00\x00".to_vec()),
        ("a number that needs six octets", 2, 0x0102_0304_0506, vec![0x38, 0, 0]),
        ("one octet less than a block", 1, 6, vec![0x5a; 63]),
        ("a block", 1, 7, vec![0x5a; 64]),
        ("one octet more than a block", 1, 8, vec![0x5a; 65]),
        ("the longest packet between peers", 1, 9, vec![0x5a; 1_136]),
    ] {
        let given = json!({
            "key": hex(&[0x42; 32]),
            "index": "01020304",
            "path": path,
            "number": number.to_string(),
            "plaintext": hex(&plaintext),
        });
        let outcome = shared::seal(&given);
        group.given("Sealing", comment, given, Ok(outcome));
    }
    group
}

fn open() -> Group {
    let mut group = Group::new("Open", "opening");
    let plaintext = path_check();
    let counter = (1 << 48) + 5;
    let packet = seal_packet(&[0x42; 32], Index([1, 2, 3, 4]), counter, &plaintext);
    let given = |key: u8, packet: &[u8]| json!({ "key": hex(&[key; 32]), "packet": hex(packet) });
    let ordinary = given(0x42, &packet);
    let outcome = shared::open(&ordinary);
    assert_eq!(outcome, Ok(json!({ "plaintext": hex(&plaintext) })));
    group.given("Sealing", "as it was sealed", ordinary, outcome);
    let mut fail = |flag, comment: String, given: Value| {
        assert_eq!(shared::open(&given), Err(Discard::DecryptFailed), "{comment}");
        group.given(flag, comment, given, Err(Discard::DecryptFailed));
    };
    fail("Sealing", "another key".into(), given(0x43, &packet));
    for at in 4..packet.len() {
        let mut octets = packet.clone();
        octets[at] ^= 0x80;
        let flag = if at < 16 { "AssociatedData" } else { "Sealing" };
        let part = match at {
            4..8 => "the index",
            8..10 => "the path number",
            10..16 => "the packet number",
            _ if at < packet.len() - 16 => "the ciphertext",
            _ => "the tag",
        };
        fail(flag, format!("octet {at}, in {part}, changed"), given(0x42, &octets));
    }
    for less in [1, 16, 20] {
        let octets = &packet[..packet.len() - less];
        fail("Sealing", format!("{less} octets cut off"), given(0x42, octets));
    }
    fail("Sealing", "one octet more".into(), given(0x42, &[&packet[..], &[0]].concat()));
    group
}
