//! Holes can be punched where the kinds of NAT allow it, and nowhere else.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use pinhole_lab::{Direction, Kind, Lab, Line, NatKind, Topology, UnsolicitedSyn};
use socket2::{Domain, Socket, Type};

use crate::{Outcome, Test, ensure};

pub(crate) const TESTS: &[Test] = &[
    ("a_syn_that_comes_first_is_dropped_or_refused", a_syn_that_comes_first_is_dropped_or_refused),
    ("udp_holes_open_where_mapping_and_filtering_allow_it", udp_holes_open_where_mapping_and_filtering_allow_it),
    ("an_early_packet_spoils_the_hole_of_a_nat_that_accepts_it", an_early_packet_spoils_the_hole),
    ("a_hairpin_packet_comes_from_the_public_endpoint", a_hairpin_packet_comes_from_the_public_endpoint),
    ("tcp_connects_by_simultaneous_open", tcp_connects_by_simultaneous_open),
];

/// An inside socket and the endpoint at which the server sees it.
struct Registered {
    socket: UdpSocket,
    public: SocketAddr,
}

fn register(lab: &Lab, server: &UdpSocket, host: &str) -> Result<Registered, libtest_mimic::Failed> {
    let private = SocketAddr::new(lab.address(host)?, 4321);
    let socket = lab.run_on(host, || UdpSocket::bind(private))??;
    socket.send_to(&[0], server.local_addr()?)?;
    let (_, public) = server.recv_from(&mut [0])?;
    socket.set_read_timeout(Some(Duration::from_millis(5)))?;
    Ok(Registered { socket, public })
}

fn server(lab: &Lab) -> Result<UdpSocket, libtest_mimic::Failed> {
    let endpoint = SocketAddr::new(lab.address("s")?, 1234);
    let server = lab.run_on("s", || UdpSocket::bind(endpoint))??;
    server.set_read_timeout(Some(Duration::from_millis(500)))?;
    Ok(server)
}

/// Both send to the other's public endpoint, and answer to where something came from. Returns the
/// sources that A and B heard from, if both heard.
fn punch(lab: &Lab) -> Result<Option<(SocketAddr, SocketAddr)>, libtest_mimic::Failed> {
    let server = server(lab)?;
    let (a, b) = (register(lab, &server, "a")?, register(lab, &server, "b")?);
    let (mut at_a, mut at_b) = (None, None);
    for _ in 0..8 {
        a.socket.send_to(&[1], at_a.unwrap_or(b.public))?;
        b.socket.send_to(&[2], at_b.unwrap_or(a.public))?;
        std::thread::sleep(Duration::from_millis(10));
        at_a = a.socket.recv_from(&mut [0]).map(|(_, from)| from).ok().or(at_a);
        at_b = b.socket.recv_from(&mut [0]).map(|(_, from)| from).ok().or(at_b);
    }
    Ok(at_a.zip(at_b))
}

fn udp_holes_open_where_mapping_and_filtering_allow_it() -> Outcome {
    use NatKind::{AddressRestricted, Full, PortRestricted, PortRestrictedOtherPort, Symmetric};

    let cones = [AddressRestricted, Full, PortRestricted, PortRestrictedOtherPort];
    for (nat_a, nat_b) in NatKind::ALL.into_iter().flat_map(|a| NatKind::ALL.map(|b| (a, b))) {
        let opens = match (nat_a, nat_b) {
            (NatKind::SpoiledByEarlyPackets, _) | (_, NatKind::SpoiledByEarlyPackets) => continue,
            (Symmetric, AddressRestricted | Full) | (AddressRestricted | Full, Symmetric) => true,
            (a, b) => cones.contains(&a) && cones.contains(&b),
        };
        let topology = Topology { nat_a, nat_b, ..Topology::new(Kind::TwoNats) };
        let opened = punch(&Lab::build(&topology)?)?;
        ensure(opened.is_some() == opens, || format!("{nat_a} and {nat_b}: {opened:?}"))?;
    }
    for (kind, opens) in [
        (Kind::BPublic, true),
        (Kind::BothPublic, true),
        (Kind::CgnatAboveA, true),
        (Kind::Ipv6Firewalls, true),
        (Kind::SameNat { hairpin: false }, false),
        (Kind::SameNat { hairpin: true }, true),
        (Kind::TwoLevels { hairpin: false }, false),
        (Kind::TwoLevels { hairpin: true }, true),
    ] {
        for nat in [PortRestricted, PortRestrictedOtherPort] {
            let topology = Topology { nat_a: nat, nat_b: nat, nat_isp: nat, ..Topology::new(kind) };
            let opened = punch(&Lab::build(&topology)?)?;
            ensure(opened.is_some() == opens, || format!("{kind} with {nat}: {opened:?}"))?;
        }
    }
    Ok(())
}

fn an_early_packet_spoils_the_hole() -> Outcome {
    for (nat_b, opens) in [(NatKind::PortRestricted, true), (NatKind::SpoiledByEarlyPackets, false)] {
        let topology = Topology { nat_b, ..Topology::new(Kind::TwoNats) };
        let lab = Lab::build(&topology)?;
        let server = server(&lab)?;
        let (a, b) = (register(&lab, &server, "a")?, register(&lab, &server, "b")?);
        a.socket.send_to(&[1], b.public)?;
        std::thread::sleep(Duration::from_millis(20));
        b.socket.send_to(&[2], a.public)?;
        let heard = a.socket.recv_from(&mut [0]).is_ok();
        ensure(heard == opens, || format!("{nat_b}: A heard B: {heard}"))?;
    }
    Ok(())
}

fn a_hairpin_packet_comes_from_the_public_endpoint() -> Outcome {
    for kind in [Kind::SameNat { hairpin: true }, Kind::TwoLevels { hairpin: true }] {
        for nat in [NatKind::PortRestricted, NatKind::PortRestrictedOtherPort, NatKind::Full] {
            let topology = Topology { nat_a: nat, nat_b: nat, nat_isp: nat, ..Topology::new(kind) };
            let lab = Lab::build(&topology)?;
            let server = server(&lab)?;
            let (a, b) = (register(&lab, &server, "a")?, register(&lab, &server, "b")?);
            let mut heard = None;
            for _ in 0..3 {
                b.socket.send_to(&[2], a.public)?;
                a.socket.send_to(&[1], b.public)?;
                std::thread::sleep(Duration::from_millis(5));
                heard = b.socket.recv_from(&mut [0]).map(|(_, from)| from).ok().or(heard);
            }
            ensure(heard == Some(a.public), || format!("{kind} with {nat}: {heard:?} instead of {}", a.public))?;
        }
    }
    Ok(())
}

/// Two hosts that have shown the server where their TCP port appears.
struct Dialling {
    lab: Lab,
    hosts: [(&'static str, SocketAddr); 2],
    _to_the_server: Vec<(Socket, std::net::TcpStream)>,
}

impl Dialling {
    fn new(nat: NatKind, syn: UnsolicitedSyn) -> Result<Self, libtest_mimic::Failed> {
        let line = Line::with_delay(Duration::from_millis(25));
        let topology =
            Topology { nat_a: nat, nat_b: nat, syn, line_a: line, line_b: line, ..Topology::new(Kind::TwoNats) };
        let lab = Lab::build(&topology)?;
        let server = SocketAddr::new(lab.address("s")?, 1234);
        let listener = lab.run_on("s", || std::net::TcpListener::bind(server))??;
        let mut controls = Vec::new();
        let mut register = |host| -> Result<_, libtest_mimic::Failed> {
            let private = SocketAddr::new(lab.address(host)?, 4321);
            let control = lab.run_on(host, || reusable(private))??;
            control.connect(&server.into())?;
            let (accepted, public) = listener.accept()?;
            controls.push((control, accepted));
            Ok((host, public))
        };
        let hosts = [register("a")?, register("b")?];
        Ok(Self { lab, hosts, _to_the_server: controls })
    }

    /// Dials from one host to the other's public endpoint, from the port that faces the server.
    fn dial(&self, from: usize) -> std::io::Result<Socket> {
        let (host, _) = self.hosts[from];
        let (_, target) = self.hosts[1 - from];
        let private = self.lab.address(host).map(|address| SocketAddr::new(address, 4321));
        let private = private.map_err(std::io::Error::other)?;
        let socket = self.lab.run_on(host, || reusable(private)).map_err(std::io::Error::other)??;
        socket.connect_timeout(&target.into(), Duration::from_millis(900))?;
        Ok(socket)
    }
}

fn tcp_connects_by_simultaneous_open() -> Outcome {
    for (syn, nat) in [
        (UnsolicitedSyn::Drop, NatKind::PortRestricted),
        (UnsolicitedSyn::Drop, NatKind::PortRestrictedOtherPort),
        (UnsolicitedSyn::Rst, NatKind::PortRestricted),
    ] {
        let dialling = Dialling::new(nat, syn)?;
        let start = Instant::now();
        let (at_a, at_b) = std::thread::scope(|scope| {
            let at_a = scope.spawn(|| dialling.dial(0));
            let at_b = scope.spawn(|| dialling.dial(1));
            (at_a.join(), at_b.join())
        });
        let elapsed = start.elapsed();
        let connected = matches!((&at_a, &at_b), (Ok(Ok(_)), Ok(Ok(_))));
        ensure(connected, || format!("{nat}, {syn:?}: {at_a:?}, {at_b:?}"))?;
        eprintln!("{nat}, {syn:?}: simultaneous open after {elapsed:?}");
        for host in ["a", "b"] {
            let syns: Vec<_> = dialling
                .lab
                .wire(host)?
                .packets()
                .into_iter()
                .filter(|packet| packet.at >= start && is_syn(&packet.octets))
                .map(|packet| packet.direction)
                .collect();
            ensure(syns == [Direction::Out, Direction::In], || format!("SYNs at {host}: {syns:?}"))?;
        }
    }
    Ok(())
}

fn a_syn_that_comes_first_is_dropped_or_refused() -> Outcome {
    for syn in [UnsolicitedSyn::Drop, UnsolicitedSyn::Rst] {
        let dialling = Dialling::new(NatKind::PortRestrictedOtherPort, syn)?;
        let (early, late) = std::thread::scope(|scope| {
            let early = scope.spawn(|| dialling.dial(0).map(|_| ()));
            // A's SYN is at NAT B after 50 ms, and an RST back at A after 100 ms.
            std::thread::sleep(Duration::from_millis(120));
            let late = scope.spawn(|| dialling.dial(1));
            let early = early.join().map_err(|_| "A's thread")?.map_err(|error| error.kind());
            // Whoever was refused tries again while B is still dialling.
            let again = if early.is_err() { dialling.dial(0).map(drop).map_err(|error| error.kind()) } else { early };
            let late = late.join().map_err(|_| "B's thread")?;
            Ok::<_, &str>(((early, again), late))
        })?;
        let (first, again) = early;
        let expected = match syn {
            UnsolicitedSyn::Drop => Ok(()),
            UnsolicitedSyn::Rst => Err(std::io::ErrorKind::ConnectionRefused),
        };
        ensure(first == expected, || format!("{syn:?}: the early SYN led to {first:?}"))?;
        ensure(again.is_ok() && late.is_ok(), || format!("{syn:?}: in the end {again:?} and {late:?}"))?;
    }
    Ok(())
}

/// Whether an IPv4 packet is a TCP segment with SYN and without ACK.
fn is_syn(packet: &[u8]) -> bool {
    let header = usize::from(packet[0] & 0x0f) * 4;
    packet[9] == 6 && packet[header + 13] & 0x12 == 0x02
}

fn reusable(endpoint: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(endpoint), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&endpoint.into())?;
    Ok(socket)
}
