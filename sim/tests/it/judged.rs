//! The NAT judged by the naive one, packet by packet, over every value of every field.

use std::collections::BTreeMap;

use pinhole_proto::{Address, Duration, Endpoint, Instant, NetError, Transport};
use pinhole_sim::nat::{Decision, DropRule, Rule, Side, Value};
use pinhole_sim::packet::{Body, Flags, Icmp, Packet};
use pinhole_sim::{Behaviour, Nat, Rng};

use crate::naive::Naive;
use crate::toy::at;

/// A behaviour of which about a third of the fields differ from the default.
pub(crate) fn any_behaviour(dice: &mut Rng) -> Behaviour {
    loop {
        let mut behaviour = Behaviour::default();
        for field in Behaviour::FIELDS {
            if dice.below(3) == 0 {
                let samples: Vec<Value<'static>> = field.samples().collect();
                let value = samples[dice.below(samples.len() as u64) as usize];
                field.set(&mut behaviour, value).expect("a sample fits");
            }
        }
        // Few ports, so that they run out, and around the bounds of the ranges.
        let ports = [(1200, 1240), (1010, 1040), (49_140, 49_170), (1024, 1500)];
        behaviour.ports = ports[dice.below(4) as usize];
        behaviour.first_port = dice.port(behaviour.ports.0, behaviour.ports.1);
        if behaviour.one_to_many.is_some() {
            let low = dice.port(behaviour.ports.0, behaviour.ports.1);
            behaviour.one_to_many = Some((low, low + 5));
        }
        behaviour.block = behaviour.block.map(|_| 1 + dice.below(16) as u16);
        if behaviour.block_udp && dice.below(4) > 0 {
            behaviour.block_udp = false;
        }
        if behaviour.check().is_ok() {
            return behaviour;
        }
    }
}

/// A source of packets that have to do with each other.
pub(crate) struct Traffic {
    pub(crate) dice: Rng,
    pub(crate) pool: Vec<Address>,
    pub(crate) known: Vec<Endpoint>,
}

impl Traffic {
    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.dice.below(of.len() as u64) as usize]
    }

    pub(crate) fn packet(&mut self) -> (Side, Packet) {
        let v6 = self.dice.below(12) == 0;
        let inside: &[&str] = if v6 {
            &["[2001:db8:a::1]:1234"]
        } else {
            &["10.0.0.1:1234", "10.0.0.1:1235", "10.0.0.1:1210", "10.0.0.2:1234", "10.0.0.3:50000", "10.0.0.3:80"]
        };
        let remotes: &[&str] = if v6 {
            &["[2001:db8:b::1]:1234", "[2001:db8:b::1]:53"]
        } else {
            &["18.181.0.31:1234", "18.181.0.31:1235", "18.181.0.31:80", "138.76.29.7:31000"]
        };
        let inside = at(self.one_of(inside));
        let remote = at(self.one_of(remotes));
        let known = self.known.clone();
        let external = if v6 {
            inside
        } else if known.is_empty() || self.dice.below(8) == 0 {
            Endpoint::new(self.one_of(&self.pool.clone()), self.dice.port(1200, 1240))
        } else {
            self.one_of(&known)
        };
        let (side, from, to) = match self.dice.below(7) {
            0..=2 => (Side::Inside, inside, remote),
            3..=5 => (Side::Outside, remote, external),
            _ => (Side::Inside, inside, external),
        };
        let seq = self.dice.below(3);
        let payload: &[u8] = if self.dice.below(4) == 0 { b"\x0a\0\0\x01" } else { b"payload" };
        let mut packet = match self.dice.below(12) {
            0..=5 => Packet::udp(from, to, payload),
            6..=8 => Packet::tcp(from, to, Flags::SYN, seq, 0),
            9 => Packet::tcp(from, to, self.one_of(&[Flags::SYN_ACK, Flags::ACK, Flags::FIN, Flags::RST]), seq, 1),
            10 => Packet::tcp(from, to, Flags::ACK, seq, 1),
            _ => {
                // About a packet that went the other way.
                let transport = self.one_of(&[Transport::Udp, Transport::Tcp]);
                let body = Icmp { error: NetError::Refused, transport, source: to, destination: from };
                Packet { source: from.with_port(0), destination: to, ttl: 64, body: Body::Icmp(body) }
            }
        };
        if self.dice.below(50) == 0 {
            packet.ttl = 1;
        }
        (side, packet)
    }

    pub(crate) fn wait(&mut self) -> Duration {
        Duration::from_millis(self.one_of(&[0, 0, 0, 1, 1, 3000, 15_000, 100_000, 290_000, 8_000_000]))
    }
}

pub(crate) const POOL: [&str; 2] = ["155.99.25.11:0", "155.99.25.12:0"];

#[test]
fn every_behaviour_decides_as_its_definitions_say() {
    let mut decisions: BTreeMap<String, u32> = BTreeMap::new();
    let mut rules: BTreeMap<Rule, [u32; 2]> = BTreeMap::new();
    let mut deferred = 0;
    for seed in 0..RUNS {
        let mut dice = Rng::new(seed);
        let behaviour = any_behaviour(&mut dice);
        let _seen = Seen(seed, behaviour);
        let pool: Vec<Address> = POOL[..1 + dice.below(2) as usize].iter().map(|text| at(text).address()).collect();
        let mut nat = Nat::new(behaviour, pool[0], dice.fork(1));
        for address in &pool {
            nat.add_address(*address);
        }
        let mut naive = Naive::new(behaviour, &pool);
        let mut traffic = Traffic { dice: dice.fork(2), pool, known: vec![] };
        let mut now = Instant::from_micros(1_000_000);
        for step in 0..STEPS {
            now = now + traffic.wait();
            let late: Vec<Endpoint> =
                nat.handle_timeout(now).into_iter().map(|passage| passage.packet.unwrap().1.destination).collect();
            deferred += late.len();
            let due = naive.due(now);
            assert_eq!(late.len(), due.len(), "seed {seed}, step {step}");
            assert!(nat.deadline().is_none_or(|deadline| deadline > now));
            let (side, packet) = traffic.packet();
            let passage = nat.handle(now, side, packet.clone());
            let what = format!("seed {seed}, step {step}: {side:?} {packet} {:#?}\n{behaviour:#?}", passage.receipt);
            let expected = naive.judge(now, side, &packet, &passage.receipt);
            assert_eq!(passage.receipt.decision, expected, "{what}");
            if let Decision::Answered(_) = expected {
                let (back, answer) = passage.packet.as_ref().unwrap();
                assert_eq!((*back, answer.destination), (side, packet.source), "{what}");
            }
            assert_eq!(nat.rows().count(), naive.rows(), "{what}");
            traffic.known = naive.externals();
            let name = match expected {
                Decision::Forwarded { .. } => format!("{:?} forwarded", passage.receipt.direction),
                Decision::Dropped(rule) => format!("dropped {rule:?}"),
                Decision::Answered(rule) => format!("answered {rule:?}"),
            };
            *decisions.entry(name).or_default() += 1;
            for check in passage.receipt.checks.all() {
                rules.entry(check.rule).or_default()[usize::from(check.held)] += 1;
            }
        }
    }
    println!("{decisions:#?}\n{rules:?}\ndeferred {deferred}");
    for rule in DropRule::ALL {
        let name = format!("dropped {rule:?}");
        assert!(decisions.get(&name).is_some_and(|count| *count > 2), "{name}: {decisions:#?}");
    }
    assert!(deferred > 10, "{deferred}");
}

#[test]
fn no_behaviour_makes_a_nat_panic_not_even_a_senseless_one() {
    for seed in 0..200 {
        let mut dice = Rng::new(seed);
        let mut behaviour = any_behaviour(&mut dice);
        let ports = [0, 1, 1023, 1024, 1234, 65_534, 65_535];
        let spans = [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(20), Duration::MAX];
        let mut port = || ports[dice.below(7) as usize];
        behaviour.ports = (port(), port());
        (behaviour.first_port, behaviour.port_step) = (port(), port());
        behaviour.one_to_many = Some((port(), port()));
        behaviour.one_to_many_for = (port(), port());
        behaviour.block = Some(port());
        behaviour.blocks_per_host = port();
        let mut span = || spans[dice.below(4) as usize];
        (behaviour.udp_idle, behaviour.tcp_transitory_idle, behaviour.tcp_established_idle) = (span(), span(), span());
        (behaviour.reuse_delay, behaviour.syn_grace, behaviour.lifetime) = (span(), span(), Some(span()));
        (behaviour.spoiled_by_early, behaviour.spoiled_by_early_syn) = (Some(span()), Some(span()));
        (behaviour.max_mappings, behaviour.max_mappings_per_host) = (dice.below(3) as u32, dice.below(3) as u32);
        let pool = vec![at(POOL[0]).address()];
        let mut nat = Nat::new(behaviour, pool[0], dice.fork(1));
        let mut traffic = Traffic { dice: dice.fork(2), pool, known: vec![] };
        let mut now = Instant::ZERO;
        for step in 0..40 {
            now = now + traffic.wait();
            nat.handle_timeout(now);
            let (side, packet) = traffic.packet();
            nat.handle(now, side, packet);
            traffic.known = nat.rows().map(|row| row.external).collect();
            match step {
                20 => nat.set_behaviour(any_behaviour(&mut traffic.dice)),
                30 => nat.reboot(),
                _ => {}
            }
        }
    }
}

/// Says which run it was when one fails.
struct Seen(u64, Behaviour);

impl Drop for Seen {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in run {} of {:#?}", self.0, self.1);
        }
    }
}

const RUNS: u64 = 1000;
const STEPS: u32 = 60;
