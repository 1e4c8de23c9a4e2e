use super::*;
use crate::constants::{RELAY_FULL, RELAY_PAUSE};
use crate::wire::control::{Answer, RelayOpen};
use crate::wire::{ChannelId, Relayed};

const A: &str = "198.51.100.7:7000";
const B: &str = "192.0.2.9:900";
const SESSION: SessionId = [5; 8];

/// Introduces `a` to `b`, which accepts: the ids of their sides.
fn channel(world: &mut World, a: &mut Client, b: &mut Client) -> (ChannelId, ChannelId) {
    let own = a.introduced(world, b.id, SESSION).channel.unwrap();
    let heard = b.hear(world);
    let [Heard::Request(id, Request::Introduce(introduce))] = &heard[..] else {
        panic!("{heard:?}");
    };
    let message_2 = List::from_first([8; 48]);
    b.answer(world, *id, Reply::Answer(Answer { message_2 })).unwrap();
    let [Heard::Request(id, Request::Answered(_))] = a.hear(world)[..] else {
        panic!();
    };
    a.answer(world, id, Reply::Acknowledge(Acknowledge {})).unwrap();
    (own, introduce.channel.unwrap())
}

fn relayed(channel: ChannelId, content: &[u8]) -> Vec<u8> {
    Packet::Relayed(Relayed { channel, packet: content }).encode()
}

// [R-RELAY-005] [R-RELAY-006]
#[test]
fn a_packet_leaves_as_it_came_under_the_other_sides_name() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut b = Client::registered(&mut world, 2, B);
    let (at_a, at_b) = channel(&mut world, &mut a, &mut b);
    for content in [vec![1; 1], vec![2; 1_190]] {
        a.send(&mut world, &relayed(at_a, &content)).unwrap();
        assert_eq!(b.received(&mut world), [relayed(at_b, &content)]);
        b.send(&mut world, &relayed(at_b, &content)).unwrap();
        assert_eq!(a.received(&mut world), [relayed(at_a, &content)]);
    }
    let snapshot = world.server.snapshot();
    assert_eq!((snapshot.channels[0].packets, snapshot.channels[0].octets), (4, 2_382));
}

// [R-RELAY-003]
#[test]
fn only_the_endpoint_bound_to_a_side_may_use_it() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut b = Client::registered(&mut world, 2, B);
    let (at_a, at_b) = channel(&mut world, &mut a, &mut b);
    for (from, id, discard) in [
        ("203.0.113.99:1", at_a, Discard::SourceWrong),
        (A, at_b, Discard::SourceWrong),
        ("198.51.100.7:7001", at_a, Discard::SourceWrong),
        (A, ChannelId([0; 8]), Discard::ChannelUnknown),
    ] {
        assert_eq!(world.datagram(endpoint(from), &relayed(id, b"x")), Err(discard));
    }
    assert!(world.sent.is_empty());
}

// [R-RELAY-004]
#[test]
fn a_peer_that_does_not_want_a_channel_gets_nothing_through_it() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut b = Client::registered(&mut world, 2, B);
    let own = a.introduced(&mut world, b.id, SESSION).channel.unwrap();
    let heard = b.hear(&mut world);
    let [Heard::Request(_, Request::Introduce(introduce))] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(a.send(&mut world, &relayed(own, b"x")), Err(Discard::ChannelUnknown));
    assert!(world.sent.is_empty());
    // Using it is wanting it.
    b.send(&mut world, &relayed(introduce.channel.unwrap(), b"y")).unwrap();
    a.send(&mut world, &relayed(own, b"x")).unwrap();
    assert_eq!(b.received(&mut world).len(), 1);
}

// [R-RELAY-013] [R-RELAY-004]
#[test]
fn channels_meet_after_a_restart() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut b = Client::registered(&mut world, 2, B);
    let mut ids = vec![];
    for (client, other) in [(&mut a, b.id), (&mut b, public_key(&Dalek, &[1; 32]))] {
        let ask = RelayOpen { session: SESSION, peer: other, transport: Transports::UDP };
        client.ask(&mut world, Request::RelayOpen(ask)).unwrap();
        let heard = client.hear(&mut world);
        let [Heard::Answer(_, Reply::RelayOpened(opened))] = &heard[..] else {
            panic!("{heard:?}");
        };
        ids.push(opened.channel);
        assert_eq!(world.server.snapshot().channels.len(), 1);
        if ids.len() == 1 {
            // One side alone reaches nobody.
            assert_eq!(client.send(&mut world, &relayed(ids[0], b"x")), Err(Discard::ChannelUnknown));
            assert!(world.sent.is_empty());
        }
    }
    a.send(&mut world, &relayed(ids[0], b"x")).unwrap();
    assert_eq!(b.received(&mut world), [relayed(ids[1], b"x")]);
}

#[test]
fn channels_follow_a_binding_and_a_new_registration() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut b = Client::registered(&mut world, 2, B);
    let (at_a, at_b) = channel(&mut world, &mut a, &mut b);
    b.send(&mut world, &relayed(at_b, b"x")).unwrap();
    let moved = Client::registered(&mut world, 2, "192.0.2.77:1");
    world.sent.clear();
    a.send(&mut world, &relayed(at_a, b"x")).unwrap();
    assert_eq!(moved.received(&mut world).len(), 1);
    assert_eq!(b.send(&mut world, &relayed(at_b, b"x")), Err(Discard::SourceWrong));
}

// [R-RELAY-011]
#[test]
fn an_unused_channel_lives_30_seconds_and_a_used_one_120_after_its_last_packet() {
    let mut world = World::new();
    let mut a = Client::registered_tcp(&mut world, 1, 1, A);
    let mut b = Client::registered_tcp(&mut world, 2, 3, B);
    let (at_a, _) = channel(&mut world, &mut a, &mut b);
    world.pass(Duration::from_secs(29));
    a.send(&mut world, &relayed(at_a, b"x")).unwrap();
    world.pass(Duration::from_secs(119));
    a.send(&mut world, &relayed(at_a, b"x")).unwrap();
    world.pass(Duration::from_secs(119));
    assert_eq!(world.server.snapshot().channels.len(), 1);
    world.pass(Duration::from_secs(1));
    assert!(world.server.snapshot().channels.is_empty());
    assert!(world.events.contains(&ServerEvent::RelayClosed { a: a.id, b: b.id, octets: 2 }));
    a.introduced(&mut world, b.id, [6; 8]);
    world.pass(Duration::from_secs(30));
    assert!(world.server.snapshot().channels.is_empty());
}

// [R-RELAY-009]
#[test]
fn a_slow_stream_holds_up_who_sends_to_it_and_nothing_is_lost() {
    let mut world = World::new();
    let mut a = Client::registered_tcp(&mut world, 1, 1, A);
    let mut b = Client::registered_tcp(&mut world, 2, 3, B);
    let (at_a, at_b) = channel(&mut world, &mut a, &mut b);
    let unwritten = world.server.snapshot().streams[1].unwritten;
    world.stream(3, StreamInput::Written(unwritten as u32)).unwrap();
    // A's driver hands over 300 frames in one go, then, told to stop, one more.
    let content = |number: u16| [&number.to_be_bytes()[..], &[0; 998]].concat();
    let mut octets = vec![];
    for number in 0..300 {
        let packet = relayed(at_a, &content(number));
        octets.extend(frame_header(&packet));
        octets.extend(packet);
    }
    let (first, rest) = octets.split_at(100 * 1_012 + 7);
    world.stream(1, StreamInput::Received(first)).unwrap();
    assert!(!world.sent.contains(&Sent::Read(StreamId(1), false)));
    world.stream(1, StreamInput::Received(rest)).unwrap();
    assert_eq!(world.take(|sent| (*sent == Sent::Read(StreamId(1), false)).then_some(())), [()]);
    world.frame(1, &relayed(at_a, &content(300))).unwrap();
    let mut arrived = world.on(3);
    let in_flight = arrived.len() * 1_012;
    assert!((RELAY_PAUSE..=RELAY_FULL).contains(&in_flight), "{in_flight}");
    assert!(world.server.snapshot().streams[0].held_up);
    while world.server.snapshot().streams[0].held_up {
        world.stream(3, StreamInput::Written(50 * 1_012)).unwrap();
        arrived.extend(world.on(3));
    }
    assert_eq!(world.take(|sent| (*sent == Sent::Read(StreamId(1), true)).then_some(())).len(), 1);
    assert_eq!(arrived.len(), 301);
    for (number, packet) in (0..).zip(&arrived) {
        assert_eq!(*packet, relayed(at_b, &content(number)));
    }
}

// [R-RELAY-017]
#[test]
fn a_stream_that_takes_nothing_for_long_is_aborted_and_its_partner_reads_on() {
    let mut world = World::new();
    let mut a = Client::registered_tcp(&mut world, 1, 1, A);
    let mut b = Client::registered_tcp(&mut world, 2, 3, B);
    let (at_a, _) = channel(&mut world, &mut a, &mut b);
    for _ in 0..300 {
        a.send(&mut world, &relayed(at_a, &[0; 1_000])).unwrap();
    }
    world.sent.clear();
    world.pass(Duration::from_secs(30));
    assert!(world.sent.contains(&Sent::Close(StreamId(3), true)));
    assert!(world.sent.contains(&Sent::Read(StreamId(1), true)));
    let snapshot = world.server.snapshot();
    assert_eq!((snapshot.streams.len(), snapshot.streams[0].backlog), (1, 0));
    assert_eq!(snapshot.registrations.len(), 1);
}

#[test]
fn a_driver_that_reads_on_regardless_ends_the_stream_within_its_bound() {
    let mut world = World::new();
    let mut a = Client::registered_tcp(&mut world, 1, 1, A);
    let mut b = Client::registered_tcp(&mut world, 2, 3, B);
    let (at_a, _) = channel(&mut world, &mut a, &mut b);
    for _ in 0..1_000 {
        if a.send(&mut world, &relayed(at_a, &[0; 1_000])).is_err() {
            break;
        }
        let most = world.server.snapshot().streams.iter().map(|stream| stream.backlog).max();
        assert!(most <= Some(crate::engine::MAX_UNWRITTEN + 1_202));
    }
    assert!(world.sent.contains(&Sent::Close(StreamId(1), true)));
}

#[test]
fn control_messages_that_a_stream_does_not_take_end_it() {
    let mut world = World::new();
    let mut a = Client::registered_tcp(&mut world, 1, 1, A);
    for _ in 0..10_000 {
        let refresh = Request::Refresh(a.refresh.clone());
        if a.ask(&mut world, refresh).is_err() {
            break;
        }
    }
    assert!(world.sent.contains(&Sent::Close(StreamId(1), true)));
    assert!(world.server.snapshot().registrations.is_empty());
}

// [R-RELAY-014]
#[test]
fn no_channel_is_opened_for_who_does_not_want_one_or_where_none_are() {
    for (relays, wants) in [(true, true), (false, true), (true, false)] {
        let mut world = World::configured(ServerConfig { relay: relays, ..config(Limits::default()) });
        let mut a = Client::udp(1, A);
        a.refresh.relay = wants;
        a.register(&mut world);
        let b = Client::registered(&mut world, 2, B);
        let ask = RelayOpen { session: SESSION, peer: b.id, transport: Transports::UDP };
        a.ask(&mut world, Request::RelayOpen(ask)).unwrap();
        match &a.hear(&mut world)[..] {
            [Heard::Answer(_, Reply::RelayOpened(_))] => assert!(relays && wants),
            [Heard::Answer(_, Reply::Refuse(refuse))] => {
                assert_eq!(refuse.code, crate::wire::code::Refusal::RELAY_REFUSED);
                assert!(!(relays && wants));
            }
            heard => panic!("{heard:?}"),
        }
    }
}

// [R-RELAY-010]
#[test]
fn a_datagram_is_handed_on_at_once_and_none_is_kept() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let mut b = Client::registered(&mut world, 2, B);
    let (at_a, _) = channel(&mut world, &mut a, &mut b);
    for number in 0..200 {
        a.send(&mut world, &relayed(at_a, &[number; 1_000])).unwrap();
        assert_eq!(b.received(&mut world).len(), 1);
    }
}
