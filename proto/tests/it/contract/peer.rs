//! The clauses of the engine's contract, held by a peer. Inputs are those of valid runs, mutated.

use pinhole_proto::peer::{Peer, PeerCommand, PeerEvent, PeerReply, PeerSnapshot};
use pinhole_proto::{Duration, Endpoint, Engine, Input, Transport};

use super::{Run, Subject, mutate_inputs, repeat, watch_deadlines};
use crate::world::{A, AnyEngine, B, Told, World, peer_config, told_by_peer};

impl Subject for Peer {
    type State = PeerSnapshot;

    fn state(&self) -> PeerSnapshot {
        let mut snapshot = self.snapshot();
        snapshot.discards.clear();
        // Punches that wait for their introduction are a bounded record of what was ignored.
        snapshot.early = 0;
        snapshot
    }

    fn told(event: PeerEvent<'_>) -> Told {
        told_by_peer(event)
    }
}

/// Registrations, a session over each transport, data, a keepalive, the end; at 2 % loss.
fn runs() -> Vec<Run<Peer>> {
    let mut runs = Vec::new();
    for (seed, transport) in [(11, Transport::Udp), (12, Transport::Tcp)] {
        let mut world = World::new(seed, peer_config(1, (true, true)), peer_config(2, (true, true)));
        world.loss = 50;
        world.run(Duration::from_secs(3));
        let session = world.connect(B, A, Some(transport));
        world.run(Duration::from_secs(2));
        // Commands are not part of the runs; A, the responder, needs none.
        let command = match transport {
            Transport::Udp => PeerCommand::Send { session, datagram: &[7; 900] },
            Transport::Tcp => PeerCommand::Write { session, octets: &[7; 9_000] },
        };
        world.command(B, command).unwrap();
        world.run(Duration::from_secs(40));
        world.command(B, PeerCommand::Close { session }).unwrap();
        world.run(Duration::from_secs(5));
        let AnyEngine::Peer(peer) = &world.hosts[A].initial else { panic!("a peer") };
        assert!(world.told(A, "established", ""));
        runs.push(Run { initial: (**peer).clone(), inputs: world.hosts[A].inputs.clone() });
    }
    runs
}

// [R-WIRE-014] [R-SEC-002]
#[test]
fn no_mutated_input_panics_and_an_ignored_one_changes_nothing() {
    let (accepted, ignored) = mutate_inputs(&runs(), 12);
    assert!(accepted >= ignored, "{accepted} accepted, {ignored} ignored");
    assert!(ignored > 500, "{ignored} ignored");
}

#[test]
fn a_timeout_before_the_deadline_changes_nothing_and_one_at_it_moves_it() {
    let deadlines = watch_deadlines(&runs());
    assert!(deadlines > 80, "{deadlines} deadlines");
}

#[test]
fn equal_configuration_seed_and_inputs_give_equal_octets() {
    repeat(&runs());
}

// [R-PUNCH-015]
#[test]
fn an_address_that_proves_nothing_gets_its_budget_and_no_more() {
    let mut world = World::new(21, peer_config(1, (true, false)), peer_config(2, (true, false)));
    world.run(Duration::from_secs(2));
    // B dies without a word, so that the server still introduces it and nothing answers.
    world.hosts[B].up = false;
    let begin = world.now;
    for _ in 0..2 {
        world.connect(A, B, None);
        world.run(Duration::from_secs(3));
    }
    let address = world.hosts[B].address;
    let sent = world.hosts[A].sent.iter().filter(|(at, remote, _)| *at >= begin && remote.address() == address);
    let (packets, octets) = sent.fold((0, 0), |(packets, octets), (.., payload)| (packets + 1, octets + payload.len()));
    assert!(packets > 5 && packets <= 12, "{packets} packets");
    assert!(octets <= 2_000, "{octets} octets");
}

// [R-SESS-008]
#[test]
fn commands_that_are_refused_change_nothing() {
    let mut world = World::new(22, peer_config(1, (true, false)), peer_config(2, (true, false)));
    world.run(Duration::from_secs(2));
    let own = world.id(A);
    let session = world.connect(A, B, None);
    let before = world.peer(A).snapshot();
    let refused = [
        PeerCommand::Connect { peer: own, transport: None },
        PeerCommand::Connect { peer: own, transport: Some(Transport::Tcp) },
        PeerCommand::Send { session, datagram: &[0; 2_000] },
        PeerCommand::Send { session, datagram: b"too early" },
        PeerCommand::Write { session, octets: b"no stream" },
        PeerCommand::Finish { session },
        PeerCommand::Close { session: pinhole_proto::peer::SessionHandle(99) },
    ];
    for command in refused {
        assert!(world.command(A, command).is_err(), "{command:?}");
        assert_eq!(world.peer(A).snapshot(), before);
    }
    assert_eq!(world.command(A, PeerCommand::Close { session }), Ok(PeerReply::Done));
}

// [R-LIM-004] [R-TCP-008]
#[test]
fn tables_stay_at_their_bounds_under_a_flood() {
    use pinhole_proto::constants::{MAX_EARLY_PUNCHES, MAX_SESSIONS, MAX_UNPROVED_STREAMS};
    use pinhole_proto::wire::{Packet, Punch};
    use pinhole_proto::{SocketId, StreamId};

    let mut world = World::new(23, peer_config(1, (true, true)), peer_config(2, (true, true)));
    world.run(Duration::from_secs(2));
    let AnyEngine::Peer(peer) = &mut world.hosts[A].engine else { panic!("a peer") };
    let now = world.now;
    let local: Endpoint = "155.99.25.11:4321".parse().unwrap();
    for number in 0..2_000u32 {
        let remote = Endpoint::new(number.to_be_bytes().into(), 7);
        let stream = StreamId(u64::from(number) * 2 + 100_001);
        let what = pinhole_proto::StreamInput::Accepted { socket: SocketId(1), local, remote };
        let _ = peer.handle_input(now, Input::Stream { stream, what });
        let mut session = [0; 8];
        session[..4].copy_from_slice(&number.to_be_bytes());
        let punch = Packet::Punch(Punch { session, nonce: [0; 8], proof: [0; 16] }).encode();
        let datagram = Input::Datagram { socket: SocketId(0), local: local.address(), remote, payload: &punch };
        assert!(peer.handle_input(now, datagram).is_err());
        let mut other = [0; 32];
        other[..4].copy_from_slice(&(number + 10).to_be_bytes());
        if let Ok(id) = pinhole_proto::PeerId::new(other) {
            let _ = peer.handle_command(now, PeerCommand::Connect { peer: id, transport: None });
        }
        peer.drain();
    }
    let snapshot = peer.snapshot();
    assert_eq!(snapshot.sessions.len(), MAX_SESSIONS);
    assert_eq!(snapshot.early, MAX_EARLY_PUNCHES);
    assert!(snapshot.streams <= MAX_UNPROVED_STREAMS + 4, "{}", snapshot.streams);
}

/// Clause 3: what is to be done at once is done, and not left as a deadline that has come already.
#[test]
fn a_change_of_interfaces_leaves_no_deadline_of_the_same_moment() {
    let mut world = World::new(24, peer_config(1, (true, true)), peer_config(2, (true, true)));
    world.run(Duration::from_secs(2));
    world.connect(A, B, None);
    world.run(Duration::from_secs(3));
    let now = world.now;
    let AnyEngine::Peer(peer) = &mut world.hosts[A].engine else { panic!("a peer") };
    let moved = [pinhole_proto::Interface { address: [192, 0, 2, 77].into(), prefix: 24 }];
    peer.handle_input(now, Input::Interfaces(&moved)).unwrap();
    let mut opened = 0;
    let deadline = loop {
        match peer.poll_output() {
            pinhole_proto::Output::Wait(at) => break at,
            pinhole_proto::Output::Transmit { .. } | pinhole_proto::Output::Dial { .. } => opened += 1,
            _ => {}
        }
    };
    assert!(opened >= 2, "it registers anew at once, over both transports");
    assert!(deadline.unwrap() > now, "{deadline:?}");
}
