use super::*;
use crate::constants::{MAX_PENDING_SOURCES, MAX_RATES, MAX_REQUESTS};
use crate::wire::Sealed;
use crate::wire::control::RelayOpen;

/// The `number`th IPv4 source.
fn source(number: u32) -> Endpoint {
    let [a, b, c, d] = (0x0b00_0000 + number).to_be_bytes();
    endpoint(&format!("{a}.{b}.{c}.{d}:5000"))
}

// [R-REG-027] [R-REG-005]
#[test]
fn a_hundred_thousand_registers_from_one_source_leave_ten_a_second() {
    let mut world = World::new();
    let mut a = Client::udp(1, "198.51.100.7:7000");
    let register = a.register_packet([0; 16]);
    let mut answered = 0;
    for _ in 0..100_000 {
        // Ports differ, the address is one source.
        answered += usize::from(a.send(&mut world, &register).is_ok());
        world.sent.clear();
    }
    assert_eq!(answered, 10);
    assert_eq!(world.server.snapshot().pending.len(), 1);
    assert_eq!(world.discarded(Discard::OverLimit), 99_990);
}

// [R-LIM-001] [R-REG-006]
#[test]
fn pending_registrations_stay_at_their_bound_and_the_oldest_go() {
    let limits = Limits { pending: 16, cookie_above: 1_000_000, ..Limits::default() };
    let mut world = World::with(limits);
    let mut clients = vec![];
    for number in 0..64 {
        let mut client = Client::new(number + 1, Via::Udp(source(number.into())));
        let register = client.register_packet([0; 16]);
        world.now = world.now + Duration::from_millis(1);
        client.send(&mut world, &register).unwrap();
        assert!(world.server.snapshot().pending.len() <= 16);
        clients.push((client, register));
    }
    let waiting: Vec<_> = world.server.snapshot().pending.iter().map(|(peer, _)| *peer).collect();
    assert!(clients[48..].iter().all(|(client, _)| waiting.contains(&client.id)));
    // Each at most three sources.
    let (client, register) = &clients[63];
    for number in 100..200 {
        let _ = world.datagram(source(number), register);
    }
    let snapshot = world.server.snapshot();
    let sources = snapshot.pending.iter().find(|(peer, _)| *peer == client.id).unwrap().1;
    assert_eq!(sources, MAX_PENDING_SOURCES);
}

// [R-REG-027] [R-LIM-002]
#[test]
fn registrations_stay_at_their_bounds() {
    let limits = Limits { registrations: 8, registrations_per_source: 3, ..Limits::default() };
    let mut world = World::with(limits);
    for number in 0..5 {
        let mut client = Client::udp(number + 1, &format!("198.51.100.7:{}", 7_000 + u16::from(number)));
        let register = client.register_packet([0; 16]);
        let sent = client.send(&mut world, &register);
        assert_eq!(sent, if number < 3 { Ok(()) } else { Err(Discard::OverLimit) });
        if number < 3 {
            let registered = only(client.received(&mut world));
            let (id, check) = client.on_registered(&registered);
            client.prove(&mut world, id, check).unwrap();
        }
    }
    for number in 10..20 {
        let mut client = Client::new(number, Via::Udp(source(number.into())));
        let register = client.register_packet([0; 16]);
        let _ = client.send(&mut world, &register);
        for registered in client.received(&mut world) {
            let (id, check) = client.on_registered(&registered);
            client.prove(&mut world, id, check).unwrap();
        }
    }
    assert_eq!(world.server.snapshot().registrations.len(), 8);
    // Who is registered may register anew.
    Client::registered(&mut world, 1, "198.51.100.7:9000");
    assert_eq!(world.server.snapshot().registrations.len(), 8);
}

#[test]
fn ten_thousand_connects_to_nobody_are_refused_and_remembered_by_nobody() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
    let before = world.server.snapshot();
    for number in 0u32..10_000 {
        let mut secret = [9; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        a.connect(&mut world, public_key(&Dalek, &secret), [7; 8]);
        assert!(matches!(a.hear(&mut world)[..], [Heard::Answer(_, Reply::Refuse(_))]));
    }
    let after = world.server.snapshot();
    assert_eq!((before.rates, before.channels), (after.rates, after.channels));
    assert_eq!(before.deadline, after.deadline);
}

// [R-RELAY-012] [R-RELAY-014]
#[test]
fn channels_stay_at_their_bounds() {
    let limits = Limits { channels: 5, channels_per_peer: 3, ..Limits::default() };
    let mut world = World::with(limits);
    let mut opened = vec![];
    for number in 1..4 {
        let mut a = Client::registered(&mut world, number, &format!("192.0.2.{number}:1"));
        for session in 0..10 {
            let ask =
                RelayOpen { session: [session; 8], peer: public_key(&Dalek, &[99; 32]), transport: Transports::UDP };
            a.ask(&mut world, Request::RelayOpen(ask)).unwrap();
            let answer = only(a.hear(&mut world));
            opened.push(matches!(answer, Heard::Answer(_, Reply::RelayOpened(_))));
        }
    }
    let count = |range: core::ops::Range<usize>| opened[range].iter().filter(|&&opened| opened).count();
    assert_eq!((count(0..10), count(10..20), count(20..30)), (3, 2, 0));
    world.pass(Duration::from_secs(30));
    assert!(world.server.snapshot().channels.is_empty());
}

// [R-LIM-001]
#[test]
fn streams_stay_at_their_bounds() {
    let limits = Limits { streams: 6, streams_per_source: 4, ..Limits::default() };
    let mut world = World::with(limits);
    for number in 0..10 {
        let accepted = world.accept(number * 2 + 1, endpoint("198.51.100.7:1"));
        assert_eq!(accepted, if number < 4 { Ok(()) } else { Err(Discard::OverLimit) });
    }
    for number in 10..20 {
        let _ = world.accept(number * 2 + 1, source(number as u32));
    }
    assert_eq!(world.server.snapshot().streams.len(), 6);
    let aborted = world.take(|sent| matches!(sent, Sent::Close(_, true)).then_some(()));
    assert_eq!(aborted.len(), 14);
    world.pass(Duration::from_secs(5));
    assert!(world.server.snapshot().streams.is_empty());
}

// [R-SESS-007]
#[test]
fn an_unresponsive_peer_holds_no_more_than_its_requests() {
    let mut world = World::new();
    let b = Client::registered_tcp(&mut world, 99, 1, "192.0.2.9:900");
    let mut refused = 0;
    for number in 1..60 {
        let stream = u64::from(number) * 2 + 1;
        let mut a = Client::registered_tcp(&mut world, number, stream, &format!("192.0.2.{number}:1"));
        world.now = world.now + Duration::from_millis(200);
        a.connect(&mut world, b.id, [number; 8]);
        refused += usize::from(matches!(a.hear(&mut world)[..], [Heard::Answer(_, Reply::Refuse(_))]));
    }
    assert!(refused >= 59 - MAX_REQUESTS, "{refused}");
}

// [R-WIRE-014] [R-SEC-020] [R-LIM-001]
#[test]
fn garbage_costs_nothing_and_resets_are_bounded_in_all() {
    let mut world = World::new();
    let before = world.state();
    let mut rng = crate::rng::Rng::pair([4; 32]).0;
    for number in 0..100_000u32 {
        let mut octets = vec![0; rng.below(120) as usize];
        for chunk in octets.chunks_mut(32) {
            chunk.copy_from_slice(&rng.octets::<32>()[..chunk.len()]);
        }
        if let (Some(kind), true) = (octets.first_mut(), number % 2 == 0) {
            *kind = 0x04 + (number % 13) as u8;
        }
        if octets.len() > 8 && number % 4 == 0 {
            octets[1..5].copy_from_slice(&[1, 0, 0, 0]);
        }
        let length = octets.len();
        let from = source(number % 50_000);
        let _ = world.datagram(from, &octets);
        for sent in world.to(from) {
            assert!(sent.len() <= length);
        }
    }
    world.sent.clear();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.state(), before);
    let rates = world.server.snapshot().rates;
    assert!([rates.registers, rates.resets, rates.to_target, rates.by_pair].iter().all(|&keys| keys <= MAX_RATES));
    assert!(world.discarded(Discard::IndexUnknown) > 100);
}

// [R-SEC-002]
#[test]
fn what_does_not_verify_makes_no_entry() {
    let mut world = World::new();
    let mut a = Client::udp(1, "198.51.100.7:7000");
    let mut register = a.register_packet([0; 16]);
    register[60] ^= 1;
    assert_eq!(a.send(&mut world, &register), Err(Discard::HandshakeFailed));
    let mut b = Client::registered(&mut world, 2, "192.0.2.9:900");
    let refresh = b.request(Request::Refresh(b.refresh.clone()));
    let mut forged = b.seal(&[refresh]);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(b.send(&mut world, &forged), Err(Discard::DecryptFailed));
    let Packet::Sealed(Sealed { index, .. }) = Packet::decode(&forged).unwrap() else {
        panic!();
    };
    assert_eq!(index, b.index);
    assert!(world.server.snapshot().pending.is_empty());
}
