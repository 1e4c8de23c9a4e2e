//! The same over TCP: F-10 with ports that are told beforehand, and F-13 with a connection that is given up
//! (`spec/prediction.md`, "Over TCP"; `spec/punching-tcp.md`, "Strategies").

use pinhole_proto::peer::{Peer, PeerCommand, PeerEvent, StrategySet};
use pinhole_proto::wire::code::{Strategy, Verdict};
use pinhole_proto::{Address, Duration, Transport};
use pinhole_sim::nat::{Dependence, OnReset, Unsolicited};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, HostId, Line, PacketKind, Place};

use crate::toy::{Do, Toy, at, node};

fn sequential(first: u16) -> Behaviour {
    Behaviour::symmetric_sequential(first)
}

/// A port of its own for each connection: the local one, while nobody else has it.
fn preserving() -> Behaviour {
    Behaviour { preserve_port: true, reset: OnReset::Forget, ..Behaviour::symmetric() }
}

fn registered(seed: u64, nat_a: Behaviour, nat_b: Behaviour, strategies: StrategySet) -> Trio {
    let plan = Plan { nat_a, nat_b, ..Plan::default() };
    let mut trio = Trio::new(seed, &plan, topology::two_nats, |config| {
        config.udp = false;
        config.strategies = strategies;
    });
    assert!(trio.register());
    trio
}

fn only(strategy: Strategy) -> StrategySet {
    StrategySet::NONE.with(strategy)
}

fn attempts(trio: &Trio, host: HostId) -> Vec<(Strategy, u16)> {
    let attempt = |event: &PeerEvent<'_>| match *event {
        PeerEvent::Attempt { strategy, width, .. } => Some((strategy, width)),
        _ => None,
    };
    trio.said(host).iter().filter_map(|(_, said)| attempt(&said.event)).collect()
}

fn assert_direct_and_used(trio: &mut Trio, session: pinhole_proto::peer::SessionHandle) {
    for host in [trio.net.a, trio.net.b] {
        assert!(trio.is_direct(host), "{:?}\n{}", attempts(trio, host), trio.world.trace().ladder());
    }
    let octets = b"over a stream";
    trio.command(trio.net.a, PeerCommand::Write { session, octets }).expect("the session is established");
    trio.world.run_for(Duration::from_secs(1));
    assert!(trio.said(trio.net.b).iter().any(|(_, said)| said.octets == octets));
}

// F-10. [R-PRED-003] [R-PRED-004]
#[test]
fn ports_that_follow_each_other_or_are_preserved_are_met_over_tcp_on_either_side() {
    let by_address = |first| sequential(first).with_mapping(Dependence::AddressDependent);
    let cone = Behaviour::port_restricted;
    for (seed, (a, b)) in [
        (sequential(50_000), sequential(30_000)),
        (sequential(50_000), cone()),
        (cone(), sequential(30_000)),
        (preserving(), preserving()),
        (preserving(), cone()),
        (sequential(50_000), preserving()),
        (by_address(50_000), sequential(30_000)),
        (by_address(50_000), by_address(30_000)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut trio = registered(seed as u64, a, b, StrategySet::ALL);
        let session = trio.connect(Some(Transport::Tcp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(13));
        assert_direct_and_used(&mut trio, session);
        assert_eq!(attempts(&trio, trio.net.a), [(Strategy::TCP_PREDICTED, 1)], "{a:?} {b:?}");
        let peer: &Peer = trio.world.engine(trio.net.a);
        assert_eq!(peer.snapshot().guessing, 0, "the ports of the attempt are shut");
    }
}

/// The draft's second way to fail: a SYN that comes too early is answered with a reset, which closes what sent it.
// [R-PRED-013]
#[test]
fn syns_leave_at_the_same_time_so_that_none_meets_a_closed_nat() {
    let strict =
        |first| Behaviour { reset: OnReset::Forget, ..sequential(first).with_unsolicited_syn(Unsolicited::Reset) };
    let mut trio = registered(21, strict(50_000), strict(30_000), only(Strategy::TCP_PREDICTED));
    let session = trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(3));
    assert_direct_and_used(&mut trio, session);
    assert_eq!(attempts(&trio, trio.net.a), [(Strategy::TCP_PREDICTED, 1)]);
}

/// Nothing that is asked by the relay is answered before it is repeated, so no round trip is measured on the way.
// [R-PRED-013]
#[test]
fn syns_cross_on_long_lines_too_where_only_the_server_has_measured_a_round_trip() {
    for (seed, (a, b)) in [(8, 98), (98, 8), (60, 70)].into_iter().enumerate() {
        let strict =
            |first| Behaviour { reset: OnReset::Forget, ..sequential(first).with_unsolicited_syn(Unsolicited::Reset) };
        let plan = Plan {
            nat_a: strict(50_000),
            nat_b: strict(30_000),
            line_a: Line::with_delay(Duration::from_millis(a)),
            line_b: Line::with_delay(Duration::from_millis(b)),
            ..Plan::default()
        };
        let mut trio = Trio::new(seed as u64, &plan, topology::two_nats, |config| {
            config.udp = false;
            config.strategies = only(Strategy::TCP_PREDICTED);
        });
        assert!(trio.register());
        let session = trio.connect(Some(Transport::Tcp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(8));
        assert_direct_and_used(&mut trio, session);
        assert_eq!(attempts(&trio, trio.net.a), [(Strategy::TCP_PREDICTED, 1)], "{a} ms, {b} ms");
    }
}

#[test]
fn a_port_that_somebody_else_takes_meanwhile_needs_the_larger_window() {
    let mut trio = registered(22, sequential(50_000), sequential(30_000), only(Strategy::TCP_PREDICTED));
    let realm = trio.world.inside(trio.net.nat_b.expect("B has a NAT"));
    let host = trio.world.add_host("C", realm, &[Address::from([10, 1, 1, 9])], Line::default());
    let start = trio.world.now().as_micros() / 1_000;
    let mut toy = Toy::default().at(start, Do::Open(1, Transport::Tcp, 7_000));
    for number in 0..200 {
        let remote = format!("198.51.100.1:{}", 2_000 + number);
        toy = toy.at(start + 1 + number * 30, Do::Dial(2 * number + 2, 1, at(&remote)));
    }
    trio.world.start(host, node(toy));
    let session = trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(8));
    assert_direct_and_used(&mut trio, session);
    assert_eq!(attempts(&trio, trio.net.a), [(Strategy::TCP_PREDICTED, 1), (Strategy::TCP_PREDICTED, 8)]);
}

#[test]
fn random_ports_are_recognised_over_tcp_and_nothing_is_guessed() {
    let mut trio = registered(23, Behaviour::symmetric(), Behaviour::port_restricted(), StrategySet::ALL);
    trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(20));
    assert!(!trio.is_direct(trio.net.a));
    assert_eq!(attempts(&trio, trio.net.a), []);
    let verdict = trio.said(trio.net.a).iter().rev().find_map(|(_, said)| match said.event {
        PeerEvent::NotDirect { verdict, .. } => Some(verdict),
        _ => None,
    });
    assert_eq!(verdict, Some(Verdict::RANDOM_ALLOCATION));
    let peer: &Peer = trio.world.engine(trio.net.a);
    assert_eq!(peer.snapshot().sessions[0].shots, 0);
}

// F-13. [R-TCP-013] [R-TCP-014]
#[test]
fn where_a_port_serves_one_connection_closing_gets_through_and_keeping_does_not() {
    for (a, b) in [
        (preserving(), preserving()),
        (preserving(), Behaviour::port_restricted()),
        (Behaviour::port_restricted(), preserving()),
    ] {
        let mut direct = Vec::new();
        for strategy in [Strategy::TCP_SEQUENTIAL_KEEP, Strategy::TCP_SEQUENTIAL_CLOSE] {
            let mut trio = registered(24, a, b, only(strategy).with(Strategy::PLAIN));
            let session = trio.connect(Some(Transport::Tcp)).expect("the peer is online");
            trio.world.run_for(Duration::from_secs(20));
            direct.push(trio.is_direct(trio.net.a));
            if trio.is_direct(trio.net.a) {
                assert_direct_and_used(&mut trio, session);
                assert_eq!(attempts(&trio, trio.net.a), [(strategy, 0)]);
            }
        }
        assert_eq!(direct, [false, true], "{a:?} {b:?}");
    }
}

// [R-TCP-014]
#[test]
fn the_connection_to_the_server_is_reset_before_its_port_dials() {
    let mut trio = registered(25, preserving(), preserving(), only(Strategy::TCP_SEQUENTIAL_CLOSE));
    trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(4));
    for (host, other) in [(trio.net.a, topology::NAT_B), (trio.net.b, topology::NAT_A)] {
        let of = |kind: PacketKind, to: Address| {
            trio.world.trace().records().iter().position(|record| {
                record.from == Place::Host(host) && kind.is(&record.packet) && record.packet.destination.address() == to
            })
        };
        let (reset, dial) = (of(PacketKind::Rst, topology::SERVER), of(PacketKind::Syn, other));
        assert!(reset.is_some() && reset < dial, "{reset:?} {dial:?}\n{}", trio.world.trace().ladder());
    }
}
