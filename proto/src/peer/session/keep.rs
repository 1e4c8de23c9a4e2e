//! Checks: of heard paths until they are proved, of the selected one while it lives, and what follows when
//! it died (`spec/keepalive.md`).

use alloc::vec::Vec;

use super::{PathState, PeerEvent, Selection, Session, Stage, UNSPECIFIED};
use crate::constants::{
    BUSY_PATIENCE, BUSY_RETRY, CONSENT, KEEPALIVE_LEAD, KEEPALIVE_RETRY, MAX_PEER_PACKET, MAX_UNANSWERED,
    MAX_UNANSWERED_BUSY, SEAL_OVERHEAD,
};
use crate::endpoint::Family;
use crate::engine::{NetError, Transport};
use crate::peer::core::{Core, Timer};
use crate::peer::leg::Leg;
use crate::peer::path::{Link, Path, PathId};
use crate::time::Duration;
use crate::wire::control::{PathCheck, Select};
use crate::wire::message::{Message, Request};

impl Session {
    pub(super) fn count_check(&mut self, core: &mut Core, at: usize) {
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

    /// A path that was proved and answers no check of full size carries small packets only, or died before it was
    /// selected: it is none, and another attempt may find one.
    pub(super) fn give_up_small(&mut self, core: &mut Core, leg: &mut Leg) {
        let (now, selected) = (core.now, self.selected);
        let is_small = |path: &Path| {
            let waits = path.checks < MAX_CHECKS || path.check_at > now;
            path.state() == PathState::Proved && !path.full_size && !waits && selected != Selection::Path(path.id)
        };
        let before = self.paths.len();
        self.paths.retain(|path| !is_small(path));
        if self.paths.len() < before && !self.attempt.is_running() {
            self.propose(core, leg);
        }
    }

    /// There is a direct path to keep.
    pub(super) fn on_direct(&mut self, core: &mut Core, leg: &mut Leg, family: Family) {
        // The other side was there all along, so that it was the silence that ended the path before.
        if let Some(interval) = self.lost_at.take() {
            leg.lower_keepalive(core, family, interval);
        }
        if self.transport == Some(Transport::Udp) {
            leg.measure_idle(core, family);
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
        self.drop_idle_sockets(core);
        let Some(at) = self.position(Some(selected)) else {
            return;
        };
        let interval = self.interval(core, leg, at);
        let path = &self.paths[at];
        // [R-KEEP-001] [R-KEEP-002] [R-KEEP-004]
        let used = path.last_received.min(path.last_sent) + interval;
        let used = path.data_since.map_or(used, |since| used.min(since + self.patience(core, at)));
        if path.unanswered == 0 && used > now {
            return core.timers.set(Timer::Keepalive(self.handle), used);
        }
        // [R-KEEP-003] [R-KEEP-014]
        let most = if path.is_busy() { MAX_UNANSWERED_BUSY } else { MAX_UNANSWERED };
        if path.unanswered >= most {
            self.lost_at = Some(interval);
            return self.lose(core, leg, at);
        }
        let begins = path.unanswered == 0 && path.data_since.is_none();
        if path.unanswered == 1
            && let Link::Udp { remote, .. } = path.link
        {
            // [R-KEEP-015]
            leg.look_after(core, remote.family());
        }
        self.ask_alive(core, at);
        let path = &mut self.paths[at];
        // An answer may have been lost; three in a row mean that checks are dropped, and that only those of
        // both sides together open the way again.
        if begins
            && path.on_keepalive() == MAX_MISSED
            && let Some(remote) = path.remote()
        {
            leg.lower_keepalive(core, remote.family(), interval);
        }
    }

    /// Data leaves on the selected path. Where nothing was heard for a while, whoever is at its other end is
    /// asked at once.
    pub(super) fn on_data_sent(&mut self, core: &mut Core, at: usize) {
        let path = &mut self.paths[at];
        let kept = self.selected == Selection::Path(path.id) && matches!(path.link, Link::Udp { .. });
        if !kept || path.is_busy() {
            return;
        }
        path.unheard += 1;
        let first = path.data_since.is_none();
        let since = *path.data_since.get_or_insert(core.now);
        if !first && !path.is_busy() {
            return;
        }
        let (asked, silent) = (path.unanswered > 0, core.now - path.last_received);
        let patience = self.patience(core, at);
        let waited = if first { silent } else { core.now - since };
        if asked {
            core.timers.set_earlier(Timer::Keepalive(self.handle), core.now + self.retry(at));
        } else if waited >= patience {
            self.ask_alive(core, at);
        } else {
            core.timers.set_earlier(Timer::Keepalive(self.handle), since + patience);
        }
    }

    fn ask_alive(&mut self, core: &mut Core, at: usize) {
        self.paths[at].unanswered += 1;
        let check = self.check(core, at, false);
        self.send_on(core, at, &[check]);
        core.timers.set(Timer::Keepalive(self.handle), core.now + self.retry(at));
    }

    /// How long an answer to a check of the selected path is waited for.
    fn retry(&self, at: usize) -> Duration {
        if self.paths[at].is_busy() {
            // [R-KEEP-014]
            self.requests.round_trip().map_or(BUSY_RETRY, |round_trip| BUSY_RETRY.max(round_trip * 2))
        } else {
            KEEPALIVE_RETRY
        }
    }

    /// How long a path may be silent before it is checked.
    fn interval(&self, core: &Core, leg: &Leg, at: usize) -> Duration {
        let interval = match self.paths[at].link {
            Link::Udp { remote, .. } => leg.keepalive(core, remote.family()),
            Link::Stream { .. } | Link::Relay => core.config.keepalive,
        };
        // [R-KEEP-013] One keepalive serves both sides; with equal intervals both would send one.
        if self.is_initiator() { interval - KEEPALIVE_LEAD.min(interval / 16) } else { interval }
    }

    /// How long data may leave without an answer before the path is checked: a path that is dead is given up
    /// before consent to send on it is over, and soon where there is much data.
    fn patience(&self, core: &Core, at: usize) -> Duration {
        if self.paths[at].is_busy() {
            return BUSY_PATIENCE;
        }
        // [R-KEEP-004]
        core.config.keepalive.min(CONSENT - KEEPALIVE_RETRY * u32::from(MAX_UNANSWERED))
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
        let check = PathCheck { nonce, observed: UNSPECIFIED };
        let message = Message::Request(self.requests.reserve(), Request::PathCheck(check));
        self.send_relay(core, leg, &[message]);
        core.timers.set(Timer::Keepalive(self.handle), core.now + KEEPALIVE_RETRY);
    }

    /// The local addresses changed: show the other side where this one is.
    pub(in crate::peer) fn on_moved(&mut self, core: &mut Core, leg: &mut Leg) {
        if self.stage != Stage::Established {
            return;
        }
        // Once the server is back, an attempt is proposed, unless a path turns out to work from here [R-PUNCH-030].
        self.proposals.moved = Some(core.now);
        for at in 0..self.paths.len() {
            if self.paths[at].state() == PathState::Proved && matches!(self.paths[at].link, Link::Udp { .. }) {
                self.paths[at].local = None;
                // What is sent here counts as a keepalive: what it meets is not known to be alive.
                self.paths[at].unanswered = 1;
                let check = self.check(core, at, false);
                self.send_on(core, at, &[check]);
            }
        }
        if let Selection::Path(id) = self.selected
            && self.is_initiator()
            && self.paths.iter().any(|path| path.id == id && matches!(path.link, Link::Udp { .. }))
        {
            // To the other side it is another path, which it uses once it is told to [R-PUNCH-023].
            self.request(core, leg, Some(id), Request::Select(Select {}));
        }
        core.timers.set_earlier(Timer::Keepalive(self.handle), core.now + KEEPALIVE_RETRY);
    }

    /// The server sees this side elsewhere, though the local addresses are the same: a NAT on the way forgot
    /// its mapping, and perhaps that of the path.
    pub(in crate::peer) fn on_mapping_changed(&mut self, core: &mut Core, leg: &mut Leg, family: Family) {
        if self.stage != Stage::Established || self.transport != Some(Transport::Udp) {
            return;
        }
        let selected = if let Selection::Path(id) = self.selected { self.position(Some(id)) } else { None };
        if let Some(at) = selected {
            let path = &self.paths[at];
            if path.remote().is_none_or(|remote| remote.family() != family) {
                return;
            }
            if path.unanswered == 0 {
                return self.ask_alive(core, at);
            }
            // [R-PUNCH-030] It does not answer, and this is why.
            self.proposals.moved = Some(core.now);
        }
        self.propose_anew(core, leg);
    }

    /// A stream that is a path ended.
    pub(in crate::peer) fn on_stream_closed(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        path: PathId,
        error: Option<NetError>,
    ) {
        let Some(at) = self.position(Some(path)) else {
            return;
        };
        if self.paths[at].state() != PathState::Proved
            && let Some(remote) = self.paths[at].remote()
        {
            self.dial_again(core, remote, error);
        }
        self.lose(core, leg, at);
    }

    /// A path is gone: back to the relay, and punch again.
    fn lose(&mut self, core: &mut Core, leg: &mut Leg, at: usize) {
        let path = self.paths.remove(at);
        self.drop_idle_sockets(core);
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
        if let Link::Udp { remote, .. } = path.link {
            // [R-KEEP-015]
            leg.look_after(core, remote.family());
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
            self.propose_anew(core, leg);
        } else {
            self.on_nothing_left(core);
            self.open_relay(core, leg);
        }
    }
}

/// Keepalives in a row without an answer before the interval is taken for too long.
const MAX_MISSED: u8 = 3;
/// The first wait for the answer to a check of a path that is not selected.
const CHECK_RETRY: Duration = Duration::from_millis(150);
/// The most such checks of a path.
const MAX_CHECKS: u8 = 7;
