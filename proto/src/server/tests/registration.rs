use super::*;
use crate::server::UnregisterReason;

const A: &str = "198.51.100.7:7000";
const ATTACKER: &str = "192.0.2.66:6666";

// [R-DISC-004] [R-DISC-005] [R-DISC-006]
#[test]
fn discover_is_answered_from_the_port_asked_for_and_never_with_more_octets() {
    let mut world = World::new();
    let before = world.state();
    for (reply_from, socket) in [(0, MAIN), (1, ALTERNATE)] {
        world.datagram(endpoint(A), &discover(reply_from)).unwrap();
        let sent = world.sent.pop().unwrap();
        let Sent::Datagram(from, to, octets) = sent else {
            panic!("{sent:?}");
        };
        assert_eq!((from, to), (socket, endpoint(A)));
        assert!(octets.len() <= 200);
        let answer = discovered(&octets);
        assert_eq!((answer.transaction, answer.observed), ([3; 16], endpoint(A)));
        assert_eq!(answer.keys[0], public_key(&Dalek, &SERVER_SECRET));
    }
    // [R-DISC-007] Whoever only asked is not remembered.
    assert_eq!(world.state(), before);
}

// [R-DISC-005]
#[test]
fn discover_is_answered_from_the_address_asked_for_where_there_are_two() {
    let [main, second] = config(Limits::default()).addresses.unwrap();
    let ask = |world: &mut World, local, reply_from| {
        let payload = &discover(reply_from);
        world.input(Input::Datagram { socket: MAIN, local, remote: endpoint(A), payload })?;
        let sent = core::mem::take(&mut world.sent);
        let from = core::mem::take(&mut world.locals);
        match &sent[..] {
            [Sent::Datagram(socket, ..)] => Ok((*socket, from[0])),
            _ => panic!("{sent:?}"),
        }
    };
    let mut world = World::new();
    for (arrived, other) in [(main, second), (second, main)] {
        assert_eq!(ask(&mut world, arrived, 0), Ok((MAIN, Some(arrived))));
        assert_eq!(ask(&mut world, arrived, 1), Ok((ALTERNATE, Some(arrived))));
        assert_eq!(ask(&mut world, arrived, 2), Ok((MAIN, Some(other))));
        assert_eq!(ask(&mut world, arrived, 3), Ok((ALTERNATE, Some(other))));
    }
    // At an address of the machine that is neither of the two nobody knows which is meant.
    let third = endpoint("203.0.113.3:1").address();
    assert_eq!(ask(&mut world, third, 2), Err(Discard::MessageUnexpected));
    let mut alone = World::configured(ServerConfig { addresses: None, ..config(Limits::default()) });
    for reply_from in [2, 3] {
        assert_eq!(ask(&mut alone, main, reply_from), Err(Discard::MessageUnexpected));
    }
    alone.accept(1, endpoint(A)).unwrap();
    alone.frame(1, &discover(2)).unwrap();
    assert_eq!(alone.discarded(Discard::MessageUnexpected), 3);
}

// [R-DISC-018]
#[test]
fn the_alternates_told_are_of_the_askers_family() {
    let alternates = ["203.0.113.1:4654", "[2001:db8::1]:4654", "203.0.113.2:4653", "203.0.113.2:4654"];
    let alternates = alternates.map(endpoint).to_vec();
    let mut world = World::configured(ServerConfig { alternates, ..config(Limits::default()) });
    for (from, told) in [
        (A, &["203.0.113.1:4654", "203.0.113.2:4653", "203.0.113.2:4654"][..]),
        ("[2001:db8::7]:7000", &["[2001:db8::1]:4654"]),
    ] {
        world.datagram(endpoint(from), &discover(0)).unwrap();
        let answer = discovered(&only(world.to(endpoint(from))));
        assert_eq!(answer.alternates[..], told.iter().map(|text| endpoint(text)).collect::<Vec<_>>()[..]);
    }
}

// [R-REG-016] [R-REG-018]
#[test]
fn a_peer_registers_over_udp_with_one_round_trip_and_its_answer() {
    let mut world = World::new();
    let mut a = Client::udp(1, A);
    let register = a.register_packet([0; 16]);
    a.send(&mut world, &register).unwrap();
    assert!(world.server.snapshot().registrations.is_empty());
    let registered = only(a.received(&mut world));
    assert!(registered.len() <= 200, "{}", registered.len());
    let (id, check) = a.on_registered(&registered);
    assert_eq!(check.observed, endpoint(A));
    world.pass(Duration::from_millis(50));
    a.prove(&mut world, id, check).unwrap();
    let heard = a.hear(&mut world);
    let [Heard::Answer(1, Reply::Refreshed(refreshed))] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(*refreshed, Refreshed { lifetime: 120, interval: 25, observed: endpoint(A) });
    let snapshot = world.server.snapshot();
    assert_eq!(snapshot.registrations[0].peer, a.id);
    assert_eq!(snapshot.registrations[0].round_trip, 50_000);
    assert!(snapshot.pending.is_empty());
    assert_eq!(world.deadline, Some(world.now + Duration::from_secs(120)));
}

#[test]
fn a_peer_registers_over_tcp_and_lives_as_long_as_its_stream() {
    let mut world = World::new();
    let mut a = Client::registered_tcp(&mut world, 1, 1, A);
    world.pass(Duration::from_secs(1_000));
    assert_eq!(world.server.snapshot().registrations.len(), 1);
    a.ask(&mut world, Request::Refresh(a.refresh.clone())).unwrap();
    assert_eq!(a.hear(&mut world).len(), 1);
    world.stream(1, StreamInput::Closed(None)).unwrap();
    assert_eq!(
        world.events.last(),
        Some(&ServerEvent::Unregistered { peer: a.id, reason: UnregisterReason::StreamClosed })
    );
    assert!(world.server.snapshot().registrations.is_empty());
}

// [R-REG-007] [R-REG-008] [R-SEC-040]
#[test]
fn a_racing_copy_from_another_source_gains_nothing() {
    for attacker_first in [true, false] {
        let mut world = World::new();
        let mut a = Client::udp(1, A);
        let register = a.register_packet([0; 16]);
        let mut order = [endpoint(A), endpoint(ATTACKER)];
        if attacker_first {
            order.reverse();
        }
        for source in order {
            world.datagram(source, &register).unwrap();
        }
        let stolen = only(world.to(endpoint(ATTACKER)));
        let registered = only(a.received(&mut world));
        assert_eq!(world.server.snapshot().pending.len(), 1);
        // The attacker passes its copy of the answer on to the peer, whose proof then leaves from the peer.
        let (stolen_id, stolen_check) = a.on_registered(&stolen);
        assert_eq!(stolen_check.observed, endpoint(ATTACKER));
        let proof = a.path_reply(stolen_id, stolen_check);
        let packet = a.seal(&[proof]);
        assert_eq!(world.datagram(endpoint(A), &packet), Err(Discard::NonceWrongSource));
        // It was not entered: the attacker's own channel for it is the attacker's to use, the peer's proof works.
        let (id, check) = a.on_registered(&registered);
        assert_ne!(check.nonce, stolen_check.nonce);
        let proof = a.path_reply(id, check);
        let packet = a.seal(&[proof]);
        assert_eq!(world.datagram(endpoint(ATTACKER), &packet), Err(Discard::NonceWrongSource));
        world.datagram(endpoint(A), &packet).unwrap();
        let snapshot = world.server.snapshot();
        assert_eq!(snapshot.registrations[0].bindings[0].public, endpoint(A));
        // And a replay of the proof is a replay.
        assert_eq!(world.datagram(endpoint(ATTACKER), &packet), Err(Discard::Replayed));
    }
}

// [R-REG-005] [R-REG-006]
#[test]
fn a_fourth_source_of_one_message_1_is_refused_and_copies_share_their_message_2() {
    let mut world = World::new();
    let mut a = Client::udp(1, A);
    let register = a.register_packet([0; 16]);
    let mut seen = vec![];
    for source in ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"] {
        world.datagram(endpoint(source), &register).unwrap();
        let registered = only(world.to(endpoint(source)));
        let Packet::Registered(packet) = Packet::decode(&registered).unwrap() else {
            panic!();
        };
        seen.push(packet.message_2.to_vec());
    }
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
    assert_eq!(world.datagram(endpoint("192.0.2.4:1"), &register), Err(Discard::OverLimit));
}

// [R-REG-029] [R-SEC-020]
#[test]
fn a_lost_proof_is_asked_for_again_with_the_octets_that_the_peer_sent() {
    let mut world = World::new();
    let mut a = Client::udp(1, A);
    let register = a.register_packet([0; 16]);
    a.send(&mut world, &register).unwrap();
    let registered = only(a.received(&mut world));
    a.on_registered(&registered);
    a.refresh.private = List::default();
    let (mut came, mut went) = (register.len(), registered.len());
    let mut checks = vec![];
    for _ in 0..40 {
        let refresh = a.request(Request::Refresh(a.refresh.clone()));
        let packet = a.seal(&[refresh]);
        came += packet.len();
        world.datagram(endpoint(A), &packet).unwrap();
        for packet in a.received(&mut world) {
            went += packet.len();
            checks.extend(a.open(&packet));
        }
        assert!(went <= came, "{went} for {came}");
    }
    assert!(went > came - 100, "{went} for {came}");
    let Some(Heard::Request(id, Request::PathCheck(check))) = checks.last() else {
        panic!("{checks:?}");
    };
    a.prove(&mut world, *id, *check).unwrap();
    assert_eq!(world.server.snapshot().registrations.len(), 1);
}

// [R-REG-028] [R-DISC-012] [R-DISC-013]
#[test]
fn a_cookie_is_demanded_above_the_threshold_and_spares_the_handshake() {
    let limits = Limits { cookie_above: 3, ..Limits::default() };
    let mut world = World::with(limits);
    for number in 1..=3 {
        let mut client = Client::udp(number, &format!("192.0.2.{number}:1"));
        let register = client.register_packet([0; 16]);
        client.send(&mut world, &register).unwrap();
    }
    let mut late = Client::udp(9, A);
    let bare = late.register_packet([0; 16]);
    assert_eq!(late.send(&mut world, &bare), Err(Discard::CookieInvalid));
    assert_eq!(world.server.snapshot().pending.len(), 3);
    world.sent.clear();
    world.datagram(endpoint(A), &discover(0)).unwrap();
    let answer = only(world.to(endpoint(A)));
    let cookie = discovered(&answer).cookie;
    let with_cookie = late.register_packet(cookie);
    // Another port is another source.
    assert_eq!(world.datagram(endpoint("198.51.100.7:7001"), &with_cookie), Err(Discard::CookieInvalid));
    late.send(&mut world, &with_cookie).unwrap();
    assert_eq!(world.server.snapshot().pending.len(), 4);
    // A cookie is valid in its period and the next one.
    let mut again = Client::udp(10, A);
    let with_cookie = again.register_packet(cookie);
    world.pass(Duration::from_secs(121));
    for number in 1..=3 {
        let mut client = Client::udp(number, &format!("192.0.2.{number}:1"));
        let register = client.register_packet([0; 16]);
        client.send(&mut world, &register).unwrap();
    }
    assert_eq!(again.send(&mut world, &with_cookie), Err(Discard::CookieInvalid));
    // A stream needs none.
    world.accept(1, endpoint(A)).unwrap();
    let mut over_tcp = Client::new(11, Via::Tcp(1));
    let register = over_tcp.register_packet([0; 16]);
    over_tcp.send(&mut world, &register).unwrap();
    assert_eq!(world.on(1).len(), 1);
}

// [R-REG-009] [R-REG-017]
#[test]
fn a_pending_registration_lapses_and_a_registration_expires_unless_it_is_refreshed() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut b = Client::udp(2, "192.0.2.9:1");
    let register = b.register_packet([0; 16]);
    b.send(&mut world, &register).unwrap();
    world.pass(Duration::from_millis(9_999));
    assert_eq!(world.server.snapshot().pending.len(), 1);
    world.pass(Duration::from_millis(1));
    assert!(world.server.snapshot().pending.is_empty());
    world.pass(Duration::from_secs(100));
    a.ask(&mut world, Request::Refresh(a.refresh.clone())).unwrap();
    world.pass(Duration::from_secs(119));
    assert_eq!(world.server.snapshot().registrations.len(), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.events.last(), Some(&ServerEvent::Unregistered { peer: a.id, reason: UnregisterReason::Expired }));
    assert_eq!(world.deadline, None);
}

// [R-SESS-004]
#[test]
fn a_repeated_request_is_answered_alike_and_goodbye_is_acknowledged() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let repeat = Message::Request(1, Request::Refresh(a.refresh.clone()));
    let packet = a.seal(&[repeat]);
    a.send(&mut world, &packet).unwrap();
    assert!(matches!(a.hear(&mut world)[..], [Heard::Answer(1, Reply::Refreshed(_))]));
    assert_eq!(a.send(&mut world, &packet), Err(Discard::Replayed));
    a.ask(&mut world, Request::Unregister(crate::wire::control::Unregister {})).unwrap();
    assert!(matches!(a.hear(&mut world)[..], [Heard::Answer(_, Reply::Acknowledge(Acknowledge {}))]));
    assert!(world.server.snapshot().registrations.is_empty());
}

// [R-REG-010]
#[test]
fn the_newer_registration_of_a_key_wins_and_the_older_one_is_told() {
    let mut world = World::new();
    let mut old = Client::registered(&mut world, 1, A);
    let new = Client::registered(&mut world, 1, "192.0.2.200:2");
    assert!(matches!(old.hear(&mut world)[..], [Heard::Request(_, Request::Replaced(_))]));
    let snapshot = world.server.snapshot();
    assert_eq!(snapshot.registrations.len(), 1);
    assert_eq!(snapshot.registrations[0].bindings[0].public, endpoint("192.0.2.200:2"));
    // From the same endpoint it is the same peer: nobody is told.
    let mut again = Client::udp(1, "192.0.2.200:2");
    again.register(&mut world);
    assert_ne!(again.index, new.index);
    assert!(world.sent.is_empty());
}

// [R-REG-020] [R-REG-021] [R-REG-022] [R-REG-023]
#[test]
fn a_reset_carries_the_token_that_was_told_and_keeps_its_rate_and_its_shape() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut restarted = World::configured(ServerConfig { boot: 6, ..config(Limits::default()) });
    let refresh = a.request(Request::Refresh(a.refresh.clone()));
    let packet = a.seal(&[refresh]);
    for attempt in 0..12 {
        let expected = if attempt < 10 { Discard::IndexUnknown } else { Discard::OverLimit };
        assert_eq!(restarted.datagram(endpoint(A), &packet), Err(expected));
    }
    let resets = restarted.to(endpoint(A));
    assert_eq!(resets.len(), 10);
    let Packet::Reset(reset) = Packet::decode(&resets[0]).unwrap() else {
        panic!();
    };
    assert!(resets[0].len() < packet.len());
    assert_eq!((reset.index, reset.token), (a.index, a.token));
    assert_eq!(restarted.datagram(endpoint("192.0.2.1:1"), &resets[0]), Err(Discard::WrongRole));
    assert!(restarted.sent.is_empty());
}

// [R-REG-020] [R-REG-030]
#[test]
fn a_datagram_of_another_shard_is_handed_on_and_one_of_no_shard_is_reset() {
    let mut world = World::configured(ServerConfig { shards: 8, ..config(Limits::default()) });
    let mut a = Client::registered(&mut world, 1, A);
    let refresh = a.request(Request::Refresh(a.refresh.clone()));
    let mut packet = a.seal(&[refresh]);
    packet[4] = 7;
    world.datagram(endpoint(A), &packet).unwrap();
    let Some(&ServerEvent::Misdirected { shard: 7, socket: MAIN, local, remote, .. }) = world.events.last() else {
        panic!("{:?}", world.events);
    };
    assert_eq!((local, remote), (Some(endpoint("203.0.113.1:0").address()), endpoint(A)));
    assert!(world.sent.is_empty());
    // The start before had more engines.
    packet[4] = 8;
    assert_eq!(world.datagram(endpoint(A), &packet), Err(Discard::IndexUnknown));
    assert!(matches!(Packet::decode(&only(world.to(endpoint(A)))), Ok(Packet::Reset(_))));
}

// [R-REG-012]
#[test]
fn a_second_transport_is_bound_by_a_refresh_that_proves_it() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    world.accept(1, endpoint("198.51.100.7:7000")).unwrap();
    let mut tcp = a.clone();
    tcp.via = Via::Tcp(1);
    tcp.lane = Some(tcp.association.as_mut().unwrap().lane());
    tcp.ask(&mut world, Request::Refresh(a.refresh.clone())).unwrap();
    let heard = tcp.hear(&mut world);
    let [Heard::Request(id, Request::PathCheck(check))] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(world.server.snapshot().registrations[0].bindings.len(), 1);
    // The nonce counts only on the stream that it was sent on.
    let stray = a.path_reply(*id, *check);
    let stray = a.seal(&[stray]);
    assert_eq!(a.send(&mut world, &stray), Err(Discard::NonceWrongSource));
    let proof = tcp.path_reply(*id, *check);
    let proof = tcp.seal(&[proof]);
    tcp.send(&mut world, &proof).unwrap();
    assert!(matches!(tcp.hear(&mut world)[..], [Heard::Answer(_, Reply::Refreshed(_))]));
    let snapshot = world.server.snapshot();
    assert_eq!(snapshot.registrations[0].bindings.len(), 2);
    assert_eq!(snapshot.streams[0].peer, Some(a.id));
    // The stream goes, the registration stays.
    world.stream(1, StreamInput::Closed(None)).unwrap();
    assert_eq!(world.server.snapshot().registrations[0].bindings.len(), 1);
}

/// Refreshes from a new endpoint; returns the check that went there and the one to the old one.
fn refresh_elsewhere(world: &mut World, a: &mut Client, moved: bool) -> (Client, Vec<Heard>, Vec<Heard>) {
    let mut refresh = a.refresh.clone();
    refresh.moved = moved;
    refresh.private = List::from_first([endpoint("10.0.0.1:4000"), endpoint("10.0.0.2:4000")]);
    let request = a.request(Request::Refresh(refresh));
    let packet = a.seal(&[request]);
    let mut elsewhere = a.clone();
    elsewhere.via = Via::Udp(endpoint("198.51.100.7:9999"));
    elsewhere.send(world, &packet).unwrap();
    let sent = elsewhere.received(world);
    assert!(sent.iter().map(Vec::len).sum::<usize>() <= packet.len());
    let to_new = sent.iter().flat_map(|packet| a.open(packet)).collect();
    let to_old = a.hear(world);
    elsewhere.association = a.association.clone();
    (elsewhere, to_new, to_old)
}

fn check_of(heard: &[Heard]) -> (RequestId, PathCheck) {
    match heard {
        [Heard::Request(id, Request::PathCheck(check))] => (*id, *check),
        other => panic!("{other:?}"),
    }
}

fn public(world: &World) -> Endpoint {
    world.server.snapshot().registrations[0].bindings[0].public
}

// [R-REG-013]
#[test]
fn a_binding_moves_when_the_new_endpoint_answers_and_the_old_one_does_not() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let (elsewhere, to_new, to_old) = refresh_elsewhere(&mut world, &mut a, false);
    check_of(&to_old);
    let (id, check) = check_of(&to_new);
    let proof = a.path_reply(id, check);
    let proof = a.seal(&[proof]);
    elsewhere.send(&mut world, &proof).unwrap();
    world.pass(Duration::from_millis(999));
    assert_eq!(public(&world), endpoint(A));
    world.pass(Duration::from_millis(1));
    assert_eq!(public(&world), endpoint("198.51.100.7:9999"));
    let heard: Vec<_> = elsewhere.received(&mut world).iter().flat_map(|packet| a.open(packet)).collect();
    assert!(matches!(heard[..], [Heard::Answer(_, Reply::Refreshed(_))]));
}

// [R-SEC-020]
#[test]
fn an_unproved_endpoint_gets_no_more_octets_than_it_sent() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    a.refresh.private = List::default();
    let elsewhere = endpoint("198.51.100.7:9999");
    let (mut came, mut went) = (0, 0);
    for _ in 0..20 {
        let request = a.request(Request::Refresh(a.refresh.clone()));
        let packet = a.seal(&[request]);
        came += packet.len();
        world.datagram(elsewhere, &packet).unwrap();
        went += world.to(elsewhere).iter().map(Vec::len).sum::<usize>();
        assert!(went <= came, "{went} for {came}");
    }
    assert!(went > came - 100, "{went} for {came}");
}

// [R-REG-013]
#[test]
fn a_binding_stays_when_the_old_endpoint_answers() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let (elsewhere, to_new, to_old) = refresh_elsewhere(&mut world, &mut a, false);
    let (id, check) = check_of(&to_new);
    let proof = a.path_reply(id, check);
    let proof = a.seal(&[proof]);
    elsewhere.send(&mut world, &proof).unwrap();
    let (id, check) = check_of(&to_old);
    let proof = a.path_reply(id, check);
    let proof = a.seal(&[proof]);
    a.send(&mut world, &proof).unwrap();
    world.pass(Duration::from_secs(5));
    assert_eq!(public(&world), endpoint(A));
    // The refresh itself is granted where the peer is.
    let again = a.request(Request::Refresh(a.refresh.clone()));
    let again = a.seal(&[again]);
    a.send(&mut world, &again).unwrap();
    assert_eq!(a.hear(&mut world).len(), 1);
}

// [R-REG-013]
#[test]
fn a_peer_that_says_it_moved_is_believed_once_it_answers_there() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let (elsewhere, to_new, to_old) = refresh_elsewhere(&mut world, &mut a, true);
    assert!(to_old.is_empty());
    assert_eq!(public(&world), endpoint(A));
    let (id, check) = check_of(&to_new);
    let proof = a.path_reply(id, check);
    let proof = a.seal(&[proof]);
    elsewhere.send(&mut world, &proof).unwrap();
    assert_eq!(public(&world), endpoint("198.51.100.7:9999"));
}

// [R-REG-014] [R-SEC-040] [R-WIRE-014]
#[test]
fn many_refreshes_in_one_packet_bring_no_more_octets_than_the_packet_has() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut refresh = a.refresh.clone();
    refresh.private = List::default();
    let requests: Vec<_> = (0..40).map(|_| a.request(Request::Refresh(refresh.clone()))).collect();
    let packet = a.seal(&requests);
    world.datagram(endpoint(ATTACKER), &packet).unwrap();
    let sent = world.to(endpoint(ATTACKER));
    assert!(!sent.is_empty());
    assert!(sent.iter().map(Vec::len).sum::<usize>() <= packet.len());
}

#[test]
fn other_requests_from_an_unproved_source_are_discarded_without_a_trace() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let request = a.request(Request::Unregister(crate::wire::control::Unregister {}));
    let packet = a.seal(&[request]);
    let before = world.state();
    assert_eq!(world.datagram(endpoint(ATTACKER), &packet), Err(Discard::SourceWrong));
    assert_eq!(world.state(), before);
    assert!(world.sent.is_empty());
    a.send(&mut world, &packet).unwrap();
}

// [R-LIM-003] [R-WIRE-052] [R-TCP-009]
#[test]
fn streams_have_to_speak_soon_in_frames_and_in_order() {
    let mut world = World::new();
    world.accept(1, endpoint(A)).unwrap();
    world.stream(1, StreamInput::Received(&[0])).unwrap();
    world.pass(Duration::from_secs(5));
    assert_eq!(world.sent.pop(), Some(Sent::Close(StreamId(1), true)));
    assert_eq!(world.stream(1, StreamInput::Received(&[1])), Err(Discard::StreamUnknown));
    world.accept(3, endpoint(A)).unwrap();
    world.stream(3, StreamInput::Received(&[0, 0])).unwrap();
    assert_eq!(world.sent.pop(), Some(Sent::Close(StreamId(3), true)));
    // One that speaks and registers nobody is closed too.
    world.accept(5, endpoint(A)).unwrap();
    world.frame(5, &discover(0)).unwrap();
    assert_eq!(world.on(5).len(), 1);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.sent.pop(), Some(Sent::Close(StreamId(5), true)));
    let mut a = Client::registered_tcp(&mut world, 1, 7, A);
    let first = a.request(Request::Refresh(a.refresh.clone()));
    let _lost = a.seal(&[first]);
    a.ask(&mut world, Request::Refresh(a.refresh.clone())).unwrap();
    assert_eq!(world.sent.pop(), Some(Sent::Close(StreamId(7), true)));
    assert_eq!(world.discarded(Discard::StreamOutOfOrder), 1);
    assert!(world.server.snapshot().registrations.is_empty());
}

#[test]
fn shutdown_closes_streams_in_order_and_ends() {
    let mut world = World::new();
    let _a = Client::registered_tcp(&mut world, 1, 1, A);
    let mut b = Client::registered(&mut world, 2, "192.0.2.2:2");
    world.server.handle_command(world.now, ServerCommand::Shutdown).unwrap();
    world.drain();
    assert_eq!(world.sent, [Sent::Close(StreamId(1), false)]);
    assert_eq!(world.events.last(), Some(&ServerEvent::Stopped));
    assert_eq!(world.deadline, None);
    let refresh = Request::Refresh(b.refresh.clone());
    assert_eq!(b.ask(&mut world, refresh), Err(Discard::SocketUnknown));
}

// [R-SEC-001] [R-SEC-007] [R-SEC-008] [R-WIRE-040]
#[test]
fn a_peer_may_offer_what_nobody_knows_and_nobody_may_change_what_was_said() {
    let mut world = World::new();
    let mut greased = Client::udp(1, A);
    greased.lists.0 = List::from_first([1, 0x0a]);
    greased.register(&mut world);
    let mut deceived = Client::udp(2, "192.0.2.2:1");
    // Somebody told it of a version that this server does not have, or of none.
    for answered in [&[2, 1][..], &[]] {
        deceived.lists.1 = List::from_first(answered.iter().copied());
        let register = deceived.register_packet([0; 16]);
        assert_eq!(deceived.send(&mut world, &register), Err(Discard::HandshakeFailed));
    }
    // The list in clear is put right on the way, and what the peer believes is still another one.
    let mut offered = Client::udp(3, "192.0.2.3:1");
    offered.lists.0 = List::from_first([1, 2]);
    let mut register = offered.register_packet([0; 16]);
    assert_eq!(register[24..29], [2, 1, 2, 1, 1]);
    register[26] = 1;
    assert_eq!(offered.send(&mut world, &register), Err(Discard::HandshakeFailed));
    assert!(world.server.snapshot().pending.is_empty());
    assert_eq!(world.server.snapshot().registrations.len(), 1);
}

// [R-WIRE-015] [R-WIRE-014] [R-REG-022]
#[test]
fn what_only_a_peer_receives_is_no_packet_for_a_server() {
    let mut world = World::new();
    let message_2 = &[1; 48][..];
    let packets = [
        Packet::Registered(crate::wire::Registered { index: Index([0; 4]), message_2, sealed: &[0; 40] }).encode(),
        Packet::Punch(crate::wire::Punch { session: [0; 8], nonce: [0; 8], proof: [0; 16] }).encode(),
        Packet::PunchReply(crate::wire::PunchReply { session: [0; 8], message_2, sealed: &[0; 40] }).encode(),
        Packet::Reset(crate::wire::Reset { index: Index([0; 4]), token: [0; 16] }).encode(),
    ];
    for packet in packets {
        assert_eq!(world.datagram(endpoint(A), &packet), Err(Discard::WrongRole));
    }
    world.datagram(endpoint(A), &discover(0)).unwrap();
    let answer = only(world.to(endpoint(A)));
    assert_eq!(world.datagram(endpoint(A), &answer), Err(Discard::WrongRole));
    assert!(world.sent.is_empty());
}

// [R-WIRE-045] [R-WIRE-046]
#[test]
fn one_bad_message_discards_its_packet_and_one_that_is_out_of_place_only_itself() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut plaintext = vec![];
    a.request(Request::Refresh(a.refresh.clone())).encode(&mut plaintext);
    let good = plaintext.len();
    plaintext.extend([0x7f, 0, 4, 0, 0, 0, 0]);
    let before = world.state();
    let packet = a.association.as_mut().unwrap().seal_plaintext(None, &plaintext);
    assert_eq!(a.send(&mut world, &packet), Err(Discard::MessageUnexpected));
    assert_eq!(world.state(), before);
    assert!(world.sent.is_empty());
    plaintext.truncate(good);
    Message::Datagram(b"not for a server").encode(&mut plaintext);
    let packet = a.association.as_mut().unwrap().seal_plaintext(None, &plaintext);
    a.send(&mut world, &packet).unwrap();
    assert!(matches!(a.hear(&mut world)[..], [Heard::Answer(_, Reply::Refreshed(_))]));
    assert_eq!(world.discarded(Discard::MessageUnexpected), 2);
}
