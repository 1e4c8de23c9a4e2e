//! What a whole exchange looks like to somebody who captures all of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use anyhow::{Context as _, ensure};
use pinhole_lab::trial::{Over, Running, is, text};
use pinhole_lab::{Capture, Direction, Kind, Lab, NatKind, Packet, Recording};
use pinhole_proto::constants::{MAX_DATAGRAM, MAX_PACKET};
use pinhole_proto::wire::code::packet::{RESET, SEALED};
use pinhole_proto::wire::{Deframer, FRAME_HEADER};

use super::Context;
use super::client::Client;
use super::flood::{Dice, garbage};
use super::setting::{START, Setting, end, exchange, with};

pub(crate) fn udp(context: &Context) -> anyhow::Result<String> {
    let exchange = Exchange::hold(context, Over::Udp)?;
    let mut longest = 0;
    let mut datagrams = 0;
    for (place, packets) in &exchange.places {
        for (_, datagram) in packets.iter().filter_map(|packet| Some((packet.direction, Datagram::read(packet)?))) {
            let length = datagram.payload.len();
            ensure!(length <= MAX_PACKET, "{place}: {length} octets from {} to {}", datagram.from, datagram.to);
            longest = longest.max(length);
            datagrams += 1;
            exchange.no_private_endpoint(place, datagram.payload)?;
        }
    }
    ensure!(longest > MAX_DATAGRAM, "the longest datagram had {longest} octets: the exchange was too small");
    let (requests, answers) = exchange.no_amplification()?;
    Ok(format!(
        "{datagrams} datagrams, the longest of {longest} octets; {answers} octets to unvalidated addresses for {requests}"
    ))
}

pub(crate) fn tcp(context: &Context) -> anyhow::Result<String> {
    let exchange = Exchange::hold(context, Over::Tcp)?;
    let (mut longest, mut frames, mut streams) = (0, 0, 0);
    for (place, packets) in &exchange.places {
        for (ends, stream) in streams_of(packets) {
            exchange.no_private_endpoint(place, &stream)?;
            let (mut deframer, mut rest) = (Deframer::default(), stream.as_slice());
            while let Some(frame) =
                deframer.next(&mut rest).ok().with_context(|| format!("{place}: no frame in {ends:?}"))?
            {
                longest = longest.max(frame.len() + FRAME_HEADER);
                frames += 1;
            }
            streams += 1;
        }
    }
    ensure!(longest <= MAX_PACKET + FRAME_HEADER, "a frame of {longest} octets");
    ensure!(longest > MAX_DATAGRAM, "the longest frame had {longest} octets: the exchange was too small");
    let (requests, answers) = exchange.no_amplification()?;
    Ok(format!(
        "{frames} frames in {streams} captured directions of streams, the longest of {longest} octets; UDP: {answers} octets for {requests}"
    ))
}

/// All that was captured of two sessions, a direct and a relayed one, and of a stranger who asks the server things.
struct Exchange {
    places: Vec<(&'static str, Vec<Packet>)>,
    /// The private endpoints of the peers.
    private: Vec<SocketAddrV4>,
    /// Their public endpoints: those whose address the server may take for validated.
    peers: Vec<SocketAddr>,
}

impl Exchange {
    fn hold(context: &Context, over: Over) -> anyhow::Result<Self> {
        // In this network the private addresses are tried: A's LAN covers that of B.
        let lab = Lab::build(&with(NatKind::PortRestrictedOtherPort, Kind::Stranger))?;
        let tap = |host: &'static str, interface| Ok::<_, anyhow::Error>((host, lab.capture(host, interface)?));
        let taps: Vec<(_, Capture)> =
            vec![tap("a", "eth0")?, tap("b", "eth0")?, tap("nat-a", "wan")?, tap("nat-b", "wan")?];
        let setting = Setting::in_lab(context, lab, over)?;
        let (mut b, id) = setting.listener("b", &[])?;
        let (mut private, mut peers) = (Vec::new(), Vec::new());
        for (key, arguments) in [("a", ["--relay", "allow"]), ("a2", ["--relay", "only"])] {
            let mut a = setting.peer("a", key, &[&["connect", id.as_str()], arguments.as_slice()].concat())?;
            let kind = if key == "a" { "public" } else { "relayed" };
            a.wait_for(kind, START, |value| (is(value, "selected") && value["kind"] == kind).then_some(()))?;
            exchange(&mut a, "short")?;
            exchange(&mut a, &"long ".repeat(300)[..MAX_DATAGRAM])?;
            note(&mut a, &mut private, &mut peers)?;
            end(a)?;
        }
        note(&mut b, &mut private, &mut peers)?;
        if over == Over::Udp {
            ask(&setting)?;
        }
        let mut places: Vec<_> = taps.into_iter().map(|(place, tap)| (place, tap.finish().packets())).collect();
        for site in ["a", "b", "s"] {
            places.push((site, setting.lab.wire(site).map(Recording::packets)?));
        }
        // A finds B's private address on its own LAN, tries it, and so shows that it was told.
        let b_private = private.last().context("no endpoint of B")?;
        let told = places[0].1.iter().any(|packet| destination(packet) == Some(*b_private.ip()));
        ensure!(told, "A never tried B's private endpoint, so that nothing shows that it was told");
        Ok(Self { places, private, peers })
    }

    fn no_private_endpoint(&self, place: &str, payload: &[u8]) -> anyhow::Result<()> {
        for endpoint in &self.private {
            let octets = [endpoint.ip().octets().as_slice(), &endpoint.port().to_be_bytes()].concat();
            let text = endpoint.ip().to_string();
            for needle in [octets.as_slice(), text.as_bytes()] {
                let found = payload.windows(needle.len()).any(|window| window == needle);
                ensure!(!found, "{place}: {endpoint} in clear in {payload:02x?}");
            }
        }
        Ok(())
    }

    /// At the server, for each remote endpoint, until a packet of it was sealed by a peer: never more octets out than
    /// in, and none longer than the longest in. Octets in, octets out.
    fn no_amplification(&self) -> anyhow::Result<(usize, usize)> {
        #[derive(Default)]
        struct Remote {
            validated: bool,
            received: usize,
            longest: usize,
            sent: usize,
        }
        let mut remotes: BTreeMap<SocketAddr, Remote> = BTreeMap::new();
        let at_server = self.places.iter().rfind(|(place, _)| *place == "s").context("no capture at the server")?;
        for packet in &at_server.1 {
            let Some(datagram) = Datagram::read(packet) else { continue };
            let length = datagram.payload.len();
            if packet.direction == Direction::In {
                let remote = remotes.entry(datagram.from).or_default();
                remote.validated |= datagram.payload.first() == Some(&SEALED) && self.peers.contains(&datagram.from);
                if !remote.validated {
                    remote.received += length;
                    remote.longest = remote.longest.max(length);
                }
            } else {
                let remote = remotes.entry(datagram.to).or_default();
                if !remote.validated {
                    remote.sent += length;
                    let fine = length <= remote.longest && remote.sent <= remote.received;
                    ensure!(fine, "{length} octets to {}, {} for {}", datagram.to, remote.sent, remote.received);
                }
            }
        }
        Ok(remotes.values().fold((0, 0), |(received, sent), remote| (received + remote.received, sent + remote.sent)))
    }
}

/// Keeps a peer's private and public endpoints.
fn note(peer: &mut Running, private: &mut Vec<SocketAddrV4>, peers: &mut Vec<SocketAddr>) -> anyhow::Result<()> {
    let online = peer.event("online", START)?;
    private.push(text(&online, "private").parse().with_context(|| format!("{online}"))?);
    peers.push(text(&online, "public").parse().with_context(|| format!("{online}"))?);
    Ok(())
}

/// What a stranger may ask who never shows that he receives: discovery, a registration that he does not go on
/// with, and what looks sealed, of every length.
fn ask(setting: &Setting<'_>) -> anyhow::Result<()> {
    let server = setting.server_endpoint()?;
    let key = setting.server_key()?;
    setting.lab.run_on("b", || {
        let mut client = Client::new(UdpSocket::bind(("0.0.0.0", 0))?, server, key, 1)?;
        let greeting = client.greet()?;
        let register = client.register(&greeting)?;
        for _ in 0..3 {
            client.socket.send(&register)?;
        }
        let mut dice = Dice::new(2);
        for length in 0..80 {
            let mut sealed = dice.octets(length);
            let head = length.min(5);
            sealed[..head].copy_from_slice(&[SEALED, 1, 0, 0, 0][..head]);
            client.socket.send(&sealed)?;
        }
        for _ in 0..200 {
            let octets = garbage(&mut dice);
            client.socket.send(&octets[..octets.len().min(MAX_PACKET)])?;
        }
        let (mut buffer, mut resets) = ([0; 2_048], 0);
        while let Ok(length) = client.socket.recv(&mut buffer) {
            resets += usize::from(buffer[..length].first() == Some(&RESET));
        }
        ensure!(resets > 0, "nothing was answered with Reset: nothing was tested");
        Ok(())
    })?
}

/// A captured UDP datagram.
pub(super) struct Datagram<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    pub(super) fn read(packet: &'a Packet) -> Option<Self> {
        let (from, to, rest) = ip(&packet.octets, 17)?;
        Some(Self { from: port(from, rest, 0)?, to: port(to, rest, 2)?, payload: rest.get(8..)? })
    }
}

/// Source and destination.
pub(super) type Ends = (SocketAddr, SocketAddr);
/// Sequence number and content.
type Segment<'a> = (u32, &'a [u8]);

/// Each direction of each TCP connection, put together from its segments. It begins with its SYN, which the
/// captures saw, and ends where the first octet is missing.
pub(super) fn streams_of(packets: &[Packet]) -> BTreeMap<Ends, Vec<u8>> {
    let mut directions: BTreeMap<Ends, (Option<u32>, Vec<Segment<'_>>)> = BTreeMap::new();
    for packet in packets {
        let Some((from, to, rest)) = ip(&packet.octets, 6) else { continue };
        let (Some(from), Some(to), Some(header)) = (port(from, rest, 0), port(to, rest, 2), rest.get(..20)) else {
            continue;
        };
        let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let payload = rest.get(usize::from(header[12] >> 4) * 4..).unwrap_or_default();
        let direction = directions.entry((from, to)).or_default();
        const SYN: u8 = 2;
        if header[13] & SYN != 0 {
            // A port that is used again begins anew; what came before was looked at as far as it was kept.
            if direction.0 != Some(sequence.wrapping_add(1)) && direction.1.is_empty() {
                direction.0 = Some(sequence.wrapping_add(1));
            }
        } else if !payload.is_empty() {
            direction.1.push((sequence, payload));
        }
    }
    let joined = directions.into_iter().filter_map(|(ends, (first, segments))| {
        let first = first?;
        let mut segments: Vec<_> =
            segments.into_iter().map(|(sequence, payload)| (sequence.wrapping_sub(first) as usize, payload)).collect();
        segments.sort_by_key(|(at, _)| *at);
        let mut stream = Vec::new();
        for (at, payload) in segments {
            if at > stream.len() {
                break;
            }
            stream.extend(payload.get(stream.len() - at..).unwrap_or_default());
        }
        Some((ends, stream))
    });
    joined.filter(|(_, stream)| !stream.is_empty()).collect()
}

/// Source, destination and content of an IPv4 packet of this protocol.
fn ip(octets: &[u8], protocol: u8) -> Option<(Ipv4Addr, Ipv4Addr, &[u8])> {
    let header = octets.get(..20)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let content = octets.get(usize::from(header[0] & 15) * 4..length.min(octets.len()))?;
    (header[0] >> 4 == 4 && header[9] == protocol).then_some((address(12), address(16), content))
}

fn destination(packet: &Packet) -> Option<Ipv4Addr> {
    [6, 17].into_iter().find_map(|protocol| ip(&packet.octets, protocol)).map(|(_, to, _)| to)
}

fn port(address: Ipv4Addr, header: &[u8], at: usize) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([*header.get(at)?, *header.get(at + 1)?]);
    Some(SocketAddr::from((address, port)))
}
