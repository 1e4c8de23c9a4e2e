//! NATs in a world: what they do there without a packet, for IPv6, and to those who share them.

use pinhole_proto::{Duration, Instant, Interface, Transport};
use pinhole_sim::nat::{Competitor, CompetitorPlan, Decision, DropRule, Ipv6, Unsolicited};
use pinhole_sim::packet::{Body, Flags, Packet};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::{Behaviour, Line, NatPlan, RealmId, Rng, World};

use crate::toy::{Do, Heard, Toy, at, heard, node, tell};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_unsolicited_syn_is_answered_after_six_seconds() {
    let mut world = World::new(1);
    let mut plan = Plan::default();
    plan.nat_a.unsolicited_syn = Unsolicited::IcmpDelayed;
    let net = topology::two_nats(&mut world, &plan);
    let server = at("18.181.0.31:1234");
    world.inject(net.server, Packet::tcp(server, at("155.99.25.11:7"), Flags::SYN, 1, 0));
    let told = |world: &World| world.trace().sent_in(RealmId::INTERNET).any(|r| matches!(r.packet.body, Body::Icmp(_)));
    world.run_for(SECOND * 6);
    assert!(!told(&world));
    world.run_for(SECOND);
    assert!(told(&world));
    let answered = Decision::Answered(DropRule::NoMapping);
    assert_eq!(world.trace().receipts().filter(|(_, receipt)| receipt.decision == answered).count(), 1);
}

#[test]
fn a_competitor_takes_the_port_that_was_counted_on() {
    let ports = |rival: Option<Transport>| {
        let mut world = World::new(1);
        let plan = Plan { nat_a: Behaviour::symmetric_sequential(62_000), ..Plan::default() };
        let net = topology::two_nats(&mut world, &plan);
        let nat = net.nat_a.expect("A is behind a NAT");
        let rival_at = at("10.0.0.9:0");
        let host = world.add_host("rival", world.inside(nat), &[rival_at.address()], Line::default());
        if let Some(transport) = rival {
            let start = Instant::ZERO + SECOND;
            let target = at("138.76.29.7:9");
            let plan = CompetitorPlan { transport, target, start, every: SECOND, jitter: true, count: 3 };
            world.start(host, Competitor::new(plan, Rng::new(1)));
        }
        world.start(net.a, node(Toy::default().at(0, Do::Open(1, Transport::Udp, 1234))));
        tell(&mut world, net.a, Do::Send(1, at("18.181.0.31:1234"), vec![]));
        world.run_for(SECOND * 10);
        tell(&mut world, net.a, Do::Send(1, at("138.76.29.7:31000"), vec![]));
        world.run_for(SECOND);
        let of_rival = |transport| {
            let rows = world.nat(nat).rows();
            let of = rows.filter(|row| row.internal.address() == rival_at.address() && row.transport == transport);
            of.count()
        };
        for transport in [Transport::Udp, Transport::Tcp] {
            assert_eq!(of_rival(transport), if rival == Some(transport) { 3 } else { 0 });
        }
        let a = at("10.0.0.1:1234");
        world.nat(nat).rows().filter(|row| row.internal == a).map(|row| row.external.port()).collect::<Vec<_>>()
    };
    assert_eq!(ports(None), [62_000, 62_001]);
    assert_eq!(ports(Some(Transport::Udp)), [62_000, 62_004]);
    // Each transport has ports of its own.
    assert_eq!(ports(Some(Transport::Tcp)), [62_000, 62_001]);
}

#[test]
fn a_firewall_admits_over_ipv6_whom_the_inside_sent_to() {
    for ipv6 in Ipv6::ALL {
        let mut world = World::new(1);
        let [inner, outer, stranger] = ["[2001:db8:a::1]:1234", "[2001:db8:b::1]:1234", "[2001:db8:b::2]:1234"].map(at);
        let nat = world.add_nat(&NatPlan {
            name: "firewall",
            outside: RealmId::INTERNET,
            address: at("155.99.25.11:0").address(),
            network: Interface { address: at("10.0.0.0:0").address(), prefix: 8 },
            behaviour: Behaviour { ipv6, ..Behaviour::firewall() },
            line: Line::default(),
        });
        world.route_to_nat(nat, inner.address());
        let inside = world.inside(nat);
        let a = world.add_host("A", inside, &[inner.address()], Line::default());
        let b = world.add_host("B", RealmId::INTERNET, &[outer.address()], Line::default());
        let c = world.add_host("C", RealmId::INTERNET, &[stranger.address()], Line::default());
        for host in [a, b, c] {
            world.start(host, node(Toy::default().at(0, Do::Open6(1, Transport::Udp, 1234))));
        }
        world.run_for(SECOND);
        tell(&mut world, a, Do::Send(1, outer, vec![]));
        world.run_for(SECOND);
        tell(&mut world, b, Do::Send(1, inner, vec![]));
        tell(&mut world, c, Do::Send(1, inner, vec![]));
        world.run_for(SECOND);
        let hears = |host, from| heard(&world, host).contains(&Heard::Datagram(from, vec![]));
        assert_eq!(hears(b, inner), ipv6 != Ipv6::Drop, "{ipv6:?}");
        assert_eq!(hears(a, outer), ipv6 != Ipv6::Drop, "{ipv6:?}");
        assert_eq!(hears(a, stranger), ipv6 == Ipv6::Pass, "{ipv6:?}");
    }
}
