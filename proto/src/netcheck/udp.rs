//! A check over UDP: the questions, in their order.

use alloc::format;
use alloc::vec::Vec;

use super::api::{NetCheckEvent, NetCheckSnapshot};
use super::core::{Core, FILTER, Findings, HAIRPIN, MAIN, MAX_PACE, PORTS, Ports, Servers, Timer, pace};
use super::report::{Observation, Outcome, Place, Probe};
use crate::constants::VERSION;
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, Transport};
use crate::time::{Duration, Instant};
use crate::wire::discover::{ReplyFrom, TransactionId};
use crate::wire::{Discover, Discovered, List, Packet};

/// The half of a check that is about UDP.
#[derive(Clone, Debug)]
pub(super) struct Udp {
    ports: Ports,
    findings: Findings,
    step: Step,
    batch: Vec<Exchange>,
    pace: Duration,
}

/// What is being found out. Each step ends when all its questions are answered or given up; the order is that of
/// the ports that a NAT gives out, so that they tell how it takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The ports open.
    Opening,
    /// The server's main endpoint sees each port in turn.
    First(usize),
    /// The server's other endpoints see the main port.
    Other(Place),
    /// The other address sees each further port in turn, where that makes a mapping of its own.
    Fresh(usize),
    /// The server answers from elsewhere.
    Filter,
    /// A packet to the public endpoint of the main port.
    Hairpin,
    /// The same, after the main port has sent there.
    HairpinPrepared,
    /// Octets that look like an address.
    LookAlikes,
    /// The server's main endpoint sees the main port once more.
    Again,
    /// Everything was tried.
    Over,
}

/// A question.
#[derive(Clone, Debug)]
struct Exchange {
    transaction: TransactionId,
    /// What the transaction becomes if its look-alike is rewritten.
    rewritten: Option<TransactionId>,
    port: usize,
    to: Endpoint,
    reply_from: ReplyFrom,
    probe: Probe,
    first_sent: Instant,
    sent: u8,
    outcome: Option<Outcome>,
}

impl Udp {
    pub(super) fn start(core: &mut Core) -> Self {
        let findings = Findings {
            transport: Transport::Udp,
            observations: Vec::new(),
            main: None,
            own: Vec::new(),
            servers: Servers::new(core.server),
        };
        Self {
            ports: Ports::open(core, Transport::Udp),
            findings,
            step: Step::Opening,
            batch: Vec::new(),
            pace: FIRST_PACE,
        }
    }

    pub(super) const fn ports(&mut self) -> &mut Ports {
        &mut self.ports
    }

    pub(super) fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    pub(super) fn snapshot(&self, deadline: Option<Instant>) -> NetCheckSnapshot {
        NetCheckSnapshot {
            step: format!("{:?}", self.step),
            open: self.batch.iter().filter(|exchange| exchange.outcome.is_none()).count(),
            streams: 0,
            observations: self.findings.observations.clone(),
            deadline,
        }
    }

    /// Ends the check.
    pub(super) fn finish(&mut self, core: &mut Core) -> Findings {
        core.timers.clear(Timer::Repeat);
        self.step = Step::Over;
        self.batch.clear();
        self.findings.main = self.ports.known(MAIN);
        self.findings.own = core.interfaces.iter().map(|interface| interface.address).collect();
        self.ports.shut(core);
        self.findings.clone()
    }

    /// A port was opened or could not be.
    pub(super) fn on_settled(&mut self, core: &mut Core) {
        if self.step == Step::Opening && self.ports.are_settled() {
            self.go_on(core);
        }
    }

    pub(super) fn on_datagram(
        &mut self,
        core: &mut Core,
        socket: SocketId,
        local: Address,
        remote: Endpoint,
        payload: &[u8],
    ) -> Result<(), Discard> {
        let at = self.ports.find(socket).ok_or(Discard::SocketUnknown)?;
        match Packet::decode(payload)? {
            Packet::Discovered(found) => self.on_discovered(core, at, local, remote, &found),
            Packet::Discover(question) => self.on_hairpin(core, at, remote, question.transaction),
            Packet::Register(_)
            | Packet::Registered(_)
            | Packet::Punch(_)
            | Packet::PunchReply(_)
            | Packet::Sealed(_)
            | Packet::Relayed(_)
            | Packet::Reset(_) => Err(Discard::WrongRole),
        }
    }

    pub(super) fn on_timer(&mut self, core: &mut Core) {
        for exchange in self.batch.iter_mut().filter(|exchange| exchange.outcome.is_none()) {
            if exchange.sent >= tries(exchange.probe) {
                exchange.outcome = Some(Outcome::Silent);
            } else {
                send(core, &self.ports, exchange);
            }
        }
        self.on_progress(core);
    }

    fn on_discovered(
        &mut self,
        core: &mut Core,
        at: usize,
        local: Address,
        remote: Endpoint,
        found: &Discovered,
    ) -> Result<(), Discard> {
        let servers = self.findings.servers;
        let known = |exchange: &&mut Exchange| {
            exchange.transaction == found.transaction || exchange.rewritten == Some(found.transaction)
        };
        let exchange = self.batch.iter_mut().filter(|e| e.port == at && e.outcome.is_none()).find(known);
        let exchange = exchange.ok_or(Discard::TransactionUnknown)?;
        let expected = match exchange.probe {
            Probe::Reply(place) => servers.place(place),
            Probe::Observe | Probe::LookAlike(_) => Some(exchange.to),
            // A server at the public endpoint of this very machine.
            Probe::Hairpin { .. } => return Err(Discard::TransactionUnknown),
        };
        if expected != Some(remote) {
            return Err(Discard::SourceWrong);
        }
        let public = self.ports.get(at).and_then(|port| port.public);
        exchange.outcome = Some(match exchange.probe {
            Probe::Observe => Outcome::Observed(found.observed),
            Probe::Reply(_) | Probe::Hairpin { .. } => Outcome::Arrived(remote),
            Probe::LookAlike(_) if exchange.transaction == found.transaction && public == Some(found.observed) => {
                Outcome::Observed(found.observed)
            }
            Probe::LookAlike(_) => Outcome::Rewritten,
        });
        if exchange.sent == 1 && exchange.probe == Probe::Observe {
            self.pace = pace(core.now - exchange.first_sent);
        }
        let first = exchange.probe == Probe::Observe && exchange.to == servers.main;
        self.ports.on_local(at, local);
        if first && let Some(port) = self.ports.get_mut(at) {
            port.public.get_or_insert(found.observed);
        }
        if self.step == Step::First(MAIN) {
            self.findings.servers.learn(&found.alternates);
        }
        self.on_progress(core);
        Ok(())
    }

    /// A question of this check came back by another port of this check.
    fn on_hairpin(
        &mut self,
        core: &mut Core,
        at: usize,
        remote: Endpoint,
        transaction: TransactionId,
    ) -> Result<(), Discard> {
        let mut open =
            self.batch.iter_mut().filter(|e| e.outcome.is_none() && matches!(e.probe, Probe::Hairpin { .. }));
        let exchange = open.find(|e| e.transaction == transaction && e.port != at).ok_or(Discard::WrongRole)?;
        exchange.outcome = Some(Outcome::Arrived(remote));
        self.on_progress(core);
        Ok(())
    }

    /// Goes on when nothing is open; the next repetition is due otherwise.
    fn on_progress(&mut self, core: &mut Core) {
        if self.batch.iter().any(|exchange| exchange.outcome.is_none()) {
            core.timers.set_earlier(Timer::Repeat, core.now + self.pace);
            return;
        }
        core.timers.clear(Timer::Repeat);
        for exchange in self.batch.drain(..) {
            let from = self.ports.get(exchange.port).and_then(|port| port.private);
            let outcome = exchange.outcome.unwrap_or(Outcome::Untried);
            let (port, to, probe, sent) = (exchange.port, exchange.to, exchange.probe, exchange.sent);
            let observation = Observation { transport: Transport::Udp, port, from, to, probe, sent, outcome };
            self.findings.observations.push(observation);
            core.outbox.event(NetCheckEvent::Observed(observation));
        }
        self.go_on(core);
    }

    /// Takes the next step that has a question.
    fn go_on(&mut self, core: &mut Core) {
        while self.batch.is_empty() && self.step != Step::Over {
            self.step = self.following();
            self.batch = self.questions(core);
        }
        for exchange in &mut self.batch {
            send(core, &self.ports, exchange);
        }
        if !self.batch.is_empty() {
            core.timers.set(Timer::Repeat, core.now + self.pace);
        }
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
            Step::HairpinPrepared => Step::LookAlikes,
            Step::LookAlikes => Step::Again,
            Step::Opening | Step::Again | Step::Over => Step::Over,
        }
    }

    /// The questions of the step; none when it does not apply.
    fn questions(&self, core: &mut Core) -> Vec<Exchange> {
        let servers = self.findings.servers;
        let mut ask = Vec::new();
        match self.step {
            Step::First(port) => ask.push(self.question(core, port, servers.main, Probe::Observe)),
            Step::Other(place) => {
                ask.extend(servers.place(place).map(|to| self.question(core, MAIN, to, Probe::Observe)));
            }
            Step::Fresh(port) => {
                let to = servers.alternates.other_address.or(servers.alternates.other_port);
                ask.extend(to.map(|to| self.question(core, port, to, Probe::Observe)));
            }
            Step::Filter => {
                // The main port has sent to all of them: where one mapping serves all, its answers show that the
                // server can do what is asked.
                for port in [FILTER, MAIN] {
                    for place in [Place::Asked, Place::OtherPort, Place::OtherAddress] {
                        if servers.place(place).is_some() {
                            ask.push(self.question(core, port, servers.main, Probe::Reply(place)));
                        }
                    }
                }
            }
            Step::Hairpin | Step::HairpinPrepared => self.hairpin(core, &mut ask),
            Step::LookAlikes => {
                if let Some((private, public)) = self.ports.known(MAIN)
                    && private.address() != public.address()
                {
                    for address in [private, public] {
                        ask.push(self.question(core, MAIN, servers.main, Probe::LookAlike(address)));
                    }
                }
            }
            Step::Again => ask.push(self.question(core, MAIN, servers.main, Probe::Observe)),
            Step::Opening | Step::Over => {}
        }
        ask.retain(|exchange| self.ports.is_open(exchange.port));
        ask
    }

    fn hairpin(&self, core: &mut Core, ask: &mut Vec<Exchange>) {
        let (Some((private, main)), Some((_, other))) = (self.ports.known(MAIN), self.ports.known(HAIRPIN)) else {
            return;
        };
        // Without a NAT that is no hairpin but the machine's own loopback.
        if private == main {
            return;
        }
        let prepared = self.step == Step::HairpinPrepared;
        let arrived = |o: &Observation| matches!(o.probe, Probe::Hairpin { .. }) && o.arrived().is_some();
        if prepared {
            if self.findings.observations.iter().any(arrived) {
                return;
            }
            ask.push(self.question(core, MAIN, other, Probe::Hairpin { prepared }));
        }
        ask.push(self.question(core, HAIRPIN, main, Probe::Hairpin { prepared }));
    }

    fn question(&self, core: &mut Core, port: usize, to: Endpoint, probe: Probe) -> Exchange {
        // [R-DISC-002] [R-BEH-007]
        let mut transaction: TransactionId = core.rng.octets();
        let mut rewritten = None;
        if let (Probe::LookAlike(alike), Some((private, public))) = (probe, self.ports.known(MAIN))
            && let (Address::V4(own), Address::V4(outer)) = (private.address(), public.address())
        {
            // In front, where the mask of the observed endpoint is: a rewriting on the way out shows even where
            // it is undone on the way back.
            let (shown, other) = if alike == private { (own, outer) } else { (outer, own) };
            transaction[..4].copy_from_slice(&shown.octets());
            let mut changed = transaction;
            changed[..4].copy_from_slice(&other.octets());
            rewritten = Some(changed);
        }
        let reply_from = match probe {
            Probe::Reply(Place::OtherPort) => ReplyFrom(1),
            Probe::Reply(Place::OtherAddress) => ReplyFrom(2),
            Probe::Reply(Place::Asked) | Probe::Observe | Probe::Hairpin { .. } | Probe::LookAlike(_) => ReplyFrom(0),
        };
        let first_sent = core.now;
        Exchange { transaction, rewritten, port, to, reply_from, probe, first_sent, sent: 0, outcome: None }
    }
}

fn send(core: &mut Core, ports: &Ports, exchange: &mut Exchange) {
    let Some(port) = ports.get(exchange.port) else {
        return;
    };
    exchange.sent += 1;
    let (transaction, reply_from) = (exchange.transaction, exchange.reply_from);
    let packet = Packet::Discover(Discover { transaction, versions: List::from_first([VERSION]), reply_from });
    core.outbox.transmit(port.socket, None, exchange.to, &packet.encode());
}

/// How often a question is sent: seldom to an endpoint that may be somebody else's, often where silence would mean
/// that nothing works.
const fn tries(probe: Probe) -> u8 {
    match probe {
        // [R-BEH-008] Nine in all.
        Probe::Hairpin { .. } => 3,
        Probe::Reply(Place::OtherPort | Place::OtherAddress) => 4,
        Probe::Observe | Probe::LookAlike(_) | Probe::Reply(Place::Asked) => 6,
    }
}

/// The wait for an answer before a round trip was measured.
const FIRST_PACE: Duration = Duration::from_millis(MAX_PACE.as_millis() as u64 / 4);
