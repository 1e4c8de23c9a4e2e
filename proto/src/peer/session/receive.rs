//! What arrives for a session, on whichever path (`spec/punching.md`, `spec/sessions.md`).

use alloc::vec::Vec;

use super::paths::{arrival, same};
use super::{CloseReason, PathState, PeerEvent, Role, Session, Stage};
use crate::discard::Discard;
use crate::endpoint::Address;
use crate::peer::core::{Core, Timer};
use crate::peer::leg::{Leg, decode_all};
use crate::peer::path::{Link, Path, PathId};
use crate::replay::Arrival;
use crate::request::Seen;
use crate::time::Duration;
use crate::wire::control::{Acknowledge, PathReply};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::sealed::Sealed;
use crate::wire::{Packet, Punch, PunchReply};

/// Where a packet came from.
#[derive(Clone, Copy, Debug)]
pub(in crate::peer) struct Source {
    pub(in crate::peer) link: Link,
    /// The local address that it was sent to.
    pub(in crate::peer) local: Option<Address>,
    /// The length of the whole packet.
    pub(in crate::peer) octets: usize,
}

impl Session {
    /// The initiator's punch.
    pub(in crate::peer) fn on_punch(&mut self, core: &mut Core, source: Source, punch: &Punch) -> Result<(), Discard> {
        let Role::Responder { hash, .. } = &self.role else {
            return Err(Discard::MessageUnexpected);
        };
        if self.stage == Stage::Ended {
            return Err(Discard::SessionUnknown);
        }
        // [R-PUNCH-002] No public-key work for a punch.
        if hash[..16] != punch.proof {
            return Err(Discard::ProofWrong);
        }
        // [R-PUNCH-003]
        let Some(at) = self.path_at(core, source) else {
            return Err(Discard::OverLimit);
        };
        let Some(remote) = self.paths[at].remote() else {
            return Err(Discard::MessageUnexpected);
        };
        let Some((packet, nonce)) = self.opening(core, at, Some((punch.nonce, remote))) else {
            return Err(Discard::MessageUnexpected);
        };
        self.paths[at].remember(nonce, false);
        self.deliver(core, at, &packet);
        Ok(())
    }

    /// The responder's punch, or its answer to one.
    pub(in crate::peer) fn on_punch_reply(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        source: Source,
        reply: &PunchReply<'_>,
    ) -> Result<(), Discard> {
        if self.stage == Stage::Ended {
            return Err(Discard::SessionUnknown);
        }
        let Packet::Sealed(sealed) = Packet::decode(reply.sealed)? else {
            // [R-WIRE-013]
            return Err(Discard::KindUnknown);
        };
        if sealed.index != self.index {
            return Err(Discard::IndexUnknown);
        }
        // [R-PUNCH-006]
        if self.has_tried_enough() {
            return Err(Discard::OverLimit);
        }
        match self.read_message_2(core, reply.message_2) {
            Ok(Some(verified)) => {
                let opened = verified.association.open(&sealed, arrival(source.link));
                if let Err(discard) = opened.and_then(|plaintext| decode_all(&plaintext).map(drop)) {
                    self.count_failure();
                    return Err(discard);
                }
                self.on_keys(core, leg, verified, reply.message_2);
                // The keys stay, whatever becomes of the packet that brought them.
                if let Err(discard) = self.on_sealed(core, leg, source, &sealed) {
                    core.note(discard);
                }
                Ok(())
            }
            Ok(None) => self.on_sealed(core, leg, source, &sealed),
            Err(discard) => {
                self.count_failure();
                Err(discard)
            }
        }
    }

    /// A sealed packet with this session's index.
    pub(in crate::peer) fn on_sealed(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        source: Source,
        sealed: &Sealed<'_>,
    ) -> Result<(), Discard> {
        let Some(association) = &mut self.association else {
            return Err(Discard::IndexUnknown);
        };
        // [R-PUNCH-010]
        let plaintext = association.open(sealed, arrival(source.link))?;
        let messages = match decode_all(&plaintext).and_then(|messages| self.vet(source, &messages).map(|()| messages))
        {
            Ok(messages) => messages,
            Err(discard) => {
                self.count_on_stream(source, sealed);
                return Err(discard);
            }
        };
        if source.link == Link::Relay && self.channel.is_none() {
            return Err(Discard::ChannelUnknown);
        }
        let at =
            // [R-PUNCH-008] [R-KEEP-005]
            if source.link == Link::Relay { None } else { Some(self.path_at(core, source).ok_or(Discard::OverLimit)?) };
        if let Some(association) = &mut self.association {
            association.enter(sealed, arrival(source.link));
        }
        // [R-INTRO-013]
        if self.stage == Stage::Keyed {
            self.on_confirmed(core, leg);
        }
        // How the other side sees this one is worth knowing from the first packet on.
        let observed = messages.iter().find_map(|message| match message {
            Message::Request(_, Request::PathCheck(check)) => Some(check.observed),
            _ => None,
        });
        if let (Some(at), Some(observed)) = (at, observed) {
            self.paths[at].mapped = Some(observed);
        }
        if at.is_some_and(|at| self.proposals.doubted == Some(self.paths[at].id)) {
            self.proposals.doubted = None;
        }
        if let Some(at) = at
            && self.paths[at].on_heard(core.now, source.octets)
            && self.stage != Stage::Ended
        {
            let path = self.info(&self.paths[at]);
            core.event(PeerEvent::Path { session: self.handle, state: PathState::Heard, path });
        }
        if source.link == Link::Relay {
            self.relay.on_heard(core.now);
            if self.stage == Stage::Established {
                core.timers.clear(Timer::Expire(self.handle));
            }
        }
        let id = at.map(|at| self.paths[at].id);
        let mut replies = Vec::new();
        for message in messages {
            self.on_message(core, leg, id, message, &mut replies);
        }
        // What a message did may have moved the path in the table.
        match id.and_then(|id| self.paths.iter().position(|path| path.id == id)) {
            Some(at) => self.answer_on(core, at, replies),
            None if source.link == Link::Relay && !replies.is_empty() => self.send_relay(core, leg, &replies),
            None => {}
        }
        self.flush(core, leg);
        Ok(())
    }

    /// A packet on a stream counts once it opened, whatever is in it: the next one has the next number.
    fn count_on_stream(&mut self, source: Source, sealed: &Sealed<'_>) {
        if let (Arrival::Stream, Some(association)) = (arrival(source.link), &mut self.association) {
            association.enter(sealed, Arrival::Stream);
        }
    }

    /// Refuses a nonce that was not sent where it comes from, before the packet counts as seen.
    fn vet(&self, source: Source, messages: &[Message<'_>]) -> Result<(), Discard> {
        let [Message::Answer(_, Reply::PathReply(reply))] = messages else {
            return Ok(());
        };
        let here = |path: &Path| same(path.link, source.link);
        let shot = self.shot_at(source.link).contains(&reply.nonce);
        if shot || self.paths.iter().any(|path| here(path) && path.sent_nonce(&reply.nonce)) {
            return Ok(());
        }
        // [R-PUNCH-020]
        let elsewhere = self.paths.iter().any(|path| path.sent_nonce(&reply.nonce));
        Err(if elsewhere { Discard::NonceWrongSource } else { Discard::NonceUnknown })
    }

    fn on_message(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        path: Option<PathId>,
        message: Message<'_>,
        replies: &mut Vec<Message<'static>>,
    ) {
        match message {
            Message::Request(id, request) => self.on_request(core, leg, path, id, request, replies),
            Message::Answer(_, Reply::PathReply(reply)) => {
                // [R-PUNCH-019]
                if let Some(at) = self.position(path)
                    && self.paths[at].sent_nonce(&reply.nonce)
                {
                    self.on_path_reply(core, leg, at, &reply);
                } else if !(path.is_none() && self.relay.awaits(&reply.nonce)) {
                    core.note(Discard::NonceUnknown);
                }
            }
            Message::Answer(id, Reply::Acknowledge(_)) if self.expects_attempted(id) => {
                // [R-SESS-006]
                core.note(Discard::MessageUnexpected);
            }
            Message::Answer(id, Reply::Acknowledge(_)) => match self.requests.answered(core.now, id) {
                Some(asked) => {
                    self.schedule_requests(core);
                    if matches!(asked.request, Request::Close(_)) {
                        core.timers.set(Timer::Expire(self.handle), core.now + Duration::from_micros(1));
                    }
                }
                // [R-SESS-006]
                None => core.note(Discard::RequestUnknown),
            },
            Message::Answer(id, Reply::Attempted(attempted)) => match self.requests.get(id).map(|asked| &asked.request)
            {
                Some(Request::Attempt(proposal)) => {
                    let proposal = proposal.clone();
                    self.requests.answered(core.now, id);
                    self.schedule_requests(core);
                    if self.stage == Stage::Established {
                        self.on_attempted(core, leg, &proposal, &attempted);
                    }
                }
                Some(_) => core.note(Discard::MessageUnexpected),
                None => core.note(Discard::RequestUnknown),
            },
            Message::Answer(..) => core.note(Discard::MessageUnexpected),
            // [R-SEC-006]
            Message::Datagram(_) | Message::Data { .. } | Message::Ack(_) if self.stage != Stage::Established => {
                core.note(Discard::SessionUnknown);
            }
            Message::Datagram(octets) => {
                core.outbox.event_with(PeerEvent::Datagram { session: self.handle, octets: &[] }, octets);
            }
            Message::Data { offset, octets } => self.on_data(core, offset, octets),
            Message::Ack(ack) => self.on_ack(core, leg, ack),
            Message::Unknown(_) => {}
        }
    }

    fn on_request(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        path: Option<PathId>,
        id: RequestId,
        request: Request,
        replies: &mut Vec<Message<'static>>,
    ) {
        let acknowledge = Reply::Acknowledge(Acknowledge {});
        // [R-PUNCH-021]
        // A check is answered where it came from, each time anew.
        if let Request::PathCheck(check) = request {
            let observed = self.position(path).and_then(|at| self.paths[at].remote()).unwrap_or(check.observed);
            replies.push(Message::Answer(id, Reply::PathReply(PathReply { nonce: check.nonce, observed })));
            return;
        }
        // [R-SESS-004]
        match self.answers.enter(id) {
            Seen::New => {}
            Seen::Pending => return,
            Seen::Answered(reply) => return replies.push(Message::Answer(id, reply)),
        }
        match request {
            Request::Select(_) => self.on_select(core, leg, path),
            Request::Attempt(proposal) => {
                if let Some(attempted) = self.on_proposal(core, leg, (id, path), &proposal) {
                    let reply = Reply::Attempted(attempted);
                    self.answers.answer(id, &reply);
                    replies.push(Message::Answer(id, reply));
                }
                return;
            }
            Request::Close(_) => {
                // [R-SESS-020]
                self.end(core, CloseReason::Remote);
                core.timers.set(Timer::Expire(self.handle), core.now + super::ENDED_LINGER);
            }
            Request::Finish(finish) => self.on_finish(core, finish.offset),
            Request::PathCheck(_)
            | Request::Refresh(_)
            | Request::Unregister(_)
            | Request::Echo(_)
            | Request::Replaced(_)
            | Request::Connect(_)
            | Request::Introduce(_)
            | Request::Answered(_)
            | Request::Rejected(_)
            | Request::RelayOpen(_) => {
                return core.note(Discard::WrongRole);
            }
        }
        self.answers.answer(id, &acknowledge);
        replies.push(Message::Answer(id, acknowledge));
    }

    /// Whether a request is one that `Acknowledge` does not answer.
    fn expects_attempted(&self, id: RequestId) -> bool {
        self.requests.get(id).is_some_and(|asked| matches!(asked.request, Request::Attempt(_)))
    }

    /// Sends answers on a path, with a check of its own while it is not proved.
    fn answer_on(&mut self, core: &mut Core, at: usize, mut replies: Vec<Message<'static>>) {
        if self.stage == Stage::Ended {
            if !replies.is_empty() && self.paths[at].allows(0) {
                self.send_on(core, at, &replies);
            }
            return;
        }
        if self.paths[at].state() == PathState::Heard && self.paths[at].check_at <= core.now {
            let check = self.check(core, at, false);
            replies.push(check);
            self.count_check(core, at);
        }
        if !replies.is_empty() {
            self.send_on(core, at, &replies);
        }
    }
}
