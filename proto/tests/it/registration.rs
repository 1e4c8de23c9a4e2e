//! A peer and its server: what goes out, and what is believed.

use std::collections::BTreeSet;

use pinhole_proto::wire::{Packet, Register, Registered};
use pinhole_proto::{Discard, Duration, Interface};

use crate::world::{A, B, Kept, World, peer_config};

const UDP: (bool, bool) = (true, false);

fn fresh(seed: u8) -> World {
    World::new(seed, peer_config(1, UDP), peer_config(2, UDP))
}

/// What A sent of one kind.
fn sent(world: &World, kind: u8) -> Vec<Vec<u8>> {
    let sent = world.hosts[A].sent.iter().filter(|(.., octets)| octets[0] == kind);
    sent.map(|(.., octets)| octets.clone()).collect()
}

fn register(octets: &[u8]) -> Register<'_> {
    match Packet::decode(octets) {
        Ok(Packet::Register(register)) => register,
        other => panic!("{other:?}"),
    }
}

/// A packet for A that says to come from the server.
fn from_server(world: &World, octets: Vec<u8>) -> Kept {
    let server = "18.181.0.31:4653".parse().unwrap();
    Kept::Datagram(pinhole_proto::SocketId(0), world.hosts[A].address, server, octets)
}

// [R-WIRE-040] [R-SEC-007]
#[test]
fn some_discovers_offer_a_version_that_nobody_knows_and_those_peers_register_like_all() {
    let mut greased = 0;
    for seed in 0..64 {
        let mut world = fresh(seed);
        world.run(Duration::from_secs(1));
        assert!(world.told(A, "online", ""));
        let packets = sent(&world, 0x06);
        let offered = register(&packets[0]).offered.as_slice().to_vec();
        assert_eq!(offered[0], 1);
        greased += usize::from(matches!(offered[1..], [0x0a | 0x1a]));
        assert!(offered.len() <= 2);
    }
    assert!((2..=20).contains(&greased), "{greased} of 64");
}

// [R-REG-001] [R-REG-002] [R-REG-015] [R-DISC-002]
#[test]
fn a_peer_whose_addresses_changed_registers_anew_with_nothing_of_the_old() {
    let mut world = fresh(1);
    world.run(Duration::from_secs(2));
    for last in 1..=3 {
        let address = [192, 168, 7, last].into();
        world.inject(A, Kept::Interfaces(vec![Interface { address, prefix: 24 }]));
        world.run(Duration::from_secs(2));
    }
    let registers = sent(&world, 0x06);
    assert_eq!(registers.len(), 4);
    let registers: Vec<_> = registers.iter().map(|octets| register(octets)).collect();
    // Two keys and two tags, and no payload.
    assert!(registers.iter().all(|register| register.message_1.len() == 96));
    assert_eq!(registers.iter().map(|register| register.index).collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(registers.iter().map(|register| &register.message_1[..32]).collect::<BTreeSet<_>>().len(), 4);
    let discovers = sent(&world, 0x04);
    assert!(discovers.len() >= 8, "{}", discovers.len());
    assert_eq!(discovers.iter().map(|octets| &octets[6..22]).collect::<BTreeSet<_>>().len(), discovers.len());
}

// [R-REG-003] [R-REG-004] [R-WIRE-013]
#[test]
fn one_packet_proves_and_refreshes_and_only_the_answer_to_the_own_register_counts() {
    let mut world = fresh(2);
    assert!(world.run_until(Duration::from_secs(1), |world| !sent(world, 0x06).is_empty()));
    let own = register(&sent(&world, 0x06)[0]).index;
    let mut index = own;
    index.0[0] ^= 1;
    let forged = Packet::Registered(Registered { index, message_2: &[7; 68], sealed: &[1; 40] }).encode();
    assert_eq!(world.inject(A, from_server(&world, forged)), Some(Discard::IndexUnknown));
    let forged = Packet::Registered(Registered { index: own, message_2: &[7; 68], sealed: &[1; 40] }).encode();
    assert_eq!(world.inject(A, from_server(&world, forged)), Some(Discard::HandshakeFailed));
    assert!(world.run_until(Duration::from_secs(1), |world| world.told(A, "online", "")));
    assert_eq!((sent(&world, 0x06).len(), sent(&world, 0x0a).len()), (1, 1));
}

// [R-DISC-009] [R-DISC-010] [R-DISC-011] [R-WIRE-015]
#[test]
fn a_forged_discovered_is_ignored_or_a_hint_or_ends_the_search() {
    let own = "155.99.25.11:4321";
    let forge = |world: &World, change: &dyn Fn(&mut pinhole_proto::wire::Discovered)| {
        let octets = sent(world, 0x04).pop().unwrap();
        let Ok(Packet::Discover(discover)) = Packet::decode(&octets) else { panic!("a Discover") };
        let key = pinhole_proto::noise::public_key(&pinhole_proto::noise::Dalek, &[9; 32]);
        let mut forged = pinhole_proto::wire::Discovered {
            transaction: discover.transaction,
            versions: pinhole_proto::wire::List::from_first([1]),
            observed: "192.0.2.66:6".parse().unwrap(),
            alternates: pinhole_proto::wire::List::default(),
            keys: pinhole_proto::wire::List::from_first([key]),
            cookie: [0; 16],
            dial_back: None,
        };
        change(&mut forged);
        from_server(world, Packet::Discovered(forged).encode())
    };
    let mut world = fresh(3);
    let stale = forge(&world, &|forged| forged.transaction[0] ^= 1);
    assert_eq!(world.inject(A, stale), Some(Discard::TransactionUnknown));
    let hint = forge(&world, &|_| {});
    assert_eq!(world.inject(A, hint), None);
    assert!(world.run_until(Duration::from_secs(1), |world| world.told(A, "online", "")));
    assert!(world.told(A, "online", own) && !world.told(A, "online", "192.0.2.66"));

    let mut world = fresh(4);
    let newer = forge(&world, &|forged| forged.versions = pinhole_proto::wire::List::from_first([2, 3]));
    assert_eq!(world.inject(A, newer), None);
    world.run(Duration::from_secs(5));
    assert!(world.told(A, "server-refused", "unsupported-version") && !world.told(A, "online", ""));
    let discover = from_server(&world, sent(&world, 0x04).pop().unwrap());
    assert_eq!(world.inject(A, discover), Some(Discard::WrongRole));
}

// [R-DISC-015]
#[test]
fn the_first_key_is_told_and_used_where_none_was_given() {
    let mut config = peer_config(1, UDP);
    let key = config.server_key.take().unwrap();
    let mut world = World::new(5, config, peer_config(2, UDP));
    world.run(Duration::from_secs(2));
    assert!(world.told(A, "server-key", &key.to_string()) && world.told(A, "online", ""));
}

// [R-DISC-017]
#[test]
fn the_mapping_of_a_binding_is_measured_at_the_servers_other_port() {
    let mut world = World::new(6, peer_config(1, (true, true)), peer_config(2, UDP));
    world.run(Duration::from_secs(3));
    let asked = |world: &World| world.hosts[A].sent.iter().filter(|(_, remote, _)| remote.port() == 4654).count();
    assert_eq!(asked(&world), 1);
    for binding in world.peer(A).snapshot().bindings {
        assert_eq!(binding.mapping, pinhole_proto::wire::code::Mapping::ENDPOINT_INDEPENDENT);
    }
}

// [R-REG-024] [R-REG-025] [R-REG-026]
#[test]
fn after_a_reset_a_peer_waits_at_random_for_less_than_a_tenth_of_the_interval() {
    let mut waits = BTreeSet::new();
    for seed in 10..15 {
        let mut world = fresh(seed);
        world.run(Duration::from_secs(2));
        let session = world.connect(A, B, None);
        assert!(world.run_until(Duration::from_secs(5), |world| world.told(A, "selected", "public")));
        world.restart_server();
        let reset = |world: &World| {
            let of_kind = |kept: &Kept| matches!(kept, Kept::Datagram(.., octets) if octets[0] == 0x0c);
            world.hosts[A].inputs.iter().find(|(_, kept)| of_kind(kept)).cloned()
        };
        assert!(world.run_until(Duration::from_secs(30), |world| reset(world).is_some()));
        let (at, kept) = reset(&world).unwrap();
        let before = sent(&world, 0x04).len();
        assert!(world.run_until(Duration::from_secs(3), |world| sent(world, 0x04).len() > before));
        let wait = world.now - at;
        assert!(wait <= Duration::from_millis(2_500), "{wait:?}");
        waits.insert(wait);
        assert_eq!(world.inject(A, kept), Some(Discard::IndexUnknown));
        assert!(!world.told(A, "closed", ""), "{session:?}");
    }
    assert!(waits.len() > 3, "{waits:?}");
}
