//! The questions of a check in their order, the same over both transports.

use alloc::format;
use alloc::vec::Vec;

use super::api::{NetCheckEvent, NetCheckSnapshot};
use super::core::{Core, FILTER, Findings, HAIRPIN, MAIN, PORTS, Ports, Servers};
use super::report::{Observation, Outcome, Place, Probe};
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::time::Instant;

/// What is being found out. Each step ends when all its questions are answered or given up; the order is that of
/// the ports that a NAT gives out, so that they tell how it takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The ports open.
    Opening,
    /// The server's main endpoint sees each port in turn.
    First(usize),
    /// The server's other endpoints see the main port.
    Other(Place),
    /// The other address sees each further port in turn, where that makes a mapping of its own.
    Fresh(usize),
    /// The server answers, or dials, from elsewhere.
    Filter,
    /// A packet to the public endpoint of the main port.
    Hairpin,
    /// The same, after the main port has sent there.
    HairpinPrepared,
    /// Octets that look like an address (UDP only).
    LookAlikes,
    /// The server's main endpoint sees the main port once more (UDP only).
    Again,
    /// Everything was tried.
    Over,
}

/// What is to be asked, from where and of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) port: usize,
    pub(super) to: Endpoint,
    pub(super) probe: Probe,
}

/// How far one half of a check has come, and what it has seen.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) ports: Ports,
    pub(super) findings: Findings,
    pub(super) step: Step,
}

impl Course {
    pub(super) fn start(core: &mut Core, transport: Transport) -> Self {
        let findings = Findings {
            transport,
            observations: Vec::new(),
            main: None,
            own: Vec::new(),
            servers: Servers::new(core.server),
        };
        Self { ports: Ports::open(core, transport, PORTS, core.port), findings, step: Step::Opening }
    }

    pub(super) fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    /// Whether the first step was waiting for the ports and they are there.
    pub(super) fn may_begin(&self) -> bool {
        self.step == Step::Opening && self.ports.are_settled()
    }

    pub(super) fn snapshot(&self, open: usize, streams: usize, deadline: Option<Instant>) -> NetCheckSnapshot {
        let observations = self.findings.observations.clone();
        NetCheckSnapshot { step: format!("{:?}", self.step), open, streams, observations, deadline }
    }

    /// Keeps and tells what came of a question.
    pub(super) fn record(&mut self, core: &mut Core, ask: Ask, sent: u8, outcome: Outcome) {
        let from = self.ports.get(ask.port).and_then(|port| port.private);
        let (transport, Ask { port, to, probe }) = (self.findings.transport, ask);
        let observation = Observation { transport, port, from, to, probe, sent, outcome };
        self.findings.observations.push(observation);
        core.outbox.event(NetCheckEvent::Observed(observation));
    }

    /// The next step that has a question, and its questions; none when everything was tried. `able`: whether the
    /// server can be asked to answer from elsewhere.
    pub(super) fn go_on(&mut self, able: bool) -> Vec<Ask> {
        while self.step != Step::Over {
            self.step = self.following();
            if self.step == Step::Filter && !able {
                continue;
            }
            let mut questions = self.questions();
            questions.retain(|ask| self.ports.is_open(ask.port));
            if !questions.is_empty() {
                return questions;
            }
        }
        Vec::new()
    }

    /// Ends it: the findings, and no port left open.
    pub(super) fn finish(&mut self, core: &mut Core) -> Findings {
        self.step = Step::Over;
        self.findings.main = self.ports.known(MAIN);
        self.findings.own = core.interfaces.iter().map(|interface| interface.address).collect();
        self.ports.shut(core);
        self.findings.clone()
    }

    fn following(&self) -> Step {
        let reached = self.ports.known(MAIN).is_some();
        match self.step {
            Step::Opening if self.ports.is_open(MAIN) => Step::First(MAIN),
            Step::First(_) if !reached => Step::Over,
            Step::First(port) if port + 1 < PORTS => Step::First(port + 1),
            Step::First(_) => Step::Other(Place::OtherPort),
            Step::Other(Place::OtherAddress) if self.findings.looks_independent() => Step::Filter,
            Step::Other(Place::OtherAddress) => Step::Fresh(FILTER + 1),
            Step::Other(_) => Step::Other(Place::OtherAddress),
            Step::Fresh(port) if port + 1 < PORTS => Step::Fresh(port + 1),
            Step::Fresh(_) => Step::Filter,
            Step::Filter => Step::Hairpin,
            Step::Hairpin => Step::HairpinPrepared,
            Step::HairpinPrepared if self.findings.transport == Transport::Udp => Step::LookAlikes,
            Step::LookAlikes => Step::Again,
            Step::Opening | Step::HairpinPrepared | Step::Again | Step::Over => Step::Over,
        }
    }

    /// The questions of the step; none when it does not apply.
    fn questions(&self) -> Vec<Ask> {
        let servers = self.findings.servers;
        let observe = |port, to| Ask { port, to, probe: Probe::Observe };
        match self.step {
            Step::First(port) => alloc::vec![observe(port, servers.main)],
            Step::Other(place) => servers.place(place).map(|to| observe(MAIN, to)).into_iter().collect(),
            Step::Fresh(port) => {
                let to = servers.alternates.other_address.or(servers.alternates.other_port);
                to.map(|to| observe(port, to)).into_iter().collect()
            }
            Step::Filter => self.replies(),
            Step::Hairpin | Step::HairpinPrepared => self.hairpin(),
            Step::LookAlikes => match self.ports.known(MAIN) {
                Some((private, public)) if private.address() != public.address() => [private, public]
                    .map(|address| Ask { port: MAIN, to: servers.main, probe: Probe::LookAlike(address) })
                    .to_vec(),
                Some(_) | None => Vec::new(),
            },
            Step::Again => alloc::vec![observe(MAIN, servers.main)],
            Step::Opening | Step::Over => Vec::new(),
        }
    }

    fn replies(&self) -> Vec<Ask> {
        // Over UDP the main port, which has sent to all of them, shows by its answers that the server can do what is
        // asked; over TCP the server says itself what became of its dial.
        let (ports, places): (&[usize], &[Place]) = match self.findings.transport {
            Transport::Udp => (&[FILTER, MAIN], &[Place::Asked, Place::OtherPort, Place::OtherAddress]),
            Transport::Tcp => (&[FILTER], &[Place::OtherPort, Place::OtherAddress]),
        };
        let servers = self.findings.servers;
        let known = |place: &&Place| servers.place(**place).is_some();
        let each = |&port: &usize| {
            let ask = move |&place: &Place| Ask { port, to: servers.main, probe: Probe::Reply(place) };
            places.iter().filter(known).map(ask)
        };
        ports.iter().flat_map(each).collect()
    }

    fn hairpin(&self) -> Vec<Ask> {
        let (Some((private, main)), Some((_, other))) = (self.ports.known(MAIN), self.ports.known(HAIRPIN)) else {
            return Vec::new();
        };
        let arrived = |o: &Observation| matches!(o.probe, Probe::Hairpin { .. }) && o.arrived().is_some();
        let prepared = self.step == Step::HairpinPrepared;
        // Without a NAT that is no hairpin but the machine's own loopback.
        if private == main || prepared && self.findings.observations.iter().any(arrived) {
            return Vec::new();
        }
        let probe = Probe::Hairpin { prepared };
        let forth = Ask { port: HAIRPIN, to: main, probe };
        if prepared { alloc::vec![Ask { port: MAIN, to: other, probe }, forth] } else { alloc::vec![forth] }
    }
}
