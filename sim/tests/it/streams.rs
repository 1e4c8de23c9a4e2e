//! Strategies for streams, each alone, where a SYN that comes too early is answered with a reset.

use pinhole_proto::peer::{PeerEvent, StrategySet};
use pinhole_proto::wire::code::Strategy;
use pinhole_proto::{Duration, Transport};
use pinhole_sim::nat::{OnReset, Unsolicited};
use pinhole_sim::packet::Flags;
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::trace::{Record, What};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Effect, Fault, PacketKind, Pick};

/// How a NAT takes a SYN that matches nothing, and a reset.
const NATS: [(&str, Unsolicited, OnReset); 3] = [
    ("drops", Unsolicited::Drop, OnReset::Keep),
    ("resets and keeps", Unsolicited::Reset, OnReset::Keep),
    ("resets and forgets", Unsolicited::Reset, OnReset::Forget),
];

/// So late, in milliseconds, that the first side has dialled for the last time.
///
/// Where one begins less late, chance decides: each waits a little more or less after a reset, and they may come to
/// dial at one time.
const LATE: u64 = 4_000;

/// A session over TCP of which B hears `late` after A; whether it became direct, and by which strategy.
fn session(nat: (&str, Unsolicited, OnReset), allowed: StrategySet, late: u64, seed: u64) -> (bool, Vec<Strategy>) {
    let mut plan = Plan::default();
    for behaviour in [&mut plan.nat_a, &mut plan.nat_b] {
        behaviour.unsolicited_syn = nat.1;
        behaviour.reset = nat.2;
    }
    let mut trio = Trio::new(seed, &plan, topology::two_nats, |config| {
        config.udp = false;
        config.strategies = allowed;
    });
    assert!(trio.register());
    if late > 0 {
        let pick =
            Pick { kind: Some(PacketKind::Tcp), from: Some("S".into()), to: Some("NAT B".into()), ..Pick::default() };
        let fault = Fault { pick, skip: 0, count: 4, effect: Effect::Delay { ms: late } };
        trio.world.add_fault(fault).expect("there is room");
    }
    trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    let hosts = [trio.net.a, trio.net.b];
    for _ in 0..60 {
        trio.world.run_for(Duration::from_secs(1));
        if hosts.iter().all(|host| trio.is_direct(*host)) {
            break;
        }
    }
    let tried = trio.said(trio.net.a).iter().filter_map(|(_, said)| match said.event {
        PeerEvent::Attempt { strategy, .. } => Some(strategy),
        _ => None,
    });
    (hosts.iter().all(|host| trio.is_direct(*host)), tried.collect())
}

/// What each strategy can do, derived by hand: a reset comes where a SYN arrives before the other side's, and
/// undoes what the sender opened where its NAT forgets.
// [R-TCP-003] [R-TCP-012] [R-TCP-013]
#[test]
fn each_strategy_alone_reaches_through_what_it_is_for() {
    let mut wrong = Vec::new();
    for strategy in [Strategy::PLAIN, Strategy::LOW_TTL, Strategy::TCP_SEQUENTIAL_KEEP] {
        for nat in NATS {
            for late in [0, LATE] {
                let forgets = nat.2 == OnReset::Forget;
                let expected = match strategy {
                    // Nobody dials at the same time as the other, and each reset undoes what was opened. What comes
                    // of the next attempt, in which both begin within one way, is up to chance.
                    Strategy::PLAIN if forgets && late > 0 => false,
                    Strategy::PLAIN | Strategy::LOW_TTL => true,
                    // The first side's SYN always comes too early.
                    _ => !forgets,
                };
                let (direct, tried) = session(nat, StrategySet::NONE.with(strategy), late, 1);
                let direct = direct && (strategy != Strategy::PLAIN || tried.is_empty());
                let others = tried.iter().any(|tried| *tried != strategy);
                if direct != expected || others {
                    wrong.push(format!("{} {nat:?} {late} ms: direct {direct}, {tried:?}", strategy.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where both NATs refuse and forget, only SYNs that cross on the way get through. Sides that waited equally long
/// after each reset would miss each other by as much every time, in the next attempt, too.
// [R-TCP-004]
#[test]
fn sides_that_begin_apart_may_come_to_dial_at_one_time() {
    let allowed = StrategySet::NONE.with(Strategy::PLAIN);
    let sessions = (0..20).map(|seed| session(NATS[2], allowed, 150, seed).0);
    let direct = sessions.filter(|direct| *direct).count();
    assert!(direct >= 12, "{direct} of 20");
}

/// With all of them the plain attempt that missed is followed by one that does not.
#[test]
fn a_session_that_a_reset_defeats_is_direct_by_a_low_ttl() {
    for nat in NATS {
        for late in [0, LATE] {
            let (direct, tried) = session(nat, StrategySet::ALL, late, 1);
            assert!(direct, "{nat:?} {late} ms: {tried:?}");
            let defeated = nat.2 == OnReset::Forget && late > 0;
            let expected = if defeated { vec![Strategy::LOW_TTL] } else { Vec::new() };
            assert_eq!(tried, expected, "{nat:?} {late} ms");
        }
    }
}

/// A SYN that dies on the way is no failure of its candidate, whether a router says so or not, and the
/// budget counts it.
// [R-TCP-012] [R-PUNCH-015]
#[test]
fn a_syn_that_dies_on_the_way_opens_the_near_nat_alone() {
    let mut plan = Plan::default();
    plan.nat_a.unsolicited_syn = Unsolicited::Reset;
    plan.nat_b.unsolicited_syn = Unsolicited::Reset;
    let mut trio = Trio::new(1, &plan, topology::two_nats, |config| {
        config.udp = false;
        config.strategies = StrategySet::NONE.with(Strategy::LOW_TTL);
    });
    assert!(trio.register());
    trio.world.trace_mut().clear();
    trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(20));
    assert!(trio.is_direct(trio.net.a), "{}", trio.world.trace().ladder());
    let records = trio.world.trace().records();
    let punched = |record: &&Record| {
        let flags = record.packet.flags();
        let server = [record.packet.source, record.packet.destination].map(|end| end.address() == topology::SERVER);
        !server.contains(&true) && flags.is_some_and(Flags::opens)
    };
    let died = records.iter().filter(punched).filter(|record| record.what == What::TtlExpired).count();
    assert_eq!(died, 2, "one SYN of each side dies in the internet");
    let resets = records.iter().filter(|record| record.packet.flags().is_some_and(|flags| flags.rst)).count();
    assert_eq!(resets, 0, "nothing came too early\n{}", trio.world.trace().ladder());
}
