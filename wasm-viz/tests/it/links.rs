//! Links are kept for ever: what is in the list means in every later program what it means here. Lines are
//! added, never changed.

use pinhole_viz::link::Link;
use pinhole_viz::page::Page;
use serde_json::{Value, json};

fn list() -> Vec<Value> {
    let Value::Array(list) = serde_json::from_str(include_str!("../../golden/links.json")).unwrap() else {
        panic!("no list");
    };
    list
}

/// What a link is kept for: where it leads, not what the core does there.
fn state(page: &Page) -> Value {
    let view = page.view();
    json!({
        "scenario": view.scenario,
        "step": view.cursor,
        "edits": page.current().edits(),
        "view": view.view,
        "notices": view.notices.iter().map(|notice| &notice.key).collect::<Vec<_>>(),
    })
}

#[test]
fn every_link_that_was_ever_given_out_leads_where_it_led() {
    let list = list();
    assert!(list.len() >= 20);
    for entry in list {
        let link = entry["link"].as_str().unwrap();
        assert_eq!(state(&Page::open(link)), entry["state"], "{link}");
    }
}

#[test]
fn the_link_to_a_place_leads_back_to_it() {
    for entry in list() {
        let page = Page::open(entry["link"].as_str().unwrap());
        let again = Page::open(&page.fragment(page.view().view));
        let (mut here, mut there) = (state(&page), state(&again));
        here["notices"] = json!([]);
        assert_eq!(here, there.take(), "{}", entry["link"]);
        let digest = |page: &Page| page.view().branches[page.view().branch].digest.clone();
        assert_eq!(digest(&page), digest(&again));
    }
}

#[test]
fn a_link_says_where_it_makes_no_sense() {
    for (fragment, part) in
        [("#v=1&i=x", r#""key":"i""#), ("#v=1&seed=-1", r#""key":"seed""#), ("#v=1&colour=red", r#""key":"colour""#)]
    {
        let notices = serde_json::to_string(&Link::read(fragment).notices).unwrap();
        assert!(notices.contains(part), "{notices}");
    }
    let broken = Link::read("#v=1&x=W3siYXQiOjB9XQ");
    let told = serde_json::to_string(&broken.notices).unwrap();
    assert!(told.contains("line 1 column"), "{told}");
}
