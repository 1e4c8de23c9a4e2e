//! IPv4 packets as octets, and what the model sees of them.
//!
//! The model decides about a [`Packet`]; what it decided is then written into the octets that arrived,
//! with the checksums adjusted by the difference (RFC 1624), so that a packet which arrived damaged stays
//! damaged, and everything that no NAT looks at, options, windows, payloads, passes as it was.

use std::net::{Ipv4Addr, SocketAddrV4};

use pinhole_proto::{Address, Endpoint, NetError, Transport};
use pinhole_sim::Packet;
use pinhole_sim::packet::{Body, Flags, Icmp, Octets, Segment};

use super::QUOTED;

/// Why the gateway drops a packet before the model sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// The checksum of the IP header or of an ICMP error is wrong.
    Damaged,
    /// It is a fragment: the model knows packets only as a whole.
    Fragment,
    /// An ICMP message that is no error about a UDP datagram or TCP segment: an echo, for instance.
    Icmp,
    /// It is no IPv4 packet.
    NotIpv4,
    /// It is neither UDP nor TCP nor ICMP.
    Protocol,
    /// It ends before its headers do.
    Short,
}

impl Unread {
    /// Every reason.
    pub const ALL: [Self; 6] = [Self::Damaged, Self::Fragment, Self::Icmp, Self::NotIpv4, Self::Protocol, Self::Short];

    /// The word for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Fragment => "fragment",
            Self::Icmp => "icmp-no-error",
            Self::NotIpv4 => "not-ipv4",
            Self::Protocol => "protocol",
            Self::Short => "short",
        }
    }
}

/// What the model sees of a packet.
///
/// # Errors
///
/// Why it sees nothing.
pub(crate) fn read(octets: &[u8]) -> Result<Packet, Unread> {
    let ip = Ip::read(octets)?;
    if sum(&octets[..ip.header]) != 0xffff {
        return Err(Unread::Damaged);
    }
    let body = &octets[ip.header..ip.length];
    let (source, destination, body) = match ip.protocol {
        UDP => {
            let (from, to) = ports(body)?;
            (from, to, Body::Udp(body.get(8..).ok_or(Unread::Short)?.into()))
        }
        TCP => {
            let (from, to) = ports(body)?;
            (from, to, Body::Tcp(segment(body)?))
        }
        ICMP => {
            let icmp = error(body)?;
            (0, icmp.source.port(), Body::Icmp(icmp))
        }
        _ => return Err(Unread::Protocol),
    };
    Ok(Packet {
        source: endpoint(ip.source, source),
        destination: endpoint(ip.destination, destination),
        ttl: ip.ttl,
        body,
    })
}

/// Writes what differs between two views of a packet into its octets, which the first was read from.
pub(crate) fn rewrite(octets: &mut [u8], before: &Packet, after: &Packet) {
    let Ok(ip) = Ip::read(octets) else {
        return;
    };
    let (head, rest) = octets.split_at_mut(ip.header);
    let body = &mut rest[..ip.length - ip.header];
    match (&before.body, &after.body) {
        (Body::Icmp(was), Body::Icmp(is)) => {
            let quoted = &mut body[8..];
            if let Ok(inner) = Ip::read_quoted(quoted) {
                let (inner_head, inner_body) = quoted.split_at_mut(inner.header);
                readdress(inner_head, inner_body, inner.protocol, (was.source, is.source), Place::SOURCE);
                let destinations = (was.destination, is.destination);
                readdress(inner_head, inner_body, inner.protocol, destinations, Place::DESTINATION);
            }
            body[2..4].fill(0);
            let checksum = !sum(body);
            body[2..4].copy_from_slice(&checksum.to_be_bytes());
            // The outer packet has addresses, but neither ports nor a checksum over them.
            readdress(head, &mut [], ICMP, (before.source, after.source), Place::SOURCE);
            readdress(head, &mut [], ICMP, (before.destination, after.destination), Place::DESTINATION);
        }
        _ => {
            readdress(head, body, ip.protocol, (before.source, after.source), Place::SOURCE);
            readdress(head, body, ip.protocol, (before.destination, after.destination), Place::DESTINATION);
        }
    }
}

/// The octets of a packet that the model made: a reset, or an ICMP error about `about`.
pub(crate) fn write(packet: &Packet, about: &[u8]) -> Option<Vec<u8>> {
    let (source, destination) = (socket(packet.source)?, socket(packet.destination)?);
    let (protocol, mut body) = match &packet.body {
        Body::Tcp(segment) => {
            let mut body = Vec::with_capacity(20 + segment.octets.len());
            body.extend(source.port().to_be_bytes());
            body.extend(destination.port().to_be_bytes());
            body.extend((segment.seq as u32).to_be_bytes());
            body.extend((segment.ack as u32).to_be_bytes());
            let Flags { syn, ack, fin, rst } = segment.flags;
            let flags = u8::from(fin) | u8::from(syn) << 1 | u8::from(rst) << 2 | u8::from(ack) << 4;
            let window = u16::try_from(segment.window).unwrap_or(u16::MAX);
            body.extend([5 << 4, flags]);
            body.extend(window.to_be_bytes());
            body.extend([0; 4]);
            body.extend(&segment.octets[..]);
            (TCP, body)
        }
        Body::Udp(octets) => {
            let mut body = Vec::with_capacity(8 + octets.len());
            body.extend(source.port().to_be_bytes());
            body.extend(destination.port().to_be_bytes());
            body.extend(u16::try_from(8 + octets.len()).ok()?.to_be_bytes());
            body.extend([0; 2]);
            body.extend(&octets[..]);
            (UDP, body)
        }
        Body::Icmp(icmp) => {
            let code = if icmp.error == NetError::Refused { PORT_UNREACHABLE } else { HOST_UNREACHABLE };
            let mut body = vec![UNREACHABLE, code, 0, 0, 0, 0, 0, 0];
            body.extend(&about[..about.len().min(QUOTED)]);
            (ICMP, body)
        }
    };
    if protocol == ICMP {
        let checksum = !sum(&body);
        body[2..4].copy_from_slice(&checksum.to_be_bytes());
    } else {
        let place = if protocol == UDP { 6 } else { 16 };
        let length = u16::try_from(body.len()).ok()?;
        let pseudo = [&source.ip().octets()[..], &destination.ip().octets(), &[0, protocol], &length.to_be_bytes()];
        let checksum = match !fold(pseudo.iter().map(|part| add(part)).sum::<u32>() + add(&body)) {
            0 if protocol == UDP => 0xffff,
            checksum => checksum,
        };
        body[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
    }
    let length = u16::try_from(20 + body.len()).ok()?;
    let mut octets = vec![0x45, 0];
    octets.extend(length.to_be_bytes());
    // No identification: the packet may not be fragmented.
    octets.extend([0, 0, 0x40, 0, packet.ttl, protocol, 0, 0]);
    octets.extend(source.ip().octets());
    octets.extend(destination.ip().octets());
    let checksum = !sum(&octets);
    octets[10..12].copy_from_slice(&checksum.to_be_bytes());
    octets.extend(body);
    Some(octets)
}

/// What the header of an IPv4 packet says, with lengths that lie within the octets.
struct Ip {
    header: usize,
    length: usize,
    ttl: u8,
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Ip {
    fn read(octets: &[u8]) -> Result<Self, Unread> {
        let ip = Self::read_quoted(octets)?;
        let length = usize::from(word(octets, 2));
        if length < ip.header || length > octets.len() {
            return Err(Unread::Short);
        }
        Ok(Self { length, ..ip })
    }

    /// A packet of which only the beginning is there.
    fn read_quoted(octets: &[u8]) -> Result<Self, Unread> {
        let first = *octets.first().ok_or(Unread::Short)?;
        if first >> 4 != 4 {
            return Err(Unread::NotIpv4);
        }
        let header = usize::from(first & 0xf) * 4;
        if header < 20 || octets.len() < header {
            return Err(Unread::Short);
        }
        // More fragments, or an offset.
        if word(octets, 6) & 0x3fff != 0 {
            return Err(Unread::Fragment);
        }
        Ok(Self {
            header,
            length: octets.len(),
            ttl: octets[8],
            protocol: octets[9],
            source: Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]),
            destination: Ipv4Addr::new(octets[16], octets[17], octets[18], octets[19]),
        })
    }
}

fn ports(body: &[u8]) -> Result<(u16, u16), Unread> {
    if body.len() < 4 {
        return Err(Unread::Short);
    }
    Ok((word(body, 0), word(body, 2)))
}

fn segment(body: &[u8]) -> Result<Segment, Unread> {
    if body.len() < 20 {
        return Err(Unread::Short);
    }
    let offset = usize::from(body[12] >> 4) * 4;
    let octets: Octets = body.get(offset.max(20)..).ok_or(Unread::Short)?.into();
    let bit = |number: u8| body[13] & 1 << number != 0;
    Ok(Segment {
        flags: Flags { fin: bit(0), syn: bit(1), rst: bit(2), ack: bit(4) },
        seq: u64::from(long(body, 4)),
        ack: u64::from(long(body, 8)),
        window: u32::from(word(body, 14)),
        single: None,
        octets,
    })
}

fn error(body: &[u8]) -> Result<Icmp, Unread> {
    if body.len() < 8 {
        return Err(Unread::Short);
    }
    let error = match (body[0], body[1]) {
        (UNREACHABLE, PORT_UNREACHABLE) => NetError::Refused,
        (UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM, _) => NetError::Unreachable,
        _ => return Err(Unread::Icmp),
    };
    if sum(body) != 0xffff {
        return Err(Unread::Damaged);
    }
    let quoted = &body[8..];
    let ip = Ip::read_quoted(quoted)?;
    let transport = match ip.protocol {
        UDP => Transport::Udp,
        TCP => Transport::Tcp,
        _ => return Err(Unread::Icmp),
    };
    let (from, to) = ports(&quoted[ip.header..])?;
    Ok(Icmp { error, transport, source: endpoint(ip.source, from), destination: endpoint(ip.destination, to) })
}

/// Where an endpoint stands in an IP header and in the transport header behind it.
struct Place {
    address: usize,
    port: usize,
}

impl Place {
    const SOURCE: Self = Self { address: 12, port: 0 };
    const DESTINATION: Self = Self { address: 16, port: 2 };
}

/// Replaces one endpoint, in the IP header and in as much of the transport header as there is.
fn readdress(head: &mut [u8], body: &mut [u8], protocol: u8, (was, is): (Endpoint, Endpoint), place: Place) {
    let (Some(was), Some(is)) = (socket(was), socket(is)) else {
        return;
    };
    if was == is {
        return;
    }
    let (old, new) = (was.ip().octets(), is.ip().octets());
    head[place.address..place.address + 4].copy_from_slice(&new);
    adjust(head, 10, &old, &new);
    if protocol == ICMP || body.len() < 4 {
        return;
    }
    let (old_port, new_port) = (was.port().to_be_bytes(), is.port().to_be_bytes());
    body[place.port..place.port + 2].copy_from_slice(&new_port);
    let checksum = if protocol == UDP { 6 } else { 16 };
    // A datagram without a checksum stays without; a quotation may end before it.
    if body.len() < checksum + 2 || (protocol == UDP && word(body, 6) == 0) {
        return;
    }
    adjust(body, checksum, &[&old[..], &old_port].concat(), &[&new[..], &new_port].concat());
    if protocol == UDP && word(body, 6) == 0 {
        body[6..8].fill(0xff);
    }
}

/// Adjusts the checksum at `place` for octets that were replaced: RFC 1624, equation 3.
fn adjust(octets: &mut [u8], place: usize, old: &[u8], new: &[u8]) {
    let without = old.chunks(2).fold(u32::from(!word(octets, place)), |sum, pair| sum + u32::from(!word(pair, 0)));
    let checksum = !fold(without + add(new));
    octets[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// The one's complement sum; 0xffff where the octets hold their own right checksum.
fn sum(octets: &[u8]) -> u16 {
    fold(add(octets))
}

fn add(octets: &[u8]) -> u32 {
    octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn word(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

fn long(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

fn endpoint(address: Ipv4Addr, port: u16) -> Endpoint {
    Endpoint::new(Address::V4(address), port)
}

/// An IPv4 endpoint; none for another family.
fn socket(endpoint: Endpoint) -> Option<SocketAddrV4> {
    match endpoint.address() {
        Address::V4(address) => Some(SocketAddrV4::new(address, endpoint.port())),
        Address::V6(_) => None,
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

const UNREACHABLE: u8 = 3;
const HOST_UNREACHABLE: u8 = 1;
const PORT_UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(octets: [u8; 4], port: u16) -> Endpoint {
        endpoint(octets.into(), port)
    }

    const INSIDE: [u8; 4] = [10, 0, 0, 1];
    const PUBLIC: [u8; 4] = [155, 99, 25, 11];
    const OUTSIDE: [u8; 4] = [18, 181, 0, 31];

    /// Whether every checksum of a packet is right.
    fn sound(octets: &[u8]) -> bool {
        let ip = Ip::read(octets).unwrap();
        let body = &octets[ip.header..ip.length];
        let length = (body.len() as u16).to_be_bytes();
        let pseudo = add(&octets[12..20]) + u32::from(ip.protocol) + add(&length);
        let transport = match ip.protocol {
            ICMP => sum(body),
            _ => fold(pseudo + add(body)),
        };
        sum(&octets[..ip.header]) == 0xffff && transport == 0xffff
    }

    fn translated(octets: &[u8], change: impl FnOnce(&mut Packet)) -> Vec<u8> {
        let before = read(octets).unwrap();
        let mut after = before.clone();
        change(&mut after);
        let mut octets = octets.to_vec();
        rewrite(&mut octets, &before, &after);
        assert_eq!(read(&octets).unwrap(), after);
        octets
    }

    #[test]
    fn a_translated_packet_says_what_the_model_said_and_its_checksums_are_right() {
        // Every last octet, so that carries and sums of zero occur.
        for port in 0..=u16::MAX {
            let packet = Packet::udp(at(INSIDE, 4321), at(OUTSIDE, 1234), b"payload");
            let octets = translated(&write(&packet, &[]).unwrap(), |after| after.source = at(PUBLIC, port));
            assert!(sound(&octets), "UDP from port {port}");
        }
        let mut packet = Packet::tcp(at(OUTSIDE, 1234), at(PUBLIC, 62_000), Flags::SYN_ACK, 1 << 31, 7);
        if let Body::Tcp(segment) = &mut packet.body {
            segment.octets = (*b"odd").into();
        }
        let octets = translated(&write(&packet, &[]).unwrap(), |after| after.destination = at(INSIDE, 4321));
        assert!(sound(&octets));
    }

    #[test]
    fn an_error_is_translated_within_its_quotation_too() {
        for quoted in [
            Packet::udp(at(PUBLIC, 62_000), at(OUTSIDE, 1234), b"long enough for a checksum"),
            Packet::tcp(at(PUBLIC, 62_000), at(OUTSIDE, 1234), Flags::SYN, 5, 0),
        ] {
            let about = write(&quoted, &[]).unwrap();
            for quotation in [&about[..], &about[..28]] {
                let error = quoted.error_from(OUTSIDE.map(u8::from).into(), NetError::Refused).unwrap();
                let arrived = write(&error, quotation).unwrap();
                assert!(sound(&arrived));
                let octets = translated(&arrived, |after| {
                    after.destination = at(INSIDE, 4321);
                    if let Body::Icmp(icmp) = &mut after.body {
                        icmp.source = at(INSIDE, 4321);
                    }
                });
                assert!(sound(&octets));
                let inside = &octets[28..];
                assert_eq!(sum(&inside[..20]), 0xffff, "the quoted header");
                assert!(quotation.len() == 28 || sound(inside), "the quoted datagram");
            }
        }
    }

    #[test]
    fn a_datagram_without_a_checksum_stays_without_and_a_damaged_one_damaged() {
        let mut octets = write(&Packet::udp(at(INSIDE, 1), at(OUTSIDE, 2), b"x"), &[]).unwrap();
        octets[26..28].fill(0);
        let without = translated(&octets, |after| after.source = at(PUBLIC, 3));
        assert_eq!(without[26..28], [0, 0]);
        let mut octets = write(&Packet::udp(at(INSIDE, 1), at(OUTSIDE, 2), b"x"), &[]).unwrap();
        octets[28] ^= 1;
        assert!(!sound(&translated(&octets, |after| after.source = at(PUBLIC, 3))));
    }

    #[test]
    fn what_the_model_cannot_see_has_a_reason() {
        let good = write(&Packet::udp(at(INSIDE, 1), at(OUTSIDE, 2), b"x"), &[]).unwrap();
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut octets = good.clone();
            change(&mut octets);
            octets[10..12].fill(0);
            let checksum = !sum(&octets[..20.min(octets.len())]);
            octets[10..12].copy_from_slice(&checksum.to_be_bytes());
            read(&octets).unwrap_err()
        };
        assert_eq!(with(&|octets| octets[0] = 0x65), Unread::NotIpv4);
        assert_eq!(with(&|octets| octets[6] = 0x20), Unread::Fragment);
        assert_eq!(with(&|octets| octets[7] = 1), Unread::Fragment);
        assert_eq!(with(&|octets| octets[9] = 47), Unread::Protocol);
        assert_eq!(with(&|octets| octets[3] = 200), Unread::Short);
        // An echo request.
        assert_eq!(with(&|octets| (octets[9], octets[20]) = (ICMP, 8)), Unread::Icmp);
        let mut damaged = good.clone();
        damaged[8] ^= 1;
        assert_eq!(read(&damaged), Err(Unread::Damaged));
    }

    #[test]
    fn no_octets_make_it_panic() {
        let good = [
            write(&Packet::udp(at(INSIDE, 1), at(OUTSIDE, 2), b"x"), &[]).unwrap(),
            write(&Packet::tcp(at(INSIDE, 1), at(OUTSIDE, 2), Flags::SYN, 1, 0), &[]).unwrap(),
        ];
        let mut rng = pinhole_sim::Rng::new(1);
        let mut seen = 0;
        for _ in 0..200_000 {
            let mut octets = good[rng.below(2) as usize].clone();
            for _ in 0..rng.below(4) {
                let place = rng.below(octets.len() as u64) as usize;
                octets[place] = rng.below(256) as u8;
            }
            octets.truncate(rng.below(octets.len() as u64 + 20) as usize);
            if octets.len() >= 20 {
                let header = (usize::from(octets[0] & 0xf) * 4).clamp(12, octets.len());
                octets[10..12].fill(0);
                let checksum = !sum(&octets[..header]);
                octets[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
            if let Ok(before) = read(&octets) {
                let after = Packet { source: at(PUBLIC, 9), ..before.clone() };
                rewrite(&mut octets, &before, &after);
                seen += 1;
            }
        }
        assert!(seen > 20_000, "only {seen} were read");
    }
}
