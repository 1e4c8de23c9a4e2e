//! Registrations that have not shown where they receive (`spec/registration.md`, "Pending").
//!
//! ```text
//! message 1 ──> pending ── PathReply(nonce) from where that nonce was sent ──> registered
//!                  │ copy of message 1 from another source: same message 2, another nonce
//!                  └─ PENDING_LIFETIME, or pushed out by newer ones
//! ```

use alloc::vec::Vec;

use super::common::{Common, Timer};
use super::link::Link;
use crate::association::{Association, Lane};
use crate::constants::{MAX_PENDING_SOURCES, PENDING_LIFETIME};
use crate::discard::Discard;
use crate::key::PeerId;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::{Duration, Instant};
use crate::wire::control::{PathCheck, PathReply};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::{Index, Nonce, Packet, Registered, Sealed};

/// Names a handshake: the hash of its message 1.
pub(super) type HandshakeId = [u8; 32];

/// The pending registrations, the oldest of which makes room.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingTable {
    table: SortedMap<Index, Pending>,
    by_handshake: SortedMap<HandshakeId, Index>,
    by_age: SortedSet<(Instant, Index)>,
}

/// A handshake whose initiator has not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) handshake: HandshakeId,
    pub(super) peer: PeerId,
    /// The index that the peer issued.
    pub(super) remote: Index,
    pub(super) association: Association,
    pub(super) message_2: Vec<u8>,
    sources: Vec<Source>,
    since: Instant,
}

/// Where a copy of message 1 came from. Its place in the list is the id of its `PathCheck`.
#[derive(Clone, Debug)]
struct Source {
    link: Link,
    lane: Option<Lane>,
    nonce: Nonce,
    /// When the nonce was sent, while it was sent once.
    sent: Option<Instant>,
    /// Octets that came from there and were not answered: the most that may go there.
    credit: usize,
}

/// What a peer has shown with its `PathReply`.
pub(super) struct Proved {
    pub(super) index: Index,
    pub(super) peer: PeerId,
    pub(super) association: Association,
    pub(super) link: Link,
    pub(super) lane: Option<Lane>,
    pub(super) round_trip: Option<Duration>,
    /// The first request id that was not used.
    pub(super) next_request: RequestId,
}

impl Pending {
    pub(super) const fn new(
        handshake: HandshakeId,
        peer: PeerId,
        remote: Index,
        association: Association,
        message_2: Vec<u8>,
        now: Instant,
    ) -> Self {
        Self { handshake, peer, remote, association, message_2, sources: Vec::new(), since: now }
    }

    /// The source that a sealed packet answers, if it answers one.
    fn answered(&self, link: Link, messages: &[Message<'_>]) -> Result<Option<(usize, RequestId)>, Discard> {
        let mut failure = None;
        for message in messages {
            let &Message::Answer(id, Reply::PathReply(PathReply { nonce, .. })) = message else {
                continue;
            };
            let at = usize::try_from(id).unwrap_or(usize::MAX);
            let expected = self.sources.get(at).filter(|source| source.nonce == nonce).map(|source| source.link);
            match expected {
                // [R-REG-007]
                Some(expected) if expected == link => return Ok(Some((at, id))),
                // [R-REG-008]
                Some(_) => failure = Some(Discard::NonceWrongSource),
                None => failure = failure.or(Some(Discard::NonceUnknown)),
            }
        }
        failure.map_or(Ok(None), Err)
    }
}

impl PendingTable {
    pub(super) fn contains(&self, index: Index) -> bool {
        self.table.contains_key(&index)
    }

    pub(super) fn peer(&self, index: Index) -> Option<PeerId> {
        self.table.get(&index).map(|pending| pending.peer)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The peers that wait, each with the number of sources it sent from.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, usize)> {
        self.table.values().map(|pending| (pending.peer, pending.sources.len()))
    }

    /// The entry of a handshake that was seen before.
    pub(super) fn find(&self, handshake: &HandshakeId) -> Option<Index> {
        self.by_handshake.get(handshake).copied()
    }

    pub(super) fn oldest(&self) -> Option<Index> {
        self.by_age.first().map(|&(_, index)| index)
    }

    pub(super) fn insert(&mut self, now: Instant, index: Index, pending: Pending, common: &mut Common) {
        self.by_handshake.insert(pending.handshake, index);
        self.by_age.insert((pending.since, index));
        self.table.insert(index, pending);
        // [R-REG-009]
        common.timers.set(Timer::Pending(index), now + PENDING_LIFETIME);
    }

    pub(super) fn remove(&mut self, index: Index, common: &mut Common) -> Option<Pending> {
        let pending = self.table.remove(&index)?;
        self.by_handshake.remove(&pending.handshake);
        self.by_age.remove(&(pending.since, index));
        common.timers.clear(Timer::Pending(index));
        Some(pending)
    }

    /// Answers a `Register` of `length` octets that belongs to the entry `index`.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        index: Index,
        link: Link,
        length: usize,
        common: &mut Common,
    ) -> Result<(), Discard> {
        let pending = self.table.get_mut(&index).ok_or(Discard::IndexUnknown)?;
        let known = pending.sources.iter().position(|source| source.link == link);
        let at = match known {
            Some(at) => at,
            // [R-REG-006]
            None if pending.sources.len() < MAX_PENDING_SOURCES => {
                let lane = link.stream().map(|_| pending.association.lane());
                pending.sources.push(Source { link, lane, nonce: common.visible.octets(), sent: Some(now), credit: 0 });
                pending.sources.len() - 1
            }
            None => return Err(Discard::OverLimit),
        };
        let source = &mut pending.sources[at];
        if known.is_some() {
            source.sent = None;
        }
        source.credit += length;
        let sealed = check(&mut pending.association, source, at);
        let registered =
            Packet::Registered(Registered { index: pending.remote, message_2: &pending.message_2, sealed: &sealed })
                .encode();
        pay(source, &registered, common);
        Ok(())
    }

    /// Reads a sealed packet for the entry `index`: what the peer has proved, if the packet answers a nonce.
    pub(super) fn on_sealed(
        &mut self,
        now: Instant,
        link: Link,
        (sealed, length): (&Sealed<'_>, usize),
        messages: &[Message<'_>],
        common: &mut Common,
    ) -> Result<Option<Proved>, Discard> {
        let index = sealed.index;
        let pending = self.table.get_mut(&index).ok_or(Discard::IndexUnknown)?;
        let Some((at, _)) = pending.answered(link, messages)? else {
            Self::ask_again(pending, link, length, messages, common)?;
            pending.association.enter(sealed, link.arrival());
            return Ok(None);
        };
        let pending = self.remove(index, common).expect("the entry was found in the table above");
        let next_request = u32::try_from(pending.sources.len()).unwrap_or(u32::MAX);
        let source = pending.sources.into_iter().nth(at).expect("the answered source is one of the list");
        Ok(Some(Proved {
            index,
            peer: pending.peer,
            association: pending.association,
            link,
            lane: source.lane,
            round_trip: source.sent.map(|sent| now - sent),
            next_request,
        }))
    }

    /// Opens a packet for somebody who only looks.
    pub(super) fn look_into(&self, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        self.table.get(&sealed.index)?.association.peek(sealed)
    }

    /// Opens a packet for the entry `index`.
    pub(super) fn open(&self, sealed: &Sealed<'_>, link: Link) -> Result<Vec<u8>, Discard> {
        self.table.get(&sealed.index).ok_or(Discard::IndexUnknown)?.association.open(sealed, link.arrival())
    }

    /// The peer goes on without having answered: its answer was lost, so it is asked again. It pays for that
    /// with the octets of its own repetition.
    fn ask_again(
        pending: &mut Pending,
        link: Link,
        length: usize,
        messages: &[Message<'_>],
        common: &mut Common,
    ) -> Result<(), Discard> {
        let asks = messages.iter().any(|message| matches!(message, Message::Request(..)));
        let at = pending.sources.iter().position(|source| source.link == link).ok_or(Discard::SourceWrong)?;
        if !asks {
            return Err(Discard::MessageUnexpected);
        }
        let source = &mut pending.sources[at];
        source.credit += length;
        source.sent = None;
        let packet = check(&mut pending.association, source, at);
        pay(source, &packet, common);
        Ok(())
    }
}

/// The sealed `PathCheck` for a source.
fn check(association: &mut Association, source: &mut Source, at: usize) -> Vec<u8> {
    let check = PathCheck { nonce: source.nonce, observed: source.link.remote() };
    let id = u32::try_from(at).unwrap_or(u32::MAX);
    association.seal(source.lane.as_mut(), &[Message::Request(id, Request::PathCheck(check))])
}

/// Sends what the source has paid for [R-SEC-020]; a stream has shown already where it ends.
fn pay(source: &mut Source, packet: &[u8], common: &mut Common) {
    // [R-REG-029]
    if source.link.stream().is_some() {
        common.send(source.link, packet);
    } else if let Some(left) = source.credit.checked_sub(packet.len()) {
        source.credit = left;
        common.send(source.link, packet);
    }
}
