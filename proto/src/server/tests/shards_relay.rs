//! The relay between two engines.

use super::shards::{Cluster, Fault, SESSION};
use super::*;
use crate::constants::{FORWARD_WINDOW, RELAY_PAUSE, RELAY_STALL};
use crate::wire::control::{Answer, RelayOpen};
use crate::wire::{ChannelId, Relayed};

const A: &str = "198.51.100.7:7000";
const B: &str = "192.0.2.9:900";

fn relayed(channel: ChannelId, content: &[u8]) -> Vec<u8> {
    Packet::Relayed(Relayed { channel, packet: content }).encode()
}

/// A session of two peers, the responder of which accepted: their ids of its channel.
fn channel(cluster: &mut Cluster, a: &mut Client, b: &mut Client) -> (ChannelId, ChannelId) {
    a.connect(&mut cluster.worlds[0], b.id, SESSION);
    cluster.carry();
    let Heard::Answer(_, Reply::Introduced(introduced)) = only(a.hear(&mut cluster.worlds[0])) else {
        panic!();
    };
    let Heard::Request(id, Request::Introduce(introduce)) = only(b.hear(&mut cluster.worlds[1])) else {
        panic!();
    };
    let own = (introduced.channel.unwrap(), introduce.channel.unwrap());
    // [R-RELAY-004] Until it accepts, nothing reaches the responder.
    a.send(&mut cluster.worlds[0], &relayed(own.0, b"early")).unwrap();
    cluster.carry();
    assert!(b.received(&mut cluster.worlds[1]).is_empty());
    assert_eq!(cluster.worlds[1].discarded(Discard::ChannelUnknown), 1);
    let message_2 = List::from_first([8; 48]);
    b.answer(&mut cluster.worlds[1], id, Reply::Answer(Answer { message_2 })).unwrap();
    cluster.carry();
    let Heard::Request(id, Request::Answered(_)) = only(a.hear(&mut cluster.worlds[0])) else {
        panic!();
    };
    a.answer(&mut cluster.worlds[0], id, Reply::Acknowledge(Acknowledge {})).unwrap();
    own
}

fn streams(cluster: &mut Cluster) -> (Client, Client) {
    let [first, second] = &mut cluster.worlds;
    (Client::registered_tcp(first, 1, 1, A), Client::registered_tcp(second, 2, 3, B))
}

// [R-RELAY-005] [R-RELAY-006] [R-RELAY-018]
#[test]
fn a_packet_leaves_the_other_engine_as_it_came() {
    for over_tcp in [false, true] {
        let mut cluster = Cluster::new();
        let (mut a, mut b) = if over_tcp { streams(&mut cluster) } else { cluster.peers() };
        let (at_a, at_b) = channel(&mut cluster, &mut a, &mut b);
        for content in [vec![1; 1], vec![2; 1_190]] {
            a.send(&mut cluster.worlds[0], &relayed(at_a, &content)).unwrap();
            cluster.carry();
            assert_eq!(b.received(&mut cluster.worlds[1]), [relayed(at_b, &content)]);
            b.send(&mut cluster.worlds[1], &relayed(at_b, &content)).unwrap();
            cluster.carry();
            assert_eq!(a.received(&mut cluster.worlds[0]), [relayed(at_a, &content)]);
        }
        // Each engine tells of what its own peer sent.
        let [first, second] = cluster.worlds.each_ref().map(|world| world.server.snapshot().channels[0].octets);
        assert_eq!((first, second), (1_191 + 5, 1_191));
        assert!(
            cluster.worlds.iter().all(|world| world.events.contains(&ServerEvent::RelayOpened { a: a.id, b: b.id }))
        );
        // [R-RELAY-003]
        if !over_tcp {
            let stranger = cluster.worlds[0].datagram(endpoint("203.0.113.99:1"), &relayed(at_a, b"x"));
            assert_eq!(stranger, Err(Discard::SourceWrong));
        }
    }
}

// [R-RELAY-011]
#[test]
fn a_channel_that_one_side_uses_lives_at_both_engines() {
    let mut cluster = Cluster::new();
    let (mut a, mut b) = cluster.peers();
    let (at_a, _) = channel(&mut cluster, &mut a, &mut b);
    for _ in 0..4 {
        cluster.pass(Duration::from_secs(20));
        for (world, client) in [(0, &mut a), (1, &mut b)] {
            client.ask(&mut cluster.worlds[world], Request::Refresh(client.refresh.clone())).unwrap();
        }
        a.send(&mut cluster.worlds[0], &relayed(at_a, b"x")).unwrap();
        cluster.carry();
        b.received(&mut cluster.worlds[1]);
        a.received(&mut cluster.worlds[0]);
    }
    let channels = |cluster: &Cluster| cluster.worlds.each_ref().map(|world| world.server.snapshot().channels.len());
    cluster.pass(Duration::from_secs(119));
    assert_eq!(channels(&cluster), [1, 1]);
    cluster.pass(Duration::from_secs(1));
    assert_eq!(channels(&cluster), [0, 0]);
}

// [R-RELAY-013]
#[test]
fn channels_meet_across_engines_after_a_restart() {
    let mut cluster = Cluster::new();
    let (mut a, mut b) = cluster.peers();
    let mut ids = vec![];
    let others = [b.id, a.id];
    for (at, client) in [&mut a, &mut b].into_iter().enumerate() {
        let ask = RelayOpen { session: SESSION, peer: others[at], transport: Transports::UDP };
        client.ask(&mut cluster.worlds[at], Request::RelayOpen(ask)).unwrap();
        let Heard::Answer(_, Reply::RelayOpened(opened)) = only(client.hear(&mut cluster.worlds[at])) else {
            panic!();
        };
        ids.push(opened.channel);
        cluster.worlds[0].sent.clear();
        if at == 0 {
            // One side alone reaches nobody.
            client.send(&mut cluster.worlds[0], &relayed(ids[0], b"x")).unwrap();
            cluster.carry();
            assert!(cluster.worlds[1].sent.is_empty());
        }
    }
    a.send(&mut cluster.worlds[0], &relayed(ids[0], b"x")).unwrap();
    cluster.carry();
    assert_eq!(b.received(&mut cluster.worlds[1]), [relayed(ids[1], b"x")]);
}

// [R-RELAY-013]
#[test]
fn a_channel_goes_on_when_one_peer_registers_with_the_other_engine() {
    let mut cluster = Cluster::new();
    let (mut a, mut b) = cluster.peers();
    let (at_a, _) = channel(&mut cluster, &mut a, &mut b);
    let mut moved = Client::registered(&mut cluster.worlds[0], 2, "192.0.2.77:1");
    let public = endpoint("192.0.2.77:1");
    let transport = crate::engine::Transport::Udp;
    cluster.worlds[1].command(ServerCommand::Replace { peer: b.id, transport, public });
    let ask = RelayOpen { session: SESSION, peer: a.id, transport: Transports::UDP };
    moved.ask(&mut cluster.worlds[0], Request::RelayOpen(ask)).unwrap();
    let Heard::Answer(_, Reply::RelayOpened(opened)) = only(moved.hear(&mut cluster.worlds[0])) else {
        panic!();
    };
    a.send(&mut cluster.worlds[0], &relayed(at_a, b"x")).unwrap();
    assert_eq!(moved.received(&mut cluster.worlds[0]), [relayed(opened.channel, b"x")]);
}

/// Sends packets of A over TCP until its stream is not read any more; their contents.
fn fill(cluster: &mut Cluster, a: &Client, at_a: ChannelId) -> Vec<Vec<u8>> {
    let mut sent = vec![];
    while !cluster.worlds[0].sent.contains(&Sent::Read(StreamId(1), false)) {
        let content = [&u32::try_from(sent.len()).unwrap().to_be_bytes()[..], &[7; 1_000]].concat();
        a.send(&mut cluster.worlds[0], &relayed(at_a, &content)).unwrap();
        cluster.carry();
        sent.push(content);
        assert!(sent.len() < 1_000);
    }
    sent
}

// [R-RELAY-009] [R-RELAY-018]
#[test]
fn a_slow_stream_at_another_engine_holds_up_who_sends_to_it_and_nothing_is_lost() {
    let mut cluster = Cluster::new();
    let (mut a, mut b) = streams(&mut cluster);
    let (at_a, at_b) = channel(&mut cluster, &mut a, &mut b);
    cluster.worlds[1].sent.clear();
    let sent = fill(&mut cluster, &a, at_a);
    let octets = sent.len() * 1_004;
    assert!(octets > RELAY_PAUSE && octets < RELAY_PAUSE + 2 * FORWARD_WINDOW, "{octets}");
    let mut arrived = vec![];
    for _ in 0..40 {
        arrived.extend(cluster.worlds[1].on(3));
        let unwritten = cluster.worlds[1].server.snapshot().streams[0].unwritten;
        let written = StreamInput::Written(u32::try_from(unwritten).unwrap());
        cluster.worlds[1].stream(3, written).unwrap();
        cluster.carry();
    }
    let expected: Vec<_> = sent.iter().map(|content| relayed(at_b, content)).collect();
    assert!(arrived == expected, "{} of {} arrived", arrived.len(), expected.len());
    assert!(cluster.worlds[0].sent.contains(&Sent::Read(StreamId(1), true)));
    let [first, second] = cluster.worlds.each_ref().map(|world| world.server.snapshot().streams);
    assert!(!first[0].held_up && first[0].backlog == 0 && second[0].unwritten == 0);
}

// [R-RELAY-017] [R-RELAY-018]
#[test]
fn an_engine_that_gives_no_credit_holds_a_stream_up_for_so_long_and_no_longer() {
    let mut cluster = Cluster::new();
    let (mut a, mut b) = streams(&mut cluster);
    let (at_a, _) = channel(&mut cluster, &mut a, &mut b);
    let mut lost = 0;
    while !cluster.worlds[0].sent.contains(&Sent::Read(StreamId(1), false)) {
        a.send(&mut cluster.worlds[0], &relayed(at_a, &[7; 1_000])).unwrap();
        lost += core::mem::take(&mut cluster.worlds[0].forwards).len();
        assert!(lost < 1_000);
    }
    assert_eq!(lost, FORWARD_WINDOW / 1_000);
    cluster.worlds[0].pass(RELAY_STALL - Duration::from_millis(1));
    assert!(!cluster.worlds[0].sent.contains(&Sent::Read(StreamId(1), true)));
    cluster.worlds[0].pass(Duration::from_millis(1));
    assert!(cluster.worlds[0].sent.contains(&Sent::Read(StreamId(1), true)));
}

// [R-RELAY-019]
#[test]
fn what_a_carrier_does_to_a_stream_ends_its_channel_or_changes_nothing() {
    for (fault, arrives, left) in [
        (Fault::None, &[1, 2, 3, 4][..], 1),
        (Fault::Twice, &[1, 2, 3, 4], 1),
        (Fault::Lost, &[1], 0),
        (Fault::Last, &[1], 0),
    ] {
        let mut clean = Cluster::new();
        let (mut a, mut b) = streams(&mut clean);
        channel(&mut clean, &mut a, &mut b);
        let mut cluster = Cluster::with(vec![(clean.carried + 1, fault)]);
        let (mut a, mut b) = streams(&mut cluster);
        let (at_a, at_b) = channel(&mut cluster, &mut a, &mut b);
        for batch in [&[1][..], &[2, 3], &[4]] {
            for &content in batch {
                a.send(&mut cluster.worlds[0], &relayed(at_a, &[content])).unwrap();
            }
            cluster.carry();
        }
        let expected: Vec<_> = arrives.iter().map(|&content| relayed(at_b, &[content])).collect();
        assert_eq!(b.received(&mut cluster.worlds[1]), expected, "{fault:?}");
        assert_eq!(cluster.worlds[1].server.snapshot().channels.len(), left, "{fault:?}");
    }
}
