//! What would have made it work: every suggestion of every scenario is opened, and does what it says.

use std::collections::BTreeSet;

use pinhole_sim::JourneyId;
use pinhole_sim::nat::Decision;
use pinhole_sim::scenario;
use pinhole_sim::trace::What;
use pinhole_viz::frame::{Fate, fate};
use pinhole_viz::link::Link;
use pinhole_viz::page::Page;
use pinhole_viz::why::Suggestion;

/// The page that a suggestion names.
fn opened(name: &str, suggestion: &Suggestion) -> Page {
    let edits = Some(suggestion.edits.clone());
    let link = Link { scenario: Some(name.to_owned()), edits, index: Some(0), ..Link::default() };
    let page = Page::open(&link.write());
    assert_eq!(page.view().notices, [], "{name} {suggestion:?}");
    page
}

/// The first packet that each NAT refuses for each reason: its record.
fn refused(page: &Page) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let records = page.current().run().records().iter().enumerate();
    let first = records.filter(|(_, record)| match &record.what {
        What::Decided(receipt) => match receipt.decision {
            Decision::Dropped(rule) | Decision::Answered(rule) => seen.insert((record.to, rule)),
            Decision::Forwarded { .. } => false,
        },
        _ => false,
    });
    first.map(|(at, _)| at).collect()
}

fn passes(page: &Page, journey: JourneyId, at: Option<pinhole_sim::Place>) -> bool {
    let mut records = page.current().run().records().iter();
    records.any(|record| record.journey == journey && record.to == at && fate(&record.what) == Fate::Passed)
}

#[test]
fn every_suggestion_for_a_refused_packet_lets_it_pass() {
    let (mut asked, mut helped, mut tried) = (0, 0, 0);
    for (name, _) in scenario::ALL {
        let page = Page::open(&format!("#v=1&s={name}&i=0"));
        for at in refused(&page) {
            let record = page.current().run().records()[at].clone();
            assert!(!passes(&page, record.journey, record.to));
            let suggestions = page.suggestions(at);
            asked += 1;
            helped += usize::from(!suggestions.is_empty());
            for suggestion in suggestions {
                let other = opened(name, &suggestion);
                assert!(passes(&other, record.journey, record.to), "{name} {suggestion:?}");
                tried += 1;
            }
        }
    }
    assert!(asked >= 20 && helped * 2 >= asked && tried >= 40, "{asked} {helped} {tried}");
}

#[test]
fn every_remedy_of_a_run_that_is_not_direct_makes_it_direct() {
    let mut tried = 0;
    for (name, _) in scenario::ALL {
        let page = Page::open(&format!("#v=1&s={name}&i=0"));
        let view = page.view();
        let kind = view.branches[view.branch].outcome.kind;
        let remedies = if kind == "unknown" { Vec::new() } else { page.remedies() };
        if kind == "direct" {
            assert_eq!(remedies, [], "{name}");
        }
        for remedy in remedies {
            let view = opened(name, &remedy).view();
            assert_eq!(view.branches[view.branch].outcome.kind, "direct", "{name} {remedy:?}");
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried}");
}

#[test]
fn two_symmetric_nats_have_a_remedy() {
    let remedies = Page::open("#v=1&s=symmetric-pair&i=0").remedies();
    let told = serde_json::to_string(&remedies).unwrap();
    assert!(!remedies.is_empty() && told.contains("\"NAT A\"") && told.contains("\"NAT B\""), "{told}");
}

#[test]
fn a_suggested_delay_names_its_packet_and_whither_it_goes() {
    let page = Page::open("");
    let told = serde_json::to_value(page.suggestions(refused(&page)[0])).unwrap();
    let delay = told.as_array().unwrap().iter().find(|one| one["text"]["key"] == "fault.delay").unwrap();
    assert_eq!(delay["text"]["with"]["packet"]["key"], "packet.to", "{told}");
    assert_eq!(delay["text"]["with"]["packet"]["with"]["machine"], "NAT A", "{told}");
}

#[test]
fn what_somebody_else_behind_the_nat_hears_is_no_path_for_the_peers() {
    let set = r#"[{"action":{"do":"set-field","nat":"NAT A","field":"filtering","value":"endpoint-independent"}}]"#;
    let edits = Some(serde_json::from_str(set).unwrap());
    let link = Link { scenario: Some("stolen-predicted-port".to_owned()), edits, ..Link::default() };
    let view = Page::open(&link.write()).view();
    assert_eq!(view.branches[view.branch].outcome.kind, "failed", "{:?}", view.branches[view.branch].outcome);
}
