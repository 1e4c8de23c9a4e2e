//! Determinism, faults and lines.

use pinhole_proto::{Duration, Instant, NetError, Transport};
use pinhole_sim::nat::TimerScope;
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::trace::What;
use pinhole_sim::{Chance, Effect, Fault, MAX_FAULTS, PacketKind, Pick, Place, RealmId, World};

use crate::draft::register_both;
use crate::toy::{Do, Heard, Toy, at, heard, node, tell};

/// Two hosts send each other numbered datagrams through two NATs over bad lines.
fn noisy(seed: u64) -> World {
    let mut world = World::new(seed);
    let mut plan = Plan { nat_a: pinhole_sim::Behaviour::port_restricted(), ..Plan::default() };
    plan.line_a = plan
        .line_a
        .with_loss(Chance::percent(10))
        .with_jitter(Duration::from_millis(20))
        .with_duplication(Chance::percent(3));
    let net = topology::two_nats(&mut world, &plan);
    register_both(&mut world, &net);
    for number in 0..200_u8 {
        let to_s = Do::Send(1, at("18.181.0.31:1234"), vec![number]);
        tell(&mut world, net.a, to_s);
        world.run_for(Duration::from_millis(3));
    }
    world.run_for(SECOND);
    world
}

#[test]
fn equal_seeds_give_equal_worlds_and_others_do_not() {
    let digests: Vec<u64> = (0..10).map(|seed| noisy(seed).trace().digest()).collect();
    for (seed, digest) in digests.iter().enumerate() {
        assert_eq!(noisy(seed as u64).trace().digest(), *digest);
        let equal = digests.iter().filter(|other| *other == digest);
        assert_eq!(equal.count(), 1);
    }
}

#[test]
fn lines_lose_copy_and_reorder() {
    let world = noisy(1);
    let records = world.trace().records();
    let count = |what: fn(&What) -> bool| records.iter().filter(|r| what(&r.what)).count();
    let lost = count(|what| matches!(what, What::Lost));
    let copied = count(|what| matches!(what, What::Copied(_)));
    assert!((5..40).contains(&lost), "{lost}");
    assert!((1..20).contains(&copied), "{copied}");
    let spans = records.iter().filter_map(|record| match record.what {
        What::Sent(span) if record.realm == RealmId::INTERNET => Some(span),
        _ => None,
    });
    let spans: Vec<Duration> = spans.collect();
    assert!(spans.iter().any(|span| *span > Duration::from_millis(40)));
    assert!(spans.iter().any(|span| *span < Duration::from_millis(30)));
}

#[test]
fn the_third_matching_packet_is_removed_and_no_other() {
    let mut world = World::new(1);
    let net = topology::both_public(&mut world, &Plan::default());
    register_both(&mut world, &net);
    let s = at("18.181.0.31:1234");
    world.add_fault(Fault { pick: Pick::to(s), skip: 2, count: 1, effect: Effect::Drop }).unwrap();
    for number in 0..5 {
        tell(&mut world, net.a, Do::Send(1, s, vec![number]));
    }
    world.run_for(SECOND);
    let numbers: Vec<u8> = heard(&world, net.server)
        .into_iter()
        .filter_map(|what| match what {
            Heard::Datagram(_, octets) if octets.len() == 1 => Some(octets[0]),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [0, 1, 3, 4]);
}

/// What S hears of five datagrams, 1 ms apart, the third of which meets a fault.
fn heard_through(effect: Effect) -> Vec<(u64, Vec<u8>)> {
    let mut world = World::new(1);
    let net = topology::both_public(&mut world, &Plan::default());
    register_both(&mut world, &net);
    let s = at("18.181.0.31:1234");
    let pick = Pick { kind: Some(PacketKind::Udp), from: Some("A".into()), to: Some("S".into()), ..Pick::to(s) };
    world.add_fault(Fault { pick, skip: 2, count: 1, effect }).expect("there is room");
    let start = world.now();
    for number in 0..5 {
        tell(&mut world, net.a, Do::Send(1, s, vec![number, 7]));
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(SECOND);
    assert_eq!(world.faults(), []);
    let log = world.log::<Heard>(net.server).iter();
    log.filter_map(|(when, what)| match what {
        Heard::Datagram(_, octets) if octets.len() == 2 => {
            Some(((*when - start).as_micros() as u64 / 1_000, octets.clone()))
        }
        _ => None,
    })
    .collect()
}

#[test]
fn each_fault_does_to_its_packet_what_it_says_and_nothing_to_the_others() {
    let usual: Vec<_> = (0..5).map(|number| (25 + u64::from(number), vec![number, 7])).collect();
    let with = |change: fn(&mut Vec<(u64, Vec<u8>)>)| {
        let mut expected = usual.clone();
        change(&mut expected);
        expected.sort();
        expected
    };
    assert_eq!(heard_through(Effect::Delay { ms: 0 }), usual);
    assert_eq!(heard_through(Effect::Drop), with(|heard| drop(heard.remove(2))));
    assert_eq!(heard_through(Effect::Delay { ms: 40 }), with(|heard| heard[2].0 += 40));
    assert_eq!(heard_through(Effect::Duplicate { ms: 9 }), with(|heard| heard.push((36, vec![2, 7]))));
    assert_eq!(heard_through(Effect::Corrupt { at: 99, xor: 1 }), with(|heard| heard[2].1[1] = 6));
    let mut overtaken = usual.clone();
    overtaken[2].0 = 28;
    overtaken.swap(2, 3);
    assert_eq!(heard_through(Effect::Reorder { ms: 500 }), overtaken);
}

#[test]
fn a_packet_that_nothing_overtakes_arrives_late() {
    let mut world = World::new(1);
    let net = topology::both_public(&mut world, &Plan::default());
    register_both(&mut world, &net);
    let s = at("18.181.0.31:1234");
    let before = heard(&world, net.server).len();
    world.add_fault(Fault { pick: Pick::to(s), skip: 0, count: 1, effect: Effect::Reorder { ms: 100 } }).unwrap();
    tell(&mut world, net.a, Do::Send(1, s, vec![1]));
    world.run_for(Duration::from_millis(124));
    assert_eq!(heard(&world, net.server).len(), before);
    world.run_for(Duration::from_millis(1));
    assert_eq!(heard(&world, net.server).len(), before + 1);
}

#[test]
fn faults_are_bounded_and_a_pick_reads_back() {
    let mut world = World::new(1);
    let text =
        r#"{"pick":{"realm":"internet","kind":"syn","source":"*:1234","destination":"10.0.0.1"},"effect":"drop"}"#;
    let fault: Fault = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::from_str::<Fault>(&serde_json::to_string(&fault).unwrap()).unwrap(), fault);
    assert!(serde_json::from_str::<Fault>(r#"{"pick":{"sauce":"*:1"},"effect":"drop"}"#).is_err());
    for _ in 0..MAX_FAULTS {
        world.add_fault(fault.clone()).unwrap();
    }
    assert!(world.add_fault(fault).is_err());
}

#[test]
fn a_line_that_holds_packets_back_reorders_them() {
    let mut world = World::new(1);
    let mut plan = Plan::default();
    plan.line_a = plan.line_a.with_reordering(Chance::percent(20), Duration::from_millis(10));
    let net = topology::both_public(&mut world, &plan);
    register_both(&mut world, &net);
    for number in 0..100 {
        tell(&mut world, net.a, Do::Send(1, at("18.181.0.31:1234"), vec![number, 7]));
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(SECOND);
    let numbers: Vec<u8> = heard(&world, net.server)
        .into_iter()
        .filter_map(|what| match what {
            Heard::Datagram(_, octets) if octets.len() == 2 => Some(octets[0]),
            _ => None,
        })
        .collect();
    assert_eq!(numbers.len(), 100);
    let overtaken = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((5..40).contains(&overtaken), "{overtaken}");
}

#[test]
fn a_cut_line_carries_nothing_until_it_is_mended() {
    let mut world = World::new(1);
    let net = topology::two_nats(&mut world, &Plan::default());
    register_both(&mut world, &net);
    let before = heard(&world, net.server).len();
    let s = at("18.181.0.31:1234");
    let nat = Place::Nat(net.nat_a.unwrap());
    world.cut(nat);
    tell(&mut world, net.a, Do::Send(1, s, vec![1]));
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.server).len(), before);
    world.mend(nat);
    tell(&mut world, net.a, Do::Send(1, s, vec![2]));
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.server).len(), before + 1);
}

#[test]
fn a_rebooted_nat_has_forgotten_and_gives_a_fresh_port() {
    let mut world = World::new(1);
    let mut plan = Plan::default();
    plan.nat_a.fresh_port = pinhole_sim::nat::FreshPort::Random;
    plan.nat_a.timer = TimerScope::Session;
    let net = topology::two_nats(&mut world, &plan);
    register_both(&mut world, &net);
    let nat = net.nat_a.unwrap();
    let before = world.nat(nat).rows().next().unwrap().external;
    world.reboot_nat(nat);
    assert_eq!(world.nat(nat).rows().count(), 0);
    tell(&mut world, net.a, Do::Send(1, at("18.181.0.31:1234"), vec![2]));
    world.run_for(SECOND);
    assert_ne!(world.nat(nat).rows().next().unwrap().external, before);
}

#[test]
fn a_closed_port_answers_and_the_nat_translates_the_answer() {
    let mut world = World::new(1);
    let net = topology::two_nats(&mut world, &Plan::default());
    register_both(&mut world, &net);
    let closed = at("18.181.0.31:9");
    tell(&mut world, net.a, Do::Send(1, closed, vec![1]));
    world.run_for(SECOND);
    let rejected = Heard::Rejected(closed, NetError::Refused);
    assert_eq!(heard(&world, net.a).last(), Some(&rejected));
}

#[test]
fn a_short_lived_packet_opens_the_near_nat_and_dies_on_the_way() {
    let mut world = World::new(1);
    let net = topology::two_nats(&mut world, &Plan::default());
    register_both(&mut world, &net);
    let b = at("138.76.29.7:31000");
    tell(&mut world, net.a, Do::SendTtl(1, b, 3));
    world.run_for(SECOND);
    let died = |record: &pinhole_sim::trace::Record| record.what == What::TtlExpired;
    assert!(world.trace().records().iter().any(died));
    let to_a = Do::Send(1, at("155.99.25.11:62000"), vec![1]);
    tell(&mut world, net.b, to_a);
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.a).last(), Some(&Heard::Datagram(b, vec![1])));
}

#[test]
fn a_host_that_moves_keeps_its_sockets_under_another_address() {
    let mut world = World::new(1);
    let net = topology::two_nats(&mut world, &Plan::default());
    register_both(&mut world, &net);
    let elsewhere = at("192.0.2.77:0").address();
    world.move_host(net.a, RealmId::INTERNET, &[elsewhere]);
    let s = at("18.181.0.31:1234");
    tell(&mut world, net.a, Do::Send(1, s, b"moved".to_vec()));
    world.run_for(SECOND);
    let moved = Heard::Datagram(at("192.0.2.77:1234"), b"moved".to_vec());
    assert_eq!(heard(&world, net.server).last(), Some(&moved));
}

#[test]
fn a_socket_that_is_shared_has_the_same_port_and_a_second_one_is_refused() {
    let mut world = World::new(1);
    let host = world.add_host("A", RealmId::INTERNET, &[topology::NAT_A], pinhole_sim::Line::default());
    world.start(
        host,
        node(
            Toy::default()
                .at(0, Do::Open(1, Transport::Udp, 5_000))
                .at(0, Do::Open(2, Transport::Tcp, 5_000))
                .at(0, Do::Open(3, Transport::Udp, 5_000))
                .at(1, Do::Open(4, Transport::Udp, 0)),
        ),
    );
    world.run_until(Instant::from_micros(10_000));
    let heard = heard(&world, host);
    assert_eq!(heard[2], Heard::OpenFailed(3, NetError::AddressInUse));
    assert!(matches!(heard[3], Heard::Opened(4, local) if local.port() >= 32_768));
}

const SECOND: Duration = Duration::from_secs(1);
