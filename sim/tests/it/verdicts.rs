//! Why a session is not direct: every verdict somewhere, and never one that is proved and wrong.

use pinhole_proto::peer::{Certainty, CloseReason, PathKind, PeerConfig, PeerEvent, RelayPolicy, StrategySet};
use pinhole_proto::wire::code::{Strategy, Verdict};
use pinhole_proto::{Duration, Endpoint, Transport};
use pinhole_sim::nat::{FreshPort, Kind};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, Dependence, Effect, Fault, Hairpin, HostId, Pick, Place, Topology, World};

type Build = fn(&mut World, &Plan) -> Topology;

/// What A was told, in order: verdicts with their certainty, and `None` for one that was taken back.
fn told(trio: &Trio, host: HostId) -> Vec<Option<(Verdict, Certainty)>> {
    let events = trio.said(host).iter().filter_map(|(_, said)| match said.event {
        PeerEvent::NotDirect { verdict, certainty, .. } => Some(Some((verdict, certainty))),
        PeerEvent::Withdrawn { .. } => Some(None),
        _ => None,
    });
    events.collect()
}

fn meet(seed: u64, plan: &Plan, build: Build, transport: Option<Transport>, adjust: impl Fn(&mut PeerConfig)) -> Trio {
    run(Trio::new(seed, plan, build, adjust), transport)
}

fn run(mut trio: Trio, transport: Option<Transport>) -> Trio {
    trio.register();
    trio.connect(transport).expect("there is room");
    trio.world.run_for(Duration::from_secs(60));
    trio
}

/// The same where nothing passes between the two NATs but by way of the server.
fn severed(seed: u64, plan: &Plan, transport: Option<Transport>, adjust: impl Fn(&mut PeerConfig)) -> Trio {
    let mut trio = Trio::new(seed, plan, topology::two_nats, adjust);
    for (from, to) in [("NAT A", "NAT B"), ("NAT B", "NAT A")] {
        drop_all(&mut trio, Pick { from: Some(from.into()), to: Some(to.into()), ..Pick::default() });
    }
    run(trio, transport)
}

fn drop_all(trio: &mut Trio, pick: Pick) {
    let fault = Fault { pick, skip: 0, count: u32::MAX, effect: Effect::Drop };
    trio.world.add_fault(fault).expect("there is room");
}

fn last(trio: &Trio) -> Option<(Verdict, Certainty)> {
    told(trio, trio.net.a).into_iter().next_back().flatten()
}

fn between(a: Behaviour, b: Behaviour) -> Plan {
    Plan { nat_a: a, nat_b: b, ..Plan::default() }
}

#[test]
fn every_verdict_has_a_world_that_ends_with_it() {
    let udp = Some(Transport::Udp);
    let cone = Behaviour::port_restricted();
    let plain = |config: &mut PeerConfig| config.tcp = false;
    // Both map by address and port, and nobody takes samples.
    let unsampled = |config: &mut PeerConfig| config.strategies = StrategySet::NONE.with(Strategy::PLAIN);
    let both = between(Behaviour::symmetric(), Behaviour::symmetric());
    let trio = meet(1, &both, topology::two_nats, Some(Transport::Tcp), unsampled);
    assert_eq!(last(&trio), Some((Verdict::BOTH_ENDPOINT_DEPENDENT, Certainty::Proved)));
    let one = between(cone, Behaviour::symmetric());
    let trio = meet(2, &one, topology::two_nats, Some(Transport::Tcp), unsampled);
    assert_eq!(last(&trio), Some((Verdict::ENDPOINT_DEPENDENT, Certainty::Consistent)));
    let trio = meet(3, &one, topology::two_nats, udp, plain);
    assert_eq!(last(&trio), Some((Verdict::RANDOM_ALLOCATION, Certainty::Consistent)));
    let trio = meet(4, &Plan { outer: cone, ..Plan::default() }, topology::two_levels, udp, plain);
    assert_eq!(last(&trio), Some((Verdict::NO_HAIRPIN, Certainty::Consistent)));
    let trio = meet(5, &Plan::default(), topology::two_nats, udp, |config| config.relay = RelayPolicy::Only);
    assert_eq!(last(&trio), Some((Verdict::RELAY_ONLY, Certainty::Proved)));
    // Only B, whose secret is the second: it tells no endpoint.
    let trio = meet(6, &Plan::default(), topology::two_nats, udp, |config| {
        if config.secret == [0xb2; 32] {
            config.relay = RelayPolicy::Only;
        }
    });
    assert_eq!(last(&trio), Some((Verdict::NO_CANDIDATES, Certainty::Proved)));
    let trio = severed(7, &Plan::default(), udp, plain);
    assert_eq!(last(&trio), Some((Verdict::FILTERED, Certainty::Consistent)));
    let blocked = Behaviour { block_udp: true, ..cone };
    let trio = severed(8, &between(blocked, blocked), None, |_| ());
    assert_eq!(last(&trio), Some((Verdict::UDP_BLOCKED, Certainty::Consistent)));
    let sequential = between(Behaviour::symmetric_sequential(62_000), Behaviour::symmetric_sequential(31_000));
    let trio = severed(9, &sequential, udp, plain);
    assert_eq!(last(&trio), Some((Verdict::PREDICTED_PORTS_MISSED, Certainty::Consistent)));
    let trio = severed(10, &one, udp, |config| (config.tcp, config.birthday) = (false, true));
    assert_eq!(last(&trio), Some((Verdict::BIRTHDAY_MISSED, Certainty::Consistent)));
    // The server's other endpoints do not answer, so that nothing is measured.
    let mut trio = Trio::new(11, &one, topology::two_nats, plain);
    for alternate in [Endpoint::new(topology::SERVER, 1235), Endpoint::new(topology::SERVER_ALTERNATE, 1234)] {
        drop_all(&mut trio, Pick::to(alternate));
    }
    assert_eq!(last(&run(trio, udp)), Some((Verdict::UNKNOWN, Certainty::Unknown)));
    // B is registered and gone.
    let mut trio = Trio::new(12, &Plan::default(), topology::two_nats, plain);
    trio.register();
    trio.world.cut(Place::Host(trio.net.b));
    let trio = run(trio, udp);
    let closed = trio.said(trio.net.a).iter().find_map(|(_, said)| match said.event {
        PeerEvent::Closed { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(closed, Some(CloseReason::NoPath(Verdict::PEER_SILENT)));
}

#[test]
fn a_session_that_becomes_direct_takes_its_verdict_back() {
    // Ports one after the other are met by the second attempt, after the first failed with a verdict.
    let plan = between(Behaviour::symmetric_sequential(62_000), Behaviour::symmetric_sequential(31_000));
    let trio = meet(9, &plan, topology::two_nats, Some(Transport::Udp), |config| config.tcp = false);
    assert!(trio.is_direct(trio.net.a));
    let told = told(&trio, trio.net.a);
    assert_eq!(told.first(), Some(&Some((Verdict::BOTH_ENDPOINT_DEPENDENT, Certainty::Proved))));
    assert_eq!(told.last(), Some(&None), "{told:?}");
}

// [R-PUNCH-032]
#[test]
fn a_verdict_is_told_once_however_many_attempts_end_with_it() {
    let plan = between(Behaviour::symmetric(), Behaviour::symmetric());
    let mut trio = meet(13, &plan, topology::two_nats, Some(Transport::Udp), |config| {
        config.tcp = false;
        config.strategies = StrategySet::NONE.with(Strategy::PLAIN);
    });
    let attempts = |trio: &Trio| {
        let said = trio.said(trio.net.a).iter();
        said.filter(|(_, said)| matches!(said.event, PeerEvent::Attempt { .. })).count()
    };
    let before = attempts(&trio);
    for _ in 0..3 {
        // The way through the server comes back, which is a reason for another attempt.
        trio.world.cut(Place::Host(trio.net.server));
        trio.world.run_for(Duration::from_secs(20));
        trio.world.mend(Place::Host(trio.net.server));
        trio.world.run_for(Duration::from_secs(20));
    }
    assert!(attempts(&trio) > before, "{before}");
    for host in [trio.net.a, trio.net.b] {
        let told = told(&trio, host);
        assert!(told.len() == 1 && told[0].is_some(), "{told:?}");
    }
}

/// Whether a statement is true of a world.
fn holds(verdict: Verdict, plan: &Plan, transport: Transport, only: (bool, bool)) -> bool {
    let dependent = |nat: &Behaviour| nat.mapping_of(transport) != Kind::EndpointIndependent;
    match verdict {
        Verdict::RELAY_ONLY => only.0,
        Verdict::NO_CANDIDATES => only.1,
        Verdict::BOTH_ENDPOINT_DEPENDENT => dependent(&plan.nat_a) && dependent(&plan.nat_b),
        _ => false,
    }
}

#[test]
fn a_verdict_that_is_proved_is_true_of_its_world() {
    let (mut proved, mut relayed, mut direct) = (0, 0, 0);
    for seed in 0..160u64 {
        let dice = |salt: u64, of: u64| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (7 * salt)) % of;
        let nat = |salt: u64| {
            let behaviour = Behaviour::default()
                .with_mapping(Dependence::ALL[dice(salt, 3) as usize])
                .with_filtering(Dependence::ALL[dice(salt + 1, 3) as usize])
                .with_hairpin(Hairpin::ALL[dice(salt + 2, 3) as usize]);
            Behaviour { fresh_port: FreshPort::ALL[dice(salt + 3, 2) as usize], ..behaviour }
        };
        let plan = between(nat(0), nat(4));
        let transport = [Transport::Udp, Transport::Tcp][dice(8, 2) as usize];
        let only = (dice(1, 11) == 0, dice(2, 11) == 0);
        let trio = meet(seed, &plan, topology::two_nats, Some(transport), |config| {
            let is_only = if config.secret == [0xb2; 32] { only.1 } else { only.0 };
            if is_only {
                config.relay = RelayPolicy::Only;
            }
        });
        let told = told(&trio, trio.net.a);
        for (verdict, certainty) in told.iter().flatten() {
            if *certainty == Certainty::Proved {
                proved += 1;
                assert!(holds(*verdict, &plan, transport, only), "{} of {plan:?}", verdict.name());
            }
        }
        let is_direct = trio.selected(trio.net.a).is_some_and(|path| path.kind != PathKind::Relayed);
        // In the end there is a verdict or a direct path, and never both.
        assert_eq!(told.last().copied().flatten().is_none(), is_direct, "{told:?} of {plan:?} over {transport:?}");
        *if is_direct { &mut direct } else { &mut relayed } += 1;
    }
    assert!(proved > 20 && direct > 40 && relayed > 40, "{proved} proved, {direct} direct, {relayed} relayed");
}
