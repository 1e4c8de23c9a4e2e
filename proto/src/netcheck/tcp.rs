//! A check over TCP: the same questions on streams, and the server's dials for the filter.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::api::{NetCheckEvent, NetCheckSnapshot};
use super::core::{Core, FILTER, Findings, HAIRPIN, MAIN, PORTS, Ports, Servers, Timer};
use super::report::{Observation, Outcome, Place, Probe};
use crate::constants::{DIAL_BACK_PATIENCE, VERSION};
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::engine::{NetError, SocketId, StreamId, StreamInput, Transport};
use crate::time::{Duration, Instant};
use crate::wire::code::DialBack;
use crate::wire::discover::{ReplyFrom, TransactionId};
use crate::wire::{Deframer, Discover, Discovered, List, Packet, frame_header};

/// The half of a check that is about TCP.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    ports: Ports,
    findings: Findings,
    step: Step,
    batch: Vec<Call>,
    streams: BTreeMap<StreamId, Stream>,
    /// The stream from the filter port to the server.
    filter: Option<StreamId>,
}

/// What is being found out; as over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Opening,
    First(usize),
    Other(Place),
    Fresh(usize),
    Filter,
    Hairpin,
    HairpinPrepared,
    Over,
}

/// A question.
#[derive(Clone, Debug)]
struct Call {
    transaction: TransactionId,
    /// The stream that it was dialled for; those of the filter share one that is there.
    stream: Option<StreamId>,
    port: usize,
    to: Endpoint,
    probe: Probe,
    outcome: Option<Outcome>,
}

/// A connection: dialled by this check, or accepted.
#[derive(Clone, Debug)]
struct Stream {
    port: usize,
    remote: Endpoint,
    dialled: bool,
    connected: bool,
    deframer: Deframer,
}

impl Tcp {
    pub(super) fn start(core: &mut Core) -> Self {
        let findings = Findings {
            transport: Transport::Tcp,
            observations: Vec::new(),
            main: None,
            own: Vec::new(),
            servers: Servers::new(core.server),
        };
        let ports = Ports::open(core, Transport::Tcp);
        Self { ports, findings, step: Step::Opening, batch: Vec::new(), streams: BTreeMap::new(), filter: None }
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
            open: self.batch.iter().filter(|call| call.outcome.is_none()).count(),
            streams: self.streams.len(),
            observations: self.findings.observations.clone(),
            deadline,
        }
    }

    /// Ends the check.
    pub(super) fn finish(&mut self, core: &mut Core) -> Findings {
        core.timers.clear(Timer::DialBack);
        self.step = Step::Over;
        self.batch.clear();
        self.findings.main = self.ports.known(MAIN);
        self.findings.own = core.interfaces.iter().map(|interface| interface.address).collect();
        for (stream, _) in core::mem::take(&mut self.streams) {
            core.timers.clear(Timer::Stream(stream));
            core.outbox.close(stream, false);
        }
        self.ports.shut(core);
        self.findings.clone()
    }

    pub(super) fn on_settled(&mut self, core: &mut Core) {
        if self.step == Step::Opening && self.ports.are_settled() {
            self.go_on(core);
        }
    }

    pub(super) fn on_timer(&mut self, core: &mut Core, timer: Timer) {
        match timer {
            Timer::Stream(stream) => {
                self.settle(|call| call.stream == Some(stream), Outcome::Silent);
                self.close(core, stream, true);
            }
            // The server does not dial, or its word was lost with its stream.
            Timer::DialBack => self.settle(|call| matches!(call.probe, Probe::Reply(_)), Outcome::Untried),
            Timer::Repeat => {}
        }
        self.on_progress(core);
    }

    pub(super) fn on_stream(&mut self, core: &mut Core, id: StreamId, what: StreamInput<'_>) -> Result<(), Discard> {
        if let StreamInput::Accepted { socket, local, remote } = what {
            return self.on_accepted(core, id, socket, local, remote);
        }
        let stream = self.streams.get_mut(&id).ok_or(Discard::StreamUnknown)?;
        match what {
            StreamInput::Connected { local } => {
                if !stream.dialled || stream.connected {
                    return Err(Discard::StreamUnknown);
                }
                stream.connected = true;
                let port = stream.port;
                self.ports.on_local(port, local.address());
                if let Some(call) = self.batch.iter().find(|call| call.stream == Some(id)) {
                    ask(core, id, call.transaction, ReplyFrom(0));
                }
            }
            StreamInput::Received(mut octets) => {
                while let Some(stream) = self.streams.get_mut(&id) {
                    let frame = match stream.deframer.next(&mut octets) {
                        Ok(Some(frame)) => frame,
                        Ok(None) => break,
                        Err(_) => {
                            self.close(core, id, true);
                            break;
                        }
                    };
                    if self.on_frame(core, id, &frame).is_err() {
                        // Who says what no server says is none.
                        self.close(core, id, true);
                    }
                }
                self.on_progress(core);
            }
            StreamInput::Written(_) => {}
            StreamInput::Closed(error) => {
                self.streams.remove(&id);
                core.timers.clear(Timer::Stream(id));
                let refused = matches!(error, Some(NetError::Refused | NetError::Reset));
                let outcome = if refused { Outcome::Refused } else { Outcome::Silent };
                self.settle(|call| call.stream == Some(id), outcome);
                if self.filter == Some(id) {
                    self.filter = None;
                    self.settle(|call| matches!(call.probe, Probe::Reply(_)), Outcome::Untried);
                }
                self.on_progress(core);
            }
            StreamInput::Accepted { .. } => {}
        }
        Ok(())
    }

    fn on_accepted(
        &mut self,
        core: &mut Core,
        id: StreamId,
        socket: SocketId,
        local: Endpoint,
        remote: Endpoint,
    ) -> Result<(), Discard> {
        let port = self.ports.find(socket);
        let full = self.streams.values().filter(|stream| !stream.dialled).count() >= MAX_ACCEPTED;
        let Some(port) = port.filter(|_| !full && local != remote && !self.streams.contains_key(&id)) else {
            if !self.streams.contains_key(&id) {
                core.outbox.close(id, true);
            }
            return Err(Discard::OverLimit);
        };
        let deframer = Deframer::default();
        self.streams.insert(id, Stream { port, remote, dialled: false, connected: true, deframer });
        Ok(())
    }

    fn on_frame(&mut self, core: &mut Core, id: StreamId, frame: &[u8]) -> Result<(), Discard> {
        let stream = self.streams.get(&id).ok_or(Discard::StreamUnknown)?;
        let (port, remote) = (stream.port, stream.remote);
        match Packet::decode(frame)? {
            Packet::Discovered(found) => self.on_discovered(core, id, &found),
            Packet::Discover(question) => {
                let mut open = self.batch.iter_mut().filter(|call| matches!(call.probe, Probe::Hairpin { .. }));
                let call = open.find(|call| call.transaction == question.transaction && call.port != port);
                call.ok_or(Discard::WrongRole)?.outcome.get_or_insert(Outcome::Arrived(remote));
                // One way is enough: the other direction has the same stream.
                self.settle(|_| true, Outcome::Untried);
                Ok(())
            }
            Packet::Register(_)
            | Packet::Registered(_)
            | Packet::Punch(_)
            | Packet::PunchReply(_)
            | Packet::Sealed(_)
            | Packet::Relayed(_)
            | Packet::Reset(_) => Err(Discard::WrongRole),
        }
    }

    fn on_discovered(&mut self, core: &mut Core, id: StreamId, found: &Discovered) -> Result<(), Discard> {
        let servers = self.findings.servers;
        let stream = self.streams.get(&id).ok_or(Discard::StreamUnknown)?;
        let (port, remote, dialled) = (stream.port, stream.remote, stream.dialled);
        let call = self.batch.iter_mut().find(|call| call.transaction == found.transaction);
        let call = call.ok_or(Discard::TransactionUnknown)?;
        match call.probe {
            Probe::Observe if call.stream == Some(id) => {
                call.outcome.get_or_insert(Outcome::Observed(found.observed));
                core.timers.clear(Timer::Stream(id));
                if call.to == servers.main
                    && let Some(port) = self.ports.get_mut(port)
                {
                    port.public.get_or_insert(found.observed);
                }
                match self.step {
                    Step::First(MAIN) => self.findings.servers.learn(&found.alternates),
                    Step::First(FILTER) => self.filter = Some(id),
                    _ => {}
                }
                Ok(())
            }
            Probe::Reply(place) if !dialled && servers.place(place) == Some(remote) && port == call.port => {
                call.outcome.get_or_insert(Outcome::Arrived(remote));
                Ok(())
            }
            Probe::Reply(_) if self.filter == Some(id) => {
                match found.dial_back {
                    Some(DialBack::PENDING) => call.outcome.get_or_insert(Outcome::Silent),
                    Some(DialBack::REFUSED) => call.outcome.get_or_insert(Outcome::Refused),
                    // Its stream is on the way; should it not arrive, somebody else took it.
                    Some(DialBack::CONNECTED) => return Ok(()),
                    Some(_) | None => call.outcome.get_or_insert(Outcome::Untried),
                };
                Ok(())
            }
            Probe::Observe | Probe::Reply(_) | Probe::Hairpin { .. } | Probe::LookAlike(_) => {
                Err(Discard::TransactionUnknown)
            }
        }
    }

    fn settle(&mut self, which: impl Fn(&Call) -> bool, outcome: Outcome) {
        for call in self.batch.iter_mut().filter(|call| which(call)) {
            call.outcome.get_or_insert(outcome);
        }
    }

    fn close(&mut self, core: &mut Core, id: StreamId, abort: bool) {
        if self.streams.remove(&id).is_some() {
            core.timers.clear(Timer::Stream(id));
            core.outbox.close(id, abort);
        }
    }

    /// Goes on when no question is open.
    fn on_progress(&mut self, core: &mut Core) {
        if self.step == Step::Over || self.batch.iter().any(|call| call.outcome.is_none()) {
            return;
        }
        core.timers.clear(Timer::DialBack);
        for call in core::mem::take(&mut self.batch) {
            // A stream to the server stays: it is the mapping.
            let keep = matches!(call.outcome, Some(Outcome::Observed(_)));
            if let Some(stream) = call.stream.filter(|_| !keep) {
                self.close(core, stream, true);
            }
            let from = self.ports.get(call.port).and_then(|port| port.private);
            let outcome = call.outcome.unwrap_or(Outcome::Untried);
            let (port, to, probe) = (call.port, call.to, call.probe);
            if outcome == Outcome::Untried && matches!(probe, Probe::Hairpin { .. }) {
                continue;
            }
            let observation = Observation { transport: Transport::Tcp, port, from, to, probe, sent: 1, outcome };
            self.findings.observations.push(observation);
            core.outbox.event(NetCheckEvent::Observed(observation));
        }
        self.go_on(core);
    }

    fn go_on(&mut self, core: &mut Core) {
        while self.batch.is_empty() && self.step != Step::Over {
            self.step = self.following();
            self.batch = self.questions(core);
        }
        if self.step == Step::Filter
            && let Some(stream) = self.filter
        {
            core.timers.set(Timer::DialBack, core.now + DIAL_BACK_PATIENCE + DIAL_BACK_MARGIN);
            for call in &self.batch {
                ask(core, stream, call.transaction, reply_from(call.probe));
            }
            return;
        }
        let wait = match self.step {
            Step::Hairpin | Step::HairpinPrepared => HAIRPIN_PATIENCE,
            Step::Opening | Step::First(_) | Step::Other(_) | Step::Fresh(_) | Step::Filter | Step::Over => {
                DIAL_PATIENCE
            }
        };
        for call in &mut self.batch {
            let Some(port) = self.ports.get(call.port) else { continue };
            let id = core.next_stream();
            call.stream = Some(id);
            let deframer = Deframer::default();
            let stream = Stream { port: call.port, remote: call.to, dialled: true, connected: false, deframer };
            self.streams.insert(id, stream);
            core.outbox.dial(id, port.socket, call.to, None);
            core.timers.set(Timer::Stream(id), core.now + wait);
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
            Step::Opening | Step::HairpinPrepared | Step::Over => Step::Over,
        }
    }

    fn questions(&self, core: &mut Core) -> Vec<Call> {
        let servers = self.findings.servers;
        let mut ask = Vec::new();
        match self.step {
            Step::First(port) => ask.push(question(core, port, servers.main, Probe::Observe)),
            Step::Other(place) => ask.extend(servers.place(place).map(|to| question(core, MAIN, to, Probe::Observe))),
            Step::Fresh(port) => {
                let to = servers.alternates.other_address.or(servers.alternates.other_port);
                ask.extend(to.map(|to| question(core, port, to, Probe::Observe)));
            }
            Step::Filter if self.filter.is_some() => {
                for place in [Place::OtherPort, Place::OtherAddress] {
                    if servers.place(place).is_some() {
                        ask.push(question(core, FILTER, servers.main, Probe::Reply(place)));
                    }
                }
            }
            Step::Hairpin | Step::HairpinPrepared => self.hairpin(core, &mut ask),
            Step::Filter | Step::Opening | Step::Over => {}
        }
        ask.retain(|call| self.ports.is_open(call.port));
        ask
    }

    fn hairpin(&self, core: &mut Core, ask: &mut Vec<Call>) {
        let (Some((private, main)), Some((_, other))) = (self.ports.known(MAIN), self.ports.known(HAIRPIN)) else {
            return;
        };
        if private == main {
            return;
        }
        let prepared = self.step == Step::HairpinPrepared;
        let arrived = |o: &Observation| matches!(o.probe, Probe::Hairpin { .. }) && o.arrived().is_some();
        if prepared && self.findings.observations.iter().any(arrived) {
            return;
        }
        if prepared {
            ask.push(question(core, MAIN, other, Probe::Hairpin { prepared }));
        }
        ask.push(question(core, HAIRPIN, main, Probe::Hairpin { prepared }));
    }
}

fn question(core: &mut Core, port: usize, to: Endpoint, probe: Probe) -> Call {
    // [R-DISC-002]
    Call { transaction: core.rng.octets(), stream: None, port, to, probe, outcome: None }
}

fn ask(core: &mut Core, stream: StreamId, transaction: TransactionId, reply_from: ReplyFrom) {
    let packet = Packet::Discover(Discover { transaction, versions: List::from_first([VERSION]), reply_from }).encode();
    core.outbox.write(stream, &[&frame_header(&packet), &packet]);
}

const fn reply_from(probe: Probe) -> ReplyFrom {
    match probe {
        Probe::Reply(Place::OtherPort) => ReplyFrom(1),
        Probe::Reply(Place::OtherAddress) => ReplyFrom(2),
        Probe::Reply(Place::Asked) | Probe::Observe | Probe::Hairpin { .. } | Probe::LookAlike(_) => ReplyFrom(0),
    }
}

/// How long a connection to the server may take.
const DIAL_PATIENCE: Duration = Duration::from_secs(6);
/// How long one through the own NAT may: the first SYN and a repetition.
const HAIRPIN_PATIENCE: Duration = Duration::from_millis(3_500);
/// The time that the server's word about its dial has for its way.
const DIAL_BACK_MARGIN: Duration = Duration::from_secs(3);
/// The most accepted streams; a further one is reset.
const MAX_ACCEPTED: usize = 8;
