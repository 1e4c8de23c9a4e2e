//! The peer's engine.
//!
//! [`Peer`] takes inputs apart and hands them on: to the *leg* (`leg.rs`: discovery, registration,
//! bindings), to *sessions* (`session/`: handshake, punching, paths, data), or to nobody. `streams.rs` takes
//! streams apart, `news.rs` what the server said; what the parts share is in `core.rs`.

pub mod api;
mod budget;
mod bytestream;
mod core;
mod early;
mod inspect;
mod leg;
mod news;
mod path;
mod session;
mod snapshot;
mod streams;

use alloc::vec::Vec;

pub use api::*;
pub use snapshot::{BindingSnapshot, PathSnapshot, PeerSnapshot, SessionSnapshot};

use crate::constants::{MAX_KEEPALIVE, MAX_SESSIONS};
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{CommandError, Engine, Input, Interface, Output, SocketId, StreamId, StreamInput, Transport};
use crate::key::PeerId;
use crate::noise::public_key;
use crate::outbox::Next;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::code::Refusal;
use crate::wire::control::{Introduce, Refuse};
use crate::wire::message::{Reply, RequestId};
use crate::wire::sealed::{ChannelId, Index};
use crate::wire::{Packet, Punch, SessionId};

use self::core::{Core, Timer};
use early::EarlyPunches;
use leg::{Leg, Slot};
use path::Link;
use session::{Role, Session, Source, Stage};

/// The engine of a peer. The [`engine`](crate::engine) module has its contract, [`PeerCommand`] and
/// [`PeerEvent`] what it is asked and tells.
#[derive(Clone)]
pub struct Peer {
    core: Core,
    leg: Leg,
    sessions: SortedMap<SessionHandle, Session>,
    early: EarlyPunches,
    next_handle: u32,
    stopped: bool,
}

impl Peer {
    /// A peer that begins to register at once. `seed` decides every random choice.
    #[must_use]
    pub fn new(mut config: PeerConfig, seed: [u8; 32], now: Instant) -> Self {
        config.keepalive = config.keepalive.min(MAX_KEEPALIVE);
        let id = public_key(&*config.x25519, &config.secret);
        let mut core = Core::new(config, id, seed, now);
        let leg = Leg::new(&mut core);
        Self { core, leg, sessions: SortedMap::new(), early: EarlyPunches::default(), next_handle: 0, stopped: false }
    }

    /// The peer's public key: its name.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.core.id
    }

    // --- datagrams ---

    fn on_datagram(
        &mut self,
        socket: SocketId,
        local: Address,
        remote: Endpoint,
        payload: &[u8],
    ) -> Result<(), Discard> {
        let owner = self.core.port(socket).ok_or(Discard::SocketUnknown)?.owner;
        let source = Source { link: Link::Udp { socket, remote }, local: Some(local), octets: payload.len() };
        let packet = Packet::decode(payload)?;
        if let Some(owner) = owner {
            return self.on_thrown_away(owner, source, &packet);
        }
        match packet {
            Packet::Discovered(found) if self.leg.is_spare(socket) => {
                self.leg.on_spare_discovered(&mut self.core, socket, remote, &found)
            }
            Packet::Discovered(found) => {
                let slot = self.slot_of(socket, |_| true)?;
                if !self.leg.is_server(remote) {
                    return Err(Discard::SourceWrong);
                }
                self.leg.on_discovered(&mut self.core, slot, None, found)
            }
            Packet::Registered(registered) => {
                let slot = self.slot_of(socket, |server| server == remote)?;
                let news = self.leg.on_registered(&mut self.core, slot, &registered)?;
                self.on_news(news);
                Ok(())
            }
            Packet::Reset(reset) => {
                let slot = self.slot_of(socket, |server| server == remote)?;
                let news = self.leg.on_reset(&mut self.core, slot, &reset)?;
                self.on_news(news);
                Ok(())
            }
            Packet::Sealed(sealed) if self.leg.index() == Some(sealed.index) && self.leg.is_along(socket, remote) => {
                self.leg.on_along_sealed(&mut self.core, socket, &sealed)
            }
            Packet::Sealed(sealed) if self.leg.index() == Some(sealed.index) && self.leg.is_spare(socket) => {
                self.leg.on_spare_sealed(&mut self.core, socket, remote, &sealed)
            }
            Packet::Sealed(sealed) if self.leg.index() == Some(sealed.index) => {
                let slot = self.slot_of(socket, |server| server == remote)?;
                let news = self.leg.on_sealed(&mut self.core, slot, &sealed)?;
                self.on_news(news);
                Ok(())
            }
            // [R-KEEP-016]
            Packet::Sealed(_) | Packet::Punch(_) | Packet::PunchReply(_) if !self.may_be_a_peer(remote) => {
                Err(Discard::SourceWrong)
            }
            Packet::Sealed(sealed) => {
                let handle = self.by_index(sealed.index).ok_or(Discard::IndexUnknown)?;
                self.with(handle, |session, core, leg| session.on_sealed(core, leg, source, &sealed))
            }
            Packet::Relayed(relayed) => {
                self.slot_of(socket, |server| server == remote)?;
                self.on_relayed(relayed.channel, relayed.packet)
            }
            Packet::Punch(punch) => self.on_punch(source, &punch),
            Packet::PunchReply(reply) => {
                let handle = self.by_id(&reply.session).ok_or(Discard::SessionUnknown)?;
                self.with(handle, |session, core, leg| session.on_punch_reply(core, leg, source, &reply))
            }
            // [R-WIRE-015]
            Packet::Discover(_) | Packet::Register(_) => Err(Discard::WrongRole),
        }
    }

    /// Whether an endpoint can be another peer's at all: what is answered goes there.
    fn may_be_a_peer(&self, remote: Endpoint) -> bool {
        let possible = remote.is_candidate() || (self.core.on_loopback() && remote.address().is_loopback());
        possible && !self.core.is_own(remote) && !self.leg.is_server(remote)
    }

    /// A datagram on a socket that a session opened for its guesses: for that session or for nobody.
    fn on_thrown_away(&mut self, owner: SessionHandle, source: Source, packet: &Packet<'_>) -> Result<(), Discard> {
        let Link::Udp { socket, remote } = source.link else {
            return Err(Discard::SocketUnknown);
        };
        let own = |handle: Option<SessionHandle>| {
            if handle == Some(owner) { Ok(()) } else { Err(Discard::SocketUnknown) }
        };
        match packet {
            Packet::Discovered(_) if !self.leg.is_server(remote) => Err(Discard::SourceWrong),
            Packet::Discovered(found) => self.with(owner, |session, core, leg| {
                session.on_sample(core, leg, socket, found);
                Ok(())
            }),
            // [R-KEEP-016]
            Packet::Sealed(_) | Packet::Punch(_) | Packet::PunchReply(_) if !self.may_be_a_peer(remote) => {
                Err(Discard::SourceWrong)
            }
            Packet::Sealed(sealed) => {
                own(self.by_index(sealed.index))?;
                self.with(owner, |session, core, leg| session.on_sealed(core, leg, source, sealed))
            }
            Packet::Punch(punch) => {
                own(self.by_id(&punch.session))?;
                self.with(owner, |session, core, _| session.on_punch(core, source, punch))
            }
            Packet::PunchReply(reply) => {
                own(self.by_id(&reply.session))?;
                self.with(owner, |session, core, leg| session.on_punch_reply(core, leg, source, reply))
            }
            Packet::Discover(_) | Packet::Register(_) => Err(Discard::WrongRole),
            Packet::Registered(_) | Packet::Relayed(_) | Packet::Reset(_) => Err(Discard::SocketUnknown),
        }
    }

    fn on_relayed(&mut self, channel: ChannelId, packet: &[u8]) -> Result<(), Discard> {
        let known = |session: &&Session| session.channel() == Some(channel);
        let handle = self.sessions.values().find(known).map(|session| session.handle);
        let handle = handle.ok_or(Discard::ChannelUnknown)?;
        let Packet::Sealed(sealed) = Packet::decode(packet)? else {
            // [R-RELAY-008]
            return Err(Discard::ChannelUnknown);
        };
        if self.by_index(sealed.index) != Some(handle) {
            return Err(Discard::ChannelUnknown);
        }
        let source = Source { link: Link::Relay, local: None, octets: packet.len() };
        self.with(handle, |session, core, leg| session.on_sealed(core, leg, source, &sealed))
    }

    fn on_punch(&mut self, source: Source, punch: &Punch) -> Result<(), Discard> {
        match self.by_id(&punch.session) {
            Some(handle) => self.with(handle, |session, core, _| session.on_punch(core, source, punch)),
            None => {
                self.early.remember(self.core.now, source, *punch);
                Err(Discard::SessionUnknown)
            }
        }
    }

    // --- time and place ---

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Binding(slot) => {
                let news = self.leg.on_timer(&mut self.core, slot);
                self.on_news(news);
            }
            Timer::LegRequests => {
                let news = self.leg.on_requests_due(&mut self.core);
                self.on_news(news);
            }
            Timer::Behaviour(slot) => self.leg.on_behaviour_due(&mut self.core, slot),
            Timer::Idle(slot) => self.leg.on_idle_due(&mut self.core, slot),
            Timer::Unreachable => self.leg.on_unreachable(&mut self.core),
            Timer::FirstFrame(stream) => {
                self.early.forget(stream);
                self.core.close(stream, true);
            }
            Timer::Full(stream) => self.break_stream(stream),
            Timer::SessionRequests(handle)
            | Timer::Punch(handle)
            | Timer::Dial(handle)
            | Timer::Attempt(handle)
            | Timer::Check(handle)
            | Timer::Keepalive(handle)
            | Timer::Resend(handle)
            | Timer::Losers(handle)
            | Timer::Expire(handle)
            | Timer::Worn(handle) => {
                let (core, leg) = (&mut self.core, &mut self.leg);
                let over = self.sessions.get_mut(&handle).is_some_and(|session| session.on_timer(core, leg, timer));
                if over {
                    self.forget(handle);
                }
            }
        }
    }

    fn on_interfaces(&mut self, interfaces: &[Interface]) {
        if self.core.interfaces == interfaces {
            return;
        }
        let first = !::core::mem::replace(&mut self.core.interfaces_told, true);
        self.core.interfaces = interfaces.to_vec();
        if first {
            return;
        }
        // [R-REG-015]
        let news = self.leg.on_moved(&mut self.core);
        self.on_news(news);
        for session in self.sessions.values_mut() {
            session.on_moved(&mut self.core, &mut self.leg);
        }
    }

    fn fire(&mut self, now: Instant) {
        self.core.now = self.core.now.max(now);
        while let Some(timer) = self.core.timers.pop(self.core.now) {
            self.on_timer(timer);
        }
    }

    // --- commands ---

    fn connect(&mut self, peer: PeerId, transport: Option<Transport>) -> Result<PeerReply, CommandError> {
        if peer == self.core.id {
            return Err(CommandError::OwnId);
        }
        let possible = match transport {
            None => self.core.config.udp || self.core.config.tcp,
            Some(Transport::Udp) => self.core.config.udp,
            Some(Transport::Tcp) => self.core.config.tcp,
        };
        if !possible {
            return Err(CommandError::NotOnline);
        }
        // [R-LIM-004]
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(CommandError::TooMany);
        }
        let handle = self.next_handle();
        // [R-INTRO-002]
        let id = self.core.visible.octets();
        let mut session = Session::new(&mut self.core, handle, peer, id, Role::initiator(), true);
        session.ask(&mut self.core, &mut self.leg, transport);
        self.sessions.insert(handle, session);
        Ok(PeerReply::Session(handle))
    }

    fn close(&mut self, handle: SessionHandle) -> Result<PeerReply, CommandError> {
        let session = self.sessions.get_mut(&handle).ok_or(CommandError::Unknown)?;
        if session.stage() == Stage::Ended {
            return Err(CommandError::WrongState);
        }
        if session.close(&mut self.core, &mut self.leg) {
            self.forget(handle);
        }
        Ok(PeerReply::Done)
    }

    fn shut_down(&mut self) {
        let handles: Vec<_> = self.sessions.keys().copied().collect();
        for handle in handles {
            // Already ended ones are forgotten just the same.
            let _ = self.close(handle);
            self.forget(handle);
        }
        self.leg.shut_down(&mut self.core);
        for port in ::core::mem::take(&mut self.core.ports) {
            self.core.outbox.shut(port.socket);
        }
        let streams: Vec<_> = self.core.streams.keys().copied().collect();
        for stream in streams {
            self.core.close(stream, false);
        }
        self.core.timers = crate::timers::Timers::new();
        self.core.event(PeerEvent::Stopped);
        self.stopped = true;
    }

    fn session(&mut self, handle: SessionHandle) -> Result<(&mut Session, &mut Core, &mut Leg), CommandError> {
        let session = self.sessions.get_mut(&handle).ok_or(CommandError::Unknown)?;
        Ok((session, &mut self.core, &mut self.leg))
    }

    // --- tables ---

    fn next_handle(&mut self) -> SessionHandle {
        let handle = SessionHandle(self.next_handle);
        self.next_handle = self.next_handle.wrapping_add(1);
        handle
    }

    fn by_id(&self, id: &SessionId) -> Option<SessionHandle> {
        self.sessions.values().find(|session| session.id == *id).map(|session| session.handle)
    }

    fn by_index(&self, index: Index) -> Option<SessionHandle> {
        self.sessions.values().find(|session| session.index == index).map(|session| session.handle)
    }

    fn slot_of(&self, socket: SocketId, server: impl Fn(Endpoint) -> bool) -> Result<Slot, Discard> {
        let mut slots = self.leg.bindings().iter();
        let slot = slots.position(|binding| binding.socket == socket).ok_or(Discard::SocketUnknown)?;
        if server(self.leg.bindings()[slot].server) { Ok(slot) } else { Err(Discard::SourceWrong) }
    }

    /// Has a session do something, and sees to what follows when that established it.
    fn with<T>(
        &mut self,
        handle: SessionHandle,
        act: impl FnOnce(&mut Session, &mut Core, &mut Leg) -> Result<T, Discard>,
    ) -> Result<T, Discard> {
        let session = self.sessions.get_mut(&handle).ok_or(Discard::SessionUnknown)?;
        let before = session.stage();
        let result = act(session, &mut self.core, &mut self.leg);
        if before != Stage::Established && session.stage() == Stage::Established {
            let peer = session.peer;
            self.supersede(peer);
        }
        result
    }

    fn with_known(&mut self, handle: SessionHandle, act: impl FnOnce(&mut Session, &mut Core, &mut Leg)) {
        // A session that is gone needs nothing done.
        let _ = self.with(handle, |session, core, leg| {
            act(session, core, leg);
            Ok(())
        });
    }

    /// A second session with a peer takes the place of the first. Handles have the order in which sessions
    /// began, which is the other side's, too; the order in which they are established need not be.
    fn supersede(&mut self, peer: PeerId) {
        let established = |session: &&mut Session| session.peer == peer && session.stage() == Stage::Established;
        let mut over: Vec<_> = self.sessions.values_mut().filter(established).collect();
        // [R-INTRO-017]
        let Some(latest) = over.pop() else {
            return;
        };
        let over: Vec<_> = over
            .into_iter()
            .map(|session| {
                latest.inherit(&mut self.core, session);
                session.supersede(&mut self.core);
                session.handle
            })
            .collect();
        for handle in over {
            self.forget(handle);
        }
    }

    fn forget(&mut self, handle: SessionHandle) {
        if let Some(mut session) = self.sessions.remove(&handle) {
            session.release(&mut self.core, &mut self.leg);
        }
    }
}

impl Engine for Peer {
    type Command<'a> = PeerCommand<'a>;
    type Reply = PeerReply;
    type Event<'a> = PeerEvent<'a>;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        if self.stopped {
            return match input {
                Input::Timeout => Ok(()),
                _ => Err(Discard::SocketUnknown),
            };
        }
        self.fire(now);
        match input {
            Input::Timeout => Ok(()),
            Input::Interfaces(interfaces) => {
                self.on_interfaces(interfaces);
                // What begins anew begins at once: no deadline is left that has come already.
                self.fire(now);
                Ok(())
            }
            Input::Opened { socket, local } => {
                let mut ports = self.core.ports.iter_mut();
                let port = ports.find(|port| port.socket == socket && port.local.is_none());
                let port = port.ok_or(Discard::SocketUnknown)?;
                port.local = Some(local);
                match port.owner {
                    None => self.leg.on_opened(&mut self.core, socket),
                    Some(owner) => self.with_known(owner, |session, core, _| session.on_opened(core, socket)),
                }
                Ok(())
            }
            Input::OpenFailed { socket, .. } => {
                let mut ports = self.core.ports.iter();
                let port = ports.find(|port| port.socket == socket && port.local.is_none());
                match port.ok_or(Discard::SocketUnknown)?.owner {
                    None => self.leg.on_open_failed(&mut self.core, socket),
                    Some(owner) => {
                        self.core.ports.retain(|port| port.socket != socket);
                        self.with_known(owner, |session, core, _| session.on_open_failed(core, socket));
                    }
                }
                Ok(())
            }
            Input::Datagram { socket, local, remote, payload } => self.on_datagram(socket, local, remote, payload),
            // A hint that anybody can send: retries and timers decide.
            Input::Rejected { .. } => Ok(()),
            Input::Stream { stream, what } => self.on_stream(stream, what),
        }
    }

    fn handle_command(&mut self, now: Instant, command: PeerCommand<'_>) -> Result<PeerReply, CommandError> {
        if self.stopped {
            return Err(CommandError::WrongState);
        }
        self.core.now = self.core.now.max(now);
        match command {
            PeerCommand::Connect { peer, transport } => self.connect(peer, transport),
            PeerCommand::Send { session, datagram } => {
                let (session, core, leg) = self.session(session)?;
                session.send(core, leg, datagram).map(|()| PeerReply::Done)
            }
            PeerCommand::Write { session, octets } => {
                let (session, core, leg) = self.session(session)?;
                session.write(core, leg, octets).map(PeerReply::Written)
            }
            PeerCommand::Finish { session } => {
                let (session, core, leg) = self.session(session)?;
                session.finish(core, leg).map(|()| PeerReply::Done)
            }
            PeerCommand::Consume { session, octets } => {
                let (session, core, leg) = self.session(session)?;
                session.consume(core, leg, octets).map(|()| PeerReply::Done)
            }
            PeerCommand::Close { session } => self.close(session),
            PeerCommand::Shutdown => {
                self.shut_down();
                Ok(PeerReply::Done)
            }
        }
    }

    fn poll_output(&mut self) -> Output<'_, PeerEvent<'_>> {
        let deadline = self.core.timers.next();
        match self.core.outbox.poll(deadline) {
            Next::Output(output) => output.with_events(),
            Next::Event(PeerEvent::Datagram { session, .. }, octets) => {
                Output::Event(PeerEvent::Datagram { session, octets })
            }
            Next::Event(PeerEvent::Stream { session, .. }, octets) => {
                Output::Event(PeerEvent::Stream { session, octets })
            }
            Next::Event(event, _) => Output::Event(event),
        }
    }
}
