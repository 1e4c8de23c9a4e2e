//! What arrives and goes out on which path (`spec/punching.md`, "Paths"; `spec/keepalive.md`).

use alloc::vec::Vec;

use super::handshake::proof;
use super::{CloseReason, PathState, PeerEvent, RelayPolicy, Role, Selection, Session, Stage, Way, relay_info};
use crate::association::Association;
use crate::constants::{CONSENT, KEEPALIVE_RETRY, LOSER_LINGER, MAX_PEER_PACKET, MAX_UNANSWERED, SEAL_OVERHEAD};
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::Transport;
use crate::peer::api::PathKind;
use crate::peer::core::{Core, Timer};
use crate::peer::leg::{Leg, decode_all};
use crate::peer::path::{Link, Path, PathId};
use crate::replay::Arrival;
use crate::request::Seen;
use crate::time::Duration;
use crate::wire::control::{Acknowledge, Attempt as Proposal, PathCheck, PathReply, Select};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::sealed::{Relayed, Sealed};
use crate::wire::{Nonce, Packet, Punch, PunchReply};

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
    // --- in ---

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
        if self.paths.iter().any(|path| here(path) && path.sent_nonce(&reply.nonce)) {
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
            Request::Attempt(proposal) => self.on_proposal(core, proposal),
            Request::Close(_) => {
                // [R-SESS-020]
                self.end(core, CloseReason::Remote);
                core.timers.set(Timer::Expire(self.handle), core.now + super::ENDED_LINGER);
            }
            Request::Finish(finish) => self.on_finish(core, finish.offset),
            Request::PathCheck(_)
            | Request::Refresh(_)
            | Request::Unregister(_)
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

    fn on_path_reply(&mut self, core: &mut Core, leg: &mut Leg, at: usize, reply: &PathReply) {
        let was_full_size = self.paths[at].full_size;
        let first = self.paths[at].on_reply(&reply.nonce, reply.observed);
        if self.stage != Stage::Established {
            return;
        }
        if first {
            if matches!(self.paths[at].link, Link::Udp { .. }) {
                // [R-SEC-034]
                self.paths[at].lane = self.association.as_mut().map(Association::lane);
            }
            self.paths[at].checks = 0;
            self.paths[at].check_at = core.now;
            if let Some(remote) = self.paths[at].remote() {
                core.budget.proved(remote.address());
            }
            let path = self.info(&self.paths[at]);
            core.event(PeerEvent::Path { session: self.handle, state: PathState::Proved, path });
            // [R-PUNCH-012]
            self.stop_attempt(core);
            core.timers.clear(Timer::Expire(self.handle));
            core.timers.set_earlier(Timer::Keepalive(self.handle), core.now + core.config.keepalive);
        }
        let id = self.paths[at].id;
        if first && self.took_over(at) {
            return self.select(core, leg, Selection::Path(id));
        }
        if self.select_later == Some(id) {
            self.select_later = None;
            self.select(core, leg, Selection::Path(id));
        } else if self.is_initiator() && self.is_better(at) {
            // [R-PUNCH-025]
            if self.paths[at].full_size && (first || !was_full_size) {
                self.select(core, leg, Selection::Path(id));
            } else if first {
                self.on_check_due(core);
            }
        }
    }

    // --- selection ---

    /// Whether a path that was just proved is the selected one from another endpoint, as when a NAT on the way
    /// forgot its mapping or the other peer moved: the same kind, outside of an attempt, and nothing arrived
    /// on the selected one since this one was heard.
    fn took_over(&self, at: usize) -> bool {
        let Selection::Path(selected) = self.selected else { return false };
        let Some(before) = self.position(Some(selected)) else { return false };
        let (old, new) = (&self.paths[before], &self.paths[at]);
        let udp = matches!((old.link, new.link), (Link::Udp { .. }, Link::Udp { .. }));
        udp && old.id != new.id
            && old.kind == new.kind
            && old.last_received < new.heard_at
            && !self.attempt.is_running()
    }

    /// Whether a path is worth leaving the selected one for.
    fn is_better(&self, at: usize) -> bool {
        let rank = |kind| match kind {
            PathKind::Relayed => 1,
            PathKind::Public => 2,
            PathKind::Private => 3,
        };
        let current = match self.selected {
            Selection::Nothing => 0,
            Selection::Relay => 1,
            Selection::Path(id) => self.paths.iter().find(|path| path.id == id).map_or(0, |path| rank(path.kind)),
        };
        // [R-PUNCH-022]
        self.paths[at].state() == PathState::Proved && rank(self.paths[at].kind) > current
    }

    /// Data takes another way from here on; the one before stays until this one has proved itself.
    pub(super) fn select(&mut self, core: &mut Core, leg: &mut Leg, selection: Selection) {
        if self.selected == selection || self.stage != Stage::Established {
            return;
        }
        // [R-PUNCH-024] [R-RELAY-016] Only sending changes: every way is still read.
        self.selected = selection;
        let path = match selection {
            Selection::Path(id) => match self.paths.iter().find(|path| path.id == id) {
                Some(path) => self.info(path),
                None => return,
            },
            Selection::Relay | Selection::Nothing => relay_info(self.transport),
        };
        core.event(PeerEvent::Selected { session: self.handle, path });
        if selection == Selection::Relay {
            self.relay.on_heard(core.now);
        }
        core.timers.set_earlier(Timer::Keepalive(self.handle), core.now + core.config.keepalive);
        if let Selection::Path(id) = selection
            && self.is_initiator()
        {
            self.request(core, leg, Some(id), Request::Select(Select {}));
            // [R-TCP-010] [R-TCP-011] Only the initiator closes the others, and later.
            if self.transport == Some(Transport::Tcp) {
                core.timers.set(Timer::Losers(self.handle), core.now + LOSER_LINGER);
            }
        }
        self.rewind(core, leg);
    }

    fn on_select(&mut self, core: &mut Core, leg: &mut Leg, path: Option<PathId>) {
        let Some(at) = self.position(path) else {
            return;
        };
        let id = self.paths[at].id;
        // [R-PUNCH-022] [R-PUNCH-023]
        if self.paths[at].state() == PathState::Proved {
            self.select(core, leg, Selection::Path(id));
        } else {
            self.select_later = Some(id);
        }
    }

    /// The initiator ends the streams that were not selected.
    pub(super) fn close_losers(&mut self, core: &mut Core) {
        self.stop_dials(core);
        let Selection::Path(selected) = self.selected else {
            return;
        };
        self.paths.retain(|path| match path.link {
            Link::Stream { stream, .. } if path.id != selected => {
                core.close(stream, false);
                false
            }
            Link::Stream { .. } | Link::Udp { .. } | Link::Relay => true,
        });
    }

    /// Both sides have keys: use the relay, and let the responder know that this side holds its key.
    pub(super) fn after_keys(&mut self, core: &mut Core, leg: &mut Leg) {
        if self.channel.is_some() && self.selected == Selection::Nothing {
            let path = relay_info(self.transport);
            core.event(PeerEvent::Path { session: self.handle, state: PathState::Proved, path });
            self.select(core, leg, Selection::Relay);
            if self.is_initiator() {
                let number = self.attempt.number();
                self.request(core, leg, None, Request::Attempt(Proposal { number }));
            }
        }
        if core.config.relay == RelayPolicy::Only {
            core.timers.set(Timer::Attempt(self.handle), core.now + Duration::from_micros(1));
        }
        self.pump(core, leg);
    }

    // --- out ---

    /// The packet that opens a path: the initiator's `Punch` or the responder's `PunchReply`, and its nonce.
    pub(super) fn opening(
        &mut self,
        core: &mut Core,
        at: usize,
        answer: Option<(Nonce, Endpoint)>,
    ) -> Option<(Vec<u8>, Nonce)> {
        // [R-PUNCH-018]
        let nonce = core.visible.octets();
        let session = self.id;
        match &self.role {
            Role::Initiator { written, .. } => {
                let proof = proof(&written.as_ref()?.0);
                Some((Packet::Punch(Punch { session, nonce, proof }).encode(), nonce))
            }
            Role::Responder { message_2, .. } => {
                let observed = self.paths[at].remote()?;
                let mut messages = Vec::new();
                if let Some((nonce, observed)) = answer {
                    messages.push(Message::Answer(0, Reply::PathReply(PathReply { nonce, observed })));
                }
                let check = PathCheck { nonce, observed };
                messages.push(Message::Request(self.requests.reserve(), Request::PathCheck(check)));
                let association = self.association.as_mut()?;
                let sealed = association.seal(self.paths[at].lane.as_mut(), &messages);
                let reply = PunchReply { session, message_2, sealed: &sealed };
                Some((Packet::PunchReply(reply).encode(), nonce))
            }
        }
    }

    /// A check of a path, whose nonce is remembered.
    fn check(&mut self, core: &mut Core, at: usize, full_size: bool) -> Message<'static> {
        // [R-PUNCH-018]
        let nonce = core.visible.octets();
        self.paths[at].remember(nonce, full_size);
        let observed = self.paths[at].remote().unwrap_or(super::UNSPECIFIED);
        Message::Request(self.requests.reserve(), Request::PathCheck(PathCheck { nonce, observed }))
    }

    fn count_check(&mut self, core: &mut Core, at: usize) {
        let path = &mut self.paths[at];
        path.check_at = core.now + CHECK_RETRY * (1 << path.checks.min(6));
        path.checks = path.checks.saturating_add(1);
        core.timers.set_earlier(Timer::Check(self.handle), path.check_at);
    }

    /// Checks heard paths again, and the size of proved ones.
    pub(super) fn on_check_due(&mut self, core: &mut Core) {
        core.timers.clear(Timer::Check(self.handle));
        if self.stage != Stage::Established {
            return;
        }
        for at in 0..self.paths.len() {
            let path = &self.paths[at];
            let sizing =
                path.state() == PathState::Proved && !path.full_size && self.is_initiator() && self.is_better(at);
            if !(sizing || path.state() == PathState::Heard) || path.checks >= MAX_CHECKS {
                continue;
            }
            if path.check_at > core.now {
                core.timers.set_earlier(Timer::Check(self.handle), path.check_at);
                continue;
            }
            let check = self.check(core, at, sizing);
            if sizing {
                let mut plaintext = Vec::new();
                // [R-PUNCH-025]
                check.encode_padded(MAX_PEER_PACKET - SEAL_OVERHEAD, &mut plaintext);
                self.send_plaintext(core, at, &plaintext);
            } else {
                self.send_on(core, at, &[check]);
            }
            self.count_check(core, at);
        }
    }

    /// Keeps the selected path alive and notices when it died.
    pub(super) fn on_keepalive_due(&mut self, core: &mut Core, leg: &mut Leg) {
        if self.stage != Stage::Established {
            return;
        }
        let selected = match self.selected {
            Selection::Path(selected) => selected,
            Selection::Relay => return self.keep_relay(core, leg),
            Selection::Nothing => return,
        };
        // A path that was proved and not selected is not kept: its consent ends by itself.
        let now = core.now;
        self.paths.retain(|path| {
            path.id == selected || !matches!(path.link, Link::Udp { .. }) || now - path.last_received < CONSENT
        });
        let Some(at) = self.position(Some(selected)) else {
            return;
        };
        let path = &mut self.paths[at];
        // [R-KEEP-001] [R-KEEP-002]
        let used = path.last_received.min(path.last_sent) + core.config.keepalive;
        if path.unanswered == 0 && used > now {
            return core.timers.set(Timer::Keepalive(self.handle), used);
        }
        // [R-KEEP-003]
        if path.unanswered >= MAX_UNANSWERED {
            return self.lose(core, leg, at);
        }
        path.unanswered += 1;
        let check = self.check(core, at, false);
        self.send_on(core, at, &[check]);
        core.timers.set(Timer::Keepalive(self.handle), now + KEEPALIVE_RETRY);
    }

    /// Keeps the relay channel, which the server forgets when nobody uses it, and notices when the other
    /// side does not answer through it.
    fn keep_relay(&mut self, core: &mut Core, leg: &mut Leg) {
        // [R-KEEP-006]
        let due = self.relay.last_received + core.config.keepalive * 2;
        if self.relay.unanswered == 0 && due > core.now {
            return core.timers.set(Timer::Keepalive(self.handle), due);
        }
        if self.relay.unanswered >= MAX_UNANSWERED {
            return self.lose_relay(core, leg);
        }
        let nonce = core.visible.octets();
        self.relay.on_asked(nonce);
        let check = PathCheck { nonce, observed: super::UNSPECIFIED };
        let message = Message::Request(self.requests.reserve(), Request::PathCheck(check));
        self.send_relay(core, leg, &[message]);
        core.timers.set(Timer::Keepalive(self.handle), core.now + KEEPALIVE_RETRY);
    }

    /// The local addresses changed: show the other side where this one is.
    pub(in crate::peer) fn on_moved(&mut self, core: &mut Core) {
        if self.stage != Stage::Established {
            return;
        }
        for at in 0..self.paths.len() {
            if self.paths[at].state() == PathState::Proved && matches!(self.paths[at].link, Link::Udp { .. }) {
                self.paths[at].local = None;
                let check = self.check(core, at, false);
                self.send_on(core, at, &[check]);
            }
        }
        core.timers.set_earlier(Timer::Keepalive(self.handle), core.now + KEEPALIVE_RETRY);
    }

    /// A stream that is a path ended.
    pub(in crate::peer) fn on_stream_closed(&mut self, core: &mut Core, leg: &mut Leg, path: PathId) {
        if let Some(at) = self.position(Some(path)) {
            self.lose(core, leg, at);
        }
    }

    /// A path is gone: back to the relay, and punch again.
    fn lose(&mut self, core: &mut Core, leg: &mut Leg, at: usize) {
        let path = self.paths.remove(at);
        if let Link::Stream { stream, .. } = path.link {
            core.close(stream, true);
        }
        if self.stage != Stage::Established || path.state() == PathState::Untried {
            return;
        }
        core.event(PeerEvent::PathLost { session: self.handle, path: self.info(&path) });
        if self.selected != Selection::Path(path.id) {
            return;
        }
        self.selected = Selection::Nothing;
        // [R-KEEP-004]
        let consents = |path: &Path| path.state() == PathState::Proved && core.now - path.last_received < CONSENT;
        let best = self.paths.iter().position(consents);
        if let Some(best) = best {
            let id = self.paths[best].id;
            self.select(core, leg, Selection::Path(id));
        } else if self.channel.is_some() {
            self.select(core, leg, Selection::Relay);
            self.propose(core, leg);
        } else {
            self.on_nothing_left(core);
            self.open_relay(core, leg);
        }
    }

    /// The way for data of so many octets.
    pub(super) fn way(&self, octets: usize) -> Option<Way> {
        if let Selection::Path(id) = self.selected
            && let Some(at) = self.position(Some(id))
        {
            return Some(Way::Path(at));
        }
        if self.channel.is_some() && self.association.is_some() {
            return Some(Way::Relay);
        }
        let state = |at: usize| self.paths[at].state();
        (0..self.paths.len())
            .filter(|&at| self.paths[at].allows(octets))
            .max_by_key(|&at| (state(at), core::cmp::Reverse(at)))
            .map(Way::Path)
    }

    pub(super) fn send_best(&mut self, core: &mut Core, leg: &mut Leg, messages: &[Message<'_>]) {
        match self.way(super::FULL_MESSAGE) {
            Some(Way::Path(at)) => self.send_on(core, at, messages),
            Some(Way::Relay) => self.send_relay(core, leg, messages),
            None => {}
        }
    }

    pub(super) fn send_on(&mut self, core: &mut Core, at: usize, messages: &[Message<'_>]) {
        let mut plaintext = Vec::new();
        for message in messages {
            message.encode(&mut plaintext);
        }
        self.send_plaintext(core, at, &plaintext);
    }

    fn send_plaintext(&mut self, core: &mut Core, at: usize, plaintext: &[u8]) {
        // [R-PUNCH-017]
        if !self.paths[at].allows(plaintext.len() + SEAL_OVERHEAD) {
            return core.note(Discard::OverLimit);
        }
        let Some(association) = &mut self.association else {
            return;
        };
        let packet = association.seal_plaintext(self.paths[at].lane.as_mut(), plaintext);
        self.deliver(core, at, &packet);
    }

    /// Puts a whole packet on a path.
    fn deliver(&mut self, core: &mut Core, at: usize, packet: &[u8]) {
        let path = &mut self.paths[at];
        path.sent += packet.len() as u64;
        path.last_sent = core.now;
        match path.link {
            Link::Udp { socket, remote } => {
                let local = path.local.filter(|local| !local.is_unspecified());
                core.outbox.transmit(socket, local, remote, packet);
            }
            Link::Stream { stream, .. } => core.write(stream, packet),
            Link::Relay => {}
        }
    }

    pub(super) fn send_relay(&mut self, core: &mut Core, leg: &mut Leg, messages: &[Message<'_>]) {
        let (Some(channel), Some(slot), Some(association)) = (self.channel, self.slot, &mut self.association) else {
            return;
        };
        let sealed = association.seal(self.relay_lane.as_mut(), messages);
        leg.transmit(core, slot, &Packet::Relayed(Relayed { channel, packet: &sealed }).encode());
    }

    /// The path of a source; made if there is none.
    fn path_at(&mut self, core: &mut Core, source: Source) -> Option<usize> {
        let known = self.paths.iter().position(|path| same(path.link, source.link));
        let at = match (known, source.link) {
            (Some(at), _) => Some(at),
            (None, Link::Stream { stream, remote }) => self.add_stream_path(core, stream, remote),
            (None, Link::Udp { .. }) => self.add_path(core, source.link),
            (None, Link::Relay) => None,
        }?;
        if source.local.is_some() {
            self.paths[at].local = source.local;
        }
        Some(at)
    }

    pub(super) fn position(&self, path: Option<PathId>) -> Option<usize> {
        let id = path?;
        self.paths.iter().position(|path| path.id == id)
    }
}

fn same(a: Link, b: Link) -> bool {
    match (a, b) {
        (Link::Stream { stream: a, .. }, Link::Stream { stream: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// How packets arrive over a link. What the server relays may be lost with a connection to it, so a
/// relayed stream is no stream here; the byte stream's own offsets order it.
const fn arrival(link: Link) -> Arrival {
    match link {
        Link::Stream { .. } => Arrival::Stream,
        Link::Udp { .. } | Link::Relay => Arrival::Datagram,
    }
}

/// The first wait for the answer to a check of a path that is not selected.
const CHECK_RETRY: Duration = Duration::from_millis(150);
/// The most such checks of a path.
const MAX_CHECKS: u8 = 7;
