//! What happens in a scene, out of a seed.

use core::net::Ipv4Addr;

use pinhole_proto::{Address, Duration, Endpoint, Transport};
use pinhole_sim::topology::{NAT_A, NAT_B};
use pinhole_sim::{Action, CrossingSyn, Effect, Fault, PacketKind, Pick};

use super::check::PATIENCE;
use super::draw::Draw;
use super::{BYSTANDER_PORT, Network, STRANGER, Scene};

impl Draw {
    /// `actions`: what comes first.
    pub(super) fn actions(&mut self, scene: &Scene, tidy: bool, mut actions: Vec<Action>) -> Vec<Action> {
        let severed = !actions.is_empty();
        if !tidy && self.one_in(3) {
            let fault = self.fault();
            actions.push(fault);
        }
        let patience = if tidy || severed || !self.one_in(8) { 3_000 } else { self.below(500) };
        actions.push(Action::Wait { ms: patience });
        let transport = match (scene.a.udp && scene.b.udp, scene.a.tcp && scene.b.tcp) {
            (true, true) if !severed => self.of(&[None, Some(Transport::Udp), Some(Transport::Tcp)]),
            _ => None,
        };
        actions.push(Action::Connect { host: "A".into(), to: "B".into(), transport });
        if self.one_in(6) {
            actions.push(Action::Wait { ms: self.below(200) });
            actions.push(Action::Connect { host: "B".into(), to: "A".into(), transport });
        }
        let mut number = 0;
        let first = if tidy || severed { PATIENCE.as_millis() as u64 } else { self.below(10_000) };
        actions.push(Action::Wait { ms: self.below(400) });
        self.chatter(&mut actions, &mut number);
        actions.push(Action::Wait { ms: first });
        for _ in 0..self.below(4) {
            self.disturbance(scene, &mut actions, &mut number);
            self.chatter(&mut actions, &mut number);
            let pause = self.of(&[200, 5_000, 20_000]);
            actions.push(Action::Wait { ms: self.below(pause) });
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
        for _ in 0..self.below(4) {
            let (host, to) = self.of(&[("A", "B"), ("B", "A")]);
            let (host, to): (String, String) = (host.into(), to.into());
            *number += 1;
            let octets = self.of(&[1, 700, 20_000, 300_000]);
            actions.push(Action::Send { host: host.clone(), to: to.clone(), text: format!("{host} {number}") });
            actions.push(Action::Write { host: host.clone(), to: to.clone(), octets });
            actions.push(Action::Take { host: to, to: host });
            actions.push(Action::Wait { ms: self.below(300) });
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
        let other: String = (if peer == "A" { "B" } else { "A" }).into();
        match (self.below(13), nat) {
            (0, _) => {
                let machine: String = self.of(&machines).into();
                actions.push(Action::Cut { machine: machine.clone() });
                self.chatter(actions, number);
                let least = self.of(&[100, 5_000, 40_000]);
                actions.push(Action::Wait { ms: self.below(least) });
                actions.push(Action::Restore { machine });
            }
            (1, Some(nat)) => actions.push(Action::Reboot { nat }),
            (2, Some(nat)) => {
                let (field, value) = self.value();
                let value = value.to_string();
                actions.push(Action::SetField { nat, field: field.name.into(), value });
            }
            (3, _) => actions.push(self.moving(peer)),
            (4, _) => {
                let host: String = self.of(&["S", "A", "B"]).into();
                actions.push(Action::Stop { host: host.clone() });
                actions.push(Action::Wait { ms: self.below(10_000) });
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
            (6, _) => actions.push(match self.below(12) {
                0..3 => Action::Close { host: peer, to: other },
                3 => Action::Shutdown { host: peer },
                4..8 => Action::Finish { host: peer, to: other },
                _ => Action::SetLine { machine: self.of(&machines).into(), line: self.line(false) },
            }),
            (7, Some(nat)) if self.one_in(2) => {
                let first = self.of(&[1_024, 31_000, 62_000]);
                actions.push(Action::SetNat { nat, behaviour: self.behaviour(first, false) });
            }
            (8 | 9, _) if scene.bystanders => self.bystanders(actions),
            _ => {
                for _ in 0..=self.below(3) {
                    let fault = self.fault();
                    actions.push(fault);
                }
            }
        }
    }

    /// Somebody else is there: who wants ports of the same NAT, or sends to it from outside.
    fn bystanders(&mut self, actions: &mut Vec<Action>) {
        let there = Endpoint::new(STRANGER, BYSTANDER_PORT);
        let (near, port): (String, u16) = ("C".into(), BYSTANDER_PORT);
        match self.below(3) {
            0 => {
                let (count, every) = (1 + self.below(60) as u32, Duration::from_millis(1) + self.millis(50));
                actions.push(Action::Compete { host: near, to: there, count, every });
            }
            1 => {
                let to = Endpoint::new(self.of(&[NAT_A, NAT_B]), self.of(&[1_234, 31_000, 62_000]));
                let (host, text) = (String::from("D"), String::from("from a stranger"));
                actions.push(Action::Datagram { host: host.clone(), port, to, ttl: None, text });
                actions.push(Action::Dial { host, port, to });
            }
            _ => {
                actions.push(Action::Dial { host: near.clone(), port, to: there });
                actions.push(Action::Wait { ms: 1_000 });
                let text = String::from("from a neighbour");
                actions.push(Action::Say { host: near.clone(), port, to: there, text });
                actions.push(Action::Wait { ms: self.below(2_000) });
                actions.push(Action::HangUp { host: near, port, to: there });
            }
        }
    }

    /// To a public address, or to another one where the peer is.
    fn moving(&mut self, host: String) -> Action {
        let last = 20 + self.below(200) as u8;
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
        let effect = match self.below(5) {
            0 => Effect::Drop,
            1 => Effect::Delay { ms },
            2 => Effect::Duplicate { ms },
            3 => Effect::Reorder { ms },
            _ => Effect::Corrupt { at: self.below(300) as u16, xor: 1 + self.below(255) as u8 },
        };
        let (skip, count) = (self.below(6) as u32, 1 + self.below(4) as u32);
        Action::Fault(Fault { pick: Pick::kind(kind), skip, count, effect })
    }
}
