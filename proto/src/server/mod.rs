//! The server's engine: rendezvous and relay (`spec/overview.md`).
//!
//! This file hands each input to the part that it concerns and does nothing else:
//!
//! | part | file |
//! |---|---|
//! | answers `Discover`, makes cookies | `discovery.rs` |
//! | dials whoever asked for it over a stream | `dial_back.rs` |
//! | `Register`: rates, cookies, handshake; who has not proved its source yet | `admission.rs`, `pending.rs` |
//! | registered peers, their bindings and requests | `registry.rs`, `registration.rs`, `binding.rs` |
//! | answers that a peer wants later | `echo.rs` |
//! | introductions; what they have to know of a peer | `introduction.rs`, `party.rs` |
//! | questions to and from other engines | `forward.rs`, `others.rs` |
//! | relay channels | `relay.rs` |
//! | `Reset` | `resets.rs` |
//! | ports, streams, timers, dice | `common.rs`, `sockets.rs`, `streams.rs` |
//!
//! # Tables
//!
//! Each has a bound, and a rule for who goes at it [R-LIM-001].
//!
//! | table | bound | when it is full |
//! |---|---|---|
//! | registrations | `Limits::registrations`, per source | the new one is refused |
//! | pending registrations | `Limits::pending` | the oldest goes |
//! | sources of a pending registration | `MAX_PENDING_SOURCES` | the new one is refused |
//! | bindings, and links to be proved | one per transport and family | the new one replaces |
//! | unanswered requests to a peer | `MAX_REQUESTS` | the new one is refused |
//! | remembered answers to a peer | `MAX_ANSWERS` | the oldest goes |
//! | answers that a peer wants later | `MAX_ECHOES` | the new one is refused |
//! | relay channels | `Limits::channels`, per peer | the new one is refused |
//! | unanswered questions to other engines | `MAX_FORWARDS` | the new one is refused |
//! | remembered answers to other engines | `MAX_FORWARDS` | the oldest goes |
//! | octets on their way to or from another engine, per channel of streams | `FORWARD_WINDOW` | who sends waits |
//! | streams | `Limits::streams`, per source | the new one is aborted |
//! | dials that streams asked for | `MAX_DIAL_BACKS` | the new one is refused |
//! | each table of rates | `MAX_RATES` | the key goes whose allowance is whole the earliest |
//!
//! # Several engines
//!
//! An engine owns the peers that are registered with it. The others of its process have the same ports, and the
//! kernel deals what arrives out among them without knowing who is registered where. What another engine has to see
//! leaves as an event: a datagram as [`ServerEvent::Misdirected`], a stream as [`ServerEvent::Misplaced`], a question
//! about a peer or a packet to it as [`ServerEvent::Forward`] (`forward.rs`).
//!
//! # What is not here
//!
//! Who carries forwards between machines; the process does between its own engines.

mod admission;
pub mod api;
mod binding;
mod common;
mod dial_back;
mod discovery;
mod echo;
mod forward;
mod inspect;
mod introduction;
mod link;
mod others;
mod party;
mod pending;
mod rate;
mod registration;
mod registry;
mod relay;
mod resets;
mod slots;
mod snapshot;
mod sockets;
mod streams;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use api::{Limits, Recipient, ServerCommand, ServerConfig, ServerEvent, ServerStream, UnregisterReason};
pub use snapshot::{BindingView, ChannelView, RateTables, RegistrationView, ServerSnapshot};

use crate::discard::Discard;
use crate::engine::{CommandError, Engine, Input, Output, StreamId, StreamInput, Transport};
use crate::noise::public_key;
use crate::outbox::{Next, Outbox};
use crate::rng::Rng;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::timers::Timers;
use crate::wire::control::{Acknowledge, PathReply};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::{Index, Packet, Relayed, Sealed, frame_header};
use admission::Admission;
use common::{Common, Timer};
use dial_back::DialBacks;
use discovery::Discovery;
use forward::Forwards;
use introduction::{Asker, Introductions, Parts};
use link::Link;
use registration::Outcome;
use registry::Registry;
use relay::{Passed, Relay};
use resets::{Resets, Tokens};
use sockets::Sockets;
use streams::{Streams, Waiter};

/// The server's engine.
#[derive(Clone)]
pub struct Server {
    common: Common,
    discovery: Discovery,
    admission: Admission,
    registry: Registry,
    introductions: Introductions,
    relay: Relay,
    resets: Resets,
}

impl Server {
    /// A server that orders its ports at once. Everything random comes out of `seed`.
    #[must_use]
    pub fn new(config: ServerConfig, seed: [u8; 32], _now: Instant) -> Self {
        let (visible, mut secrets) = Rng::pair(seed);
        let mut out = Outbox::new();
        let sockets = Sockets::open(&config, &mut out);
        let key = public_key(&*config.x25519, &config.secret);
        let tokens = Tokens::new(&config.secret);
        let discovery = Discovery::new(key, secrets.octets());
        let common = Common {
            config,
            out,
            sockets,
            dial_backs: DialBacks::new(),
            streams: Streams::default(),
            timers: Timers::new(),
            visible,
            discards: SortedMap::new(),
            forwards: Forwards::default(),
        };
        Self {
            discovery,
            admission: Admission::new(&common, tokens, secrets),
            registry: Registry::default(),
            introductions: Introductions::new(),
            relay: Relay::default(),
            resets: Resets::new(tokens),
            common,
        }
    }

    /// What the server holds.
    #[must_use]
    pub fn snapshot(&self) -> ServerSnapshot {
        snapshot::of(self)
    }
}

impl Engine for Server {
    type Command<'a> = ServerCommand<'a>;
    type Reply = ();
    type Event<'a> = ServerEvent<'a>;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        self.catch_up(now);
        let result = self.on_input(now, input);
        // [R-WIRE-014] Counted, and nothing is sent.
        if let Err(discard) = result {
            self.common.count(discard);
        }
        self.settle(now);
        result
    }

    fn handle_command(&mut self, now: Instant, command: ServerCommand<'_>) -> Result<(), CommandError> {
        if command != ServerCommand::Shutdown {
            self.catch_up(now);
        }
        match command {
            ServerCommand::Forwarded { payload } => {
                if let Err(discard) = self.on_forwarded(now, payload) {
                    self.common.count(discard);
                }
            }
            ServerCommand::Undeliverable { payload } => {
                if let Err(discard) = self.on_undeliverable(now, payload) {
                    self.common.count(discard);
                }
            }
            ServerCommand::Replace { peer, transport, public } => {
                // [R-REG-010]
                self.registry.replace(now, peer, (transport, public), &mut self.common);
            }
            ServerCommand::Shutdown => {
                let common = &mut self.common;
                common.streams.close_all(&mut common.out);
                common.dial_backs.abort_all(&mut common.out);
                common.sockets.shut(&mut common.out);
                common.timers = Timers::new();
                common.forwards = Forwards::default();
                common.out.event(ServerEvent::Stopped);
                self.registry = Registry::default();
                self.relay = Relay::default();
                self.admission.pending = pending::PendingTable::default();
            }
        }
        self.settle(now);
        Ok(())
    }

    fn poll_output(&mut self) -> Output<'_, ServerEvent<'_>> {
        let deadline = self.common.timers.next();
        match self.common.out.poll(deadline) {
            Next::Output(output) => output.with_events(),
            Next::Event(ServerEvent::Misdirected { shard, socket, local, remote, .. }, payload) => {
                Output::Event(ServerEvent::Misdirected { shard, socket, local, remote, payload })
            }
            Next::Event(ServerEvent::Misplaced { shard, stream, socket, .. }, octets) => {
                Output::Event(ServerEvent::Misplaced { shard, stream, socket, octets })
            }
            Next::Event(ServerEvent::Forward { to, droppable, .. }, payload) => {
                Output::Event(ServerEvent::Forward { to, droppable, payload })
            }
            Next::Event(event, _) => Output::Event(event),
        }
    }
}

impl Server {
    fn catch_up(&mut self, now: Instant) {
        while let Some(timer) = self.common.timers.pop(now) {
            self.on_timer(now, timer);
            self.settle(now);
        }
    }

    fn on_timer(&mut self, now: Instant, timer: Timer) {
        let common = &mut self.common;
        match timer {
            Timer::Echoes(index) => self.registry.on_echoes_due(now, index, common),
            Timer::Channel(number) => self.relay.on_timer(now, number, common),
            Timer::Credit(number) => self.relay.on_credit_due(number, common),
            Timer::Forward(id) => {
                let given_up = common.forwards.on_timer(now, id, &mut common.timers, &mut common.out);
                self.give_up(now, given_up);
            }
            Timer::DialBack(stream) => {
                common.dial_backs.on_timer(stream, &mut common.streams, &mut common.timers, &mut common.out);
            }
            Timer::Lifetime(index) => self.registry.on_lifetime(now, index, common),
            Timer::Pending(index) => self.admission.on_timer(index, common),
            Timer::Probes(index) => self.registry.on_probes_due(now, index, common),
            Timer::Requests(index) => self.registry.on_requests_due(now, index, common),
            Timer::Stall(stream) | Timer::Stream(stream) => common.end_stream(stream, true),
        }
    }

    fn on_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        let common = &mut self.common;
        match input {
            Input::Timeout | Input::Interfaces(_) | Input::Rejected { .. } => Ok(()),
            Input::Opened { socket, local } => common.sockets.on_opened(socket, local, &mut common.out),
            Input::OpenFailed { socket, error } => common.sockets.on_open_failed(socket, error, &mut common.out),
            Input::Datagram { socket, local, remote, payload } => {
                let port = common.sockets.port(socket, Transport::Udp)?;
                let local = Some(local).filter(|local| !local.is_unspecified());
                let link = Link::Datagram { socket, local, remote };
                self.on_packet(now, (link, port), payload).map(|_| ())
            }
            Input::Stream { stream, what } => self.on_stream(now, stream, what),
        }
    }

    fn on_stream(&mut self, now: Instant, stream: StreamId, what: StreamInput<'_>) -> Result<(), Discard> {
        let common = &mut self.common;
        match what {
            StreamInput::Accepted { socket, local, remote } => {
                common.on_accepted(now, stream, socket, (local.address(), remote))
            }
            StreamInput::Received(octets) => {
                common.streams.link(stream)?;
                self.on_received(now, stream, octets);
                Ok(())
            }
            StreamInput::Written(octets) => common.streams.on_written(now, stream, octets, &mut common.timers),
            StreamInput::Closed(error) => {
                let (streams, timers, out) = (&mut common.streams, &mut common.timers, &mut common.out);
                if common.dial_backs.on_closed(stream, error, streams, timers, out) || streams.forget(stream, timers) {
                    Ok(())
                } else {
                    Err(Discard::StreamUnknown)
                }
            }
            StreamInput::Connected { .. } => {
                let (streams, timers, out) = (&mut common.streams, &mut common.timers, &mut common.out);
                if common.dial_backs.on_connected(stream, streams, timers, out) {
                    Ok(())
                } else {
                    Err(Discard::StreamUnknown)
                }
            }
        }
    }

    /// Octets of a stream. What is wrong with a frame is counted; the input itself was good.
    fn on_received(&mut self, now: Instant, stream: StreamId, octets: &[u8]) {
        let common = &mut self.common;
        match common.streams.backlog(stream) {
            Some(true) => return common.end_stream(stream, true),
            Some(false) => return common.streams.keep(stream, None, octets),
            None => {}
        }
        let mut rest = octets;
        loop {
            let common = &mut self.common;
            let frame = match common.streams.next_frame(now, stream, &mut rest, &mut common.timers) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(discard) => {
                    common.count(discard);
                    return common.end_stream(stream, true);
                }
            };
            if !self.on_frame(now, stream, &frame, rest) {
                return;
            }
        }
    }

    /// One frame; `false` when what follows it cannot be read now.
    fn on_frame(&mut self, now: Instant, stream: StreamId, frame: &[u8], rest: &[u8]) -> bool {
        let Ok((link, socket)) = self.common.streams.link(stream) else {
            return false;
        };
        let port = self.common.sockets.port(socket, Transport::Tcp).unwrap_or_default();
        let result = self.on_packet(now, (link, port), frame);
        let common = &mut self.common;
        let (streams, timers, out) = (&mut common.streams, &mut common.timers, &mut common.out);
        match result {
            Ok(Passed::Yes) => true,
            Ok(Passed::Slowly(slow)) => {
                streams.hold_up(now, stream, slow, timers, out);
                true
            }
            Ok(Passed::Elsewhere(shard)) => {
                out.read(stream, false);
                let event = ServerEvent::Misplaced { shard, stream, socket, octets: &[] };
                out.event_with(event, &[&frame_header(frame), frame, rest].concat());
                streams.forget(stream, timers);
                false
            }
            Ok(Passed::NotYet(slow)) => {
                streams.hold_up(now, stream, slow, timers, out);
                streams.keep(stream, Some(frame), rest);
                false
            }
            Err(discard) => {
                common.count(discard);
                // [R-TCP-009]
                // On a stream nothing is lost or reordered, so one of these never heals.
                if matches!(discard, Discard::DecryptFailed | Discard::PathNumberRetired | Discard::StreamOutOfOrder) {
                    common.end_stream(stream, true);
                }
                common.streams.contains(stream)
            }
        }
    }

    fn on_packet(&mut self, now: Instant, (link, port): (Link, u16), octets: &[u8]) -> Result<Passed, Discard> {
        let common = &mut self.common;
        match Packet::decode(octets)? {
            Packet::Discover(discover) => self.discovery.on_discover(now, link, port, &discover, common)?,
            Packet::Register(register) => {
                let shown = self.discovery.has_shown(now, link, port, &register.cookie);
                self.admission.on_register(now, (link, shown), &register, &self.registry, common)?;
            }
            Packet::Sealed(sealed) => return self.on_sealed(now, link, &sealed, octets),
            Packet::Relayed(relayed) => return self.on_relayed(now, link, &relayed),
            Packet::Discovered(_)
            | Packet::Registered(_)
            | Packet::Punch(_)
            | Packet::PunchReply(_)
            // [R-WIRE-015] [R-REG-022]
            | Packet::Reset(_) => return Err(Discard::WrongRole),
        }
        Ok(Passed::Yes)
    }

    fn on_relayed(&mut self, now: Instant, link: Link, relayed: &Relayed<'_>) -> Result<Passed, Discard> {
        self.relay.on_relayed(now, link, relayed, &self.registry, &mut self.common)
    }

    fn on_sealed(&mut self, now: Instant, link: Link, sealed: &Sealed<'_>, octets: &[u8]) -> Result<Passed, Discard> {
        let [shard, ..] = sealed.index.0;
        let config = &self.common.config;
        // [R-REG-030]
        if shard == config.shard || shard >= config.shards {
            return self.on_own(now, link, sealed, octets).map(|()| Passed::Yes);
        }
        match link {
            Link::Datagram { socket, local, remote } => {
                let event = ServerEvent::Misdirected { shard, socket, local, remote, payload: &[] };
                self.common.out.event_with(event, octets);
                Ok(Passed::Yes)
            }
            Link::Stream { .. } => Ok(Passed::Elsewhere(shard)),
        }
    }

    /// A sealed packet whose index this engine may have issued.
    fn on_own(&mut self, now: Instant, link: Link, sealed: &Sealed<'_>, octets: &[u8]) -> Result<(), Discard> {
        if self.admission.pending.contains(sealed.index) {
            return self.on_sealed_pending(now, link, sealed, octets.len());
        }
        let plaintext = match self.registry.open(sealed, link) {
            Err(Discard::IndexUnknown) => {
                return Err(self.resets.on_unknown(now, link, sealed.index, octets.len(), &mut self.common));
            }
            opened => opened?,
        };
        let messages = match decode(&plaintext) {
            Ok(messages) => messages,
            Err(discard) => {
                if link.stream().is_some() {
                    self.registry.enter(sealed, link);
                }
                return Err(discard);
            }
        };
        let result = self.on_messages(now, (link, octets.len()), sealed.index, messages);
        // [R-SEC-040]
        // A datagram of which nothing was accepted leaves no trace; a stream counts every packet.
        if result.is_ok() || link.stream().is_some() {
            self.registry.enter(sealed, link);
        }
        result
    }

    fn on_sealed_pending(
        &mut self,
        now: Instant,
        link: Link,
        sealed: &Sealed<'_>,
        length: usize,
    ) -> Result<(), Discard> {
        let plaintext = self.admission.pending.open(sealed, link)?;
        let mut messages = decode(&plaintext)?;
        let proved =
            self.admission.on_sealed(now, link, (sealed, length), &messages, &self.registry, &mut self.common)?;
        let Some(proved) = proved else {
            return Ok(());
        };
        self.registry.insert(now, proved, &mut self.common);
        self.registry.enter(sealed, link);
        messages.retain(|message| !matches!(message, Message::Answer(_, Reply::PathReply(_))));
        // The nonce was the point of the packet; whatever else is wrong with it is counted.
        if let Err(discard) = self.on_messages(now, (link, length), sealed.index, messages) {
            self.common.count(discard);
        }
        Ok(())
    }

    /// The messages of one packet in order. `Err` when there were some and none was accepted.
    fn on_messages(
        &mut self,
        now: Instant,
        (link, mut length): (Link, usize),
        index: Index,
        messages: Vec<Message<'_>>,
    ) -> Result<(), Discard> {
        // [R-WIRE-046]
        let mut accepted = messages.is_empty();
        let mut refused = Vec::new();
        for message in messages {
            let result = match message {
                Message::Request(id, request) => {
                    // [R-SEC-020] The octets of a packet count once, however many requests are in it.
                    let credit = if let Request::Refresh(_) = request { core::mem::take(&mut length) } else { 0 };
                    self.on_request(now, (link, credit), index, id, &request)
                }
                Message::Answer(id, reply) => self.on_answer(now, link, index, id, &reply),
                Message::Datagram(_) | Message::Data { .. } | Message::Ack(_) => Err(Discard::MessageUnexpected),
                Message::Unknown(_) => Ok(()),
            };
            match result {
                Ok(()) => accepted = true,
                Err(discard) => refused.push(discard),
            }
        }
        if accepted {
            for discard in refused {
                self.common.count(discard);
            }
            return Ok(());
        }
        refused.first().copied().map_or(Ok(()), Err)
    }

    fn on_request(
        &mut self,
        now: Instant,
        (link, length): (Link, usize),
        index: Index,
        id: RequestId,
        request: &Request,
    ) -> Result<(), Discard> {
        let common = &mut self.common;
        let registration = self.registry.get(index)?;
        let peer = registration.peer;
        let expected = matches!(
            request,
            Request::PathCheck(_)
                | Request::Refresh(_)
                | Request::Unregister(_)
                | Request::Echo(_)
                | Request::Connect(_)
                | Request::RelayOpen(_)
        );
        if !expected {
            return Err(Discard::MessageUnexpected);
        }
        if let Request::Refresh(refresh) = request {
            registration.on_refresh(now, (link, length), id, refresh, common);
            return Ok(());
        }
        if let Request::Echo(echo) = request {
            return registration.on_echo(now, link, id, *echo, common);
        }
        let Some(id) = registration.enter(link, id, common)? else {
            return Ok(());
        };
        let mut parts = Parts { registry: &mut self.registry, relay: &mut self.relay, common };
        let reply = match request {
            Request::PathCheck(check) => Reply::PathReply(PathReply { nonce: check.nonce, observed: link.remote() }),
            Request::Connect(connect) => {
                let asker = Asker { peer, index, slot: link.slot(), id };
                match self.introductions.on_connect(now, asker, connect, &mut parts) {
                    Some(reply) => reply,
                    None => return Ok(()),
                }
            }
            Request::RelayOpen(ask) => introduction::on_relay_open(now, peer, ask, &mut parts),
            _ => Reply::Acknowledge(Acknowledge {}),
        };
        self.registry.get(index)?.answer(link.slot(), id, reply, &mut self.common);
        if let Request::Unregister(_) = request {
            self.registry.remove(now, index, UnregisterReason::Goodbye, &mut self.common);
        }
        Ok(())
    }

    fn on_answer(
        &mut self,
        now: Instant,
        link: Link,
        index: Index,
        id: RequestId,
        reply: &Reply,
    ) -> Result<(), Discard> {
        let registration = self.registry.get(index)?;
        let responder = registration.peer;
        match registration.on_answer(now, link, id, reply, &mut self.common)? {
            Outcome::Nothing => {}
            Outcome::Introduction(introduction, reply) => {
                let (registry, relay, common) = (&mut self.registry, &mut self.relay, &mut self.common);
                introduction::on_answer(now, responder, &introduction, reply, &mut Parts { registry, relay, common });
            }
        }
        Ok(())
    }

    /// Carries what one part left for another: lost streams, freed indexes, streams that may go on.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some((index, stream)) = self.common.streams.next_lost() {
                self.registry.on_stream_lost(now, index, stream, &mut self.common);
            } else if let Some(index) = self.registry.next_freed() {
                self.admission.give_back(index);
            } else {
                match self.common.streams.next_released() {
                    Some(Waiter::Stream(stream)) => {
                        let backlog = self.common.streams.take_backlog(stream);
                        self.on_received(now, stream, &backlog);
                        self.common.streams.read_on(stream, &mut self.common.out);
                    }
                    Some(Waiter::Channel(number)) => {
                        self.relay.deliver(now, number, &self.registry, &mut self.common);
                    }
                    None => return,
                }
            }
        }
    }
}

/// All messages of a packet, before any takes effect.
// [R-WIRE-045]
fn decode(mut plaintext: &[u8]) -> Result<Vec<Message<'_>>, Discard> {
    let mut messages = Vec::new();
    while !plaintext.is_empty() {
        messages.push(Message::decode(&mut plaintext)?);
    }
    if messages.is_empty() {
        return Err(Discard::TooShort);
    }
    Ok(messages)
}
