//! Lines take the time they are told to take, lose what they are told to lose, and change nothing.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use pinhole_lab::{Direction, Fate, Kind, Lab, Line, Topology};

use crate::{Outcome, Test, ensure};

pub(crate) const TESTS: &[Test] = &[
    ("a_round_trip_takes_the_time_of_the_lines", a_round_trip_takes_the_time_of_the_lines),
    ("a_seed_loses_the_same_packets_each_time", a_seed_loses_the_same_packets_each_time),
    ("a_line_changes_while_it_is_in_use", a_line_changes_while_it_is_in_use),
    ("packets_arrive_as_they_left_and_in_order", packets_arrive_as_they_left_and_in_order),
    ("a_packet_to_nobody_is_recorded_as_unroutable", a_packet_to_nobody_is_recorded_as_unroutable),
    ("counts_between_two_moments_match_the_packets", counts_between_two_moments_match_the_packets),
];

/// Two sockets, one on `a` and one on `b`, that know each other.
fn pair(lab: &Lab) -> Result<(UdpSocket, UdpSocket), libtest_mimic::Failed> {
    let open = |host: &str| -> Result<UdpSocket, libtest_mimic::Failed> {
        let endpoint = SocketAddr::new(lab.address(host)?, 7);
        let socket = lab.run_on(host, || UdpSocket::bind(endpoint))??;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(socket)
    };
    let (a, b) = (open("a")?, open("b")?);
    a.connect(b.local_addr()?)?;
    b.connect(a.local_addr()?)?;
    Ok((a, b))
}

/// The times of round trips from A to B, in order of size.
fn round_trips(a: &UdpSocket, b: &UdpSocket, count: u32) -> Result<Vec<Duration>, libtest_mimic::Failed> {
    let mut times = Vec::new();
    let mut octets = [0; 1500];
    for _ in 0..count {
        let start = Instant::now();
        a.send(&[1; 100])?;
        let length = b.recv(&mut octets)?;
        b.send(&octets[..length])?;
        a.recv(&mut octets)?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

fn a_round_trip_takes_the_time_of_the_lines() -> Outcome {
    let mut topology = Topology::new(Kind::BothPublic);
    topology.line_a = Line::with_delay(Duration::from_millis(25));
    topology.line_b = Line::with_delay(Duration::from_micros(2_500));
    let lab = Lab::build(&topology)?;
    let (a, b) = pair(&lab)?;
    let times = round_trips(&a, &b, 40)?;
    let expected = Duration::from_millis(55);
    let (fastest, median, slowest) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    eprintln!("lines of 55 ms: fastest {fastest:?}, median {median:?}, slowest {slowest:?}");
    ensure(fastest >= expected, || format!("{fastest:?} is faster than the lines"))?;
    // On a busy machine this test waits for its own turn; the line's own records do not.
    let left = lab.wire("a")?.packets().into_iter().filter(|packet| packet.direction == Direction::Out);
    let arrived = lab.wire("b")?.packets().into_iter().filter(|packet| packet.direction == Direction::In);
    let mut late: Vec<_> = left.zip(arrived).map(|(left, arrived)| arrived.at - left.at - expected / 2).collect();
    late.sort();
    let (median, latest) = (late[late.len() / 2], late[late.len() - 1]);
    eprintln!("one way: {median:?} too late, at most {latest:?}");
    ensure(median < Duration::from_millis(1), || format!("packets are {median:?} late"))
}

fn a_seed_loses_the_same_packets_each_time() -> Outcome {
    let arrived = |seed| -> Result<Vec<u16>, libtest_mimic::Failed> {
        let mut topology = Topology::new(Kind::BothPublic);
        topology.line_a = Line::default().losing(0.05, seed);
        let lab = Lab::build(&topology)?;
        let (a, b) = pair(&lab)?;
        let mut arrived = Vec::new();
        let mut octets = [0; 2];
        b.set_nonblocking(true)?;
        for number in 0..2_000_u16 {
            a.send(&number.to_be_bytes())?;
            if number % 50 == 49 {
                std::thread::sleep(Duration::from_millis(2));
                while b.recv(&mut octets).is_ok() {
                    arrived.push(u16::from_be_bytes(octets));
                }
            }
        }
        Ok(arrived)
    };
    let first = arrived(1)?;
    ensure((1_860..1_940).contains(&first.len()), || format!("{} of 2,000 arrived at 5 % loss", first.len()))?;
    ensure(first == arrived(1)?, || "the same seed lost other packets".into())?;
    ensure(first != arrived(2)?, || "another seed lost the same packets".into())
}

fn a_line_changes_while_it_is_in_use() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::BothPublic))?;
    let (a, b) = pair(&lab)?;
    ensure(round_trips(&a, &b, 3)?[0] < Duration::from_millis(5), || "a line without delay is slow".into())?;
    lab.set_line("b", Line::with_delay(Duration::from_millis(20)))?;
    ensure(round_trips(&a, &b, 3)?[0] >= Duration::from_millis(40), || "the delay did not change".into())?;
    lab.set_line("a", Line::default().losing(1.0, 0))?;
    a.send(&[1])?;
    let silent = b.recv(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    ensure(silent, || "a line that loses everything let a packet through".into())
}

fn packets_arrive_as_they_left_and_in_order() -> Outcome {
    for kind in [Kind::BothPublic, Kind::Ipv6Firewalls] {
        let mut topology = Topology::new(kind);
        topology.line_a = Line::with_delay(Duration::from_millis(5));
        let lab = Lab::build(&topology)?;
        let (a, b) = pair(&lab)?;
        // Opens the firewalls.
        b.send(&[0])?;
        std::thread::sleep(Duration::from_millis(20));
        lab.wire("a")?.clear();
        lab.wire("b")?.clear();
        for number in 0..200_u8 {
            a.send(&vec![number; 1 + 7 * usize::from(number)])?;
        }
        std::thread::sleep(Duration::from_millis(50));
        let octets = |name: &str, direction| -> Result<Vec<_>, libtest_mimic::Failed> {
            let packets = lab.wire(name)?.packets();
            Ok(packets.into_iter().filter(|packet| packet.direction == direction).map(|p| p.octets).collect())
        };
        let (left, arrived) = (octets("a", Direction::Out)?, octets("b", Direction::In)?);
        ensure(left.len() == 200, || format!("{} packets left", left.len()))?;
        ensure(left == arrived, || format!("{kind}: packets changed on the way"))?;
    }
    Ok(())
}

fn a_packet_to_nobody_is_recorded_as_unroutable() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::BothPublic))?;
    let (a, _b) = pair(&lab)?;
    let stranger = lab.run_on("a", || UdpSocket::bind((lab.address("a").map_err(std::io::Error::other)?, 0)))??;
    stranger.send_to(&[1], "10.1.1.3:7")?;
    a.send(&[1])?;
    std::thread::sleep(Duration::from_millis(20));
    let fates: Vec<_> = lab.wire("a")?.packets().iter().map(|packet| packet.fate).collect();
    ensure(fates == [Fate::Unroutable, Fate::Passed], || format!("{fates:?}"))
}

fn counts_between_two_moments_match_the_packets() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::BothPublic))?;
    let (a, b) = pair(&lab)?;
    round_trips(&a, &b, 1)?;
    let from = Instant::now();
    round_trips(&a, &b, 3)?;
    let to = Instant::now();
    round_trips(&a, &b, 1)?;
    let totals = lab.wire("a")?.between(from, to);
    // 100 octets behind an IPv4 and a UDP header.
    ensure(totals.packets() == 6 && totals.octets() == 6 * 128, || format!("{totals:?}"))?;
    ensure(lab.wire("a")?.totals().packets() == 10, || "packets are missing".into())
}
