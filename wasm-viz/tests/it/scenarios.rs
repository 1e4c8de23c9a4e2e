//! Every scenario on the page is the one of its file, in a lesson, and comes out as the file says.

use std::collections::BTreeSet;

use pinhole_sim::scenario::{self, Kind, Run};
use pinhole_viz::errata;
use pinhole_viz::lessons::lessons;
use pinhole_viz::page::Page;

#[test]
fn a_scenario_on_the_page_is_the_run_that_its_file_describes() {
    for (name, _) in scenario::ALL {
        let scenario = scenario::named(name).unwrap();
        let mut run = Run::new(&scenario, 1).unwrap();
        run.play().unwrap();
        assert_eq!(run.check(), [], "{name}");
        let view = Page::open(&format!("#v=1&s={name}&i=0")).view();
        let branch = &view.branches[view.branch];
        assert_eq!(branch.digest, format!("{:016x}", run.world.trace().digest()), "{name}");
        let wanted = match scenario.expect.paths.first().map(|path| path.kind) {
            Some(Kind::Public | Kind::Private) => "direct",
            Some(Kind::Relayed) => "relayed",
            Some(Kind::None) => "none",
            None => continue,
        };
        assert_eq!(branch.outcome.kind, wanted, "{name}");
    }
}

#[test]
fn plain_hosts_that_hear_each_other_have_an_outcome_too() {
    for (name, kind) in [
        ("f9-port-prediction", "direct"),
        ("stolen-predicted-port", "failed"),
        ("random-allocation", "failed"),
        ("crossing-syns", "direct"),
        ("f1-cone-nat", "unknown"),
    ] {
        let view = Page::open(&format!("#v=1&s={name}&i=0")).view();
        assert_eq!(view.branches[view.branch].outcome.kind, kind, "{name}");
    }
}

#[test]
fn the_lessons_are_numbered_and_hold_every_scenario_once() {
    let lessons = lessons();
    let numbers: Vec<_> = lessons.iter().filter_map(|lesson| lesson.number).collect();
    assert_eq!(numbers, (1..=18).collect::<Vec<_>>());
    let mut names: Vec<_> = lessons.iter().flat_map(|lesson| lesson.scenarios.iter().copied()).collect();
    names.sort_unstable();
    let mut all: Vec<_> = scenario::ALL.iter().map(|(name, _)| *name).collect();
    all.sort_unstable();
    assert_eq!(names, all);
}

#[test]
fn the_slips_of_the_texts_are_told_where_one_stumbles_over_them() {
    let printed = |name: &str| serde_json::to_string(&errata::of(name)).unwrap();
    for (name, slip) in [
        ("f10-simultaneous-open", "620000\""),
        ("f6-same-nat", "10.0.0.1:124\""),
        ("f12-different-nats", "155.99.25.11:6200\""),
        ("f5-udp-hole-punching", "4321"),
        ("f1-cone-nat", "138.76.29.7"),
    ] {
        assert!(printed(name).contains(slip), "{name}: {}", printed(name));
        let view = Page::open(&format!("#v=1&s={name}&i=0")).view();
        assert_eq!(view.errata, errata::of(name));
    }
    let told: BTreeSet<_> = scenario::ALL.iter().flat_map(|(name, _)| errata::of(name)).map(|slip| slip.key).collect();
    assert!(told.len() >= 15, "{told:?}");
}
