//! The draft's guidance NAT-1 to NAT-14: what a behaviour is said to do, it does.

use pinhole_proto::{Duration, Endpoint, Instant};
use pinhole_sim::nat::{Decision, Guidance, Hairpin, Kind, OnFull, RowId, Side, Standing, Translation, Value};
use pinhole_sim::packet::Flags;
use pinhole_sim::{Behaviour, Nat, Packet, Rng};

use crate::toy::at;

const S: &str = "18.181.0.31:1234";
const PEER: &str = "138.76.29.7:31000";
const A: &str = "10.0.0.1:1234";
const RIVAL: &str = "10.0.0.2:1234";

/// A NAT and its time.
struct Bench {
    nat: Nat,
    now: Instant,
}

impl Bench {
    fn new(behaviour: Behaviour) -> Self {
        Self { nat: Nat::new(behaviour, at("155.99.25.11:0").address(), Rng::new(5)), now: Instant::ZERO }
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn send(&mut self, packet: Packet) -> Option<(Endpoint, RowId)> {
        let passage = self.nat.handle(self.now, Side::Inside, packet);
        let (_, packet) = passage.packet?;
        Some((packet.source, passage.receipt.mapping?.row))
    }

    fn udp(&mut self, from: &str, to: &str) -> Option<(Endpoint, RowId)> {
        self.send(Packet::udp(at(from), at(to), b"x"))
    }

    fn syn(&mut self, from: &str, to: &str) -> Option<(Endpoint, RowId)> {
        self.send(Packet::tcp(at(from), at(to), Flags::SYN, 1, 0))
    }

    fn enters(&mut self, packet: Packet) -> Decision {
        self.nat.handle(self.now, Side::Outside, packet).receipt.decision
    }

    fn back(&mut self, from: &str, to: Endpoint) -> bool {
        matches!(self.enters(Packet::udp(at(from), to, b"x")), Decision::Forwarded { .. })
    }
}

/// Behaviours in which tables do not fill.
fn roomy() -> impl Iterator<Item = Behaviour> {
    (0..400).map(|seed| {
        let mut dice = Rng::new(seed);
        let mut behaviour = Behaviour::default();
        for field in Behaviour::FIELDS {
            let samples: Vec<Value<'static>> = field.samples().collect();
            if dice.below(3) == 0 {
                field.set(&mut behaviour, samples[dice.below(samples.len() as u64) as usize]).expect("a sample fits");
            }
        }
        behaviour.ports = (1024, 65_535);
        behaviour.block = None;
        (behaviour.max_mappings, behaviour.max_mappings_per_host) = (1000, 1000);
        behaviour
    })
}

fn standing(behaviour: &Behaviour, guidance: Guidance) -> Standing {
    let (_, standing) = behaviour.guidance()[guidance as usize];
    standing
}

/// Compares what is said with what is seen, over many behaviours; both must occur.
fn agree(guidance: Guidance, mut change: impl FnMut(&mut Behaviour), mut seen: impl FnMut(Behaviour) -> bool) {
    let mut counts = [0, 0];
    for mut behaviour in roomy() {
        change(&mut behaviour);
        let said = match standing(&behaviour, guidance) {
            Standing::NotApplicable => continue,
            Standing::Satisfied => true,
            Standing::Violated => false,
        };
        assert_eq!(seen(behaviour), said, "{guidance:?} {behaviour:#?}");
        counts[usize::from(said)] += 1;
    }
    assert!(counts[0] > 10 && counts[1] > 10, "{guidance:?} {counts:?}");
}

/// Whether A keeps one external endpoint towards everybody, though a rival uses its port and the peer
/// sends early.
fn one_endpoint(behaviour: Behaviour, tcp: bool) -> bool {
    let mut bench = Bench::new(behaviour);
    let out = |bench: &mut Bench, from: &str, to: &str| {
        let sent = if tcp { bench.syn(from, to) } else { bench.udp(from, to) };
        sent.map(|(external, _)| external)
    };
    if behaviour.translation != Translation::Basic {
        out(&mut bench, RIVAL, S);
    }
    let Some(first) = out(&mut bench, A, S) else {
        return false;
    };
    let early =
        if tcp { Packet::tcp(at(PEER), first, Flags::SYN, 1, 0) } else { Packet::udp(at(PEER), first, b"early") };
    bench.enters(early);
    [PEER, "18.181.0.31:1235", "18.181.0.32:9"].into_iter().all(|to| out(&mut bench, A, to) == Some(first))
}

#[test]
fn a_nat_that_is_no_cone_shows_several_endpoints() {
    agree(Guidance::Nat2, |_| {}, |behaviour| one_endpoint(behaviour, false));
    agree(Guidance::Nat8, |_| {}, |behaviour| one_endpoint(behaviour, false));
    agree(Guidance::Nat11, |_| {}, |behaviour| one_endpoint(behaviour, true));
    // Symmetric is what differs without any early packet and without ports set apart.
    let plain = |behaviour: &mut Behaviour| {
        behaviour.spoiled_by_early = None;
        behaviour.one_to_many = None;
    };
    agree(Guidance::Nat1, plain, |behaviour| one_endpoint(behaviour, false));
}

#[test]
fn a_nat_that_suits_peers_suits_them_over_both_transports() {
    // A filter that admits everybody has nobody to answer.
    let filters = |behaviour: &mut Behaviour| behaviour.tcp_filtering = Some(Kind::AddressAndPortDependent);
    agree(Guidance::Nat3, filters, |behaviour| {
        let mut bench = Bench::new(behaviour);
        let Some((external, _)) = bench.syn(A, S) else {
            return false;
        };
        let unsolicited = bench.enters(Packet::tcp(at("138.76.29.8:1"), external, Flags::SYN, 1, 0));
        let silent = !matches!(unsolicited, Decision::Answered(_));
        let mut bench = Bench::new(Behaviour { spoiled_by_early_syn: None, ..behaviour });
        let crossing = bench.syn(A, PEER).is_some_and(|(external, _)| {
            let passed = bench.enters(Packet::tcp(at(PEER), external, Flags::SYN, 9, 0));
            let answer = Packet::tcp(at(A), at(PEER), Flags::SYN_ACK, 1, 10);
            matches!(passed, Decision::Forwarded { .. }) && bench.send(answer).is_some()
        });
        one_endpoint(behaviour, false) && one_endpoint(behaviour, true) && silent && crossing
    });
}

#[test]
fn ports_set_apart_serve_many_remotes_of_a_symmetric_nat() {
    let mut behaviour = Behaviour::symmetric();
    assert_eq!(standing(&behaviour, Guidance::Nat4), Standing::NotApplicable);
    behaviour.one_to_many = Some((40_000, 49_999));
    behaviour.one_to_many_for = (1234, 1234);
    assert_eq!(standing(&behaviour, Guidance::Nat4), Standing::Satisfied);
    assert_eq!(standing(&behaviour, Guidance::Nat5), Standing::Satisfied);
    let mut bench = Bench::new(behaviour);
    let many = bench.udp(A, S).map(|(external, _)| external);
    assert!(many.is_some_and(|external| (40_000..50_000).contains(&external.port())), "{many:?}");
    assert_eq!(bench.udp(A, PEER).map(|(external, _)| external), many);
    let one = bench.udp("10.0.0.1:99", S).map(|(external, _)| external);
    let other = bench.udp("10.0.0.1:99", PEER).map(|(external, _)| external);
    assert!(one != other && [one, other].iter().flatten().all(|e| !(40_000..50_000).contains(&e.port())));
}

#[test]
fn a_stable_binding_lasts_as_long_as_its_sessions() {
    agree(
        Guidance::Nat6,
        |behaviour| behaviour.max_mappings = 5,
        |behaviour| {
            let mut bench = Bench::new(behaviour);
            if behaviour.translation == Translation::Basic {
                bench.nat.add_address(at("155.99.25.12:0").address());
            }
            let Some((external, row)) = bench.udp(A, PEER) else {
                return false;
            };
            for n in 0..24 {
                bench.wait(5_000);
                bench.back(PEER, external);
                for other in 0..6 {
                    bench.udp(&format!("10.0.0.3:{}", 5000 + 10 * n + other), S);
                }
                if bench.udp(A, PEER) != Some((external, row)) {
                    return false;
                }
            }
            one_endpoint(behaviour, false)
        },
    );
}

#[test]
fn filtering_by_session_admits_the_session_alone() {
    let mut filtered = 0;
    for behaviour in roomy().filter(|behaviour| !behaviour.block_udp) {
        let mut bench = Bench::new(behaviour);
        let (external, _) = bench.udp(A, S).expect("UDP passes");
        assert!(bench.back(S, external));
        let strict = !bench.back("18.181.0.31:1235", external);
        assert_eq!(standing(&behaviour, Guidance::Nat7) == Standing::Satisfied, strict, "{behaviour:#?}");
        filtered += usize::from(strict);
    }
    assert!(filtered > 50);
}

#[test]
fn a_port_is_kept_where_the_nat_says_so() {
    for behaviour in roomy().filter(|behaviour| !behaviour.block_udp) {
        let from = if behaviour.is_one_to_many(40_100) { "10.0.0.1:40100" } else { A };
        let (external, _) = Bench::new(behaviour).udp(from, S).expect("UDP passes");
        let kept = external.port() == at(from).port();
        assert_eq!(standing(&behaviour, Guidance::Nat9) == Standing::Satisfied, kept, "{behaviour:#?}");
    }
}

#[test]
fn a_kept_port_never_breaks_a_binding() {
    // The draft's sequence (5.3.1): A gets another port because 1234 is taken; 1234 becomes free while A's
    // session with S is alive; A's session with B must use the port that it has.
    let change = |behaviour: &mut Behaviour| {
        behaviour.preserve_port = true;
        behaviour.udp_idle = Duration::from_secs(20);
        behaviour.lifetime = None;
        behaviour.one_to_many = None;
    };
    agree(Guidance::Nat10, change, |behaviour| {
        let mut bench = Bench::new(behaviour);
        if behaviour.translation != Translation::Basic {
            bench.udp(RIVAL, S);
        }
        let (external, _) = bench.udp(A, S).expect("UDP passes");
        for _ in 0..8 {
            bench.wait(5_000);
            bench.back(S, external);
            assert_eq!(bench.udp(A, S).map(|(external, _)| external), Some(external));
        }
        bench.udp(A, PEER).map(|(external, _)| external) == Some(external)
    });
}

#[test]
fn a_binding_survives_299_seconds_of_silence_where_the_nat_says_so() {
    agree(
        Guidance::Nat12,
        |_| {},
        |behaviour| {
            let mut bench = Bench::new(behaviour);
            let (external, _) = bench.udp(A, PEER).expect("UDP passes");
            bench.wait(299_000);
            bench.back(PEER, external)
        },
    );
}

#[test]
fn a_keepalive_a_minute_is_enough_where_the_nat_says_so() {
    agree(
        Guidance::Nat13,
        |_| {},
        |behaviour| {
            let mut bench = Bench::new(behaviour);
            let first = bench.udp(A, PEER);
            (0..130).all(|_| {
                bench.wait(60_000);
                bench.udp(A, PEER) == first
            })
        },
    );
}

#[test]
fn loopback_translation_shows_the_external_source() {
    for hairpin in Hairpin::ALL {
        for translation in Translation::ALL {
            let mut behaviour = Behaviour::port_restricted().with_hairpin(hairpin);
            behaviour.translation = translation;
            let mut bench = Bench::new(behaviour);
            bench.nat.add_address(at("155.99.25.12:0").address());
            let (a, _) = bench.udp(A, S).expect("UDP passes");
            let (b, _) = bench.udp("10.1.1.3:1234", S).expect("UDP passes");
            bench.send(Packet::udp(at("10.1.1.3:1234"), a, b"open"));
            let decision = bench.nat.handle(bench.now, Side::Inside, Packet::udp(at(A), b, b"x")).receipt.decision;
            let translated = decision == Decision::Forwarded { source: a, destination: at("10.1.1.3:1234") };
            let said = standing(&behaviour, Guidance::Nat14);
            if translation == Translation::Firewall {
                assert_eq!(said, Standing::NotApplicable);
            } else {
                assert_eq!(said == Standing::Satisfied, translated, "{hairpin:?} {translation:?} {decision:?}");
            }
        }
    }
}

#[test]
fn the_recommended_nat_violates_nothing_but_the_hairpin() {
    let mut behaviour = Behaviour::default();
    let violated = |behaviour: &Behaviour| -> Vec<Guidance> {
        let all = behaviour.guidance().into_iter();
        all.filter(|(_, standing)| *standing == Standing::Violated).map(|(guidance, _)| guidance).collect()
    };
    assert_eq!(violated(&behaviour), [Guidance::Nat14]);
    behaviour.hairpin = Hairpin::ExternalSource;
    assert_eq!(violated(&behaviour), []);
    behaviour.full = OnFull::EvictOldest;
    assert_eq!(violated(&behaviour), [Guidance::Nat6]);
}
