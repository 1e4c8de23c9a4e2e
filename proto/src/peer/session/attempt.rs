//! Punching: what goes to which candidate when (`spec/punching.md`, `spec/punching-tcp.md`).

use alloc::vec::Vec;

use super::dials::Dial;
use super::propose::{Purpose, by_way_of_server};
use super::sampler::Sampler;
use super::volley::{Agreed, Volley};
use super::{CloseReason, PathState, PeerEvent, RelayPolicy, Session, Stage, Verdict};
use crate::constants::{
    ATTEMPT_TIMEOUT, BIRTHDAY_TIMEOUT, GUESS_TIMEOUT, MAX_CANDIDATES, MAX_PATHS, MAX_UNNAMED, PUNCH_TIMES,
    TCP_ATTEMPT_TIMEOUT,
};
use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, Transport};
use crate::peer::api::PathKind;
use crate::peer::core::{Core, Timer};
use crate::peer::leg::{Leg, Slot};
use crate::peer::path::{Link, Path, PathId};
use crate::time::{Duration, Instant};
use crate::wire::code::Strategy;
use crate::wire::control::{Forecast, Introduced};

/// Where an endpoint of the other peer is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The server observed it, or vouches that it is on a shared network.
    Server,
    /// The other peer's handshake: private endpoints.
    Handshake,
    /// The other peer's proposal or answer: everything.
    Peer,
}

/// The punching of a session.
#[derive(Clone, Debug)]
pub(in crate::peer) enum Attempt {
    /// Nothing is tried.
    Idle { number: u16 },
    /// Ports are sampled, before a proposal or its answer.
    Sampling { number: u16, sampler: Sampler, purpose: Purpose },
    /// This side proposed an attempt that begins when it is agreed on.
    Proposed { number: u16, forecast: Forecast, sockets: Vec<SocketId> },
    /// Packets go to the candidates, or by the rules of a strategy that guesses.
    Running { number: u16, started: Instant, round: usize, dials: Vec<Dial>, volley: Option<Volley> },
    /// The next attempt follows.
    Pausing { number: u16 },
}

impl Attempt {
    /// The number of the last attempt that began.
    pub(in crate::peer) const fn number(&self) -> u16 {
        match self {
            Self::Idle { number }
            | Self::Sampling { number, .. }
            | Self::Proposed { number, .. }
            | Self::Running { number, .. }
            | Self::Pausing { number } => *number,
        }
    }

    /// What it does, in a word.
    pub(in crate::peer) const fn name(&self) -> &'static str {
        match self {
            Self::Idle { .. } => "idle",
            Self::Sampling { .. } => "sampling",
            Self::Proposed { .. } => "proposed",
            Self::Running { .. } => "running",
            Self::Pausing { .. } => "pausing",
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

impl Session {
    /// The server introduced this peer, the initiator.
    pub(in crate::peer) fn on_introduced(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        slot: Slot,
        introduced: &Introduced,
    ) {
        if self.transport.is_some() || self.stage == Stage::Ended {
            return;
        }
        let Some(transport) = introduced.transport.preferred() else {
            return;
        };
        if self.stage == Stage::Asking {
            self.stage = Stage::Introduced;
        }
        self.transport = Some(transport);
        self.slot = leg.slot_of(transport).or(Some(slot));
        self.told_round_trip = by_way_of_server(introduced.own_round_trip, introduced.other_round_trip);
        self.channel = introduced.channel.filter(|_| core.config.relay != RelayPolicy::Never);
        core.timers.set(Timer::Expire(self.handle), core.now + INTRODUCED_PATIENCE);
        let (session, peer) = (self.handle, self.peer);
        core.event(PeerEvent::Introduced { session, peer, transport, initiator: true });
        self.add_candidates(core, leg, &introduced.candidates, Told::Server);
        // [R-INTRO-003]
        self.start_attempt(core, 1);
        if self.stage == Stage::Established {
            self.after_keys(core, leg);
        }
    }

    /// Enters endpoints that the other peer may be reached at, and begins with them if an attempt runs.
    pub(super) fn add_candidates(&mut self, core: &mut Core, leg: &Leg, endpoints: &[Endpoint], told: Told) {
        if core.config.relay == RelayPolicy::Only {
            return;
        }
        let loopback = core.on_loopback();
        for &endpoint in endpoints {
            // [R-PUNCH-009]
            let possible = endpoint.is_candidate() || (loopback && endpoint.address().is_loopback());
            let believed = self.believes(core, endpoint, told);
            let known = self.candidates.contains(&endpoint);
            // [R-PUNCH-009] [R-TCP-002]
            let forbidden = core.is_own(endpoint) || leg.is_server(endpoint);
            if possible && believed && !known && !forbidden && self.candidates.len() < MAX_CANDIDATES {
                self.candidates.push(endpoint);
            }
        }
        if self.attempt.is_running() && core.config.allowed().contains(Strategy::PLAIN) {
            self.try_candidates(core);
        }
    }

    /// Whether an endpoint may be sent to, given who told it.
    fn believes(&mut self, core: &Core, endpoint: Endpoint, told: Told) -> bool {
        let address = endpoint.address();
        let named = self.named.contains(&address);
        match told {
            Told::Server if named => true,
            Told::Server => {
                if self.named.len() < MAX_NAMED {
                    self.named.push(address);
                }
                true
            }
            Told::Peer if named || self.paths.iter().any(|path| path.has_proved(address)) => true,
            // [R-PUNCH-029] [R-LIM-004] An address that only the other peer vouches for may be a bystander's.
            Told::Peer if !is_private(core, address) => {
                let strange =
                    |known: &&Endpoint| !self.named.contains(&known.address()) && !is_private(core, known.address());
                let mut others: Vec<Address> = self.candidates.iter().filter(strange).map(|e| e.address()).collect();
                others.retain(|other| *other != address);
                others.dedup();
                others.len() < MAX_UNNAMED
            }
            // [R-PUNCH-004] A private endpoint is probed only with evidence of a shared network.
            Told::Handshake | Told::Peer => core.config.probe_private || shares_network(core, endpoint),
        }
    }

    pub(in crate::peer) fn start_attempt(&mut self, core: &mut Core, number: u16) {
        let Some(transport) = self.transport else {
            return;
        };
        self.stop_dials(core);
        // What an attempt before left untried may be stale: the candidates say.
        self.paths.retain(|path| path.state() != PathState::Untried);
        self.proposals.tries.count(Strategy::PLAIN);
        let timeout = match transport {
            Transport::Udp => ATTEMPT_TIMEOUT,
            Transport::Tcp => TCP_ATTEMPT_TIMEOUT,
        };
        self.attempt = Attempt::Running { number, started: core.now, round: 0, dials: Vec::new(), volley: None };
        self.tell_attempt(core, number, Strategy::PLAIN, 0);
        // [R-PUNCH-012]
        core.timers.set(Timer::Attempt(self.handle), core.now + timeout);
        if !core.config.allowed().contains(Strategy::PLAIN) {
            return;
        }
        self.try_candidates(core);
        if transport == Transport::Udp {
            self.on_punch_due(core);
        }
    }

    /// Begins an attempt that both sides agreed on.
    // [R-PRED-012]
    pub(super) fn begin(&mut self, core: &mut Core, leg: &mut Leg, agreed: &Agreed) {
        let Agreed { number, strategy, width, delay, .. } = *agreed;
        self.paths.retain(|path| path.state() != PathState::Untried);
        self.proposals.tries.count(strategy);
        if self.transport == Some(Transport::Tcp) {
            return self.begin_dials(core, agreed);
        }
        let Some(volley) = self.load(core, agreed) else {
            self.stop_attempt(core);
            return self.propose(core, leg);
        };
        let at_once = strategy == Strategy::LOW_TTL || delay.is_zero();
        let (started, dials) = (core.now, Vec::new());
        self.attempt = Attempt::Running { number, started, round: 0, dials, volley: Some(volley) };
        self.tell_attempt(core, number, strategy, width);
        let patience = if strategy == Strategy::BIRTHDAY { BIRTHDAY_TIMEOUT } else { GUESS_TIMEOUT };
        // [R-PUNCH-012]
        core.timers.set(Timer::Attempt(self.handle), core.now + delay + patience);
        if at_once {
            self.on_volley_due(core);
        } else {
            core.timers.set(Timer::Punch(self.handle), core.now + delay);
        }
    }

    pub(super) fn tell_attempt(&self, core: &mut Core, number: u16, strategy: Strategy, width: u16) {
        // The application has not heard of the session before.
        if self.stage == Stage::Established {
            core.event(PeerEvent::Attempt { session: self.handle, number, strategy, width });
        }
    }

    /// The attempt has what it wanted.
    pub(super) fn stop_attempt(&mut self, core: &mut Core) {
        self.stop_dials(core);
        self.attempt = Attempt::Idle { number: self.attempt.number() };
        for timer in [Timer::Punch, Timer::Dial, Timer::Attempt] {
            core.timers.clear(timer(self.handle));
        }
        self.drop_sockets(core);
    }

    /// Makes a path (UDP) or a dial (TCP) for each candidate that has none.
    fn try_candidates(&mut self, core: &mut Core) {
        let Some(transport) = self.transport else {
            return;
        };
        for remote in self.candidates.clone() {
            let Some(socket) = core.port_of(transport, remote.family()) else {
                continue;
            };
            match transport {
                Transport::Udp => {
                    if !self.paths.iter().any(|path| path.remote() == Some(remote)) {
                        let link = Link::Udp { socket, remote };
                        self.add_path(core, link);
                        if matches!(self.attempt, Attempt::Running { round: 1.., .. }) {
                            // It came late, with message 2: its first punch leaves at once.
                            let at = self.paths.len().saturating_sub(1);
                            self.punch(core, at);
                        }
                    }
                }
                Transport::Tcp => {
                    let Attempt::Running { dials, .. } = &mut self.attempt else {
                        return;
                    };
                    if !dials.iter().any(|dial| dial.remote == remote) {
                        // [R-TCP-003]
                        dials.push(Dial::at(remote, core.now));
                    }
                }
            }
        }
        if transport == Transport::Tcp {
            self.on_dials_due(core);
        }
    }

    /// Adds a path that nothing arrived on.
    pub(super) fn add_path(&mut self, core: &Core, link: Link) -> Option<usize> {
        if self.paths.len() >= MAX_PATHS {
            // The oldest that nothing arrived on makes room; for an answer to a shot, so does one whose checks go
            // unanswered. Two NATs that let strangers in and map by the remote port make such paths without end.
            let oldest = |state| {
                let gives_way = |path: &Path| path.state() == state && matches!(path.link, Link::Udp { .. });
                self.paths.iter().position(gives_way)
            };
            let heard = || oldest(PathState::Heard).filter(|_| !self.shot_at(link).is_empty());
            let oldest = oldest(PathState::Untried).or_else(heard)?;
            self.paths.remove(oldest);
        }
        let id = PathId(self.next_path);
        self.next_path = self.next_path.wrapping_add(1);
        let (remote, port) = match link {
            Link::Udp { socket, remote } => (remote, core.port(socket).and_then(|port| port.local)),
            Link::Stream { stream, remote } => (remote, core.streams.get(&stream).and_then(|stream| stream.local)),
            Link::Relay => return None,
        };
        let kind = if is_private(core, remote.address()) { PathKind::Private } else { PathKind::Public };
        let mut path = Path::new(id, link, kind, core.now);
        path.local_port = port.map_or(0, Endpoint::port);
        path.local = port.map(Endpoint::address);
        self.paths.push(path);
        Some(self.paths.len() - 1)
    }

    // --- UDP ---

    pub(super) fn on_punch_due(&mut self, core: &mut Core) {
        if matches!(self.attempt, Attempt::Running { volley: Some(_), .. }) {
            return self.on_volley_due(core);
        }
        let Attempt::Running { round, started, .. } = &mut self.attempt else {
            return;
        };
        let started = *started;
        *round += 1;
        // [R-PUNCH-011]
        let next = PUNCH_TIMES.get(*round).copied();
        for at in 0..self.paths.len() {
            if self.paths[at].state() == PathState::Untried {
                self.punch(core, at);
            }
        }
        if let Some(millis) = next {
            core.timers.set(Timer::Punch(self.handle), started + Duration::from_millis(millis));
        }
    }

    /// Sends one unsolicited packet to a candidate, within the budget of its address.
    fn punch(&mut self, core: &mut Core, at: usize) {
        let Some((packet, nonce)) = self.opening(core, at, None) else {
            return;
        };
        let Link::Udp { socket, remote } = self.paths[at].link else {
            return;
        };
        // [R-PUNCH-015]
        if core.budget.take(core.now, remote.address(), packet.len()) {
            self.paths[at].remember(nonce, false);
            if core.is_open(socket) {
                core.outbox.transmit(socket, None, remote, &packet);
            }
        }
    }

    // --- the end of an attempt ---

    /// The time of the attempt is over, or the pause after it. `true` when the session is to be forgotten.
    pub(super) fn on_attempt_over(&mut self, core: &mut Core, leg: &mut Leg) -> bool {
        let number = self.attempt.number();
        if let Attempt::Sampling { sampler, .. } = &mut self.attempt {
            if sampler.on_due(core) {
                self.on_sampled(core, leg);
            }
            return false;
        }
        if matches!(self.attempt, Attempt::Pausing { .. }) {
            self.attempt = Attempt::Idle { number };
            self.propose(core, leg);
            return false;
        }
        self.stop_attempt(core);
        if self.works() || self.stage == Stage::Ended {
            return false;
        }
        let verdict = self.verdict(core, leg);
        let first = self.proposals.tries.all() <= 1;
        if first {
            self.last_verdict = verdict;
        }
        if self.stage != Stage::Established {
            // The responder waits for the initiator, whose copy of message 1 may be an old one.
            if self.stage == Stage::Keyed {
                return false;
            }
            let reason =
                if self.was_forged() { CloseReason::AuthenticationFailed } else { CloseReason::NoPath(verdict) };
            self.end(core, reason);
            return true;
        }
        if self.channel.is_none() && !self.paths.iter().any(|path| path.state() == PathState::Heard) {
            // There was a way for the proposal, and there may be one again when the server is back.
            if number > 1 && core.config.relay != RelayPolicy::Never {
                self.on_nothing_left(core);
                return false;
            }
            self.end(core, CloseReason::NoPath(verdict));
            return true;
        }
        // The first attempt may have given way to another one before it was over, or have sent nothing.
        let made = number > 1 || core.config.allowed().contains(Strategy::PLAIN);
        if made && (first || self.told.is_none()) {
            self.tell_not_direct(core, leg, verdict);
        }
        // [R-PUNCH-014]
        match self.next_choice(core, leg) {
            _ if rules_out(verdict) => {}
            Err(verdict) => self.give_up(core, leg, verdict),
            // The initiator proposes.
            Ok(_) if !self.is_initiator() => {}
            Ok(choice) if choice.strategy == Strategy::PLAIN => {
                // The same again: later, when whatever went wrong may have passed.
                self.attempt = Attempt::Pausing { number };
                let tries = u32::from(self.proposals.tries.all());
                core.timers.set(Timer::Attempt(self.handle), core.now + ATTEMPT_TIMEOUT * tries);
            }
            Ok(choice) => self.pursue(core, leg, choice),
        }
        false
    }
}

/// Whether no strategy helps.
const fn rules_out(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::NO_HAIRPIN | Verdict::RELAY_ONLY | Verdict::NO_CANDIDATES | Verdict::PEER_SILENT)
}

/// Whether there is evidence that `endpoint` is on a network that this peer is on, too: an interface with
/// its prefix.
fn shares_network(core: &Core, endpoint: Endpoint) -> bool {
    core.interfaces.iter().any(|interface| interface.contains(endpoint.address()))
        || (core.on_loopback() && endpoint.address().is_loopback())
}

/// Whether an address is reached without leaving the site.
fn is_private(core: &Core, address: Address) -> bool {
    let reserved = match address {
        Address::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        Address::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    };
    reserved || core.interfaces.iter().any(|interface| interface.contains(address))
}

/// How long the initiator waits for message 2 after its introduction.
const INTRODUCED_PATIENCE: Duration = Duration::from_secs(15);
/// The most addresses that the server named for the other peer.
const MAX_NAMED: usize = 2 * MAX_CANDIDATES;
