//! A session with one other peer (`spec/sessions.md`).
//!
//! The handshake belongs to the session, not to a path: it completes once, on whichever way is first.
//! `handshake.rs` has the handshakes, `attempt.rs` the punching, `dials.rs` its TCP half, `receive.rs` what arrives, `paths.rs` what
//! goes out on which path, `keep.rs` and `relay.rs` what keeps a way open, `data.rs` what the application says.

mod attempt;
mod choose;
mod data;
mod dials;
mod handshake;
mod keep;
mod paths;
mod propose;
mod receive;
mod relay;
mod sampler;
mod scatter;
#[cfg(test)]
mod tests;
mod verdict;
mod volley;

use alloc::vec::Vec;

use super::api::{Certainty, CloseReason, PathInfo, PathKind, PathState, PeerEvent, RelayPolicy, SessionHandle};
use super::bytestream::{Receiver, Sender};
use super::core::{Core, Timer};
use super::leg::{Leg, Slot};
use super::path::{Link, Path, PathId};
use crate::association::{Association, Lane};
use crate::constants::SERVER_UNREACHABLE;
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::Transport;
use crate::key::PeerId;
use crate::request::{Answers, Due, Requests};
use crate::time::{Duration, Instant};
use crate::wire::SessionId;
use crate::wire::code::{Mapping, Refusal, Transports, Verdict};
use crate::wire::control::Close;
use crate::wire::message::{Message, Request};
use crate::wire::sealed::{ChannelId, Index};

pub(super) use attempt::Attempt;
use attempt::Told;
pub(super) use handshake::Role;
use propose::Proposals;
pub(super) use receive::Source;
use relay::RelayWatch;
use scatter::Scatter;
use volley::Spent;

/// A session with one other peer.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) handle: SessionHandle,
    pub(super) peer: PeerId,
    pub(super) id: SessionId,
    /// This side's index.
    pub(super) index: Index,
    /// The application asked for it, and knows it from the start.
    asked: bool,
    wish: Option<Transport>,
    role: Role,
    stage: Stage,
    transport: Option<Transport>,
    /// The binding that leads to the server.
    slot: Option<Slot>,
    association: Option<Association>,
    channel: Option<ChannelId>,
    relay_lane: Option<Lane>,
    relay: RelayWatch,
    paths: Vec<Path>,
    next_path: u16,
    selected: Selection,
    /// The path that the initiator selected before it was proved here.
    select_later: Option<PathId>,
    requests: Requests<Option<PathId>>,
    answers: Answers,
    attempt: Attempt,
    candidates: Vec<Endpoint>,
    /// Addresses that the server told.
    named: Vec<Address>,
    proposals: Proposals,
    /// The order in which ports of the other side are guessed, once some were.
    scatter: Option<Scatter>,
    spent: Spent,
    /// The round trip by way of the server, as it told with the introduction.
    told_round_trip: Duration,
    remote_mapping: Mapping,
    sender: Sender,
    receiver: Receiver,
    last_verdict: Verdict,
    /// The verdict that the application was told and that still holds.
    told: Option<Verdict>,
    /// How often the server said `limited`, and when it may be asked again.
    limited: (u8, Instant),
    /// The interval of keepalives at which the last direct path died.
    lost_at: Option<Duration>,
}

/// How far a session is. `spec/sessions.md`, "States".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// Initiator: the server has not introduced.
    Asking,
    /// Initiator: introduced, without keys.
    Introduced,
    /// Responder: keys, but message 1 may be a copy; nothing is told to the application.
    Keyed,
    /// Both sides proved their keys.
    Established,
    /// Over; what remains answers repeats.
    Ended,
}

/// What carries data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    Nothing,
    Relay,
    Path(PathId),
}

/// A way for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Relay,
    Path(usize),
}

impl Session {
    pub(super) fn new(
        core: &mut Core,
        handle: SessionHandle,
        peer: PeerId,
        id: SessionId,
        role: Role,
        asked: bool,
    ) -> Self {
        let stage = if role.is_initiator() { Stage::Asking } else { Stage::Keyed };
        Self {
            handle,
            peer,
            id,
            index: core.index(),
            asked,
            wish: None,
            role,
            stage,
            transport: None,
            slot: None,
            association: None,
            channel: None,
            relay_lane: None,
            relay: RelayWatch::default(),
            paths: Vec::new(),
            next_path: 0,
            selected: Selection::Nothing,
            select_later: None,
            requests: Requests::new(),
            answers: Answers::default(),
            attempt: Attempt::Idle { number: 0 },
            candidates: Vec::new(),
            named: Vec::new(),
            proposals: Proposals::default(),
            scatter: None,
            spent: Spent::default(),
            told_round_trip: Duration::ZERO,
            remote_mapping: Mapping::UNKNOWN,
            sender: Sender::new(),
            receiver: Receiver::default(),
            last_verdict: Verdict::UNKNOWN,
            told: None,
            limited: (0, core.now),
            lost_at: None,
        }
    }

    pub(super) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) const fn is_initiator(&self) -> bool {
        self.role.is_initiator()
    }

    pub(super) const fn transport(&self) -> Option<Transport> {
        self.transport
    }

    pub(super) const fn channel(&self) -> Option<ChannelId> {
        self.channel
    }

    pub(super) const fn slot(&self) -> Option<Slot> {
        self.slot
    }

    pub(super) const fn spent(&self) -> Spent {
        self.spent
    }

    pub(super) const fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    pub(super) fn paths(&self) -> &[Path] {
        &self.paths
    }

    pub(super) fn selected(&self) -> Option<PathInfo> {
        match self.selected {
            Selection::Path(id) => self.paths.iter().find(|path| path.id == id).map(|path| self.info(path)),
            Selection::Relay => Some(relay_info(self.transport)),
            Selection::Nothing => None,
        }
    }

    /// This session answers to the application's `connect`, too.
    pub(super) const fn set_asked(&mut self) {
        self.asked = true;
    }

    /// This session took the place of one that the application asked for: the same patience.
    pub(super) fn keep_waiting(&self, core: &mut Core) {
        core.timers.set(Timer::Expire(self.handle), core.now + ASK_PATIENCE);
    }

    /// Asks the server, or waits for the leg to come up.
    pub(super) fn ask(&mut self, core: &mut Core, leg: &mut Leg, wish: Option<Transport>) {
        self.wish = wish;
        core.timers.set(Timer::Expire(self.handle), core.now + ASK_PATIENCE);
        self.on_online(core, leg);
    }

    /// A binding came online, or may have been all along.
    pub(super) fn on_online(&mut self, core: &mut Core, leg: &mut Leg) {
        match self.stage {
            Stage::Asking if !leg.is_asking(self.handle) && self.limited.1 <= core.now => {
                let allowed = self.wish.map_or(Transports(3), Transports::of).and(leg.online());
                let Some(slot) = allowed.preferred().and_then(|transport| leg.slot_of(transport)) else {
                    return;
                };
                if let Some(connect) = self.connect(core, leg, allowed) {
                    self.slot = Some(slot);
                    leg.request(core, slot, self.handle, connect);
                }
            }
            Stage::Established if self.channel.is_none() => self.open_relay(core, leg),
            Stage::Asking | Stage::Introduced | Stage::Keyed | Stage::Established | Stage::Ended => {}
        }
    }

    /// The server or the other peer refused.
    pub(super) fn on_refused(&mut self, core: &mut Core, code: Refusal) -> bool {
        match self.stage {
            // Too fast, not unwanted: the same question again when the server's bound has moved on.
            Stage::Asking if code == Refusal::LIMITED && self.limited.0 < MAX_LIMITED => {
                let jitter = Duration::from_micros(core.visible.below(LIMITED_JITTER));
                self.limited = (self.limited.0 + 1, core.now + LIMITED_RETRY + jitter);
                core.timers.set(Timer::Attempt(self.handle), self.limited.1);
                false
            }
            Stage::Asking | Stage::Introduced => {
                // [R-INTRO-014] Any other code is no.
                self.end(core, CloseReason::Refused(code));
                true
            }
            // [R-RELAY-015]
            // A relay channel that was refused: the direct path goes on.
            Stage::Keyed | Stage::Established | Stage::Ended => false,
        }
    }

    /// The server did not answer.
    pub(super) fn on_silent(&mut self, core: &mut Core) -> bool {
        if self.stage == Stage::Asking {
            self.end(core, CloseReason::ServerSilent);
            return true;
        }
        false
    }

    /// Takes over what the application wrote into the session that this one is kept in place of (glare): it was
    /// told that the octets were taken.
    pub(super) fn take_over(&mut self, dropped: &mut Self) {
        self.sender = core::mem::take(&mut dropped.sender);
    }

    /// Opens a packet for somebody who only looks.
    pub(super) fn look_into(&self, sealed: &crate::wire::Sealed<'_>) -> Option<Vec<u8>> {
        self.association.as_ref().filter(|_| self.index == sealed.index)?.peek(sealed)
    }

    /// Closes at the application's wish. `true` when nothing is left to do.
    pub(super) fn close(&mut self, core: &mut Core, leg: &mut Leg) -> bool {
        // A responder has the keys before it hears of the initiator, who may have a session already.
        if matches!(self.stage, Stage::Established | Stage::Keyed) && self.way(FULL_MESSAGE).is_some() {
            self.flush(core, leg);
            self.request(core, leg, None, Request::Close(Close {}));
            self.end(core, CloseReason::Local);
            core.timers.set(Timer::Expire(self.handle), core.now + ENDED_LINGER);
            return false;
        }
        self.end(core, CloseReason::Local);
        true
    }

    /// Another session with the same peer took this one's place.
    pub(super) fn supersede(&mut self, core: &mut Core) {
        self.end(core, CloseReason::Superseded);
    }

    /// Tells the application, if it knows the session, and stops everything but answers to repeats.
    fn end(&mut self, core: &mut Core, reason: CloseReason) {
        if self.stage == Stage::Ended {
            return;
        }
        if self.asked || self.stage == Stage::Established {
            core.event(PeerEvent::Closed { session: self.handle, reason });
        }
        self.stage = Stage::Ended;
        self.stop_dials(core);
        self.attempt = Attempt::Idle { number: self.attempt.number() };
        self.drop_sockets(core);
        for timer in [Timer::Punch, Timer::Dial, Timer::Attempt, Timer::Check, Timer::Keepalive, Timer::Resend] {
            core.timers.clear(timer(self.handle));
        }
    }

    /// Frees everything that the session holds elsewhere.
    pub(super) fn release(&mut self, core: &mut Core, leg: &mut Leg) {
        self.stop_dials(core);
        core.shut_owned(self.handle, |_| true);
        for path in core::mem::take(&mut self.paths) {
            if let Link::Stream { stream, .. } = path.link {
                core.close(stream, false);
            }
        }
        leg.forget(self.handle);
        for timer in TIMERS {
            core.timers.clear(timer(self.handle));
        }
    }

    /// A timer of this session fired. `true` when the session is to be forgotten.
    pub(super) fn on_timer(&mut self, core: &mut Core, leg: &mut Leg, timer: Timer) -> bool {
        match timer {
            Timer::SessionRequests(_) => self.on_requests_due(core, leg),
            Timer::Punch(_) => self.on_punch_due(core),
            Timer::Dial(_) => self.on_dials_due(core),
            Timer::Attempt(_) if self.stage == Stage::Asking => self.on_online(core, leg),
            Timer::Attempt(_) => return self.on_attempt_over(core, leg),
            Timer::Check(_) => {
                self.give_up_small(core, leg);
                self.on_check_due(core);
            }
            Timer::Keepalive(_) => self.on_keepalive_due(core, leg),
            Timer::Resend(_) => self.on_resend_due(core, leg),
            Timer::Losers(_) => self.close_losers(core),
            Timer::Expire(_) => return self.on_expired(core),
            Timer::Worn(_) => {
                // [R-SEC-005]
                self.end(core, CloseReason::KeysWorn);
                return true;
            }
            Timer::Binding(_)
            | Timer::LegRequests
            | Timer::Behaviour(_)
            | Timer::Idle(_)
            | Timer::Unreachable
            | Timer::FirstFrame(_)
            | Timer::Full(_) => {}
        }
        false
    }

    fn on_expired(&mut self, core: &mut Core) -> bool {
        match self.stage {
            Stage::Ended => {}
            Stage::Asking => self.end(core, CloseReason::ServerSilent),
            // The responder may have asked as well, and lost its question to the other side's (glare).
            Stage::Introduced | Stage::Keyed => self.end(core, CloseReason::NoPath(Verdict::PEER_SILENT)),
            Stage::Established => self.end(core, CloseReason::Lost),
        }
        true
    }

    /// No path and no relay: the session ends unless something comes back.
    fn on_nothing_left(&self, core: &mut Core) {
        if self.stage == Stage::Established {
            core.timers.set_earlier(Timer::Expire(self.handle), core.now + LOST_PATIENCE);
        }
    }

    fn on_requests_due(&mut self, core: &mut Core, leg: &mut Leg) {
        while let Some(due) = self.requests.due(core.now) {
            match due {
                Due::Repeat(id, request, path) => self.send_request(core, leg, path, id, request),
                Due::GaveUp(Request::Attempt(_), _) => self.on_unanswered(core),
                Due::GaveUp(..) => {}
            }
        }
        self.schedule_requests(core);
    }

    fn request(&mut self, core: &mut Core, leg: &mut Leg, path: Option<PathId>, request: Request) {
        if let Some(id) = self.requests.begin(core.now, request.clone(), path, false) {
            self.send_request(core, leg, path, id, request);
        } else {
            core.note(Discard::OverLimit);
        }
        self.schedule_requests(core);
    }

    fn send_request(&mut self, core: &mut Core, leg: &mut Leg, path: Option<PathId>, id: u32, request: Request) {
        // Who asks for an attempt does not trust its paths.
        let by_relay = matches!(request, Request::Attempt(_)) && self.channel.is_some();
        let message = [Message::Request(id, request)];
        if by_relay {
            return self.send_relay(core, leg, &message);
        }
        match path.and_then(|id| self.paths.iter().position(|path| path.id == id)) {
            Some(at) => self.send_on(core, at, &message),
            None => self.send_best(core, leg, &message),
        }
    }

    fn schedule_requests(&self, core: &mut Core) {
        match self.requests.deadline() {
            Some(at) => core.timers.set(Timer::SessionRequests(self.handle), at),
            None => core.timers.clear(Timer::SessionRequests(self.handle)),
        }
    }

    fn info(&self, path: &Path) -> PathInfo {
        match path.link {
            Link::Udp { remote, .. } | Link::Stream { remote, .. } => PathInfo {
                kind: path.kind,
                transport: self.transport.unwrap_or(Transport::Udp),
                local: path.local.map_or(UNSPECIFIED, |address| Endpoint::new(address, path.local_port)),
                mapped: path.mapped,
                remote,
            },
            Link::Relay => relay_info(self.transport),
        }
    }
}

/// What a relayed path looks like to the application: neither end is of interest.
fn relay_info(transport: Option<Transport>) -> PathInfo {
    PathInfo {
        kind: PathKind::Relayed,
        transport: transport.unwrap_or(Transport::Udp),
        local: UNSPECIFIED,
        mapped: None,
        remote: UNSPECIFIED,
    }
}

const UNSPECIFIED: Endpoint = Endpoint::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);

/// Every timer that a session may have set.
const TIMERS: [fn(SessionHandle) -> Timer; 10] = [
    Timer::SessionRequests,
    Timer::Punch,
    Timer::Dial,
    Timer::Attempt,
    Timer::Check,
    Timer::Keepalive,
    Timer::Resend,
    Timer::Losers,
    Timer::Expire,
    Timer::Worn,
];

/// How long a session waits for the server, which may be unreachable at first.
const ASK_PATIENCE: Duration = Duration::from_secs(SERVER_UNREACHABLE.as_secs() * 4);
/// How long an ended session answers repeats.
const ENDED_LINGER: Duration = Duration::from_secs(3);
/// How long a session without any path waits for one.
const LOST_PATIENCE: Duration = Duration::from_secs(60);
/// The length of a packet that every path must be able to carry.
const FULL_MESSAGE: usize = 256;
/// How often a `Connect` that was answered `limited` is sent again.
const MAX_LIMITED: u8 = 4;
/// How long after that answer.
const LIMITED_RETRY: Duration = Duration::from_secs(1);
/// The spread of that wait, in microseconds.
const LIMITED_JITTER: u64 = 250_000;
