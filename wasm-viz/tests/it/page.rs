//! The page's state: stepping, editing, branches, links.

use pinhole_proto::sorted::SortedMap;
use pinhole_sim::scenario;
use pinhole_viz::api::Api;
use pinhole_viz::frame::Fate;
use pinhole_viz::matrix;
use pinhole_viz::page::Page;
use pinhole_viz::run::Edit;

fn set(nat: &str, field: &str, value: &str) -> Vec<Edit> {
    let action = format!(r#"[{{"action":{{"do":"set-field","nat":"{nat}","field":"{field}","value":"{value}"}}}}]"#);
    serde_json::from_str(&action).unwrap()
}

#[test]
fn the_page_opens_on_the_first_scenario_with_one_edit_at_the_first_drop() {
    let mut page = Page::open("");
    let view = page.view();
    assert_eq!((view.scenario.as_str(), view.notices.as_slice()), (pinhole_viz::page::FIRST, &[][..]));
    assert_eq!(view.branches[view.branch].edits.len(), 1, "{:?}", view.branches);
    let frame = page.seek(view.cursor);
    let drop = frame.happenings.iter().find(|happening| happening.verdict == Fate::Dropped).unwrap();
    assert_eq!(drop.machine, "NAT B");
    assert!(drop.checks.len() >= 2 && drop.row.is_some(), "{drop:?}");
    let row = drop.row.clone().unwrap();
    assert!(frame.tables.iter().flat_map(|table| &table.rows).any(|known| known.id == row));
}

#[test]
fn a_scenario_opens_on_a_numbered_drop_or_its_last_numbered_step_and_else_on_the_first_drop() {
    let (mut drops, mut last, mut unnumbered) = (0, 0, 0);
    for (name, _) in scenario::ALL {
        let mut page = Page::open(&format!("#v=1&s={name}"));
        let view = page.view();
        let dropped = page.seek(view.cursor).happenings.iter().any(|happening| happening.verdict == Fate::Dropped);
        let numbered = view.milestones.iter().any(|milestone| milestone.index == view.cursor);
        assert!(view.cursor > 0, "{name}");
        if ["crossing-syns", "sandbox", "twenty-second-timeouts"].contains(name) {
            assert!(!dropped && !numbered, "{name}");
        } else if TURNED.iter().any(|(turned, _)| turned == name) {
            assert!(!dropped, "{name}");
        } else if view.milestones.is_empty() {
            assert!(dropped, "{name}");
            unnumbered += 1;
        } else {
            assert!(numbered, "{name} opens on {}, {:?}", view.cursor, view.milestones);
            let end = view.milestones.last().is_some_and(|milestone| milestone.index == view.cursor);
            assert!(dropped || end, "{name} opens on {}", view.cursor);
            drops += usize::from(dropped);
            last += usize::from(!dropped);
        }
    }
    assert!(drops >= 19 && last >= 8 && unnumbered >= 2, "{drops} {last} {unnumbered}");
    let page = Page::open("#v=1&s=f6-same-nat&i=0");
    assert_eq!(page.view().cursor, 0);
}

/// The scenarios whose story speaks of a packet that turns round, and the NAT that does it.
const TURNED: [(&str, &str); 6] = [
    ("f12-same-nat", "NAT"),
    ("f12-two-levels", "NAT C"),
    ("f12-two-levels-tcp", "NAT C"),
    ("f14-nat-check-good", "NAT"),
    ("f6-same-nat", "NAT"),
    ("f7-multi-level-nat", "NAT X"),
];

#[test]
fn a_story_of_a_hairpin_opens_where_the_nat_turns_the_packet_round() {
    for (name, nat) in TURNED {
        let mut page = Page::open(&format!("#v=1&s={name}"));
        let frame = page.seek(page.view().cursor);
        let passed = frame.happenings.iter().find(|happening| happening.verdict == Fate::Passed).unwrap();
        assert_eq!(passed.machine, nat, "{name}");
        let held: Vec<&str> = passed.checks.iter().map(|check| check.text.key.as_str()).collect();
        assert!(held.contains(&"check.hairpin.held"), "{name} {held:?}");
    }
}

#[test]
fn the_race_opens_with_both_syns_under_way() {
    let mut page = Page::open("#v=1&s=crossing-syns");
    let frame = page.seek(page.view().cursor);
    let from: Vec<&str> = frame.flights.iter().map(|flight| flight.from.as_str()).collect();
    assert_eq!((frame.time, from), (2_000_000, vec!["A", "B"]));
}

#[test]
fn the_sandbox_opens_with_both_punches_under_way() {
    let mut page = Page::open("#v=1&s=sandbox");
    let frame = page.seek(page.view().cursor);
    let numbered = |step: &str| page.view().milestones.iter().find(|mark| mark.step == step).unwrap().journey;
    let under_way: Vec<u64> = frame.flights.iter().map(|flight| flight.journey).collect();
    assert!(under_way.contains(&numbered("5")) && under_way.contains(&numbered("6")), "{under_way:?}");
}

#[test]
fn the_packet_with_which_a_asks_for_b_is_a_connect_in_every_scenario() {
    let mut asked = 0;
    for (name, _) in scenario::ALL {
        let page = Page::open(&format!("#v=1&s={name}&i=0"));
        let ladder = serde_json::to_value(page.ladder(page.branch_shown(), false).unwrap()).unwrap();
        let rows = ladder["rows"].as_array().unwrap().iter();
        for row in rows.filter(|row| row["title"]["key"] == "mark.a-asks-s-to-introduce-b") {
            assert_eq!(row["name"]["with"]["value"], "Connect", "{name}: {row}");
            asked += 1;
        }
    }
    assert!(asked >= 4, "{asked}");
}

#[test]
fn what_is_folded_away_is_known_by_its_first_and_its_last_packet() {
    for (name, _) in scenario::ALL {
        let page = Page::open(&format!("#v=1&s={name}&i=0"));
        let ladder = |all| serde_json::to_value(page.ladder(0, all)).unwrap()["rows"].as_array().unwrap().clone();
        let every: Vec<u64> = ladder(true).iter().map(|row| row["journey"].as_u64().unwrap()).collect();
        let mut held = Vec::new();
        for row in ladder(false) {
            let (first, last) = match row["journey"].as_u64() {
                Some(journey) => (journey, journey),
                None => (row["first"].as_u64().unwrap(), row["last"].as_u64().unwrap()),
            };
            let inside: Vec<u64> = every.iter().copied().filter(|journey| (first..=last).contains(journey)).collect();
            assert_eq!(inside.len() as u64, row["count"].as_u64().unwrap_or(1), "{name} {row}");
            held.extend(inside);
        }
        assert_eq!(held, every, "{name}");
    }
}

#[test]
fn without_the_edit_no_punch_between_the_peers_dies() {
    let mut page = Page::open("");
    page.unedit(0).unwrap();
    let ladder = page.ladder(page.branch_shown(), true).unwrap();
    let text = serde_json::to_string(&ladder).unwrap();
    assert!(!text.contains(r#""fate":"dropped""#), "{text}");
    assert_eq!(page.view().branches[page.view().branch].outcome.kind, "direct");
}

#[test]
fn a_step_looks_the_same_however_it_was_reached() {
    for (name, _) in scenario::ALL {
        let mut page = Page::open(&format!("#v=1&s={name}"));
        let length = page.view().length;
        let stride = 1.max(length / 12);
        let forward: Vec<_> = (0..length).step_by(stride).map(|index| page.seek(index)).collect();
        for (index, frame) in (0..length).step_by(stride).zip(&forward).rev() {
            page.seek(length);
            assert_eq!(page.seek(index), *frame, "{name} {index}");
        }
    }
}

#[test]
fn an_edit_makes_a_branch_and_taking_it_back_leads_to_the_first_run_again() {
    let mut page = Page::open(&format!("#v=1&s={}", pinhole_viz::page::FIRST));
    let before = page.view();
    let mut edits = set("NAT A", "mapping", "address-and-port-dependent");
    edits.extend(set("NAT A", "fresh-port", "random"));
    page.edit(edits).unwrap();
    let after = page.view();
    assert_eq!((after.branches.len(), after.branches[after.branch].outcome.kind), (2, "relayed"));
    assert!(page.divergence(0).is_some());
    page.unedit(2).unwrap();
    page.unedit(1).unwrap();
    let back = page.view();
    assert_eq!(back.branches[back.branch].digest, before.branches[before.branch].digest);
}

#[test]
fn what_peers_may_try_is_an_edit_and_the_run_that_a_scenario_with_the_same_choice_describes() {
    let only = |host: &str, strategy: &str| {
        let action = format!(r#"{{"do":"set-strategies","host":"{host}","strategies":["{strategy}"]}}"#);
        serde_json::from_str::<Edit>(&format!(r#"{{"action":{action}}}"#)).unwrap()
    };
    // The file leaves both peers nothing but prediction.
    let mut page = Page::open("#v=1&s=f9-peers&i=0");
    let before = page.view();
    page.edit(vec![only("A", "plain"), only("B", "plain")]).unwrap();
    let plain = page.view();
    assert_eq!(plain.branches[plain.branch].edits.len(), 2, "{:?}", plain.branches);
    assert_eq!(before.branches[0].outcome.kind, "direct");
    assert_eq!(plain.branches[plain.branch].outcome.kind, "relayed");
    page.edit(vec![only("A", "predicted"), only("B", "predicted")]).unwrap();
    let back = page.view();
    assert_eq!(back.branches[back.branch].edits.len(), 2, "one choice takes the place of another");
    assert_eq!(back.branches[back.branch].digest, before.branches[0].digest);
    let again = Page::open(&page.fragment(SortedMap::new())).view();
    assert_eq!(again.branches[again.branch].digest, before.branches[0].digest);
    let nobody = page.edit(vec![only("S", "plain")]).unwrap_err();
    assert_eq!(nobody.0.key, "notice.refused");
}

#[test]
fn a_field_that_the_nat_does_not_have_is_refused_and_nothing_changes() {
    let mut page = Page::open("");
    let before = page.view();
    assert!(page.edit(set("NAT A", "colour", "red")).is_err());
    assert!(page.edit(set("NAT Z", "mapping", "address-dependent")).is_err());
    assert_eq!(page.view(), before);
}

#[test]
fn the_suggestions_of_the_first_drop_let_the_same_packet_pass() {
    let mut page = Page::open("");
    let frame = page.seek(page.view().cursor);
    let drop = frame.happenings.iter().find(|happening| happening.verdict == Fate::Dropped).unwrap();
    let suggestions = page.suggestions(drop.id);
    assert!(suggestions.len() >= 2, "{suggestions:?}");
    let journey = drop.journey;
    for suggestion in suggestions {
        let mut other = Page::open("");
        let known = other.view().branches[other.view().branch].edits.len();
        other.edit(suggestion.edits[known..].to_vec()).unwrap();
        let ladder = other.ladder(other.branch_shown(), true).unwrap();
        let text = serde_json::to_value(&ladder).unwrap();
        let rows = text["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["journey"] == journey).unwrap();
        let hops = row["hops"].as_array().unwrap();
        assert!(hops.iter().any(|hop| hop["to"] == "NAT B" && hop["fate"] == "passed"), "{suggestion:?} {row}");
    }
}

#[test]
fn every_question_has_one_right_answer_and_it_is_what_the_next_frame_shows() {
    let mut asked = 0;
    for (name, _) in scenario::ALL {
        let page = Page::open(&format!("#v=1&s={name}&i=0"));
        let length = page.view().length;
        for index in (1..length).step_by(1.max(length / 60)) {
            let Some(question) = page.question(index) else { continue };
            let graded: Vec<_> =
                (0..question.choices.len()).map(|choice| page.grade(index, choice).unwrap().right).collect();
            assert_eq!(graded.iter().filter(|right| **right).count(), 1, "{name} {index} {question:?}");
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn a_link_leads_to_the_same_place() {
    let mut page = Page::open("");
    page.seek(17);
    let view: SortedMap<_, _> =
        [("l", "zh"), ("p", "bytes")].into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let fragment = page.fragment(view.clone());
    assert!(fragment.len() <= 1500, "{}", fragment.len());
    let other = Page::open(&fragment);
    let (here, there) = (page.view(), other.view());
    assert_eq!((there.cursor, &there.view, there.notices.len()), (17, &view, 0));
    assert_eq!(there.branches[there.branch].digest, here.branches[here.branch].digest);
}

#[test]
fn garbage_in_a_link_gets_a_notice_and_a_page() {
    for (fragment, key) in [
        ("#v=9", "notice.link-version"),
        ("#v=1&s=nowhere", "notice.no-scenario"),
        ("#v=1&i=minus", "notice.link-value"),
        ("#v=1&x=%%%", "notice.link-edits"),
        ("#v=1&x=e30", "notice.link-edits"),
        ("#colour=red", "notice.link-key"),
        (&format!("#v=1&s={}", "a".repeat(20_000)), "notice.link-too-long"),
    ] {
        let mut page = Page::open(fragment);
        let view = page.view();
        assert_eq!(view.notices.iter().map(|text| text.key.as_str()).collect::<Vec<_>>(), [key], "{fragment:.40}");
        assert_eq!(page.seek(0).index, 0);
    }
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let mut api = Api::default();
    for (method, argument) in
        [("fly", "null"), ("seek", "\"x\""), ("edit", "{}"), ("enter", "99"), ("bytes", "99999"), ("seek", "[")]
    {
        let answer: serde_json::Value = serde_json::from_str(&api.call(method, argument)).unwrap();
        assert!(answer["refused"]["key"].is_string(), "{method} {answer}");
    }
    assert!(api.octets("gif").is_err());
}

#[test]
fn the_outcome_matrix_is_made_of_runs() {
    for (a, b, kind) in [
        ("full-cone", "symmetric", "direct"),
        ("port-restricted-cone", "port-restricted-cone", "direct"),
        ("port-restricted-cone", "symmetric", "relayed"),
        ("symmetric", "symmetric", "relayed"),
    ] {
        let cell = matrix::cell(a, b).unwrap();
        assert_eq!(cell.outcome.kind, kind, "{a} {b}");
        let page = Page::open(&cell.fragment);
        let view = page.view();
        assert_eq!(view.branches[view.branch].digest, cell.digest);
    }
    assert!(matrix::cell("round", "symmetric").is_err());
}
