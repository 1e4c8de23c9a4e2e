use alloc::vec::Vec;

use super::{Scene, endpoint};
use crate::constants::{ATTEMPTS_PER_MINUTE, MAX_PROBES, MAX_UNNAMED};
use crate::endpoint::Endpoint;
use crate::peer::session::Told;
use crate::time::Duration;
use crate::wire::List;
use crate::wire::code::{Mapping, Strategy};
use crate::wire::control::Attempt as Proposal;

fn proposal(number: u16, strategy: Strategy, candidates: &[&str]) -> Proposal {
    let candidates = List::from_first(candidates.iter().map(|text| endpoint(text)));
    Proposal { number, strategy, delay: 0, width: 0, mapping: Mapping::UNKNOWN, candidates, forecast: None }
}

fn told(scene: &mut Scene, proposal: &Proposal) -> bool {
    let answer = scene.session.on_proposal(&mut scene.core, &mut scene.leg, (7, None), proposal);
    answer.is_some_and(|answer| answer.accepted)
}

// [R-PUNCH-013]
#[test]
fn an_old_number_and_an_unknown_strategy_are_refused() {
    let mut scene = Scene::new(false);
    scene.session.start_attempt(&mut scene.core, 3);
    assert!(!told(&mut scene, &proposal(2, Strategy::PLAIN, &["192.0.2.1:1"])));
    assert!(!told(&mut scene, &proposal(4, Strategy(77), &["192.0.2.1:1"])));
    assert!(!told(&mut scene, &proposal(4, Strategy(138), &["192.0.2.1:1"])));
    assert!(scene.sent().is_empty());
    assert_eq!(scene.session.attempt.number(), 3);
    assert!(told(&mut scene, &proposal(4, Strategy::PLAIN, &["192.0.2.1:1"])));
    assert_eq!(scene.session.attempt.number(), 4);
    assert_eq!(scene.sent().len(), 1);
}

// [R-PUNCH-013]
#[test]
fn attempts_without_end_are_refused_after_so_many_in_a_minute() {
    let mut scene = Scene::new(false);
    let taken = (1..100).filter(|number| told(&mut scene, &proposal(*number, Strategy::PLAIN, &[]))).count();
    assert_eq!(taken, usize::from(ATTEMPTS_PER_MINUTE));
    scene.core.now = scene.core.now + Duration::from_secs(60);
    assert!(told(&mut scene, &proposal(100, Strategy::PLAIN, &[])));
}

// [R-PUNCH-029] [R-PUNCH-015]
#[test]
fn addresses_that_the_other_peer_alone_names_are_few_and_get_the_budget_of_an_address() {
    let mut scene = Scene::new(false);
    scene.session.add_candidates(&mut scene.core, &scene.leg, &[endpoint("192.0.2.1:1")], Told::Server);
    let victims = ["192.0.2.1:7", "203.0.113.1:1", "203.0.113.1:2", "203.0.113.2:1", "203.0.113.3:1", "10.9.9.9:1"];
    for number in 1..=ATTEMPTS_PER_MINUTE {
        assert!(told(&mut scene, &proposal(number.into(), Strategy::PLAIN, &victims)));
    }
    let sent: Vec<Endpoint> = scene.sent().into_iter().map(|(_, remote, _)| remote).collect();
    let to = |text: &str| sent.iter().filter(|remote| remote.address() == endpoint(text).address()).count();
    let unnamed = ["203.0.113.1:0", "203.0.113.2:0", "203.0.113.3:0"];
    assert_eq!(unnamed.iter().filter(|text| to(text) > 0).count(), MAX_UNNAMED);
    // A private address without evidence of a shared network gets nothing [R-PUNCH-004].
    assert_eq!(to("10.9.9.9:0"), 0);
    assert_eq!(to("192.0.2.1:0"), MAX_PROBES as usize);
    assert!(unnamed.iter().all(|text| to(text) <= MAX_PROBES as usize), "{sent:?}");
}

// [R-PUNCH-028]
#[test]
fn two_plain_proposals_that_cross_are_one_attempt_with_the_candidates_of_both() {
    for initiator in [true, false] {
        let mut scene = Scene::new(initiator);
        scene.session.start_attempt(&mut scene.core, 2);
        assert!(told(&mut scene, &proposal(2, Strategy::PLAIN, &["192.0.2.1:1"])));
        assert_eq!(scene.session.attempt.number(), 2);
        assert!(scene.session.attempt.is_running());
        assert!(scene.session.candidates.contains(&endpoint("192.0.2.1:1")));
    }
}
