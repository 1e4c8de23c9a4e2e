//! `Connect`, `Introduce` and what follows (`spec/introduction.md`).
//!
//! ```text
//! A ── Connect ──> S ── Introduce ──> B       A hears at once, without waiting for B
//! A <─ Introduced ─┘
//! A <─ Answered ── S <── Answer ───── B       or Rejected for Refuse, or when B does not answer
//! ```

use super::api::ServerEvent;
use super::common::Common;
use super::link::Slot;
use super::rate::RateLimiter;
use super::registration::{Introduction, Purpose, Registration};
use super::registry::Registry;
use super::relay::Relay;
use crate::constants::{INTRODUCTIONS_PER_PAIR, INTRODUCTIONS_PER_PAIR_BURST, INTRODUCTIONS_PER_SECOND, VERSION};
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::key::PeerId;
use crate::time::Instant;
use crate::wire::code::{Policy, Refusal, Transports};
use crate::wire::control::{Answered, Candidates, Connect, Introduce, Introduced, Refuse, RelayOpen, RelayOpened};
use crate::wire::message::{Reply, Request};
use crate::wire::{ChannelId, List};

/// How often peers are introduced.
#[derive(Clone, Debug)]
pub(super) struct Introductions {
    to_target: RateLimiter<PeerId>,
    by_pair: RateLimiter<(PeerId, PeerId)>,
}

/// What the introduction of two registered peers comes down to.
struct Plan {
    transport: Transport,
    /// The bindings of initiator and responder that carry the messages; of one family where they can.
    slots: (Slot, Slot),
    /// What the initiator is told of the responder, and the reverse.
    candidates: (Candidates, Candidates),
    round_trips: (u32, u32),
    relay: bool,
}

impl Introductions {
    pub(super) fn new() -> Self {
        Self {
            to_target: RateLimiter::new(INTRODUCTIONS_PER_SECOND, INTRODUCTIONS_PER_SECOND),
            by_pair: RateLimiter::new(INTRODUCTIONS_PER_PAIR, INTRODUCTIONS_PER_PAIR_BURST),
        }
    }

    /// Introduces `initiator` to the peer that it asks for.
    pub(super) fn on_connect(
        &mut self,
        now: Instant,
        initiator: PeerId,
        connect: &Connect,
        registry: &mut Registry,
        relay: &mut Relay,
        common: &mut Common,
    ) -> Reply {
        self.introduce(now, initiator, connect, registry, relay, common)
            .unwrap_or_else(|code| Reply::Refuse(Refuse { code }))
    }

    fn introduce(
        &mut self,
        now: Instant,
        initiator: PeerId,
        connect: &Connect,
        registry: &mut Registry,
        relay: &mut Relay,
        common: &mut Common,
    ) -> Result<Reply, Refusal> {
        let (target, session) = (connect.target, connect.session);
        if !connect.versions.contains(&VERSION) {
            return Err(Refusal::UNSUPPORTED_VERSION);
        }
        let (Some(a), Some(b)) = (registry.by_peer(initiator), registry.by_peer(target)) else {
            // [R-INTRO-005]
            return Err(Refusal::NOT_REGISTERED);
        };
        // [R-INTRO-008] A policy that this server does not know is closed.
        let open = matches!(b.terms.policy, Policy::ASK | Policy::OPEN);
        // [R-INTRO-019]
        if !open || initiator == target {
            return Err(Refusal::REFUSED);
        }
        // [R-INTRO-005]
        let plan = Plan::new(a, b, connect.transports).ok_or(Refusal::NOT_REGISTERED)?;
        let asks_first = b.terms.policy != Policy::OPEN;
        // [R-INTRO-018]
        let allowed = self.by_pair.take(now, (initiator, target)) && self.to_target.take(now, target);
        if !allowed {
            return Err(Refusal::LIMITED);
        }
        let channels = (plan.relay && common.config.relay)
            .then(|| {
                let asker = (initiator, plan.slots.0.1);
                let other = (target, plan.slots.1.1);
                relay.open(now, (session, plan.transport), asker, other, common)
            })
            .and_then(Result::ok);
        let introduce = Request::Introduce(Introduce {
            initiator,
            session,
            transport: Transports::of(plan.transport),
            // [R-INTRO-001]
            versions: connect.versions.clone(),
            candidates: plan.candidates.1,
            channel: channels.map(|[_, theirs]: [ChannelId; 2]| theirs),
            own_round_trip: plan.round_trips.1,
            other_round_trip: plan.round_trips.0,
            message_1: connect.message_1.clone(),
        });
        let introduction = Introduction { initiator, session, transport: plan.transport };
        let sent = registry.by_peer_mut(target).is_some_and(|b| {
            let purpose = Purpose::Introduce(introduction);
            b.request(now, plan.slots.1, introduce, purpose, common)
        });
        if !sent {
            return Err(Refusal::LIMITED);
        }
        common.out.event(ServerEvent::Introduced { initiator, responder: target, transport: plan.transport });
        Ok(Reply::Introduced(Introduced {
            transport: Transports::of(plan.transport),
            candidates: if asks_first { Candidates::default() } else { plan.candidates.0 },
            channel: channels.map(|[own, _]| own),
            own_round_trip: plan.round_trips.0,
            other_round_trip: plan.round_trips.1,
        }))
    }

    pub(super) fn remembered(&self) -> usize {
        self.to_target.len() + self.by_pair.len()
    }
}

/// Tells the initiator what the responder answered.
pub(super) fn on_answer(
    now: Instant,
    responder: PeerId,
    introduction: &Introduction,
    reply: Reply,
    registry: &mut Registry,
    relay: &mut Relay,
    common: &mut Common,
) {
    let Introduction { initiator, session, transport } = *introduction;
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::Refuse(refuse) => {
            // [R-INTRO-015]
            registry.reject(now, introduction, refuse.code, common);
            return;
        }
        Reply::PathReply(_)
        | Reply::Acknowledge(_)
        | Reply::Refreshed(_)
        | Reply::Introduced(_)
        | Reply::Attempted(_)
        | Reply::RelayOpened(_) => return,
    };
    relay.on_accepted(session, initiator, responder, common);
    let candidates = match (registry.by_peer(initiator), registry.by_peer(responder)) {
        (Some(a), Some(b)) => candidates(b, a, transport),
        _ => Candidates::default(),
    };
    // [R-INTRO-001]
    let answered = Request::Answered(Answered { session, candidates, message_2: answer.message_2 });
    registry.tell(now, initiator, introduction, answered, common);
}

/// Opens a channel for a session that the server does not remember.
pub(super) fn on_relay_open(
    now: Instant,
    asker: PeerId,
    ask: &RelayOpen,
    registry: &Registry,
    relay: &mut Relay,
    common: &mut Common,
) -> Reply {
    let refused = Reply::Refuse(Refuse { code: Refusal::RELAY_REFUSED });
    let Some(own) = registry.by_peer(asker) else {
        return refused;
    };
    let transport = ask.transport.and(own.transports()).preferred();
    // [R-RELAY-014]
    let (Some(transport), true) = (transport, own.terms.relay && common.config.relay) else {
        return refused;
    };
    if ask.peer == asker {
        return refused;
    }
    let family = |registration: Option<&Registration>| {
        registration.and_then(|peer| slot_of(peer, transport)).map_or(crate::endpoint::Family::V4, |slot| slot.1)
    };
    let own = (asker, family(Some(own)));
    let other = (ask.peer, family(registry.by_peer(ask.peer)));
    match relay.open(now, (ask.session, transport), own, other, common) {
        Ok([channel, _]) => Reply::RelayOpened(RelayOpened { channel }),
        Err(_) => refused,
    }
}

impl Plan {
    /// `None` when the peers have no transport in common that may be used.
    fn new(a: &Registration, b: &Registration, allowed: Transports) -> Option<Self> {
        // [R-INTRO-004]
        let transport = allowed.and(a.transports()).and(b.transports()).preferred()?;
        let common = a
            .bindings()
            .iter()
            .map(|binding| binding.link.slot())
            .find(|&slot| slot.0 == transport && b.binding(slot).is_some());
        let slots = match common {
            Some(slot) => (slot, slot),
            None => (slot_of(a, transport)?, slot_of(b, transport)?),
        };
        Some(Self {
            transport,
            slots,
            candidates: (candidates(b, a, transport), candidates(a, b, transport)),
            round_trips: (a.round_trip(), b.round_trip()),
            // [R-RELAY-002]
            relay: a.terms.relay && b.terms.relay,
        })
    }
}

fn slot_of(registration: &Registration, transport: Transport) -> Option<Slot> {
    registration.bindings().iter().map(|binding| binding.link.slot()).find(|slot| slot.0 == transport)
}

/// Where `of` may be reached, as far as `to` may know: the endpoints that were observed, and the private
/// ones only if both are seen at one address. Nothing if either side wants no endpoint told.
fn candidates(of: &Registration, to: &Registration, transport: Transport) -> Candidates {
    // [R-INTRO-006]
    if !of.terms.disclose || !to.terms.disclose {
        return Candidates::default();
    }
    let shared = || {
        of.bindings().iter().filter_map(|binding| {
            let slot = binding.link.slot();
            let other = to.binding(slot).filter(|_| slot.0 == transport)?;
            Some((binding, binding.link.remote(), other.link.remote()))
        })
    };
    let public = shared().map(|(_, public, _)| public);
    // [R-INTRO-006]
    let private = shared().filter(|(_, public, other)| public.source_prefix() == other.source_prefix()).flat_map(
        |(binding, public, _)| {
            let told = binding.private.iter().copied();
            told.filter(move |&private| may_be_told(private, public))
        },
    );
    List::from_first(public.chain(private))
}

/// Loopback endpoints mean something only to peers that the server sees on loopback.
fn may_be_told(private: Endpoint, public: Endpoint) -> bool {
    // [R-INTRO-007]
    let loopback = private.address().is_loopback() && public.address().is_loopback();
    private != public && private.port() != 0 && (private.is_candidate() || loopback)
}
