//! What engines ask of each other: an engine owns the peers that are registered with it and no others.
//!
//! ```text
//! A's engine                        B's engine
//!   Connect ── Ask::Introduce ───────> Introduce to B
//!   Introduced <── Told::Introduced ──
//!   Answered  <── Ask::Answered ────── Answer of B       or Ask::Rejected
//!              ── Told::Done ────────>
//!   Relayed ─── Packet ──────────────> Relayed           streams: Credit comes back
//! ```
//!
//! Threads of a process and machines are one design. What goes to another engine is octets that anything can
//! carry, addressed to a peer, not to a place: who carries them knows where a peer is registered, from
//! [`ServerEvent::Registered`] and [`ServerEvent::Unregistered`]. A carrier may lose, repeat and reorder. An `Ask`
//! is therefore repeated until it is answered, and answered alike when it arrives again. Packets are as little
//! certain as datagrams where they came as such; those of a stream are numbered, and a gap ends the channel.
//!
//! The layout is the project's own affair and may change with every release: engines of one process, or nodes of
//! one operator, run the same.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::api::{Recipient, ServerEvent};
use super::common::Timer;
use super::link::Slot;
use super::party::Guest;
use crate::constants::{FORWARD_MEMORY, MAX_FORWARDS, MAX_MESSAGE_2, MAX_REQUEST_RETRIES, REQUEST_RETRY};
use crate::discard::Discard;
use crate::endpoint::Family;
use crate::engine::Transport;
use crate::key::PeerId;
use crate::outbox::Outbox;
use crate::sorted::SortedMap;
use crate::time::{Duration, Instant};
use crate::timers::Timers;
use crate::wire::code::Refusal;
use crate::wire::codec::{decode_prefix, encode};
use crate::wire::control::{Candidates, Connect};
use crate::wire::message::RequestId;
use crate::wire::{Index, List, SessionId};

type Out = Outbox<ServerEvent<'static>>;

/// Names a question of one engine to another.
pub(super) type AskId = [u8; 8];

/// What one engine sends to another; a `Packet` is followed by its octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Forward {
    /// A question, and the shard that wants the answer.
    Ask(AskId, u8, Ask),
    /// The answer to a question.
    Told(AskId, Told),
    /// A relayed packet.
    Packet(Leg, u64),
    /// So many octets of a channel were taken that came by a stream.
    Credit(Leg, u32),
}

/// One direction of a relay channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leg {
    pub(super) session: SessionId,
    pub(super) transport: Transport,
    pub(super) from: PeerId,
    pub(super) to: PeerId,
}

/// What is asked about a peer that is registered with the engine that is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Introduce this initiator to your peer; the flag says whether a relay channel may be opened for it.
    Introduce(Guest, Connect, bool),
    /// Tell your peer that this responder accepted.
    Answered(PeerId, Guest, SessionId, Transport, List<u8, MAX_MESSAGE_2>),
    /// Tell your peer that its session will not come about.
    Rejected(PeerId, SessionId, Transport, Refusal),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// The responder was asked.
    Introduced(Acquaintance),
    /// It was not, and why.
    Refused(Refusal),
    /// It is done, or need not be.
    Done,
}

/// What the initiator's engine needs to answer its peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acquaintance {
    pub(super) transport: Transport,
    pub(super) candidates: Candidates,
    /// The families of initiator and responder, if the responder has its end of a relay channel.
    pub(super) channel: Option<(Family, Family)>,
    pub(super) round_trips: (u32, u32),
}

/// Who is to be answered when an answer arrives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// The `Connect` of a peer of this engine.
    Connect { initiator: PeerId, index: Index, slot: Slot, id: RequestId, target: PeerId, session: SessionId },
    /// Nobody.
    Tell,
}

/// What was asked and not answered, and what was answered lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Forwards {
    asked: SortedMap<AskId, Asked>,
    answered: SortedMap<AskId, Told>,
    order: VecDeque<(Instant, AskId)>,
}

#[derive(Clone, Debug)]
struct Asked {
    to: Recipient,
    payload: Vec<u8>,
    errand: Errand,
    wait: Duration,
    repeats: u8,
}

impl Forward {
    /// The message, and what follows it.
    pub(super) fn decode(payload: &[u8]) -> Result<(Self, &[u8]), Discard> {
        let (forward, rest) = decode_prefix(payload)?;
        match forward {
            Self::Packet(..) => Ok((forward, rest)),
            Self::Ask(..) | Self::Told(..) | Self::Credit(..) if rest.is_empty() => Ok((forward, rest)),
            Self::Ask(..) | Self::Told(..) | Self::Credit(..) => Err(Discard::BodyMalformed),
        }
    }

    pub(super) fn send(&self, to: Recipient, rest: &[u8], out: &mut Out) {
        let mut payload = Vec::with_capacity(FORWARD_HEADER + rest.len());
        encode(self, &mut payload);
        payload.extend_from_slice(rest);
        let droppable = matches!(self, Self::Packet(Leg { transport: Transport::Udp, .. }, _));
        out.event_with(ServerEvent::Forward { to, droppable, payload: &[] }, &payload);
    }
}

impl Forwards {
    /// Asks the engine of another peer; `false` when too much is unanswered.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        (id, shard): (AskId, u8),
        to: Recipient,
        ask: Ask,
        errand: Errand,
        (timers, out): (&mut Timers<Timer>, &mut Out),
    ) -> bool {
        // [R-LIM-002]
        if self.asked.len() >= MAX_FORWARDS {
            return false;
        }
        let mut payload = Vec::new();
        encode(&Forward::Ask(id, shard, ask), &mut payload);
        out.event_with(ServerEvent::Forward { to, droppable: false, payload: &[] }, &payload);
        timers.set(Timer::Forward(id), now + REQUEST_RETRY);
        self.asked.insert(id, Asked { to, payload, errand, wait: REQUEST_RETRY, repeats: 0 });
        true
    }

    /// Asks again, or gives up: then the errand comes back.
    pub(super) fn on_timer(
        &mut self,
        now: Instant,
        id: AskId,
        timers: &mut Timers<Timer>,
        out: &mut Out,
    ) -> Option<Errand> {
        let asked = self.asked.get_mut(&id)?;
        if asked.repeats >= MAX_REQUEST_RETRIES {
            return self.asked.remove(&id).map(|asked| asked.errand);
        }
        asked.repeats += 1;
        asked.wait *= 2;
        timers.set(Timer::Forward(id), now + asked.wait);
        out.event_with(ServerEvent::Forward { to: asked.to, droppable: false, payload: &[] }, &asked.payload);
        None
    }

    /// Takes the errand of a question that was answered, or that reached nobody.
    pub(super) fn settle(&mut self, id: AskId, timers: &mut Timers<Timer>) -> Option<Errand> {
        let asked = self.asked.remove(&id)?;
        timers.clear(Timer::Forward(id));
        Some(asked.errand)
    }

    /// What a question was answered that arrived before.
    pub(super) fn answered(&self, id: AskId) -> Option<&Told> {
        self.answered.get(&id)
    }

    /// Remembers an answer for as long as its question may come again; the oldest makes room.
    pub(super) fn remember(&mut self, now: Instant, id: AskId, told: Told) {
        while let Some(&(at, oldest)) = self.order.front() {
            if self.order.len() < MAX_FORWARDS && now - at < FORWARD_MEMORY {
                break;
            }
            self.order.pop_front();
            self.answered.remove(&oldest);
        }
        self.order.push_back((now, id));
        self.answered.insert(id, told);
    }

    /// How many questions are unanswered, and how many answers are remembered.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.asked.len(), self.answered.len())
    }
}

/// Room for what stands before the octets of a packet.
const FORWARD_HEADER: usize = 96;
