//! One pair of sides, run with the real engines.

use pinhole_proto::peer::{PathKind, PeerCommand, PeerEvent};
use pinhole_proto::wire::code::Strategy;
use pinhole_proto::{Duration, Instant, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::{PeerSaid, Trio};
use pinhole_sim::{Topology, World};

use crate::{Allowed, Side};

/// Two sides, a transport and a seed: everything that a run follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The transport of the session.
    pub transport: Transport,
    /// The side that asks for the session.
    pub a: Side,
    /// The other side.
    pub b: Side,
    /// What both peers take part in.
    pub allowed: Allowed,
    /// The seed of the world.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Both ends use a direct path.
    pub direct: bool,
    /// The strategy of the attempt by which it came about, and its width.
    pub by: Option<(Strategy, u16)>,
    /// What is wrong with it whatever the oracle says.
    pub wrong: Option<String>,
    /// The digest of the run.
    pub digest: u64,
    /// Packets that arrived at a host or a NAT.
    pub arrivals: u64,
}

impl Pair {
    /// Runs the pair until it is direct at both ends and stays so, or has had time enough.
    #[must_use]
    pub fn run(self) -> Found {
        let mut trio = self.build(&self.plan());
        trio.world.trace_mut().keep(false);
        self.play(&mut trio)
    }

    /// Runs the pair and draws what happened.
    #[must_use]
    pub fn ladder(self) -> (Found, String) {
        let mut trio = self.build(&self.plan());
        let found = self.play(&mut trio);
        (found, trio.world.trace().ladder())
    }

    /// Both NATs and the lines.
    pub(crate) fn plan(self) -> Plan {
        let mut plan = Plan::default();
        plan.nat_a = self.a.behaviour(62_000).unwrap_or(plan.nat_a);
        plan.nat_b = self.b.behaviour(31_000).unwrap_or(plan.nat_b);
        plan
    }

    pub(crate) fn build(self, plan: &Plan) -> Trio {
        let build: fn(&mut World, &Plan) -> Topology = match (self.a, self.b) {
            (Side::Public, Side::Public) => topology::both_public,
            (_, Side::Public) => topology::b_public,
            (Side::Public, _) => topology::a_public,
            (Side::Nat { .. }, Side::Nat { .. }) => topology::two_nats,
        };
        Trio::new(self.seed, plan, build, |config| {
            config.udp = self.transport == Transport::Udp;
            config.tcp = self.transport == Transport::Tcp;
            config.strategies = self.allowed.strategies;
            config.birthday = self.allowed.birthday;
        })
    }

    /// Lets the peers meet.
    pub(crate) fn play(self, trio: &mut Trio) -> Found {
        let wrong = self.connect(trio).err();
        let direct = [trio.net.a, trio.net.b].map(|host| trio.is_direct(host));
        let wrong = wrong.or_else(|| (direct[0] != direct[1]).then(|| format!("direct at A, at B: {direct:?}")));
        let by = if direct[0] { Some(attempt(trio.said(trio.net.a))) } else { None };
        Found { direct: direct[0], by, wrong, digest: trio.world.trace().digest(), arrivals: trio.world.arrivals() }
    }

    fn connect(self, trio: &mut Trio) -> Result<(), String> {
        if !trio.register() {
            return Err("the peers do not register".to_owned());
        }
        let session = trio.connect(Some(self.transport)).map_err(|error| format!("{error:?}"))?;
        let hosts = [trio.net.a, trio.net.b];
        trio.world.run_while_not(PATIENCE, |world| {
            let selected = |said: &PeerSaid| said.selected();
            hosts.iter().all(|host| {
                let log = world.log::<PeerSaid>(*host);
                let path = log.iter().rev().find_map(|(_, said)| selected(said));
                path.is_some_and(|path| path.kind != PathKind::Relayed)
            })
        });
        // It holds for a while, and carries data.
        trio.world.run_for(Duration::from_secs(3));
        let octets = b"across";
        let command = match self.transport {
            Transport::Udp => PeerCommand::Send { session, datagram: octets },
            Transport::Tcp => PeerCommand::Write { session, octets },
        };
        trio.command(hosts[0], command).map_err(|error| format!("no data may be sent: {error:?}"))?;
        trio.world.run_for(Duration::from_secs(1));
        let arrived = |said: &PeerSaid| {
            matches!(said.event, PeerEvent::Datagram { .. } | PeerEvent::Stream { .. }) && said.octets == octets
        };
        if trio.said(hosts[1]).iter().filter(|(_, said)| arrived(said)).count() == 1 {
            Ok(())
        } else {
            Err("what A sent did not arrive at B once".to_owned())
        }
    }
}

/// The attempt before a direct path was selected. That of the introduction begins before there are keys, and is
/// plain where it is anything.
fn attempt(said: &[(Instant, PeerSaid)]) -> (Strategy, u16) {
    let direct = |(_, said): &(Instant, PeerSaid)| said.selected().is_some_and(|path| path.kind != PathKind::Relayed);
    let before = said.iter().take_while(|entry| !direct(entry));
    let attempts = before.filter_map(|(_, said)| match said.event {
        PeerEvent::Attempt { strategy, width, .. } => Some((strategy, width)),
        _ => None,
    });
    attempts.last().unwrap_or((Strategy::PLAIN, 0))
}

/// Longer than all attempts of a session take.
const PATIENCE: Duration = Duration::from_secs(40);
