//! Handshakes, sealing and proofs from pinned values. `cargo xtask vectors` has the same file.

use std::sync::Arc;

use blake2::{Blake2s256, Digest as _};
use pinhole_proto::noise::{Dalek, Handshake, Keys, Pattern, X25519};
use pinhole_proto::wire::Packet;
use pinhole_proto::wire::sealed::{Index, seal_packet};
use pinhole_proto::{Discard, PublicKey};
use serde_json::{Value, json};

use super::describe::hex;

/// Runs both sides of a handshake. `message_1` and `message_2` of `given` stand for what arrived, where that
/// is not what was sent.
pub(crate) fn handshake(given: &Value) -> Result<Value, Discard> {
    let x25519: Arc<dyn X25519> = Arc::new(Dalek);
    let kk = given["pattern"] == "KK";
    let [a, b] = ["initiator", "responder"].map(|side| Side::of(&given[side]));
    let initiator = Handshake {
        pattern: if kk { Pattern::Kk } else { Pattern::Ik },
        x25519: &x25519,
        secret: &a.secret,
        remote: Some(&b.public),
        prologue: &a.prologue,
    };
    let responder =
        Handshake { secret: &b.secret, remote: kk.then_some(&a.public), prologue: &b.prologue, ..initiator };
    let failed = |_| Discard::HandshakeFailed;
    let (sent_1, recipe) = initiator.initiate(a.ephemeral, &a.payload).map_err(failed)?;
    let message_1 = arrived(given, "message_1").unwrap_or_else(|| sent_1.clone());
    let received = responder.receive(b.ephemeral, &message_1).map_err(failed)?;
    assert_eq!(received.payload, a.payload);
    let learned = received.remote;
    let (sent_2, by_b) = received.respond(&b.payload).map_err(failed)?;
    let message_2 = arrived(given, "message_2").unwrap_or_else(|| sent_2.clone());
    let (payload, by_a) = initiator.finish(&recipe, &message_2).map_err(failed)?;
    assert_eq!(payload, b.payload);
    assert_eq!(by_a, Keys { send: by_b.receive, receive: by_b.send });
    Ok(json!({
        "initiator": learned,
        "message_1": hex(&sent_1),
        "message_2": hex(&sent_2),
        "initiator_to_responder": hex(&by_a.send),
        "responder_to_initiator": hex(&by_a.receive),
    }))
}

/// The prologue out of what it says.
pub(crate) fn prologue(from: &Value) -> Vec<u8> {
    let versions = |name: &str| {
        let versions: Vec<u8> = serde_json::from_value(from[name].clone()).expect("a list of versions");
        [&[versions.len() as u8], versions.as_slice()].concat()
    };
    let key = |name: &str| -> PublicKey { serde_json::from_value(from[name].clone()).expect("the text of a key") };
    if from["session"].is_null() {
        return [b"pinhole ik\x01", versions("offered").as_slice(), &versions("answered")].concat();
    }
    [
        b"pinhole kk\x01",
        octets(&from["session"]).as_slice(),
        key("initiator").as_octets(),
        key("responder").as_octets(),
        &versions("versions"),
    ]
    .concat()
}

/// Seals a packet.
pub(crate) fn seal(given: &Value) -> Value {
    let number: u64 = given["number"].as_str().and_then(|number| number.parse().ok()).expect("a packet number");
    let counter = given["path"].as_u64().expect("a path number") << 48 | number;
    let packet =
        seal_packet(&fixed(&given["key"]), Index(fixed(&given["index"])), counter, &octets(&given["plaintext"]));
    json!({ "packet": hex(&packet) })
}

/// Opens a packet.
pub(crate) fn open(given: &Value) -> Result<Value, Discard> {
    let packet = octets(&given["packet"]);
    let Packet::Sealed(sealed) = Packet::decode(&packet)? else {
        return Err(Discard::KindUnknown);
    };
    let plaintext = sealed.open(&fixed(&given["key"]))?;
    Ok(json!({ "plaintext": hex(&plaintext) }))
}

/// The proof of a `Punch`.
pub(crate) fn proof(given: &Value) -> Value {
    let digest = Blake2s256::digest(octets(&given["message_1"]));
    json!({ "proof": hex(&digest[..16]) })
}

struct Side {
    secret: [u8; 32],
    public: PublicKey,
    ephemeral: [u8; 32],
    prologue: Vec<u8>,
    payload: Vec<u8>,
}

impl Side {
    fn of(given: &Value) -> Self {
        let prologue = octets(&given["prologue"]);
        assert_eq!(prologue, self::prologue(&given["prologue_from"]));
        Self {
            secret: fixed(&given["secret"]),
            public: serde_json::from_value(given["public"].clone()).expect("the text of a key"),
            ephemeral: fixed(&given["ephemeral"]),
            prologue,
            payload: octets(&given["payload"]),
        }
    }
}

fn arrived(given: &Value, name: &str) -> Option<Vec<u8>> {
    given.get(name).map(octets)
}

pub(crate) fn octets(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("octets are written as hex");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("octets are written as hex"))
        .collect()
}

fn fixed<const N: usize>(text: &Value) -> [u8; N] {
    octets(text).try_into().expect("the octets have the length of their field")
}
