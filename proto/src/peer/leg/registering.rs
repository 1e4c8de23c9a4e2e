//! From a socket to a binding that the server knows: discover, register or join, refresh.

use alloc::vec::Vec;

use super::binding::{Behaviour, Stage};
use super::{Leg, News, Registration, Slot, Tag, arrival, discover, jitter, offered_with_grease};
use crate::alternates::Alternates;
use crate::association::Association;
use crate::constants::{KEY_LIFETIME, MAX_REGISTER_RETRY, REGISTER_RETRY, REGISTRATION_LIFETIME, VERSION};
use crate::discard::Discard;
use crate::engine::{StreamId, Transport};
use crate::noise::{Handshake, Pattern};
use crate::peer::api::{Accept, PeerEvent, RelayPolicy, ServerRefusal};
use crate::peer::core::{Core, Purpose, Timer};
use crate::request::{Answers, Requests};
use crate::time::Duration;
use crate::wire::code::Policy;
use crate::wire::control::{PathReply, Refresh};
use crate::wire::message::{Message, Reply, Request};
use crate::wire::register::{Welcome, prologue};
use crate::wire::{Discovered, List, Packet, Register, Registered};

impl Leg {
    /// A `Discovered` for one of this leg's questions.
    pub(in crate::peer) fn on_discovered(
        &mut self,
        core: &mut Core,
        slot: Slot,
        stream: Option<StreamId>,
        found: Discovered,
    ) -> Result<(), Discard> {
        if let Behaviour::Asked { what, transaction, stream: asked, .. } = self.bindings[slot].behaviour
            && transaction == found.transaction
            && stream == asked
        {
            if let Some(stream) = stream {
                core.close(stream, false);
            }
            self.on_behaviour(core, slot, what, found.observed);
            return Ok(());
        }
        let offered = match &self.bindings[slot].stage {
            Stage::Discovering { transaction, offered } if *transaction == found.transaction => offered.clone(),
            // [R-DISC-009]
            _ => return Err(Discard::TransactionUnknown),
        };
        self.answered = true;
        core.timers.clear(Timer::Unreachable);
        // [R-DISC-011]
        if !found.versions.contains(&VERSION) {
            self.refuse(core, ServerRefusal::UnsupportedVersion);
        }
        match self.server_key {
            // [R-DISC-014] [R-DISC-015]
            Some(key) if !found.keys.contains(&key) => self.refuse(core, ServerRefusal::KeyDiffers),
            Some(_) => {}
            None => {
                // [R-DISC-015] The application stores it.
                self.server_key = found.keys.first().copied();
                if let Some(key) = self.server_key {
                    core.event(PeerEvent::ServerKey(key));
                }
            }
        }
        let binding = &mut self.bindings[slot];
        binding.alternates = Alternates::of(binding.server, &found.alternates);
        binding.tries = 0;
        binding.stage = Stage::Discovered { cookie: found.cookie, offered, answered: found.versions };
        self.go_on(core, slot);
        Ok(())
    }

    /// A `Registered`: the handshake's second message, with the first sealed packet.
    pub(in crate::peer) fn on_registered(
        &mut self,
        core: &mut Core,
        slot: Slot,
        registered: &Registered<'_>,
    ) -> Result<Vec<News>, Discard> {
        let Stage::Registering { recipe, index, prologue, .. } = &self.bindings[slot].stage else {
            return Err(Discard::MessageUnexpected);
        };
        // [R-REG-003]
        if *index != registered.index {
            return Err(Discard::IndexUnknown);
        }
        let server = self.server_key.ok_or(Discard::MessageUnexpected)?;
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &core.config.x25519,
            secret: &core.config.secret,
            remote: Some(&server),
            prologue,
        };
        let (payload, keys) = handshake.finish(recipe, registered.message_2).map_err(|_| Discard::HandshakeFailed)?;
        let welcome: Welcome = crate::wire::codec::decode(&payload)?;
        let Packet::Sealed(sealed) = Packet::decode(registered.sealed)? else {
            // [R-WIRE-013]
            return Err(Discard::KindUnknown);
        };
        let index = *index;
        // [R-REG-003]
        if sealed.index != index {
            return Err(Discard::IndexUnknown);
        }
        let association = Association::new(keys, welcome.index);
        // [R-SEC-005]
        let renew = core.now + (KEY_LIFETIME - REGISTRATION_LIFETIME);
        let mut registration = Registration { association, index, token: welcome.token, renew };
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
        // [R-REG-004]
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

    /// Begins from the socket or the connection.
    pub(super) fn start(&mut self, core: &mut Core, slot: Slot) {
        if self.ended || core.port(self.bindings[slot].socket).is_none_or(|port| port.local.is_none()) {
            return;
        }
        let binding = &mut self.bindings[slot];
        match binding.transport {
            Transport::Udp if self.registration.is_some() => self.join(core, slot, false),
            Transport::Udp => self.discover(core, slot),
            Transport::Tcp if binding.stream.is_some_and(|stream| core.is_connected(stream)) => {
                self.discover(core, slot);
            }
            Transport::Tcp => {
                if binding.stream.is_none() {
                    binding.stream = Some(core.dial(binding.socket, binding.server, Purpose::Server(slot)));
                }
                binding.stage = Stage::Dialling;
                core.timers.set(Timer::Binding(slot), core.now + DIAL_PATIENCE);
            }
        }
    }

    pub(super) fn discover(&mut self, core: &mut Core, slot: Slot) {
        let binding = &mut self.bindings[slot];
        // [R-DISC-002]
        let transaction = core.visible.octets();
        let offered = offered_with_grease(&mut core.visible);
        binding.stage = Stage::Discovering { transaction, offered: offered.clone() };
        let wait = (REGISTER_RETRY * (1 << binding.tries.min(5))).min(MAX_REGISTER_RETRY);
        binding.tries += 1;
        core.timers.set(Timer::Binding(slot), core.now + wait + jitter(&mut core.visible, wait / 8));
        self.transmit(core, slot, &discover(transaction, offered).encode());
    }

    /// A binding is discovered: register, join, or wait for the one that registers.
    pub(super) fn go_on(&mut self, core: &mut Core, slot: Slot) {
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
        let Stage::Discovered { cookie, offered, answered } = &self.bindings[slot].stage else {
            return;
        };
        let Some(server) = self.server_key else {
            return;
        };
        // [R-SEC-007]
        let prologue = prologue(offered, answered);
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &core.config.x25519,
            secret: &core.config.secret,
            remote: Some(&server),
            prologue: &prologue,
        };
        // A server key whose shared secret is zero was refused when it was read.
        // [R-REG-001] [R-REG-002]
        let Ok((message_1, recipe)) = handshake.initiate(core.secret.octets(), &[]) else {
            return;
        };
        let index = core.index();
        let (cookie, offered, answered) = (*cookie, offered.clone(), answered.clone());
        let register = Register { index, cookie, offered, answered, message_1: &message_1 };
        let packet = Packet::Register(register).encode();
        self.transmit(core, slot, &packet);
        self.bindings[slot].stage = Stage::Registering { packet, recipe, index, prologue };
        core.timers.set(Timer::Binding(slot), core.now + REGISTER_RETRY);
    }

    /// Sets a binding up under the keys that there are.
    pub(super) fn join(&mut self, core: &mut Core, slot: Slot, moved: bool) {
        if self.bindings[slot].transport == Transport::Tcp && self.bindings[slot].lane.is_none() {
            self.bindings[slot].lane = self.registration.as_mut().map(|known| known.association.lane());
        }
        self.bindings[slot].stage = Stage::Joining;
        core.timers.clear(Timer::Binding(slot));
        self.refresh(core, slot, moved);
    }

    pub(super) fn refresh(&mut self, core: &mut Core, slot: Slot, moved: bool) {
        if self.requests.any(|request, tag| tag.slot == slot && matches!(request, Request::Refresh(_))) {
            return;
        }
        let request = self.refresh_body(core, slot, moved);
        let streamed = self.bindings[slot].transport == Transport::Tcp;
        if let Some(id) = self.requests.begin(core.now, request.clone(), Tag { slot, session: None }, streamed) {
            self.send_request(core, slot, id, request);
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
}

/// How long a connection to the server may take.
const DIAL_PATIENCE: Duration = Duration::from_secs(5);
