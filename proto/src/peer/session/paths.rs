//! Which path carries data, and what goes out on which (`spec/punching.md`, "Paths" and "Selection").

use alloc::vec::Vec;

use super::handshake::proof;
use super::{PathState, PeerEvent, RelayPolicy, Role, Selection, Session, Source, Stage, Way, relay_info};
use crate::association::Association;
use crate::constants::{LOSER_LINGER, SEAL_OVERHEAD};
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::peer::api::PathKind;
use crate::peer::core::{Core, Timer};
use crate::peer::leg::Leg;
use crate::peer::path::{Link, PathId};
use crate::replay::Arrival;
use crate::time::Duration;
use crate::wire::code::Strategy;
use crate::wire::control::{PathCheck, PathReply, Select};
use crate::wire::message::{Message, Reply, Request};
use crate::wire::sealed::Relayed;
use crate::wire::{Nonce, Packet, Punch, PunchReply};

impl Session {
    pub(super) fn on_path_reply(&mut self, core: &mut Core, leg: &mut Leg, at: usize, reply: &PathReply) {
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
                self.on_direct(core, leg, remote.family());
            }
            let path = self.info(&self.paths[at]);
            core.event(PeerEvent::Path { session: self.handle, state: PathState::Proved, path });
            self.withdraw_verdict(core);
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
            && (old.kind == new.kind || self.proposals.doubted == Some(old.id))
            && old.last_received < new.heard_at
            && !self.attempt.is_running()
    }

    /// Whether a path is worth leaving the selected one for.
    pub(super) fn is_better(&self, at: usize) -> bool {
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

    pub(super) fn on_select(&mut self, core: &mut Core, leg: &mut Leg, path: Option<PathId>) {
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
            self.withdraw_verdict(core);
            self.select(core, leg, Selection::Relay);
            if self.is_initiator() {
                self.confirm_attempt(core, leg);
                // Where the first attempt sends nothing, nothing is waited for.
                if self.attempt.is_running() && !core.config.allowed().contains(Strategy::PLAIN) {
                    core.timers.set(Timer::Attempt(self.handle), core.now + Duration::from_micros(1));
                }
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
    pub(super) fn check(&mut self, core: &mut Core, at: usize, full_size: bool) -> Message<'static> {
        // [R-PUNCH-018]
        let nonce = core.visible.octets();
        self.paths[at].remember(nonce, full_size);
        let observed = self.paths[at].remote().unwrap_or(super::UNSPECIFIED);
        Message::Request(self.requests.reserve(), Request::PathCheck(PathCheck { nonce, observed }))
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

    pub(super) fn send_plaintext(&mut self, core: &mut Core, at: usize, plaintext: &[u8]) {
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
    pub(super) fn deliver(&mut self, core: &mut Core, at: usize, packet: &[u8]) {
        let path = &mut self.paths[at];
        path.sent += packet.len() as u64;
        path.last_sent = core.now;
        match path.link {
            Link::Udp { socket, remote } => {
                let local = path.local.filter(|local| !local.is_unspecified());
                if core.is_open(socket) {
                    core.outbox.transmit(socket, local, remote, packet);
                }
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
    pub(super) fn path_at(&mut self, core: &mut Core, source: Source) -> Option<usize> {
        let known = self.paths.iter().position(|path| same(path.link, source.link));
        let at = match (known, source.link) {
            (Some(at), _) => Some(at),
            (None, Link::Stream { stream, remote }) => self.add_stream_path(core, stream, remote),
            (None, Link::Udp { .. }) => {
                let nonces = self.shot_at(source.link).to_vec();
                let at = self.add_path(core, source.link);
                // What was shot there before it was a path proves it.
                if let Some(path) = at.and_then(|at| self.paths.get_mut(at)) {
                    nonces.into_iter().for_each(|nonce| path.remember(nonce, false));
                }
                at
            }
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

pub(super) fn same(a: Link, b: Link) -> bool {
    match (a, b) {
        (Link::Stream { stream: a, .. }, Link::Stream { stream: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// How packets arrive over a link. What the server relays may be lost with a connection to it, so a
/// relayed stream is no stream here; the byte stream's own offsets order it.
pub(super) const fn arrival(link: Link) -> Arrival {
    match link {
        Link::Stream { .. } => Arrival::Stream,
        Link::Udp { .. } | Link::Relay => Arrival::Datagram,
    }
}
