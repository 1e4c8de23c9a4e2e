//! A check over UDP: each question is a datagram, sent again until it is answered or given up.

use alloc::vec::Vec;

use super::api::NetCheckSnapshot;
use super::core::{Core, Findings, MAIN, Ports, Timer};
use super::course::{Course, Step};
use super::exchange::Exchange;
use super::report::{Outcome, Probe};
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, Transport};
use crate::time::Instant;
use crate::wire::discover::TransactionId;
use crate::wire::{Discovered, Packet};

/// The half of a check that is about UDP.
#[derive(Clone, Debug)]
pub(super) struct Udp {
    course: Course,
    batch: Vec<Exchange>,
}

impl Udp {
    pub(super) fn start(core: &mut Core) -> Self {
        Self { course: Course::start(core, Transport::Udp), batch: Vec::new() }
    }

    pub(super) const fn ports(&mut self) -> &mut Ports {
        &mut self.course.ports
    }

    pub(super) fn is_over(&self) -> bool {
        self.course.is_over()
    }

    pub(super) fn snapshot(&self, deadline: Option<Instant>) -> NetCheckSnapshot {
        self.course.snapshot(self.batch.iter().filter(|exchange| exchange.is_open()).count(), 0, deadline)
    }

    /// Ends the check.
    pub(super) fn finish(&mut self, core: &mut Core) -> Findings {
        core.timers.clear(Timer::Repeat);
        self.batch.clear();
        self.course.finish(core)
    }

    /// A port was opened or could not be.
    pub(super) fn on_settled(&mut self, core: &mut Core) {
        if self.course.may_begin() {
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
        let at = self.course.ports.find(socket).ok_or(Discard::SocketUnknown)?;
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
        for exchange in &mut self.batch {
            exchange.repeat(core, &self.course.ports);
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
        let Course { ports, findings, step } = &mut self.course;
        let exchange = self.batch.iter_mut().find(|exchange| exchange.ask.port == at && exchange.is_named_by(found));
        let exchange = exchange.ok_or(Discard::TransactionUnknown)?;
        let public = ports.get(at).and_then(|port| port.public);
        exchange.on_answer(&findings.servers, public, remote, found)?;
        if exchange.sent == 1 && exchange.ask.probe == Probe::Observe {
            core.on_round_trip(core.now - exchange.first_sent);
        }
        let first = exchange.ask.probe == Probe::Observe && exchange.ask.to == findings.servers.main;
        ports.on_local(at, local);
        if first && let Some(port) = ports.get_mut(at) {
            port.public.get_or_insert(found.observed);
        }
        if *step == Step::First(MAIN) {
            findings.servers.learn(&found.alternates);
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
        let hairpin = |e: &&mut Exchange| e.is_open() && matches!(e.ask.probe, Probe::Hairpin { .. });
        let mut open = self.batch.iter_mut().filter(hairpin);
        let exchange = open.find(|e| e.transaction == transaction && e.ask.port != at).ok_or(Discard::WrongRole)?;
        exchange.outcome = Some(Outcome::Arrived(remote));
        self.on_progress(core);
        Ok(())
    }

    /// Goes on when nothing is open; the next repetition is due otherwise.
    fn on_progress(&mut self, core: &mut Core) {
        if self.batch.iter().any(Exchange::is_open) {
            core.timers.set_earlier(Timer::Repeat, core.now + core.pace);
            return;
        }
        core.timers.clear(Timer::Repeat);
        for exchange in self.batch.drain(..) {
            self.course.record(core, exchange.ask, exchange.sent, exchange.outcome.unwrap_or(Outcome::Untried));
        }
        self.go_on(core);
    }

    /// Takes the next step that has a question.
    fn go_on(&mut self, core: &mut Core) {
        let questions = self.course.go_on(true);
        self.batch = questions.into_iter().map(|ask| Exchange::new(core, &self.course.ports, ask)).collect();
        for exchange in &mut self.batch {
            exchange.send(core, &self.course.ports);
        }
        if !self.batch.is_empty() {
            core.timers.set(Timer::Repeat, core.now + core.pace);
        }
    }
}
