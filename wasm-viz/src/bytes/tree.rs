//! A packet as a tree of fields, from the decoder of `pinhole_proto::wire`.

use pinhole_proto::Discard;
use pinhole_proto::wire::message::{Message, Reply, Request};
use pinhole_proto::wire::{FRAME_HEADER, Packet, Sealed};

use super::spans::{Field, hex, of_body};

/// The fields of a packet that begins at octet `at` of what is shown.
///
/// # Errors
/// The decoder's reason to discard it.
pub fn of_packet(octets: &[u8], at: usize) -> Result<Field, Discard> {
    let packet = Packet::decode(octets)?;
    let mut fields = Fields { parts: Vec::new(), at, octets, base: at };
    fields.octets("kind", 1);
    fields.octets("version", 1);
    let name = match &packet {
        Packet::Discover(discover) => {
            fields.octets("magic", 4);
            fields.octets("transaction id", 16);
            fields.body("body", &(&discover.versions, &discover.reply_from), &["versions", "reply from"]);
            fields.rest("padding");
            "Discover"
        }
        Packet::Discovered(d) => {
            fields.octets("magic", 4);
            fields.octets("transaction id", 16);
            // A masked endpoint is as long as an open one; the values are the open ones.
            fields.body(
                "body",
                &(&d.versions, &d.observed, &d.alternates, &d.keys, &d.cookie),
                &["versions", "observed (masked)", "alternates (masked)", "server keys", "cookie"],
            );
            fields.rest("extensions");
            "Discovered"
        }
        Packet::Register(register) => {
            fields.octets("reserved", 2);
            fields.octets("receiver index", 4);
            fields.octets("cookie", 16);
            fields.body("body", &(&register.offered, &register.answered), &["offered", "answered"]);
            fields.octets("length", 2);
            fields.octets("message 1", register.message_1.len());
            fields.rest("padding");
            "Register"
        }
        Packet::Registered(registered) => {
            fields.octets("reserved", 2);
            fields.octets("receiver index", 4);
            fields.octets("length", 2);
            fields.octets("message 2", registered.message_2.len());
            fields.packet(registered.sealed);
            "Registered"
        }
        Packet::Punch(_) => {
            fields.octets("session id", 8);
            fields.octets("nonce", 8);
            fields.octets("proof", 16);
            fields.rest("padding");
            "Punch"
        }
        Packet::PunchReply(reply) => {
            fields.octets("session id", 8);
            fields.octets("length", 2);
            fields.octets("message 2", reply.message_2.len());
            fields.packet(reply.sealed);
            "PunchReply"
        }
        Packet::Sealed(_) => {
            fields.octets("reserved", 2);
            fields.octets("receiver index", 4);
            fields.octets("path number", 2);
            fields.octets("packet number", 6);
            let ciphertext = (at + octets.len()).saturating_sub(fields.at + TAG);
            fields.octets("ciphertext", ciphertext);
            fields.octets("tag", TAG);
            "Sealed"
        }
        Packet::Relayed(relayed) => {
            fields.octets("channel id", 8);
            fields.packet(relayed.packet);
            "Relayed"
        }
        Packet::Reset(_) => {
            fields.octets("receiver index", 4);
            fields.octets("token", 16);
            "Reset"
        }
    };
    Ok(Field::branch(name, at, fields.parts))
}

/// The frames in a piece of a stream: whole packets with their lengths, and what is left.
#[must_use]
pub fn of_stream(octets: &[u8], mut at: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut rest = octets;
    while let Some((header, tail)) = rest.split_first_chunk::<FRAME_HEADER>() {
        let length = usize::from(u16::from_be_bytes(*header));
        let Some((packet, tail)) = tail.split_at_checked(length) else {
            break;
        };
        let Ok(field) = of_packet(packet, at + FRAME_HEADER) else {
            break;
        };
        fields.push(Field::branch("frame", at, vec![Field::leaf("length", at, FRAME_HEADER, length), field]));
        at += FRAME_HEADER + length;
        rest = tail;
    }
    if !rest.is_empty() {
        fields.push(Field::leaf("octets", at, rest.len(), hex(rest)));
    }
    fields
}

/// The `Sealed` in a packet: itself, or the one at its end.
#[must_use]
pub fn sealed_in<'a>(packet: &Packet<'a>) -> Option<Sealed<'a>> {
    let octets = match packet {
        Packet::Sealed(sealed) => return Some(*sealed),
        Packet::Registered(registered) => registered.sealed,
        Packet::PunchReply(reply) => reply.sealed,
        Packet::Relayed(relayed) => relayed.packet,
        Packet::Discover(_) | Packet::Discovered(_) | Packet::Register(_) | Packet::Punch(_) | Packet::Reset(_) => {
            return None;
        }
    };
    match Packet::decode(octets) {
        Ok(inner) => sealed_in(&inner),
        Err(_) => None,
    }
}

/// The messages that a `Sealed` holds, once it is opened; places count from the first octet of the plaintext.
#[must_use]
pub fn of_plaintext(plaintext: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut at = 0;
    while let Some(&[kind, high, low]) = plaintext.get(at..).and_then(|rest| rest.first_chunk()) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(whole) = plaintext.get(at..at + HEADER + length) else {
            break;
        };
        let mut parts = vec![Field::leaf("code", at, 1, kind), Field::leaf("length", at + 1, 2, length)];
        let mut rest = whole;
        let name = Message::decode(&mut rest).map_or("?", |message| content(&message, at, &mut parts));
        let shown = parts.last().map_or(at, |part| part.at + part.length);
        let end = at + HEADER + length;
        if shown < end {
            parts.push(Field::leaf("extensions", shown, end - shown, hex(&plaintext[shown..end])));
        }
        fields.push(Field::branch(name, at, parts));
        at = end;
    }
    fields
}

/// Adds what a message holds, and names it.
fn content(message: &Message<'_>, at: usize, parts: &mut Vec<Field>) -> &'static str {
    let body = at + HEADER + 4;
    match message {
        Message::Request(id, request) => {
            parts.push(Field::leaf("request id", at + HEADER, 4, id));
            let (name, field) = match request {
                Request::PathCheck(b) => ("PathCheck", of_body("body", body, b)),
                Request::Refresh(b) => ("Refresh", of_body("body", body, b)),
                Request::Unregister(b) => ("Unregister", of_body("body", body, b)),
                Request::Replaced(b) => ("Replaced", of_body("body", body, b)),
                Request::Connect(b) => ("Connect", of_body("body", body, b)),
                Request::Introduce(b) => ("Introduce", of_body("body", body, b)),
                Request::Answered(b) => ("Answered", of_body("body", body, b)),
                Request::Rejected(b) => ("Rejected", of_body("body", body, b)),
                Request::RelayOpen(b) => ("RelayOpen", of_body("body", body, b)),
                Request::Select(b) => ("Select", of_body("body", body, b)),
                Request::Attempt(b) => ("Attempt", of_body("body", body, b)),
                Request::Echo(b) => ("Echo", of_body("body", body, b)),
                Request::Close(b) => ("Close", of_body("body", body, b)),
                Request::Finish(b) => ("Finish", of_body("body", body, b)),
            };
            parts.extend(field.parts);
            name
        }
        Message::Answer(id, reply) => {
            parts.push(Field::leaf("request id", at + HEADER, 4, id));
            let (name, field) = match reply {
                Reply::PathReply(b) => ("PathReply", of_body("body", body, b)),
                Reply::Attempted(b) => ("Attempted", of_body("body", body, b)),
                Reply::Acknowledge(b) => ("Acknowledge", of_body("body", body, b)),
                Reply::Refuse(b) => ("Refuse", of_body("body", body, b)),
                Reply::Refreshed(b) => ("Refreshed", of_body("body", body, b)),
                Reply::Introduced(b) => ("Introduced", of_body("body", body, b)),
                Reply::Answer(b) => ("Answer", of_body("body", body, b)),
                Reply::RelayOpened(b) => ("RelayOpened", of_body("body", body, b)),
            };
            parts.extend(field.parts);
            name
        }
        Message::Datagram(octets) => {
            parts.push(Field::leaf("octets", at + HEADER, octets.len(), hex(octets)));
            "Datagram"
        }
        Message::Data { offset, octets } => {
            parts.push(Field::leaf("offset", at + HEADER, 8, offset));
            parts.push(Field::leaf("octets", at + HEADER + 8, octets.len(), hex(octets)));
            "Data"
        }
        Message::Ack(ack) => {
            parts.extend(of_body("body", at + HEADER, ack).parts);
            "Ack"
        }
        Message::Unknown(_) => "?",
    }
}

struct Fields<'a> {
    parts: Vec<Field>,
    at: usize,
    octets: &'a [u8],
    base: usize,
}

impl Fields<'_> {
    fn octets(&mut self, name: &str, length: usize) {
        let from = self.at - self.base;
        let value = hex(self.octets.get(from..from + length).unwrap_or_default());
        self.parts.push(Field::leaf(name, self.at, length, value));
        self.at += length;
    }

    fn rest(&mut self, name: &str) {
        let length = self.octets.len() - (self.at - self.base);
        if length > 0 {
            self.octets(name, length);
        }
    }

    fn body<T: serde::Serialize>(&mut self, name: &str, body: &T, names: &[&str]) {
        let mut field = of_body(name, self.at, body);
        for (part, name) in field.parts.iter_mut().zip(names) {
            part.name = (*name).to_owned();
        }
        self.at += field.length;
        self.parts.push(field);
    }

    /// A packet inside this one.
    fn packet(&mut self, octets: &[u8]) {
        match of_packet(octets, self.at) {
            Ok(field) => {
                self.at += field.length;
                self.parts.push(field);
            }
            Err(_) => self.octets("octets", octets.len()),
        }
    }
}

const TAG: usize = 16;
const HEADER: usize = 3;
