//! A scene out of a seed.

use core::net::Ipv4Addr;

use pinhole_proto::{Address, Duration, Transport};
use pinhole_sim::action::Action;

use pinhole_sim::{Behaviour, Chance, CrossingSyn, Effect, Fault, Line, PacketKind, Pick, Rng};

use super::check::PATIENCE;
use super::{Network, Relay, Scene, Setting};
use crate::Side;

impl Scene {
    /// Draws a scene. In one of three the oracle applies until something goes wrong.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw { dice: Rng::new(seed).fork(1) };
        let tidy = draw.one_in(3);
        let network = draw.network(tidy);
        let mut scene = Self {
            seed,
            network,
            nat_a: draw.behaviour(62_000, tidy),
            nat_b: draw.behaviour(31_000, tidy),
            outer: draw.behaviour(20_000, tidy),
            line_a: draw.line(tidy),
            line_b: draw.line(tidy),
            a: draw.setting(),
            b: draw.setting(),
            actions: Vec::new(),
        };
        if tidy || !draw.one_in(12) {
            (scene.b.udp, scene.b.tcp) = (scene.a.udp, scene.a.tcp);
        }
        scene.actions = draw.actions(&scene, tidy);
        scene
    }
}

struct Draw {
    dice: Rng,
}

impl Draw {
    fn one_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.dice.below(all.len() as u64)).unwrap_or(0)]
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.dice.below(most + 1))
    }

    fn network(&mut self, tidy: bool) -> Network {
        use Network::{APublic, BPublic, BothPublic, SameNat, TwoLevels, TwoNats};
        let tidy_ones = [TwoNats, TwoNats, TwoNats, TwoNats, APublic, BPublic, BothPublic];
        let all = [TwoNats, TwoNats, TwoNats, APublic, BPublic, BothPublic, SameNat, SameNat, TwoLevels, TwoLevels];
        if tidy { self.of(&tidy_ones) } else { self.of(&all) }
    }

    /// A behaviour of the oracle; in an untidy scene with a few fields changed.
    fn behaviour(&mut self, first: u16, tidy: bool) -> Behaviour {
        let sides = Side::all(Transport::Tcp);
        let mut behaviour = loop {
            if let Some(behaviour) = self.of(&sides).behaviour(first) {
                break behaviour;
            }
        };
        if !tidy && self.one_in(2) {
            let usual = [Behaviour::port_restricted(), Behaviour::symmetric(), Behaviour::symmetric()];
            behaviour = self.of(&usual).with_ports_from(first);
        }
        let changes = if tidy { 0 } else { self.dice.below(7) };
        for _ in 0..changes {
            let before = behaviour;
            let field = &Behaviour::FIELDS[self.dice.below(Behaviour::FIELDS.len() as u64) as usize];
            let samples: Vec<_> = field.samples().collect();
            if field.set(&mut behaviour, self.of(&samples)).is_err() || behaviour.check().is_err() {
                behaviour = before;
            }
        }
        behaviour
    }

    fn line(&mut self, tidy: bool) -> Line {
        let mut line = Line::with_delay(self.millis(100));
        if self.one_in(2) {
            line = line.with_jitter(self.millis(20));
        }
        if !tidy && self.one_in(3) {
            line = line.with_loss(Chance::millionths(self.dice.below(50_000) as u32));
        }
        if !tidy && self.one_in(4) {
            line = line.with_duplication(Chance::millionths(self.dice.below(50_000) as u32));
        }
        if !tidy && self.one_in(4) {
            let hold = Duration::from_millis(1) + self.millis(50);
            for way in [&mut line.up, &mut line.down] {
                (way.reordering, way.hold) = (Chance::millionths(self.dice.below(50_000) as u32), hold);
            }
        }
        line
    }

    fn setting(&mut self) -> Setting {
        let (udp, tcp) = self.of(&[(true, true), (true, true), (true, false), (false, true)]);
        let relay = match self.dice.below(14) {
            0 => Relay::Only,
            1 => Relay::Never,
            _ => Relay::Allow,
        };
        Setting { udp, tcp, relay, guesses: self.one_in(3) }
    }

    fn actions(&mut self, scene: &Scene, tidy: bool) -> Vec<Action> {
        let mut actions = Vec::new();
        if !tidy && self.one_in(3) {
            let fault = self.fault();
            actions.push(fault);
        }
        let patience = if tidy || !self.one_in(8) { 3_000 } else { self.dice.below(500) };
        actions.push(Action::Wait { ms: patience });
        let transport = match (scene.a.udp && scene.b.udp, scene.a.tcp && scene.b.tcp) {
            (true, true) => self.of(&[None, Some(Transport::Udp), Some(Transport::Tcp)]),
            _ => None,
        };
        actions.push(Action::Connect { host: "A".into(), to: "B".into(), transport });
        if self.one_in(6) {
            actions.push(Action::Wait { ms: self.dice.below(200) });
            actions.push(Action::Connect { host: "B".into(), to: "A".into(), transport });
        }
        let mut number = 0;
        let first = if tidy { PATIENCE.as_millis() as u64 } else { self.dice.below(10_000) };
        actions.push(Action::Wait { ms: self.dice.below(400) });
        self.chatter(&mut actions, &mut number);
        actions.push(Action::Wait { ms: first });
        for _ in 0..self.dice.below(4) {
            self.disturbance(scene, &mut actions, &mut number);
            self.chatter(&mut actions, &mut number);
            let pause = self.of(&[200, 5_000, 20_000]);
            actions.push(Action::Wait { ms: self.dice.below(pause) });
        }
        for machine in ["NAT A", "NAT B", "NAT", "NAT X", "A", "B", "S"] {
            actions.push(Action::Restore { machine: machine.into() });
        }
        self.chatter(&mut actions, &mut number);
        actions.push(Action::Wait { ms: 90_000 });
        for (host, to) in [("A", "B"), ("B", "A")] {
            actions.push(Action::Take { host: host.into(), to: to.into() });
            actions.push(Action::Send { host: host.into(), to: to.into(), text: format!("last {host}") });
        }
        actions.push(Action::Wait { ms: 5_000 });
        actions
    }

    /// Both sides say something; which of the two services the session has is not known here.
    fn chatter(&mut self, actions: &mut Vec<Action>, number: &mut u32) {
        for _ in 0..self.dice.below(4) {
            let (host, to) = self.of(&[("A", "B"), ("B", "A")]);
            let (host, to): (String, String) = (host.into(), to.into());
            *number += 1;
            let octets = self.of(&[1, 700, 20_000, 300_000]);
            actions.push(Action::Send { host: host.clone(), to: to.clone(), text: format!("{host} {number}") });
            actions.push(Action::Write { host: host.clone(), to: to.clone(), octets });
            actions.push(Action::Take { host: to, to: host });
            actions.push(Action::Wait { ms: self.dice.below(300) });
        }
    }

    fn disturbance(&mut self, scene: &Scene, actions: &mut Vec<Action>, number: &mut u32) {
        let peer: String = self.of(&["A", "B"]).into();
        let nats: &[&str] = match scene.network {
            Network::BothPublic => &[],
            Network::APublic => &["NAT B"],
            Network::BPublic => &["NAT A"],
            Network::TwoNats => &["NAT A", "NAT B"],
            Network::SameNat => &["NAT"],
            Network::TwoLevels => &["NAT A", "NAT B", "NAT X"],
        };
        let machines: Vec<&str> = nats.iter().copied().chain(["A", "B", "S"]).collect();
        let nat = if nats.is_empty() { None } else { Some(String::from(self.of(nats))) };
        match (self.dice.below(9), nat) {
            (0, _) => {
                let machine: String = self.of(&machines).into();
                actions.push(Action::Cut { machine: machine.clone() });
                self.chatter(actions, number);
                let least = self.of(&[100, 5_000, 40_000]);
                actions.push(Action::Wait { ms: self.dice.below(least) });
                actions.push(Action::Restore { machine });
            }
            (1, Some(nat)) => actions.push(Action::Reboot { nat }),
            (2, Some(nat)) => {
                let field = &Behaviour::FIELDS[self.dice.below(Behaviour::FIELDS.len() as u64) as usize];
                let samples: Vec<_> = field.samples().collect();
                let value = self.of(&samples).to_string();
                actions.push(Action::SetField { nat, field: field.name.into(), value });
            }
            (3, _) => actions.push(self.moving(peer)),
            (4, _) => {
                let host: String = self.of(&["S", "A", "B"]).into();
                actions.push(Action::Stop { host: host.clone() });
                actions.push(Action::Wait { ms: self.dice.below(10_000) });
                actions.push(Action::Start { host: host.clone() });
                if host != "S" {
                    actions.push(Action::Wait { ms: 3_000 });
                    let to = if host == "A" { "B" } else { "A" };
                    actions.push(Action::Connect { host, to: to.into(), transport: None });
                }
            }
            (5, _) => {
                let taker = self.of(&[CrossingSyn::Dial, CrossingSyn::Listener]);
                actions.push(Action::SetCrossing { host: peer, taker });
            }
            (6, _) if self.one_in(4) => {
                actions.push(Action::Close { host: peer.clone(), to: (if peer == "A" { "B" } else { "A" }).into() });
            }
            _ => {
                for _ in 0..=self.dice.below(3) {
                    let fault = self.fault();
                    actions.push(fault);
                }
            }
        }
    }

    /// To a public address, or to another one where the peer is.
    fn moving(&mut self, host: String) -> Action {
        let last = 20 + self.dice.below(200) as u8;
        let address = Address::V4(Ipv4Addr::new(192, 0, 2, last));
        Action::Move { host, realm: "internet".into(), addresses: vec![address] }
    }

    fn fault(&mut self) -> Action {
        use PacketKind::{
            Ack, Data, Discover, Discovered, Fin, Punch, PunchReply, Register, Registered, Relayed, Rst, Sealed, Syn,
            SynAck, Tcp, Udp,
        };
        let kind = self.of(&[
            Ack, Data, Discover, Discovered, Fin, Punch, PunchReply, Register, Registered, Relayed, Rst, Sealed,
            Sealed, Sealed, Syn, SynAck, Tcp, Udp, Udp,
        ]);
        let ms = self.of(&[1, 30, 400, 3_000]);
        let effect = match self.dice.below(5) {
            0 => Effect::Drop,
            1 => Effect::Delay { ms },
            2 => Effect::Duplicate { ms },
            3 => Effect::Reorder { ms },
            _ => Effect::Corrupt { at: self.dice.below(300) as u16, xor: 1 + self.dice.below(255) as u8 },
        };
        let (skip, count) = (self.dice.below(6) as u32, 1 + self.dice.below(4) as u32);
        Action::Fault(Fault { pick: Pick::kind(kind), skip, count, effect })
    }
}
