//! A trace of real programs on the page. The files are of `lab`: two peers behind NATs, and their server.

use std::collections::{BTreeMap, BTreeSet};

use pinhole_trace::{In, Out, StreamIn, What};
use pinhole_viz::api::Api;
use pinhole_viz::frame::Fate;
use pinhole_viz::ladder::Row;
use pinhole_viz::trace::TracePage;
use serde_json::{Value, json};

use crate::words::collect;

pub(crate) const FILES: [(&str, &[u8]); 3] = [
    ("peer-udp", include_bytes!("../traces/peer-udp.jsonl")),
    ("peer-tcp", include_bytes!("../traces/peer-tcp.jsonl")),
    ("server-udp", include_bytes!("../traces/server-udp.jsonl")),
];

fn open(name: &str) -> TracePage {
    let (_, file) = FILES.iter().find(|(known, _)| *known == name).unwrap();
    TracePage::open(name, file).unwrap()
}

/// The steps, in order, of the packets.
fn packets(page: &TracePage) -> Vec<pinhole_viz::ladder::PacketRow> {
    let rows = page.rows(0, page.len());
    rows.into_iter().filter_map(|row| if let Row::Packet(row) = row { Some(row) } else { None }).collect()
}

#[test]
fn every_datagram_and_every_piece_of_a_stream_is_a_row_with_its_octets() {
    for (name, file) in FILES {
        let page = TracePage::open(name, file).unwrap();
        let mut shown: Vec<String> = Vec::new();
        for row in packets(&page) {
            assert_eq!(row.hops.len(), 1);
            let bytes = page.bytes(row.journey).unwrap();
            assert!(bytes.opened.is_none() && bytes.closed.is_some());
            shown.push(bytes.captures[0].octets.clone());
        }
        let trace = pinhole_trace::read(file).unwrap();
        let mut told: Vec<String> = Vec::new();
        for line in &trace.lines {
            let octets = match &line.what {
                What::In(In::Datagram { payload, .. }) | What::Out(Out::Transmit { payload, .. }) => &payload.0,
                What::In(In::Stream { what: StreamIn::Received(octets), .. })
                | What::Out(Out::Write { octets, .. }) => &octets.0,
                _ => continue,
            };
            told.push(octets.iter().map(|octet| format!("{octet:02x}")).collect());
        }
        shown.retain(|octets| !octets.is_empty());
        assert_eq!(shown, told, "{name}");
        assert!(told.len() > 15, "{name}");
    }
}

#[test]
fn the_fields_of_a_packet_cover_its_octets_and_what_is_sealed_is_said_to_be_so() {
    let mut names = BTreeSet::new();
    for (name, file) in FILES {
        let page = TracePage::open(name, file).unwrap();
        for row in packets(&page) {
            let bytes = page.bytes(row.journey).unwrap();
            let capture = &bytes.captures[0];
            let covered: usize = capture.layers.iter().map(|field| field.length).sum();
            assert_eq!(covered * 2, capture.octets.len(), "{name} {row:?}");
            let text = serde_json::to_string(&capture.layers).unwrap();
            let sealed = text.contains("ciphertext");
            assert_eq!(bytes.closed.unwrap().key == "closed.trace", sealed, "{name} {text}");
            names.insert(serde_json::to_string(&row.name).unwrap());
        }
    }
    for wanted in ["Discover", "Discovered", "Register", "Registered", "Punch", "PunchReply", "Sealed", "Relayed"] {
        assert!(names.iter().any(|name| name.contains(&format!("\"{wanted}\""))), "{wanted} in {names:?}");
    }
}

#[test]
fn the_columns_are_the_engine_and_who_is_known_at_the_other_ends() {
    for (name, kinds) in [
        ("peer-udp", &["peer", "server", "peer"][..]),
        ("peer-tcp", &["peer", "server", "peer"]),
        ("server-udp", &["server", "peer", "peer", "host"]),
    ] {
        let view = open(name).view();
        // Ports that asked the server and never registered are nobody that it knows.
        let found: Vec<_> = view.machines.iter().map(|machine| machine.kind).collect();
        assert_eq!(found, kinds, "{name} {:?}", view.machines);
    }
    let columns = open("peer-udp").ladder().columns;
    assert_eq!(columns, ["3edowar2", "S", "z4v7avmb"]);
}

#[test]
fn a_trace_of_a_peer_ends_direct_and_says_what_is_not_known() {
    let mut page = open("peer-udp");
    let view = page.view();
    assert_eq!(view.branches[0].outcome.kind, "direct");
    assert!(view.nats.is_empty());
    let facts: Vec<_> = view.trace.unwrap().facts.into_iter().map(|fact| fact.key).collect();
    assert!(facts.contains(&"trace.no-keys".to_owned()) && facts.contains(&"trace.one-place".to_owned()));
    assert_eq!(open("server-udp").view().branches[0].outcome.kind, "unknown");
    let marks: Vec<_> = view.milestones.iter().map(|mark| mark.text.key.clone()).collect();
    for key in ["online", "introduced", "established", "selected", "closed"] {
        assert!(marks.contains(&format!("trace.event.peer.{key}")), "{marks:?}");
    }
    let last = page.seek(usize::MAX);
    let facts = serde_json::to_string(&last.knows).unwrap();
    assert!(facts.contains("138.76.29.7:22255"), "{facts}");
    assert!(last.flights.is_empty() && last.tables.is_empty());
}

#[test]
fn what_was_not_sent_and_what_was_ignored_is_marked() {
    let header = r#"{"trace":"pinhole/1","engine":"peer"}"#;
    let out = r#"{"t":2,"out":{"transmit":{"socket":0,"local":null,"remote":"192.0.2.1:9","ttl":3,"payload":"00"}}}"#;
    let lines = [
        header,
        r#"{"t":1,"in":{"opened":{"socket":0,"local":"0.0.0.0:40001"}}}"#,
        out,
        out,
        r#"{"t":2,"out":{"wait":null}}"#,
        r#"{"t":2,"unsent":1}"#,
        r#"{"t":3,"in":{"datagram":{"socket":0,"local":"10.0.0.1","remote":"192.0.2.1:9","payload":"00"}}}"#,
        r#"{"t":3,"discard":"too-short"}"#,
        r#"{"t":4,"in":{"rejected":{"socket":0,"remote":"192.0.2.1:9","error":"refused"}}}"#,
    ];
    let mut page = TracePage::open("made", lines.join("\n").as_bytes()).unwrap();
    let fates: Vec<_> = packets(&page).iter().map(|row| row.hops[0].fate).collect();
    assert_eq!(fates, [Fate::Sent, Fate::Lost, Fate::Dropped]);
    assert_eq!(page.view().cursor, 3, "it opens on the first datagram that was ignored");
    let happening = page.seek(3).happenings.remove(0);
    assert_eq!(
        (happening.packet.source.as_str(), happening.packet.destination.as_str()),
        ("192.0.2.1:9", "10.0.0.1:40001")
    );
    assert!(serde_json::to_string(&happening.text).unwrap().contains("too-short"));
    let sent = page.seek(1).happenings.remove(0);
    assert_eq!(sent.packet.source, "*:40001", "the address is not told");
    assert_eq!(page.seek(4).happenings.len(), 0, "a report of the system is no packet");
}

#[test]
fn a_frame_that_is_cut_into_pieces_is_named_where_it_begins() {
    let file = String::from_utf8(FILES[1].1.to_vec()).unwrap();
    let whole = packets(&open("peer-tcp"));
    let mut lines: Vec<String> = Vec::new();
    for line in file.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        match value["in"]["stream"]["received"].as_str() {
            Some(hex) if hex.len() > 8 => {
                for piece in [&hex[..2], &hex[2..8], &hex[8..]] {
                    let mut value = value.clone();
                    value["in"]["stream"]["received"] = json!(piece);
                    lines.push(value.to_string());
                }
            }
            _ => lines.push(line.to_owned()),
        }
    }
    let page = TracePage::open("pieces", lines.join("\n").as_bytes()).unwrap();
    let pieces = packets(&page);
    assert!(pieces.len() > whole.len());
    for row in pieces {
        let bytes = page.bytes(row.journey).unwrap();
        let covered: usize = bytes.captures[0].layers.iter().map(|field| field.length).sum();
        assert_eq!(covered * 2, bytes.captures[0].octets.len());
        // The rest of a frame is octets, never a frame with a length that is none.
        let text = serde_json::to_string(&bytes.captures[0].layers).unwrap();
        assert!(bytes.captures[0].octets.len() > 8 || !text.contains("\"frame\""), "{text}");
    }
}

#[test]
fn a_trace_is_stepped_and_closed_and_the_scenario_is_as_it_was() {
    let mut api = Api::default();
    let ask = |api: &mut Api, method: &str, argument: &str| -> Value {
        serde_json::from_str(&api.call(method, argument)).unwrap()
    };
    let before = ask(&mut api, "page", "null");
    let opened: Value = serde_json::from_str(&api.import("a.trace", FILES[0].1)).unwrap();
    assert_eq!(opened["ok"]["trace"]["file"], "a.trace");
    let length = opened["ok"]["length"].as_u64().unwrap();
    assert_eq!(ask(&mut api, "seek", "99999")["ok"]["index"], length - 1);
    let forward: Vec<_> = (0..length).map(|index| ask(&mut api, "seek", &index.to_string())).collect();
    for index in (0..length).rev() {
        assert_eq!(ask(&mut api, "seek", &index.to_string()), forward[usize::try_from(index).unwrap()]);
    }
    assert_eq!(ask(&mut api, "ladder", "true")["ok"]["length"], length);
    assert_eq!(ask(&mut api, "rows", "[3,7]")["ok"].as_array().unwrap().len(), 4);
    assert!(ask(&mut api, "text", "true")["ok"].as_str().unwrap().lines().count() > 40);
    for (method, argument) in [("edit", "[]"), ("preset", "[\"NAT A\",\"symmetric\"]"), ("unedit", "0")] {
        assert_eq!(ask(&mut api, method, argument)["refused"]["key"], "notice.trace.fixed");
    }
    assert!(api.octets("pcapng").is_err());
    assert_eq!(ask(&mut api, "close", "null"), before);
}

#[test]
fn a_file_that_is_refused_leaves_what_was_open() {
    let mut api = Api::default();
    let before = api.call("page", "null");
    for (file, line) in
        [(&b""[..], "1"), (b"not a trace", "1"), (b"{\"trace\":\"pinhole/1\",\"engine\":\"peer\"}\n[]\n", "2")]
    {
        let refused: Value = serde_json::from_str(&api.import("x", file)).unwrap();
        assert_eq!(refused["refused"]["with"]["line"], line, "{refused}");
        assert_eq!(api.call("page", "null"), before);
    }
}

#[test]
fn many_lanes_share_the_last_column() {
    let mut lines = vec![r#"{"trace":"pinhole/1","engine":"server","id":"s"}"#.to_owned()];
    for n in 0..40 {
        let event = json!({ "registered": { "peer": format!("peer{n:04}"), "transport": "udp", "public": format!("192.0.2.{n}:9"), "since": 0 } });
        lines.push(json!({ "t": 1, "out": { "event": event } }).to_string());
        let remote = format!("192.0.2.{n}:9");
        lines.push(json!({ "t": 1, "in": { "datagram": { "socket": 0, "local": "10.0.0.1", "remote": remote, "payload": "" } } }).to_string());
    }
    let page = TracePage::open("many", (lines.join("\n") + "\n").as_bytes()).unwrap();
    let columns = page.ladder().columns;
    assert_eq!((columns.len(), columns.last().unwrap().as_str()), (8, "…"));
    assert!(packets(&page).iter().all(|row| columns.contains(&row.hops[0].from) && row.hops[0].to == "S"));
}

#[test]
fn a_trace_of_a_hundred_thousand_lines_is_opened() {
    let text = std::str::from_utf8(FILES[0].1).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    let mut all: Vec<String> = vec![header.to_owned()];
    let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    'all: for round in 0_u64.. {
        for value in &values {
            if all.len() > 100_000 {
                break 'all;
            }
            let mut value = value.clone();
            value["t"] = json!(value["t"].as_u64().unwrap() + round * 2_000_000);
            all.push(value.to_string());
        }
    }
    let mut page = TracePage::open("long", (all.join("\n") + "\n").as_bytes()).unwrap();
    assert!(page.len() > 50_000);
    let rows = page.rows(40_000, 40_040);
    assert_eq!(rows.len(), 40);
    assert_eq!(page.seek(40_000).index, 40_000);
}

/// The keys that traces show, with their operands.
pub(crate) fn shown(keys: &mut BTreeMap<String, BTreeSet<String>>) {
    for (name, file) in FILES {
        let mut page = TracePage::open(name, file).unwrap();
        collect(&serde_json::to_value(page.view()).unwrap(), keys);
        collect(&serde_json::to_value(page.whole_ladder()).unwrap(), keys);
        for index in 0..page.len() {
            collect(&serde_json::to_value(page.seek(index)).unwrap(), keys);
            if let Ok(bytes) = page.bytes(index as u64) {
                collect(&serde_json::to_value(bytes).unwrap(), keys);
            }
        }
    }
    for text in pinhole_viz::trace::problems() {
        collect(&serde_json::to_value(text).unwrap(), keys);
    }
}
