//! The octets of a simulated packet as they would be on a wire: IP header, UDP, TCP or ICMP header, payload,
//! with valid checksums.

use std::net::IpAddr;
use std::ops::Range;

use pinhole_proto::{Endpoint, NetError, Transport};
use pinhole_sim::Packet;
use pinhole_sim::packet::{Body, Icmp, Segment};
use serde::Serialize;

use super::spans::{Field, hex};
use super::tree;

/// A packet on a wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The IP packet.
    #[serde(serialize_with = "as_hex")]
    pub octets: Vec<u8>,
    /// What is where in it: one field for each layer.
    pub layers: Vec<Field>,
    /// Where the payload begins.
    pub payload: usize,
}

fn as_hex<S: serde::Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(octets))
}

/// The image of a packet. Sequence numbers are the lower halves of the simulator's; windows are capped.
#[must_use]
pub fn image(packet: &Packet) -> Image {
    let (protocol, transport) = match &packet.body {
        Body::Udp(payload) => (17, udp(packet, payload)),
        Body::Tcp(segment) => (6, tcp(packet, segment)),
        Body::Icmp(icmp) => match packet.source.address() {
            IpAddr::V4(_) => (1, icmp4(icmp)),
            IpAddr::V6(_) => (58, icmp6(packet, icmp)),
        },
    };
    let header = ip_header(packet.source, packet.destination, packet.ttl, protocol, transport.len());
    let at = header.len();
    let mut octets = header;
    octets.extend_from_slice(&transport);
    let (mut layers, payload) = (vec![ip_layer(&octets, at)], at + transport_header(packet));
    layers.extend(transport_layer(packet, &octets, at));
    match &packet.body {
        Body::Udp(datagram) => match tree::of_packet(datagram, payload) {
            Ok(field) => layers.push(field),
            Err(_) if datagram.is_empty() => {}
            Err(_) => layers.push(Field::leaf("octets", payload, datagram.len(), hex(datagram))),
        },
        Body::Tcp(segment) => layers.extend(tree::of_stream(&segment.octets, payload)),
        Body::Icmp(_) => {}
    }
    Image { octets, layers, payload }
}

/// The ranges in which two images of one packet differ.
#[must_use]
pub fn changed(before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for at in 0..before.len().max(after.len()) {
        if before.get(at) != after.get(at) {
            match ranges.last_mut() {
                Some(last) if last.end == at => last.end += 1,
                _ => ranges.push(at..at + 1),
            }
        }
    }
    ranges
}

const fn transport_header(packet: &Packet) -> usize {
    match packet.body {
        Body::Udp(_) | Body::Icmp(_) => 8,
        Body::Tcp(_) => 20,
    }
}

fn ip_header(source: Endpoint, destination: Endpoint, ttl: u8, protocol: u8, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    match (source.address(), destination.address()) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&short(length).to_be_bytes());
            out.extend_from_slice(&[protocol, ttl]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&short(20 + length).to_be_bytes());
            // No identification is needed: the don't-fragment bit is set (RFC 6864).
            out.extend_from_slice(&[0, 0, 0x40, 0, ttl, protocol, 0, 0]);
            out.extend_from_slice(&address(source));
            out.extend_from_slice(&address(destination));
            let sum = fold(sum(&out));
            out[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
    out
}

fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn udp(packet: &Packet, payload: &[u8]) -> Vec<u8> {
    let mut out = ports(packet.source, packet.destination);
    out.extend_from_slice(&short(8 + payload.len()).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    // A sum of zero is written as all ones: zero means that there is none (RFC 768).
    let sum = match fold(pseudo(packet, 17, out.len()) + sum(&out)) {
        0 => 0xffff,
        sum => sum,
    };
    out[6..8].copy_from_slice(&sum.to_be_bytes());
    out
}

fn tcp(packet: &Packet, segment: &Segment) -> Vec<u8> {
    let mut out = ports(packet.source, packet.destination);
    out.extend_from_slice(&low(segment.seq).to_be_bytes());
    let flags = segment.flags;
    out.extend_from_slice(&if flags.ack { low(segment.ack) } else { 0 }.to_be_bytes());
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    let push = !segment.octets.is_empty();
    let flags = bit(flags.fin, 1) | bit(flags.syn, 2) | bit(flags.rst, 4) | bit(push, 8) | bit(flags.ack, 16);
    out.extend_from_slice(&[0x50, flags]);
    out.extend_from_slice(&short(segment.window as usize).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&segment.octets);
    let sum = fold(pseudo(packet, 6, out.len()) + sum(&out));
    out[16..18].copy_from_slice(&sum.to_be_bytes());
    out
}

/// Destination unreachable, with the header of the packet quoted.
fn icmp4(icmp: &Icmp) -> Vec<u8> {
    let code = if icmp.error == NetError::Refused { 3 } else { 1 };
    let mut out = vec![3, code, 0, 0, 0, 0, 0, 0];
    out.extend_from_slice(&quoted(icmp));
    let sum = fold(sum(&out));
    out[2..4].copy_from_slice(&sum.to_be_bytes());
    out
}

fn icmp6(packet: &Packet, icmp: &Icmp) -> Vec<u8> {
    let code = if icmp.error == NetError::Refused { 4 } else { 0 };
    let mut out = vec![1, code, 0, 0, 0, 0, 0, 0];
    out.extend_from_slice(&quoted(icmp));
    let sum = fold(pseudo(packet, 58, out.len()) + sum(&out));
    out[2..4].copy_from_slice(&sum.to_be_bytes());
    out
}

fn quoted(icmp: &Icmp) -> Vec<u8> {
    let protocol = if icmp.transport == Transport::Udp { 17 } else { 6 };
    let mut out = ip_header(icmp.source, icmp.destination, 1, protocol, 8);
    out.extend(ports(icmp.source, icmp.destination));
    out.extend_from_slice(&if icmp.transport == Transport::Udp { [0, 8, 0, 0] } else { [0; 4] });
    out
}

fn ports(source: Endpoint, destination: Endpoint) -> Vec<u8> {
    [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat()
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

const fn low(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

fn pseudo(packet: &Packet, protocol: u32, length: usize) -> u32 {
    sum(&address(packet.source.address()))
        + sum(&address(packet.destination.address()))
        + protocol
        + u32::from(short(length))
}

fn sum(octets: &[u8]) -> u32 {
    octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from)).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn ip_layer(octets: &[u8], length: usize) -> Field {
    let number = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let dotted = |at: usize| octets[at..at + 4].iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    if length == 40 {
        let parts = vec![
            Field::leaf("payload length", 4, 2, number(4)),
            Field::leaf("next header", 6, 1, octets[6]),
            Field::leaf("hop limit", 7, 1, octets[7]),
            Field::leaf("source address", 8, 16, v6(&octets[8..24])),
            Field::leaf("destination address", 24, 16, v6(&octets[24..40])),
        ];
        return Field { at: 0, length, ..Field::branch("IPv6", 0, parts) };
    }
    let parts = vec![
        Field::leaf("version, header length", 0, 1, hex(&octets[..1])),
        Field::leaf("total length", 2, 2, number(2)),
        Field::leaf("flags", 6, 2, hex(&octets[6..8])),
        Field::leaf("time to live", 8, 1, octets[8]),
        Field::leaf("protocol", 9, 1, octets[9]),
        Field::leaf("checksum", 10, 2, hex(&octets[10..12])),
        Field::leaf("source address", 12, 4, dotted(12)),
        Field::leaf("destination address", 16, 4, dotted(16)),
    ];
    Field { at: 0, length, ..Field::branch("IPv4", 0, parts) }
}

fn v6(octets: &[u8]) -> String {
    <[u8; 16]>::try_from(octets).map_or_else(|_| hex(octets), |octets| std::net::Ipv6Addr::from(octets).to_string())
}

fn transport_layer(packet: &Packet, octets: &[u8], at: usize) -> Option<Field> {
    let number = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let checksum = |offset: usize| Field::leaf("checksum", at + offset, 2, hex(&octets[at + offset..at + offset + 2]));
    let (name, parts, length) = match &packet.body {
        Body::Udp(_) => (
            "UDP",
            vec![
                Field::leaf("source port", at, 2, number(at)),
                Field::leaf("destination port", at + 2, 2, number(at + 2)),
                Field::leaf("length", at + 4, 2, number(at + 4)),
                checksum(6),
            ],
            8,
        ),
        Body::Tcp(segment) => (
            "TCP",
            vec![
                Field::leaf("source port", at, 2, number(at)),
                Field::leaf("destination port", at + 2, 2, number(at + 2)),
                Field::leaf("sequence number", at + 4, 4, low(segment.seq)),
                Field::leaf("acknowledgment number", at + 8, 4, if segment.flags.ack { low(segment.ack) } else { 0 }),
                Field::leaf("flags", at + 13, 1, flags(segment)),
                Field::leaf("window", at + 14, 2, number(at + 14)),
                checksum(16),
            ],
            20,
        ),
        Body::Icmp(_) => (
            "ICMP",
            vec![
                Field::leaf("type", at, 1, octets[at]),
                Field::leaf("code", at + 1, 1, octets[at + 1]),
                checksum(2),
                Field::leaf("packet quoted", at + 8, octets.len() - at - 8, hex(&octets[at + 8..])),
            ],
            octets.len() - at,
        ),
    };
    Some(Field { at, length, ..Field::branch(name, at, parts) })
}

fn flags(segment: &Segment) -> String {
    let flags = segment.flags;
    let set = [(flags.syn, "SYN"), (flags.fin, "FIN"), (flags.rst, "RST"), (flags.ack, "ACK")];
    let names: Vec<_> = set.into_iter().filter_map(|(on, name)| on.then_some(name)).collect();
    names.join(" ")
}
