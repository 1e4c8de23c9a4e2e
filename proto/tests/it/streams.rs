//! Streams between peers, and what ends them.

use pinhole_proto::peer::{PeerCommand, RelayPolicy};
use pinhole_proto::wire::sealed::{Index, seal_packet};
use pinhole_proto::wire::{ChannelId, Packet, Relayed, frame_header};
use pinhole_proto::{Discard, Duration, Endpoint, NetError, SocketId, StreamId};

use crate::world::{A, B, Kept, SERVER, World, peer_config};

const TCP: (bool, bool) = (false, true);

fn ready(seed: u8) -> World {
    let mut world = World::new(seed, peer_config(1, TCP), peer_config(2, TCP));
    world.run(Duration::from_secs(3));
    assert!(world.told(A, "online", "") && world.told(B, "online", ""));
    world
}

fn frame(packet: &[u8]) -> Vec<u8> {
    [&frame_header(packet), packet].concat()
}

/// The latest frame that a host wrote which begins with this kind: its stream and its octets.
fn wrote(world: &World, host: usize, kind: u8) -> Option<(StreamId, Vec<u8>)> {
    let written = world.hosts[host].written.iter().rev();
    let mut found = written.filter(|(.., octets)| octets[2] == kind);
    found.next().map(|(_, stream, octets)| (*stream, octets[2..].to_vec()))
}

// [R-TCP-003] [R-TCP-006]
#[test]
fn both_dial_at_once_and_who_dialled_speaks_first() {
    let mut world = ready(41);
    let begin = world.now;
    let address = world.hosts[B].address;
    world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "selected", "public")));
    let dialled = world.hosts[A].dials.iter().find(|(_, remote)| remote.address() == address).expect("A dials B");
    // Introduced, and dialled at once.
    assert_eq!(dialled.0 - begin, world.delay * 2);
    let first = |host: usize, kind: u8| {
        let written = &world.hosts[host].written;
        let stream = written.iter().find(|(.., octets)| octets[2] == kind).map(|(_, stream, _)| *stream);
        written.iter().find(|(_, known, _)| Some(*known) == stream).map(|(.., octets)| octets[2])
    };
    // A's `Punch` or B's `PunchReply`, whichever of the two dials came first.
    assert!(first(A, 0x08) == Some(0x08) || first(B, 0x09) == Some(0x09));
}

// [R-TCP-007] [R-TCP-008]
#[test]
fn an_accepted_stream_hears_nothing_and_is_closed_when_it_says_nothing() {
    let mut world = ready(42);
    let local = Endpoint::new(world.hosts[A].address, 4321);
    let socket = SocketId(0);
    world.inject(A, Kept::Accepted(StreamId(9_001), socket, local, "203.0.113.9:9".parse().unwrap()));
    world.run(Duration::from_millis(4_999));
    let about = |world: &World| world.hosts[A].written.iter().any(|(_, stream, _)| *stream == StreamId(9_001));
    let closed = |world: &World| world.hosts[A].closed.iter().any(|(_, stream)| *stream == StreamId(9_001));
    assert!(!about(&world) && !closed(&world));
    world.run(Duration::from_millis(1));
    assert!(!about(&world) && closed(&world));
}

// [R-TCP-002]
#[test]
fn a_connection_to_oneself_is_aborted() {
    let mut world = ready(43);
    let own = Endpoint::new(world.hosts[A].address, 4321);
    assert_eq!(world.inject(A, Kept::Accepted(StreamId(9_001), SocketId(0), own, own)), Some(Discard::OverLimit));
    assert!(world.hosts[A].closed.iter().any(|(_, stream)| *stream == StreamId(9_001)));
}

// [R-TCP-004] [R-PUNCH-012]
#[test]
fn a_dial_that_fails_is_repeated_six_times_about_a_second_apart() {
    let mut world = ready(44);
    world.direct = false;
    let address = world.hosts[B].address;
    world.connect(A, B, None);
    world.run(Duration::from_secs(10));
    let mut dials = world.hosts[A].dials.iter().filter(|(_, remote)| remote.address() == address).map(|(at, _)| *at);
    let mut before = dials.next().expect("A dials B");
    let (begin, mut count) = (before, 1);
    for at in dials.filter(|at| *at - begin < Duration::from_secs(8)) {
        // The world takes two delays to say that a dial failed.
        let wait = at - before - world.delay * 2;
        assert!((Duration::from_millis(800)..=Duration::from_millis(1_200)).contains(&wait), "{wait:?}");
        (before, count) = (at, count + 1);
    }
    assert_eq!(count, 6);
}

// [R-TCP-004] [R-TCP-005]
#[test]
fn an_address_in_use_is_a_connection_that_exists_and_a_reset_is_dialled_again_soon() {
    let mut waits = Vec::new();
    for (error, about, seed) in [
        (NetError::AddressNotAvailable, 2_000, 47),
        (NetError::AddressInUse, 2_000, 47),
        (NetError::Reset, 200, 47),
        (NetError::Reset, 200, 48),
        (NetError::Reset, 200, 49),
    ] {
        let mut world = ready(seed);
        world.direct = false;
        world.connect(A, B, None);
        let dials = |world: &World| {
            let address = world.hosts[B].address;
            world.hosts[A].dials.iter().filter(|(_, remote)| remote.address() == address).count()
        };
        assert!(world.run_until(Duration::from_secs(5), |world| dials(world) == 1));
        let stream = world.hosts[A].dial.unwrap();
        let begin = world.now;
        world.inject(A, Kept::Failed(stream, error));
        assert!(world.run_until(Duration::from_secs(5), |world| dials(world) == 2));
        let wait = world.now - begin;
        assert!((about * 800..=about * 1_200).contains(&wait.as_micros()), "{error:?}: {wait:?}");
        assert!(!world.told(A, "closed", ""));
        waits.push(wait);
    }
    assert!(waits[2] != waits[3] && waits[3] != waits[4], "two sides must not keep step: {waits:?}");
}

// [R-TCP-009] [R-WIRE-045]
#[test]
fn a_stream_ends_with_what_does_not_open_and_goes_on_after_what_is_merely_wrong() {
    for (spoil, ends) in [(true, true), (false, false)] {
        let mut world = ready(45);
        let session = world.connect(A, B, None);
        assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "selected", "public")));
        world.run(Duration::from_secs(3));
        world.command(A, PeerCommand::Write { session, octets: b"one" }).unwrap();
        let (stream, mut packet) = wrote(&world, A, 0x0a).unwrap();
        world.run(Duration::from_secs(1));
        let closed = world.hosts[B].closed.len();
        let at_b = world.hosts[B].inputs.iter().rev().find_map(|(_, kept)| match kept {
            Kept::Received(stream, octets) if octets[2..] == packet => Some(*stream),
            _ => None,
        });
        let at_b = at_b.unwrap_or_else(|| panic!("{stream:?} leads to B"));
        if spoil {
            // The packet number that B expects next, under which this does not open.
            packet[15] += 1;
            world.inject(B, Kept::Received(at_b, frame(&packet)));
        } else {
            world.inject(B, Kept::Received(at_b, frame(&[0x08; 300])));
            world.inject(B, Kept::Received(at_b, frame(&[0x0a, 1, 0, 1, 0, 0, 0, 0])));
        }
        assert_eq!(world.hosts[B].closed.len() > closed, ends);
        world.command(A, PeerCommand::Write { session, octets: b"two" }).unwrap();
        world.run(Duration::from_secs(10));
        assert_eq!(world.hosts[B].stream, b"onetwo");
    }
}

// [R-RELAY-008] [R-TCP-009]
#[test]
fn what_another_peer_relays_does_not_cost_the_connection_to_the_server() {
    let mut config = peer_config(1, TCP);
    config.relay = RelayPolicy::Only;
    let mut world = World::new(46, config, peer_config(2, TCP));
    world.run(Duration::from_secs(3));
    let session = world.connect(A, B, None);
    assert!(world.run_until(Duration::from_secs(5), |world| world.told(B, "established", "")));
    world.command(A, PeerCommand::Write { session, octets: b"one" }).unwrap();
    world.run(Duration::from_secs(1));
    // What B got by the relay, and on which stream.
    let relayed = world.hosts[B].inputs.iter().rev().find_map(|(_, kept)| match kept {
        Kept::Received(stream, octets) if octets[2] == 0x0b => Some((*stream, octets[2..].to_vec())),
        _ => None,
    });
    let (stream, octets) = relayed.expect("B got something by the relay");
    let Ok(Packet::Relayed(Relayed { channel, packet })) = Packet::decode(&octets) else { panic!("Relayed") };
    let Ok(Packet::Sealed(sealed)) = Packet::decode(packet) else { panic!("Sealed") };
    let index = sealed.index;
    let forged = seal_packet(&[7; 32], index, sealed.counter + 1, b"no");
    let elsewhere = seal_packet(&[7; 32], Index([1; 4]), 0, b"no");
    let before = world.hosts[B].closed.len();
    let count = |world: &World, discard| world.peer(B).snapshot().discards.get(&discard).copied().unwrap_or(0);
    for (channel, packet, discard) in [
        (channel, &forged[..], Discard::DecryptFailed),
        (channel, &elsewhere[..], Discard::ChannelUnknown),
        (channel, &[0x0c, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], Discard::ChannelUnknown),
        (ChannelId([9; 8]), &forged[..], Discard::ChannelUnknown),
    ] {
        let had = count(&world, discard);
        let relayed = Packet::Relayed(Relayed { channel, packet }).encode();
        world.inject(B, Kept::Received(stream, frame(&relayed)));
        assert_eq!(count(&world, discard), had + 1, "{discard:?}");
    }
    assert_eq!(world.hosts[B].closed.len(), before);
    world.command(A, PeerCommand::Write { session, octets: b"two" }).unwrap();
    world.run(Duration::from_secs(1));
    assert_eq!(world.hosts[B].stream, b"onetwo");
    assert!(world.hosts[SERVER].up);
}
