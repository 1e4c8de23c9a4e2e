//! Random worlds: networks, NATs, faults and actions out of one seed, and what must hold in each of them.
//!
//! A [`Scene`] is data: [`Scene::draw`] makes one from a seed, and a scene that failed is kept as JSON,
//! which stays what it is when the drawing changes. [`Scene::run`] plays it and answers with what is wrong.

mod check;
mod draw;
mod histogram;
mod life;
mod plot;
#[cfg(test)]
mod tampered;

use core::cell::Cell;
use core::net::Ipv4Addr;

use pinhole_proto::peer::{PeerConfig, RelayPolicy, StrategySet};
use pinhole_proto::wire::code::Strategy;
use pinhole_proto::{Address, Duration, Instant};
use pinhole_sim::plain::PlainConfig;
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::trace::What;
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Action, Behaviour, Line, RealmId, Role, Topology, World};
use serde::{Deserialize, Serialize};

use crate::Oracle;
pub use histogram::Histogram;
use life::Life;

/// Everything that a run follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scene {
    /// The seed of the world.
    pub seed: u64,
    /// Who is where.
    pub network: Network,
    /// The NAT of A, or of both.
    pub nat_a: Behaviour,
    /// The NAT of B.
    pub nat_b: Behaviour,
    /// The provider's NAT.
    pub outer: Behaviour,
    /// The line of A's side.
    pub line_a: Line,
    /// The line of B's side.
    pub line_b: Line,
    /// How A is set up.
    pub a: Setting,
    /// How B is set up.
    pub b: Setting,
    /// Whether two hosts without Pinhole are there: C beside A, and D in the internet.
    #[serde(default)]
    pub bystanders: bool,
    /// What happens.
    pub actions: Vec<Action>,
}

/// Who is where: the networks of [`topology`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the functions of `topology` have these names")]
pub enum Network {
    BothPublic,
    APublic,
    BPublic,
    TwoNats,
    SameNat,
    TwoLevels,
}

/// How a peer is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Setting {
    /// It registers over UDP.
    pub udp: bool,
    /// It registers over TCP.
    pub tcp: bool,
    /// Whether it uses the relay.
    pub relay: Relay,
    /// Whether it takes part in strategies that are not plain.
    #[serde(default)]
    pub guesses: bool,
}

/// A [`RelayPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the policies have these names")]
pub enum Relay {
    Allow,
    Only,
    Never,
}

/// What came of a scene.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not be.
    pub wrong: Vec<String>,
    /// What was seen.
    pub histogram: Histogram,
    /// The digest of the run.
    pub digest: u64,
}

impl Scene {
    /// Plays the scene and judges it.
    #[must_use]
    pub fn run(&self, oracle: &Oracle) -> Outcome {
        self.play(oracle).0
    }

    /// Plays the scene, judges it, and draws what happened, with what the applications heard below.
    #[must_use]
    pub fn ladder(&self, oracle: &Oracle) -> (Outcome, String) {
        let (outcome, trio) = self.play(oracle);
        let mut ladder = trio.world.trace().ladder();
        for (name, host) in [("A", trio.net.a), ("B", trio.net.b)] {
            for (at, said) in trio.said(host) {
                let micros = at.as_micros();
                ladder += &format!("{:>6}.{:03}  {name} heard {:?}\n", micros / 1000, micros % 1000, said.event);
            }
        }
        (outcome, ladder)
    }

    /// Plays the scene without judging it; what comes of it.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut trio = self.build();
        let mut life = Life::new(&trio);
        for action in &self.actions {
            act(&mut trio, &mut life, action);
        }
        trio.world.trace().digest()
    }

    fn play(&self, oracle: &Oracle) -> (Outcome, Trio) {
        let (mut wrong, trio, life) = self.lived(oracle);
        wrong.extend(check::all(self, &trio, &life));
        let mut histogram = Histogram::default();
        histogram.enter(self, &trio, &life);
        (Outcome { wrong, histogram, digest: trio.world.trace().digest() }, trio)
    }

    /// Plays the scene, and asks the oracle on the way.
    fn lived(&self, oracle: &Oracle) -> (Vec<String>, Trio, Life) {
        let mut trio = self.build();
        let mut life = Life::new(&trio);
        let mut wrong = Vec::new();
        for action in &self.actions {
            if life.is_undisturbed() && is_disturbance(action) {
                wrong.extend(check::oracle(self, &trio, &life, oracle));
            }
            act(&mut trio, &mut life, action);
        }
        if life.is_undisturbed() {
            wrong.extend(check::oracle(self, &trio, &life, oracle));
        }
        life.end(&trio);
        (wrong, trio, life)
    }

    fn build(&self) -> Trio {
        let plan = Plan {
            nat_a: self.nat_a,
            nat_b: self.nat_b,
            outer: self.outer,
            line_a: self.line_a,
            line_b: self.line_b,
            ..Plan::default()
        };
        let build: fn(&mut World, &Plan) -> Topology = match self.network {
            Network::BothPublic => topology::both_public,
            Network::APublic => topology::a_public,
            Network::BPublic => topology::b_public,
            Network::TwoNats => topology::two_nats,
            Network::SameNat => topology::same_nat,
            Network::TwoLevels => topology::two_levels,
        };
        let first = Cell::new(true);
        let build = |world: &mut World, plan: &Plan| {
            let net = build(world, plan);
            if self.bystanders {
                let nat = net.nat_a.filter(|_| self.network != Network::APublic);
                let (realm, address) =
                    nat.map_or((RealmId::INTERNET, NEIGHBOUR), |nat| (world.inside(nat), NEIGHBOUR_OF_A));
                world.add_host("C", realm, &[address], Line::default());
                world.add_host("D", RealmId::INTERNET, &[STRANGER], Line::default());
            }
            net
        };
        let mut trio = Trio::new(self.seed, &plan, build, |config| {
            let setting = if first.replace(false) { &self.a } else { &self.b };
            setting.adjust(config);
        });
        for name in ["C", "D"] {
            if let Some(host) = trio.world.host_named(name) {
                let config =
                    PlainConfig { udp: vec![BYSTANDER_PORT], tcp: vec![BYSTANDER_PORT], ..PlainConfig::default() };
                trio.cast.start(&mut trio.world, host, Role::Plain(config));
            }
        }
        trio
    }

    /// The behaviours that packets meet in this network.
    fn behaviours(&self) -> Vec<Behaviour> {
        match self.network {
            Network::BothPublic => Vec::new(),
            Network::APublic => vec![self.nat_b],
            Network::BPublic | Network::SameNat => vec![self.nat_a],
            Network::TwoNats => vec![self.nat_a, self.nat_b],
            Network::TwoLevels => vec![self.nat_a, self.nat_b, self.outer],
        }
    }
}

impl Setting {
    const fn adjust(&self, config: &mut PeerConfig) {
        config.udp = self.udp;
        config.tcp = self.tcp;
        config.strategies = if self.guesses { StrategySet::ALL } else { StrategySet::NONE.with(Strategy::PLAIN) };
        config.birthday = self.guesses;
        config.relay = match self.relay {
            Relay::Allow => RelayPolicy::Allow,
            Relay::Only => RelayPolicy::Only,
            Relay::Never => RelayPolicy::Never,
        };
    }
}

/// Whether what the oracle says need not hold any more after an action.
const fn is_disturbance(action: &Action) -> bool {
    !matches!(
        action,
        Action::Wait { .. }
            | Action::Connect { .. }
            | Action::Send { .. }
            | Action::Write { .. }
            | Action::Take { .. }
            | Action::Restore { .. }
    )
}

/// What an action cannot do in this world at this moment it does not do. Nothing more is done in a world that has
/// too many packets.
fn act(trio: &mut Trio, life: &mut Life, action: &Action) {
    life.before(trio, action);
    let done = match action {
        Action::Wait { ms } => {
            let mut left = *ms;
            while left > 0 && trio.world.trace().count() <= MOST_RECORDS {
                let some = left.min(250);
                trio.world.run_for(Duration::from_millis(some));
                left -= some;
            }
            true
        }
        _ => trio.apply(action).is_ok(),
    };
    life.after(trio, action, done);
}

/// When a packet left a peer's host, and when one arrived.
fn times(trio: &Trio, host: pinhole_sim::HostId) -> impl Iterator<Item = (Instant, bool, &pinhole_sim::Packet)> {
    let place = pinhole_sim::Place::Host(host);
    trio.world.trace().records().iter().filter_map(move |record| {
        let sent = record.from == place
            && matches!(
                record.what,
                What::Sent(_) | What::Lost | What::Cut | What::Removed | What::Held | What::NoRoute | What::TtlExpired
            );
        let arrived = record.to == Some(place) && matches!(record.what, What::Delivered(_));
        (sent || arrived).then_some((record.at, sent, &record.packet))
    })
}

/// D, in the internet.
const STRANGER: Address = Address::V4(Ipv4Addr::new(203, 0, 113, 7));
/// C where A has no NAT.
const NEIGHBOUR: Address = Address::V4(Ipv4Addr::new(203, 0, 113, 9));
/// C behind A's nearest NAT.
const NEIGHBOUR_OF_A: Address = Address::V4(Ipv4Addr::new(10, 0, 0, 9));
/// The port of C and D, UDP and TCP.
const BYSTANDER_PORT: u16 = 4_000;
/// More entries than this in a trace are a storm.
const MOST_RECORDS: u64 = 400_000;
