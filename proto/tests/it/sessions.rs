//! Two peers and a server, from registration to the end.

use pinhole_proto::constants::STREAM_WINDOW;
use pinhole_proto::peer::{PeerCommand, PeerReply, RelayPolicy};
use pinhole_proto::{Duration, Transport};

use crate::world::{A, B, SERVER, World, peer_config};

const BOTH: (bool, bool) = (true, true);

fn ready(transports: (bool, bool)) -> World {
    let mut world = World::new(1, peer_config(1, transports), peer_config(2, transports));
    world.run(Duration::from_secs(2));
    assert!(world.told(A, "online", ""), "{:?}", world.peer(A).snapshot());
    assert!(world.told(B, "online", ""), "{:?}", world.peer(B).snapshot());
    world
}

// [R-INTRO-003] [R-PUNCH-005] [R-PUNCH-023]
#[test]
fn two_peers_meet_over_udp_in_one_hundred_milliseconds() {
    let mut world = ready((true, false));
    let begin = world.now;
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "path", "\"heard\"")));
    // A to S, S to B, B to A: three hops of 25 ms here, where the server is as far as everybody.
    assert_eq!(world.now - begin, Duration::from_millis(75));
    world.command(A, PeerCommand::Send { session, datagram: b"hello" }).unwrap();
    assert!(world.run_until(Duration::from_secs(5), |world| world.hosts[B].datagrams == [b"hello"]));
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "selected", "\"public\"")));
    assert!(world.told(A, "selected", "\"public\""));
}

// [R-SESS-009] [R-SESS-012] [R-SESS-017]
#[test]
fn two_peers_meet_over_tcp_and_the_stream_arrives_whole() {
    let mut world = ready((false, true));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(8), |world| world.told(A, "established", "")));
    let text: Vec<u8> = (0..700_000u32).map(|number| (number % 251) as u8).collect();
    let mut rest = text.as_slice();
    while !rest.is_empty() {
        let Ok(PeerReply::Written(taken)) = world.command(A, PeerCommand::Write { session, octets: rest }) else {
            panic!("refused");
        };
        rest = &rest[taken..];
        world.run(Duration::from_millis(100));
    }
    world.command(A, PeerCommand::Finish { session }).unwrap();
    assert!(world.run_until(Duration::from_secs(20), |world| world.told(B, "finished", "")));
    assert_eq!(world.hosts[B].stream, text);
    assert!(world.told(B, "selected", "\"public\""));
    world.run(Duration::from_secs(1));
    assert!(world.told(A, "acknowledged", "700000"));
}

#[test]
fn without_a_direct_way_the_relay_carries_both_services() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut config = peer_config(1, BOTH);
        config.relay = RelayPolicy::Only;
        let mut world = World::new(3, config, peer_config(2, BOTH));
        world.run(Duration::from_secs(2));
        let session = world.connect(A, B, Some(transport));
        assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "established", "")));
        match transport {
            Transport::Udp => {
                world.command(A, PeerCommand::Send { session, datagram: b"hello" }).unwrap();
            }
            Transport::Tcp => {
                world.command(A, PeerCommand::Write { session, octets: b"hello" }).unwrap();
            }
        }
        assert!(world.run_until(Duration::from_secs(5), |world| {
            world.hosts[B].datagrams == [b"hello"] || world.hosts[B].stream == b"hello"
        }));
        assert!(world.told(A, "not-direct", "relay-only"), "{:#?}", world.hosts[A].events);
        assert!(!world.told(A, "path", "public"));
    }
}

#[test]
fn one_hundred_sessions_become_direct_at_five_percent_loss() {
    for seed in 0..100 {
        let mut world = World::new(seed, peer_config(1, (true, false)), peer_config(2, (true, false)));
        world.loss = 20;
        assert!(world.run_until(Duration::from_secs(30), |world| {
            world.told(A, "online", "") && world.told(B, "online", "")
        }));
        world.connect(A, B, None);
        let direct = world.run_until(Duration::from_secs(10), |world| {
            world.told(A, "selected", "public") && world.told(B, "selected", "public")
        });
        assert!(direct, "seed {seed}: {:#?}", world.hosts[A].events);
    }
}

// [R-INTRO-016]
#[test]
fn glare_ends_with_one_session_for_both() {
    let mut world = ready((true, false));
    world.connect(A, B, None);
    world.connect(B, A, None);
    assert!(world.run_until(Duration::from_secs(5), |world| {
        world.told(A, "selected", "public") && world.told(B, "selected", "public")
    }));
    world.run(Duration::from_secs(20));
    for host in [A, B] {
        let established = world.hosts[host].events.iter().filter(|(_, event)| event.get("established").is_some());
        assert_eq!(established.count(), 1);
        assert!(!world.told(host, "closed", ""), "{:#?}", world.hosts[host].events);
        assert_eq!(world.peer(host).snapshot().sessions.len(), 1);
    }
}

// [R-REG-025] [R-RELAY-015]
#[test]
fn a_direct_session_outlives_the_server_and_the_registration_comes_back() {
    for transports in [(true, false), (false, true)] {
        let mut world = ready(transports);
        let session = world.connect(A, B, None);
        assert!(world.run_until(Duration::from_secs(8), |world| world.told(B, "selected", "public")));
        world.kill_server();
        world.run(Duration::from_secs(100));
        let send = |world: &mut World, octets: &[u8]| match transports.0 {
            true => world.command(A, PeerCommand::Send { session, datagram: octets }).map(drop),
            false => world.command(A, PeerCommand::Write { session, octets }).map(drop),
        };
        send(&mut world, b"still here").unwrap();
        assert!(world.run_until(Duration::from_secs(5), |world| {
            world.hosts[B].datagrams == [b"still here"] || world.hosts[B].stream == b"still here"
        }));
        world.hosts[A].events.clear();
        let begin = world.now;
        world.restart_server();
        let bound = if transports.0 { Duration::from_secs(25) } else { Duration::from_secs(1) };
        assert!(world.run_until(bound * 2, |world| world.told(A, "online", "")));
        assert!(world.now - begin <= bound, "{:?}", world.now - begin);
        assert!(!world.told(A, "closed", ""));
    }
}

// [R-SESS-011] [R-RELAY-013]
#[test]
fn a_relayed_stream_resumes_after_a_restart_and_loses_nothing() {
    let mut config = peer_config(1, (false, true));
    config.relay = RelayPolicy::Only;
    let mut world = World::new(5, config, peer_config(2, (false, true)));
    world.run(Duration::from_secs(2));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(8), |world| world.told(B, "established", "")));
    let text: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
    for (half, wait) in [(&text[..100_000], 60), (&text[100_000..], 10)] {
        let taken = world.command(A, PeerCommand::Write { session, octets: half });
        assert_eq!(taken, Ok(PeerReply::Written(half.len())));
        world.run(Duration::from_millis(wait));
    }
    world.kill_server();
    world.run(Duration::from_secs(3));
    assert_eq!(world.hosts[B].stream.len(), text.len() / 2, "the restart was in the middle");
    world.restart_server();
    assert!(world.run_until(Duration::from_secs(30), |world| world.hosts[B].stream.len() >= text.len()));
    assert_eq!(world.hosts[B].stream, text);
    world.run(Duration::from_secs(200));
    assert!(!world.told(A, "closed", ""), "{:#?}", world.hosts[A].events);
}

// [R-SESS-014] [R-SESS-021]
#[test]
fn a_window_that_opens_while_the_relay_is_away_is_asked_for() {
    let mut config = peer_config(1, (false, true));
    config.relay = RelayPolicy::Only;
    let mut world = World::new(5, config, peer_config(2, (false, true)));
    world.run(Duration::from_secs(2));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(8), |world| world.told(B, "established", "")));
    world.hosts[B].reads = false;
    let text: Vec<u8> = (0..STREAM_WINDOW as u32 + 1_000).map(|number| (number % 251) as u8).collect();
    let mut rest = text.as_slice();
    while !rest.is_empty() {
        let Ok(PeerReply::Written(taken)) = world.command(A, PeerCommand::Write { session, octets: rest }) else {
            panic!("the session is over");
        };
        rest = &rest[taken..];
        world.run(Duration::from_secs(1));
    }
    assert_eq!(world.hosts[B].stream, text[..STREAM_WINDOW], "B has no room for more");
    world.kill_server();
    world.run(Duration::from_secs(1));
    world.consume(B);
    world.run(Duration::from_secs(1));
    world.restart_server();
    assert!(world.run_until(Duration::from_secs(60), |world| world.hosts[B].stream.len() == text.len()));
    assert_eq!(world.hosts[B].stream, text);
}

// [R-INTRO-005]
#[test]
fn a_target_that_is_not_registered_is_refused() {
    let mut world = ready((true, false));
    let peer = pinhole_proto::noise::public_key(&pinhole_proto::noise::Dalek, &[200; 32]);
    world.command(A, PeerCommand::Connect { peer, transport: None }).unwrap();
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "closed", "not-registered")));
    assert!(world.peer(A).snapshot().sessions.is_empty());
}

// [R-SESS-020]
#[test]
fn closing_tells_the_other_side_and_leaves_nothing() {
    let mut world = ready((true, false));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(8), |world| world.told(B, "selected", "public")));
    world.command(A, PeerCommand::Close { session }).unwrap();
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "closed", "remote")));
    world.run(Duration::from_secs(10));
    for host in [A, B] {
        assert!(world.peer(host).snapshot().sessions.is_empty(), "{:#?}", world.peer(host).snapshot());
    }
}

// [R-SESS-020]
#[test]
fn a_responder_that_ends_a_session_before_it_heard_the_initiator_says_so() {
    for transports in [(true, false), (false, true)] {
        let mut world = ready(transports);
        world.connect(A, B, None);
        let keyed = |world: &World| world.peer(B).snapshot().sessions.iter().any(|session| session.state == "keyed");
        assert!(world.run_until(Duration::from_secs(5), keyed));
        let session = world.peer(B).snapshot().sessions[0].handle;
        world.command(B, PeerCommand::Close { session }).unwrap();
        assert!(world.run_until(Duration::from_secs(1), |world| world.told(A, "closed", "remote")));
        assert!(!world.told(B, "established", ""), "its application never heard of the session");
        world.run(Duration::from_secs(20));
        for host in [A, B] {
            assert!(world.peer(host).snapshot().sessions.is_empty(), "{:#?}", world.peer(host).snapshot());
        }
    }
}

// [R-KEEP-003]
#[test]
fn a_dead_peer_is_noticed_by_three_unanswered_checks() {
    let mut world = ready((true, false));
    world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(8), |world| world.told(B, "selected", "public")));
    world.hosts[B].up = false;
    let begin = world.now;
    assert!(world.run_until(Duration::from_secs(60), |world| world.told(A, "path-lost", "public")));
    let noticed = world.now - begin;
    assert!(noticed > Duration::from_secs(15) && noticed < Duration::from_secs(30), "{noticed:?}");
}

#[test]
fn a_session_follows_a_peer_whose_mapping_changed() {
    for (moves, stays) in [(A, B), (B, A)] {
        let mut world = ready((true, false));
        let session = world.connect(A, B, None);
        assert!(world.run_until(Duration::from_secs(8), |world| world.told(B, "selected", "public")));
        world.run(Duration::from_secs(5));
        // The NAT in front of one side begins anew; nothing finds back to the endpoint before.
        world.hosts[moves].address = [203, 0, 113, 77].into();
        let handle = |world: &World, host| match host {
            A => session,
            _ => world.peer(host).snapshot().sessions[0].handle,
        };
        let from = handle(&world, moves);
        world.command(moves, PeerCommand::Send { session: from, datagram: b"moved" }).unwrap();
        world.run(Duration::from_secs(1));
        assert_eq!(world.hosts[stays].datagrams, [b"moved"]);
        let back = handle(&world, stays);
        world.command(stays, PeerCommand::Send { session: back, datagram: b"found" }).unwrap();
        world.run(Duration::from_secs(1));
        assert_eq!(world.hosts[moves].datagrams, [b"found"], "{:#?}", world.peer(stays).snapshot());
    }
}

// [R-KEEP-006]
#[test]
fn a_relayed_session_that_nobody_uses_stays_and_a_dead_peer_ends_it() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut config = peer_config(1, BOTH);
        config.relay = RelayPolicy::Only;
        let mut world = World::new(6, config, peer_config(2, BOTH));
        world.run(Duration::from_secs(2));
        let session = world.connect(A, B, Some(transport));
        assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "established", "")));
        world.run(Duration::from_secs(600));
        let late = match transport {
            Transport::Udp => PeerCommand::Send { session, datagram: b"late" },
            Transport::Tcp => PeerCommand::Write { session, octets: b"late" },
        };
        world.command(A, late).unwrap();
        assert!(world.run_until(Duration::from_secs(5), |world| {
            world.hosts[B].datagrams == [b"late"] || world.hosts[B].stream == b"late"
        }));
        world.hosts[B].up = false;
        assert!(world.run_until(Duration::from_secs(200), |world| world.told(A, "closed", "lost")));
    }
}

#[test]
fn connecting_faster_than_the_server_allows_takes_longer_and_succeeds() {
    let mut world = ready((true, false));
    for number in 1..=5 {
        let session = world.connect(A, B, None);
        let established = world.run_until(Duration::from_secs(5), |world| {
            let mut sessions = world.peer(A).snapshot().sessions.into_iter();
            sessions.any(|known| known.handle == session && known.state == "established")
        });
        assert!(established, "connection {number}: {:#?}", world.hosts[A].events);
        world.command(A, PeerCommand::Close { session }).unwrap();
        world.run(Duration::from_millis(50));
    }
    assert!(!world.told(A, "closed", "limited"));
    let introductions = world.hosts[SERVER].events.iter().filter(|(_, event)| event.get("introduced").is_some());
    assert_eq!(introductions.count(), 5, "each was asked for once");
}

#[test]
fn sixty_sessions_asked_for_at_once_are_all_answered() {
    let mut world = ready((true, false));
    for number in 50..110 {
        let peer = pinhole_proto::noise::public_key(&pinhole_proto::noise::Dalek, &[number; 32]);
        world.command(A, PeerCommand::Connect { peer, transport: None }).unwrap();
    }
    world.run(Duration::from_secs(19));
    let refused = world.hosts[A].events.iter().filter(|(_, event)| event.to_string().contains("not-registered"));
    assert_eq!(refused.count(), 60);
}
