//! All registered peers (`spec/registration.md`).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::api::{Limits, ServerEvent, UnregisterReason};
use super::common::Common;
use super::forward::{Ask, Errand};
use super::link::{Link, Slot};
use super::party::Party as _;
use super::pending::Proved;
use super::registration::{Introduction, Purpose, Registration};
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{StreamId, Transport};
use crate::key::PeerId;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::code::Refusal;
use crate::wire::control::Rejected;
use crate::wire::message::Request;
use crate::wire::{Index, Sealed};

/// The registrations by index, by peer, and how many each source has.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry {
    /// Boxed, because half of a tree's places are empty.
    table: SortedMap<Index, Box<Registration>>,
    by_peer: SortedMap<PeerId, Index>,
    per_source: SortedMap<Address, usize>,
    /// Indexes whose registration has ended, to be issued again.
    freed: Vec<Index>,
}

impl Registry {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.table.values().map(Box::as_ref)
    }

    pub(super) fn get(&mut self, index: Index) -> Result<&mut Registration, Discard> {
        self.table.get_mut(&index).map(Box::as_mut).ok_or(Discard::IndexUnknown)
    }

    pub(super) fn by_peer(&self, peer: PeerId) -> Option<&Registration> {
        self.table.get(self.by_peer.get(&peer)?).map(Box::as_ref)
    }

    pub(super) fn by_peer_mut(&mut self, peer: PeerId) -> Option<&mut Registration> {
        self.table.get_mut(self.by_peer.get(&peer)?).map(Box::as_mut)
    }

    pub(super) fn name(&self, index: Index) -> Option<PeerId> {
        self.table.get(&index).map(|registration| registration.peer)
    }

    /// Whether `peer` may register from `source`: it replaces its own registration, or there is room.
    pub(super) fn has_room(&self, peer: PeerId, source: Address, limits: &Limits) -> bool {
        let here = self.per_source.get(&source).copied().unwrap_or(0);
        self.by_peer.contains_key(&peer)
            // [R-LIM-002]
            || (self.table.len() < limits.registrations && here < limits.registrations_per_source)
    }

    /// Opens a packet; the caller enters it into the replay windows.
    pub(super) fn open(&self, sealed: &Sealed<'_>, link: Link) -> Result<Vec<u8>, Discard> {
        self.table.get(&sealed.index).ok_or(Discard::IndexUnknown)?.association.open(sealed, link.arrival())
    }

    /// Opens a packet for somebody who only looks.
    pub(super) fn look_into(&self, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        self.table.get(&sealed.index)?.association.peek(sealed)
    }

    /// Enters an opened packet into the replay windows of the registration, if it did not end with it.
    pub(super) fn enter(&mut self, sealed: &Sealed<'_>, link: Link) {
        if let Some(registration) = self.table.get_mut(&sealed.index) {
            registration.association.enter(sealed, link.arrival());
        }
    }

    /// Registers a peer that has proved its link, in the place of what was registered under its key.
    pub(super) fn insert(&mut self, now: Instant, proved: Proved, common: &mut Common) {
        let (peer, index, link) = (proved.peer, proved.index, proved.link);
        // [R-REG-010]
        if let Some(&old) = self.by_peer.get(&peer) {
            if let Some(registration) = self.table.get_mut(&old)
                && !registration.is_bound(link)
            {
                registration.tell_replaced(common);
            }
            self.remove(now, old, UnregisterReason::Replaced, common);
        }
        let registration = Registration::new(now, proved, common);
        *self.per_source.or_insert_with(registration.home, || 0) += 1;
        self.by_peer.insert(peer, index);
        self.table.insert(index, Box::new(registration));
    }

    /// Ends the registration of a peer that has registered with another engine, where it is seen at `public`.
    pub(super) fn replace(
        &mut self,
        now: Instant,
        peer: PeerId,
        (transport, public): (Transport, Endpoint),
        common: &mut Common,
    ) {
        let Some(&index) = self.by_peer.get(&peer) else {
            return;
        };
        if let Some(registration) = self.table.get_mut(&index)
            && !registration.places().any(|place| (place.slot.0, place.public) == (transport, public))
        {
            registration.tell_replaced(common);
        }
        self.remove(now, index, UnregisterReason::Replaced, common);
    }

    /// Ends a registration.
    pub(super) fn remove(&mut self, now: Instant, index: Index, reason: UnregisterReason, common: &mut Common) {
        let Some(mut registration) = self.table.remove(&index) else {
            return;
        };
        let peer = registration.peer;
        self.by_peer.remove(&peer);
        if let Some(count) = self.per_source.get_mut(&registration.home) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&registration.home);
            }
        }
        self.freed.push(index);
        common.out.event(ServerEvent::Unregistered { peer, reason });
        let unanswered = registration.end(now, common);
        self.reject_all(now, unanswered, common);
    }

    /// Sends a request to a peer on its binding for the introduction's transport.
    pub(super) fn tell(
        &mut self,
        now: Instant,
        peer: PeerId,
        introduction: &Introduction,
        request: Request,
        common: &mut Common,
    ) {
        if let Some(registration) = self.by_peer_mut(peer)
            && let Some(slot) = slot_for(registration, introduction)
        {
            registration.request(now, slot, request, Purpose::Tell, common);
        }
    }

    /// Tells an initiator that its session will not come about.
    pub(super) fn reject(&mut self, now: Instant, introduction: &Introduction, code: Refusal, common: &mut Common) {
        let Introduction { initiator, session, transport } = *introduction;
        if !self.by_peer.contains_key(&initiator) {
            common.ask(now, initiator, Ask::Rejected(initiator, session, transport, code), Errand::Tell);
            return;
        }
        // [R-INTRO-015]
        let rejected = Request::Rejected(Rejected { session, code });
        self.tell(now, initiator, introduction, rejected, common);
    }

    pub(super) fn on_requests_due(&mut self, now: Instant, index: Index, common: &mut Common) {
        if let Some(registration) = self.table.get_mut(&index) {
            let given_up = registration.on_requests_due(now, common);
            self.reject_all(now, given_up, common);
        }
    }

    pub(super) fn on_echoes_due(&mut self, now: Instant, index: Index, common: &mut Common) {
        if let Some(registration) = self.table.get_mut(&index) {
            registration.on_echoes_due(now, common);
        }
    }

    pub(super) fn on_probes_due(&mut self, now: Instant, index: Index, common: &mut Common) {
        if let Some(registration) = self.table.get_mut(&index) {
            registration.on_probes_due(now, common);
        }
    }

    pub(super) fn on_lifetime(&mut self, now: Instant, index: Index, common: &mut Common) {
        if let Some(registration) = self.table.get_mut(&index)
            && !registration.on_lifetime(now, common)
        {
            // [R-REG-017]
            self.remove(now, index, UnregisterReason::Expired, common);
        }
    }

    pub(super) fn on_stream_lost(&mut self, now: Instant, index: Index, stream: StreamId, common: &mut Common) {
        let Some(registration) = self.table.get_mut(&index) else {
            return;
        };
        let unanswered = registration.on_stream_lost(stream, common);
        let ended = registration.bindings().is_empty();
        self.reject_all(now, unanswered, common);
        if ended {
            self.remove(now, index, UnregisterReason::StreamClosed, common);
        }
    }

    /// An index that may be issued again.
    pub(super) fn next_freed(&mut self) -> Option<Index> {
        self.freed.pop()
    }

    fn reject_all(&mut self, now: Instant, introductions: Vec<Introduction>, common: &mut Common) {
        for introduction in introductions {
            self.reject(now, &introduction, Refusal::NOT_REGISTERED, common);
        }
    }
}

/// The binding that carries an introduction's messages: one of its transport, else any.
fn slot_for(registration: &Registration, introduction: &Introduction) -> Option<Slot> {
    let slots = || registration.bindings().iter().map(|b| b.link.slot());
    slots().find(|slot| slot.0 == introduction.transport).or_else(|| slots().next())
}
