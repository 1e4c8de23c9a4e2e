//! Keys and operands for what the simulator says.

use pinhole_proto::Endpoint;
use pinhole_proto::peer::{PathInfo, PathKind, Peer};
use pinhole_proto::server::Server;
use pinhole_proto::wire::{Packet as Message, Sealed};
use pinhole_sim::nat::{Check, Decision, Operand, Receipt, RemoteKey, Rule};
use pinhole_sim::packet::{Body, Flags};
use pinhole_sim::trace::What;
use pinhole_sim::{HostId, Packet, Place, World};
use serde::Serialize;

use crate::bytes::{of_plaintext, sealed_in};
use crate::text::Text;

/// The name of a variant, as serde writes it.
#[must_use]
pub fn key_of<T: Serialize>(value: &T) -> String {
    // `"name"`, or `{"name":…`.
    word(value, 1)
}

/// A word of what serde writes; names have no characters that JSON escapes.
pub(crate) fn word<T: Serialize>(value: &T, number: usize) -> String {
    let json = crate::json::write(value).unwrap_or_default();
    json.split('"').nth(number).unwrap_or_default().to_owned()
}

/// What a check says: its rule, whether it held, and what was compared.
#[must_use]
pub fn check(check: &Check) -> Text {
    let outcome = if check.held { "held" } else { "failed" };
    // A filter that knows the sender and yet refuses it takes the SYN for another connection.
    let knows = check.rule == Rule::Filter && !check.held && check.found == check.against;
    let rule = if knows { Rule::SameConnection } else { check.rule };
    Text::of(format!("check.{}.{outcome}", key_of(&rule)))
        .with_text("found", operand(&check.found))
        .with_text("against", operand(&check.against))
}

/// One side of a comparison.
#[must_use]
pub fn operand(operand: &Operand) -> Text {
    match operand {
        Operand::Nothing => Text::of("operand.nothing"),
        Operand::Endpoint(endpoint) => literal(endpoint),
        Operand::Address(address) => literal(address),
        Operand::Port(port) => literal(port),
        Operand::Number(number) => literal(number),
        Operand::Moment(at) => literal(format_args!("{} ms", at.as_micros() / 1000)),
        Operand::Row(row) => Text::of("operand.row").with("row", row.0 + 1),
        Operand::Key(key) => remote_key(*key),
        Operand::Flags(flags) => literal(flag_names(*flags)),
        Operand::Field(name) => Text::of("operand.field").with_text("field", Text::of(format!("field.{name}"))),
        Operand::Taken(taken) => Text::of(format!("taken.{}", key_of(taken))),
    }
}

/// Words that are the same in every language.
#[must_use]
pub fn literal(value: impl std::fmt::Display) -> Text {
    Text::of("literal").with("value", value)
}

/// What a row is for.
#[must_use]
pub fn remote_key(key: RemoteKey) -> Text {
    match key {
        RemoteKey::Any => Text::of("key.any"),
        RemoteKey::Address(address) => Text::of("key.address").with("remote", address),
        RemoteKey::Endpoint(endpoint) => Text::of("key.endpoint").with("remote", endpoint),
        RemoteKey::Connection(endpoint) => Text::of("key.connection").with("remote", endpoint),
    }
}

/// What a machine did with a packet.
#[must_use]
pub fn happening(world: &World, to: Option<Place>, packet: &Packet, name: &Text, what: &What) -> Text {
    let machine = to.map_or("?", |place| world.trace().name(place));
    let text = |key: &str| {
        Text::of(format!("happening.{key}"))
            .with("machine", machine)
            .with_text("packet", name.clone())
            .with("source", packet.source)
            .with("destination", packet.destination)
    };
    match what {
        What::Sent(_) => text("sent"),
        What::Copied(_) => text("copied"),
        What::Lost => text("lost"),
        What::Cut => text("cut"),
        What::Removed => text("removed"),
        What::Held => text("held"),
        What::NoRoute => text("no-route"),
        What::TtlExpired => text("ttl-expired"),
        What::Delivered(receipt) => {
            text("delivered").with_text("rule", Text::of(format!("host.{}", key_of(&receipt.rule))))
        }
        What::NoSocket(receipt) => {
            text("no-socket").with_text("rule", Text::of(format!("host.{}", key_of(&receipt.rule))))
        }
        What::Decided(receipt) => decided(receipt, text),
    }
}

fn decided(receipt: &Receipt, text: impl Fn(&str) -> Text) -> Text {
    match receipt.decision {
        Decision::Forwarded { source, destination } => {
            let key = format!("passed.{}", key_of(&receipt.direction));
            text(&key).with("new_source", source).with("new_destination", destination)
        }
        Decision::Dropped(rule) => text("dropped").with_text("rule", Text::of(format!("drop.{}", key_of(&rule)))),
        Decision::Answered(rule) => text("answered").with_text("rule", Text::of(format!("drop.{}", key_of(&rule)))),
    }
}

/// A packet's name: what it is, or what is sealed in it where an engine's keys open it.
#[must_use]
pub fn packet_name(world: &World, packet: &Packet) -> Text {
    match &packet.body {
        Body::Udp(octets) => message_name(world, octets).unwrap_or_else(|| Text::of("packet.datagram")),
        Body::Tcp(segment) => {
            in_segment(&segment.octets).and_then(|octets| message_name(world, octets)).unwrap_or_else(|| {
                let flags = flag_names(segment.flags);
                if segment.octets.is_empty() { literal(flags) } else { Text::of("packet.octets").with("flags", flags) }
            })
        }
        Body::Icmp(_) => literal("ICMP"),
    }
}

/// The message that a segment begins with, if it holds all of it.
fn in_segment(octets: &[u8]) -> Option<&[u8]> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Whether a packet is a relayed one.
pub(crate) fn is_relayed(packet: &Packet) -> bool {
    let octets = match &packet.body {
        Body::Udp(octets) => Some(&octets[..]),
        Body::Tcp(segment) => in_segment(&segment.octets),
        Body::Icmp(_) => None,
    };
    octets.and_then(kind_name) == Some("Relayed")
}

fn message_name(world: &World, octets: &[u8]) -> Option<Text> {
    let packet = Message::decode(octets).ok()?;
    let outer = kind(&packet);
    let inner = match packet {
        Message::Sealed(_) | Message::Relayed(_) => sealed_in(&packet).and_then(|sealed| open(world, &sealed)),
        _ => None,
    };
    let inner = inner.and_then(|(_, plaintext)| of_plaintext(&plaintext).first().map(|field| field.name.clone()));
    Some(match inner {
        Some(inner) if outer == "Relayed" => Text::of("packet.relayed").with("inner", inner),
        Some(inner) => literal(inner),
        None => literal(outer),
    })
}

const fn kind(packet: &Message<'_>) -> &'static str {
    match packet {
        Message::Discover(_) => "Discover",
        Message::Discovered(_) => "Discovered",
        Message::Register(_) => "Register",
        Message::Registered(_) => "Registered",
        Message::Punch(_) => "Punch",
        Message::PunchReply(_) => "PunchReply",
        Message::Sealed(_) => "Sealed",
        Message::Relayed(_) => "Relayed",
        Message::Reset(_) => "Reset",
    }
}

/// What a packet is that nobody opens.
#[must_use]
pub fn kind_name(octets: &[u8]) -> Option<&'static str> {
    Some(kind(&Message::decode(octets).ok()?))
}

/// What a sealed packet holds, and who has the key.
#[must_use]
pub fn open(world: &World, sealed: &Sealed<'_>) -> Option<(HostId, Vec<u8>)> {
    world.hosts().find_map(|host| {
        let peer = world.engine_if::<Peer>(host).and_then(|peer| peer.look_into(sealed));
        let plaintext = peer.or_else(|| world.engine_if::<Server>(host)?.look_into(sealed));
        plaintext.map(|plaintext| (host, plaintext))
    })
}

/// The flags that are set.
#[must_use]
pub fn flag_names(flags: Flags) -> String {
    let set = [(flags.syn, "SYN"), (flags.fin, "FIN"), (flags.rst, "RST"), (flags.ack, "ACK")];
    let names: Vec<_> = set.into_iter().filter_map(|(on, name)| on.then_some(name)).collect();
    names.join("-")
}

/// What a path is.
#[must_use]
pub fn path(info: &PathInfo) -> Text {
    match info.kind {
        PathKind::Relayed => Text::of("path.relayed"),
        PathKind::Private => Text::of("path.private").with("remote", info.remote),
        PathKind::Public => {
            let local: Endpoint = info.mapped.unwrap_or(info.local);
            Text::of("path.public").with("local", local).with("remote", info.remote)
        }
    }
}
