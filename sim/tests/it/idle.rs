//! How long a check finds a mapping to live, against the NAT's own timeouts.

use pinhole_proto::netcheck::{IdleTimeout, NatReport, NetCheckConfig, Outcome, Probe, Remnant, Report};
use pinhole_proto::peer::Certainty;
use pinhole_proto::{Duration, Endpoint};
use pinhole_sim::nat::{Dependence, Refresh, TimerScope};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::{Behaviour, Chance, Line, World, profile};

use crate::netcheck::{begin_as, report};

/// The report of a check from A, behind a NAT that behaves so, with silences up to this one; and how long it took.
fn check(seed: u64, plan: &Plan, longest: Duration) -> (Report, Duration) {
    let mut world = World::new(seed);
    let net = topology::two_nats(&mut world, plan);
    let server = Endpoint::new(topology::SERVER, 1234);
    let config = NetCheckConfig { server, udp: true, tcp: false, port: 0, longest_silence: Some(longest) };
    let host = begin_as(&mut world, net, &config);
    let begin = world.now();
    let report = report(&mut world, host);
    (report, world.now() - begin)
}

fn found(seed: u64, behaviour: Behaviour, longest: Duration) -> NatReport {
    check(seed, &Plan { nat_a: behaviour, ..Plan::default() }, longest).0.udp.expect("it was asked for")
}

fn with_idle(behaviour: Behaviour, seconds: u64) -> Behaviour {
    Behaviour { udp_idle: Duration::from_secs(seconds), ..behaviour }
}

fn bounds(report: &NatReport) -> (u64, u64) {
    let value = report.idle_timeout.value;
    let IdleTimeout { at_least_ms, at_most_ms } = value.unwrap_or_else(|| panic!("nothing measured: {report:#?}"));
    (at_least_ms, at_most_ms.expect("it has an end"))
}

type Shows = fn(Remnant) -> bool;

/// NATs of which the end of a mapping shows, each by something else.
fn telling() -> Vec<(Behaviour, Shows)> {
    let mapping: Shows = |remnant| matches!(remnant, Remnant::Mapping(_));
    let permission: Shows = |remnant| matches!(remnant, Remnant::Permission(_));
    let symmetric = Behaviour::symmetric();
    vec![
        (Behaviour::port_restricted(), permission),
        (Behaviour::address_restricted(), permission),
        (Behaviour { preserve_port: true, ..Behaviour::port_restricted() }, permission),
        (Behaviour { timer: TimerScope::Session, ..Behaviour::port_restricted() }, permission),
        (Behaviour::full_cone(), mapping),
        (symmetric, mapping),
        (Behaviour { preserve_port: true, ..symmetric }, mapping),
        (Behaviour::symmetric_sequential(62_000), mapping),
        (symmetric.with_mapping(Dependence::AddressDependent), mapping),
    ]
}

#[test]
fn the_bounds_hold_the_timeout_of_every_nat_whose_mappings_end_visibly() {
    let longest = Duration::from_secs(150);
    for (behaviour, shows) in telling() {
        for (seed, seconds) in [5, 20, 30, 60, 120].into_iter().enumerate() {
            let behaviour = with_idle(behaviour, seconds);
            let report = found(seed as u64, behaviour, longest);
            let (least, most) = bounds(&report);
            assert!((least..=most).contains(&(seconds * 1_000)), "{least} to {most} of {behaviour:?}");
            // A quarter from one silence to the next, and what it takes to ask and to be sure; the short ones are even.
            assert!(most < least * 5 / 4 + 3_500, "{least} to {most} of {behaviour:?}");
            assert_eq!(report.idle_timeout.certainty, Certainty::Proved, "{behaviour:?}");
            let evidence = report.idle_timeout.evidence.iter().map(|at| report.observations[*at]);
            assert!(evidence.clone().all(|o| matches!(o.probe, Probe::Silence { remnant, .. } if shows(remnant))));
            assert!(evidence.clone().any(|o| o.outcome == Outcome::Kept));
            assert_eq!(evidence.filter(|o| o.outcome == Outcome::Lost).count(), 2, "two tell as much as more");
        }
    }
}

#[test]
fn whichever_packets_refresh_a_mapping_the_bounds_hold() {
    for (seed, refresh) in [Refresh::Outbound, Refresh::Inbound, Refresh::Both].into_iter().enumerate() {
        for timer in [TimerScope::Mapping, TimerScope::Session] {
            let behaviour = with_idle(Behaviour { refresh, timer, ..Behaviour::port_restricted() }, 30);
            let line = Line::with_delay(Duration::from_millis(150));
            let plan = Plan { nat_a: behaviour, line_a: line, ..Plan::default() };
            let (report, _) = check(seed as u64, &plan, Duration::from_secs(60));
            let (least, most) = bounds(&report.udp.unwrap());
            assert!((least..=most).contains(&30_000), "{least} to {most} of {behaviour:?}");
        }
    }
}

/// Linux gives a mapping 30 s until it was used for two seconds.
#[test]
fn a_mapping_that_was_used_is_measured() {
    let unanswered = Some(Duration::from_secs(10));
    let behaviour = with_idle(Behaviour { udp_idle_unanswered: unanswered, ..Behaviour::port_restricted() }, 40);
    let (least, most) = bounds(&found(1, behaviour, Duration::from_secs(60)));
    assert!((least..=most).contains(&40_000), "{least} to {most}");
}

// [R-BEH-009]
#[test]
fn a_check_ends_in_the_time_it_was_given_and_earlier_where_all_is_known() {
    let plan = |seconds| Plan { nat_a: with_idle(Behaviour::port_restricted(), seconds), ..Plan::default() };
    // The rest of the check, and a talk of three seconds, and a question.
    let rest = Duration::from_secs(20);
    let (report, took) = check(1, &plan(300), Duration::from_secs(60));
    let idle = report.udp.unwrap().idle_timeout;
    let value = idle.value.unwrap();
    assert_eq!((value.at_most_ms, idle.certainty), (None, Certainty::Proved));
    assert!((59_900..=60_000).contains(&value.at_least_ms), "{value:?}");
    assert!(took < Duration::from_secs(60) + rest, "{took:?}");
    let (_, took) = check(2, &plan(20), Duration::from_secs(600));
    assert!(took < Duration::from_secs(20 * 25 / 16) + rest, "{took:?}");
    // What is asked for beyond the limit is not done.
    let (_, took) = check(3, &plan(10_000), Duration::from_secs(10_000));
    assert!(took < Duration::from_secs(600) + rest, "{took:?}");
}

#[test]
fn where_the_end_of_a_mapping_does_not_show_nothing_is_said_and_nobody_waits() {
    let preserving = Behaviour { preserve_port: true, ..Behaviour::full_cone() };
    let longest = Duration::from_secs(600);
    let (report, took) = check(1, &Plan { nat_a: preserving, ..Plan::default() }, longest);
    let idle = report.udp.unwrap().idle_timeout;
    assert_eq!((idle.value, idle.certainty), (None, Certainty::Unknown));
    assert!(took < Duration::from_secs(30), "{took:?}");
    // By an endpoint that stays the same nothing is proved.
    let idle = found(2, with_idle(Behaviour::full_cone(), 300), Duration::from_secs(10)).idle_timeout;
    assert_eq!((idle.value.unwrap().at_most_ms, idle.certainty), (None, Certainty::Consistent));
}

#[test]
fn the_profile_has_a_timeout_between_the_bounds_and_is_measured_alike() {
    let plan = |nat_a| Plan { nat_a, ..Plan::default() };
    for (seed, seconds) in [20, 30, 60, 120].into_iter().enumerate() {
        let measure = |nat_a| check(seed as u64, &plan(nat_a), Duration::from_secs(150)).0;
        let report = measure(with_idle(Behaviour::port_restricted().with_ports_from(20_000), seconds));
        let profiled = profile::behaviour(&report);
        let (least, most) = bounds(report.udp.as_ref().unwrap());
        assert!((least..=most).contains(&(profiled.udp_idle.as_millis() as u64)));
        assert_eq!(profile::behaviour(&measure(profiled)), profiled);
    }
    let (report, _) = check(1, &plan(with_idle(Behaviour::port_restricted(), 500)), Duration::from_secs(400));
    assert!(profile::behaviour(&report).udp_idle > Duration::from_millis(399_900));
}

#[test]
fn on_a_bad_line_no_bound_is_proved_that_does_not_hold() {
    let mut proved = 0;
    for seed in 0..40 {
        let (behaviour, _) = telling()[seed as usize % telling().len()];
        let behaviour = with_idle(behaviour, 30);
        let line = Line::with_delay(Duration::from_millis(25)).with_loss(Chance::percent(10));
        let (report, _) =
            check(seed, &Plan { nat_a: behaviour, line_a: line, ..Plan::default() }, Duration::from_secs(60));
        let idle = report.udp.unwrap().idle_timeout;
        let Some(value) = idle.value.filter(|_| idle.certainty == Certainty::Proved) else { continue };
        proved += 1;
        let held = value.at_least_ms <= 30_000 && value.at_most_ms.is_none_or(|most| most >= 30_000);
        assert!(held, "{value:?} of {behaviour:?}");
    }
    assert!(proved > 20, "{proved}");
}
