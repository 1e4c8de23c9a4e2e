//! The leg to the server: discovery, registration, bindings (`spec/registration.md`).
//!
//! One key state, and a *binding* for each transport and family. The binding that is discovered first
//! registers, the others join with a sealed `Refresh`.

use alloc::vec::Vec;

use super::api::{Accept, OfflineReason, PeerEvent, RelayPolicy, ServerRefusal, SessionHandle};
use super::core::{Core, Purpose, Timer};
use crate::association::{Association, Lane};
use crate::constants::{MAX_REFRESH, MAX_REGISTER_RETRY, MIN_REFRESH, REGISTER_RETRY, SERVER_UNREACHABLE, VERSION};
use crate::discard::Discard;
use crate::endpoint::{Endpoint, Family};
use crate::engine::{SocketId, StreamId, Transport};
use crate::key::ServerKey;
use crate::noise::{Handshake, Pattern, Recipe};
use crate::replay::Arrival;
use crate::request::{Answers, Due, Requests, Seen};
use crate::time::Duration;
use crate::wire::code::{Mapping, Policy, Refusal, Transports};
use crate::wire::control::{
    Acknowledge, Answered, Introduce, Introduced, PathCheck, PathReply, Refresh, Refreshed, Rejected, RelayOpened,
    Unregister,
};
use crate::wire::discover::{Cookie, ReplyFrom, TransactionId};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::register::{Welcome, prologue};
use crate::wire::sealed::{Index, Reset, Sealed, Token};
use crate::wire::{Discover, Discovered, List, Packet, Register, Registered, Versions};

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

/// One transport and family.
#[derive(Clone)]
pub(super) struct Binding {
    pub(super) transport: Transport,
    pub(super) family: Family,
    pub(super) server: Endpoint,
    pub(super) socket: SocketId,
    stream: Option<StreamId>,
    stage: Stage,
    /// Tries since the last progress.
    tries: u32,
    lane: Option<Lane>,
    /// The endpoint that the server observed, from a sealed message.
    pub(super) public: Option<Endpoint>,
    alternate: Option<Endpoint>,
    behaviour: Behaviour,
    /// How the NAT on the way maps.
    pub(super) mapping: Mapping,
    interval: Duration,
}

/// How far a binding is. See `spec/registration.md`, "The peer's states".
#[derive(Clone)]
enum Stage {
    /// The port is not open, or the stream has ended: wait.
    Down,
    /// TCP: the connection is being made.
    Dialling,
    /// `Discover` was sent.
    Discovering { transaction: TransactionId },
    /// Another binding is registering.
    Discovered { cookie: Cookie, versions: Versions },
    /// `Register` was sent.
    Registering { packet: Vec<u8>, recipe: Recipe, index: Index, answered: Versions },
    /// `Refresh` was sent from here for the first time.
    Joining,
    /// The server knows it.
    Online,
}

/// The measurement of the mapping: a `Discover` to the server's other port.
#[derive(Clone, Copy)]
enum Behaviour {
    Idle,
    Asked { transaction: TransactionId, tries: u8, stream: Option<StreamId> },
    Done,
}

#[derive(Clone)]
struct Registration {
    association: Association,
    /// This side's index.
    index: Index,
    token: Token,
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
        self.bindings.iter().any(|binding| binding.server == remote || binding.alternate == Some(remote))
    }

    // --- ports and streams ---

    pub(super) fn on_opened(&mut self, core: &mut Core, socket: SocketId) {
        for slot in 0..self.bindings.len() {
            if self.bindings[slot].socket == socket {
                self.start(core, slot);
            }
        }
    }

    /// A port could not be opened: try any other one.
    pub(super) fn on_open_failed(&mut self, core: &mut Core, socket: SocketId) {
        core.ports.retain(|port| port.socket != socket);
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

    /// The connection to the server's other port is there: ask what it sees.
    pub(super) fn on_alternate_connected(&mut self, core: &mut Core, slot: Slot, stream: StreamId) {
        if let Behaviour::Asked { transaction, stream: Some(known), .. } = self.bindings[slot].behaviour
            && known == stream
        {
            core.write(stream, &discover(transaction).encode());
        }
    }

    pub(super) fn on_alternate_closed(&mut self, slot: Slot, stream: StreamId) {
        if let Behaviour::Asked { stream: Some(known), .. } = self.bindings[slot].behaviour
            && known == stream
        {
            self.bindings[slot].behaviour = Behaviour::Done;
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

    /// A `Discovered` for one of this leg's questions.
    pub(super) fn on_discovered(
        &mut self,
        core: &mut Core,
        slot: Slot,
        stream: Option<StreamId>,
        found: Discovered,
    ) -> Result<(), Discard> {
        if let Behaviour::Asked { transaction, stream: asked, .. } = self.bindings[slot].behaviour
            && transaction == found.transaction
            && stream == asked
        {
            self.on_behaviour(core, slot, found.observed);
            if let Some(stream) = stream {
                core.close(stream, false);
            }
            return Ok(());
        }
        match &self.bindings[slot].stage {
            Stage::Discovering { transaction } if *transaction == found.transaction => {}
            _ => return Err(Discard::TransactionUnknown),
        }
        self.answered = true;
        core.timers.clear(Timer::Unreachable);
        if !found.versions.contains(&VERSION) {
            self.refuse(core, ServerRefusal::UnsupportedVersion);
        }
        match self.server_key {
            Some(key) if !found.keys.contains(&key) => self.refuse(core, ServerRefusal::KeyDiffers),
            Some(_) => {}
            None => {
                self.server_key = found.keys.first().copied();
                if let Some(key) = self.server_key {
                    core.event(PeerEvent::ServerKey(key));
                }
            }
        }
        let binding = &mut self.bindings[slot];
        let other_port = |endpoint: &&Endpoint| **endpoint != binding.server && endpoint.family() == binding.family;
        binding.alternate = found.alternates.iter().find(other_port).copied();
        binding.tries = 0;
        binding.stage = Stage::Discovered { cookie: found.cookie, versions: found.versions };
        self.go_on(core, slot);
        Ok(())
    }

    /// A `Registered`: the handshake's second message, with the first sealed packet.
    pub(super) fn on_registered(
        &mut self,
        core: &mut Core,
        slot: Slot,
        registered: &Registered<'_>,
    ) -> Result<Vec<News>, Discard> {
        let Stage::Registering { recipe, index, answered, .. } = &self.bindings[slot].stage else {
            return Err(Discard::MessageUnexpected);
        };
        if *index != registered.index {
            return Err(Discard::IndexUnknown);
        }
        let server = self.server_key.ok_or(Discard::MessageUnexpected)?;
        let prologue = prologue(&offered(), answered);
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &core.config.x25519,
            secret: &core.config.secret,
            remote: Some(&server),
            prologue: &prologue,
        };
        let (payload, keys) = handshake.finish(recipe, registered.message_2).map_err(|_| Discard::HandshakeFailed)?;
        let welcome: Welcome = crate::wire::codec::decode(&payload)?;
        let Packet::Sealed(sealed) = Packet::decode(registered.sealed)? else {
            return Err(Discard::KindUnknown);
        };
        let index = *index;
        if sealed.index != index {
            return Err(Discard::IndexUnknown);
        }
        let association = Association::new(keys, welcome.index);
        let mut registration = Registration { association, index, token: welcome.token };
        let streamed = self.bindings[slot].transport == Transport::Tcp;
        let arrival = arrival(streamed);
        let plaintext = registration.association.open(&sealed, arrival)?;
        let mut rest = plaintext.as_slice();
        let Message::Request(request, Request::PathCheck(check)) = Message::decode(&mut rest)? else {
            return Err(Discard::MessageUnexpected);
        };
        registration.association.enter(&sealed, arrival);

        self.requests = Requests::new();
        self.answers = Answers::default();
        self.answers.enter(request);
        self.bindings[slot].lane = streamed.then(|| registration.association.lane());
        self.registration = Some(registration);
        let refresh = self.refresh_body(core, slot, false);
        let reply = Reply::PathReply(PathReply { nonce: check.nonce, observed: self.bindings[slot].server });
        self.answers.answer(request, &reply);
        self.bindings[slot].stage = Stage::Joining;
        self.bindings[slot].tries = 0;
        core.timers.clear(Timer::Binding(slot));
        let tag = Tag { slot, session: None };
        if let Some(id) = self.requests.begin(core.now, refresh.clone(), tag, streamed) {
            self.send(core, slot, &[Message::Answer(request, reply), Message::Request(id, refresh)]);
        }
        self.schedule_requests(core);
        for other in 0..self.bindings.len() {
            if matches!(self.bindings[other].stage, Stage::Discovered { .. }) {
                self.join(core, other, false);
            }
        }
        Ok(Vec::new())
    }

    /// A sealed packet under this leg's keys.
    pub(super) fn on_sealed(&mut self, core: &mut Core, slot: Slot, sealed: &Sealed<'_>) -> Result<Vec<News>, Discard> {
        let arrival = arrival(self.bindings[slot].transport == Transport::Tcp);
        let Some(registration) = &mut self.registration else {
            return Err(Discard::IndexUnknown);
        };
        let plaintext = registration.association.open(sealed, arrival)?;
        let messages = decode_all(&plaintext)?;
        registration.association.enter(sealed, arrival);
        let mut news = Vec::new();
        for message in messages {
            match message {
                Message::Request(id, request) => self.on_request(core, slot, id, request, &mut news),
                Message::Answer(id, reply) => self.on_answer(core, slot, id, reply, &mut news),
                Message::Datagram(_) | Message::Data { .. } | Message::Ack(_) => core.note(Discard::MessageUnexpected),
                Message::Unknown(_) => {}
            }
        }
        self.schedule_requests(core);
        Ok(news)
    }

    /// The server does not know the registration (a hint that carries a token).
    pub(super) fn on_reset(&mut self, core: &mut Core, slot: Slot, reset: &Reset) -> Result<Vec<News>, Discard> {
        let Some(registration) = &self.registration else {
            return Err(Discard::IndexUnknown);
        };
        if registration.association.remote() != reset.index {
            return Err(Discard::IndexUnknown);
        }
        // The token covers the endpoint that was observed when the registration was made, so a binding
        // that joined later cannot check it: there only the index speaks, and registering anew is harmless.
        if registration.token != reset.token && self.bindings[slot].transport == Transport::Udp {
            return Err(Discard::TokenWrong);
        }
        let delay = match self.bindings[slot].transport {
            Transport::Udp => self.bindings[slot].interval / 10,
            Transport::Tcp => RESET_DELAY_TCP,
        };
        Ok(self.restart(core, OfflineReason::Reset, delay))
    }

    // --- time ---

    pub(super) fn on_timer(&mut self, core: &mut Core, slot: Slot) {
        if self.ended || self.refusal.is_some() {
            return;
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
    }

    pub(super) fn on_requests_due(&mut self, core: &mut Core) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(due) = self.requests.due(core.now) {
            match due {
                Due::Repeat(id, request, tag) => self.send(core, tag.slot, &[Message::Request(id, request)]),
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
        self.restart(core, OfflineReason::Moved, Duration::ZERO)
    }

    pub(super) fn on_behaviour_due(&mut self, core: &mut Core, slot: Slot) {
        self.ask_behaviour(core, slot);
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

    fn on_request(&mut self, core: &mut Core, slot: Slot, id: RequestId, request: Request, news: &mut Vec<News>) {
        let server = self.bindings[slot].server;
        match self.answers.enter(id) {
            Seen::New => {}
            Seen::Pending => return,
            Seen::Answered(reply) => return self.send(core, slot, &[Message::Answer(id, reply)]),
        }
        let reply = match request {
            Request::PathCheck(PathCheck { nonce, .. }) => Reply::PathReply(PathReply { nonce, observed: server }),
            Request::Introduce(introduce) => {
                news.push(News::Introduce(slot, id, introduce));
                return;
            }
            Request::Answered(answered) => {
                news.push(News::Answered(answered));
                Reply::Acknowledge(Acknowledge {})
            }
            Request::Rejected(rejected) => {
                news.push(News::Rejected(rejected));
                Reply::Acknowledge(Acknowledge {})
            }
            Request::Replaced(_) => {
                self.ended = true;
                core.event(PeerEvent::Replaced);
                self.send(core, slot, &[Message::Answer(id, Reply::Acknowledge(Acknowledge {}))]);
                for slot in 0..self.bindings.len() {
                    core.timers.clear(Timer::Binding(slot));
                    self.bindings[slot].stage = Stage::Down;
                    news.push(News::Offline(slot));
                }
                return;
            }
            Request::Refresh(_)
            | Request::Unregister(_)
            | Request::Connect(_)
            | Request::RelayOpen(_)
            | Request::Select(_)
            | Request::Attempt(_)
            | Request::Close(_)
            | Request::Finish(_) => return core.note(Discard::WrongRole),
        };
        self.answer(core, slot, id, reply);
    }

    fn on_answer(&mut self, core: &mut Core, slot: Slot, id: RequestId, reply: Reply, news: &mut Vec<News>) {
        let Some(asked) = self.requests.get(id) else {
            return core.note(Discard::RequestUnknown);
        };
        let fits = matches!(
            (&asked.request, &reply),
            (Request::Refresh(_), Reply::Refreshed(_))
                | (Request::Connect(_), Reply::Introduced(_) | Reply::Refuse(_))
                | (Request::RelayOpen(_), Reply::RelayOpened(_) | Reply::Refuse(_))
                | (Request::Unregister(_), Reply::Acknowledge(_))
        );
        if !fits {
            return core.note(Discard::MessageUnexpected);
        }
        let Some(asked) = self.requests.answered(core.now, id) else {
            return;
        };
        match (reply, asked.tag.session) {
            (Reply::Refreshed(refreshed), None) => self.on_refreshed(core, asked.tag.slot, refreshed, news),
            (Reply::Introduced(introduced), Some(session)) => news.push(News::Introduced(session, slot, introduced)),
            (Reply::RelayOpened(opened), Some(session)) => news.push(News::Channel(session, opened)),
            (Reply::Refuse(refuse), Some(session)) => news.push(News::Refused(session, refuse.code)),
            _ => {}
        }
    }

    fn on_refreshed(&mut self, core: &mut Core, slot: Slot, refreshed: Refreshed, news: &mut Vec<News>) {
        let interval = Duration::from_secs(u64::from(refreshed.interval)).clamp(MIN_REFRESH, MAX_REFRESH);
        let binding = &mut self.bindings[slot];
        let first = !binding.is_online();
        let changed = binding.public != Some(refreshed.observed);
        binding.interval = interval.min(core.config.refresh.max(Duration::from_secs(1)));
        binding.public = Some(refreshed.observed);
        binding.stage = Stage::Online;
        binding.tries = 0;
        // Nine tenths, and up to a tenth less: a lost registration is noticed and made again within one interval.
        let wait = binding.interval * 9 / 10 - jitter(&mut core.visible, binding.interval / 10);
        core.timers.set(Timer::Binding(slot), core.now + wait);
        if first || changed {
            let private = core.private_endpoints(binding.socket).first().copied().unwrap_or(refreshed.observed);
            let (transport, public) = (binding.transport, refreshed.observed);
            core.event(PeerEvent::Online { transport, private, public });
            self.bindings[slot].behaviour = Behaviour::Idle;
            self.ask_behaviour(core, slot);
        }
        if first {
            news.push(News::Online);
        }
    }

    fn on_behaviour(&mut self, core: &mut Core, slot: Slot, observed: Endpoint) {
        core.timers.clear(Timer::Behaviour(slot));
        let binding = &mut self.bindings[slot];
        binding.behaviour = Behaviour::Done;
        binding.mapping =
            if binding.public == Some(observed) { Mapping::ENDPOINT_INDEPENDENT } else { Mapping::ENDPOINT_DEPENDENT };
    }

    fn ask_behaviour(&mut self, core: &mut Core, slot: Slot) {
        let binding = &mut self.bindings[slot];
        let Some(alternate) = binding.alternate else {
            return;
        };
        let (transaction, tries) = match binding.behaviour {
            Behaviour::Idle => (core.visible.octets(), 0),
            Behaviour::Asked { transaction, tries, .. } => (transaction, tries),
            Behaviour::Done => return,
        };
        if tries >= MAX_BEHAVIOUR_TRIES {
            binding.behaviour = Behaviour::Done;
            return;
        }
        let stream = match binding.transport {
            Transport::Udp => {
                core.outbox.transmit(binding.socket, None, alternate, &discover(transaction).encode());
                core.timers.set(Timer::Behaviour(slot), core.now + REGISTER_RETRY * (1 << tries));
                None
            }
            Transport::Tcp => Some(core.dial(binding.socket, alternate, Purpose::Alternate(slot))),
        };
        binding.behaviour = Behaviour::Asked { transaction, tries: tries + 1, stream };
    }

    /// Begins from the socket or the connection.
    fn start(&mut self, core: &mut Core, slot: Slot) {
        if self.ended || core.port(self.bindings[slot].socket).is_none_or(|port| port.local.is_none()) {
            return;
        }
        let binding = &mut self.bindings[slot];
        match binding.transport {
            Transport::Udp if self.registration.is_some() => self.join(core, slot, false),
            Transport::Udp => self.discover(core, slot),
            Transport::Tcp if binding.stream.is_some() => self.discover(core, slot),
            Transport::Tcp => {
                binding.stream = Some(core.dial(binding.socket, binding.server, Purpose::Server(slot)));
                binding.stage = Stage::Dialling;
                core.timers.set(Timer::Binding(slot), core.now + DIAL_PATIENCE);
            }
        }
    }

    fn discover(&mut self, core: &mut Core, slot: Slot) {
        let binding = &mut self.bindings[slot];
        let transaction = core.visible.octets();
        binding.stage = Stage::Discovering { transaction };
        let wait = (REGISTER_RETRY * (1 << binding.tries.min(5))).min(MAX_REGISTER_RETRY);
        binding.tries += 1;
        core.timers.set(Timer::Binding(slot), core.now + wait + jitter(&mut core.visible, wait / 8));
        self.transmit(core, slot, &discover(transaction).encode());
    }

    /// A binding is discovered: register, join, or wait for the one that registers.
    fn go_on(&mut self, core: &mut Core, slot: Slot) {
        core.timers.clear(Timer::Binding(slot));
        if self.ended || self.refusal.is_some() {
            return;
        }
        if self.registration.is_some() {
            return self.join(core, slot, false);
        }
        if self.bindings.iter().any(|binding| matches!(binding.stage, Stage::Registering { .. })) {
            // The one that registers may fail: begin again then.
            core.timers.set(Timer::Binding(slot), core.now + MAX_REGISTER_RETRY);
            return;
        }
        let Stage::Discovered { cookie, versions } = &self.bindings[slot].stage else {
            return;
        };
        let Some(server) = self.server_key else {
            return;
        };
        let prologue = prologue(&offered(), versions);
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &core.config.x25519,
            secret: &core.config.secret,
            remote: Some(&server),
            prologue: &prologue,
        };
        // A server key whose shared secret is zero was refused when it was read.
        let Ok((message_1, recipe)) = handshake.initiate(core.secret.octets(), &[]) else {
            return;
        };
        let index = core.index();
        let register = Register { index, cookie: *cookie, message_1: &message_1 };
        let packet = Packet::Register(register).encode();
        self.transmit(core, slot, &packet);
        self.bindings[slot].stage = Stage::Registering { packet, recipe, index, answered: versions.clone() };
        core.timers.set(Timer::Binding(slot), core.now + REGISTER_RETRY);
    }

    /// Sets a binding up under the keys that there are.
    fn join(&mut self, core: &mut Core, slot: Slot, moved: bool) {
        if self.bindings[slot].transport == Transport::Tcp && self.bindings[slot].lane.is_none() {
            self.bindings[slot].lane = self.registration.as_mut().map(|known| known.association.lane());
        }
        self.bindings[slot].stage = Stage::Joining;
        core.timers.clear(Timer::Binding(slot));
        self.refresh(core, slot, moved);
    }

    fn refresh(&mut self, core: &mut Core, slot: Slot, moved: bool) {
        if self.requests.any(|request, tag| tag.slot == slot && matches!(request, Request::Refresh(_))) {
            return;
        }
        let request = self.refresh_body(core, slot, moved);
        let streamed = self.bindings[slot].transport == Transport::Tcp;
        if let Some(id) = self.requests.begin(core.now, request.clone(), Tag { slot, session: None }, streamed) {
            self.send(core, slot, &[Message::Request(id, request)]);
        } else {
            core.timers.set(Timer::Binding(slot), core.now + Duration::from_secs(1));
        }
        self.schedule_requests(core);
    }

    fn refresh_body(&self, core: &Core, slot: Slot, moved: bool) -> Request {
        let disclose = core.config.relay != RelayPolicy::Only;
        let private = if disclose { core.private_endpoints(self.bindings[slot].socket) } else { Vec::new() };
        let policy = match core.config.accept {
            Accept::Nobody => Policy::CLOSED,
            Accept::Only(_) => Policy::ASK,
            Accept::Anybody => Policy::OPEN,
        };
        Request::Refresh(Refresh {
            private: List::from_first(private),
            policy,
            disclose,
            relay: core.config.relay != RelayPolicy::Never,
            moved,
        })
    }

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
        }
        news
    }

    fn refuse(&mut self, core: &mut Core, refusal: ServerRefusal) {
        if self.refusal.is_none() {
            self.refusal = Some(refusal);
            core.event(PeerEvent::ServerRefused(refusal));
        }
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

impl Binding {
    fn new(transport: Transport, server: Endpoint, socket: SocketId, interval: Duration) -> Self {
        Self {
            transport,
            family: server.family(),
            server,
            socket,
            stream: None,
            stage: Stage::Down,
            tries: 0,
            lane: None,
            public: None,
            alternate: None,
            behaviour: Behaviour::Idle,
            mapping: Mapping::UNKNOWN,
            interval,
        }
    }

    pub(super) const fn is_online(&self) -> bool {
        matches!(self.stage, Stage::Online)
    }

    pub(super) const fn stage_name(&self) -> &'static str {
        match self.stage {
            Stage::Down => "down",
            Stage::Dialling => "dialling",
            Stage::Discovering { .. } => "discovering",
            Stage::Discovered { .. } => "discovered",
            Stage::Registering { .. } => "registering",
            Stage::Joining => "joining",
            Stage::Online => "online",
        }
    }
}

/// Decodes every message of a packet before any is applied.
pub(super) fn decode_all(plaintext: &[u8]) -> Result<Vec<Message<'_>>, Discard> {
    let mut rest = plaintext;
    let mut messages = Vec::new();
    while !rest.is_empty() {
        messages.push(Message::decode(&mut rest)?);
    }
    if messages.is_empty() { Err(Discard::TooShort) } else { Ok(messages) }
}

fn discover(transaction: TransactionId) -> Packet<'static> {
    Packet::Discover(Discover { transaction, versions: offered(), reply_from: ReplyFrom(0) })
}

/// The versions that this peer speaks.
pub(super) fn offered() -> Versions {
    List::from_first([VERSION])
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
/// How often the server's other port is asked.
const MAX_BEHAVIOUR_TRIES: u8 = 4;
/// How long a connection to the server may take.
const DIAL_PATIENCE: Duration = Duration::from_secs(5);
/// The longest wait, first and later, before a lost connection to the server is made again.
const DOWN_RETRY: Duration = Duration::from_millis(300);
/// The longest wait before a peer registers anew that was reset on a stream: with the wait for the
/// connection it stays below a second.
const RESET_DELAY_TCP: Duration = Duration::from_millis(300);
