//! What the server still does, told of what it did.

use pinhole_sim::scenario;
use pinhole_viz::page::Page;
use pinhole_viz::text::Text;
use serde_json::json;

fn at_the_end(page: &mut Page) -> Option<Text> {
    page.seek(page.view().length).server
}

/// What is told of the server's duty among all that it knows.
fn known(page: &mut Page, index: usize) -> Option<Text> {
    let knows = page.seek(index).knows;
    let facts = knows.into_iter().find(|knows| knows.machine == "S")?.facts;
    facts.into_iter().map(|fact| fact.text).find(|text| text.key.starts_with("server."))
}

/// When relayed packets reached the server, in milliseconds, by the ladder.
fn relayed(page: &Page) -> Vec<u64> {
    let ladder = serde_json::to_value(page.ladder(page.branch_shown(), true)).unwrap();
    let rows = ladder["rows"].as_array().unwrap();
    let of_peers = rows.iter().filter(|row| row["name"]["key"] == "packet.relayed" && row["hops"][0]["from"] != "S");
    let last_hop = of_peers.filter_map(|row| row["hops"].as_array().unwrap().last());
    let arrived = last_hop.filter(|hop| hop["to"] == "S").filter_map(|hop| hop["arrived"].as_u64());
    arrived.map(|step| page.current().run().steps()[usize::try_from(step).unwrap()].at.as_micros() / 1000).collect()
}

#[test]
fn the_server_carries_nothing_for_a_direct_pair_and_keeps_both_registered() {
    for name in ["f5-udp-hole-punching", "f6-same-nat", "f12-different-nats", "f11-connect-succeeds"] {
        let mut page = Page::open(&format!("#v=1&s={name}&i=0"));
        let told = serde_json::to_value(at_the_end(&mut page)).unwrap();
        assert_eq!(told["key"], "server.idle", "{name} {told}");
        assert_eq!(told["with"]["keeps"], json!({"key": "server.keeps", "with": {"count": "2"}}), "{name}");
        let since: u64 = told["with"]["ms"].as_str().unwrap().parse().unwrap();
        assert!(relayed(&page).iter().all(|ms| *ms <= since), "{name} {told}");
    }
}

#[test]
fn the_server_carries_every_packet_of_two_symmetric_nats() {
    let mut page = Page::open("#v=1&s=symmetric-pair&i=0");
    let told = serde_json::to_value(at_the_end(&mut page)).unwrap();
    assert_eq!(told["key"], "server.relays", "{told}");
    let selected = 2175;
    let since = relayed(&page).into_iter().filter(|ms| *ms >= selected).count();
    assert_eq!(told["with"]["count"], since.to_string(), "{told} {:?}", relayed(&page));
}

#[test]
fn before_there_is_a_path_the_end_is_told_and_then_the_same_everywhere() {
    let (mut said, mut later) = (0, 0);
    for (name, _) in scenario::ALL {
        let mut page = Page::open(&format!("#v=1&s={name}&i=0"));
        let length = page.view().length;
        let end = at_the_end(&mut page);
        for index in [0, length / 2, length] {
            let told = page.seek(index).server;
            let known = known(&mut page, index);
            assert!(index > 0 || known.is_none(), "{name}");
            match (known, &end) {
                (None, Some(end)) => {
                    assert_eq!(told, Some(Text::of("server.later").with_text("duty", end.clone())), "{name} {index}");
                    later += 1;
                }
                (known, _) => assert_eq!(told, known, "{name} {index}"),
            }
        }
        said += usize::from(end.is_some());
    }
    assert!(said >= 25 && later >= said, "{said} {later}");
}

#[test]
fn a_server_that_keeps_nobody_says_so() {
    // Nobody refreshes a registration while A and B are cut off, and it lapses.
    let cut = r#"[{"at": 3000000, "action": {"do": "cut", "machine": "S"}}]"#;
    let mut page = Page::open("#v=1&s=twenty-second-timeouts&i=0");
    page.edit(serde_json::from_str(cut).unwrap()).unwrap();
    let told = serde_json::to_value(at_the_end(&mut page)).unwrap();
    assert_eq!(told["with"]["keeps"]["key"], "server.keeps-none", "{told}");
}
