//! Receipts name the rule that decided: with the operand that it names changed, the decision is another.

use std::collections::BTreeMap;

use pinhole_proto::{Address, Duration, Endpoint, Instant, Transport};
use pinhole_sim::nat::{
    Check, Decision, Direction, Hairpin, Ipv6, Kind, OnIcmp, OnReset, Operand, Overloading, Passage, Receipt,
    RemoteKey, Rule, Side, SimultaneousOpen, Taken, Unsolicited, UnsolicitedDatagram,
};
use pinhole_sim::packet::{Body, Flags, Packet};
use pinhole_sim::{Behaviour, Nat, Rng};

use crate::judged::{POOL, Traffic, any_behaviour};
use crate::toy::at;

/// The same NAT and packet with what a check names changed, so that the check comes out otherwise; none
/// where nothing that it names can be changed.
fn otherwise(check: &Check, receipt: &Receipt, nat: &Nat, packet: &Packet) -> Option<(Nat, Packet)> {
    let (mut nat, mut packet) = (nat.clone(), packet.clone());
    let mut behaviour = *nat.behaviour();
    let outbound = receipt.direction == Direction::Outbound;
    let inbound = receipt.direction == Direction::Inbound;
    let stranger = at("203.0.113.9:9");
    match (check.rule, check.held, check.against) {
        (Rule::TimeToLive, held, _) => packet.ttl = if held { 1 } else { 64 },
        (Rule::AddressFamily, held, _) => behaviour.ipv6 = if held { Ipv6::Drop } else { Ipv6::Filter },
        (Rule::UdpAllowed, false, _) => behaviour.block_udp = false,
        (Rule::Hairpin, true, _) => behaviour.hairpin = Hairpin::None,
        (Rule::Hairpin, false, _) => behaviour.hairpin = Hairpin::ExternalSource,
        (Rule::MappingCovers, true, Operand::Key(RemoteKey::Address(_))) if outbound => packet.destination = stranger,
        (Rule::MappingCovers, true, Operand::Key(RemoteKey::Endpoint(remote) | RemoteKey::Connection(remote)))
            if outbound =>
        {
            packet.destination = remote.with_port(7);
        }
        (Rule::MappingCovers, false, Operand::Key(RemoteKey::Address(address))) if outbound => {
            packet.destination = Endpoint::new(address, packet.destination.port());
        }
        (Rule::MappingCovers, false, Operand::Key(RemoteKey::Endpoint(remote) | RemoteKey::Connection(remote)))
            if outbound =>
        {
            packet.destination = remote;
        }
        (Rule::SameConnection, held, began) => {
            let Body::Tcp(segment) = &mut packet.body else { return None };
            match (held, began) {
                (true, Operand::Number(_)) => segment.seq += 100,
                // Where the connection is over, no number is the right one.
                (false, Operand::Number(number)) if number != segment.seq => segment.seq = number,
                _ => return None,
            }
        }
        (Rule::PrivatePortAlone, false, _) => behaviour.turns_symmetric = false,
        (Rule::NoEarlyTrace, false, _) if outbound => packet.destination = packet.destination.with_port(7),
        (Rule::HostRoom, false, Operand::Number(most)) => {
            behaviour.max_mappings_per_host = u32::try_from(most).ok()? + 1;
        }
        (Rule::TableRoom, false, Operand::Number(most)) => behaviour.max_mappings = u32::try_from(most).ok()? + 1,
        (Rule::AddressFree, false, _) => nat.add_address(at("155.99.25.99:0").address()),
        (Rule::PortPreserved, true, _) => behaviour.preserve_port = false,
        (Rule::PortPreserved, false, Operand::Taken(Taken::ByMapping)) => behaviour.overloading = Overloading::Always,
        (Rule::PortContiguous, true, _) => behaviour.contiguous = false,
        (Rule::BlockFree, _, _) => behaviour.block = None,
        (Rule::PortFree, true, _) => (behaviour.ports, behaviour.one_to_many) = ((2, 1), None),
        (Rule::PortFree, false, _) => {
            (behaviour.ports, behaviour.one_to_many, behaviour.block) = ((1024, 65_535), None, None);
        }
        (Rule::SynAckAllowed, held, _) | (Rule::CrossingSynAllowed, held, _) => {
            behaviour.simultaneous_open = match (check.rule, held) {
                (_, false) => SimultaneousOpen::Supported,
                (Rule::SynAckAllowed, true) => SimultaneousOpen::OutboundSynAckDropped,
                (_, true) => SimultaneousOpen::InboundSynRefused,
            };
        }
        (Rule::ExternalMapped, true, _) if inbound => packet.destination = packet.destination.with_port(7),
        (Rule::ExternalMapped, false, Operand::Endpoint(nearest)) if inbound => packet.destination = nearest,
        (Rule::Filter, true, _) if inbound && receipt.filter?.rule != Kind::EndpointIndependent => {
            packet.source = stranger;
        }
        // Nobody begins a connection through a filter that knows connections.
        (Rule::Filter, false, Operand::Endpoint(nearest))
            if inbound && receipt.filter?.rule != Kind::ConnectionDependent =>
        {
            packet.source = nearest;
        }
        (Rule::SynLetIn, true, _) => behaviour.unsolicited_syn = Unsolicited::Drop,
        (Rule::IcmpAllowed, held, _) => behaviour.icmp = if held { OnIcmp::Drop } else { OnIcmp::Keep },
        (Rule::QuoteMapped, held, against) if inbound => {
            let Body::Icmp(icmp) = &mut packet.body else { return None };
            icmp.source = match (held, against) {
                (true, _) => icmp.source.with_port(7),
                (false, Operand::Endpoint(nearest)) => nearest,
                _ => return None,
            };
        }
        (Rule::ResetSurvived, held, _) => behaviour.reset = if held { OnReset::Forget } else { OnReset::Keep },
        (Rule::IcmpSurvived, false, _) => behaviour.icmp = OnIcmp::Keep,
        (Rule::IcmpSurvived, true, _) if behaviour.icmp == OnIcmp::Keep => {
            let Operand::Endpoint(remote) = check.found else { return None };
            let speaks = receipt.checks.of(Rule::QuoteMapped).is_some_and(
                |quote| matches!(quote.against, Operand::Row(id) if nat.row(id).is_some_and(|row| row.sessions.contains_key(&remote))),
            );
            if !speaks {
                return None;
            }
            behaviour.icmp = OnIcmp::Forget;
        }
        (Rule::PayloadUntouched, false, _) => behaviour.rewrite_payload = false,
        (Rule::RefusalAnswered, true, _) => {
            behaviour.unsolicited_syn = Unsolicited::Drop;
            behaviour.unsolicited_datagram = UnsolicitedDatagram::Drop;
        }
        (Rule::RefusalAnswered, false, _) if packet.flags().is_none_or(Flags::opens) => {
            behaviour.unsolicited_syn = Unsolicited::Reset;
            behaviour.unsolicited_datagram = UnsolicitedDatagram::Icmp;
        }
        _ => return None,
    }
    nat.set_behaviour(behaviour);
    Some((nat, packet))
}

#[test]
fn changing_what_a_check_names_changes_its_outcome() {
    let mut changed: BTreeMap<Rule, [u32; 2]> = BTreeMap::new();
    for seed in 0..600 {
        let mut dice = Rng::new(seed << 20);
        let behaviour = any_behaviour(&mut dice);
        let pool: Vec<Address> = POOL[..1 + dice.below(2) as usize].iter().map(|text| at(text).address()).collect();
        let mut nat = Nat::new(behaviour, pool[0], dice.fork(1));
        for address in &pool {
            nat.add_address(*address);
        }
        let mut traffic = Traffic { dice: dice.fork(2), pool, known: vec![] };
        let mut now = Instant::ZERO;
        for _ in 0..30 {
            now = now + traffic.wait();
            nat.handle_timeout(now);
            let (side, packet) = traffic.packet();
            let before = nat.clone();
            let passage = nat.handle(now, side, packet.clone());
            traffic.known = nat.rows().map(|row| row.external).collect();
            // The rows that the packet met, those that had timed out among them gone.
            let mut met = before;
            met.handle(now, side, Packet { ttl: 1, ..packet.clone() });
            for check in passage.receipt.checks.all() {
                let Some((mut other, packet)) = otherwise(check, &passage.receipt, &met, &packet) else {
                    continue;
                };
                let second = other.handle(now, side, packet.clone());
                let outcome = second.receipt.checks.of(check.rule).map(|again| again.held);
                assert_ne!(
                    outcome,
                    Some(check.held),
                    "seed {seed}: {check:?}\n{:?}\n{packet}\n{:?}\n{:#?}",
                    passage.receipt,
                    second.receipt,
                    nat.behaviour()
                );
                let differs = second.packet != passage.packet
                    || second.receipt.mapping.map(|m| m.rule) != passage.receipt.mapping.map(|m| m.rule)
                    || nat.rows().ne(other.rows());
                let entry = changed.entry(check.rule).or_default();
                entry[usize::from(differs)] += 1;
                // What stopped a packet stops it no longer, or somebody else does.
                if matches!(passage.receipt.decision, Decision::Dropped(_))
                    && !check.held
                    && check.rule != Rule::RefusalAnswered
                {
                    let last = passage.receipt.checks.all().iter().rev().find(|c| c.rule != Rule::RefusalAnswered);
                    if last == Some(check) {
                        assert_ne!(second.receipt.checks.all(), passage.receipt.checks.all());
                    }
                }
            }
        }
    }
    // These need what random traffic does not bring; they have tests of their own.
    let elsewhere = [Rule::SameConnection, Rule::SessionRoom, Rule::SynAckAllowed, Rule::GraceUnused];
    for rule in Rule::ALL.into_iter().filter(|rule| !elsewhere.contains(rule)) {
        let [_, decided] = changed.get(&rule).copied().unwrap_or_default();
        assert!(decided > 0, "{rule:?} never decides: {changed:?}");
    }
}

#[test]
fn a_new_connection_gets_a_new_mapping_where_mappings_are_connections() {
    let behaviour = Behaviour { tcp_mapping: Some(Kind::ConnectionDependent), ..Behaviour::port_restricted() };
    let mut nat = Nat::new(behaviour.with_ports_from(62_000), at("155.99.25.11:0").address(), Rng::new(1));
    let (inside, server) = (at("10.0.0.1:1234"), at("18.181.0.31:1234"));
    let mut send = |flags, seq| nat.handle(Instant::ZERO, Side::Inside, Packet::tcp(inside, server, flags, seq, 1));
    let port = |passage: &Passage| passage.receipt.mapping.map(|mapping| mapping.external.port());
    assert_eq!(port(&send(Flags::SYN, 7)), Some(62_000));
    // The same SYN once more belongs to the same connection, and so does what follows it.
    let again = send(Flags::SYN, 7);
    assert_eq!(again.receipt.checks.of(Rule::SameConnection).map(|check| check.held), Some(true));
    assert_eq!([port(&again), port(&send(Flags::ACK, 8))], [Some(62_000); 2]);
    let other = send(Flags::SYN, 100);
    let check = other.receipt.checks.of(Rule::SameConnection).expect("it was checked");
    assert_eq!((check.held, check.found, check.against), (false, Operand::Number(100), Operand::Number(7)));
    assert_eq!([port(&other), port(&send(Flags::ACK, 101))], [Some(62_001); 2]);
    // With UDP there are no connections.
    for _ in 0..2 {
        let passage = nat.handle(Instant::ZERO, Side::Inside, Packet::udp(inside, server, b""));
        assert_eq!(port(&passage), Some(62_000));
    }
}

#[test]
fn crossing_syns_pass_where_the_nat_follows_them() {
    for open in SimultaneousOpen::ALL {
        let behaviour = Behaviour { simultaneous_open: open, ..Behaviour::port_restricted() };
        let mut nat = Nat::new(behaviour, at("155.99.25.11:0").address(), Rng::new(1));
        let (inside, peer) = (at("10.0.0.1:1234"), at("138.76.29.7:31000"));
        let syn = Packet::tcp(inside, peer, Flags::SYN, 7, 0);
        let external = nat.handle(Instant::ZERO, Side::Inside, syn).packet.expect("it passes").1.source;
        let passage = nat.handle(Instant::ZERO, Side::Outside, Packet::tcp(peer, external, Flags::SYN, 9, 0));
        assert_eq!(passage.packet.is_some(), open != SimultaneousOpen::InboundSynRefused, "{open:?}");
        let answer = Packet::tcp(inside, peer, Flags::SYN_ACK, 7, 10);
        let passage = nat.handle(Instant::ZERO, Side::Inside, answer);
        let held = open != SimultaneousOpen::OutboundSynAckDropped;
        assert_eq!(passage.packet.is_some(), held, "{open:?}");
        let check = passage.receipt.checks.of(Rule::SynAckAllowed).expect("it was checked");
        assert_eq!((check.held, check.against), (held, Operand::Field("simultaneous-open")));
    }
}

#[test]
fn a_mapping_has_room_for_so_many_sessions_and_says_when_it_is_full() {
    let mut nat = Nat::new(Behaviour::full_cone(), at("155.99.25.11:0").address(), Rng::new(1));
    let inside = at("10.0.0.1:1234");
    for port in 0..=u16::MAX {
        nat.handle(Instant::ZERO, Side::Inside, Packet::udp(inside, at("18.181.0.31:1").with_port(port), b""));
    }
    let one_more = Packet::udp(inside, at("18.181.0.32:1"), b"");
    let passage = nat.handle(Instant::ZERO, Side::Inside, one_more.clone());
    let check = passage.receipt.checks.of(Rule::SessionRoom).expect("it was checked");
    assert_eq!((check.held, check.found, check.against), (false, Operand::Number(65_536), Operand::Number(65_536)));
    // With one session fewer there is room.
    let later = Instant::ZERO + Duration::from_secs(301);
    assert!(nat.handle(later, Side::Inside, one_more).receipt.checks.of(Rule::SessionRoom).is_none());
}

#[test]
fn an_answer_that_is_put_off_waits_for_the_grace_and_for_nothing_else() {
    let mut behaviour = Behaviour::port_restricted().with_unsolicited_syn(Unsolicited::IcmpDelayed);
    behaviour.preserve_port = true;
    let mut nat = Nat::new(behaviour, at("155.99.25.11:0").address(), Rng::new(1));
    let (inside, external, peer) = (at("10.0.0.1:1234"), at("155.99.25.11:1234"), at("138.76.29.7:31000"));
    let second = |second: u64| Instant::ZERO + Duration::from_secs(second);
    let syn = Packet::tcp(peer, external, Flags::SYN, 7, 0);
    assert_eq!(nat.deadline(), None);
    let passage = nat.handle(second(10), Side::Outside, syn.clone());
    assert!(matches!(passage.receipt.decision, Decision::Dropped(_)) && passage.packet.is_none());
    // The same SYN again, a second later, does not put the answer off further.
    nat.handle(second(11), Side::Outside, syn.clone());
    assert_eq!(nat.deadline(), Some(second(16)));
    assert!(nat.handle_timeout(Instant::from_micros(15_999_999)).is_empty());
    let mut silent = nat.clone();
    let answers = nat.handle_timeout(second(16));
    assert_eq!(answers.len(), 1);
    let check = answers[0].receipt.checks.of(Rule::GraceUnused).expect("it was checked");
    assert_eq!((check.held, check.found), (true, Operand::Moment(second(16))));
    let (side, answer) = answers[0].packet.clone().expect("an answer");
    assert!(side == Side::Outside && answer.destination == peer && matches!(answer.body, Body::Icmp(_)));
    assert_eq!(nat.deadline(), None);
    // Had the inside opened that connection meanwhile, nobody would have answered (RFC 5382, REQ-4).
    let opened = silent.handle(second(12), Side::Inside, Packet::tcp(inside, peer, Flags::SYN, 9, 0));
    assert_eq!(opened.packet.map(|(_, packet)| packet.source), Some(external));
    assert_eq!(silent.deadline(), None);
    assert!(silent.handle_timeout(second(16)).is_empty());
}

#[test]
fn receipts_are_keys_and_values() {
    let mut nat = Nat::new(Behaviour::port_restricted(), at("155.99.25.11:0").address(), Rng::new(1));
    let out = Packet::udp(at("10.0.0.1:1234"), at("18.181.0.31:1234"), b"");
    let external = nat.handle(Instant::ZERO, Side::Inside, out).packet.expect("it passes").1.source;
    let passage = nat.handle(Instant::ZERO, Side::Outside, Packet::udp(at("18.181.0.31:9"), external, b""));
    let json = serde_json::to_value(&passage.receipt).expect("a receipt is data");
    assert_eq!(json["decision"], serde_json::json!({ "dropped": "filtered" }));
    assert_eq!(json["filter"]["rule"], "address-and-port-dependent");
    assert_eq!(json["filter"]["nearest"], "18.181.0.31:1234");
    let filter = serde_json::json!({
        "rule": "filter",
        "found": { "endpoint": "18.181.0.31:9" },
        "against": { "endpoint": "18.181.0.31:1234" },
        "held": false,
    });
    assert!(json["checks"].as_array().is_some_and(|checks| checks.contains(&filter)), "{json:#}");
    for rule in Rule::ALL {
        for transport in [Transport::Udp, Transport::Tcp] {
            let source = rule.source(transport);
            assert!(source.starts_with("RFC ") || source.starts_with("draft "), "{rule:?}");
            let foreign = transport == Transport::Udp && source.starts_with("RFC 5382");
            assert!(!foreign || OF_TCP.contains(&rule), "{rule:?}: {source}");
        }
        assert_ne!(Rule::Filter.source(Transport::Udp), Rule::Filter.source(Transport::Tcp));
    }
}

/// The rules that no datagram meets.
const OF_TCP: [Rule; 5] =
    [Rule::SameConnection, Rule::SynAckAllowed, Rule::SynLetIn, Rule::CrossingSynAllowed, Rule::GraceUnused];
