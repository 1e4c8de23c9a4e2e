//! The model's NATs in front of real packets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use pinhole_lab::{Kind, Lab, NatKind, PRESETS, Topology, UnsolicitedSyn, preset, prove};
use pinhole_sim::Behaviour;

use crate::{Outcome, Test, ensure};

pub(crate) const TESTS: &[Test] = &[
    ("every_preset_of_the_model_behaves_as_it_declares", every_preset_of_the_model_behaves_as_it_declares),
    ("the_model_takes_hairpin_and_resets_from_the_network", the_model_takes_hairpin_and_resets_from_the_network),
    ("a_stream_passes_the_model_whole_both_ways", a_stream_passes_the_model_whole_both_ways),
    ("an_error_finds_its_way_back_through_the_model", an_error_finds_its_way_back_through_the_model),
    ("two_levels_of_the_model_turn_packets_around", two_levels_of_the_model_turn_packets_around),
    ("what_the_model_cannot_see_is_counted", what_the_model_cannot_see_is_counted),
    ("a_command_runs_behind_a_preset_and_its_exit_code_comes_back", a_command_runs_behind_a_preset),
    ("a_reboot_forgets_every_mapping", a_reboot_forgets_every_mapping),
];

fn every_preset_of_the_model_behaves_as_it_declares() -> Outcome {
    let proved = std::thread::scope(|scope| {
        let each = PRESETS.iter().map(|(name, _, behaviour)| {
            let work = || prove(NatKind::Model(*behaviour), UnsolicitedSyn::Drop, false);
            (name, scope.spawn(work))
        });
        let each: Vec<_> = each.collect();
        each.into_iter().map(|(name, thread)| (name, thread.join())).collect::<Vec<_>>()
    });
    for (name, result) in proved {
        result.map_err(|_| format!("{name}: panicked"))?.map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn the_model_takes_hairpin_and_resets_from_the_network() -> Outcome {
    prove(NatKind::Model(Behaviour::port_restricted()), UnsolicitedSyn::Rst, true)?;
    Ok(())
}

fn lab(behaviour: Behaviour) -> Result<Lab, libtest_mimic::Failed> {
    let nat_a = NatKind::Model(behaviour);
    Ok(Lab::build(&Topology { nat_a, ..Topology::new(Kind::OneNat { hairpin: false }) })?)
}

fn udp(lab: &Lab, host: &str, port: u16) -> Result<UdpSocket, libtest_mimic::Failed> {
    let endpoint = SocketAddr::new(lab.address(host)?, port);
    let socket = lab.run_on(host, || UdpSocket::bind(endpoint))??;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    Ok(socket)
}

fn a_stream_passes_the_model_whole_both_ways() -> Outcome {
    const LENGTH: usize = 1 << 20;
    let lab = lab(Behaviour::symmetric())?;
    let endpoint = SocketAddr::new(lab.address("s")?, 7);
    let listener = lab.run_on("s", || TcpListener::bind(endpoint))??;
    let echo = std::thread::spawn(move || -> std::io::Result<SocketAddr> {
        let (stream, from) = listener.accept()?;
        std::io::copy(&mut &stream, &mut &stream)?;
        Ok(from)
    });
    let mut stream = lab.run_on("a", || TcpStream::connect(endpoint))??;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let sent: Vec<u8> = (0..LENGTH).map(|at| (at ^ (at >> 9)) as u8).collect();
    let mut writing = stream.try_clone()?;
    let octets = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&octets)?;
        writing.shutdown(std::net::Shutdown::Write)
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    writer.join().map_err(|_| "the writer panicked")??;
    let seen = echo.join().map_err(|_| "the echo panicked")??;
    ensure(received == sent, || format!("{} of {LENGTH} octets came back", received.len()))?;
    ensure(seen.ip() == lab.address("nat-a")?, || format!("the server saw {seen}"))?;
    let counts = lab.gateway("nat-a")?.counts();
    ensure(counts.forwarded > 100, || format!("{counts}"))?;
    ensure(counts.dropped.is_empty() && counts.answered.is_empty(), || format!("{counts}"))
}

/// A datagram to a port where nobody listens is answered with an ICMP error, which the socket hears of.
fn an_error_finds_its_way_back_through_the_model() -> Outcome {
    let lab = lab(Behaviour::port_restricted())?;
    let inside = udp(&lab, "a", 4321)?;
    inside.connect(SocketAddr::new(lab.address("s")?, 9))?;
    inside.send(b"anybody?")?;
    let answer = inside.recv(&mut [0; 1]);
    ensure(answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused), || format!("{answer:?}"))
}

/// Figure 6 of the draft, with three NATs of the model.
fn two_levels_of_the_model_turn_packets_around() -> Outcome {
    let nat = NatKind::Model(Behaviour::port_restricted());
    let topology =
        Topology { nat_a: nat, nat_b: nat, nat_isp: nat, ..Topology::new(Kind::TwoLevels { hairpin: true }) };
    let lab = Lab::build(&topology)?;
    let (s, a, b) = (udp(&lab, "s", 1234)?, udp(&lab, "a", 4321)?, udp(&lab, "b", 4321)?);
    let mut octets = [0; 1];
    let mut public = |socket: &UdpSocket| -> std::io::Result<SocketAddr> {
        socket.send_to(&[1], s.local_addr()?)?;
        Ok(s.recv_from(&mut octets)?.1)
    };
    let (public_a, public_b) = (public(&a)?, public(&b)?);
    let provider = lab.address("nat-isp")?;
    ensure(public_a.ip() == provider && public_b.ip() == provider, || format!("{public_a}, {public_b}"))?;
    a.send_to(&[2], public_b)?;
    std::thread::sleep(Duration::from_millis(50));
    b.send_to(&[3], public_a)?;
    let from = a.recv_from(&mut octets)?.1;
    ensure(from == public_b && octets == [3], || format!("A received {octets:?} from {from}"))?;
    a.send_to(&[4], public_b)?;
    let from = b.recv_from(&mut octets)?.1;
    ensure(from == public_a && octets == [4], || format!("B received {octets:?} from {from}"))
}

fn what_the_model_cannot_see_is_counted() -> Outcome {
    let lab = lab(Behaviour::port_restricted())?;
    let inside = udp(&lab, "a", 4321)?;
    // More than one frame holds.
    inside.send_to(&[0; 4000], SocketAddr::new(lab.address("s")?, 7))?;
    std::thread::sleep(Duration::from_millis(50));
    let counts = lab.gateway("nat-a")?.counts();
    let fragments = counts.unread.get(&pinhole_lab::Unread::Fragment).copied();
    ensure(fragments == Some(3) && counts.forwarded == 0, || format!("{counts}"))
}

fn a_reboot_forgets_every_mapping() -> Outcome {
    let lab = lab(preset("symmetric-sequential").ok_or("no such preset")?)?;
    let (s, a) = (udp(&lab, "s", 1234)?, udp(&lab, "a", 4321)?);
    let mut octets = [0; 1];
    a.send_to(&[1], s.local_addr()?)?;
    let mapped = s.recv_from(&mut octets)?.1;
    s.send_to(&[2], mapped)?;
    a.recv(&mut octets)?;
    lab.gateway("nat-a")?.reboot();
    s.send_to(&[3], mapped)?;
    let late = a.recv(&mut octets);
    ensure(late.is_err(), || "a packet passed by a forgotten mapping".into())?;
    ensure(lab.gateway("nat-a")?.rows() == 0, || "there are rows".into())
}

fn a_command_runs_behind_a_preset() -> Outcome {
    let behind = |nat: &str, command: &str| {
        let mut lab = std::process::Command::new(env!("CARGO_BIN_EXE_pinhole-lab"));
        lab.args(["behind", "--nat", nat, "--", "sh", "-c", command]).output()
    };
    let output = behind("symmetric-sequential", "ip -brief address show eth0; exit 7")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure(output.status.code() == Some(7) && said.contains("10.0.0.1/24"), || format!("{output:?}"))?;
    let refused = behind("no-such-nat", "true")?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure(refused.status.code() == Some(2) && said.contains("symmetric-sequential"), || format!("{refused:?}"))
}
