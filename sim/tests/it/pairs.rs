//! The real engines behind every pair of NATs of one level: direct or relayed, as derived by hand.

use pinhole_proto::peer::{PathKind, PeerCommand, PeerEvent};
use pinhole_proto::{Duration, Instant, Transport};
use pinhole_sim::nat::Unsolicited;
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, CrossingSyn, Dependence, Hairpin, HostOptions, Topology, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Public,
    FullCone,
    AddressRestricted,
    PortRestricted,
    SymmetricRandom,
}

const SIDES: [Side; 5] =
    [Side::Public, Side::FullCone, Side::AddressRestricted, Side::PortRestricted, Side::SymmetricRandom];

impl Side {
    const fn behaviour(self) -> Behaviour {
        match self {
            Self::Public | Self::FullCone => Behaviour::full_cone(),
            Self::AddressRestricted => Behaviour::address_restricted(),
            Self::PortRestricted => Behaviour::port_restricted(),
            Self::SymmetricRandom => Behaviour::symmetric(),
        }
    }
}

/// A symmetric NAT with random ports meets nobody who must know its port beforehand.
fn is_direct(a: Side, b: Side) -> bool {
    let needs_the_port = |side| matches!(side, Side::PortRestricted | Side::SymmetricRandom);
    let hides_the_port = |side| side == Side::SymmetricRandom;
    !(needs_the_port(a) && hides_the_port(b) || hides_the_port(a) && needs_the_port(b))
}

fn build(a: Side, b: Side) -> impl Fn(&mut World, &Plan) -> Topology {
    move |world, plan| match (a, b) {
        (Side::Public, Side::Public) => topology::both_public(world, plan),
        (_, Side::Public) => topology::b_public(world, plan),
        (Side::Public, _) => topology::a_public(world, plan),
        _ => topology::two_nats(world, plan),
    }
}

fn trio(seed: u64, a: Side, b: Side) -> Trio {
    let plan = Plan { nat_a: a.behaviour(), nat_b: b.behaviour(), ..Plan::default() };
    let mut trio = Trio::new(seed, &plan, build(a, b), |config| config.tcp = false);
    assert!(trio.register(), "{a:?} {b:?}\n{}", trio.world.trace().ladder());
    trio
}

#[test]
fn every_pair_of_nats_ends_direct_or_relayed_as_the_table_says() {
    let mut wrong = Vec::new();
    for a in SIDES {
        for b in SIDES {
            for seed in 1..=3 {
                let mut trio = trio(seed, a, b);
                let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
                trio.world.run_for(Duration::from_secs(20));
                let (at_a, at_b) = (trio.net.a, trio.net.b);
                let found = [trio.selected(at_a), trio.selected(at_b)].map(|path| path.map(|path| path.kind));
                let expected = if is_direct(a, b) { PathKind::Public } else { PathKind::Relayed };
                if found != [Some(expected); 2] {
                    wrong.push(format!("{a:?} {b:?} seed {seed}: {found:?}, not {expected:?}"));
                    continue;
                }
                let datagram = b"across";
                trio.command(at_a, PeerCommand::Send { session, datagram }).expect("the session is established");
                trio.world.run_for(Duration::from_secs(1));
                let arrived = |said: &pinhole_sim::worlds::PeerSaid| {
                    matches!(said.event, PeerEvent::Datagram { .. }) && said.octets == datagram
                };
                if !trio.said(at_b).iter().any(|(_, said)| arrived(said)) {
                    wrong.push(format!("{a:?} {b:?} seed {seed}: no data"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn real_engines_give_equal_worlds_for_equal_seeds() {
    let digest = |seed| {
        let mut trio = trio(seed, Side::PortRestricted, Side::PortRestricted);
        trio.connect(None).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(5));
        trio.world.trace().digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn neighbours_behind_one_nat_meet_on_their_own_network() {
    let plan = Plan::default();
    let mut trio = Trio::new(1, &plan, topology::same_nat, |config| config.tcp = false);
    assert!(trio.register());
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(20));
    for host in [trio.net.a, trio.net.b] {
        assert_eq!(trio.selected(host).map(|path| path.kind), Some(PathKind::Private));
    }
}

#[test]
fn two_levels_are_direct_exactly_where_the_common_nat_hairpins_with_the_external_source() {
    for (hairpin, direct) in [(Hairpin::ExternalSource, true), (Hairpin::InternalSource, false), (Hairpin::None, false)]
    {
        let mut plan = Plan::default();
        plan.outer = plan.outer.with_hairpin(hairpin);
        let mut trio = Trio::new(1, &plan, topology::two_levels, |config| config.tcp = false);
        assert!(trio.register());
        trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(20));
        for host in [trio.net.a, trio.net.b] {
            assert_eq!(trio.is_direct(host), direct, "{hairpin:?}\n{}", trio.world.trace().ladder());
        }
    }
}

#[test]
fn tcp_sessions_are_direct_through_cone_nats_that_drop_or_reset() {
    let outcomes = [
        (CrossingSyn::Dial, CrossingSyn::Dial),
        (CrossingSyn::Dial, CrossingSyn::Listener),
        (CrossingSyn::Listener, CrossingSyn::Dial),
    ];
    for answer in [Unsolicited::Drop, Unsolicited::Reset] {
        for crossing in outcomes {
            let (trio, after) = tcp_attempt(answer, crossing);
            println!("tcp {answer:?} {crossing:?}: direct after {after:?}");
            for host in [trio.net.a, trio.net.b] {
                assert!(trio.is_direct(host), "{answer:?} {crossing:?}\n{}", trio.world.trace().ladder());
            }
        }
    }
}

/// With listeners that take crossing SYNs on both sides each side has only an accepted stream, on which it
/// waits for the other to speak.
#[test]
fn tcp_sessions_are_direct_where_both_listeners_take_the_stream() {
    let crossing = (CrossingSyn::Listener, CrossingSyn::Listener);
    let (trio, _) = tcp_attempt(Unsolicited::Drop, crossing);
    assert!(trio.is_direct(trio.net.a), "{}", trio.world.trace().ladder());
}

/// A's SYN comes in at the endpoint that the server knows and meets B's own dial to where it comes from: both
/// take it for a simultaneous open, B answers from another endpoint, and both streams end with a reset.
#[test]
fn a_dial_whose_stream_was_reset_before_it_proved_anything_is_repeated() {
    let plan = Plan { nat_b: Behaviour::symmetric().with_filtering(OPEN), ..Plan::default() };
    let mut trio = Trio::new(1, &plan, topology::a_public, |config| config.udp = false);
    assert!(trio.register());
    trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(2));
    for host in [trio.net.a, trio.net.b] {
        assert!(trio.is_direct(host), "{}", trio.world.trace().ladder());
    }
}

const OPEN: Dependence = Dependence::EndpointIndependent;

/// A TCP session between two port-restricted cones, 20 s on, and when A first heard B directly.
fn tcp_attempt(answer: Unsolicited, crossing: (CrossingSyn, CrossingSyn)) -> (Trio, Option<Duration>) {
    let mut plan = Plan::default();
    plan.nat_a.unsolicited_syn = answer;
    plan.nat_b.unsolicited_syn = answer;
    let mut trio = Trio::new(1, &plan, topology::two_nats, |config| config.udp = false);
    for (host, crossing_syn) in [(trio.net.a, crossing.0), (trio.net.b, crossing.1)] {
        trio.world.set_options(host, HostOptions { crossing_syn, ..HostOptions::default() });
    }
    assert!(trio.register());
    let start = trio.world.now();
    trio.world.trace_mut().clear();
    trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(20));
    let after = first_direct(&trio).map(|at| at - start);
    (trio, after)
}

#[test]
fn the_time_to_a_direct_path_is_measured_not_judged() {
    let mut trio = trio(1, Side::PortRestricted, Side::PortRestricted);
    trio.world.trace_mut().clear();
    let start = trio.world.now();
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    let a = trio.net.a;
    let mut at = None;
    for _ in 0..1_000 {
        trio.world.run_for(Duration::from_millis(1));
        at = first_direct(&trio);
        if at.is_some() {
            break;
        }
    }
    let (packets, octets) = trio.world.trace().wire(a);
    println!("{}", trio.world.trace().ladder());
    println!("udp: direct after {:?}; A's wire: {packets} packets, {octets} octets", at.map(|at| at - start));
}

/// When A first heard B on a direct path.
fn first_direct(trio: &Trio) -> Option<Instant> {
    trio.said(trio.net.a).iter().find_map(|(at, said)| match said.event {
        PeerEvent::Path { path, .. } if path.kind != PathKind::Relayed => Some(*at),
        _ => None,
    })
}
