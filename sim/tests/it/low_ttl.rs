//! NATs that mind packets which come too early (`spec/punching.md`, "Low TTL").

use pinhole_proto::peer::PeerEvent;
use pinhole_proto::wire::code::Strategy;
use pinhole_proto::{Duration, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, Effect, Fault, Pick, RealmId};

use crate::toy::at;

fn spoiling() -> Behaviour {
    Behaviour { spoiled_by_early: Some(Duration::from_secs(30)), ..Behaviour::port_restricted() }
}

/// Both NATs move a mapping that an early packet came for, and A hears of the introduction late.
fn late(hops: u8, patience: u64) -> Trio {
    let plan = Plan { nat_a: spoiling().with_ports_from(62_000), nat_b: spoiling(), ..Plan::default() };
    let mut trio = Trio::new(1, &plan, topology::two_nats, |config| config.tcp = false);
    trio.world.set_hops(RealmId::INTERNET, hops);
    assert!(trio.register());
    let pick = Pick { from: Some("S".into()), ..Pick::to(at("155.99.25.11:62000")) };
    trio.world.add_fault(Fault { pick, skip: 0, count: 2, effect: Effect::Drop }).expect("there is room");
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(patience));
    trio
}

fn strategies(trio: &Trio) -> Vec<Strategy> {
    let strategy = |event: &PeerEvent<'_>| match *event {
        PeerEvent::Attempt { strategy, .. } => Some(strategy),
        _ => None,
    };
    trio.said(trio.net.a).iter().filter_map(|(_, said)| strategy(&said.event)).collect()
}

// [R-PUNCH-031]
#[test]
fn first_packets_that_die_on_the_way_open_nats_that_early_packets_spoil() {
    // TTL 2 passes the own NAT and ends before the other one, however far that is.
    for hops in [0, 1, 5] {
        let spoiled = late(hops, 4);
        assert!(!spoiled.is_direct(spoiled.net.a), "the first attempt came too early");
        let trio = late(hops, 12);
        assert!(
            trio.is_direct(trio.net.a) && trio.is_direct(trio.net.b),
            "{hops} hops\n{}",
            trio.world.trace().ladder()
        );
        assert_eq!(strategies(&trio), [Strategy::LOW_TTL]);
    }
}
