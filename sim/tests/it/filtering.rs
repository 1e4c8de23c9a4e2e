//! Every mapping with every filtering, judged by the definitions of RFC 4787 written anew.

use pinhole_proto::{Address, Endpoint, Instant, Transport};
use pinhole_sim::nat::{Decision, Dependence, DropRule, PermissionScope, Side};
use pinhole_sim::{Behaviour, Nat, Packet, Rng};

use crate::toy::at;

const KINDS: [Dependence; 3] =
    [Dependence::EndpointIndependent, Dependence::AddressDependent, Dependence::AddressAndPortDependent];

/// What the definitions look at: every packet that left, with the external endpoint that it left by.
#[derive(Default)]
struct Reference {
    sent: Vec<(Endpoint, Endpoint, Endpoint)>,
}

impl Reference {
    /// The external endpoint that the mapping's definition demands, where it demands one.
    fn mapped(&self, kind: Dependence, inside: Endpoint, remote: Endpoint) -> Option<Endpoint> {
        let same = |other: Endpoint| match kind {
            Dependence::EndpointIndependent => true,
            Dependence::AddressDependent => other.address() == remote.address(),
            Dependence::AddressAndPortDependent => other == remote,
        };
        let earlier = self.sent.iter().find(|(from, to, _)| *from == inside && same(*to));
        earlier.map(|(_, _, external)| *external)
    }

    /// The internal endpoint that a packet from `remote` to `external` reaches.
    fn reached(
        &self,
        kind: Dependence,
        scope: PermissionScope,
        remote: Endpoint,
        external: Endpoint,
    ) -> Option<Endpoint> {
        let owner = self.sent.iter().find(|(_, _, by)| *by == external)?.0;
        let admits = |(from, to, by): &(Endpoint, Endpoint, Endpoint)| {
            let attached = match scope {
                PermissionScope::InternalEndpoint => *from == owner,
                PermissionScope::Mapping => *by == external,
            };
            attached
                && match kind {
                    Dependence::EndpointIndependent => true,
                    Dependence::AddressDependent => to.address() == remote.address(),
                    Dependence::AddressAndPortDependent => *to == remote,
                }
        };
        self.sent.iter().any(admits).then_some(owner)
    }
}

#[test]
fn all_nine_combinations_follow_their_definitions() {
    let outside: Address = at("155.99.25.11:0").address();
    let insiders = [at("10.0.0.1:1234"), at("10.0.0.1:99"), at("10.0.0.2:1234")];
    let remotes = [at("18.181.0.31:1234"), at("18.181.0.31:1235"), at("18.181.0.32:1234"), at("138.76.29.7:31000")];
    let mut passed = 0;
    let mut dropped = 0;
    for (mapping, filtering, scope, preserve) in combinations() {
        for seed in 0..40 {
            let mut dice = Rng::new(seed);
            let mut behaviour = Behaviour::default().with_mapping(mapping).with_filtering(filtering);
            behaviour.permission = scope;
            behaviour.preserve_port = preserve;
            let mut nat = Nat::new(behaviour, outside, Rng::new(seed));
            let mut reference = Reference::default();
            for step in 0..40 {
                let now = Instant::from_micros(step);
                let remote = remotes[dice.below(4) as usize];
                let known = dice.below(reference.sent.len() as u64) as usize;
                if dice.below(2) == 0 || reference.sent.is_empty() {
                    let inside = insiders[dice.below(3) as usize];
                    let packet = Packet::udp(inside, remote, b"out");
                    let (side, packet) = nat.handle(now, Side::Inside, packet).packet.unwrap();
                    assert_eq!(side, Side::Outside);
                    match reference.mapped(mapping, inside, remote) {
                        Some(external) => assert_eq!(packet.source, external),
                        None => {
                            let taken = |by: &Endpoint| *by == packet.source;
                            assert!(!reference.sent.iter().any(|(_, _, by)| taken(by)));
                        }
                    }
                    reference.sent.push((inside, remote, packet.source));
                } else {
                    let external = reference.sent[known].2;
                    let expected = reference.reached(filtering, scope, remote, external);
                    let packet = Packet::udp(remote, external, b"in");
                    let passage = nat.handle(now, Side::Outside, packet);
                    let reached = passage.packet.map(|(_, packet)| packet.destination);
                    assert_eq!(reached, expected, "{behaviour:?} {:?}", passage.receipt);
                    if expected.is_some() {
                        passed += 1;
                    } else {
                        dropped += 1;
                        let rule = Decision::Dropped(DropRule::Filtered);
                        assert_eq!(passage.receipt.decision, rule);
                    }
                }
            }
        }
    }
    assert!(passed > 5_000 && dropped > 5_000, "{passed} {dropped}");
}

fn combinations() -> impl Iterator<Item = (Dependence, Dependence, PermissionScope, bool)> {
    let scopes = [PermissionScope::Mapping, PermissionScope::InternalEndpoint];
    KINDS.into_iter().flat_map(move |mapping| {
        KINDS.into_iter().flat_map(move |filtering| {
            scopes
                .into_iter()
                .flat_map(move |scope| [false, true].map(|preserve| (mapping, filtering, scope, preserve)))
        })
    })
}

#[test]
fn tcp_and_udp_have_tables_of_their_own() {
    let outside: Address = at("155.99.25.11:0").address();
    let mut nat = Nat::new(Behaviour::full_cone(), outside, Rng::new(1));
    let (inside, remote) = (at("10.0.0.1:1234"), at("18.181.0.31:1234"));
    let udp = nat.handle(Instant::ZERO, Side::Inside, Packet::udp(inside, remote, b""));
    let external = udp.packet.unwrap().1.source;
    let syn = Packet::tcp(remote, external, pinhole_sim::packet::Flags::SYN, 1, 0);
    assert_eq!(syn.transport(), Transport::Tcp);
    let passage = nat.handle(Instant::ZERO, Side::Outside, syn);
    let rule = Decision::Dropped(DropRule::NoMapping);
    assert_eq!(passage.receipt.decision, rule);
}
