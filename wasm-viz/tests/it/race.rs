//! Which packet arrives next: the learner's choice decides the race of two SYNs.

use pinhole_viz::page::Page;
use serde_json::{Value, json};

/// The page where both SYNs are still before NAT B, and what may arrive next there.
fn at_the_race() -> (Page, Vec<(Value, Vec<pinhole_viz::run::Edit>)>) {
    let mut page = Page::open("#v=1&s=crossing-syns&i=0");
    for index in 0..page.view().length {
        let frame = page.seek(index);
        let to_nat_b = |flight: &&pinhole_viz::frame::Flight| flight.to == "NAT B" && frame.time > 2_000_000;
        if frame.flights.iter().filter(to_nat_b).count() == 2 {
            let arrivals = page.arrivals();
            let choices = arrivals.iter().map(|arrival| (json!(arrival.text), arrival.edits.clone())).collect();
            return (page, choices);
        }
    }
    panic!("the SYNs are never both on their way to NAT B");
}

#[test]
fn the_syn_of_a_that_reaches_nat_b_first_is_refused_and_the_connection_fails() {
    let (mut page, choices) = at_the_race();
    let from_a = |(text, _): &&(Value, _)| text["with"]["source"] == "155.99.25.11:62000";
    let (_, edits) = choices.iter().find(from_a).unwrap();
    assert!(!edits.is_empty());
    page.edit(edits.clone()).unwrap();
    let view = page.view();
    assert_eq!(view.branches[view.branch].outcome.kind, "failed");
    let ladder = serde_json::to_string(&page.ladder(page.branch_shown(), true)).unwrap();
    assert!(ladder.contains(r#""fate":"answered""#));
}

#[test]
fn in_the_other_order_both_holes_are_open_and_it_connects() {
    let (page, choices) = at_the_race();
    let from_b = |(text, _): &&(Value, _)| text["with"]["source"] == "10.1.1.3:1234";
    let (_, edits) = choices.iter().find(from_b).unwrap();
    assert!(edits.is_empty(), "it is the next one as it is");
    let view = page.view();
    assert_eq!(view.branches[view.branch].outcome.kind, "direct");
}
