//! The loop around an engine.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use nix::sys::epoll::EpollFlags;
use pinhole_proto::{
    CommandError, Discard, Duration, Engine, Input, Instant, Interface, Output, SocketId, StreamId, StreamInput,
};
use pinhole_trace::What;
use serde::Serialize;

use crate::addresses::Addresses;
use crate::clock::Clock;
use crate::inbox::{BATCH, Inbox};
use crate::interfaces::{self, Changes};
use crate::io::Io;
use crate::port::Sharing;
use crate::reactor::Token;
use crate::stream::{Detached, Ready};
use crate::trace::Trace;

/// How a driver is set up.
#[derive(Default)]
pub struct Options {
    /// The addresses to serve; for a family that has none here, all of the machine's.
    ///
    /// Sockets are bound to the only one of their family. Where there are several they are bound to the
    /// wildcard, and what arrives at any other address is ignored.
    pub bind: Vec<IpAddr>,
    /// Whether other drivers of the process have the same ports.
    pub sharing: Sharing,
    /// The clock, where drivers are to agree on the time; else the driver makes its own.
    pub clock: Option<Clock>,
    /// Where every input and output is written, after a [`Header`](pinhole_trace::Header) that is there already.
    pub trace: Option<Box<dyn Write + Send>>,
    /// Tells the engine when the addresses of the local interfaces change.
    pub watch_interfaces: bool,
}

/// An engine with its sockets and its clock.
pub struct Driver<E> {
    core: Core<E>,
    io: Io,
    inbox: Inbox,
    clock: Clock,
    addresses: Addresses,
    interfaces: Option<Vec<Interface>>,
    changes: Watch,
    ready: Vec<(Token, EpollFlags)>,
}

/// The engine and what is known about it.
struct Core<E> {
    engine: E,
    trace: Trace,
    deadline: Option<Instant>,
    discards: BTreeMap<Discard, u64>,
    /// Whether it had an input or told an event in this step.
    stirred: bool,
}

/// How changes of the interfaces are noticed.
enum Watch {
    Off,
    Told(Changes),
    Poll { next: Instant },
}

impl<E> Driver<E>
where
    E: Engine + 'static,
    for<'a> E::Event<'a>: Serialize,
{
    /// Wraps an engine that was made for the moment [`Instant::ZERO`]. To be called inside a
    /// current-thread tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn new(engine: E, options: Options) -> io::Result<Self> {
        let clock = options.clock.unwrap_or_else(Clock::start);
        let addresses = Addresses::new(options.bind);
        let io = Io::new(addresses.clone(), options.sharing)?;
        let changes = if options.watch_interfaces {
            match Changes::new() {
                Ok(changes) => {
                    io.reactor.add(&changes, Token::Interfaces, EpollFlags::EPOLLIN)?;
                    Watch::Told(changes)
                }
                Err(error) => {
                    tracing::debug!(%error, "the interfaces are polled");
                    Watch::Poll { next: clock.now() + INTERFACE_POLL }
                }
            }
        } else {
            Watch::Off
        };
        Ok(Self {
            core: Core {
                engine,
                trace: Trace::new(options.trace),
                deadline: None,
                discards: BTreeMap::new(),
                stirred: false,
            },
            io,
            inbox: Inbox::new(),
            clock,
            addresses,
            interfaces: None,
            changes,
            ready: Vec::new(),
        })
    }

    /// The time on the driver's clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The engine.
    pub const fn engine(&self) -> &E {
        &self.core.engine
    }

    /// Applies a command. What the engine orders in consequence is carried out by the next
    /// [`Driver::step`].
    ///
    /// # Errors
    /// The engine's.
    pub fn command(&mut self, command: E::Command<'_>) -> Result<E::Reply, CommandError> {
        self.core.engine.handle_command(self.clock.now(), command)
    }

    /// Applies an input that came another way than through this driver's own sockets. What the engine orders in
    /// consequence is carried out by the next [`Driver::step`].
    pub fn apply(&mut self, input: Input<'_>, on_event: &mut dyn FnMut(E::Event<'_>)) {
        let now = self.clock.now();
        self.core.apply(&mut self.io, now, input, on_event);
    }

    /// Takes a stream out that the engine has forgotten and does not read, for another driver to
    /// [`attach`](Driver::attach). `None` when it is gone.
    pub fn detach(&mut self, stream: StreamId) -> Option<Detached> {
        self.io.detach(stream)
    }

    /// Takes a stream in that another driver accepted on a socket that both name alike: the engine hears of it as if
    /// it were accepted here, and of `octets` as the first that arrived.
    ///
    /// # Errors
    /// The stream is dead, or the system has no room for it.
    pub fn attach(
        &mut self,
        socket: SocketId,
        detached: Detached,
        octets: &[u8],
        on_event: &mut dyn FnMut(E::Event<'_>),
    ) -> io::Result<()> {
        let (stream, accepted) = self.io.attach(socket, detached)?;
        self.apply(accepted, on_event);
        if self.io.has_stream(stream) {
            self.apply(Input::Stream { stream, what: StreamInput::Received(octets) }, on_event);
        }
        Ok(())
    }

    /// Carries out what the engine ordered, waits for an input or a deadline, applies it, and carries out
    /// what follows. `on_event` hears each event, in order. Where carrying out gives an input or an event
    /// already, as opening a port does, there is no wait, so that the caller can react.
    ///
    /// Cancel-safe: dropped while it waits, it has taken nothing from any socket.
    ///
    /// # Errors
    /// The system refuses to wait. Failures of single sockets are inputs of the engine instead.
    pub async fn step(&mut self, on_event: &mut dyn FnMut(E::Event<'_>)) -> io::Result<()> {
        tokio::task::consume_budget().await;
        self.core.stirred = false;
        if self.interfaces.is_none() {
            self.look_at_interfaces(on_event);
        }
        self.settle(on_event);
        if self.is_due() {
            self.on_time(on_event);
            self.settle(on_event);
        }
        if self.core.stirred {
            return Ok(());
        }
        self.core.trace.flush();
        let deadline = self.deadline();
        self.io.wake_at(self.clock, deadline)?;
        self.io.reactor.ready(&mut self.ready).await?;

        let mut ready = core::mem::take(&mut self.ready);
        for (token, flags) in ready.drain(..) {
            match token {
                Token::Timer => self.on_time(on_event),
                Token::Interfaces => self.on_interfaces(on_event),
                Token::Port(socket) => self.on_port(socket, flags, on_event),
                Token::Stream(stream) => self.on_stream(stream, flags, on_event),
            }
        }
        self.ready = ready;
        self.settle(on_event);
        Ok(())
    }

    /// Writes out, for at most `patience`, what closed streams still hold. To be called when the
    /// engine has ended.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub async fn finish(&mut self, patience: Duration) -> io::Result<()> {
        let written_out = async {
            self.settle(&mut |_| {});
            while self.io.is_lingering() {
                self.step(&mut |_| {}).await?;
            }
            Ok(())
        };
        let result = tokio::time::timeout(patience, written_out).await;
        self.core.trace.flush();
        result.unwrap_or(Ok(()))
    }

    /// How often the engine ignored an input, by reason.
    pub const fn discards(&self) -> &BTreeMap<Discard, u64> {
        &self.core.discards
    }

    /// How many datagrams this machine dropped instead of sending them: no room, no such socket, no route.
    pub const fn unsent(&self) -> u64 {
        self.io.unsent()
    }

    /// Writes a command to the trace, as the program spells it.
    pub fn note_command(&mut self, command: &impl Serialize) {
        self.core.trace.line(self.clock.now(), What::Command(command));
    }

    /// Writes what the engine answered to a command to the trace, as the program spells it.
    pub fn note_reply(&mut self, reply: &impl Serialize) {
        self.core.trace.line(self.clock.now(), What::Reply(reply));
    }

    /// Carries out orders, and applies what they answer at once, until nothing is left.
    fn settle(&mut self, on_event: &mut dyn FnMut(E::Event<'_>)) {
        let now = self.clock.now();
        self.core.carry_out(&mut self.io, now, false, on_event);
        self.core.flush(&mut self.io, now);
        for _ in 0..MAX_ROUNDS {
            if self.io.feedback.is_empty() {
                return;
            }
            for _ in 0..self.io.feedback.len() {
                if let Some(input) = self.io.feedback.pop_front() {
                    self.core.apply(&mut self.io, now, input, on_event);
                }
            }
            self.core.flush(&mut self.io, now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let poll = match self.changes {
            Watch::Poll { next } => Some(next),
            Watch::Off | Watch::Told(_) => None,
        };
        self.core.deadline.into_iter().chain(poll).min()
    }

    fn is_due(&self) -> bool {
        let now = self.clock.now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        due(self.deadline()) || due(self.io.deadline()) || !self.io.feedback.is_empty()
    }

    fn on_time(&mut self, on_event: &mut dyn FnMut(E::Event<'_>)) {
        let now = self.clock.now();
        self.io.on_time(now);
        if let Watch::Poll { next } = &mut self.changes
            && *next <= now
        {
            *next = now + INTERFACE_POLL;
            self.look_at_interfaces(on_event);
        }
        if self.core.deadline.is_some_and(|at| at <= now) {
            self.core.apply(&mut self.io, now, Input::Timeout, on_event);
        }
    }

    fn on_interfaces(&mut self, on_event: &mut dyn FnMut(E::Event<'_>)) {
        if let Watch::Told(changes) = &self.changes {
            changes.clear();
        }
        self.look_at_interfaces(on_event);
    }

    fn look_at_interfaces(&mut self, on_event: &mut dyn FnMut(E::Event<'_>)) {
        let found = interfaces::list(&self.addresses).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot list the interfaces");
            self.interfaces.clone().unwrap_or_default()
        });
        if self.interfaces.as_ref() != Some(&found) {
            let now = self.clock.now();
            let input = Input::Interfaces(&found);
            self.core.apply(&mut self.io, now, input, on_event);
            self.interfaces = Some(found);
        }
    }

    fn on_port(&mut self, socket: SocketId, flags: EpollFlags, on_event: &mut dyn FnMut(E::Event<'_>)) {
        if flags.contains(EpollFlags::EPOLLERR) {
            self.io.take_rejections(socket);
        }
        for _ in 0..MAX_BATCHES {
            // Looked up each time: the engine may have shut it, and its number may be another's by then.
            let Some((fd, family)) = self.io.datagrams(socket) else {
                return self.on_listener(socket, on_event);
            };
            let now = self.clock.now();
            let (core, io, addresses) = (&mut self.core, &mut self.io, &self.addresses);
            let received = self.inbox.receive(fd, family, |datagram| {
                if !addresses.serves(datagram.local) {
                    return;
                }
                let input = Input::Datagram {
                    socket,
                    local: datagram.local,
                    remote: datagram.remote,
                    payload: datagram.payload,
                };
                core.apply(io, now, input, on_event);
            });
            self.core.flush(&mut self.io, now);
            match received {
                Ok(BATCH) => {}
                // An earlier datagram's error, reported here and cleared by that; the next turn reads on.
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn on_listener(&mut self, socket: SocketId, on_event: &mut dyn FnMut(E::Event<'_>)) {
        let now = self.clock.now();
        for _ in 0..MAX_ACCEPTS {
            let Some(input) = self.io.accept(socket, now) else {
                return;
            };
            self.core.apply(&mut self.io, now, input, on_event);
        }
    }

    fn on_stream(&mut self, stream: StreamId, flags: EpollFlags, on_event: &mut dyn FnMut(E::Event<'_>)) {
        let now = self.clock.now();
        let buffer = self.inbox.buffer();
        let what = match self.io.on_stream(stream, flags, buffer, now) {
            Ready::Nothing | Ready::Done => return,
            Ready::Connected(local) => StreamInput::Connected { local },
            Ready::Received(count) => StreamInput::Received(&buffer[..count]),
            Ready::Closed(error) => StreamInput::Closed(error),
        };
        let input = Input::Stream { stream, what };
        self.core.apply(&mut self.io, now, input, on_event);
    }
}

impl<E> Core<E>
where
    E: Engine + 'static,
    for<'a> E::Event<'a>: Serialize,
{
    fn apply(&mut self, io: &mut Io, now: Instant, input: Input<'_>, on_event: &mut dyn FnMut(E::Event<'_>)) {
        self.stirred = true;
        self.trace.input(now, &input);
        if let Err(discard) = self.engine.handle_input(now, input) {
            self.trace.discard(now, discard);
            *self.discards.entry(discard).or_default() += 1;
        }
        self.carry_out(io, now, true, on_event);
    }

    /// Sends and writes what was gathered.
    fn flush(&mut self, io: &mut Io, now: Instant) {
        io.flush();
        for number in io.take_unsent() {
            self.trace.unsent(now, number);
        }
    }

    /// Carries out everything that the engine ordered; datagrams and writes are only gathered. The trace
    /// has a `wait` after an input and after other outputs only.
    fn carry_out(&mut self, io: &mut Io, now: Instant, mut any: bool, on_event: &mut dyn FnMut(E::Event<'_>)) {
        loop {
            let output = self.engine.poll_output();
            if any || !matches!(output, Output::Wait(_)) {
                self.trace.output(now, &output);
                any = true;
            }
            match output {
                Output::Open { socket, transport, family, port, share } => {
                    io.open(socket, transport, family, port, share)
                }
                Output::Shut { socket } => io.shut(socket),
                Output::Transmit { socket, local, remote, ttl, payload } => {
                    io.transmit(socket, local, remote, ttl, payload)
                }
                Output::Dial { stream, from, local, remote, ttl } => io.dial(stream, from, local, remote, ttl),
                Output::Write { stream, octets } => io.write(stream, octets),
                Output::Read { stream, on } => io.read(stream, on),
                Output::Close { stream, abort } => io.close(stream, abort, now),
                Output::Event(event) => {
                    self.stirred = true;
                    on_event(event);
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }
}

/// How often the interfaces are listed where the system does not tell of changes.
const INTERFACE_POLL: Duration = Duration::from_secs(5);
/// How often answers to orders lead to orders again before the driver lets others have a turn.
const MAX_ROUNDS: usize = 64;
/// The most batches that one turn receives from a socket, so that others are served too.
const MAX_BATCHES: usize = 4;
/// The most streams that one turn accepts from a listener.
const MAX_ACCEPTS: usize = 64;
