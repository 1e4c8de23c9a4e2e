//! Why a host's TCP and an engine did what they did.

use pinhole_proto::{Discard, Duration, NetError, StreamId, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::trace::Discarded;
use pinhole_sim::worlds::Trio;
use pinhole_sim::{CrossingSyn, HostOptions, HostReceipt, HostRule, Packet, Place, Taker, TcpState, World};

use crate::toy::{Do, Heard, Toy, at, heard, node, tell};

/// What A's host did with the SYN of B that met A's pending dial.
fn crossing(outcome: CrossingSyn) -> (World, HostReceipt) {
    let mut world = World::new(1);
    let net = topology::both_public(&mut world, &Plan::default());
    for host in [net.a, net.b] {
        world.start(host, node(Toy::default().at(0, Do::Open(1, Transport::Tcp, 1234))));
    }
    world.set_options(net.a, HostOptions { crossing_syn: outcome, ..HostOptions::default() });
    tell(&mut world, net.a, Do::Dial(2, 1, at("138.76.29.7:1234")));
    tell(&mut world, net.b, Do::Dial(2, 1, at("155.99.25.11:1234")));
    world.run_for(Duration::from_secs(1));
    let at_a = world.trace().host_receipts().filter(|(record, _)| record.to == Some(Place::Host(net.a)));
    let mut at_a = at_a.map(|(_, receipt)| *receipt);
    let receipt = at_a.find(|receipt| receipt.before == Some(TcpState::SynSent)).expect("SYNs crossed");
    drop(at_a);
    let failed = heard(&world, net.a).contains(&Heard::Closed(2, Some(NetError::AddressInUse)));
    assert_eq!(failed, outcome == CrossingSyn::Listener);
    (world, receipt)
}

#[test]
fn the_receipt_of_a_crossing_syn_names_the_socket_that_took_it() {
    let (_, dial) = crossing(CrossingSyn::Dial);
    assert_eq!((dial.rule, dial.taker), (HostRule::DialTakesSyn, Some(Taker::Stream(StreamId(2)))));
    assert_eq!((dial.before, dial.after), (Some(TcpState::SynSent), Some(TcpState::SynReceived)));
    let (world, listener) = crossing(CrossingSyn::Listener);
    assert_eq!(listener.rule, HostRule::ListenerTakesCrossingSyn);
    assert!(matches!(listener.taker, Some(Taker::Listener(_))), "{listener:?}");
    let json = serde_json::to_value(listener).expect("a receipt is data");
    assert_eq!(json["rule"], "listener-takes-crossing-syn");
    assert_eq!(json["after"], "syn-received");
    assert!(json["numbers"]["seq"].is_u64(), "{json}");
    assert!(world.trace().ladder().contains("SYN-ACK"));
}

#[test]
fn a_reset_says_which_number_was_not_acceptable() {
    let mut world = World::new(1);
    let net = topology::both_public(&mut world, &Plan::default());
    world.start(net.a, node(Toy::default().at(0, Do::Open(1, Transport::Tcp, 1234))));
    world.start(net.b, node(Toy::default()));
    tell(&mut world, net.a, Do::Dial(2, 1, at("138.76.29.7:1234")));
    let flags = pinhole_sim::packet::Flags::SYN_ACK;
    let (a, b) = (at("155.99.25.11:1234"), at("138.76.29.7:1234"));
    world.inject(net.b, Packet::tcp(b, a, flags, 5, 77));
    world.run_for(Duration::from_millis(60));
    let receipts: Vec<_> = world.trace().host_receipts().map(|(_, receipt)| *receipt).collect();
    let wrong = receipts.iter().find(|receipt| receipt.rule == HostRule::AckWrong).expect("77 was never sent");
    let numbers = wrong.numbers.expect("they were compared");
    assert_eq!(numbers.ack, 77);
    assert_ne!(numbers.sent, 77);
    assert_eq!(wrong.after, Some(TcpState::SynSent), "the dial goes on");
    assert!(receipts.iter().any(|receipt| receipt.rule == HostRule::PortClosed), "B has no listener");
}

#[test]
fn what_an_engine_ignores_is_noted_with_its_source_and_kind() {
    let mut trio = Trio::new(1, &Plan::default(), topology::both_public, |config| config.tcp = false);
    assert!(trio.register());
    let stranger = at("138.76.29.7:999");
    let forged = Packet::udp(stranger, at("155.99.25.11:1234"), &[0x0a; 60]);
    trio.world.inject(trio.net.b, forged);
    trio.world.run_for(Duration::from_millis(100));
    let Some(&Discarded { host, discard, arrived: Some(arrived), .. }) = trio.world.trace().discards().last() else {
        panic!("the engine took octets of a stranger");
    };
    assert_eq!(host, trio.net.a);
    assert_eq!(discard, Discard::VersionUnsupported);
    assert_eq!((arrived.remote, arrived.length, arrived.kind), (Some(stranger), 60, Some(0x0a)));
}
