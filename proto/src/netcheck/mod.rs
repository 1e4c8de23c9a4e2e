//! What is my NAT? A check of everything between this machine and a server that can be seen from here
//! (`spec/behaviour.md`).
//!
//! [`NetCheck`] is a third engine beside [`Peer`](crate::peer::Peer) and [`Server`](crate::server::Server): it asks
//! a server's two ports and two addresses where they see it, has them answer from elsewhere, sends to its own public
//! endpoint, and ends with a [`Report`]. It needs no key and registers nothing. First UDP, then TCP, then, where that is
//! wanted, silence: how long a mapping lives without a packet.
//!
//! `api.rs` is its face; `course.rs` has the questions, `udp.rs` and `tcp.rs` ask them, `idle.rs` waits, `infer.rs` concludes from what
//! they saw, `core.rs` and `exchange.rs` are what they share, `sequence.rs` tells a counter from dice.
//!
//! # What cannot be seen from here
//!
//! A hairpin behind an endpoint-dependent mapping whose filter also holds for it; how ports are chosen where
//! they are preserved and never taken; to what a permission is attached where one port has one mapping; NATs that
//! change their habit when two machines use one private port; when a mapping ends that lets everybody in and has the
//! private port. Such a property has no value and is `unknown`.

mod api;
mod core;
mod course;
mod exchange;
mod idle;
mod infer;
mod report;
mod sequence;
mod tcp;
mod udp;

use alloc::boxed::Box;

pub use api::{NetCheckCommand, NetCheckConfig, NetCheckEvent, NetCheckSnapshot};
pub use report::{
    Allocation, Dependence, Hairpin, IdleTimeout, NatReport, Observation, Outcome, PermissionScope, Place, Probe,
    Property, Remnant, Report, Unsolicited,
};

use self::core::{Core, Findings, Timer};
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::engine::{CommandError, Engine, Input, NetError, Output, SocketId, Transport};
use crate::outbox::Next;
use crate::time::{Duration, Instant};
use idle::Idle;
use tcp::Tcp;
use udp::Udp;

/// The engine of a check. The [`engine`](crate::engine) module has its contract.
#[derive(Clone)]
pub struct NetCheck {
    core: Core,
    tcp_wanted: bool,
    /// The longest silence, if the timeout is wanted.
    silence: Option<Duration>,
    stage: Stage,
    udp: Option<Findings>,
    tcp: Option<Findings>,
}

/// What is at work.
#[derive(Clone, Debug)]
enum Stage {
    Udp(Box<Udp>),
    Tcp(Box<Tcp>),
    Idle(Box<Idle>),
    Over,
}

impl NetCheck {
    /// A check that begins at once. `seed` decides every random choice.
    #[must_use]
    pub fn new(config: &NetCheckConfig, seed: [u8; 32], now: Instant) -> Self {
        let mut core = Core::new(config.server, config.port, seed, now);
        let stage = if config.udp { Stage::Udp(Box::new(Udp::start(&mut core))) } else { Stage::Over };
        let mut check =
            Self { core, tcp_wanted: config.tcp, silence: config.longest_silence, stage, udp: None, tcp: None };
        check.advance();
        check
    }

    /// Whether the check has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// What it is doing and has seen.
    #[must_use]
    pub fn snapshot(&self) -> NetCheckSnapshot {
        let deadline = self.core.timers.next();
        match &self.stage {
            Stage::Udp(udp) => udp.snapshot(deadline),
            Stage::Tcp(tcp) => tcp.snapshot(deadline),
            Stage::Idle(idle) => idle.snapshot(deadline),
            Stage::Over => {
                let found = [&self.udp, &self.tcp].into_iter().flatten();
                let observations = found.flat_map(|half| half.observations.clone()).collect();
                NetCheckSnapshot { step: "Over".into(), open: 0, streams: 0, observations, deadline }
            }
        }
    }

    fn fire(&mut self, now: Instant) {
        self.core.now = self.core.now.max(now);
        while let Some(timer) = self.core.timers.pop(self.core.now) {
            match (&mut self.stage, timer) {
                (Stage::Udp(udp), Timer::Repeat) => udp.on_timer(&mut self.core),
                (Stage::Tcp(tcp), Timer::Stream(_) | Timer::DialBack) => tcp.on_timer(&mut self.core, timer),
                (Stage::Idle(idle), Timer::Lane(lane)) => idle.on_timer(&mut self.core, lane),
                (Stage::Udp(_) | Stage::Tcp(_) | Stage::Idle(_) | Stage::Over, _) => {}
            }
            self.advance();
        }
    }

    fn apply(&mut self, input: Input<'_>) -> Result<(), Discard> {
        match input {
            Input::Timeout => Ok(()),
            Input::Interfaces(interfaces) => {
                if !self.is_over() {
                    self.core.interfaces = interfaces.to_vec();
                }
                Ok(())
            }
            Input::Opened { socket, local } => self.on_settled(socket, Ok(local)),
            Input::OpenFailed { socket, error } => self.on_settled(socket, Err(error)),
            Input::Datagram { socket, local, remote, payload } => match &mut self.stage {
                Stage::Udp(udp) => udp.on_datagram(&mut self.core, socket, local, remote, payload),
                Stage::Idle(idle) => idle.on_datagram(&mut self.core, socket, local, remote, payload),
                Stage::Tcp(_) | Stage::Over => Err(Discard::SocketUnknown),
            },
            // A hint that anybody can send: the question is repeated all the same.
            Input::Rejected { .. } => Ok(()),
            Input::Stream { stream, what } => match &mut self.stage {
                Stage::Tcp(tcp) => tcp.on_stream(&mut self.core, stream, what),
                Stage::Udp(_) | Stage::Idle(_) | Stage::Over => Err(Discard::StreamUnknown),
            },
        }
    }

    fn on_settled(&mut self, socket: SocketId, result: Result<Endpoint, NetError>) -> Result<(), Discard> {
        let (ports, transport) = match &mut self.stage {
            Stage::Udp(udp) => (udp.ports(), Transport::Udp),
            Stage::Tcp(tcp) => (tcp.ports(), Transport::Tcp),
            Stage::Idle(idle) => (idle.ports(), Transport::Udp),
            Stage::Over => return Err(Discard::SocketUnknown),
        };
        let index = ports.find(socket).ok_or(Discard::SocketUnknown)?;
        let waited = match result {
            Ok(local) => ports.on_opened(index, local),
            Err(error) => ports.on_open_failed(&mut self.core, transport, index, error),
        };
        if !waited {
            return Err(Discard::SocketUnknown);
        }
        match &mut self.stage {
            Stage::Udp(udp) => udp.on_settled(&mut self.core),
            Stage::Tcp(tcp) => tcp.on_settled(&mut self.core),
            Stage::Idle(idle) => idle.on_settled(&mut self.core),
            Stage::Over => {}
        }
        Ok(())
    }

    /// Goes from one part to the next when it is over.
    fn advance(&mut self) {
        match &mut self.stage {
            Stage::Udp(udp) if udp.is_over() => self.udp = Some(udp.finish(&mut self.core)),
            Stage::Tcp(tcp) if tcp.is_over() => self.tcp = Some(tcp.finish(&mut self.core)),
            Stage::Idle(idle) if idle.is_over() => self.udp = Some(idle.finish(&mut self.core)),
            Stage::Over if self.udp.is_none() && self.tcp.is_none() => {}
            Stage::Udp(_) | Stage::Tcp(_) | Stage::Idle(_) | Stage::Over => return,
        }
        if ::core::mem::take(&mut self.tcp_wanted) {
            self.stage = Stage::Tcp(Box::new(Tcp::start(&mut self.core)));
            return;
        }
        let idle = self.silence.take().zip(self.udp.as_ref());
        match idle.and_then(|(longest, findings)| Idle::start(&mut self.core, findings, longest)) {
            Some(idle) => self.stage = Stage::Idle(Box::new(idle)),
            None => self.end(),
        }
    }

    fn end(&mut self) {
        self.stage = Stage::Over;
        self.core.timers = crate::timers::Timers::new();
        let report = Report {
            server: self.core.server,
            udp: self.udp.as_ref().map(Findings::report),
            tcp: self.tcp.as_ref().map(Findings::report),
        };
        self.core.outbox.event(NetCheckEvent::Finished(Box::new(report)));
    }
}

impl Engine for NetCheck {
    type Command<'a> = NetCheckCommand;
    type Reply = ();
    type Event<'a> = NetCheckEvent;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        self.fire(now);
        let result = self.apply(input);
        self.advance();
        result
    }

    fn handle_command(&mut self, now: Instant, command: NetCheckCommand) -> Result<(), CommandError> {
        match command {
            NetCheckCommand::Stop if self.is_over() => Err(CommandError::WrongState),
            NetCheckCommand::Stop => {
                self.fire(now);
                match &mut self.stage {
                    Stage::Udp(udp) => self.udp = Some(udp.finish(&mut self.core)),
                    Stage::Tcp(tcp) => self.tcp = Some(tcp.finish(&mut self.core)),
                    Stage::Idle(idle) => self.udp = Some(idle.finish(&mut self.core)),
                    // What was due ended it.
                    Stage::Over => return Ok(()),
                }
                self.end();
                Ok(())
            }
        }
    }

    fn poll_output(&mut self) -> Output<'_, NetCheckEvent> {
        match self.core.outbox.poll(self.core.timers.next()) {
            Next::Event(event, _) => Output::Event(event),
            Next::Output(output) => output.with_events(),
        }
    }
}
