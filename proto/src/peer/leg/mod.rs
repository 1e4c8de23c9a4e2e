//! The leg to the server: discovery, registration, bindings (`spec/registration.md`).
//!
//! One key state, and a *binding* for each transport and family. The binding that is discovered first
//! registers, the others join with a sealed `Refresh`.

mod behaviour;
mod binding;
mod idle;
mod messages;
mod registering;

use alloc::vec::Vec;

use crate::association::Association;
use crate::constants::{MAX_REGISTER_RETRY, REGISTER_RETRY, SERVER_UNREACHABLE, VERSION};
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint, Family};
use crate::engine::{SocketId, StreamId, Transport};
use crate::key::ServerKey;
use crate::peer::api::{OfflineReason, PeerEvent, ServerRefusal, SessionHandle};
use crate::peer::core::{Core, Timer};
use crate::replay::Arrival;
use crate::request::{Answers, Due, Requests};
use crate::time::{Duration, Instant};
use crate::wire::code::{Mapping, Refusal, Transports};
use crate::wire::control::{Answered, Introduce, Introduced, Rejected, RelayOpened, Unregister};
use crate::wire::discover::{ReplyFrom, TransactionId};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::sealed::{Index, Reset, Sealed, Token};
use crate::wire::{Discover, List, Packet, Versions};

pub(super) use binding::Binding;
use binding::{Behaviour, Stage};

/// A binding's place in [`Leg::bindings`].
pub(super) type Slot = usize;

/// The leg to the server.
#[derive(Clone)]
pub(super) struct Leg {
    bindings: Vec<Binding>,
    server_key: Option<ServerKey>,
    registration: Option<Registration>,
    requests: Requests<Tag>,
    answers: Answers,
    /// Something of the server's arrived.
    answered: bool,
    /// Why the leg does not try any more.
    ended: bool,
    refusal: Option<ServerRefusal>,
}

#[derive(Clone)]
struct Registration {
    association: Association,
    /// This side's index.
    index: Index,
    token: Token,
    /// When it has to be made anew, before its keys are worn out.
    renew: Instant,
}

/// What belongs to a request to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    slot: Slot,
    session: Option<SessionHandle>,
}

/// What the server's messages mean for sessions.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// A binding came online.
    Online,
    /// The server sees a binding over UDP elsewhere.
    Changed(Family),
    /// A binding was lost.
    Offline(Slot),
    /// The answer to a session's `Connect`.
    Introduced(SessionHandle, Slot, Introduced),
    /// A session's request was refused.
    Refused(SessionHandle, Refusal),
    /// A session's request was not answered.
    Silent(SessionHandle),
    /// A peer wants a session.
    Introduce(Slot, RequestId, Introduce),
    /// A responder answered.
    Answered(Answered),
    /// A responder refused.
    Rejected(Rejected),
    /// A session's relay channel.
    Channel(SessionHandle, RelayOpened),
}

impl Leg {
    /// Orders the local ports and starts the clock for [`PeerEvent::ServerUnreachable`].
    pub(super) fn new(core: &mut Core) -> Self {
        let mut bindings = Vec::new();
        for server in core.config.servers.clone() {
            let family = server.family();
            if bindings.iter().any(|binding: &Binding| binding.family == family) {
                continue;
            }
            let mut share = None;
            for (wanted, transport) in [(core.config.udp, Transport::Udp), (core.config.tcp, Transport::Tcp)] {
                if !wanted {
                    continue;
                }
                let from = share.filter(|_| core.config.port == 0);
                let socket = core.open(transport, family, core.config.port, from);
                share = Some(socket);
                bindings.push(Binding::new(transport, server, socket, core.config.refresh));
            }
        }
        core.timers.set(Timer::Unreachable, core.now + SERVER_UNREACHABLE);
        Self {
            bindings,
            server_key: core.config.server_key,
            registration: None,
            requests: Requests::new(),
            answers: Answers::default(),
            answered: false,
            ended: false,
            refusal: None,
        }
    }

    pub(super) fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// The index on packets of this leg.
    pub(super) fn index(&self) -> Option<Index> {
        self.registration.as_ref().map(|registration| registration.index)
    }

    /// Opens a packet for somebody who only looks.
    pub(super) fn look_into(&self, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        let registration = self.registration.as_ref().filter(|known| known.index == sealed.index)?;
        registration.association.peek(sealed)
    }

    /// The transports that are online.
    pub(super) fn online(&self) -> Transports {
        self.bindings
            .iter()
            .filter(|binding| binding.is_online())
            .fold(Transports::default(), |all, binding| all.or(Transports::of(binding.transport)))
    }

    /// The binding to use for a transport.
    pub(super) fn slot_of(&self, transport: Transport) -> Option<Slot> {
        self.bindings.iter().position(|binding| binding.is_online() && binding.transport == transport)
    }

    /// Whether `remote` is an endpoint of the server.
    pub(super) fn is_server(&self, remote: Endpoint) -> bool {
        self.bindings.iter().any(|binding| binding.server == remote || binding.alternates.contains(remote))
    }

    /// Where the server is asked, in a connection of its own, how it sees a port: its other port where it has one.
    pub(super) fn help_hole(&self, slot: Slot) -> Endpoint {
        let binding = &self.bindings[slot];
        binding.alternates.other_port.unwrap_or(binding.server)
    }

    /// Whether `address` is one of the server's.
    pub(super) fn is_server_address(&self, address: Address) -> bool {
        self.bindings.iter().any(|binding| binding.server.address() == address)
    }

    // --- ports and streams ---

    pub(super) fn on_opened(&mut self, core: &mut Core, socket: SocketId) {
        for slot in 0..self.bindings.len() {
            if self.bindings[slot].socket == socket {
                self.start(core, slot);
            }
        }
        self.on_spare_opened(core, socket);
    }

    /// A port could not be opened: try any other one.
    pub(super) fn on_open_failed(&mut self, core: &mut Core, socket: SocketId) {
        core.ports.retain(|port| port.socket != socket);
        self.on_spare_failed(core, socket);
        for slot in 0..self.bindings.len() {
            let binding = &mut self.bindings[slot];
            if binding.socket == socket && binding.tries < MAX_OPEN_TRIES {
                binding.tries += 1;
                binding.socket = core.open(binding.transport, binding.family, 0, None);
            }
        }
    }

    pub(super) fn on_connected(&mut self, core: &mut Core, slot: Slot, stream: StreamId) {
        if self.bindings[slot].stream == Some(stream) {
            self.bindings[slot].tries = 0;
            self.bindings[slot].lane = self.registration.as_mut().map(|known| known.association.lane());
            if self.registration.is_some() {
                self.join(core, slot, false);
            } else {
                self.discover(core, slot);
            }
        }
    }

    pub(super) fn on_closed(&mut self, core: &mut Core, slot: Slot, stream: StreamId) -> Vec<News> {
        let mut news = Vec::new();
        if self.bindings[slot].stream != Some(stream) {
            return news;
        }
        self.bindings[slot].stream = None;
        self.bindings[slot].lane = None;
        self.requests.forget(|_, tag| tag.slot == slot);
        self.down(core, slot, OfflineReason::StreamClosed, &mut news);
        news
    }

    // --- packets ---

    /// The server does not know the registration (a hint that carries a token).
    pub(super) fn on_reset(&mut self, core: &mut Core, slot: Slot, reset: &Reset) -> Result<Vec<News>, Discard> {
        let Some(registration) = &self.registration else {
            return Err(Discard::IndexUnknown);
        };
        // [R-REG-024]
        if registration.association.remote() != reset.index {
            return Err(Discard::IndexUnknown);
        }
        // The token covers the endpoint that was observed when the registration was made, so a binding
        // that joined later cannot check it: there only the index speaks, and registering anew is harmless.
        if registration.token != reset.token && self.bindings[slot].transport == Transport::Udp {
            return Err(Discard::TokenWrong);
        }
        // [R-REG-025] [R-REG-026]
        let delay = match self.bindings[slot].transport {
            Transport::Udp => self.bindings[slot].interval / 10,
            Transport::Tcp => RESET_DELAY_TCP,
        };
        Ok(self.restart(core, OfflineReason::Reset, delay))
    }

    // --- time ---

    pub(super) fn on_timer(&mut self, core: &mut Core, slot: Slot) -> Vec<News> {
        if self.ended || self.refusal.is_some() {
            return Vec::new();
        }
        if self.registration.as_ref().is_some_and(|registration| registration.renew <= core.now) {
            return self.restart(core, OfflineReason::KeysWorn, Duration::ZERO);
        }
        match &self.bindings[slot].stage {
            Stage::Down | Stage::Discovered { .. } => self.start(core, slot),
            Stage::Dialling => {
                if let Some(stream) = self.bindings[slot].stream.take() {
                    core.close(stream, true);
                }
                self.bindings[slot].stage = Stage::Down;
                self.start(core, slot);
            }
            Stage::Discovering { .. } => self.discover(core, slot),
            Stage::Registering { packet, .. } => {
                let packet = packet.clone();
                self.bindings[slot].tries += 1;
                if self.bindings[slot].tries > MAX_REGISTER_TRIES {
                    self.bindings[slot].tries = 0;
                    self.discover(core, slot);
                } else {
                    self.transmit(core, slot, &packet);
                    let wait = REGISTER_RETRY * (1 << self.bindings[slot].tries.min(4));
                    core.timers.set(Timer::Binding(slot), core.now + wait);
                }
            }
            Stage::Joining => {}
            Stage::Online => self.refresh(core, slot, false),
        }
        Vec::new()
    }

    pub(super) fn on_requests_due(&mut self, core: &mut Core) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(due) = self.requests.due(core.now) {
            match due {
                Due::Repeat(id, request, tag) => self.send_request(core, tag.slot, id, request),
                Due::GaveUp(_, Tag { session: Some(session), .. }) => news.push(News::Silent(session)),
                Due::GaveUp(Request::Refresh(_), tag) => {
                    if let Some(stream) = self.bindings[tag.slot].stream.take() {
                        core.close(stream, true);
                    }
                    self.down(core, tag.slot, OfflineReason::Silence, &mut news);
                }
                Due::GaveUp(..) => {}
            }
        }
        self.schedule_requests(core);
        news
    }

    pub(super) fn on_unreachable(&mut self, core: &mut Core) {
        if !self.answered {
            core.event(PeerEvent::ServerUnreachable);
        }
    }

    /// The local addresses changed: register anew, with new indexes, from everywhere.
    pub(super) fn on_moved(&mut self, core: &mut Core) -> Vec<News> {
        if self.registration.is_none() {
            return Vec::new();
        }
        for slot in 0..self.bindings.len() {
            if let Some(stream) = self.bindings[slot].stream.take() {
                core.close(stream, true);
            }
        }
        // [R-KEEP-012]
        for binding in &mut self.bindings {
            binding.idle.forget();
        }
        // [R-REG-015]
        self.restart(core, OfflineReason::Moved, Duration::ZERO)
    }

    /// A path of this family does not answer: see whether the server still sees this side where it did.
    pub(super) fn look_after(&mut self, core: &mut Core, family: Family) {
        let slot = self.udp(family).filter(|slot| self.bindings[*slot].is_online());
        if let Some(slot) = slot {
            self.refresh(core, slot, false);
        }
    }

    // --- requests of sessions ---

    /// Sends a session's request to the server.
    pub(super) fn request(&mut self, core: &mut Core, slot: Slot, session: SessionHandle, request: Request) -> bool {
        let streamed = self.bindings[slot].transport == Transport::Tcp;
        let tag = Tag { slot, session: Some(session) };
        let Some(id) = self.requests.begin(core.now, request.clone(), tag, streamed) else {
            return false;
        };
        self.send(core, slot, &[Message::Request(id, request)]);
        self.schedule_requests(core);
        true
    }

    /// Answers a request of the server.
    pub(super) fn answer(&mut self, core: &mut Core, slot: Slot, id: RequestId, reply: Reply) {
        self.answers.answer(id, &reply);
        self.send(core, slot, &[Message::Answer(id, reply)]);
    }

    /// Forgets the requests of a session.
    pub(super) fn forget(&mut self, session: SessionHandle) {
        self.requests.forget(|_, tag| tag.session == Some(session));
    }

    /// Whether a session's request is unanswered.
    pub(super) fn is_asking(&self, session: SessionHandle) -> bool {
        self.requests.any(|_, tag| tag.session == Some(session))
    }

    /// Sends a packet as it is to the server.
    pub(super) fn transmit(&self, core: &mut Core, slot: Slot, packet: &[u8]) {
        let binding = &self.bindings[slot];
        match (binding.transport, binding.stream) {
            // A port that is being opened again sends nothing yet: what is due is repeated.
            (Transport::Udp, _) if !core.is_open(binding.socket) => {}
            (Transport::Udp, _) => core.outbox.transmit(binding.socket, None, binding.server, packet),
            (Transport::Tcp, Some(stream)) => core.write(stream, packet),
            (Transport::Tcp, None) => {}
        }
    }

    /// How many octets the leg takes at once; a datagram leg takes what fits a packet.
    pub(super) fn room(&self, core: &Core, slot: Slot) -> usize {
        self.bindings[slot].stream.map_or(usize::MAX, |stream| core.room(stream))
    }

    /// Ends the registration.
    pub(super) fn shut_down(&mut self, core: &mut Core) {
        self.ended = true;
        if let Some(slot) = self.bindings.iter().position(Binding::is_online) {
            let tag = Tag { slot, session: None };
            let request = Request::Unregister(Unregister {});
            if let Some(id) = self.requests.begin(core.now, request.clone(), tag, true) {
                self.send(core, slot, &[Message::Request(id, request)]);
            }
        }
        for slot in 0..self.bindings.len() {
            core.timers.clear(Timer::Binding(slot));
            core.timers.clear(Timer::Behaviour(slot));
            core.timers.clear(Timer::Idle(slot));
            if let Some(stream) = self.bindings[slot].stream.take() {
                core.close(stream, false);
            }
            self.bindings[slot].stage = Stage::Down;
        }
        core.timers.clear(Timer::LegRequests);
        core.timers.clear(Timer::Unreachable);
        self.registration = None;
    }

    // --- inner ---

    /// A binding is gone; begin again after a while.
    fn down(&mut self, core: &mut Core, slot: Slot, reason: OfflineReason, news: &mut Vec<News>) {
        let binding = &mut self.bindings[slot];
        if binding.is_online() {
            core.event(PeerEvent::Offline { transport: binding.transport, reason });
            news.push(News::Offline(slot));
        }
        // A UDP binding that went silent means that the registration did, too.
        let registering = matches!(binding.stage, Stage::Registering { .. });
        binding.stage = Stage::Down;
        binding.behaviour = Behaviour::Idle;
        binding.mapping = Mapping::UNKNOWN;
        let wait = (DOWN_RETRY * (1 << binding.tries.min(1))).min(MAX_REGISTER_RETRY);
        binding.tries += 1;
        let wait = wait / 2 + jitter(&mut core.visible, wait / 2);
        if !self.ended {
            core.timers.set(Timer::Binding(slot), core.now + wait);
        }
        if reason == OfflineReason::Silence && !self.bindings.iter().any(Binding::is_online) {
            self.registration = None;
        }
        if registering {
            self.release(core);
        }
    }

    /// Whoever waited for the registering binding begins.
    fn release(&mut self, core: &mut Core) {
        let waiting = self.bindings.iter().position(|binding| matches!(binding.stage, Stage::Discovered { .. }));
        if let Some(slot) = waiting {
            self.go_on(core, slot);
        }
    }

    /// The registration is gone: every binding begins again within `delay`.
    fn restart(&mut self, core: &mut Core, reason: OfflineReason, delay: Duration) -> Vec<News> {
        let mut news = Vec::new();
        self.registration = None;
        self.requests = Requests::new();
        core.timers.clear(Timer::LegRequests);
        let delay = jitter(&mut core.visible, delay);
        for slot in 0..self.bindings.len() {
            let binding = &mut self.bindings[slot];
            if binding.is_online() {
                core.event(PeerEvent::Offline { transport: binding.transport, reason });
                news.push(News::Offline(slot));
            }
            binding.stage = Stage::Down;
            binding.tries = 0;
            binding.lane = None;
            binding.behaviour = Behaviour::Idle;
            binding.mapping = Mapping::UNKNOWN;
            core.timers.set(Timer::Binding(slot), core.now + delay);
            self.end_trials(core, slot);
        }
        news
    }

    fn refuse(&mut self, core: &mut Core, refusal: ServerRefusal) {
        if self.refusal.is_none() {
            self.refusal = Some(refusal);
            core.event(PeerEvent::ServerRefused(refusal));
        }
    }

    /// Sends a request. What goes to a server that has not proved this endpoint pays, with its length, for
    /// the server's check of it.
    fn send_request(&mut self, core: &mut Core, slot: Slot, id: RequestId, request: Request) {
        let unproved = self.bindings[slot].transport == Transport::Udp && !self.bindings[slot].is_online();
        let Some(registration) = &mut self.registration else {
            return;
        };
        let mut plaintext = Vec::new();
        let least = if unproved { MIN_UNPROVED_REFRESH } else { 0 };
        Message::Request(id, request).encode_padded(least, &mut plaintext);
        let packet = registration.association.seal_plaintext(self.bindings[slot].lane.as_mut(), &plaintext);
        self.transmit(core, slot, &packet);
    }

    fn send(&mut self, core: &mut Core, slot: Slot, messages: &[Message<'_>]) {
        let Some(registration) = &mut self.registration else {
            return;
        };
        let packet = registration.association.seal(self.bindings[slot].lane.as_mut(), messages);
        self.transmit(core, slot, &packet);
    }

    fn schedule_requests(&self, core: &mut Core) {
        match self.requests.deadline() {
            Some(at) => core.timers.set(Timer::LegRequests, at),
            None => core.timers.clear(Timer::LegRequests),
        }
    }
}

/// Decodes every message of a packet before any is applied.
// [R-WIRE-045]
pub(super) fn decode_all(plaintext: &[u8]) -> Result<Vec<Message<'_>>, Discard> {
    let mut rest = plaintext;
    let mut messages = Vec::new();
    while !rest.is_empty() {
        messages.push(Message::decode(&mut rest)?);
    }
    if messages.is_empty() { Err(Discard::TooShort) } else { Ok(messages) }
}

/// A `Discover` as a packet.
pub(super) fn discovery(transaction: TransactionId) -> Vec<u8> {
    discover(transaction, offered()).encode()
}

const fn discover(transaction: TransactionId, versions: Versions) -> Packet<'static> {
    Packet::Discover(Discover { transaction, versions, reply_from: ReplyFrom(0) })
}

/// The versions that this peer speaks.
pub(super) fn offered() -> Versions {
    List::from_first([VERSION])
}

/// The same, and in one of eight a version that is never given a meaning (RFC 8701): a server that chokes
/// on what it does not know is noticed.
fn offered_with_grease(rng: &mut crate::rng::Rng) -> Versions {
    let grease = [0x0a, 0x1a][rng.below(2) as usize];
    List::from_first([VERSION].into_iter().chain((rng.below(8) == 0).then_some(grease)))
}

const fn arrival(streamed: bool) -> Arrival {
    if streamed { Arrival::Stream } else { Arrival::Datagram }
}

/// A random part of `span`.
fn jitter(rng: &mut crate::rng::Rng, span: Duration) -> Duration {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 { Duration::ZERO } else { Duration::from_micros(rng.below(micros)) }
}

/// How often another port is tried when one cannot be opened.
const MAX_OPEN_TRIES: u32 = 3;
/// How often `Register` is sent before discovery begins again.
const MAX_REGISTER_TRIES: u32 = 4;
/// The longest wait, first and later, before a lost connection to the server is made again.
const DOWN_RETRY: Duration = Duration::from_millis(300);
/// The longest wait before a peer registers anew that was reset on a stream: with the wait for the
/// connection it stays below a second.
const RESET_DELAY_TCP: Duration = Duration::from_millis(300);
/// The least length of the messages in a packet from an endpoint that the server has not proved: its
/// check, `PathCheck` with an IPv6 endpoint, is no longer.
const MIN_UNPROVED_REFRESH: usize = 38;

#[cfg(test)]
impl Leg {
    /// For tests of sessions: every binding is online, as if a server had answered.
    pub(super) fn pretend(&mut self, public: Endpoint, mapping: Mapping) {
        for binding in &mut self.bindings {
            (binding.stage, binding.public, binding.mapping) = (Stage::Online, Some(public), mapping);
        }
    }
}
