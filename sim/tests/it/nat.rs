//! Ports, timers and habits of NATs.

use pinhole_proto::{Duration, Endpoint, Instant};
use pinhole_sim::nat::{
    Decision, DropRule, FreshPort, MappingRule, OnReboot, OnReset, Overloading, PortRule, Receipt, Refresh, Side,
    TimerScope,
};
use pinhole_sim::packet::Flags;
use pinhole_sim::{Behaviour, Nat, Packet, Rng};

use crate::toy::at;

const S: &str = "18.181.0.31:1234";
const PEER: &str = "138.76.29.7:31000";
const A: &str = "10.0.0.1:1234";

fn nat(behaviour: Behaviour) -> Nat {
    Nat::new(behaviour, at("155.99.25.11:0").address(), Rng::new(1))
}

fn out(nat: &mut Nat, seconds: u64, from: &str, to: &str) -> (Receipt, Option<Endpoint>) {
    let now = Instant::ZERO + Duration::from_secs(seconds);
    let passage = nat.handle(now, Side::Inside, Packet::udp(at(from), at(to), b""));
    (passage.receipt, passage.packet.map(|(_, packet)| packet.source))
}

fn back(nat: &mut Nat, seconds: u64, from: &str, to: Endpoint) -> Decision {
    let now = Instant::ZERO + Duration::from_secs(seconds);
    let packet = Packet::udp(at(from), to, b"");
    nat.handle(now, Side::Outside, packet).receipt.decision
}

fn passes(decision: Decision) -> bool {
    matches!(decision, Decision::Forwarded { .. })
}

#[test]
fn a_preserved_port_is_given_once_and_never_taken_from_a_binding() {
    let mut behaviour = Behaviour::port_restricted().with_ports_from(62_000);
    behaviour.preserve_port = true;
    let mut nat = nat(behaviour);
    let (first, external) = out(&mut nat, 0, "10.0.0.2:1234", S);
    assert_eq!(external, Some(at("155.99.25.11:1234")));
    let rule = MappingRule::Created(PortRule::Preserved);
    assert_eq!(first.mapping.unwrap().rule, rule);
    // The draft's case (5.3.1): A gets 62000 because 1234 is taken, and keeps it when 1234 is free again.
    assert_eq!(out(&mut nat, 0, A, S).1, Some(at("155.99.25.11:62000")));
    for second in (100..400).step_by(100) {
        out(&mut nat, second, A, S);
    }
    assert_eq!(nat.rows().count(), 1);
    assert_eq!(out(&mut nat, 400, A, PEER).1, Some(at("155.99.25.11:62000")));
}

#[test]
fn sequential_ports_skip_those_that_are_taken_and_wrap_around() {
    let mut behaviour = Behaviour::symmetric_sequential(65_534);
    behaviour.ports = (65_000, 65_535);
    let mut nat = nat(behaviour);
    let mut ports = |n: u64| -> Vec<u16> {
        (0..n)
            .map(|i| {
                let remote = format!("18.181.0.31:{}", 1000 + i + n * 100);
                out(&mut nat, 0, A, &remote).1.unwrap().port()
            })
            .collect()
    };
    assert_eq!(ports(4), [65_534, 65_535, 65_000, 65_001]);
}

#[test]
fn no_packet_leaves_when_every_port_is_taken() {
    let mut behaviour = Behaviour::symmetric();
    behaviour.ports = (5_000, 5_001);
    assert_eq!(behaviour.fresh_port, FreshPort::Random);
    let mut nat = nat(behaviour);
    assert!(out(&mut nat, 0, A, "18.181.0.31:1").1.is_some());
    assert!(out(&mut nat, 0, A, "18.181.0.31:2").1.is_some());
    let (receipt, none) = out(&mut nat, 0, A, "18.181.0.31:3");
    assert_eq!(none, None);
    let rule = Decision::Dropped(DropRule::PortsExhausted);
    assert_eq!(receipt.decision, rule);
}

#[test]
fn an_idle_mapping_lives_exactly_as_long_as_its_timeout() {
    let mut nat = nat(Behaviour::port_restricted());
    let external = out(&mut nat, 0, A, S).1.unwrap();
    assert!(passes(back(&mut nat, 299, S, external)));
    let gone = Decision::Dropped(DropRule::NoMapping);
    assert_eq!(back(&mut nat, 300, S, external), gone);
}

#[test]
fn packets_from_outside_keep_a_mapping_only_where_the_nat_says_so() {
    for refresh in Refresh::ALL {
        let mut behaviour = Behaviour::port_restricted();
        behaviour.refresh = refresh;
        let mut nat = nat(behaviour);
        let external = out(&mut nat, 0, A, S).1.unwrap();
        assert!(passes(back(&mut nat, 200, S, external)));
        assert_eq!(passes(back(&mut nat, 400, S, external)), refresh != Refresh::Outbound);
    }
}

#[test]
fn a_session_timer_is_not_kept_by_traffic_with_somebody_else() {
    for scope in [TimerScope::Mapping, TimerScope::Session] {
        let mut behaviour = Behaviour::port_restricted();
        behaviour.timer = scope;
        let mut nat = nat(behaviour);
        let external = out(&mut nat, 0, A, PEER).1.unwrap();
        for second in (0..=400).step_by(100) {
            assert_eq!(out(&mut nat, second, A, S).1, Some(external));
        }
        let kept = passes(back(&mut nat, 400, PEER, external));
        assert_eq!(kept, scope == TimerScope::Mapping);
    }
}

#[test]
fn an_early_datagram_spoils_the_mapping_until_its_sender_is_silent() {
    let mut behaviour = Behaviour::port_restricted().with_ports_from(62_000);
    behaviour.spoiled_by_early = Some(Duration::from_secs(30));
    let mut nat = nat(behaviour);
    let external = out(&mut nat, 0, A, S).1.unwrap();
    assert!(!passes(back(&mut nat, 1, PEER, external)));
    let (receipt, moved) = out(&mut nat, 2, A, PEER);
    let rule = MappingRule::Diverted(PortRule::Sequential { skipped: 0 });
    assert_eq!(receipt.mapping.unwrap().rule, rule);
    assert_eq!(moved, Some(at("155.99.25.11:62001")));
    assert!(!passes(back(&mut nat, 3, PEER, external)));
    assert_eq!(out(&mut nat, 4, A, PEER).1, moved);
    assert_eq!(out(&mut nat, 4, A, S).1, Some(external));
    // Another remote endpoint that came early and fell silent for 30 s meets the usual mapping.
    assert!(!passes(back(&mut nat, 5, "138.76.29.7:9", external)));
    assert_eq!(out(&mut nat, 36, A, "138.76.29.7:9").1, Some(external));
}

#[test]
fn a_reset_ends_a_session_at_once_where_the_nat_forgets() {
    for (reset, kept) in [(OnReset::Keep, true), (OnReset::Forget, false)] {
        let mut behaviour = Behaviour::port_restricted().with_ports_from(62_000);
        behaviour.reset = reset;
        let mut nat = nat(behaviour);
        let syn = Packet::tcp(at(A), at(PEER), Flags::SYN, 7, 0);
        let (_, syn) = nat.handle(Instant::ZERO, Side::Inside, syn).packet.unwrap();
        assert_eq!(syn.source.port(), 62_000);
        let answer = syn.reset_for().unwrap();
        let passage = nat.handle(Instant::ZERO, Side::Outside, answer);
        assert!(passes(passage.receipt.decision));
        let syn = Packet::tcp(at(A), at(PEER), Flags::SYN, 7, 0);
        let (_, syn) = nat.handle(Instant::ZERO, Side::Inside, syn).packet.unwrap();
        assert_eq!(syn.source.port() == 62_000, kept);
    }
}

#[test]
fn a_reset_ends_what_nothing_else_has_answered_where_the_nat_is_like_linux() {
    for (answered, kept) in [(false, false), (true, true)] {
        let mut behaviour = Behaviour::port_restricted().with_ports_from(62_000);
        behaviour.reset = OnReset::ForgetUnanswered;
        let mut nat = nat(behaviour);
        let syn = Packet::tcp(at(A), at(PEER), Flags::SYN, 7, 0);
        let (_, syn) = nat.handle(Instant::ZERO, Side::Inside, syn).packet.unwrap();
        if answered {
            let syn_ack = Packet::tcp(at(PEER), syn.source, Flags::SYN_ACK, 3, 8);
            assert!(passes(nat.handle(Instant::ZERO, Side::Outside, syn_ack).receipt.decision));
        }
        assert!(passes(nat.handle(Instant::ZERO, Side::Outside, syn.reset_for().unwrap()).receipt.decision));
        assert_eq!(nat.rows().count() == 1, kept);
    }
}

#[test]
fn two_hosts_that_share_a_port_part_where_they_meet_one_remote_endpoint() {
    let mut behaviour = Behaviour::port_restricted();
    behaviour.preserve_port = true;
    behaviour.overloading = Overloading::OtherRemotes;
    let mut nat = nat(behaviour);
    let one = out(&mut nat, 0, "10.0.0.1:4321", S).1;
    assert_eq!(out(&mut nat, 0, "10.0.0.2:4321", PEER).1, one);
    let (receipt, apart) = out(&mut nat, 1, "10.0.0.2:4321", S);
    assert!(passes(receipt.decision) && apart != one);
    // Each answer finds the one that was spoken to.
    let external = one.unwrap();
    assert!(passes(back(&mut nat, 2, S, external)) && passes(back(&mut nat, 2, PEER, external)));
    assert_eq!(out(&mut nat, 3, "10.0.0.1:4321", S).1, one);
    assert_eq!(out(&mut nat, 3, "10.0.0.2:4321", PEER).1, one);
    assert_eq!(out(&mut nat, 3, "10.0.0.2:4321", S).1, apart);
}

#[test]
fn tcp_sessions_are_transitory_until_both_sides_have_acknowledged() {
    let mut nat = nat(Behaviour::port_restricted().with_ports_from(62_000));
    let external = at("155.99.25.11:62000");
    let segment = |nat: &mut Nat, second, side, flags| {
        let (from, to) = match side {
            Side::Inside => (at(A), at(S)),
            Side::Outside => (at(S), external),
        };
        let now = Instant::ZERO + Duration::from_secs(second);
        let passage = nat.handle(now, side, Packet::tcp(from, to, flags, 1, 1));
        passes(passage.receipt.decision)
    };
    assert!(segment(&mut nat, 0, Side::Inside, Flags::SYN));
    assert!(segment(&mut nat, 239, Side::Outside, Flags::SYN_ACK));
    assert!(!segment(&mut nat, 240, Side::Outside, Flags::SYN_ACK));
    let external_port_moves = Flags::SYN;
    assert!(segment(&mut nat, 1000, Side::Inside, external_port_moves));
    let external = nat.rows().next().unwrap().external;
    let later = |nat: &mut Nat, second, flags| {
        let now = Instant::ZERO + Duration::from_secs(second);
        let packet = Packet::tcp(at(S), external, flags, 1, 1);
        passes(nat.handle(now, Side::Outside, packet).receipt.decision)
    };
    assert!(later(&mut nat, 1000, Flags::SYN_ACK));
    assert!(segment(&mut nat, 1001, Side::Inside, Flags::ACK));
    assert!(later(&mut nat, 1001 + 7439, Flags::ACK));
    assert!(!later(&mut nat, 1001 + 7440, Flags::ACK));
}

#[test]
fn blocked_udp_leaves_tcp_alone() {
    let mut behaviour = Behaviour::port_restricted();
    behaviour.block_udp = true;
    let mut nat = nat(behaviour);
    let (receipt, _) = out(&mut nat, 0, A, S);
    let rule = Decision::Dropped(DropRule::UdpBlocked);
    assert_eq!(receipt.decision, rule);
    let syn = Packet::tcp(at(A), at(S), Flags::SYN, 1, 0);
    let passage = nat.handle(Instant::ZERO, Side::Inside, syn);
    assert!(passes(passage.receipt.decision));
}

#[test]
fn of_mappings_that_share_an_endpoint_the_one_that_sent_last_is_reached() {
    let mut behaviour = Behaviour::port_restricted();
    (behaviour.preserve_port, behaviour.overloading) = (true, Overloading::Always);
    behaviour.reset = OnReset::Forget;
    let mut nat = nat(behaviour);
    let syn = |from: &str, to: &str| Packet::tcp(at(from), at(to), Flags::SYN, 1, 0);
    for (from, to) in [(A, S), ("10.0.0.2:1234", S), ("10.0.0.3:1234", PEER)] {
        let passage = nat.handle(Instant::ZERO, Side::Inside, syn(from, to));
        assert_eq!(passage.packet.unwrap().1.source, at("155.99.25.11:1234"));
    }
    let reached = |nat: &mut Nat| {
        let packet = Packet::tcp(at(S), at("155.99.25.11:1234"), Flags::ACK, 1, 1);
        nat.handle(Instant::ZERO, Side::Outside, packet).packet.map(|(_, packet)| packet.destination)
    };
    assert_eq!(reached(&mut nat), Some(at("10.0.0.2:1234")));
    nat.handle(Instant::ZERO, Side::Inside, syn(A, S));
    assert_eq!(reached(&mut nat), Some(at(A)));
    nat.handle(Instant::ZERO, Side::Inside, Packet::tcp(at(A), at(S), Flags::RST, 2, 0));
    assert_eq!(reached(&mut nat), Some(at("10.0.0.2:1234")));
}

#[test]
fn a_restart_forgets_mappings_and_counters_where_the_nat_says_so() {
    for (reboot, port) in [(OnReboot::BeginAnew, 62_000), (OnReboot::Resume, 62_001)] {
        let mut behaviour = Behaviour::port_restricted().with_ports_from(62_000);
        behaviour.reboot = reboot;
        let mut nat = nat(behaviour);
        let external = out(&mut nat, 0, A, S).1.unwrap();
        nat.reboot();
        assert_eq!(back(&mut nat, 0, S, external), Decision::Dropped(DropRule::NoMapping));
        assert_eq!(out(&mut nat, 0, A, S).1.unwrap().port(), port);
    }
}

#[test]
fn addresses_in_payloads_are_rewritten_both_ways_where_the_nat_does_so() {
    for rewrites in [false, true] {
        let mut behaviour = Behaviour::port_restricted();
        behaviour.rewrite_payload = rewrites;
        let mut nat = nat(behaviour);
        let (inner, outer) = (b"at \x0a\0\0\x01\x0a\0\0\x01!", b"at \x9b\x63\x19\x0b\x9b\x63\x19\x0b!");
        let passage = nat.handle(Instant::ZERO, Side::Inside, Packet::udp(at(A), at(S), inner));
        let packet = passage.packet.unwrap().1;
        assert_eq!(packet.octets(), if rewrites { outer } else { inner });
        let answer = Packet::udp(at(S), packet.source, outer);
        let packet = nat.handle(Instant::ZERO, Side::Outside, answer).packet.unwrap().1;
        assert_eq!(packet.octets(), if rewrites { inner } else { outer });
    }
}
