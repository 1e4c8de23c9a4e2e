//! The packets of a connection, drawn: one column for each place where they were seen.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

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

/// One end of the ladder: a host and the outside of its NAT, in the order in which packets leave.
#[derive(Debug)]
pub struct Side<'a> {
    /// What the host is called.
    pub host: &'a str,
    /// What the NAT is called.
    pub nat: &'a str,
    /// Packets seen at the host.
    pub inside: Vec<Packet>,
    /// Packets seen outside of the NAT.
    pub outside: Vec<Packet>,
}

/// A packet at one side: seen inside, outside, or both.
struct Row {
    at: Instant,
    side: usize,
    direction: Direction,
    inside: Option<View>,
    outside: Option<View>,
}

/// Draws what left and reached both sides from `since` on, at most `rows` rows: the host's endpoint, what
/// its NAT made of it, and where the NAT dropped a packet. Bare acknowledgements are left out.
#[must_use]
pub fn draw(sides: &[Side<'_>; 2], since: Instant, rows: usize) -> String {
    let mut all: Vec<Row> = sides.iter().enumerate().flat_map(|(number, side)| side.rows(number, since)).collect();
    all.sort_by_key(|row| (row.at, row.side));
    let [a, b] = sides;
    let mut out = String::new();
    let _ = writeln!(out, "{:>8}  {:<7}{:<12}{:<9}{:<8}packet", "ms", a.host, a.nat, b.nat, b.host);
    for row in all.iter().take(rows) {
        let _ = write!(out, "{:>8.1}  ", (row.at - since).as_secs_f64() * 1_000.0);
        let _ = writeln!(out, "{}    {}", row.picture(), row.text());
    }
    if all.len() > rows {
        let _ = writeln!(out, "{:>8}  and {} more", "", all.len() - rows);
    }
    out
}

impl Side<'_> {
    /// Pairs what was seen inside with what was seen outside.
    fn rows(&self, side: usize, since: Instant) -> Vec<Row> {
        let views = |packets: &[Packet]| -> Vec<(Instant, Direction, View)> {
            let seen = packets.iter().filter(|packet| packet.at >= since);
            seen.filter_map(|packet| Some((packet.at, packet.direction, View::of(&packet.octets)?)))
                .filter(|(.., view)| !view.is_bare_ack())
                .collect()
        };
        let mut outside = views(&self.outside);
        let mut rows = Vec::new();
        for (at, direction, inside) in views(&self.inside) {
            let found = outside.iter().position(|&(other, way, view)| {
                let apart = other.max(at) - other.min(at);
                way == direction && apart < CROSSING && view.crosses_as(&inside, direction)
            });
            let outside = found.map(|found| outside.remove(found));
            let at = outside.map_or(at, |(other, ..)| other.min(at));
            rows.push(Row { at, side, direction, inside: Some(inside), outside: outside.map(|(.., view)| view) });
        }
        rows.extend(outside.into_iter().map(|(at, direction, view)| Row {
            at,
            side,
            direction,
            inside: None,
            outside: Some(view),
        }));
        rows
    }
}

impl Row {
    /// The four places as bars, and the packet as an arrow between some of them.
    fn picture(&self) -> String {
        const PLACES: [usize; 4] = [0, 9, 19, 28];
        let mut line = [b' '; 29];
        for place in PLACES {
            line[place] = b'|';
        }
        // The host, its NAT, and a place in the middle that stands for everything outside.
        let (host, nat, outside) = if self.side == 0 { (0, 9, 13) } else { (28, 19, 15) };
        let (from, to, end) = match (self.direction, self.inside.is_some(), self.outside.is_some()) {
            (Direction::Out, true, true) => (host, outside, None),
            (Direction::Out, true, false) => (host, nat, Some(b'x')),
            (Direction::Out, false, _) => (nat, outside, None),
            (Direction::In, true, true) => (outside, host, None),
            (Direction::In, true, false) => (nat, host, None),
            (Direction::In, false, _) => (outside, nat, Some(b'x')),
        };
        for place in &mut line[from.min(to)..=from.max(to)] {
            *place = if *place == b'|' { b'+' } else { b'-' };
        }
        line[from] = b'o';
        line[to] = end.unwrap_or(if from < to { b'>' } else { b'<' });
        line.iter().map(|&octet| char::from(octet)).collect()
    }

    fn text(&self) -> String {
        let arrow = |view: &View| format!("{} -> {}", view.source, view.destination);
        match (self.inside, self.outside, self.direction) {
            (Some(inside), Some(outside), Direction::Out) if inside.source != outside.source => {
                format!("{} as {}  {}", inside.source, arrow(&outside), outside.name())
            }
            (Some(inside), Some(outside), Direction::In) if inside.destination != outside.destination => {
                format!("{} as {}  {}", arrow(&outside), inside.destination, outside.name())
            }
            (Some(view), Some(_), _) => format!("{}  {}", arrow(&view), view.name()),
            (None, Some(view), Direction::In) => format!("{}  {}, dropped by the NAT", arrow(&view), view.name()),
            (Some(view), None, Direction::Out) => format!("{}  {}, stays inside", arrow(&view), view.name()),
            (Some(view), None, Direction::In) | (None, Some(view), Direction::Out) => {
                format!("{}  {}", arrow(&view), view.name())
            }
            (None, None, _) => String::new(),
        }
    }
}

impl View {
    /// Whether it is a question of discovery in a datagram: no other packet of a peer to a server has its length.
    pub(crate) fn is_discover(&self) -> bool {
        self.flags.is_none() && self.payload == pinhole_proto::constants::DISCOVER_SIZE
    }

    /// Whether this packet outside is that one inside, behind the NAT's translation.
    fn crosses_as(&self, inside: &Self, direction: Direction) -> bool {
        let kept = match direction {
            Direction::Out => self.destination == inside.destination,
            Direction::In => self.source == inside.source,
        };
        kept && (self.flags, self.kind, self.payload) == (inside.flags, inside.kind, inside.payload)
    }
}

/// A packet crosses a NAT within this time.
const CROSSING: Duration = Duration::from_millis(5);

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Fate;

    fn packet(at: Instant, direction: Direction, source: [u8; 4], destination: [u8; 4]) -> Packet {
        let mut octets = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0];
        octets.extend(source);
        octets.extend(destination);
        octets.extend([0x10, 0xe1, 0x10, 0xe1, 0, 9, 0, 0, 0x08]);
        Packet { at, direction, fate: Fate::Passed, length: octets.len(), octets: octets.into() }
    }

    #[test]
    fn a_packet_that_the_nat_drops_ends_there() {
        let since = Instant::now();
        let (a, nat, b) = ([10, 0, 0, 1], [155, 99, 25, 11], [138, 76, 29, 7]);
        let sides = [
            Side {
                host: "A",
                nat: "NAT A",
                inside: vec![packet(since, Direction::Out, a, b)],
                outside: vec![packet(since, Direction::Out, nat, b), packet(since, Direction::In, b, nat)],
            },
            Side { host: "B", nat: "NAT B", inside: vec![], outside: vec![] },
        ];
        let drawn = draw(&sides, since, 10);
        assert!(drawn.contains("o--------+--->     |        |"), "{drawn}");
        assert!(drawn.contains("10.0.0.1:4321 as 155.99.25.11:4321 -> 138.76.29.7:4321  Punch 1"), "{drawn}");
        assert!(drawn.contains("|        x---o     |        |"), "{drawn}");
        assert!(drawn.contains("dropped by the NAT"), "{drawn}");
    }

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
