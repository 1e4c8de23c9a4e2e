//! The packets of a connection, drawn: one column for each place where they were seen.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use crate::recording::{Direction, Packet};

/// What one can see of a packet without its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Where it says that it comes from.
    pub source: SocketAddr,
    /// Where it goes to.
    pub destination: SocketAddr,
    /// TCP flags, or nothing for UDP.
    flags: Option<u8>,
    /// The first octet of the payload.
    kind: Option<u8>,
    payload: usize,
}

impl View {
    /// Reads a packet from its IP header on. Fragments, other protocols and short packets have no view.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        let (protocol, source, destination, transport) = match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 0x0f) * 4;
                let length = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
                let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
                let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
                let body = packet.get(header..length.min(packet.len()))?;
                (packet[9], IpAddr::V4(Ipv4Addr::from(source)), IpAddr::V4(Ipv4Addr::from(destination)), body)
            }
            6 => {
                let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
                let destination: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
                let body = packet.get(40..)?;
                (packet[6], IpAddr::V6(Ipv6Addr::from(source)), IpAddr::V6(Ipv6Addr::from(destination)), body)
            }
            _ => return None,
        };
        let port = |at: usize| Some(u16::from_be_bytes(transport.get(at..at + 2)?.try_into().ok()?));
        let (source, destination) = (SocketAddr::new(source, port(0)?), SocketAddr::new(destination, port(2)?));
        let (flags, payload) = match protocol {
            17 => (None, transport.get(8..)?),
            6 => {
                let header = usize::from(transport.get(12)? >> 4) * 4;
                (Some(*transport.get(13)?), transport.get(header..)?)
            }
            _ => return None,
        };
        // A frame on a stream has its length in front.
        let kind = payload.get(if flags.is_some() { 2 } else { 0 }).copied();
        Some(Self { source, destination, flags, kind, payload: payload.len() })
    }

    /// A SYN that answers none.
    #[must_use]
    pub fn is_syn(&self) -> bool {
        self.flags.is_some_and(|flags| flags & (SYN | ACK) == SYN)
    }

    /// A name for people.
    #[must_use]
    pub fn name(&self) -> String {
        let packet = match self.kind {
            Some(0x04) => "Discover",
            Some(0x05) => "Discovered",
            Some(0x06) => "Register",
            Some(0x07) => "Registered",
            Some(0x08) => "Punch",
            Some(0x09) => "PunchReply",
            Some(0x0a) => "Sealed",
            Some(0x0b) => "Relayed",
            Some(0x0c) => "Reset",
            _ => "data",
        };
        match self.flags {
            None => format!("{packet} {}", self.payload),
            Some(flags) if self.payload > 0 && flags & SYN == 0 => format!("TCP {packet} {}", self.payload),
            Some(flags) => {
                let names = [(SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK")];
                let set: Vec<_> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
                format!("TCP {}", set.join("+"))
            }
        }
    }

    /// An acknowledgement and nothing else.
    fn is_bare_ack(&self) -> bool {
        self.flags.is_some_and(|flags| flags & (SYN | FIN | RST) == 0) && self.payload == 0
    }
}

/// Draws what was seen at some places from `since` on, at most `rows` rows.
#[must_use]
pub fn draw(places: &[(&str, Vec<Packet>)], since: Instant, rows: usize) -> String {
    let mut seen: Vec<(Instant, usize, Direction, View)> = Vec::new();
    for (column, (_, packets)) in places.iter().enumerate() {
        for packet in packets.iter().filter(|packet| packet.at >= since) {
            if let Some(view) = View::of(&packet.octets)
                && !view.is_bare_ack()
            {
                seen.push((packet.at, column, packet.direction, view));
            }
        }
    }
    seen.sort_by_key(|&(at, column, ..)| (at, column));
    let mut out = String::new();
    let _ = write!(out, "{:>9}  ", "ms");
    for (name, _) in places {
        let _ = write!(out, "{name:<10}");
    }
    let _ = writeln!(out, "packet");
    for (at, column, direction, view) in seen.iter().take(rows) {
        let _ = write!(out, "{:>9.3}  ", (*at - since).as_secs_f64() * 1_000.0);
        for place in 0..places.len() {
            let mark = match direction {
                _ if place != *column => "|",
                Direction::Out => "o-->",
                Direction::In => "-->o",
            };
            let _ = write!(out, "{mark:<10}");
        }
        let _ = writeln!(out, "{} -> {}  {}", view.source, view.destination, view.name());
    }
    if seen.len() > rows {
        let _ = writeln!(out, "{:>9}  and {} more", "", seen.len() - rows);
    }
    out
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_and_a_syn_are_read() {
        let mut packet = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 138, 76, 29, 7];
        packet.extend([0x10, 0xe1, 0x79, 0x18, 0, 9, 0, 0, 0x08]);
        let view = View::of(&packet).unwrap();
        assert_eq!(view.source, "10.0.0.1:4321".parse().unwrap());
        assert_eq!(view.destination, "138.76.29.7:31000".parse().unwrap());
        assert_eq!(view.name(), "Punch 1");
        packet[9] = 6;
        packet[3] = 40;
        packet.truncate(24);
        packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0]);
        assert!(View::of(&packet).unwrap().is_syn());
        for length in 0..packet.len() {
            let _ = View::of(&packet[..length]);
        }
        assert_eq!(View::of(&packet[..30]), None);
    }
}
