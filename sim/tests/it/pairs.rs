//! The real engines behind every pair of NATs of one level: direct or relayed, as derived by hand.

use pinhole_proto::peer::{PathKind, PeerCommand, PeerEvent};
use pinhole_proto::{Duration, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, Topology, World};

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
