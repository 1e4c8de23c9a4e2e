//! A scene out of a seed.

use pinhole_proto::{Duration, Transport};
use pinhole_sim::nat::{Field, Value};
use pinhole_sim::{Action, Behaviour, Chance, Effect, Fault, Line, Pick, Rng};

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
            bystanders: !tidy && draw.one_in(2),
            actions: Vec::new(),
        };
        if tidy || !draw.one_in(12) {
            (scene.b.udp, scene.b.tcp) = (scene.a.udp, scene.a.tcp);
        }
        let before = if !tidy && draw.one_in(8) { draw.severed(&mut scene) } else { Vec::new() };
        scene.actions = draw.actions(&scene, tidy, before);
        scene
    }
}

pub(super) struct Draw {
    dice: Rng,
}

impl Draw {
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.dice.below(all.len() as u64)).unwrap_or(0)]
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.dice.below(limit)
    }

    pub(super) fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.dice.below(most + 1))
    }

    fn network(&mut self, tidy: bool) -> Network {
        use Network::{APublic, BPublic, BothPublic, SameNat, TwoLevels, TwoNats};
        let tidy_ones = [TwoNats, TwoNats, TwoNats, TwoNats, APublic, BPublic, BothPublic];
        let all = [TwoNats, TwoNats, TwoNats, APublic, BPublic, BothPublic, SameNat, SameNat, TwoLevels, TwoLevels];
        if tidy { self.of(&tidy_ones) } else { self.of(&all) }
    }

    /// A behaviour of the oracle; in an untidy scene with a few fields changed.
    pub(super) fn behaviour(&mut self, first: u16, tidy: bool) -> Behaviour {
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
            let (field, value) = self.value();
            if field.set(&mut behaviour, value).is_err() || behaviour.check().is_err() {
                behaviour = before;
            }
        }
        behaviour
    }

    /// One of the values of one of the fields; a field with many values comes up more often.
    pub(super) fn value(&mut self) -> (&'static Field, Value<'static>) {
        let all: Vec<_> =
            Behaviour::FIELDS.iter().flat_map(|field| field.samples().map(move |value| (field, value))).collect();
        self.of(&all)
    }

    /// Two NATs between which nothing passes, with what is rarely met otherwise: guesses that miss, a network
    /// that lets no UDP through.
    fn severed(&mut self, scene: &mut Scene) -> Vec<Action> {
        let cone = Behaviour::port_restricted();
        scene.network = Network::TwoNats;
        let both = Setting { udp: true, tcp: false, relay: Relay::Allow, guesses: true };
        (scene.a, scene.b) = (both, both);
        (scene.nat_a, scene.nat_b) = (cone.with_ports_from(62_000), cone.with_ports_from(31_000));
        match self.below(5) {
            0 => {}
            1 => scene.nat_b = Behaviour::symmetric(),
            2 => scene.nat_a = Behaviour::symmetric(),
            3 => {
                scene.nat_a = Behaviour::symmetric_sequential(62_000);
                scene.nat_b = Behaviour::symmetric_sequential(31_000);
            }
            _ => {
                scene.nat_a.block_udp = true;
                (scene.a.tcp, scene.b.tcp) = (true, true);
            }
        }
        let between = |from: &str, to: &str| {
            let pick = Pick { from: Some(from.into()), to: Some(to.into()), ..Pick::default() };
            Action::Fault(Fault { pick, skip: 0, count: u32::MAX, effect: Effect::Drop })
        };
        vec![between("NAT A", "NAT B"), between("NAT B", "NAT A")]
    }

    pub(super) fn line(&mut self, tidy: bool) -> Line {
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
}
