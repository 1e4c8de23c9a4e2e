//! Noise KK between the peers (`spec/introduction.md`, `spec/punching.md`, "The punch is the handshake").

use alloc::vec::Vec;

use super::{Session, Stage, Told};
use crate::association::Association;
use crate::constants::{KEY_LIFETIME, MAX_MESSAGE_2_TRIES, VERSION};
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::key::PeerId;
use crate::noise::{Handshake, Pattern, Recipe};
use crate::peer::api::{CloseReason, PeerEvent, RelayPolicy};
use crate::peer::core::{Core, Timer};
use crate::peer::leg::{Leg, Slot, offered};
use crate::rng::hash;
use crate::wire::code::{Mapping, Refusal, Transports};
use crate::wire::codec::decode;
use crate::wire::control::{Answer, Connect, Introduce};
use crate::wire::message::{Request, body};
use crate::wire::punch::{Acceptance, Offer, Proof};
use crate::wire::{List, SessionId, Versions};

/// Who started it, and what that side keeps of the handshake.
#[derive(Clone)]
pub(in crate::peer) enum Role {
    /// This side wrote message 1.
    Initiator {
        /// Message 1 and the recipe for its state, once it was written.
        written: Option<(Vec<u8>, Recipe)>,
        /// Messages 2 that did not verify.
        tries: u8,
        /// The message 2 that did.
        message_2: Option<Vec<u8>>,
    },
    /// This side wrote message 2.
    Responder {
        /// Hash of message 1: the same one gets the same message 2.
        hash: [u8; 32],
        /// Message 2.
        message_2: Vec<u8>,
    },
}

impl Role {
    pub(in crate::peer) const fn initiator() -> Self {
        Self::Initiator { written: None, tries: 0, message_2: None }
    }

    pub(in crate::peer) const fn is_initiator(&self) -> bool {
        matches!(self, Self::Initiator { .. })
    }
}

/// The first 16 octets of the hash of message 1.
pub(super) fn proof(message_1: &[u8]) -> Proof {
    let mut proof = Proof::default();
    // [R-PUNCH-001]
    proof.copy_from_slice(&hash(&[message_1])[..16]);
    proof
}

impl Session {
    /// The request that has the server introduce this peer, with message 1.
    pub(super) fn connect(&mut self, core: &mut Core, leg: &Leg, transports: Transports) -> Option<Request> {
        let versions = offered();
        let Role::Initiator { written, .. } = &mut self.role else {
            return None;
        };
        if written.is_none() {
            let transport = transports.preferred()?;
            let offer = Offer {
                index: self.index,
                versions: versions.clone(),
                private: List::from_first(private(core, leg, transport)),
                mapping: mapping(leg, transport),
            };
            let prologue = prologue(&self.id, &core.id, &self.peer, &versions);
            // [R-INTRO-002]
            let ephemeral = core.secret.octets();
            *written = Some(handshake(core, &self.peer, &prologue).initiate(ephemeral, &body(&offer)).ok()?);
        }
        let (message_1, _) = written.as_ref()?;
        Some(Request::Connect(Connect {
            target: self.peer,
            session: self.id,
            transports,
            versions,
            message_1: List::from_first(message_1.iter().copied()),
        }))
    }

    /// Reads message 1 and writes message 2, as the responder of a fresh session.
    pub(in crate::peer) fn respond(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        slot: Slot,
        introduce: &Introduce,
    ) -> Result<Answer, Refusal> {
        if !introduce.versions.contains(&VERSION) {
            // [R-INTRO-010]
            return Err(Refusal::UNSUPPORTED_VERSION);
        }
        let transport = introduce.transport.preferred().ok_or(Refusal::REFUSED)?;
        let prologue = prologue(&self.id, &self.peer, &core.id, &introduce.versions);
        let ephemeral = core.secret.octets();
        let received = handshake(core, &self.peer, &prologue)
            .receive(ephemeral, &introduce.message_1)
            // [R-INTRO-011]
            .map_err(|_| Refusal::DOWNGRADE)?;
        let offer: Offer = decode(&received.payload).map_err(|_| Refusal::REFUSED)?;
        // [R-INTRO-011]
        if offer.versions != introduce.versions {
            return Err(Refusal::DOWNGRADE);
        }
        let acceptance = Acceptance {
            index: self.index,
            private: List::from_first(private(core, leg, transport)),
            mapping: mapping(leg, transport),
        };
        let (message_2, keys) = received.respond(&body(&acceptance)).map_err(|_| Refusal::REFUSED)?;
        self.role = Role::Responder { hash: hash(&[&introduce.message_1]), message_2: message_2.clone() };
        self.association = Some(Association::new(keys, offer.index));
        core.timers.set(Timer::Worn(self.handle), core.now + KEY_LIFETIME);
        self.remote_mapping = offer.mapping;
        self.transport = Some(transport);
        self.slot = Some(slot);
        self.told_round_trip = super::propose::by_way_of_server(introduce.own_round_trip, introduce.other_round_trip);
        self.channel = introduce.channel.filter(|_| core.config.relay != RelayPolicy::Never);
        self.relay_lane = self.association.as_mut().map(Association::lane);
        core.timers.set(Timer::Expire(self.handle), core.now + super::ASK_PATIENCE);
        self.add_candidates(core, leg, &introduce.candidates, Told::Server);
        self.add_candidates(core, leg, &offer.private, Told::Handshake);
        Ok(Answer { message_2: List::from_first(message_2) })
    }

    /// Whether message 1 is the one that this session answered.
    pub(in crate::peer) fn answered(&self, message_1: &[u8]) -> Option<Answer> {
        match &self.role {
            // [R-INTRO-012]
            Role::Responder { hash: known, message_2 } if *known == hash(&[message_1]) => {
                Some(Answer { message_2: List::from_first(message_2.iter().copied()) })
            }
            Role::Responder { .. } | Role::Initiator { .. } => None,
        }
    }

    /// Reads a message 2. `Ok` with the association the first time, `Ok(None)` for a copy of the valid one.
    pub(super) fn read_message_2(&self, core: &Core, message_2: &[u8]) -> Result<Option<Verified>, Discard> {
        let Role::Initiator { written: Some((_, recipe)), message_2: known, .. } = &self.role else {
            return Err(Discard::MessageUnexpected);
        };
        // [R-PUNCH-005] [R-PUNCH-007]
        if let Some(known) = known {
            return if known == message_2 { Ok(None) } else { Err(Discard::HandshakeFailed) };
        }
        let prologue = prologue(&self.id, &core.id, &self.peer, &offered());
        let (payload, keys) =
            // [R-SEC-002]
            handshake(core, &self.peer, &prologue).finish(recipe, message_2).map_err(|_| Discard::HandshakeFailed)?;
        let acceptance: Acceptance = decode(&payload)?;
        let association = Association::new(keys, acceptance.index);
        Ok(Some(Verified { association, acceptance }))
    }

    /// Whether enough messages 2 were tried that came in a `PunchReply`.
    pub(super) const fn has_tried_enough(&self) -> bool {
        matches!(self.role, Role::Initiator { tries: MAX_MESSAGE_2_TRIES.., message_2: None, .. })
    }

    /// Counts a message 2 that did not verify.
    pub(super) fn count_failure(&mut self) {
        if let Role::Initiator { tries, .. } = &mut self.role {
            *tries = tries.saturating_add(1);
        }
    }

    /// Whether messages 2 arrived and none verified.
    pub(super) const fn was_forged(&self) -> bool {
        matches!(self.role, Role::Initiator { tries: 1.., message_2: None, .. })
    }

    /// The initiator has keys: the other peer is the one asked for.
    pub(super) fn on_keys(&mut self, core: &mut Core, leg: &mut Leg, verified: Verified, message: &[u8]) {
        if let Role::Initiator { message_2, .. } = &mut self.role {
            *message_2 = Some(message.into());
        }
        let Verified { mut association, acceptance } = verified;
        self.relay_lane = Some(association.lane());
        self.association = Some(association);
        core.timers.set(Timer::Worn(self.handle), core.now + KEY_LIFETIME);
        self.remote_mapping = acceptance.mapping;
        self.stage = Stage::Established;
        core.timers.clear(Timer::Expire(self.handle));
        let (session, peer) = (self.handle, self.peer);
        core.event(PeerEvent::Established { session, peer, initiator: true });
        self.add_candidates(core, leg, &acceptance.private, Told::Handshake);
        self.after_keys(core, leg);
    }

    /// The responder opened a sealed packet: the initiator holds its key.
    pub(super) fn on_confirmed(&mut self, core: &mut Core, leg: &mut Leg) {
        self.stage = Stage::Established;
        core.timers.clear(Timer::Expire(self.handle));
        let (session, peer, transport) = (self.handle, self.peer, self.transport.unwrap_or(Transport::Udp));
        // When both sides asked, the application hears of the session that it asked for.
        // [R-INTRO-013]
        let initiator = self.asked;
        core.event(PeerEvent::Introduced { session, peer, transport, initiator });
        core.event(PeerEvent::Established { session, peer, initiator });
        self.after_keys(core, leg);
    }

    /// `Answered`: message 2 came through the server.
    pub(in crate::peer) fn on_answered(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        candidates: &[Endpoint],
        message_2: &[u8],
    ) {
        if self.stage == Stage::Ended {
            return;
        }
        match self.read_message_2(core, message_2) {
            Ok(Some(verified)) => self.on_keys(core, leg, verified, message_2),
            Ok(None) => {}
            Err(Discard::HandshakeFailed) if self.stage != Stage::Established => {
                return self.end(core, CloseReason::AuthenticationFailed);
            }
            Err(discard) => core.note(discard),
        }
        self.add_candidates(core, leg, candidates, Told::Server);
    }
}

/// A message 2 that verified.
pub(super) struct Verified {
    pub(super) association: Association,
    acceptance: Acceptance,
}

fn handshake<'a>(core: &'a Core, peer: &'a PeerId, prologue: &'a [u8]) -> Handshake<'a> {
    let (x25519, secret) = (&core.config.x25519, &core.config.secret);
    Handshake { pattern: Pattern::Kk, x25519, secret, remote: Some(peer), prologue }
}

/// Protocol, version, session, both peers and the versions that the initiator offered.
fn prologue(session: &SessionId, a: &PeerId, b: &PeerId, versions: &Versions) -> Vec<u8> {
    // [R-SEC-001]
    let mut out = Vec::from(b"pinhole kk".as_slice());
    out.push(VERSION);
    out.extend_from_slice(session);
    out.extend_from_slice(a.as_octets());
    out.extend_from_slice(b.as_octets());
    out.extend_from_slice(&body(versions));
    out
}

/// The private endpoints that the other peer is told; it alone can read them.
fn private(core: &Core, leg: &Leg, transport: Transport) -> Vec<Endpoint> {
    if core.config.relay == RelayPolicy::Only {
        return Vec::new();
    }
    let bindings = leg.bindings().iter().filter(|binding| binding.transport == transport);
    bindings.flat_map(|binding| core.private_endpoints(binding.socket)).collect()
}

pub(super) fn mapping(leg: &Leg, transport: Transport) -> Mapping {
    leg.slot_of(transport).map_or(Mapping::UNKNOWN, |slot| leg.bindings()[slot].mapping)
}
