//! The draft's figures, packet by packet.

use pinhole_proto::Transport;
use pinhole_sim::nat::{Decision, DropRule, MappingRule, PortRule};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::{Behaviour, Hairpin, HostId, Line, NatId, NatPlan, RealmId, World};

use crate::toy::{Do, Heard, Toy, at, heard, node, tell};

/// One host behind a NAT and two servers (section 2 of the draft).
struct TwoServers {
    world: World,
    a: HostId,
    s1: HostId,
    s2: HostId,
    nat: NatId,
}

fn two_servers(behaviour: Behaviour) -> TwoServers {
    let mut world = World::new(1);
    let nat = world.add_nat(&NatPlan {
        name: "NAT",
        outside: RealmId::INTERNET,
        address: topology::NAT_A,
        network: pinhole_proto::Interface { address: topology::A, prefix: 24 },
        behaviour,
        line: Line::default(),
    });
    let inside = world.inside(nat);
    let a = world.add_host("A", inside, &[topology::A], Line::default());
    let mut server = |name, address| {
        let host = world.add_host(name, RealmId::INTERNET, &[address], Line::default());
        let toy = Toy::echo();
        world.start(host, node(toy.at(0, Do::Open(1, Transport::Udp, 1235))));
        host
    };
    let s1 = server("S1", topology::SERVER);
    let s2 = server("S2", topology::NAT_B);
    world.start(a, node(Toy::default().at(0, Do::Open(1, Transport::Udp, 1234))));
    let s1_endpoint = at("18.181.0.31:1235");
    let s2_endpoint = at("138.76.29.7:1235");
    tell(&mut world, a, Do::Send(1, s1_endpoint, b"one".to_vec()));
    world.run_for(SECOND);
    tell(&mut world, a, Do::Send(1, s2_endpoint, b"two".to_vec()));
    world.run_for(SECOND);
    TwoServers { world, a, s1, s2, nat }
}

#[test]
fn a_cone_nat_shows_both_servers_one_endpoint() {
    let scene = two_servers(Behaviour::port_restricted().with_ports_from(62_000));
    assert_packets(
        &scene.world,
        scene.world.inside(scene.nat),
        &[
            "10.0.0.1:1234 -> 18.181.0.31:1235 UDP 3",
            "18.181.0.31:1235 -> 10.0.0.1:1234 UDP 3",
            "10.0.0.1:1234 -> 138.76.29.7:1235 UDP 3",
            "138.76.29.7:1235 -> 10.0.0.1:1234 UDP 3",
        ],
    );
    assert_packets(
        &scene.world,
        RealmId::INTERNET,
        &[
            "155.99.25.11:62000 -> 18.181.0.31:1235 UDP 3",
            "18.181.0.31:1235 -> 155.99.25.11:62000 UDP 3",
            "155.99.25.11:62000 -> 138.76.29.7:1235 UDP 3",
            "138.76.29.7:1235 -> 155.99.25.11:62000 UDP 3",
        ],
    );
    assert_rows(
        &scene.world,
        scene.nat,
        &["10.0.0.1:1234 <=> 155.99.25.11:62000 {18.181.0.31:1235, 138.76.29.7:1235}"],
    );
    let rules: Vec<_> =
        scene.world.trace().receipts().filter_map(|(_, receipt)| receipt.mapping).map(|mapping| mapping.rule).collect();
    let created = MappingRule::Created(PortRule::Sequential { skipped: 0 });
    assert_eq!(rules, [created, MappingRule::Reused]);
}

#[test]
fn a_symmetric_nat_shows_each_server_another_endpoint_and_drops_the_wrong_one() {
    let mut scene = two_servers(Behaviour::symmetric_sequential(62_000));
    assert_rows(
        &scene.world,
        scene.nat,
        &[
            "10.0.0.1:1234 <=> 155.99.25.11:62000 {18.181.0.31:1235}",
            "10.0.0.1:1234 <=> 155.99.25.11:62001 {138.76.29.7:1235}",
        ],
    );
    let before = heard(&scene.world, scene.a).len();
    let wrong_ways = [(scene.s2, "155.99.25.11:62000"), (scene.s1, "155.99.25.11:62001")];
    for (server, wrong) in wrong_ways {
        tell(&mut scene.world, server, Do::Send(1, at(wrong), b"wrong".to_vec()));
        scene.world.run_for(SECOND);
        let (_, receipt) = scene.world.trace().receipts().last().unwrap();
        assert_eq!(receipt.decision, Decision::Dropped(DropRule::Filtered));
    }
    assert_eq!(heard(&scene.world, scene.a).len(), before);
}

#[test]
fn two_scripts_punch_through_two_port_restricted_nats() {
    let mut world = World::new(1);
    let net = topology::two_nats(&mut world, &Plan::default());
    let server = at("18.181.0.31:1234");
    let open = Do::Open(1, Transport::Udp, 1234);
    let punch = |remote: &str| Do::Send(1, at(remote), b"hello".to_vec());
    let toy = || Toy::default().at(0, open.clone());
    let echo = Toy::echo();
    world.start(net.server, node(echo.at(0, open.clone())));
    let register = Do::Send(1, server, b"register".to_vec());
    world.start(
        net.a,
        node(toy().at(1, register.clone()).at(200, punch("138.76.29.7:31000")).at(400, punch("138.76.29.7:31000"))),
    );
    world.start(net.b, node(toy().at(100, register).at(300, punch("155.99.25.11:62000"))));
    world.run_for(SECOND);
    assert_packets(
        &world,
        RealmId::INTERNET,
        &[
            "155.99.25.11:62000 -> 18.181.0.31:1234 UDP 8",
            "18.181.0.31:1234 -> 155.99.25.11:62000 UDP 8",
            "138.76.29.7:31000 -> 18.181.0.31:1234 UDP 8",
            "18.181.0.31:1234 -> 138.76.29.7:31000 UDP 8",
            "155.99.25.11:62000 -> 138.76.29.7:31000 UDP 5",
            "138.76.29.7:31000 -> 155.99.25.11:62000 UDP 5",
            "155.99.25.11:62000 -> 138.76.29.7:31000 UDP 5",
        ],
    );
    let b_lan = world.realm_of(net.b);
    assert_packets(
        &world,
        b_lan,
        &[
            "10.1.1.3:1234 -> 18.181.0.31:1234 UDP 8",
            "18.181.0.31:1234 -> 10.1.1.3:1234 UDP 8",
            "10.1.1.3:1234 -> 155.99.25.11:62000 UDP 5",
            "155.99.25.11:62000 -> 10.1.1.3:1234 UDP 5",
        ],
    );
    assert_rows(
        &world,
        net.nat_a.unwrap(),
        &["10.0.0.1:1234 <=> 155.99.25.11:62000 {18.181.0.31:1234, 138.76.29.7:31000}"],
    );
    assert_rows(
        &world,
        net.nat_b.unwrap(),
        &["10.1.1.3:1234 <=> 138.76.29.7:31000 {18.181.0.31:1234, 155.99.25.11:62000}"],
    );
    let ladder = world.trace().ladder();
    assert!(ladder.contains("dropped: Filtered"), "{ladder}");
}

#[test]
fn a_hairpin_turns_at_the_nat_with_both_ends_translated() {
    for (hairpin, seen) in [
        (Hairpin::ExternalSource, Some("155.99.25.11:62000")),
        (Hairpin::InternalSource, Some("10.0.0.1:1234")),
        (Hairpin::None, None),
    ] {
        let mut world = World::new(1);
        let mut plan = Plan::default();
        plan.nat_a = plan.nat_a.with_hairpin(hairpin);
        plan.nat_a.hairpin_filtered = false;
        let net = topology::same_nat(&mut world, &plan);
        register_both(&mut world, &net);
        let b_public = at("155.99.25.11:62001");
        tell(&mut world, net.a, Do::Send(1, b_public, b"loop".to_vec()));
        world.run_for(SECOND);
        let last = heard(&world, net.b).pop().unwrap();
        match seen {
            Some(source) => assert_eq!(last, Heard::Datagram(at(source), b"loop".to_vec())),
            None => {
                let (_, receipt) = world.trace().receipts().last().unwrap();
                assert_eq!(receipt.decision, Decision::Dropped(DropRule::HairpinNone));
            }
        }
    }
}

#[test]
fn a_filtered_hairpin_needs_both_sides_to_send() {
    let mut world = World::new(1);
    let mut plan = Plan::default();
    plan.nat_a = plan.nat_a.with_hairpin(Hairpin::ExternalSource);
    let net = topology::same_nat(&mut world, &plan);
    register_both(&mut world, &net);
    let before = heard(&world, net.b).len();
    let a_public = at("155.99.25.11:62000");
    let b_public = at("155.99.25.11:62001");
    tell(&mut world, net.a, Do::Send(1, b_public, b"1".to_vec()));
    world.run_for(SECOND);
    assert_eq!(heard(&world, net.b).len(), before);
    tell(&mut world, net.b, Do::Send(1, a_public, b"2".to_vec()));
    world.run_for(SECOND);
    let last = heard(&world, net.a).pop().unwrap();
    assert_eq!(last, Heard::Datagram(b_public, b"2".to_vec()));
}

#[test]
fn two_levels_meet_at_the_hairpin_of_the_provider() {
    let mut world = World::new(1);
    let plan = Plan {
        nat_a: Behaviour::port_restricted().with_ports_from(30_000),
        nat_b: Behaviour::port_restricted().with_ports_from(31_000),
        ..Plan::default()
    };
    let net = topology::two_levels(&mut world, &plan);
    register_both(&mut world, &net);
    let a_public = at("155.99.25.11:62000");
    let b_public = at("155.99.25.11:62001");
    for _ in 0..2 {
        tell(&mut world, net.a, Do::Send(1, b_public, b"to b".to_vec()));
        tell(&mut world, net.b, Do::Send(1, a_public, b"to a".to_vec()));
        world.run_for(SECOND);
    }
    let expected = Heard::Datagram(a_public, b"to b".to_vec());
    assert!(heard(&world, net.b).contains(&expected));
    assert_rows(
        &world,
        net.outer.unwrap(),
        &[
            "192.168.1.1:30000 <=> 155.99.25.11:62000 {18.181.0.31:1234, 155.99.25.11:62001}",
            "192.168.1.2:31000 <=> 155.99.25.11:62001 {18.181.0.31:1234, 155.99.25.11:62000}",
        ],
    );
    assert_rows(
        &world,
        net.nat_b.unwrap(),
        &["10.1.1.3:1234 <=> 192.168.1.2:31000 {18.181.0.31:1234, 155.99.25.11:62000}"],
    );
}

#[test]
fn prediction_punches_through_two_sequential_symmetric_nats() {
    let mut world = World::new(1);
    let plan = Plan {
        nat_a: Behaviour::symmetric_sequential(62_000),
        nat_b: Behaviour::symmetric_sequential(31_000),
        ..Plan::default()
    };
    let net = topology::two_nats(&mut world, &plan);
    register_both(&mut world, &net);
    for _ in 0..2 {
        let to_b = Do::Send(1, at("138.76.29.7:31001"), b"a".to_vec());
        let to_a = Do::Send(1, at("155.99.25.11:62001"), b"b".to_vec());
        tell(&mut world, net.a, to_b);
        tell(&mut world, net.b, to_a);
        world.run_for(SECOND);
    }
    let from_b = Heard::Datagram(at("138.76.29.7:31001"), b"b".to_vec());
    let from_a = Heard::Datagram(at("155.99.25.11:62001"), b"a".to_vec());
    assert!(heard(&world, net.a).contains(&from_b));
    assert!(heard(&world, net.b).contains(&from_a));
}

pub(crate) fn register_both(world: &mut World, net: &pinhole_sim::Topology) {
    let open = Do::Open(1, Transport::Udp, 1234);
    for host in [net.server, net.a, net.b] {
        world.start(host, node(Toy::default().at(0, open.clone())));
    }
    for host in [net.a, net.b] {
        let register = Do::Send(1, at("18.181.0.31:1234"), b"register".to_vec());
        tell(world, host, register);
        world.run_for(SECOND);
    }
}

pub(crate) fn assert_packets(world: &World, realm: RealmId, expected: &[&str]) {
    let sent: Vec<String> = world.trace().sent_in(realm).map(|record| record.packet.to_string()).collect();
    assert_eq!(sent, expected, "\n{}", world.trace().ladder());
}

pub(crate) fn assert_rows(world: &World, nat: NatId, expected: &[&str]) {
    let rows: Vec<String> = world
        .nat(nat)
        .rows()
        .map(|row| {
            let mut sessions: Vec<_> = row.sessions.iter().collect();
            sessions.sort_by_key(|(_, session)| session.since);
            let sessions: Vec<String> = sessions.iter().map(|(e, _)| e.to_string()).collect();
            let sessions = sessions.join(", ");
            format!("{} <=> {} {{{sessions}}}", row.internal, row.external)
        })
        .collect();
    assert_eq!(rows, expected, "\n{}", world.trace().ladder());
}

const SECOND: pinhole_proto::Duration = pinhole_proto::Duration::from_secs(1);
