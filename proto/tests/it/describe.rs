//! What decoded octets say, in the JSON of `spec/vectors/`. `cargo xtask vectors` has the same file.
//!
//! Fields have the names of the layouts in `spec/`. Octet strings are lower-case hex, numbers of 64 bits
//! decimal strings, endpoints and keys text, codes numbers.

use pinhole_proto::wire::control::{Refuse, Rejected};
use pinhole_proto::wire::message::{Message, Reply, Request};
use pinhole_proto::wire::punch::{Acceptance, Offer};
use pinhole_proto::wire::register::Welcome;
use pinhole_proto::wire::{Deframer, Packet, codec};
use pinhole_proto::{Discard, PublicKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The fields that hold octets.
const OCTETS: [&str; 9] =
    ["channel", "cookie", "index", "message_1", "message_2", "nonce", "proof", "session", "token"];

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn packet(packet: &Packet<'_>) -> Value {
    let (kind, fields) = match packet {
        Packet::Discover(p) => (
            "Discover",
            json!({
                "transaction": hex(&p.transaction),
                "versions": p.versions.as_slice(),
                "reply_from": p.reply_from.0,
            }),
        ),
        Packet::Discovered(p) => (
            "Discovered",
            json!({
                "transaction": hex(&p.transaction),
                "versions": p.versions.as_slice(),
                "observed": p.observed,
                "alternates": p.alternates.as_slice(),
                "keys": p.keys.as_slice(),
                "cookie": hex(&p.cookie),
                "dial_back": p.dial_back.map(|code| code.0),
            }),
        ),
        Packet::Register(p) => (
            "Register",
            json!({
                "index": hex(&p.index.0),
                "cookie": hex(&p.cookie),
                "offered": p.offered.as_slice(),
                "answered": p.answered.as_slice(),
                "message_1": hex(p.message_1),
            }),
        ),
        Packet::Registered(p) => (
            "Registered",
            json!({
                "index": hex(&p.index.0),
                "message_2": hex(p.message_2),
                "sealed": hex(p.sealed),
            }),
        ),
        Packet::Punch(p) => (
            "Punch",
            json!({
                "session": hex(&p.session),
                "nonce": hex(&p.nonce),
                "proof": hex(&p.proof),
            }),
        ),
        Packet::PunchReply(p) => (
            "PunchReply",
            json!({
                "session": hex(&p.session),
                "message_2": hex(p.message_2),
                "sealed": hex(p.sealed),
            }),
        ),
        Packet::Sealed(p) => (
            "Sealed",
            json!({
                "index": hex(&p.index.0),
                "path": p.counter >> 48,
                "number": (p.counter & ((1 << 48) - 1)).to_string(),
            }),
        ),
        Packet::Relayed(p) => ("Relayed", json!({ "channel": hex(&p.channel.0), "packet": hex(p.packet) })),
        Packet::Reset(p) => ("Reset", json!({ "index": hex(&p.index.0), "token": hex(&p.token) })),
    };
    named(kind, fields)
}

fn messages(messages: &[Message<'_>]) -> Value {
    messages.iter().map(message).collect()
}

fn message(message: &Message<'_>) -> Value {
    match message {
        Message::Request(id, request) => with_id(*id, self::request(request)),
        Message::Answer(id, reply) => with_id(*id, self::reply(reply)),
        Message::Datagram(octets) => named("Datagram", json!({ "octets": hex(octets) })),
        Message::Data { offset, octets } => {
            named("Data", json!({ "offset": offset.to_string(), "octets": hex(octets) }))
        }
        Message::Ack(ack) => body("Ack", ack),
        Message::Unknown(code) => json!({ "unknown": code }),
    }
}

fn request(request: &Request) -> Value {
    match request {
        Request::PathCheck(b) => body("PathCheck", b),
        Request::Refresh(b) => body("Refresh", b),
        Request::Unregister(b) => body("Unregister", b),
        Request::Replaced(b) => body("Replaced", b),
        Request::Echo(b) => body("Echo", b),
        Request::Connect(b) => body("Connect", b),
        Request::Introduce(b) => body("Introduce", b),
        Request::Answered(b) => body("Answered", b),
        Request::Rejected(Rejected { session, code }) => {
            named("Rejected", json!({ "session": hex(session), "code": code.0 }))
        }
        Request::RelayOpen(b) => body("RelayOpen", b),
        Request::Select(b) => body("Select", b),
        Request::Attempt(b) => body("Attempt", b),
        Request::Close(b) => body("Close", b),
        Request::Finish(b) => body("Finish", b),
    }
}

fn reply(reply: &Reply) -> Value {
    match reply {
        Reply::PathReply(b) => body("PathReply", b),
        Reply::Acknowledge(b) => body("Acknowledge", b),
        Reply::Refuse(Refuse { code }) => named("Refuse", json!({ "code": code.0 })),
        Reply::Refreshed(b) => body("Refreshed", b),
        Reply::Introduced(b) => body("Introduced", b),
        Reply::Answer(b) => body("Answer", b),
        Reply::RelayOpened(b) => body("RelayOpened", b),
        Reply::Attempted(b) => body("Attempted", b),
    }
}

/// A struct whose fields are a layout.
fn body<T: Serialize>(kind: &str, body: &T) -> Value {
    let mut fields = serde_json::to_value(body).expect("a layout has a JSON form");
    for (name, value) in fields.as_object_mut().expect("a layout has fields") {
        if OCTETS.contains(&name.as_str()) && !value.is_null() {
            let octets: Vec<u8> = serde_json::from_value(value.take()).expect("the field holds octets");
            *value = hex(&octets).into();
        } else if matches!(name.as_str(), "offset" | "next") {
            *value = value.to_string().into();
        }
    }
    named(kind, fields)
}

fn named(kind: &str, mut fields: Value) -> Value {
    fields["kind"] = kind.into();
    fields
}

fn with_id(id: u32, mut fields: Value) -> Value {
    fields["request"] = id.into();
    fields
}

/// Decodes the input of a test and says what it is and how an encoder spells that.
pub(crate) fn decode(kind: &str, octets: &[u8]) -> Result<(Value, Vec<u8>), Discard> {
    match kind {
        "Packet" => {
            let decoded = Packet::decode(octets)?;
            Ok((packet(&decoded), decoded.encode()))
        }
        "Messages" => {
            let (mut rest, mut found, mut canonical) = (octets, vec![], vec![]);
            loop {
                let message = Message::decode(&mut rest)?;
                message.encode(&mut canonical);
                found.push(message);
                if rest.is_empty() {
                    return Ok((messages(&found), canonical));
                }
            }
        }
        "Welcome" => payload::<Welcome>(kind, octets),
        "Offer" => payload::<Offer>(kind, octets),
        "Acceptance" => payload::<Acceptance>(kind, octets),
        "Key" => {
            let octets = octets.try_into().map_err(|_| Discard::BodyMalformed)?;
            let key = PublicKey::new(octets).map_err(|_| Discard::BodyMalformed)?;
            Ok((json!({ "kind": kind, "text": key }), octets.into()))
        }
        "Stream" => {
            let (mut rest, mut deframer, mut found) = (octets, Deframer::default(), vec![]);
            while let Some(packet) = deframer.next(&mut rest)? {
                found.push(hex(&packet));
            }
            let pending = octets.len() - found.iter().map(|packet| packet.len() / 2 + 2).sum::<usize>();
            Ok((json!({ "packets": found, "pending": pending }), octets.into()))
        }
        _ => panic!("no such kind of input: {kind}"),
    }
}

fn payload<T: Serialize + DeserializeOwned>(kind: &str, octets: &[u8]) -> Result<(Value, Vec<u8>), Discard> {
    let decoded: T = codec::decode(octets)?;
    let mut canonical = vec![];
    codec::encode(&decoded, &mut canonical);
    Ok((body(kind, &decoded), canonical))
}
