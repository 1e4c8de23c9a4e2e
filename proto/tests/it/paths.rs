//! Candidates, punches and paths between two peers.

use std::collections::BTreeSet;

use pinhole_proto::constants::{CONSENT, DEFAULT_PORT, KEEPALIVE, MAX_DATAGRAM, MAX_PEER_PACKET, PUNCH_TIMES};
use pinhole_proto::peer::{Accept, PeerCommand, PeerConfig, RelayPolicy};
use pinhole_proto::wire::{Packet, PunchReply};
use pinhole_proto::{CommandError, Discard, Duration, Endpoint, Instant, Interface, SocketId};

use crate::world::{A, B, Kept, SERVER, World, peer_config};

const UDP: (bool, bool) = (true, false);
const STRANGER: &str = "203.0.113.9:9";

fn fresh(seed: u8) -> World {
    let mut world = World::new(seed, peer_config(1, UDP), peer_config(2, UDP));
    world.run(Duration::from_secs(3));
    world
}

fn direct(seed: u8) -> (World, pinhole_proto::peer::SessionHandle) {
    let mut world = fresh(seed);
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "selected", "public")));
    world.run(Duration::from_secs(1));
    (world, session)
}

/// What a host sent of one kind to the other peer, with the time.
fn punched(world: &World, host: usize, kind: u8) -> Vec<(Instant, Vec<u8>)> {
    let other = world.hosts[if host == A { B } else { A }].address;
    let sent = world.hosts[host].sent.iter();
    let sent = sent.filter(|(_, remote, octets)| remote.address() == other && octets[0] == kind);
    sent.map(|(at, _, octets)| (*at, octets.clone())).collect()
}

fn deliver(world: &mut World, host: usize, source: &str, octets: &[u8]) -> Option<Discard> {
    let local = world.hosts[host].address;
    world.inject(host, Kept::Datagram(SocketId(0), local, source.parse().unwrap(), octets.to_vec()))
}

// [R-PUNCH-011] [R-PUNCH-012] [R-PUNCH-018]
#[test]
fn punches_leave_at_their_times_each_with_its_nonce_and_stop_with_the_attempt() {
    let mut world = fresh(51);
    world.direct = false;
    world.connect(A, B, None);
    world.run(Duration::from_secs(5));
    let punches = punched(&world, A, 0x08);
    let begin = punches[0].0;
    let times: Vec<_> = punches.iter().map(|(at, _)| (*at - begin).as_millis() as u64).collect();
    assert_eq!(times, PUNCH_TIMES);
    let nonces: BTreeSet<_> = punches.iter().map(|(_, octets)| octets[10..18].to_vec()).collect();
    assert_eq!(nonces.len(), punches.len());
    // With a path nothing more is punched.
    let (world, _) = direct(52);
    let mut events = world.hosts[A].events.iter();
    let path =
        |event: &serde_json::Value| event["path"]["state"] == "proved" && event["path"]["path"]["kind"] == "public";
    let proved = events.find(|(_, event)| path(event)).expect("a path was proved").0;
    assert!(punched(&world, A, 0x08).iter().all(|(at, _)| *at <= proved));
    assert!(punched(&world, A, 0x08).len() < PUNCH_TIMES.len());
}

// [R-PUNCH-013] [R-PUNCH-014]
#[test]
fn attempts_differ_and_come_to_an_end() {
    let mut world = fresh(53);
    world.direct = false;
    world.connect(A, B, None);
    world.run(Duration::from_secs(120));
    for (host, kind) in [(A, 0x08), (B, 0x09)] {
        let mut bursts = 0;
        let mut before: Option<Instant> = None;
        for (at, _) in punched(&world, host, kind) {
            bursts += usize::from(before.is_none_or(|before| at - before > Duration::from_secs(2)));
            before = Some(at);
        }
        assert_eq!(bursts, 2, "of host {host}");
    }
    let attempts = world.hosts[A].events.iter().filter_map(|(_, event)| event.get("attempt"));
    let attempts: Vec<_> = attempts.map(|attempt| (attempt["strategy"].as_u64(), attempt["width"].as_u64())).collect();
    // Low TTL, plain, low TTL.
    assert_eq!(attempts, [(3, 2), (0, 0), (3, 3), (3, 4)].map(|(strategy, width)| (Some(strategy), Some(width))));
    assert!(world.told(A, "not-direct", "filtered"));
}

// [R-PUNCH-004] [R-PUNCH-009]
#[test]
fn a_private_endpoint_is_tried_with_evidence_only_and_the_impossible_never() {
    let interface = |text: &str, prefix| Interface { address: text.parse().unwrap(), prefix };
    for shared in [false, true] {
        let mut world = fresh(54);
        let own = world.hosts[A].address;
        let of_b = vec![
            interface("192.168.7.7", 24),
            interface("127.0.0.1", 8),
            Interface { address: own, prefix: 24 },
            interface("18.181.0.31", 24),
        ];
        world.inject(B, Kept::Interfaces(of_b));
        if shared {
            world.inject(
                A,
                Kept::Interfaces(vec![Interface { address: own, prefix: 24 }, interface("192.168.7.1", 24)]),
            );
        }
        world.run(Duration::from_secs(3));
        world.connect(A, B, None);
        world.run(Duration::from_secs(3));
        let to = |text: &str| {
            let remote: Endpoint = text.parse().unwrap();
            world.hosts[A].sent.iter().any(|(_, to, _)| *to == remote)
        };
        assert_eq!(to("192.168.7.7:4321"), shared);
        assert!(!to("127.0.0.1:4321") && !to(&Endpoint::new(own, 4321).to_string()) && !to("18.181.0.31:4321"));
        assert!(world.told(A, "established", ""));
    }
}

// [R-PUNCH-006] [R-PUNCH-007] [R-PUNCH-008] [R-WIRE-013]
#[test]
fn forged_answers_are_tried_eight_times_and_the_true_one_comes_through_the_server() {
    let mut world = fresh(55);
    world.connect(A, B, None);
    let answered = |world: &World| !punched(world, B, 0x09).is_empty();
    assert!(world.run_until(Duration::from_secs(5), answered));
    let (_, octets) = punched(&world, B, 0x09)[0].clone();
    let Ok(Packet::PunchReply(reply)) = Packet::decode(&octets) else { panic!("a PunchReply") };
    let forge = |message_2: &[u8], sealed: &[u8]| {
        Packet::PunchReply(PunchReply { session: reply.session, message_2, sealed }).encode()
    };
    let mut message_2 = reply.message_2.to_vec();
    message_2[0] ^= 1;
    let reset = [0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(deliver(&mut world, A, STRANGER, &forge(reply.message_2, &reset)), Some(Discard::KindUnknown));
    let mut spoilt = reply.sealed.to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    assert_eq!(deliver(&mut world, A, STRANGER, &forge(reply.message_2, &spoilt)), Some(Discard::DecryptFailed));
    for _ in 0..7 {
        let forged = forge(&message_2, reply.sealed);
        assert_eq!(deliver(&mut world, A, STRANGER, &forged), Some(Discard::HandshakeFailed));
    }
    assert_eq!(deliver(&mut world, A, STRANGER, &forge(&message_2, reply.sealed)), Some(Discard::OverLimit));
    assert_eq!(deliver(&mut world, A, STRANGER, &octets), Some(Discard::OverLimit));
    let strange = |world: &World| world.hosts[A].sent.iter().any(|(_, remote, _)| *remote == STRANGER.parse().unwrap());
    assert!(!strange(&world));
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "established", "")));
    let forged = forge(&message_2, reply.sealed);
    assert_eq!(deliver(&mut world, A, STRANGER, &forged), Some(Discard::HandshakeFailed));
    world.run(Duration::from_secs(5));
    assert!(!strange(&world) && world.told(A, "selected", "public"));
}

// [R-PUNCH-022] [R-PUNCH-025]
#[test]
fn a_path_is_selected_after_it_was_proved_and_carried_a_full_packet() {
    let (world, _) = direct(56);
    for host in [A, B] {
        let at = |name: &str, state: &str| {
            let mut events = world.hosts[host].events.iter();
            let public = |event: &serde_json::Value| event[name]["path"]["kind"] == "public";
            events.position(|(_, event)| public(event) && (state.is_empty() || event[name]["state"] == state))
        };
        assert!(at("path", "proved").unwrap() < at("selected", "").unwrap());
    }
    let selected = world.hosts[A].events.iter().find(|(_, event)| event["selected"]["path"]["kind"] == "public");
    let full = punched(&world, A, 0x0a).into_iter().find(|(_, octets)| octets.len() == MAX_PEER_PACKET);
    assert!(full.expect("a full packet").0 < selected.unwrap().0);
}

// [R-PUNCH-024] [R-RELAY-016]
#[test]
fn nothing_is_lost_while_data_changes_from_the_relay_to_the_path() {
    let mut world = fresh(57);
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "established", "")));
    let b = world.peer(B).snapshot().sessions[0].handle;
    let mut sent = 0u32;
    for _ in 0..100 {
        let octets = sent.to_be_bytes();
        world.command(A, PeerCommand::Send { session, datagram: &octets }).unwrap();
        world.command(B, PeerCommand::Send { session: b, datagram: &octets }).unwrap();
        sent += 1;
        world.run(Duration::from_millis(5));
    }
    world.run(Duration::from_secs(1));
    for host in [A, B] {
        let relayed = world.hosts[host].sent.iter().any(|(_, _, octets)| octets[0] == 0x0b && octets.len() > 30);
        assert!(relayed && world.told(host, "selected", "public"), "it went both ways");
        assert_eq!(world.hosts[host].datagrams.iter().collect::<BTreeSet<_>>().len(), sent as usize);
    }
}

// [R-KEEP-005] [R-PUNCH-019] [R-PUNCH-020] [R-PUNCH-021]
#[test]
fn a_packet_from_another_source_makes_a_path_of_its_own_and_moves_nothing() {
    let (mut world, _) = direct(58);
    let selected = world.peer(B).snapshot().sessions[0].selected;
    // A's next keepalive is caught and comes to B from elsewhere first.
    let before = punched(&world, A, 0x0a).len();
    assert!(world.run_until(Duration::from_secs(20), |world| punched(world, A, 0x0a).len() > before));
    let (_, check) = punched(&world, A, 0x0a).pop().unwrap();
    let (replies, sent) = (punched(&world, B, 0x0a).len(), world.hosts[B].sent.len());
    assert_eq!(deliver(&mut world, B, STRANGER, &check), None);
    let stranger: Endpoint = STRANGER.parse().unwrap();
    let answers: Vec<_> = world.hosts[B].sent[sent..].to_vec();
    assert!(!answers.is_empty() && answers.iter().all(|(_, remote, _)| *remote == stranger));
    assert!(world.told(B, "path", STRANGER));
    // The answer, caught and brought to A from elsewhere, proves nothing there.
    assert_eq!(punched(&world, B, 0x0a).len(), replies);
    assert_eq!(world.peer(B).snapshot().sessions[0].selected, selected);
    world.run(Duration::from_secs(5));
    assert_eq!(world.peer(B).snapshot().sessions[0].selected, selected);
    let octets: usize = world.hosts[B].sent.iter().filter(|(_, to, _)| *to == stranger).map(|(.., o)| o.len()).sum();
    assert!(octets <= 3 * check.len(), "{octets} for {}", check.len());
}

// [R-KEEP-016]
#[test]
fn an_authentic_packet_from_where_no_peer_can_be_is_not_answered() {
    let (mut world, _) = direct(64);
    let before = punched(&world, A, 0x0a).len();
    assert!(world.run_until(Duration::from_secs(20), |world| punched(world, A, 0x0a).len() > before));
    let (_, check) = punched(&world, A, 0x0a).pop().unwrap();
    let (sent, snapshot) = (world.hosts[B].sent.len(), world.peer(B).snapshot());
    let (own, server) = (world.hosts[B].address, world.hosts[SERVER].address);
    let impossible = [
        format!("{own}:4321"),
        format!("{server}:{DEFAULT_PORT}"),
        "255.255.255.255:9".into(),
        "224.0.0.1:9".into(),
        "127.0.0.1:9".into(),
        "203.0.113.9:0".into(),
    ];
    for source in &impossible {
        assert_eq!(deliver(&mut world, B, source, &check), Some(Discard::SourceWrong), "{source}");
    }
    assert_eq!((world.hosts[B].sent.len(), world.peer(B).snapshot()), (sent, snapshot));
    // It was not used up.
    assert_eq!(deliver(&mut world, B, STRANGER, &check), None);
}

// [R-PUNCH-019] [R-PUNCH-020]
#[test]
fn a_nonce_counts_on_the_path_that_it_was_sent_on() {
    let mut patient = peer_config(2, UDP);
    patient.keepalive = Duration::from_secs(20);
    let mut world = World::new(59, peer_config(1, UDP), patient);
    world.run(Duration::from_secs(3));
    world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "selected", "public")));
    world.run(Duration::from_secs(1));
    let before = punched(&world, B, 0x0a).len();
    // The answer to A's keepalive, which holds nothing but the PathReply.
    assert!(world.run_until(Duration::from_secs(20), |world| punched(world, B, 0x0a).len() > before));
    let (_, packet) = punched(&world, B, 0x0a).pop().unwrap();
    let paths = world.peer(A).snapshot().sessions[0].paths.len();
    let discard = deliver(&mut world, A, STRANGER, &packet);
    assert_eq!(discard, Some(Discard::NonceWrongSource));
    assert_eq!(world.peer(A).snapshot().sessions[0].paths.len(), paths);
    let source = Endpoint::new(world.hosts[B].address, 4321).to_string();
    // The window is as it was: the true copy counts, once.
    assert_eq!(deliver(&mut world, A, &source, &packet), None);
    assert_eq!(deliver(&mut world, A, &source, &packet), Some(Discard::Replayed));
}

// [R-KEEP-001] [R-KEEP-002]
#[test]
fn an_idle_path_is_checked_and_a_used_one_is_not() {
    let fixed = |number| PeerConfig { adapt_keepalive: false, ..peer_config(number, UDP) };
    let mut world = World::new(60, fixed(1), fixed(2));
    world.run(Duration::from_secs(3));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "selected", "public")));
    world.run(Duration::from_secs(1));
    let b = world.peer(B).snapshot().sessions[0].handle;
    let count = |world: &World| punched(world, A, 0x0a).len() + punched(world, B, 0x0a).len();
    let before = count(&world);
    for _ in 0..12 {
        world.command(A, PeerCommand::Send { session, datagram: b"x" }).unwrap();
        world.command(B, PeerCommand::Send { session: b, datagram: b"y" }).unwrap();
        world.run(Duration::from_secs(5));
    }
    assert_eq!(count(&world), before + 24, "data and nothing else");
    let before = punched(&world, A, 0x0a).len();
    world.run(KEEPALIVE * 4);
    let checks = punched(&world, A, 0x0a).len() - before;
    assert!((3..=8).contains(&checks), "{checks}");
    assert!(!world.told(A, "path-lost", ""));
}

// [R-KEEP-004]
#[test]
fn no_data_goes_where_nothing_came_from_for_long_however_rarely_the_path_is_checked() {
    let mut config = peer_config(1, UDP);
    config.keepalive = Duration::from_secs(500);
    config.relay = RelayPolicy::Never;
    let mut world = World::new(61, config, peer_config(2, UDP));
    world.run(Duration::from_secs(3));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "selected", "public")));
    world.run(Duration::from_secs(1));
    world.hosts[B].up = false;
    let begin = world.now;
    for _ in 0..50 {
        let _ = world.command(A, PeerCommand::Send { session, datagram: b"anybody there" });
        world.run(Duration::from_secs(1));
    }
    let last = punched(&world, A, 0x0a).pop().unwrap().0;
    assert!(last - begin <= CONSENT, "{:?}", last - begin);
}

// [R-INTRO-002]
#[test]
fn each_session_has_its_own_id_and_its_own_handshake() {
    let mut world = fresh(62);
    world.connect(A, B, None);
    world.connect(A, B, None);
    world.run(Duration::from_secs(3));
    let punches = punched(&world, A, 0x08);
    let ids: BTreeSet<_> = punches.iter().map(|(_, octets)| octets[2..10].to_vec()).collect();
    let proofs: BTreeSet<_> = punches.iter().map(|(_, octets)| octets[18..34].to_vec()).collect();
    assert_eq!((ids.len(), proofs.len()), (2, 2));
}

// [R-INTRO-017]
#[test]
fn a_second_session_takes_the_place_of_the_first_once_it_is_established() {
    let (mut world, first) = direct(63);
    world.hosts[A].events.clear();
    world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "closed", "superseded")));
    let position = |name: &str| world.hosts[A].events.iter().position(|(_, event)| event.get(name).is_some()).unwrap();
    assert!(position("established") < position("closed"));
    assert_eq!(world.hosts[A].events[position("closed")].1["closed"]["session"], first.0);
    world.run(Duration::from_secs(1));
    assert!(world.told(B, "closed", "superseded"));
}

// [R-INTRO-009] [R-INTRO-014]
#[test]
fn who_is_not_wanted_is_refused_without_a_reason() {
    let mut shy = peer_config(2, UDP);
    shy.accept = Accept::Only(vec![]);
    let mut world = World::new(64, peer_config(1, UDP), shy);
    world.run(Duration::from_secs(3));
    world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "closed", "\"refused\"")));
    assert!(world.hosts[B].events.iter().all(|(_, event)| event.get("introduced").is_none()));
}

// [R-INTRO-012] [R-INTRO-013] [R-SEC-006]
#[test]
fn a_responder_tells_nobody_of_a_session_whose_initiator_says_nothing() {
    let mut world = fresh(65);
    world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| !punched(world, B, 0x09).is_empty()));
    world.hosts[A].up = false;
    world.run(Duration::from_secs(40));
    let replies = punched(&world, B, 0x09);
    let messages: BTreeSet<_> = replies
        .iter()
        .map(|(_, octets)| match Packet::decode(octets) {
            Ok(Packet::PunchReply(reply)) => reply.message_2,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((replies.len(), messages.len()), (PUNCH_TIMES.len(), 1), "message 2 is written once");
    assert!(world.hosts[B].events.iter().all(|(_, event)| {
        event.get("introduced").is_none() && event.get("established").is_none() && event.get("closed").is_none()
    }));
    assert!(world.peer(B).snapshot().sessions.is_empty());
}

// [R-RELAY-007] [R-SESS-008] [R-WIRE-001]
#[test]
fn the_longest_datagram_fits_through_the_relay_and_one_octet_more_is_refused() {
    let mut config = peer_config(1, UDP);
    config.relay = RelayPolicy::Only;
    let mut world = World::new(66, config, peer_config(2, UDP));
    world.run(Duration::from_secs(3));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "established", "")));
    let datagram = [7; MAX_DATAGRAM + 1];
    assert_eq!(world.command(A, PeerCommand::Send { session, datagram: &datagram }), Err(CommandError::TooLong));
    world.command(A, PeerCommand::Send { session, datagram: &datagram[1..] }).unwrap();
    world.run(Duration::from_secs(1));
    assert_eq!(world.hosts[B].datagrams, [&datagram[1..]]);
    let longest =
        world.hosts[A].sent.iter().filter(|(.., octets)| octets[0] == 0x0b).map(|(.., octets)| octets.len()).max();
    assert_eq!(longest, Some(MAX_PEER_PACKET + 10));
}

// [R-SEC-034] [R-SEC-035]
#[test]
fn a_proved_path_and_the_relay_have_numbers_of_their_own_and_each_counts_from_zero() {
    let (mut world, session) = direct(67);
    for _ in 0..5 {
        world.command(A, PeerCommand::Send { session, datagram: b"x" }).unwrap();
        world.run(Duration::from_millis(100));
    }
    // By path number: the packet numbers that A used, and by which way.
    let mut used: std::collections::BTreeMap<u16, (Vec<u64>, BTreeSet<u8>)> = Default::default();
    for (_, remote, octets) in &world.hosts[A].sent {
        let sealed = match octets[0] {
            0x0a if remote.address() == world.hosts[B].address => &octets[..],
            0x0b => &octets[10..],
            _ => continue,
        };
        let counter = u64::from_be_bytes(sealed[8..16].try_into().unwrap());
        let entry = used.entry((counter >> 48) as u16).or_default();
        entry.0.push(counter & 0xffff_ffff_ffff);
        entry.1.insert(octets[0]);
    }
    assert!(used.len() >= 3, "{used:?}");
    for (path, (numbers, ways)) in used {
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "path {path}");
        assert_eq!(ways.len(), 1, "path {path}");
    }
}

// [R-SEC-005]
#[test]
fn no_key_is_used_for_longer_than_a_day() {
    let (mut world, _) = direct(68);
    let day = Duration::from_secs(86_400);
    let index = |octets: &[u8]| octets[4..8].to_vec();
    world.run(day + Duration::from_secs(60));
    for host in [A, B] {
        assert!(world.told(host, "closed", "keys-worn") && world.told(host, "offline", "keys-worn"));
        assert_eq!(world.peer(host).snapshot().bindings[0].state, "online");
        // An index stands for its keys: the first and the last packet to each.
        let mut used = std::collections::BTreeMap::<Vec<u8>, (Instant, Instant)>::new();
        for (at, _, octets) in world.hosts[host].sent.iter().filter(|(.., octets)| octets[0] == 0x0a) {
            used.entry(index(octets)).or_insert((*at, *at)).1 = *at;
        }
        assert!(used.values().any(|(first, last)| *last - *first > day / 2));
        assert!(used.values().all(|(first, last)| *last - *first <= day));
    }
}
