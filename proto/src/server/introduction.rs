//! `Connect`, `Introduce` and what follows (`spec/introduction.md`).
//!
//! ```text
//! A ── Connect ──> S ── Introduce ──> B       A hears at once, without waiting for B
//! A <─ Introduced ─┘
//! A <─ Answered ── S <── Answer ───── B       or Rejected for Refuse, or when B does not answer
//! ```

use super::api::ServerEvent;
use super::common::Common;
use super::forward::{Acquaintance, Ask, Errand, Told};
use super::link::Slot;
use super::party::{Guest, Party};
use super::rate::RateLimiter;
use super::registration::{Introduction, Purpose, Registration};
use super::registry::Registry;
use super::relay::Relay;
use crate::constants::{
    INTRODUCTIONS_PER_PAIR, INTRODUCTIONS_PER_PAIR_BURST, INTRODUCTIONS_PER_SECOND, MAX_MESSAGE_2, VERSION,
};
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::key::PeerId;
use crate::time::Instant;
use crate::wire::code::{Policy, Refusal, Transports};
use crate::wire::control::{Answered, Candidates, Connect, Introduce, Introduced, Refuse, RelayOpen, RelayOpened};
use crate::wire::message::{Reply, Request, RequestId};
use crate::wire::{ChannelId, Index, List, SessionId};

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

/// A request of a peer that waits for its answer.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub(super) peer: PeerId,
    pub(super) index: Index,
    pub(super) slot: Slot,
    pub(super) id: RequestId,
}

/// The parts of a server that an introduction moves.
pub(super) struct Parts<'a> {
    pub(super) registry: &'a mut Registry,
    pub(super) relay: &'a mut Relay,
    pub(super) common: &'a mut Common,
}

impl Introductions {
    pub(super) fn new() -> Self {
        Self {
            to_target: RateLimiter::new(INTRODUCTIONS_PER_SECOND, INTRODUCTIONS_PER_SECOND),
            by_pair: RateLimiter::new(INTRODUCTIONS_PER_PAIR, INTRODUCTIONS_PER_PAIR_BURST),
        }
    }

    /// Introduces a peer of this engine to the one that it asks for. `None`: another engine has been asked.
    pub(super) fn on_connect(
        &mut self,
        now: Instant,
        asker: Asker,
        connect: &Connect,
        parts: &mut Parts<'_>,
    ) -> Option<Reply> {
        let refused = |code| Some(Reply::Refuse(Refuse { code }));
        let Some(initiator) = parts.registry.by_peer(asker.peer) else {
            return refused(Refusal::NOT_REGISTERED);
        };
        let (target, session) = (connect.target, connect.session);
        if parts.registry.by_peer(target).is_none() && target != asker.peer && parts.common.has_others() {
            let guest = Guest::from(initiator);
            let may_relay = parts.common.config.relay && parts.relay.may_open(asker.peer, &parts.common.config.limits);
            let ask = Ask::Introduce(guest, connect.clone(), may_relay);
            let Asker { peer, index, slot, id } = asker;
            let errand = Errand::Connect { initiator: peer, index, slot, id, target, session };
            if parts.common.ask(now, target, ask, errand) {
                return None;
            }
            return refused(Refusal::LIMITED);
        }
        let may_relay = parts.common.config.relay;
        match self.introduce(now, asker.peer, None, connect, may_relay, parts) {
            Ok((plan, channel)) => Some(introduced(plan, channel.map(|[own, _]| own))),
            Err(code) => refused(code),
        }
    }

    /// Introduces a peer of another engine to a peer of this one.
    pub(super) fn on_guest(
        &mut self,
        now: Instant,
        initiator: &Guest,
        connect: &Connect,
        may_relay: bool,
        parts: &mut Parts<'_>,
    ) -> Told {
        // [R-INTRO-020]
        let may_relay = may_relay && parts.common.config.relay;
        match self.introduce(now, initiator.peer, Some(initiator), connect, may_relay, parts) {
            Ok((plan, channel)) => Told::Introduced(Acquaintance {
                transport: plan.transport,
                candidates: plan.candidates.0,
                channel: channel.map(|_| (plan.slots.0.1, plan.slots.1.1)),
                round_trips: plan.round_trips,
            }),
            Err(code) => Told::Refused(code),
        }
    }

    /// Sends `Introduce` to the target, which is registered here; answers what the initiator is to hear, and the
    /// two ids of the relay channel. The initiator is registered here unless it is a `guest`.
    fn introduce(
        &mut self,
        now: Instant,
        initiator: PeerId,
        guest: Option<&Guest>,
        connect: &Connect,
        may_relay: bool,
        parts: &mut Parts<'_>,
    ) -> Result<(Plan, Option<[ChannelId; 2]>), Refusal> {
        let (target, session) = (connect.target, connect.session);
        let Parts { registry, relay, common } = parts;
        if !connect.versions.contains(&VERSION) {
            return Err(Refusal::UNSUPPORTED_VERSION);
        }
        // [R-INTRO-005]
        let b = registry.by_peer(target).ok_or(Refusal::NOT_REGISTERED)?;
        // [R-INTRO-008] A policy that this server does not know is closed.
        let open = matches!(b.terms.policy, Policy::ASK | Policy::OPEN);
        // [R-INTRO-019]
        if !open || initiator == target {
            return Err(Refusal::REFUSED);
        }
        // [R-INTRO-005]
        let plan = match (guest, registry.by_peer(initiator)) {
            (Some(a), _) => Plan::new(a, b, connect.transports),
            (None, Some(a)) => Plan::new(a, b, connect.transports),
            (None, None) => None,
        };
        let mut plan = plan.ok_or(Refusal::NOT_REGISTERED)?;
        let asks_first = b.terms.policy != Policy::OPEN;
        // [R-INTRO-018]
        let allowed = self.by_pair.take(now, (initiator, target)) && self.to_target.take(now, target);
        if !allowed {
            return Err(Refusal::LIMITED);
        }
        let channels = (plan.relay && may_relay)
            .then(|| {
                let asker = (initiator, plan.slots.0.1);
                let other = (target, plan.slots.1.1);
                relay.open(now, (session, plan.transport), asker, other, guest.is_none(), common)
            })
            .and_then(Result::ok);
        let introduce = Request::Introduce(Introduce {
            initiator,
            session,
            transport: Transports::of(plan.transport),
            // [R-INTRO-001]
            versions: connect.versions.clone(),
            candidates: core::mem::take(&mut plan.candidates.1),
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
        if asks_first {
            plan.candidates.0 = Candidates::default();
        }
        common.out.event(ServerEvent::Introduced { initiator, responder: target, transport: plan.transport });
        Ok((plan, channels))
    }

    /// How many peers, and how many pairs, are remembered.
    pub(super) fn remembered(&self) -> (usize, usize) {
        (self.to_target.len(), self.by_pair.len())
    }
}

fn introduced(plan: Plan, channel: Option<ChannelId>) -> Reply {
    Reply::Introduced(Introduced {
        transport: Transports::of(plan.transport),
        candidates: plan.candidates.0,
        channel,
        own_round_trip: plan.round_trips.0,
        other_round_trip: plan.round_trips.1,
    })
}

/// What the engine of the responder told, for the initiator.
pub(super) fn on_told(
    now: Instant,
    (initiator, target, session): (PeerId, PeerId, SessionId),
    told: Told,
    relay: &mut Relay,
    common: &mut Common,
) -> Reply {
    match told {
        Told::Introduced(Acquaintance { transport, candidates, channel, round_trips }) => {
            let channel = channel.and_then(|(own, theirs)| {
                let ids = relay.open(now, (session, transport), (initiator, own), (target, theirs), true, common);
                ids.ok().map(|[own, _]| own)
            });
            Reply::Introduced(Introduced {
                transport: Transports::of(transport),
                candidates,
                channel,
                own_round_trip: round_trips.0,
                other_round_trip: round_trips.1,
            })
        }
        Told::Refused(code) => Reply::Refuse(Refuse { code }),
        Told::Done => Reply::Refuse(Refuse { code: Refusal::NOT_REGISTERED }),
    }
}

/// Tells the initiator what the responder answered.
pub(super) fn on_answer(
    now: Instant,
    responder: PeerId,
    introduction: &Introduction,
    reply: Reply,
    parts: &mut Parts<'_>,
) {
    let Parts { registry, relay, common } = parts;
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
    match (registry.by_peer(initiator), registry.by_peer(responder)) {
        (Some(a), Some(b)) => {
            // [R-INTRO-001]
            let candidates = candidates(b, a, transport);
            let answered = Request::Answered(Answered { session, candidates, message_2: answer.message_2 });
            registry.tell(now, initiator, introduction, answered, common);
        }
        (None, Some(b)) => {
            // [R-INTRO-020]
            let ask = Ask::Answered(initiator, Guest::from(b), session, transport, answer.message_2);
            common.ask(now, initiator, ask, Errand::Tell);
        }
        (_, None) => {}
    }
}

/// Tells an initiator what a responder of another engine answered.
pub(super) fn on_guest_answer(
    now: Instant,
    (initiator, responder): (PeerId, &Guest),
    (session, transport): (SessionId, Transport),
    message_2: List<u8, MAX_MESSAGE_2>,
    registry: &mut Registry,
    common: &mut Common,
) {
    let Some(a) = registry.by_peer(initiator) else {
        return;
    };
    let answered = Answered { session, candidates: candidates(responder, a, transport), message_2 };
    let introduction = Introduction { initiator, session, transport };
    registry.tell(now, initiator, &introduction, Request::Answered(answered), common);
}

/// Opens a channel for a session that the server does not remember.
pub(super) fn on_relay_open(now: Instant, asker: PeerId, ask: &RelayOpen, parts: &mut Parts<'_>) -> Reply {
    let Parts { registry, relay, common } = parts;
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
        registration.and_then(|peer| peer.slot_of(transport)).map_or(crate::endpoint::Family::V4, |slot| slot.1)
    };
    let own = (asker, family(Some(own)));
    let other = (ask.peer, family(registry.by_peer(ask.peer)));
    match relay.open(now, (ask.session, transport), own, other, true, common) {
        Ok([channel, _]) => Reply::RelayOpened(RelayOpened { channel }),
        Err(_) => refused,
    }
}

impl Plan {
    /// `None` when the peers have no transport in common that may be used.
    fn new(a: &impl Party, b: &impl Party, allowed: Transports) -> Option<Self> {
        // [R-INTRO-004]
        let transport = allowed.and(a.transports()).and(b.transports()).preferred()?;
        let common = a.places().map(|place| place.slot).find(|&slot| slot.0 == transport && b.place(slot).is_some());
        let slots = match common {
            Some(slot) => (slot, slot),
            None => (a.slot_of(transport)?, b.slot_of(transport)?),
        };
        Some(Self {
            transport,
            slots,
            candidates: (candidates(b, a, transport), candidates(a, b, transport)),
            round_trips: (a.round_trip(), b.round_trip()),
            // [R-RELAY-002]
            relay: a.relays() && b.relays(),
        })
    }
}

/// Where `of` may be reached, as far as `to` may know: the endpoints that were observed, and the private
/// ones only if both are seen at one address. Nothing if either side wants no endpoint told.
fn candidates(of: &impl Party, to: &impl Party, transport: Transport) -> Candidates {
    // [R-INTRO-006]
    if !of.discloses() || !to.discloses() {
        return Candidates::default();
    }
    let shared = || {
        of.places().filter_map(|place| {
            let other = to.place(place.slot).filter(|_| place.slot.0 == transport)?;
            Some((place, other.public))
        })
    };
    let public = shared().map(|(place, _)| place.public);
    // [R-INTRO-006]
    let private = shared().filter(|(place, other)| place.public.source_prefix() == other.source_prefix()).flat_map(
        |(place, _)| {
            let told = place.private.iter().copied();
            told.filter(move |&private| may_be_told(private, place.public))
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
