//! Keepalives: how long NATs wait, found out and kept below.

use std::collections::BTreeSet;

use pinhole_proto::peer::{Peer, PeerConfig, PeerEvent};
use pinhole_proto::{Duration, Endpoint, Interface, Transport};
use pinhole_sim::nat::{Decision, DropRule, Refresh, TimerScope};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::trace::What;
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, Dependence, HostId, Line, NatPlan, RealmId, World};

use crate::toy::{Do, at, heard, tell};

const HOUR: Duration = Duration::from_secs(3_600);
const TIMEOUTS: [u64; 4] = [20, 30, 60, 120];
const MAIN_PORT: u16 = 1234;

fn plan(idle: u64, scope: TimerScope) -> Plan {
    let mut plan = Plan::default();
    for nat in [&mut plan.nat_a, &mut plan.nat_b] {
        nat.udp_idle = Duration::from_secs(idle);
        nat.timer = scope;
    }
    plan
}

/// A and B with a direct path.
fn direct(plan: &Plan, adjust: impl Fn(&mut PeerConfig)) -> Trio {
    let mut trio = Trio::new(1, plan, topology::two_nats, |config| {
        config.tcp = false;
        adjust(config);
    });
    assert!(trio.register());
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    let (a, b) = (trio.net.a, trio.net.b);
    let both = |trio: &Trio| trio.is_direct(a) && trio.is_direct(b);
    for _ in 0..200 {
        trio.world.run_for(Duration::from_millis(10));
        if both(&trio) {
            break;
        }
    }
    assert!(both(&trio), "{}", trio.world.trace().ladder());
    trio.world.trace_mut().clear();
    trio
}

fn fixed(seconds: u64) -> impl Fn(&mut PeerConfig) {
    move |config| {
        config.keepalive = Duration::from_secs(seconds);
        config.adapt_keepalive = false;
    }
}

fn lost(trio: &Trio) -> usize {
    let lost = |host: HostId| {
        trio.said(host).iter().filter(|(_, said)| matches!(said.event, PeerEvent::PathLost { .. })).count()
    };
    lost(trio.net.a) + lost(trio.net.b)
}

/// The packets that keeping the path took, those that measure included: everything that was sent but the
/// registrations' own refreshes and their answers.
fn packets(trio: &Trio) -> usize {
    let trace = trio.world.trace();
    let mains: BTreeSet<Endpoint> = trace
        .receipts()
        .filter_map(|(_, receipt)| receipt.mapping)
        .filter(|mapping| mapping.internal.port() == MAIN_PORT)
        .map(|mapping| mapping.external)
        .collect();
    let refresh = |from: Endpoint, to: Endpoint| {
        (from.address() == topology::SERVER && mains.contains(&to))
            || (to.address() == topology::SERVER && mains.contains(&from))
    };
    trace
        .sent_in(RealmId::INTERNET)
        .filter(|record| matches!(record.what, What::Sent(_)))
        .filter(|record| !refresh(record.packet.source, record.packet.destination))
        .count()
}

/// The fixed interval that keeps a path for an hour with the fewest packets, and how many those are.
fn best_fixed(plan: &Plan, intervals: impl Iterator<Item = u64>) -> (u64, usize) {
    let kept = intervals.filter_map(|seconds| {
        let mut trio = direct(plan, fixed(seconds));
        trio.world.run_for(HOUR);
        (lost(&trio) == 0).then(|| (seconds, packets(&trio)))
    });
    kept.min_by_key(|(_, packets)| *packets).expect("some interval keeps the path")
}

// [R-KEEP-001] [R-KEEP-010] [R-KEEP-011] [R-KEEP-013]
#[test]
fn an_adaptive_keepalive_keeps_a_path_for_an_hour_at_the_price_of_the_best_fixed_one() {
    for idle in TIMEOUTS {
        let plan = plan(idle, TimerScope::Session);
        let (seconds, best) = best_fixed(&plan, idle - 10..=idle + 3);
        let mut trio = direct(&plan, |_| {});
        trio.world.run_for(HOUR);
        let taken = packets(&trio);
        println!(
            "timeout {idle} s a session: best fixed {seconds} s, {best} packets; adaptive {taken} packets, {:.3} times",
            taken as f64 / best as f64
        );
        assert_eq!(lost(&trio), 0, "{idle}");
        assert!(taken * 4 <= best * 5, "timeout {idle} s: {taken} packets against {best}");
        let below = |measured: u64| measured < idle && idle < measured + 4;
        assert!([trio.net.a, trio.net.b].into_iter().all(|host| measured(&trio, host).is_some_and(below)));
    }
}

/// The refreshes of the registration keep a mapping that is timed as a whole, if they come often enough, so
/// they count here.
// [R-KEEP-011] [R-KEEP-017]
#[test]
fn an_adaptive_keepalive_finds_out_where_the_registration_keeps_the_path() {
    for idle in TIMEOUTS {
        let plan = plan(idle, TimerScope::Mapping);
        let all = |trio: &Trio| trio.world.trace().sent_in(RealmId::INTERNET).count();
        let fixed = (idle - 2..=idle).chain([119, 120]).filter_map(|seconds| {
            let mut trio = direct(&plan, fixed(seconds));
            trio.world.run_for(HOUR);
            (lost(&trio) == 0).then(|| (all(&trio), seconds))
        });
        let (best, seconds) = fixed.min().expect("some interval keeps the path");
        for refresh in [Refresh::Outbound, Refresh::Inbound, Refresh::Both] {
            let mut plan = plan;
            plan.nat_a.refresh = refresh;
            let mut trio = direct(&plan, |_| {});
            trio.world.run_for(HOUR);
            let (taken, own) = (all(&trio), packets(&trio));
            println!(
                "timeout {idle} s a mapping, {refresh:?}: best fixed {seconds} s, {best} packets with refreshes; \
                 adaptive {taken}, {own} of them its own, {:.3} times",
                taken as f64 / best as f64
            );
            assert_eq!(lost(&trio), 0, "{idle}");
            assert!(taken * 4 <= best * 5, "timeout {idle} s: {taken} packets against {best}");
        }
    }
}

/// A NAT that filters by address lets the server's other port in because of the refreshes, and forgets the
/// path all the same: nothing is concluded there.
// [R-KEEP-017]
#[test]
fn a_nat_that_lets_the_servers_other_port_in_is_not_taken_for_one_that_keeps_paths() {
    for filtering in [Dependence::AddressDependent, Dependence::EndpointIndependent] {
        for idle in [30, 60] {
            let mut plan = plan(idle, TimerScope::Session);
            for nat in [&mut plan.nat_a, &mut plan.nat_b] {
                nat.filtering = filtering;
            }
            let mut trio = direct(&plan, |_| {});
            trio.world.run_for(HOUR);
            assert_eq!(lost(&trio), 0, "{filtering:?}, {idle} s");
            let taken = packets(&trio);
            assert!(taken > 3_600 * 2 / idle as usize, "{filtering:?}, {idle} s: kept below its timeout, {taken}");
        }
    }
}

/// Sides that differ: the one whose NAT forgets sooner sends, for both.
#[test]
fn the_side_with_the_shorter_timeout_keeps_the_path_for_both() {
    for (a, b) in [(30, 120), (120, 30)] {
        let mut plan = plan(a, TimerScope::Session);
        plan.nat_b.udp_idle = Duration::from_secs(b);
        let mut trio = direct(&plan, |_| {});
        trio.world.run_for(HOUR);
        assert_eq!(lost(&trio), 0);
        assert_eq!((measured(&trio, trio.net.a), measured(&trio, trio.net.b)), (Some(a - 2), Some(b - 2)));
        let (_, both) = best_fixed(&self::plan(30, TimerScope::Session), 28..=30);
        assert!(packets(&trio) * 4 <= both * 5);
    }
}

// [R-KEEP-012]
#[test]
fn a_nat_that_begins_to_forget_sooner_lowers_the_interval() {
    let mut trio = direct(&plan(120, TimerScope::Session), |_| {});
    trio.world.run_for(Duration::from_secs(600));
    assert_eq!(lost(&trio), 0);
    for nat in [trio.net.nat_a, trio.net.nat_b].into_iter().flatten() {
        let mut behaviour = *trio.world.nat(nat).behaviour();
        behaviour.udp_idle = Duration::from_secs(60);
        trio.world.set_behaviour(nat, behaviour);
    }
    trio.world.run_for(Duration::from_secs(600));
    let safe = [measured(&trio, trio.net.a), measured(&trio, trio.net.b)];
    assert!(safe.contains(&Some(57)), "the side that sends learned it: {safe:?}");
    // From here on it costs what it costs behind a NAT that was like that all along.
    trio.world.trace_mut().clear();
    let before = lost(&trio);
    trio.world.run_for(HOUR);
    assert_eq!(lost(&trio), before);
    assert!((120..=140).contains(&packets(&trio)), "{}", packets(&trio));
}

// [R-KEEP-012]
#[test]
fn what_was_measured_is_forgotten_on_another_network() {
    let mut trio = direct(&plan(120, TimerScope::Session), |_| {});
    trio.world.run_for(Duration::from_secs(200));
    assert_eq!(measured(&trio, trio.net.a), Some(118));
    let mut behaviour = Behaviour::port_restricted();
    behaviour.udp_idle = Duration::from_secs(30);
    behaviour.timer = TimerScope::Session;
    let cafe = trio.world.add_nat(&NatPlan {
        name: "cafe",
        outside: RealmId::INTERNET,
        address: "192.0.2.30".parse().expect("an address"),
        network: Interface { address: "172.16.0.1".parse().expect("an address"), prefix: 24 },
        behaviour,
        line: trio_line(),
    });
    let inside = trio.world.inside(cafe);
    trio.world.move_host(trio.net.a, inside, &["172.16.0.2".parse().expect("an address")]);
    assert_eq!(measured(&trio, trio.net.a), None);
    trio.world.run_for(Duration::from_secs(300));
    assert_eq!(measured(&trio, trio.net.a), Some(28));
}

/// F-12: "one side's packets do not hold the other side's session". A sends, B only listens.
#[test]
fn packets_of_one_side_do_not_hold_the_session_of_the_other() {
    let mut world = World::new(1);
    let net = topology::two_nats(&mut world, &plan(20, TimerScope::Session));
    crate::draft::register_both(&mut world, &net);
    let to_b = || Do::Send(1, at("138.76.29.7:31000"), b"a".to_vec());
    tell(&mut world, net.b, Do::Send(1, at("155.99.25.11:62000"), b"b".to_vec()));
    world.run_for(Duration::from_secs(1));
    let mut arrived = Vec::new();
    for _ in 0..8 {
        let before = heard(&world, net.b).len();
        tell(&mut world, net.a, to_b());
        world.run_for(Duration::from_secs(5));
        arrived.push(heard(&world, net.b).len() > before);
    }
    assert_eq!(arrived, [true, true, true, true, false, false, false, false]);
    let (_, receipt) = world.trace().receipts().last().expect("NAT B decided");
    assert_eq!(receipt.decision, Decision::Dropped(DropRule::NoMapping));
    // B's own packet opens it again.
    tell(&mut world, net.b, Do::Send(1, at("155.99.25.11:62000"), b"b".to_vec()));
    world.run_for(Duration::from_secs(1));
    let before = heard(&world, net.a).len();
    assert!(before > 0);
}

fn trio_line() -> Line {
    Plan::default().line_a
}

fn measured(trio: &Trio, host: HostId) -> Option<u64> {
    let peer: &Peer = trio.world.engine(host);
    peer.snapshot().bindings.iter().find_map(|binding| binding.idle)
}
