//! Ports that follow each other: F-9 and what steals ports (`spec/prediction.md`).

use pinhole_proto::peer::{PeerCommand, PeerEvent, StrategySet};
use pinhole_proto::wire::code::{Strategy, Verdict};
use pinhole_proto::{Address, Duration, Transport};
use pinhole_sim::nat::{Dependence, PermissionScope};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, HostId, Line, RealmId};

use crate::toy::{Do, Toy, at, node};

fn sequential(first: u16) -> Behaviour {
    Behaviour::symmetric_sequential(first)
}

fn plan(nat_a: Behaviour, nat_b: Behaviour) -> Plan {
    Plan { nat_a, nat_b, ..Plan::default() }
}

fn registered(seed: u64, plan: &Plan) -> Trio {
    let mut trio = Trio::new(seed, plan, topology::two_nats, |config| config.tcp = false);
    assert!(trio.register());
    trio
}

/// The strategies and widths of the attempts that a host told of.
fn attempts(trio: &Trio, host: HostId) -> Vec<(Strategy, u16)> {
    let attempt = |event: &PeerEvent<'_>| match *event {
        PeerEvent::Attempt { strategy, width, .. } => Some((strategy, width)),
        _ => None,
    };
    trio.said(host).iter().filter_map(|(_, said)| attempt(&said.event)).collect()
}

fn verdicts(trio: &Trio, host: HostId) -> Vec<Verdict> {
    let verdict = |event: &PeerEvent<'_>| match *event {
        PeerEvent::NotDirect { verdict, .. } => Some(verdict),
        _ => None,
    };
    trio.said(host).iter().filter_map(|(_, said)| verdict(&said.event)).collect()
}

fn assert_direct_and_used(trio: &mut Trio, session: pinhole_proto::peer::SessionHandle) {
    for host in [trio.net.a, trio.net.b] {
        assert!(trio.is_direct(host), "{:?}\n{}", attempts(trio, host), trio.world.trace().ladder());
    }
    let datagram = b"predicted";
    trio.command(trio.net.a, PeerCommand::Send { session, datagram }).expect("the session is established");
    trio.world.run_for(Duration::from_secs(1));
    assert!(trio.said(trio.net.b).iter().any(|(_, said)| said.octets == datagram));
}

/// A third host behind a NAT, which opens a mapping every so often.
fn competitor(trio: &mut Trio, nat: pinhole_sim::NatId, address: [u8; 4], every: u64) {
    let realm = trio.world.inside(nat);
    let address = Address::from(address);
    let host = trio.world.add_host("C", realm, &[address], Line::default());
    let start = trio.world.now().as_micros() / 1_000;
    let mut toy = Toy::default().at(start, Do::Open(1, Transport::Udp, 7_000));
    for number in 0..12_000u64 / every {
        let remote = format!("198.51.100.1:{}", 2_000 + number);
        toy = toy.at(start + 1 + number * every, Do::Send(1, at(&remote), b"steal".to_vec()));
    }
    trio.world.start(host, node(toy));
}

// F-9. [R-PRED-001] [R-PRED-003] [R-PRED-004]
#[test]
fn two_sequential_nats_meet_at_the_ports_of_the_draft() {
    // The server's two ports, the plain attempt and three samples take six ports on each side.
    let mut trio = registered(1, &plan(sequential(61_995), sequential(30_995)));
    let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(10));
    assert_direct_and_used(&mut trio, session);
    let sent: Vec<String> =
        trio.world.trace().sent_in(RealmId::INTERNET).map(|record| record.packet.to_string()).collect();
    for way in ["155.99.25.11:62001 -> 138.76.29.7:31001", "138.76.29.7:31001 -> 155.99.25.11:62001"] {
        assert!(sent.iter().any(|packet| packet.contains(way)), "{}", trio.world.trace().ladder());
    }
    assert_eq!(attempts(&trio, trio.net.a), [(Strategy::PREDICTED, 1)]);
}

#[test]
fn a_sequential_nat_meets_a_port_restricted_cone_from_either_side() {
    for turned in [false, true] {
        let (a, b) = (sequential(61_000), Behaviour::port_restricted());
        let plan = if turned { plan(b, a) } else { plan(a, b) };
        let mut trio = registered(2, &plan);
        let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(10));
        assert_direct_and_used(&mut trio, session);
        assert_eq!(attempts(&trio, trio.net.a), [(Strategy::PREDICTED, 1)]);
    }
}

/// Ports that go up nearly all the way round go down.
// [R-PRED-002]
#[test]
fn ports_that_go_down_are_followed() {
    let down = |first| Behaviour { port_step: 64_511, ..sequential(first) };
    assert_eq!(down(0).ports, (1_024, 65_535));
    let mut trio = registered(8, &plan(down(50_000), down(30_000)));
    let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(10));
    assert_direct_and_used(&mut trio, session);
    assert_eq!(attempts(&trio, trio.net.a), [(Strategy::PREDICTED, 1)]);
}

/// Each packet that comes in is answered from another port, which the other side has not heard from: such paths
/// fill the table long before the prediction.
#[test]
fn answers_to_shots_have_room_among_paths_that_lead_nowhere() {
    for filtering in [Dependence::EndpointIndependent, Dependence::AddressDependent] {
        let open = |first| Behaviour { permission: PermissionScope::InternalEndpoint, ..sequential(first) };
        let open = |first| open(first).with_filtering(filtering);
        let mut trio = registered(6, &plan(open(50_000), open(30_000)));
        let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(10));
        assert_direct_and_used(&mut trio, session);
        assert_eq!(attempts(&trio, trio.net.a), [(Strategy::PREDICTED, 1)]);
    }
}

// [R-PRED-004]
#[test]
fn ports_that_somebody_else_takes_meanwhile_need_a_larger_window() {
    for (every, least) in [(30, 8), (3, 64)] {
        let mut trio = registered(3, &plan(sequential(50_000), sequential(30_000)));
        let nat = trio.net.nat_b.expect("B has a NAT");
        competitor(&mut trio, nat, [10, 1, 1, 9], every);
        let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(15));
        assert_direct_and_used(&mut trio, session);
        let widths: Vec<u16> = attempts(&trio, trio.net.a).iter().map(|(_, width)| *width).collect();
        assert_eq!(widths.last(), Some(&least), "every {every} ms: {widths:?}");
    }
}

#[test]
fn a_busy_nat_is_given_up_with_the_verdict_that_says_so() {
    let mut trio = registered(4, &plan(sequential(50_000), sequential(30_000)));
    let nat = trio.net.nat_b.expect("B has a NAT");
    for host in 9..12 {
        competitor(&mut trio, nat, [10, 1, 1, host], 1);
    }
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(30));
    assert!(!trio.is_direct(trio.net.a));
    let widths: Vec<u16> = attempts(&trio, trio.net.a).iter().map(|(_, width)| *width).collect();
    assert!(widths.len() <= 3, "{widths:?}");
    let last = verdicts(&trio, trio.net.a).pop();
    assert!(matches!(last, Some(Verdict::PREDICTED_PORTS_MISSED | Verdict::RANDOM_ALLOCATION)), "{last:?}");
}

#[test]
fn random_ports_are_recognised_and_nothing_is_guessed() {
    for (a, b) in
        [(Behaviour::symmetric(), Behaviour::symmetric()), (Behaviour::symmetric(), Behaviour::port_restricted())]
    {
        let mut trio = registered(5, &plan(a, b));
        trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(20));
        assert!(!trio.is_direct(trio.net.a));
        assert_eq!(attempts(&trio, trio.net.a), []);
        assert_eq!(verdicts(&trio, trio.net.a).last(), Some(&Verdict::RANDOM_ALLOCATION));
        let peer: &pinhole_proto::peer::Peer = trio.world.engine(trio.net.a);
        assert_eq!(peer.snapshot().sessions[0].shots, 0);
    }
}

#[test]
fn ports_that_are_preserved_are_known_before_the_first_packet() {
    let preserving = || Behaviour { preserve_port: true, ..Behaviour::symmetric() };
    for other in [preserving(), Behaviour::port_restricted(), sequential(40_000)] {
        let mut trio = registered(6, &plan(preserving(), other));
        let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(10));
        assert_direct_and_used(&mut trio, session);
    }
}

/// An address-dependent mapping shows one port to all ports of an address.
// [R-PRED-004]
#[test]
fn address_dependent_sequential_nats_meet_each_other_and_every_other_kind() {
    let by_address = |first| sequential(first).with_mapping(Dependence::AddressDependent);
    for other in [by_address(30_000), sequential(30_000), Behaviour::port_restricted()] {
        for turned in [false, true] {
            let (a, b) = (by_address(50_000), other);
            let plan = if turned { plan(b, a) } else { plan(a, b) };
            let mut trio = registered(9, &plan);
            let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
            trio.world.run_for(Duration::from_secs(10));
            assert_direct_and_used(&mut trio, session);
            assert_eq!(attempts(&trio, trio.net.a), [(Strategy::PREDICTED, 1)], "{turned} {other:?}");
        }
    }
}

// [R-PRED-007]
#[test]
fn throw_away_sockets_are_shut_but_the_one_of_the_path() {
    let mut trio = registered(7, &plan(sequential(61_000), sequential(30_000)));
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(60));
    for host in [trio.net.a, trio.net.b] {
        assert!(trio.is_direct(host));
        let peer: &pinhole_proto::peer::Peer = trio.world.engine(host);
        assert_eq!(peer.snapshot().guessing, 1, "the one of the path");
    }
}

#[test]
fn a_peer_that_does_not_allow_prediction_makes_the_other_go_on_without() {
    let mut trio = Trio::new(8, &plan(sequential(61_000), sequential(30_000)), topology::two_nats, |config| {
        config.tcp = false;
        config.strategies = StrategySet::ALL.without(Strategy::PREDICTED);
    });
    assert!(trio.register());
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(20));
    assert!(!trio.is_direct(trio.net.a));
    assert_eq!(attempts(&trio, trio.net.a), []);
    assert_eq!(verdicts(&trio, trio.net.a), [Verdict::BOTH_ENDPOINT_DEPENDENT]);
}
