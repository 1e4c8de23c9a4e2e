//! What an attacker or an accident sends, each with its reason, and what it does not change.

use pinhole_proto::noise::{Dalek, public_key};
use pinhole_proto::wire::{Packet, Punch};
use pinhole_proto::{Discard, Duration, Endpoint};

use crate::world::{A, B, Kept, SERVER, World, peer_config};

const UDP: (bool, bool) = (true, false);

fn direct() -> World {
    let mut world = World::new(31, peer_config(1, UDP), peer_config(2, UDP));
    world.run(Duration::from_secs(2));
    world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "selected", "public")));
    world.run(Duration::from_secs(1));
    world
}

/// The datagrams that a host got so far, of one kind.
fn got(world: &World, host: usize, kind: u8) -> Vec<Kept> {
    let of_kind = |kept: &&Kept| matches!(kept, Kept::Datagram(.., octets) if octets[0] == kind);
    world.hosts[host].inputs.iter().map(|(_, kept)| kept).filter(of_kind).cloned().collect()
}

fn from(kept: &Kept, source: &str) -> Kept {
    let Kept::Datagram(socket, local, _, octets) = kept else { panic!("a datagram") };
    Kept::Datagram(*socket, *local, source.parse().unwrap(), octets.clone())
}

fn changed(kept: &Kept, at: usize) -> Kept {
    let Kept::Datagram(socket, local, remote, octets) = kept else { panic!("a datagram") };
    let mut octets = octets.clone();
    octets[at] ^= 1;
    Kept::Datagram(*socket, *local, *remote, octets)
}

// [R-SEC-036] [R-PUNCH-010]
#[test]
fn every_replayed_packet_is_ignored_from_wherever_it_comes() {
    let mut world = direct();
    for host in [A, B] {
        let before = world.peer(host).snapshot();
        let sealed = got(&world, host, 0x0a);
        assert!(sealed.len() > 3);
        for kept in &sealed {
            for kept in [kept.clone(), from(kept, "203.0.113.9:9")] {
                let discard = world.inject(host, kept).expect("ignored");
                assert!(matches!(discard, Discard::Replayed | Discard::SourceWrong), "{discard:?}");
            }
        }
        assert_eq!(world.peer(host).snapshot(), before);
    }
}

// [R-PUNCH-002] [R-PUNCH-003] [R-PUNCH-010]
#[test]
fn a_forged_punch_is_ignored_and_a_replayed_one_makes_no_path() {
    let mut world = direct();
    let punch = got(&world, B, 0x08).pop().expect("A punched");
    // The proof begins behind kind, version, session id and nonce.
    assert_eq!(world.inject(B, changed(&punch, 18)), Some(Discard::ProofWrong));
    assert_eq!(world.inject(B, changed(&punch, 2)), Some(Discard::SessionUnknown));
    let selected = world.peer(B).snapshot().sessions[0].selected;
    let stranger: Endpoint = "203.0.113.9:9".parse().unwrap();
    let sent = world.hosts[B].sent.len();
    assert_eq!(world.inject(B, from(&punch, "203.0.113.9:9")), None);
    let answer: Vec<_> = world.hosts[B].sent[sent..].to_vec();
    assert!(answer.iter().all(|(_, remote, octets)| *remote == stranger && octets.len() <= 256), "no amplification");
    world.run(Duration::from_secs(20));
    let session = &world.peer(B).snapshot().sessions[0];
    assert_eq!(session.selected, selected);
    assert!(!world.told(B, "path", "203.0.113.9"), "nothing authentic came from there");
}

#[test]
fn a_forged_answer_does_not_stop_the_true_one() {
    let mut world = World::new(32, peer_config(1, UDP), peer_config(2, UDP));
    world.run(Duration::from_secs(2));
    world.connect(A, B, None);
    // A's punch shows the session id to whoever listens on the way.
    assert!(world.run_until(Duration::from_secs(5), |world| {
        world.hosts[A].sent.iter().any(|(_, _, octets)| octets[0] == 0x08)
    }));
    let (_, _, punch) = world.hosts[A].sent.iter().find(|(_, _, octets)| octets[0] == 0x08).cloned().unwrap();
    let Ok(Packet::Punch(Punch { session, .. })) = Packet::decode(&punch) else { panic!("a punch") };
    let index = [0; 4];
    for number in 0..20u8 {
        let mut forged = vec![0x09, 1];
        forged.extend(session);
        forged.extend([0, 60]);
        forged.extend([number; 60]);
        forged.extend([0x0a, 1, 0, 0]);
        forged.extend(index);
        forged.extend([0; 40]);
        let local = world.hosts[A].address;
        let kept = Kept::Datagram(pinhole_proto::SocketId(0), local, "203.0.113.9:9".parse().unwrap(), forged);
        assert_eq!(world.inject(A, kept), Some(Discard::IndexUnknown));
    }
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "selected", "public")));
}

#[test]
fn garbage_is_ignored_and_costs_nothing() {
    let mut world = direct();
    let before = world.peer(A).snapshot();
    let mut dice = 9u64;
    for _ in 0..20_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = (dice >> 40) as usize % 300;
        let mut octets: Vec<u8> = (0..length).map(|at| (dice >> (at % 56)) as u8 ^ at as u8).collect();
        if let Some(kind) = octets.first_mut() {
            *kind = (*kind % 12) + 4;
        }
        let local = world.hosts[A].address;
        let kept = Kept::Datagram(pinhole_proto::SocketId(0), local, "203.0.113.9:9".parse().unwrap(), octets);
        assert!(world.inject(A, kept).is_some());
        world.hosts[A].inputs.pop();
    }
    assert_eq!(world.peer(A).snapshot(), before);
}

// [R-REG-010] [R-REG-011]
#[test]
fn of_two_peers_with_one_key_the_older_is_told_and_stays_away() {
    let mut world = World::new(33, peer_config(1, UDP), peer_config(1, UDP));
    world.hosts[B].up = false;
    world.run(Duration::from_secs(2));
    assert!(world.told(A, "online", ""));
    world.hosts[B].up = true;
    let mut fresh = World::new(34, peer_config(3, UDP), peer_config(1, UDP));
    std::mem::swap(&mut world.hosts[B].engine, &mut fresh.hosts[B].engine);
    for kept in fresh.hosts[B].inputs.clone() {
        world.inject(B, kept.1);
    }
    world.run(Duration::from_secs(60));
    assert!(world.told(B, "online", ""), "{:#?}", world.hosts[B].events);
    assert_eq!(world.hosts[A].events.iter().filter(|(_, event)| event == "replaced").count(), 1);
    assert!(!world.hosts[B].events.iter().any(|(_, event)| event == "replaced"), "nor does the older come back");
}

// [R-DISC-014]
#[test]
fn another_server_key_than_the_one_expected_is_refused() {
    let mut config = peer_config(1, UDP);
    config.server_key = Some(public_key(&Dalek, &[99; 32]));
    let mut world = World::new(35, config, peer_config(2, UDP));
    world.run(Duration::from_secs(3));
    assert!(world.told(A, "server-refused", "key-differs"));
    assert!(!world.told(A, "online", ""));
}

#[test]
fn a_server_that_is_not_there_is_called_unreachable_and_found_when_it_comes() {
    let mut world = World::new(36, peer_config(1, (true, true)), peer_config(2, UDP));
    world.kill_server();
    world.run(Duration::from_secs(6));
    assert!(world.hosts[A].events.iter().any(|(_, event)| event == "server-unreachable"));
    world.restart_server();
    assert!(world.run_until(Duration::from_secs(10), |world| world.told(A, "online", "")));
}

// [R-REG-024]
#[test]
fn a_wrong_reset_does_not_end_a_registration() {
    let mut world = direct();
    let sealed =
        world.hosts[A].sent.iter().rev().find(|(_, remote, octets)| octets[0] == 0x0a && remote.port() == 4653);
    let (_, server, octets) = sealed.cloned().expect("A spoke to the server");
    let mut forged = vec![0x0c, 1];
    forged.extend(&octets[4..8]);
    forged.extend([0; 16]);
    let local = world.hosts[A].address;
    let kept = Kept::Datagram(pinhole_proto::SocketId(0), local, server, forged);
    assert_eq!(world.inject(A, kept.clone()), Some(Discard::TokenWrong));
    assert_eq!(world.inject(A, from(&kept, "203.0.113.9:9")), Some(Discard::SourceWrong));
    assert!(!world.told(A, "offline", ""));
}

// [R-WIRE-001]
#[test]
fn no_private_endpoint_is_sent_in_clear_and_no_packet_is_too_long() {
    let world = direct();
    for host in [SERVER, A, B] {
        for (_, _, octets) in &world.hosts[host].sent {
            assert!(octets.len() <= 1_200);
            let own = [155, 99, 25, 11, 0x10, 0xe1];
            assert!(!octets.windows(own.len()).any(|window| window == own), "{octets:02x?}");
        }
    }
}

// [R-SEC-004]
#[test]
fn a_configuration_that_is_printed_keeps_its_key() {
    let mut config = peer_config(0xab, UDP);
    config.server_key = None;
    let mut server = crate::world::server_config();
    server.secret = [0xab; 32];
    for text in [format!("{config:?}"), format!("{server:?}")] {
        assert!(!text.contains("171") && !text.contains("secret"), "{text}");
    }
}
