//! A check over TCP: the same questions on streams, and the server's dials for the filter.

use alloc::vec::Vec;

use super::api::NetCheckSnapshot;
use super::core::{Core, FILTER, Findings, MAIN, Ports, Timer};
use super::course::{Ask, Course, Step};
use super::exchange::question;
use super::report::{Outcome, Probe};
use crate::constants::DIAL_BACK_PATIENCE;
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::engine::{NetError, SocketId, StreamId, StreamInput, Transport};
use crate::sorted::SortedMap;
use crate::time::{Duration, Instant};
use crate::wire::code::DialBack;
use crate::wire::discover::TransactionId;
use crate::wire::{Deframer, Discovered, Packet, frame_header};

/// The half of a check that is about TCP.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    course: Course,
    batch: Vec<Call>,
    streams: SortedMap<StreamId, Stream>,
    /// The stream from the filter port to the server.
    filter: Option<StreamId>,
}

/// A question.
#[derive(Clone, Debug)]
struct Call {
    transaction: TransactionId,
    /// The stream that it was dialled for; those of the filter share one that is there.
    stream: Option<StreamId>,
    ask: Ask,
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
        let course = Course::start(core, Transport::Tcp);
        Self { course, batch: Vec::new(), streams: SortedMap::new(), filter: None }
    }

    pub(super) const fn ports(&mut self) -> &mut Ports {
        &mut self.course.ports
    }

    pub(super) fn is_over(&self) -> bool {
        self.course.is_over()
    }

    pub(super) fn snapshot(&self, deadline: Option<Instant>) -> NetCheckSnapshot {
        let open = self.batch.iter().filter(|call| call.outcome.is_none()).count();
        self.course.snapshot(open, self.streams.len(), deadline)
    }

    /// Ends the check.
    pub(super) fn finish(&mut self, core: &mut Core) -> Findings {
        core.timers.clear(Timer::DialBack);
        self.batch.clear();
        for (stream, _) in core::mem::take(&mut self.streams) {
            core.timers.clear(Timer::Stream(stream));
            core.outbox.close(stream, false);
        }
        self.course.finish(core)
    }

    pub(super) fn on_settled(&mut self, core: &mut Core) {
        if self.course.may_begin() {
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
            Timer::DialBack => self.settle(|call| matches!(call.ask.probe, Probe::Reply(_)), Outcome::Untried),
            Timer::Repeat | Timer::Lane(_) => {}
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
                self.course.ports.on_local(port, local.address());
                if let Some(call) = self.batch.iter().find(|call| call.stream == Some(id)) {
                    write(core, id, call.transaction, call.ask.probe);
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
                    self.settle(|call| matches!(call.ask.probe, Probe::Reply(_)), Outcome::Untried);
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
        let port = self.course.ports.find(socket);
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
                let mut open = self.batch.iter_mut().filter(|call| matches!(call.ask.probe, Probe::Hairpin { .. }));
                let call = open.find(|call| call.transaction == question.transaction && call.ask.port != port);
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
        let servers = self.course.findings.servers;
        let stream = self.streams.get(&id).ok_or(Discard::StreamUnknown)?;
        let (port, remote, dialled) = (stream.port, stream.remote, stream.dialled);
        let call = self.batch.iter_mut().find(|call| call.transaction == found.transaction);
        let call = call.ok_or(Discard::TransactionUnknown)?;
        match call.ask.probe {
            Probe::Observe if call.stream == Some(id) => {
                call.outcome.get_or_insert(Outcome::Observed(found.observed));
                core.timers.clear(Timer::Stream(id));
                if call.ask.to == servers.main
                    && let Some(port) = self.course.ports.get_mut(port)
                {
                    port.public.get_or_insert(found.observed);
                }
                match self.course.step {
                    Step::First(MAIN) => self.course.findings.servers.learn(&found.alternates),
                    Step::First(FILTER) => self.filter = Some(id),
                    _ => {}
                }
                Ok(())
            }
            Probe::Reply(place) if !dialled && servers.place(place) == Some(remote) && port == call.ask.port => {
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
            Probe::Observe | Probe::Reply(_) | Probe::Hairpin { .. } | Probe::LookAlike(_) | Probe::Silence { .. } => {
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
        if self.course.step == Step::Over || self.batch.iter().any(|call| call.outcome.is_none()) {
            return;
        }
        core.timers.clear(Timer::DialBack);
        for call in core::mem::take(&mut self.batch) {
            // A stream to the server stays: it is the mapping.
            let keep = matches!(call.outcome, Some(Outcome::Observed(_)));
            if let Some(stream) = call.stream.filter(|_| !keep) {
                self.close(core, stream, true);
            }
            let outcome = call.outcome.unwrap_or(Outcome::Untried);
            if outcome != Outcome::Untried || !matches!(call.ask.probe, Probe::Hairpin { .. }) {
                self.course.record(core, call.ask, 1, outcome);
            }
        }
        self.go_on(core);
    }

    fn go_on(&mut self, core: &mut Core) {
        let questions = self.course.go_on(self.filter.is_some());
        // [R-DISC-002]
        let call = |ask| Call { transaction: core.rng.octets(), stream: None, ask, outcome: None };
        self.batch = questions.into_iter().map(call).collect();
        if self.course.step == Step::Filter
            && let Some(stream) = self.filter
        {
            core.timers.set(Timer::DialBack, core.now + DIAL_BACK_PATIENCE + DIAL_BACK_MARGIN);
            for call in &self.batch {
                write(core, stream, call.transaction, call.ask.probe);
            }
            return;
        }
        let hairpin = matches!(self.course.step, Step::Hairpin | Step::HairpinPrepared);
        let wait = if hairpin { HAIRPIN_PATIENCE } else { DIAL_PATIENCE };
        for call in &mut self.batch {
            let Some(port) = self.course.ports.get(call.ask.port) else { continue };
            let id = core.next_stream();
            call.stream = Some(id);
            let deframer = Deframer::default();
            let stream = Stream { port: call.ask.port, remote: call.ask.to, dialled: true, connected: false, deframer };
            self.streams.insert(id, stream);
            core.outbox.dial(id, port.socket, call.ask.to, None);
            core.timers.set(Timer::Stream(id), core.now + wait);
        }
    }
}

fn write(core: &mut Core, stream: StreamId, transaction: TransactionId, probe: Probe) {
    let packet = question(transaction, probe);
    core.outbox.write(stream, &[&frame_header(&packet), &packet]);
}

/// How long a connection to the server may take.
const DIAL_PATIENCE: Duration = Duration::from_secs(6);
/// How long one through the own NAT may: the first SYN and a repetition.
const HAIRPIN_PATIENCE: Duration = Duration::from_millis(3_500);
/// The time that the server's word about its dial has for its way.
const DIAL_BACK_MARGIN: Duration = Duration::from_secs(3);
/// The most accepted streams; a further one is reset.
const MAX_ACCEPTED: usize = 8;
