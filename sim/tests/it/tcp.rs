//! The small TCP: handshakes, both outcomes of a crossing SYN, resets, losses, backpressure.

use pinhole_proto::{Duration, NetError, Transport};
use pinhole_sim::nat::Unsolicited;
use pinhole_sim::packet::Flags;
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::{
    Chance, CrossingSyn, Effect, Fault, HostId, HostOptions, Packet, PacketKind, Pick, RealmId, Topology, World,
};

use crate::toy::{Do, Heard, Toy, at, heard, node, octet_at, tell};

const A_PUBLIC: &str = "155.99.25.11:62000";
const B_PUBLIC: &str = "138.76.29.7:31000";

/// Hosts with a TCP port 1234 each, in the internet or behind NATs; those behind NATs are connected to S.
fn listening(seed: u64, plan: &Plan, build: fn(&mut World, &Plan) -> Topology) -> (World, Topology) {
    let mut world = World::new(seed);
    let net = build(&mut world, plan);
    for host in [net.server, net.a, net.b] {
        let toy = Toy::redialling(Duration::from_millis(200));
        world.start(host, node(toy.at(0, Do::Open(1, Transport::Tcp, 1234))));
    }
    if net.nat_a.is_some() {
        for host in [net.a, net.b] {
            tell(&mut world, host, Do::Dial(2, 1, at("18.181.0.31:1234")));
            world.run_for(SECOND);
            assert!(heard(&world, host).contains(&Heard::Connected(2)));
        }
    }
    (world, net)
}

fn flags_in_the_internet(world: &World, from: usize) -> Vec<String> {
    let sent = world.trace().sent_in(RealmId::INTERNET).skip(from);
    sent.map(|record| {
        let flags = record.packet.flags().map(|flags| flags.to_string());
        format!("{} {}", record.packet.source, flags.unwrap_or_default())
    })
    .collect()
}

fn sent_so_far(world: &World) -> usize {
    world.trace().sent_in(RealmId::INTERNET).count()
}

#[test]
fn a_dial_to_a_listener_is_three_segments_and_a_close_four() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    tell(&mut world, net.a, Do::Dial(2, 1, at("138.76.29.7:1234")));
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.a).last(), Some(&Heard::Connected(2)));
    let accepted = Heard::Accepted(1, at("155.99.25.11:1234"));
    assert_eq!(heard(&world, net.b).last(), Some(&accepted));
    tell(&mut world, net.a, Do::Close(2, false));
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.b).last(), Some(&Heard::Closed(1, None)));
    assert_eq!(
        flags_in_the_internet(&world, 0),
        [
            "155.99.25.11:1234 SYN",
            "138.76.29.7:1234 SYN-ACK",
            "155.99.25.11:1234 ACK",
            "155.99.25.11:1234 FIN-ACK",
            "138.76.29.7:1234 ACK",
            "138.76.29.7:1234 FIN-ACK",
            "155.99.25.11:1234 ACK",
        ]
    );
}

#[test]
fn a_dial_fails_as_the_system_would_say_it() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    world.command(net.a, |toy: &mut Toy, _| toy.redial = None);
    tell(&mut world, net.a, Do::Dial(2, 1, at("138.76.29.7:99")));
    world.run_for(SECOND);
    let refused = Heard::Closed(2, Some(NetError::Refused));
    assert_eq!(heard(&world, net.a).last(), Some(&refused));
    tell(&mut world, net.a, Do::Dial(4, 1, at("138.76.29.99:99")));
    world.run_for(Duration::from_secs(126));
    assert_eq!(heard(&world, net.a).last(), Some(&refused));
    world.run_for(Duration::from_secs(1));
    let timed_out = Heard::Closed(4, Some(NetError::TimedOut));
    assert_eq!(heard(&world, net.a).last(), Some(&timed_out));
    tell(&mut world, net.a, Do::Dial(6, 1, at("138.76.29.7:1234")));
    tell(&mut world, net.a, Do::Dial(8, 1, at("138.76.29.7:1234")));
    let taken = Heard::Closed(8, Some(NetError::AddressNotAvailable));
    assert_eq!(heard(&world, net.a).last(), Some(&taken));
}

#[test]
fn a_lost_syn_is_repeated_after_one_second_and_then_two() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    let syns = Pick::kind(PacketKind::Syn);
    world.add_fault(Fault { pick: syns, skip: 0, count: 2, effect: Effect::Drop }).unwrap();
    let start = world.now();
    tell(&mut world, net.a, Do::Dial(2, 1, at("138.76.29.7:1234")));
    world.run_for(Duration::from_secs(4));
    let (when, what) = world.log::<Heard>(net.a).last().unwrap();
    assert_eq!(*what, Heard::Connected(2));
    assert_eq!(*when - start, Duration::from_millis(3_100));
}

#[test]
fn crossing_syns_open_one_connection_through_two_port_restricted_nats() {
    for (ours, theirs) in [
        (CrossingSyn::Dial, CrossingSyn::Dial),
        (CrossingSyn::Listener, CrossingSyn::Dial),
        (CrossingSyn::Dial, CrossingSyn::Listener),
        (CrossingSyn::Listener, CrossingSyn::Listener),
    ] {
        let (mut world, net) = listening(1, &Plan::default(), topology::two_nats);
        set_crossing(&mut world, net.a, ours);
        set_crossing(&mut world, net.b, theirs);
        let before = sent_so_far(&world);
        let start = world.now();
        tell(&mut world, net.a, Do::Dial(4, 1, at(B_PUBLIC)));
        tell(&mut world, net.b, Do::Dial(4, 1, at(A_PUBLIC)));
        world.run_for(SECOND);
        let a_stream = opened(&world, net.a, ours, B_PUBLIC);
        opened(&world, net.b, theirs, A_PUBLIC);
        let flags = flags_in_the_internet(&world, before);
        assert_eq!(
            flags[..4],
            [
                "155.99.25.11:62000 SYN",
                "138.76.29.7:31000 SYN",
                "138.76.29.7:31000 SYN-ACK",
                "155.99.25.11:62000 SYN-ACK",
            ],
            "{}",
            world.trace().ladder()
        );
        let opened = world
            .log::<Heard>(net.a)
            .iter()
            .find(|(when, what)| *when > start && matches!(what, Heard::Connected(_) | Heard::Accepted(..)))
            .unwrap();
        assert_eq!(opened.0 - start, Duration::from_millis(100));
        tell(&mut world, net.a, Do::Write(a_stream, b"through".to_vec()));
        world.run_for(SECOND);
        let received =
            heard(&world, net.b).iter().any(|what| matches!(what, Heard::Received(_, octets) if octets == b"through"));
        assert!(received, "{}", world.trace().ladder());
    }
}

/// The stream that came of the dial 4, checked against the outcome that the host is set to.
fn opened(world: &World, host: HostId, crossing: CrossingSyn, remote: &str) -> u64 {
    let heard = heard(world, host);
    match crossing {
        CrossingSyn::Dial => {
            assert!(heard.contains(&Heard::Connected(4)), "{heard:?}");
            4
        }
        CrossingSyn::Listener => {
            let failed = Heard::Closed(4, Some(NetError::AddressInUse));
            assert!(heard.contains(&failed), "{heard:?}");
            assert!(heard.contains(&Heard::Accepted(1, at(remote))), "{heard:?}");
            1
        }
    }
}

fn set_crossing(world: &mut World, host: HostId, crossing_syn: CrossingSyn) {
    let options = HostOptions { crossing_syn, ..HostOptions::default() };
    world.set_options(host, options);
}

#[test]
fn one_side_a_little_late_still_meets_the_others_pending_dial() {
    let (mut world, net) = listening(1, &Plan::default(), topology::two_nats);
    let before = sent_so_far(&world);
    tell(&mut world, net.a, Do::Dial(4, 1, at(B_PUBLIC)));
    world.run_for(Duration::from_millis(300));
    tell(&mut world, net.b, Do::Dial(4, 1, at(A_PUBLIC)));
    world.run_for(Duration::from_millis(300));
    assert!(heard(&world, net.a).contains(&Heard::Connected(4)));
    assert!(heard(&world, net.b).contains(&Heard::Connected(4)));
    assert_eq!(
        flags_in_the_internet(&world, before),
        ["155.99.25.11:62000 SYN", "138.76.29.7:31000 SYN", "155.99.25.11:62000 SYN-ACK", "138.76.29.7:31000 ACK",]
    );
}

#[test]
fn a_reset_by_the_far_nat_is_overcome_by_dialling_again() {
    let mut plan = Plan::default();
    plan.nat_a.unsolicited_syn = Unsolicited::Reset;
    plan.nat_b.unsolicited_syn = Unsolicited::Reset;
    let (mut world, net) = listening(1, &plan, topology::two_nats);
    tell(&mut world, net.a, Do::Dial(4, 1, at(B_PUBLIC)));
    world.run_for(Duration::from_millis(120));
    let refused = Heard::Closed(4, Some(NetError::Refused));
    assert_eq!(heard(&world, net.a).last(), Some(&refused));
    tell(&mut world, net.b, Do::Dial(4, 1, at(A_PUBLIC)));
    world.run_for(Duration::from_secs(3));
    let connected = |host| {
        heard(&world, host)
            .iter()
            .any(|what| matches!(what, Heard::Connected(id) if *id >= 4) || matches!(what, Heard::Accepted(..)))
    };
    assert!(connected(net.a), "{}", world.trace().ladder());
    assert!(connected(net.b), "{}", world.trace().ladder());
}

#[test]
fn an_icmp_answer_to_a_syn_fails_the_dial() {
    let mut plan = Plan::default();
    plan.nat_b.unsolicited_syn = Unsolicited::Icmp;
    let (mut world, net) = listening(1, &plan, topology::two_nats);
    tell(&mut world, net.a, Do::Dial(4, 1, at(B_PUBLIC)));
    world.run_for(Duration::from_millis(120));
    let refused = Heard::Closed(4, Some(NetError::Refused));
    assert_eq!(heard(&world, net.a).last(), Some(&refused));
}

#[test]
fn every_octet_arrives_in_order_over_lines_that_lose_copy_and_reorder() {
    for seed in 0..8 {
        let mut plan = Plan::default();
        for line in [&mut plan.line_a, &mut plan.line_b] {
            *line = line
                .with_loss(Chance::percent(5))
                .with_duplication(Chance::percent(2))
                .with_jitter(Duration::from_millis(8));
        }
        let (mut world, net) = listening(seed, &plan, topology::both_public);
        let octets = pour(&mut world, &net, 300_000, Duration::from_secs(120));
        assert!(octets == (0..300_000).map(octet_at).collect::<Vec<u8>>());
        assert_eq!(heard(&world, net.b).last(), Some(&Heard::Closed(1, None)));
    }
}

#[test]
fn throughput_is_measured_not_judged() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    let start = world.now();
    let octets = pour(&mut world, &net, 4_000_000, Duration::from_secs(60));
    assert_eq!(octets.len(), 4_000_000);
    let last = |what: &Heard| matches!(what, Heard::Received(..));
    let log = world.log::<Heard>(net.b);
    let end = log.iter().rfind(|(_, what)| last(what)).unwrap().0;
    println!("4,000,000 octets in {:?}, {} arrivals", end - start, world.arrivals());
}

/// Dials B from A and pours; what B received.
fn pour(world: &mut World, net: &Topology, octets: usize, span: Duration) -> Vec<u8> {
    tell(world, net.a, Do::Dial(2, 1, at("138.76.29.7:1234")));
    let host = net.a;
    let connected =
        world.run_while_not(Duration::from_secs(60), |world| heard(world, host).contains(&Heard::Connected(2)));
    assert!(connected);
    tell(world, net.a, Do::Pour(2, octets));
    world.run_for(span);
    let mut received = Vec::new();
    for what in heard(world, net.b) {
        if let Heard::Received(_, octets) = what {
            received.extend(octets);
        }
    }
    received
}

#[test]
fn a_receiver_that_does_not_read_stops_the_sender_and_a_lost_update_does_not_matter() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    let options = HostOptions { window: 10_000, ..HostOptions::default() };
    world.set_options(net.b, options);
    tell(&mut world, net.a, Do::Dial(2, 1, at("138.76.29.7:1234")));
    world.run_for(SECOND);
    tell(&mut world, net.b, Do::Read(1, false));
    tell(&mut world, net.a, Do::Write(2, vec![7; 50_000]));
    world.run_for(Duration::from_secs(10));
    let written = |world: &World| -> u32 {
        let heard = heard(world, net.a);
        let written = heard.iter().map(|what| match what {
            Heard::Written(_, octets) => *octets,
            _ => 0,
        });
        written.sum()
    };
    assert_eq!(written(&world), 10_000);
    // The first word of B after it reads again is lost; A asks.
    let b = at("138.76.29.7:1234");
    let pick = Pick { source: Some(b.into()), ..Pick::default() };
    world.add_fault(Fault { pick, skip: 0, count: 1, effect: Effect::Drop }).unwrap();
    tell(&mut world, net.b, Do::Read(1, true));
    world.run_for(Duration::from_secs(10));
    assert_eq!(written(&world), 50_000);
}

#[test]
fn a_reset_or_answer_that_names_another_syn_does_not_touch_a_dial() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    let (a, b) = (at("155.99.25.11:1234"), at("138.76.29.7:1234"));
    tell(&mut world, net.a, Do::Dial(2, 1, b));
    for flags in [Flags::RST, Flags::SYN_ACK] {
        world.inject(net.server, Packet::tcp(b, a, flags, 0, 1));
    }
    world.run_for(Duration::from_millis(30));
    assert_eq!(heard(&world, net.a).len(), 1, "only that the port is open");
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.a).last(), Some(&Heard::Connected(2)));
    // The same within a connection: a reset from beyond the window.
    world.inject(net.server, Packet::tcp(b, a, Flags::RST, 0, 0));
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.a).last(), Some(&Heard::Connected(2)));
}

#[test]
fn streams_that_a_rebooted_nat_mixes_up_do_not_answer_each_other_for_ever() {
    let mut most = 0;
    for seed in 0..8 {
        let plan = Plan { nat_a: Plan::default().nat_a.with_ports_from(62_000), ..Plan::default() };
        let (mut world, net) = listening(seed, &plan, topology::same_nat);
        world.reboot_nat(net.nat_a.expect("both are behind it"));
        let before = sent_so_far(&world);
        // The NAT gives B the port that A's stream had.
        tell(&mut world, net.b, Do::Write(2, b"from B".to_vec()));
        world.run_for(SECOND * 10);
        let mixed_up = heard(&world, net.server).iter().any(|heard| matches!(heard, Heard::Received(..)));
        assert!(!mixed_up, "seed {seed}");
        most = most.max(sent_so_far(&world) - before);
    }
    assert!((15..100).contains(&most), "{most}");
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_loses_nothing() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    let (a, b) = (at("155.99.25.11:1234"), at("138.76.29.7:1234"));
    tell(&mut world, net.a, Do::Dial(2, 1, b));
    world.run_for(SECOND);
    let pick = Pick { source: Some(a.into()), ..Pick::default() };
    world.add_fault(Fault { pick, skip: 0, count: 1, effect: Effect::Drop }).unwrap();
    tell(&mut world, net.a, Do::Write(2, b"once".to_vec()));
    world.inject(net.server, Packet::tcp(b, a, Flags::ACK, 1 << 33, 1 << 33));
    world.run_for(SECOND * 3);
    assert_eq!(heard(&world, net.b).last(), Some(&Heard::Received(1, b"once".to_vec())));
}

#[test]
fn a_socket_that_is_shut_takes_no_more_streams_and_those_it_took_live_on() {
    let (mut world, net) = listening(1, &Plan::default(), topology::both_public);
    world.command(net.a, |toy: &mut Toy, _| toy.redial = None);
    let b = at("138.76.29.7:1234");
    tell(&mut world, net.a, Do::Dial(2, 1, b));
    world.run_for(SECOND);
    tell(&mut world, net.b, Do::Shut(1));
    tell(&mut world, net.b, Do::Write(1, b"still here".to_vec()));
    world.run_for(SECOND);
    let received = Heard::Received(2, b"still here".to_vec());
    assert_eq!(heard(&world, net.a).last(), Some(&received));
    tell(&mut world, net.a, Do::Close(2, true));
    world.run_for(SECOND);
    let reset = Heard::Closed(1, Some(NetError::Reset));
    assert_eq!(heard(&world, net.b).last(), Some(&reset));
    tell(&mut world, net.a, Do::Dial(4, 1, b));
    world.run_for(SECOND);
    let refused = Heard::Closed(4, Some(NetError::Refused));
    assert_eq!(heard(&world, net.a).last(), Some(&refused));
}

#[test]
fn a_process_that_ends_resets_its_streams_and_closes_its_ports() {
    let (mut world, net) = listening(1, &Plan::default(), topology::two_nats);
    world.command(net.a, |toy: &mut Toy, _| toy.redial = None);
    world.stop(net.server);
    world.run_for(SECOND);
    let reset = Heard::Closed(2, Some(NetError::Reset));
    assert_eq!(heard(&world, net.a).last(), Some(&reset));
    tell(&mut world, net.a, Do::Dial(4, 1, at("18.181.0.31:1234")));
    world.run_for(SECOND);
    let refused = Heard::Closed(4, Some(NetError::Refused));
    assert_eq!(heard(&world, net.a).last(), Some(&refused));
}

const SECOND: Duration = Duration::from_secs(1);
