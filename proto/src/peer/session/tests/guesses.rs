use alloc::vec::Vec;

use super::{Scene, endpoint};
use crate::constants::{
    BIRTHDAY_CATCH_UP, BIRTHDAY_INTERVAL, BIRTHDAY_PORTS, BIRTHDAY_SOCKETS, BIRTHDAY_SPAN, MAX_SHOTS, MAX_THROW_AWAY,
    MAX_WINDOW,
};
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::peer::core::Timer;
use crate::peer::session::Told;
use crate::time::{Duration, Instant};
use crate::wire::List;
use crate::wire::code::{Allocation, Mapping, Strategy};
use crate::wire::control::{Attempt as Proposal, Attempted, Forecast};

const OTHER: &str = "138.76.29.7:31000";
const VICTIM: &str = "203.0.113.1:80";

fn proposal(strategy: Strategy, at: &str, width: u16) -> Proposal {
    let forecast = Forecast { allocation: Allocation::SEQUENTIAL, endpoint: endpoint(at), step: 1 };
    let mapping = Mapping::ADDRESS_AND_PORT_DEPENDENT;
    let candidates = List::from_first([endpoint(OTHER)]);
    Proposal { number: 2, strategy, delay: 0, width, mapping, candidates, forecast: Some(forecast) }
}

/// A session of which the server told [`OTHER`], behind a NAT with a stable mapping.
fn scene(birthday: bool) -> Scene {
    let mut scene = Scene::new(false);
    scene.core.config.birthday = birthday;
    scene.leg.pretend(endpoint("155.99.25.11:62000"), Mapping::ENDPOINT_INDEPENDENT);
    scene.session.add_candidates(&mut scene.core, &scene.leg, &[endpoint(OTHER)], Told::Server);
    scene
}

fn answer(scene: &mut Scene, proposal: &Proposal) -> Attempted {
    let answer = scene.session.on_proposal(&mut scene.core, &mut scene.leg, (7, None), proposal);
    answer.expect("a stable side needs no samples")
}

/// Lets the attempt run to its end; what was sent, with the time of each packet.
fn run(scene: &mut Scene) -> Vec<(Instant, Endpoint)> {
    run_late(scene, |_| Duration::ZERO)
}

/// The same, and the driver comes late for each timer.
fn run_late(scene: &mut Scene, late: impl Fn(Instant) -> Duration) -> Vec<(Instant, Endpoint)> {
    let mut all = Vec::new();
    let end = scene.core.now + Duration::from_secs(8);
    loop {
        let now = scene.core.now;
        all.extend(scene.sent().into_iter().map(|(_, remote, _)| (now, remote)));
        match scene.core.timers.next().filter(|next| *next <= end) {
            None => return all,
            Some(next) => {
                if next > scene.core.now {
                    scene.core.now = next + late(next);
                }
                let Some(timer) = scene.core.timers.pop(scene.core.now) else { return all };
                if matches!(timer, Timer::Punch(_) | Timer::Attempt(_)) {
                    scene.session.on_timer(&mut scene.core, &mut scene.leg, timer);
                }
            }
        }
    }
}

// [R-PRED-005] [R-PRED-012]
#[test]
fn a_peer_that_forecasts_a_bystander_is_refused_and_nothing_is_sent_there() {
    for victim in [VICTIM, "18.181.0.31:1", "127.0.0.1:7", "10.0.0.1:1234", "138.76.29.7:0"] {
        let mut scene = scene(true);
        for strategy in [Strategy::PREDICTED, Strategy::BIRTHDAY, Strategy::LOW_TTL] {
            assert!(!answer(&mut scene, &proposal(strategy, victim, 64)).accepted, "{victim}");
        }
        let address = endpoint(victim).address();
        assert!(run(&mut scene).iter().all(|(_, remote)| remote.address() != address), "{victim}");
        assert_eq!(scene.session.spent().shots, 0);
    }
    // The same from its answer to a proposal of this side.
    let mut scene = scene(true);
    scene.session.remote_mapping = Mapping::ADDRESS_AND_PORT_DEPENDENT;
    scene.session.proposals.tries.count(Strategy::PLAIN);
    scene.session.propose(&mut scene.core, &mut scene.leg);
    let asked =
        Proposal { number: 1, mapping: Mapping::ENDPOINT_INDEPENDENT, ..proposal(Strategy::PREDICTED, OTHER, 1) };
    let theirs = proposal(Strategy::PREDICTED, VICTIM, 1);
    let answer = Attempted {
        accepted: true,
        width: 1,
        mapping: theirs.mapping,
        candidates: List::default(),
        forecast: theirs.forecast,
    };
    scene.session.on_attempted(&mut scene.core, &mut scene.leg, &asked, &answer);
    assert!(run(&mut scene).iter().all(|(_, remote)| *remote != endpoint(VICTIM)));
    assert_eq!(scene.session.spent().shots, 0);
}

// [R-PRED-004]
#[test]
fn a_width_beyond_the_bound_is_answered_with_the_bound() {
    let mut scene = scene(false);
    let answer = answer(&mut scene, &proposal(Strategy::PREDICTED, OTHER, 60_000));
    assert!(answer.accepted);
    assert_eq!(answer.width, MAX_WINDOW);
    let sent = run(&mut scene);
    let ports: alloc::collections::BTreeSet<u16> = sent.iter().map(|(_, remote)| remote.port()).collect();
    assert_eq!(ports, (31_000..31_064).collect());
}

// [R-PRED-009] [R-PUNCH-013]
#[test]
fn the_birthday_needs_this_side_s_wish_and_one_stable_mapping() {
    assert!(!answer(&mut scene(false), &proposal(Strategy::BIRTHDAY, OTHER, 100)).accepted);
    assert!(answer(&mut scene(true), &proposal(Strategy::BIRTHDAY, OTHER, 100)).accepted);
    let stable = Proposal { mapping: Mapping::ENDPOINT_INDEPENDENT, ..proposal(Strategy::BIRTHDAY, OTHER, 100) };
    assert!(!answer(&mut scene(true), &stable).accepted);
}

// [R-PRED-006] [R-PRED-010] [R-PRED-011]
#[test]
fn the_birthday_s_shots_are_bounded_paced_and_never_at_one_port_twice() {
    let mut scene = scene(true);
    let mut all = Vec::new();
    for number in 2..5 {
        let proposal = Proposal { number, ..proposal(Strategy::BIRTHDAY, OTHER, u16::MAX) };
        assert_eq!(answer(&mut scene, &proposal).width, BIRTHDAY_PORTS);
        let sent = run(&mut scene);
        assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= BIRTHDAY_INTERVAL));
        assert!(sent.len() <= usize::from(BIRTHDAY_PORTS));
        all.extend(sent);
    }
    assert_eq!(all.len(), MAX_SHOTS as usize, "of a minute, all attempts together");
    assert!(all.iter().all(|(_, remote)| remote.address() == endpoint(OTHER).address()));
    let ports: alloc::collections::BTreeSet<u16> = all.iter().map(|(_, remote)| remote.port()).collect();
    assert_eq!(ports.len(), all.len());
}

// [R-PRED-011] [R-PRED-015]
#[test]
fn a_late_driver_gets_the_birthday_done_in_its_time_and_one_that_stood_still_gives_up_the_rest() {
    let shots = |late: &dyn Fn(Instant) -> Duration| {
        let mut scene = scene(true);
        let begin = scene.core.now;
        assert!(answer(&mut scene, &proposal(Strategy::BIRTHDAY, OTHER, BIRTHDAY_PORTS)).accepted);
        let sent = run_late(&mut scene, late);
        assert!(sent.iter().all(|(at, _)| *at - begin <= BIRTHDAY_SPAN));
        // The one that was late, those that it made up for, and the one that was just due.
        let most = BIRTHDAY_CATCH_UP.as_micros() / BIRTHDAY_INTERVAL.as_micros() + 2;
        for (at, _) in &sent {
            assert!(sent.iter().filter(|(other, _)| other == at).count() <= most as usize);
        }
        sent.len()
    };
    assert_eq!(shots(&|_| BIRTHDAY_INTERVAL / 2), usize::from(BIRTHDAY_PORTS));
    assert_eq!(shots(&|_| BIRTHDAY_INTERVAL * 3), usize::from(BIRTHDAY_PORTS));
    let stopped = Instant::from_micros(2_000_000);
    let still = shots(&|at| {
        if (stopped..stopped + BIRTHDAY_INTERVAL).contains(&at) { BIRTHDAY_SPAN / 2 } else { Duration::ZERO }
    });
    assert!((400..800).contains(&still), "{still}");
}

// [R-PRED-008] [R-PRED-007]
#[test]
fn sockets_for_guesses_are_bounded_over_all_sessions() {
    let mut scene = scene(true);
    let other = crate::peer::api::SessionHandle(9);
    let family = endpoint(OTHER).family();
    while scene.core.ports.len() <= MAX_THROW_AWAY - usize::from(BIRTHDAY_SOCKETS) {
        scene.core.open_for(other, Transport::Udp, family);
    }
    assert!(answer(&mut scene, &Proposal { number: 2, ..proposal(Strategy::PREDICTED, OTHER, 1) }).accepted);
    scene.core.open_for(other, Transport::Udp, family);
    assert!(!answer(&mut scene, &Proposal { number: 3, ..proposal(Strategy::PREDICTED, OTHER, 1) }).accepted);
    scene.core.shut_owned(other, |_| true);
    assert!(answer(&mut scene, &Proposal { number: 3, ..proposal(Strategy::PREDICTED, OTHER, 1) }).accepted);
}

// [R-PUNCH-028]
#[test]
fn of_two_proposals_that_cross_the_initiator_s_counts() {
    for initiator in [true, false] {
        let mut scene = Scene::new(initiator);
        scene.leg.pretend(endpoint("155.99.25.11:62000"), Mapping::ENDPOINT_INDEPENDENT);
        scene.session.add_candidates(&mut scene.core, &scene.leg, &[endpoint(OTHER)], Told::Server);
        scene.session.remote_mapping = Mapping::ADDRESS_AND_PORT_DEPENDENT;
        scene.session.proposals.tries.count(Strategy::PLAIN);
        scene.session.propose(&mut scene.core, &mut scene.leg);
        assert_eq!(scene.session.attempt.name(), "proposed");
        let crossed = Proposal { number: 1, ..proposal(Strategy::PREDICTED, OTHER, 1) };
        assert_eq!(answer(&mut scene, &crossed).accepted, !initiator);
        assert_eq!(scene.session.attempt.name(), if initiator { "proposed" } else { "running" });
    }
}

/// The same over TCP.
fn streams(initiator: bool) -> Scene {
    let mut scene = Scene::over(Transport::Tcp, initiator);
    scene.leg.pretend(endpoint("155.99.25.11:62000"), Mapping::ENDPOINT_INDEPENDENT);
    scene.session.add_candidates(&mut scene.core, &scene.leg, &[endpoint(OTHER)], Told::Server);
    scene
}

// [R-PRED-014] [R-PRED-013] [R-PRED-006]
#[test]
fn over_tcp_the_width_is_bounded_and_who_accepts_dials_when_the_answer_has_arrived() {
    let mut scene = streams(false);
    let proposal = Proposal { delay: 120, ..proposal(Strategy::TCP_PREDICTED, OTHER, 60_000) };
    assert_eq!(answer(&mut scene, &proposal).width, 8);
    assert_eq!(scene.dialled(), []);
    let begin = scene.core.now;
    let next = scene.core.timers.pop(begin + Duration::from_secs(1));
    assert!(matches!(next, Some(Timer::Dial(_))), "{next:?}");
    scene.core.now = begin + Duration::from_millis(119);
    scene.session.on_timer(&mut scene.core, &mut scene.leg, Timer::Dial(scene.session.handle));
    assert_eq!(scene.dialled(), []);
    scene.core.now = begin + Duration::from_millis(120);
    scene.session.on_timer(&mut scene.core, &mut scene.leg, Timer::Dial(scene.session.handle));
    let ports: Vec<u16> = scene.dialled().into_iter().map(Endpoint::port).collect();
    assert_eq!(ports, (31_000..31_008).collect::<Vec<u16>>());
    assert_eq!(scene.session.spent().shots, 8);
}

// [R-PRED-005] [R-PRED-012]
#[test]
fn over_tcp_a_bystander_is_not_dialled_either() {
    for strategy in [Strategy::TCP_PREDICTED, Strategy::TCP_SEQUENTIAL_CLOSE] {
        for victim in [VICTIM, "18.181.0.31:1", "127.0.0.1:7", "10.0.0.1:1234", "138.76.29.7:0"] {
            let mut scene = streams(false);
            assert!(!answer(&mut scene, &proposal(strategy, victim, 8)).accepted, "{victim}");
            run(&mut scene);
            assert_eq!(scene.dialled(), []);
        }
    }
    // Over UDP neither is known.
    for strategy in [Strategy::TCP_PREDICTED, Strategy::TCP_SEQUENTIAL_CLOSE] {
        assert!(!answer(&mut scene(true), &proposal(strategy, OTHER, 8)).accepted);
    }
}
