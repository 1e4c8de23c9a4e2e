//! Each network is the one of its figure.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use pinhole_lab::{Direction, Kind, Lab, Topology};

use crate::{Outcome, Test, ensure};

pub(crate) const TESTS: &[Test] = &[
    ("every_network_is_built_quickly", every_network_is_built_quickly),
    ("the_server_sees_hosts_at_the_addresses_of_the_draft", the_server_sees_hosts_at_the_addresses_of_the_draft),
    ("blocked_udp_leaves_tcp_open", blocked_udp_leaves_tcp_open),
    ("two_hosts_of_one_lan_talk_past_the_nat", two_hosts_of_one_lan_talk_past_the_nat),
    ("the_stranger_answers_at_the_private_address_of_b", the_stranger_answers_at_the_private_address_of_b),
    ("a_firewall_admits_answers_only", a_firewall_admits_answers_only),
    ("nothing_works_through_a_nat_that_was_removed", nothing_works_through_a_nat_that_was_removed),
    ("labs_do_not_disturb_each_other", labs_do_not_disturb_each_other),
    ("a_command_runs_on_its_host", a_command_runs_on_its_host),
    ("a_capture_shows_both_sides_of_a_nat", a_capture_shows_both_sides_of_a_nat),
];

fn every_network_is_built_quickly() -> Outcome {
    for kind in Kind::ALL {
        let start = Instant::now();
        let lab = Lab::build(&Topology::new(kind))?;
        let elapsed = start.elapsed();
        drop(lab);
        eprintln!("{kind}: built in {elapsed:?}, with removal {:?}", start.elapsed());
        ensure(elapsed < Duration::from_millis(1_500), || format!("{kind} took {elapsed:?}"))?;
        ensure(kind.name().parse::<Kind>().is_ok_and(|parsed| parsed == kind), || format!("{kind} is not a name"))?;
    }
    Ok(())
}

/// What the server sees a datagram from a host come from, if it arrives.
fn seen_over_udp(lab: &Lab, host: &str) -> Result<Option<SocketAddr>, libtest_mimic::Failed> {
    let server = SocketAddr::new(lab.address("s")?, 1234);
    let listener = lab.run_on("s", || UdpSocket::bind(server))??;
    listener.set_read_timeout(Some(Duration::from_millis(200)))?;
    let private = SocketAddr::new(lab.address(host)?, 1234);
    let socket = lab.run_on(host, || UdpSocket::bind(private))??;
    socket.send_to(b"?", server)?;
    let Ok((_, from)) = listener.recv_from(&mut [0]) else {
        return Ok(None);
    };
    listener.send_to(b"!", from)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(socket.recv_from(&mut [0]).ok().map(|_| from))
}

fn the_server_sees_hosts_at_the_addresses_of_the_draft() -> Outcome {
    let (a, b) = ("155.99.25.11", "138.76.29.7");
    let expected: [(Kind, &[(&str, &str)]); 9] = [
        (Kind::BPublic, &[("a", a), ("b", b)]),
        (Kind::BothPublic, &[("a", a), ("b", b)]),
        (Kind::CgnatAboveA, &[("a", a), ("b", b)]),
        (Kind::Ipv6Firewalls, &[("a", "2001:db8:a::1"), ("b", "2001:db8:b::3")]),
        (Kind::OneNat { hairpin: false }, &[("a", a), ("a2", a)]),
        (Kind::SameNat { hairpin: true }, &[("a", a), ("b", a)]),
        (Kind::Stranger, &[("a", a), ("b", b), ("stranger", a)]),
        (Kind::TwoLevels { hairpin: true }, &[("a", a), ("b", a)]),
        (Kind::TwoNats, &[("a", a), ("b", b)]),
    ];
    for (kind, hosts) in expected {
        let lab = Lab::build(&Topology::new(kind))?;
        for (host, address) in hosts {
            let address: IpAddr = address.parse()?;
            let seen = seen_over_udp(&lab, host)?;
            ensure(seen.is_some_and(|seen| seen.ip() == address), || format!("{kind}: {host} at {seen:?}"))?;
            ensure(lab.public_address(host)? == address, || format!("{kind}: {host} is said to be elsewhere"))?;
        }
    }
    Ok(())
}

fn blocked_udp_leaves_tcp_open() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::UdpBlocked))?;
    ensure(seen_over_udp(&lab, "a")?.is_none(), || "UDP of A got out".into())?;
    ensure(seen_over_udp(&lab, "b")?.is_some(), || "UDP of B did not get out".into())?;
    let server = SocketAddr::new(lab.address("s")?, 1234);
    let listener = lab.run_on("s", || TcpListener::bind(server))??;
    let connected = lab.run_on("a", || TcpStream::connect_timeout(&server, Duration::from_millis(500)))?;
    ensure(connected.is_ok() && listener.accept().is_ok(), || format!("{connected:?}"))
}

fn two_hosts_of_one_lan_talk_past_the_nat() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::SameNat { hairpin: false }))?;
    let open = |host: &str| -> Result<UdpSocket, libtest_mimic::Failed> {
        let endpoint = SocketAddr::new(lab.address(host)?, 1234);
        let socket = lab.run_on(host, || UdpSocket::bind(endpoint))??;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        Ok(socket)
    };
    let (a, b) = (open("a")?, open("b")?);
    a.send_to(b"?", b.local_addr()?)?;
    let (_, from) = b.recv_from(&mut [0])?;
    ensure(from == a.local_addr()?, || format!("the NAT rewrote a LAN packet to {from}"))?;
    let on_the_line = lab.wire("a")?.totals();
    ensure(on_the_line.packets() == 0, || format!("LAN packets on the line: {on_the_line:?}"))
}

fn the_stranger_answers_at_the_private_address_of_b() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::Stranger))?;
    ensure(lab.address("stranger")? == lab.address("b")?, || "the addresses differ".into())?;
    let target = SocketAddr::new(lab.address("b")?, 1234);
    let stranger = lab.run_on("stranger", || UdpSocket::bind(target))??;
    let b = lab.run_on("b", || UdpSocket::bind(target))??;
    let a = lab.run_on("a", || UdpSocket::bind("192.168.1.101:1234"))??;
    a.send_to(b"?", target)?;
    for socket in [&stranger, &b] {
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    }
    ensure(stranger.recv(&mut [0]).is_ok(), || "the stranger heard nothing".into())?;
    ensure(b.recv(&mut [0]).is_err(), || "B heard what was said on another LAN".into())
}

fn a_firewall_admits_answers_only() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::Ipv6Firewalls))?;
    let open = |host: &str| -> Result<UdpSocket, libtest_mimic::Failed> {
        let endpoint = SocketAddr::new(lab.address(host)?, 1234);
        let socket = lab.run_on(host, || UdpSocket::bind(endpoint))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(socket)
    };
    let (a, b) = (open("a")?, open("b")?);
    b.send_to(b"?", a.local_addr()?)?;
    ensure(a.recv(&mut [0]).is_err(), || "an unsolicited packet got in".into())?;
    a.send_to(b"!", b.local_addr()?)?;
    ensure(b.recv(&mut [0]).is_ok(), || "the answer did not get in".into())
}

fn nothing_works_through_a_nat_that_was_removed() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::TwoNats))?;
    ensure(seen_over_udp(&lab, "a")?.is_some(), || "the NAT does not work".into())?;
    lab.remove_nat("a")?;
    ensure(seen_over_udp(&lab, "a")?.is_none(), || "A still gets answers".into())?;
    ensure(seen_over_udp(&lab, "b")?.is_some(), || "B lost its NAT too".into())?;
    ensure(lab.remove_nat("s").is_err(), || "S never had a NAT".into())
}

fn labs_do_not_disturb_each_other() -> Outcome {
    let labs =
        [Kind::TwoNats, Kind::TwoNats, Kind::SameNat { hairpin: true }].map(|kind| Lab::build(&Topology::new(kind)));
    let [one, two, three] = labs;
    let labs = [one?, two?, three?];
    for lab in &labs {
        ensure(seen_over_udp(lab, "a")?.is_some(), || "a packet got lost".into())?;
    }
    for lab in &labs {
        let packets = lab.wire("a")?.totals().packets();
        ensure(packets == 2, || format!("{packets} packets on the line of one lab"))?;
    }
    Ok(())
}

fn a_command_runs_on_its_host() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::TwoNats))?;
    let output = lab.command("a", "ip")?.args(["-brief", "address", "show", "dev", "eth0"]).output()?;
    let shown = String::from_utf8(output.stdout)?;
    ensure(shown.contains("10.0.0.1/24"), || shown)?;
    ensure(lab.command("nobody", "ip").is_err(), || "there is a host called nobody".into())
}

fn a_capture_shows_both_sides_of_a_nat() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::TwoNats))?;
    let capture = lab.capture("a", "eth0")?;
    seen_over_udp(&lab, "a")?;
    let inside = capture.finish();
    let source = |recording: &pinhole_lab::Recording| -> Option<[u8; 4]> {
        let packets = recording.packets();
        let first = packets.iter().find(|packet| packet.direction == Direction::Out)?;
        first.octets.get(12..16)?.try_into().ok()
    };
    ensure(source(&inside) == Some([10, 0, 0, 1]), || format!("inside {:?}", inside.packets()))?;
    ensure(source(lab.wire("a")?) == Some([155, 99, 25, 11]), || "the line shows the wrong source".into())?;
    let both: Vec<_> = inside.packets().iter().map(|packet| (packet.direction, packet.length)).collect();
    ensure(both == [(Direction::Out, 29), (Direction::In, 29)], || format!("{both:?}"))?;

    let file = std::env::temp_dir().join(format!("pinhole-lab-{}.pcap", std::process::id()));
    inside.write_pcap(&file)?;
    let octets = std::fs::read(&file)?;
    std::fs::remove_file(&file)?;
    ensure(octets.len() == 24 + 2 * (16 + 29), || format!("{} octets in the file", octets.len()))
}
