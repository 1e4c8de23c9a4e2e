//! One registered peer: its key state, its bindings, what was asked and answered
//! (`spec/registration.md`).

use alloc::vec::Vec;

use super::binding::{Binding, Probe, Verdict};
use super::common::{Common, Timer};
use super::echo::Echoes;
use super::link::{Link, Slot};
use super::pending::Proved;
use crate::association::Association;
use crate::constants::{KEY_LIFETIME, REFRESH, REGISTRATION_LIFETIME};
use crate::discard::Discard;
use crate::endpoint::Address;
use crate::engine::{StreamId, Transport};
use crate::key::PeerId;
use crate::request::{Answers, Due, Requests, Seen};
use crate::time::Instant;
use crate::wire::code::Policy;
use crate::wire::control::{Acknowledge, Echo, PathCheck, PathReply, Refresh, Refreshed, Replaced};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::{Index, List, SessionId};

/// A registered peer.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) peer: PeerId,
    pub(super) index: Index,
    /// The source that this registration counts for.
    pub(super) home: Address,
    pub(super) association: Association,
    pub(super) terms: Terms,
    requests: Requests<Errand>,
    answers: Answers,
    bindings: Vec<Binding>,
    probes: Vec<Probe>,
    echoes: Echoes,
    /// When it took effect.
    since: Instant,
}

/// What the peer allows, as its last `Refresh` said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) policy: Policy,
    pub(super) disclose: bool,
    pub(super) relay: bool,
}

/// Why a request was sent to the peer, and where.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    slot: Slot,
    stream: Option<StreamId>,
    purpose: Purpose,
}

/// Why a request was sent to the peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Another peer wants a session.
    Introduce(Introduction),
    /// To see whether a binding is alive that would be replaced.
    CheckOld,
    /// To tell; the answer changes nothing.
    Tell,
}

/// An introduction that the responder has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Introduction {
    pub(super) initiator: PeerId,
    pub(super) session: SessionId,
    pub(super) transport: Transport,
}

/// What an answer of the peer means to others.
pub(super) enum Outcome {
    Nothing,
    /// The responder answered an introduction, with `Answer` or `Refuse`.
    Introduction(Introduction, Reply),
}

impl Registration {
    /// The registration of a peer that has proved its link.
    pub(super) fn new(now: Instant, proved: Proved, common: &mut Common) -> Self {
        let mut registration = Self {
            peer: proved.peer,
            index: proved.index,
            home: proved.link.remote().source_prefix(),
            association: proved.association,
            // Until its first Refresh a peer has agreed to nothing.
            terms: Terms { policy: Policy::CLOSED, disclose: false, relay: false },
            requests: Requests::resume(proved.next_request, proved.round_trip),
            answers: Answers::default(),
            // Most peers have one, and this is most of what a peer costs.
            bindings: Vec::with_capacity(1),
            probes: Vec::new(),
            echoes: Echoes::default(),
            since: now,
        };
        let binding = Binding { link: proved.link, lane: proved.lane, private: List::default(), expires: None };
        registration.bind(now, binding, common);
        registration
    }

    pub(super) fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    pub(super) fn binding(&self, slot: Slot) -> Option<&Binding> {
        self.bindings.iter().find(|binding| binding.link.slot() == slot)
    }

    /// Whether the peer has proved `link`.
    pub(super) fn is_bound(&self, link: Link) -> bool {
        self.bindings.iter().any(|binding| binding.link == link)
    }

    /// The round trip to the peer in microseconds, 0 when it was not measured.
    pub(super) fn smoothed_round_trip(&self) -> u32 {
        self.requests.round_trip().map_or(0, |round_trip| u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX))
    }

    /// Looks a request up that came by a proved link; `None` when it was dealt with.
    pub(super) fn enter(
        &mut self,
        link: Link,
        id: RequestId,
        common: &mut Common,
    ) -> Result<Option<RequestId>, Discard> {
        // [R-REG-014]
        if !self.is_bound(link) {
            return Err(Discard::SourceWrong);
        }
        // [R-SESS-004]
        match self.answers.enter(id) {
            Seen::New => Ok(Some(id)),
            Seen::Pending => Ok(None),
            Seen::Answered(reply) => {
                self.send(link.slot(), &[Message::Answer(id, reply)], common);
                Ok(None)
            }
        }
    }

    /// Answers a request that [`enter`](Self::enter) let in.
    pub(super) fn answer(&mut self, slot: Slot, id: RequestId, reply: Reply, common: &mut Common) {
        self.answers.answer(id, &reply);
        self.send(slot, &[Message::Answer(id, reply)], common);
    }

    /// Sends a request to the peer's binding; `false` when too many are unanswered.
    pub(super) fn request(
        &mut self,
        now: Instant,
        slot: Slot,
        request: Request,
        purpose: Purpose,
        common: &mut Common,
    ) -> bool {
        let stream = self.binding(slot).and_then(|binding| binding.link.stream());
        let errand = Errand { slot, stream, purpose };
        let Some(id) = self.requests.begin(now, request.clone(), errand, stream.is_some()) else {
            return false;
        };
        self.send(slot, &[Message::Request(id, request)], common);
        self.arm(common);
        true
    }

    /// Keeps the binding that `Refresh` came by, or starts to prove it.
    pub(super) fn on_refresh(
        &mut self,
        now: Instant,
        (link, length): (Link, usize),
        id: RequestId,
        refresh: &Refresh,
        common: &mut Common,
    ) {
        let slot = link.slot();
        let seen = self.answers.enter(id);
        if !self.is_bound(link) {
            self.probe(now, (link, length), id, refresh, common);
        } else if let Seen::Answered(reply) = seen {
            self.send(slot, &[Message::Answer(id, reply)], common);
        } else {
            self.drop_probes(|probe| probe.link.slot() == slot && probe.on_old_alive() == Verdict::Drop);
            self.accept(now, link, id, refresh, common);
        }
        self.arm(common);
    }

    /// Notes that the peer wants an answer later, at an endpoint that need not be a binding.
    pub(super) fn on_echo(
        &mut self,
        now: Instant,
        link: Link,
        id: RequestId,
        echo: Echo,
        common: &mut Common,
    ) -> Result<(), Discard> {
        // [R-KEEP-008] Whatever peers ask for, nothing goes to an address that has not asked for it.
        let at_home = |binding: &Binding| {
            let bound = binding.link;
            bound.transport() == Transport::Udp && bound.remote().address() == link.remote().address()
        };
        if link.transport() != Transport::Udp || !self.bindings.iter().any(at_home) {
            return Err(Discard::SourceWrong);
        }
        // [R-KEEP-009]
        if self.echoes.is_full() {
            return Err(Discard::OverLimit);
        }
        // [R-SESS-005]
        if self.answers.enter(id) == Seen::New {
            self.echoes.enter(now, link, id, echo);
            self.on_echoes_due(now, common);
        }
        Ok(())
    }

    /// Sends the answers whose time has come.
    pub(super) fn on_echoes_due(&mut self, now: Instant, common: &mut Common) {
        while let Some((link, id)) = self.echoes.due(now) {
            // [R-KEEP-007] Not longer than what asked for it.
            let reply = Reply::Acknowledge(Acknowledge {});
            self.answers.answer(id, &reply);
            let packet = self.association.seal(None, &[Message::Answer(id, reply)]);
            common.send(link, &packet);
        }
        self.arm(common);
    }

    /// Takes the peer's answer to a request of the server.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        link: Link,
        id: RequestId,
        reply: &Reply,
        common: &mut Common,
    ) -> Result<Outcome, Discard> {
        if let Reply::PathReply(PathReply { nonce, .. }) = reply
            && let Some(at) = self.probes.iter().position(|probe| probe.check == id)
        {
            let probe = &mut self.probes[at];
            if probe.nonce != *nonce {
                return Err(Discard::NonceUnknown);
            }
            // [R-REG-012]
            if probe.link != link {
                return Err(Discard::NonceWrongSource);
            }
            if probe.on_answer() == Verdict::Take {
                self.take(now, at, common);
            }
            self.arm(common);
            return Ok(Outcome::Nothing);
        }
        // [R-SESS-006]
        let asked = self.requests.get(id).ok_or(Discard::RequestUnknown)?;
        let errand = asked.tag.clone();
        match (errand.purpose, &asked.request, reply) {
            (Purpose::Introduce(introduction), _, Reply::Answer(_) | Reply::Refuse(_)) => {
                self.requests.answered(now, id);
                self.arm(common);
                Ok(Outcome::Introduction(introduction, reply.clone()))
            }
            (Purpose::CheckOld, Request::PathCheck(check), Reply::PathReply(answer)) => {
                if answer.nonce != check.nonce {
                    return Err(Discard::NonceUnknown);
                }
                if link.slot() != errand.slot || !self.is_bound(link) {
                    return Err(Discard::NonceWrongSource);
                }
                self.requests.answered(now, id);
                self.drop_probes(|probe| probe.link.slot() == errand.slot && probe.on_old_alive() == Verdict::Drop);
                self.arm(common);
                Ok(Outcome::Nothing)
            }
            (Purpose::Tell, _, Reply::Acknowledge(_)) => {
                self.requests.answered(now, id);
                self.arm(common);
                Ok(Outcome::Nothing)
            }
            (Purpose::Introduce(_) | Purpose::CheckOld | Purpose::Tell, _, _) => Err(Discard::MessageUnexpected),
        }
    }

    /// Repeats what is due; returns the introductions that were given up.
    pub(super) fn on_requests_due(&mut self, now: Instant, common: &mut Common) -> Vec<Introduction> {
        let mut given_up = Vec::new();
        while let Some(due) = self.requests.due(now) {
            match due {
                Due::Repeat(id, request, errand) => {
                    self.send(errand.slot, &[Message::Request(id, request)], common);
                }
                Due::GaveUp(_, errand) => {
                    if let Purpose::Introduce(introduction) = errand.purpose {
                        given_up.push(introduction);
                    }
                    // A stream on which nothing comes back is dead, though TCP has not noticed.
                    if let Some(stream) = errand.stream {
                        common.end_stream(stream, true);
                    }
                }
            }
        }
        self.arm(common);
        given_up
    }

    pub(super) fn on_probes_due(&mut self, now: Instant, common: &mut Common) {
        while let Some(at) = self.probes.iter().position(|probe| probe.due() <= now) {
            match self.probes[at].on_due() {
                Verdict::Wait => {}
                Verdict::Take => self.take(now, at, common),
                Verdict::Drop => {
                    self.probes.remove(at);
                }
            }
        }
        self.arm(common);
    }

    /// Drops the bindings that were not refreshed; `false` when none is left.
    pub(super) fn on_lifetime(&mut self, now: Instant, common: &mut Common) -> bool {
        let worn = self.worn();
        // [R-REG-017]
        self.bindings.retain(|binding| binding.expires.is_none_or(|at| at > now) && worn > now);
        self.arm(common);
        !self.bindings.is_empty()
    }

    /// Drops what depended on a stream; returns the introductions that were sent on it.
    pub(super) fn on_stream_lost(&mut self, stream: StreamId, common: &mut Common) -> Vec<Introduction> {
        self.bindings.retain(|binding| binding.link.stream() != Some(stream));
        self.drop_probes(|probe| probe.link.stream() == Some(stream));
        let lost = self.forget(|errand| errand.stream == Some(stream));
        self.arm(common);
        lost
    }

    /// Tells the peer, once on each binding, that its key registered anew elsewhere.
    pub(super) fn tell_replaced(&mut self, common: &mut Common) {
        // [R-REG-010]
        for slot in self.slots() {
            let id = self.requests.reserve();
            let replaced = Message::Request(id, Request::Replaced(Replaced {}));
            self.send(slot, &[replaced], common);
        }
    }

    /// Lets go of timers and streams; returns the introductions that stay unanswered.
    pub(super) fn end(&mut self, now: Instant, common: &mut Common) -> Vec<Introduction> {
        let index = self.index;
        for timer in [Timer::Echoes(index), Timer::Lifetime(index), Timer::Probes(index), Timer::Requests(index)] {
            common.timers.clear(timer);
        }
        for stream in self.bindings.iter().filter_map(|b| b.link.stream()) {
            common.streams.unbind(now, stream, self.index, &mut common.timers);
        }
        self.forget(|_| true)
    }

    /// When its keys are worn out.
    fn worn(&self) -> Instant {
        // [R-SEC-005] So many packets would take 12 million a second.
        self.since + KEY_LIFETIME
    }

    fn slots(&self) -> Vec<Slot> {
        self.bindings.iter().map(|b| b.link.slot()).collect()
    }

    fn forget(&mut self, which: impl Fn(&Errand) -> bool) -> Vec<Introduction> {
        let mut forgotten = Vec::new();
        self.requests.forget(|_, errand| {
            let drop = which(errand);
            if let (true, Purpose::Introduce(introduction)) = (drop, errand.purpose) {
                forgotten.push(introduction);
            }
            drop
        });
        forgotten
    }

    fn drop_probes(&mut self, which: impl Fn(&Probe) -> bool) {
        self.probes.retain(|probe| !which(probe));
    }

    fn send(&mut self, slot: Slot, messages: &[Message<'_>], common: &mut Common) {
        let binding = self.bindings.iter_mut().find(|binding| binding.link.slot() == slot);
        if let Some(binding) = binding {
            let packet = self.association.seal(binding.lane.as_mut(), messages);
            common.send(binding.link, &packet);
        }
    }

    /// Asks the link that a `Refresh` came by whether the peer is there, and the one that it would replace.
    fn probe(
        &mut self,
        now: Instant,
        (link, length): (Link, usize),
        id: RequestId,
        refresh: &Refresh,
        common: &mut Common,
    ) {
        let slot = link.slot();
        let same = self.probes.iter().position(|probe| probe.link == link);
        let at = same.unwrap_or_else(|| {
            self.probes.retain(|probe| probe.link.slot() != slot);
            // [R-REG-013]
            let contested = slot.0 == Transport::Udp && !refresh.moved && self.binding(slot).is_some();
            let lane = link.stream().map(|_| self.association.lane());
            let check = (common.visible.octets(), self.requests.reserve());
            let wish = (refresh.clone(), id);
            self.probes.push(Probe::new(now, link, lane, check, wish, contested));
            if contested {
                self.check_old(now, slot, common);
            }
            self.probes.len() - 1
        });
        let probe = &mut self.probes[at];
        probe.on_refresh(refresh.clone(), id);
        probe.credit += length;
        // [R-REG-012]
        let check = Message::Request(
            probe.check,
            Request::PathCheck(PathCheck { nonce: probe.nonce, observed: link.remote() }),
        );
        let packet = self.association.seal(probe.lane.as_mut(), &[check]);
        if link.stream().is_some() {
            common.send(link, &packet);
        } else if let Some(left) = probe.credit.checked_sub(packet.len()) {
            // [R-SEC-020] No more goes to an unproved endpoint than came from it.
            probe.credit = left;
            common.send(link, &packet);
        }
    }

    fn check_old(&mut self, now: Instant, slot: Slot, common: &mut Common) {
        let Some(binding) = self.binding(slot) else {
            return;
        };
        let check = Request::PathCheck(PathCheck { nonce: common.visible.octets(), observed: binding.link.remote() });
        self.requests.forget(|_, errand| errand.slot == slot && matches!(errand.purpose, Purpose::CheckOld));
        self.request(now, slot, check, Purpose::CheckOld, common);
    }

    /// Makes a binding of a probe that has answered.
    fn take(&mut self, now: Instant, at: usize, common: &mut Common) {
        let probe = self.probes.remove(at);
        let slot = probe.link.slot();
        self.requests.forget(|_, errand| errand.slot == slot && matches!(errand.purpose, Purpose::CheckOld));
        let binding = Binding { link: probe.link, lane: probe.lane, private: List::default(), expires: None };
        self.bind(now, binding, common);
        self.accept(now, probe.link, probe.request, &probe.refresh, common);
    }

    /// Enters a binding in the place of the one of the same transport and family.
    fn bind(&mut self, now: Instant, mut binding: Binding, common: &mut Common) {
        let slot = binding.link.slot();
        if let Some(at) = self.bindings.iter().position(|b| b.link.slot() == slot) {
            let old = self.bindings.remove(at);
            if let Some(stream) = old.link.stream() {
                common.streams.unbind(now, stream, self.index, &mut common.timers);
                common.end_stream(stream, false);
            }
        }
        match binding.link {
            Link::Datagram { .. } => binding.expires = Some(now + REGISTRATION_LIFETIME),
            Link::Stream { stream, .. } => {
                common.streams.bind(stream, self.index, &mut common.timers);
            }
        }
        common.out.event(super::api::ServerEvent::Registered {
            peer: self.peer,
            transport: slot.0,
            public: binding.link.remote(),
            since: self.since,
        });
        let at = self.bindings.partition_point(|other| other.link.slot() <= binding.link.slot());
        self.bindings.insert(at, binding);
        self.arm(common);
    }

    /// Does what a `Refresh` by a proved link asks.
    fn accept(&mut self, now: Instant, link: Link, id: RequestId, refresh: &Refresh, common: &mut Common) {
        let slot = link.slot();
        self.terms = Terms { policy: refresh.policy, disclose: refresh.disclose, relay: refresh.relay };
        if let Some(binding) = self.bindings.iter_mut().find(|b| b.link == link) {
            binding.link = link;
            binding.private = refresh.private.clone();
            if binding.expires.is_some() {
                binding.expires = Some(now + REGISTRATION_LIFETIME);
            }
        }
        let seconds = |span: crate::time::Duration| u16::try_from(span.as_secs()).unwrap_or(0);
        // [R-REG-016]
        let refreshed = Reply::Refreshed(Refreshed {
            lifetime: seconds(REGISTRATION_LIFETIME),
            // [R-REG-018]
            interval: seconds(REFRESH),
            observed: link.remote(),
        });
        self.answer(slot, id, refreshed, common);
    }

    /// Sets the timers to what is due next.
    fn arm(&self, common: &mut Common) {
        let lifetime = self.bindings.iter().filter_map(|b| b.expires).chain([self.worn()]).min();
        let probes = self.probes.iter().map(Probe::due).min();
        for (timer, at) in [
            (Timer::Lifetime(self.index), lifetime),
            (Timer::Probes(self.index), probes),
            (Timer::Echoes(self.index), self.echoes.deadline()),
            (Timer::Requests(self.index), self.requests.deadline()),
        ] {
            match at {
                Some(at) => common.timers.set(timer, at),
                None => common.timers.clear(timer),
            }
        }
    }
}
