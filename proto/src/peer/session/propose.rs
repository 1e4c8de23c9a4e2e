//! Proposals of attempts and their answers (`spec/punching.md`, "Attempts").

use alloc::vec::Vec;

use super::choose::{Choice, Class, Side, Situation, Tries, choose};
use super::sampler::Sampler;
use super::volley::{Agreed, Terms};
use super::{Attempt, PathState, RelayPolicy, Selection, Session, Stage, Verdict};
use crate::constants::{
    ATTEMPTS_PER_MINUTE, BIRTHDAY_PORTS, BIRTHDAY_SOCKETS, KEEPALIVE_RETRY, LOW_TTL_DELAY, MAX_ATTEMPTS,
    MAX_THROW_AWAY, MAX_WINDOW, WINDOWS,
};
use crate::endpoint::Endpoint;
use crate::engine::{SocketId, StreamId, Transport};
use crate::peer::api::StrategySet;
use crate::peer::core::{Core, Timer};
use crate::peer::leg::Leg;
use crate::peer::path::{Link, Path, PathId};
use crate::time::{Duration, Instant};
use crate::wire::List;
use crate::wire::code::{Allocation, Mapping, Strategy};
use crate::wire::control::{Attempt as Proposal, Attempted, Candidates, Forecast};
use crate::wire::discover::Discovered;
use crate::wire::message::{Message, Reply, Request, RequestId};

/// What a session remembers between attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct Proposals {
    /// Attempts since the session began or something changed.
    pub(super) tries: Tries,
    /// What the other side refused since then.
    refused: StrategySet,
    /// What the samples of either side said.
    own_allocation: Allocation,
    other_allocation: Allocation,
    /// When the local addresses changed, until a direct path works again.
    pub(super) moved: Option<Instant>,
    /// The path that the other side said is none, until something arrives on it.
    pub(super) doubted: Option<PathId>,
    /// Attempts that were taken since.
    taken: (Instant, u8),
}

/// What the samples are for.
#[derive(Clone, Debug)]
pub(in crate::peer) enum Purpose {
    /// A proposal of this side's.
    Propose(Choice),
    /// The answer to one of the other side's.
    Answer { id: RequestId, path: Option<PathId>, proposal: Proposal },
}

impl Proposals {
    /// What the samples of either side said: this one's, the other's.
    pub(super) const fn allocations(&self) -> (Allocation, Allocation) {
        (self.own_allocation, self.other_allocation)
    }
}

impl Session {
    // --- this side proposes ---

    /// Proposes another attempt over whatever way there is, because something changed.
    pub(in crate::peer) fn propose_anew(&mut self, core: &mut Core, leg: &mut Leg) {
        self.proposals.tries = Tries::default();
        self.proposals.refused = StrategySet::NONE;
        (self.proposals.own_allocation, self.proposals.other_allocation) = Default::default();
        self.propose(core, leg);
    }

    /// Proposes the next attempt over whatever way there is.
    pub(in crate::peer) fn propose(&mut self, core: &mut Core, leg: &mut Leg) {
        if self.stage != Stage::Established || self.works() || core.config.relay == RelayPolicy::Only {
            return;
        }
        self.stop_attempt(core);
        match self.next_choice(core, leg) {
            Ok(choice) => self.pursue(core, leg, choice),
            Err(verdict) => self.give_up(core, leg, verdict),
        }
    }

    /// What is tried next, or the verdict if there is nothing.
    pub(super) fn next_choice(&self, core: &Core, leg: &Leg) -> Result<Choice, Verdict> {
        let own = Side { class: Class::of(self.own_mapping(leg)), allocation: self.proposals.own_allocation };
        let other = Side { class: Class::of(self.remote_mapping), allocation: self.proposals.other_allocation };
        let transport = self.transport.unwrap_or(Transport::Udp);
        let tries = self.proposals.tries;
        let allowed = core.config.allowed().minus(self.proposals.refused);
        let choice = choose(&Situation { transport, own, other, tries, allowed })?;
        // [R-PUNCH-014]
        if tries.all() < MAX_ATTEMPTS { Ok(choice) } else { Err(self.last_verdict) }
    }

    /// Nothing is left to try: say why, unless that was said.
    pub(super) fn give_up(&mut self, core: &mut Core, leg: &Leg, verdict: Verdict) {
        let of_a_strategy =
            matches!(verdict, Verdict::PREDICTED_PORTS_MISSED | Verdict::RANDOM_ALLOCATION | Verdict::BIRTHDAY_MISSED);
        let verdict = if of_a_strategy { verdict } else { self.verdict(core, leg) };
        if self.last_verdict != verdict && self.stage == Stage::Established {
            self.tell_not_direct(core, leg, verdict);
        }
        self.last_verdict = verdict;
    }

    pub(super) fn pursue(&mut self, core: &mut Core, leg: &mut Leg, choice: Choice) {
        let number = self.attempt.number();
        if choice.strategy == Strategy::PLAIN {
            let proposal = self.proposal(core, leg, choice, None);
            self.request(core, leg, None, Request::Attempt(proposal));
            // A plain attempt needs no agreement: who is late joins.
            return self.start_attempt(core, number.saturating_add(1));
        }
        if self.needs_samples(leg, choice.strategy) {
            match self.sampler(core, leg, choice.strategy) {
                Some(sampler) => {
                    self.attempt = Attempt::Sampling { number, sampler, purpose: Purpose::Propose(choice) };
                }
                None => self.give_up(core, leg, Verdict::UNKNOWN),
            }
            return;
        }
        match self.known_forecast(leg) {
            Some(forecast) => self.ask_for(core, leg, choice, forecast, Vec::new()),
            None => self.give_up(core, leg, Verdict::UNKNOWN),
        }
    }

    /// Sends a proposal that has to be agreed on.
    fn ask_for(&mut self, core: &mut Core, leg: &mut Leg, choice: Choice, forecast: Forecast, sockets: Vec<SocketId>) {
        let proposal = self.proposal(core, leg, choice, Some(forecast));
        self.attempt = Attempt::Proposed { number: self.attempt.number(), forecast, sockets };
        self.request(core, leg, None, Request::Attempt(proposal));
    }

    /// Shows the other side, through the relay, that this one has keys; the first attempt runs already.
    pub(super) fn confirm_attempt(&mut self, core: &mut Core, leg: &mut Leg) {
        let mut proposal = self.proposal(core, leg, Choice { strategy: Strategy::PLAIN, width: 0 }, None);
        proposal.number = self.attempt.number();
        // What the server just told needs no repetition.
        proposal.candidates = Candidates::default();
        self.request(core, leg, None, Request::Attempt(proposal));
    }

    fn proposal(&self, core: &Core, leg: &Leg, choice: Choice, forecast: Option<Forecast>) -> Proposal {
        let Choice { strategy, width } = choice;
        let number = self.attempt.number().saturating_add(1);
        let (mapping, candidates) = (self.own_mapping(leg), self.own_candidates(core, leg));
        let delay = match strategy {
            Strategy::LOW_TTL | Strategy::TCP_SEQUENTIAL_KEEP | Strategy::TCP_SEQUENTIAL_CLOSE => LOW_TTL_DELAY,
            // As long as the answer takes.
            // [R-PRED-013]
            Strategy::TCP_PREDICTED => self.requests.round_trip().unwrap_or(self.told_round_trip) / 2,
            _ => Duration::ZERO,
        };
        let delay = delay.min(LOW_TTL_DELAY);
        let delay = u16::try_from(delay.as_millis()).unwrap_or(u16::MAX);
        Proposal { number, strategy, delay, width, mapping, candidates, forecast }
    }

    /// The other side answered a proposal.
    pub(super) fn on_attempted(&mut self, core: &mut Core, leg: &mut Leg, proposal: &Proposal, answer: &Attempted) {
        self.learn(answer.mapping, answer.forecast);
        if proposal.strategy == Strategy::PLAIN {
            if answer.accepted && proposal.number == self.attempt.number() && !answer.candidates.is_empty() {
                self.replace_candidates(core, leg, &answer.candidates);
            }
            return;
        }
        let Attempt::Proposed { number, forecast, sockets } = &self.attempt else {
            return;
        };
        if proposal.number != number.saturating_add(1) {
            return;
        }
        let (own_forecast, sockets) = (*forecast, sockets.clone());
        let other = answer.forecast.filter(|forecast| answer.accepted && self.may_guess_at(core, leg, forecast));
        if let Some(other) = other {
            self.replace_candidates(core, leg, &answer.candidates);
            let agreed = Agreed {
                number: proposal.number,
                strategy: proposal.strategy,
                proposer: true,
                delay: Duration::from_millis(u64::from(proposal.delay)),
                width: answer.width.min(proposal.width),
                own: Terms { class: Class::of(proposal.mapping), forecast: own_forecast },
                other: Terms { class: Class::of(answer.mapping), forecast: other },
                sockets,
            };
            return self.begin(core, leg, &agreed);
        }
        // What was learned may rule the strategy out by itself; else the other side does not want it.
        let before = self.next_choice(core, leg).map(|choice| choice.strategy);
        if before == Ok(proposal.strategy) {
            self.proposals.refused = self.proposals.refused.with(proposal.strategy);
        }
        self.propose(core, leg);
    }

    /// Nobody answered a proposal.
    pub(super) fn on_unanswered(&mut self, core: &mut Core) {
        if matches!(self.attempt, Attempt::Proposed { .. }) {
            self.stop_attempt(core);
        }
    }

    // --- the other side proposes ---

    /// The other side wants to punch (again). None: the answer comes later.
    pub(super) fn on_proposal(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        (id, path): (RequestId, Option<PathId>),
        proposal: &Proposal,
    ) -> Option<Attempted> {
        // [R-PUNCH-013]
        if !self.takes(core, leg, proposal) {
            return Some(self.answer_to(core, leg, None, None));
        }
        self.learn(proposal.mapping, proposal.forecast);
        let number = self.attempt.number();
        if proposal.strategy == Strategy::PLAIN {
            if proposal.number > number {
                // [R-PUNCH-027]
                self.stop_attempt(core);
                self.doubt(core);
                self.replace_candidates(core, leg, &proposal.candidates);
                self.start_attempt(core, proposal.number);
            } else if !proposal.candidates.is_empty() {
                // [R-PUNCH-028] Two plain proposals that crossed are one attempt.
                self.replace_candidates(core, leg, &proposal.candidates);
            }
            let mut answer = self.answer_to(core, leg, Some(proposal), None);
            if proposal.candidates.is_empty() {
                answer.candidates = Candidates::default();
            }
            return Some(answer);
        }
        self.stop_attempt(core);
        self.doubt(core);
        if self.needs_samples(leg, proposal.strategy) {
            let Some(sampler) = self.sampler(core, leg, proposal.strategy) else {
                return Some(self.answer_to(core, leg, None, None));
            };
            let purpose = Purpose::Answer { id, path, proposal: proposal.clone() };
            self.attempt = Attempt::Sampling { number, sampler, purpose };
            return None;
        }
        let forecast = self.known_forecast(leg);
        let answer = self.answer_to(core, leg, Some(proposal).filter(|_| forecast.is_some()), forecast);
        if let Some(forecast) = forecast {
            self.accept(core, leg, proposal, forecast, Vec::new());
        }
        Some(answer)
    }

    /// Whether this side takes part in what is proposed.
    fn takes(&mut self, core: &Core, leg: &Leg, proposal: &Proposal) -> bool {
        let number = self.attempt.number();
        let strategy = proposal.strategy;
        let plain = strategy == Strategy::PLAIN;
        // [R-PUNCH-028]
        let runs_plain = matches!(&self.attempt, Attempt::Running { volley: None, .. });
        let in_time = match proposal.number.cmp(&number) {
            core::cmp::Ordering::Less => false,
            // Both began the next attempt: plain ones are one, else the initiator's counts.
            core::cmp::Ordering::Equal => plain || (runs_plain && !self.is_initiator()),
            core::cmp::Ordering::Greater => {
                let own = matches!(self.attempt, Attempt::Proposed { .. })
                    || matches!(self.attempt, Attempt::Sampling { purpose: Purpose::Propose(_), .. });
                !(own && self.is_initiator() && proposal.number == number.saturating_add(1))
            }
        };
        let allowed = self.stage == Stage::Established
            && core.config.relay != RelayPolicy::Only
            && core.config.allowed().contains(strategy);
        in_time && allowed && self.may_take(core.now) && (plain || self.fits(core, leg, proposal))
    }

    /// Whether a strategy that guesses fits what is known, and aims at nobody else.
    fn fits(&self, core: &Core, leg: &Leg, proposal: &Proposal) -> bool {
        let (own, other) = (Class::of(self.own_mapping(leg)), Class::of(proposal.mapping));
        let fits = match (self.transport, proposal.strategy) {
            (Some(Transport::Udp), Strategy::PREDICTED) | (Some(Transport::Tcp), Strategy::TCP_PREDICTED) => {
                has_room(core) && (own.is_dependent() || other.is_dependent())
            }
            // [R-PRED-009]
            (Some(Transport::Udp), Strategy::BIRTHDAY) => has_room(core) && own.is_dependent() != other.is_dependent(),
            (Some(Transport::Udp), Strategy::LOW_TTL) => {
                has_room(core) && (own, other) == (Class::Stable, Class::Stable)
            }
            (Some(Transport::Tcp), Strategy::LOW_TTL | Strategy::TCP_SEQUENTIAL_KEEP) => {
                !own.is_dependent() && !other.is_dependent()
            }
            (Some(Transport::Tcp), Strategy::TCP_SEQUENTIAL_CLOSE) => has_room(core),
            _ => false,
        };
        let guess = |forecast: &Forecast| self.may_guess_at(core, leg, forecast);
        fits && proposal.forecast.as_ref().is_some_and(guess)
    }

    /// Takes part in an attempt that was proposed.
    fn accept(&mut self, core: &mut Core, leg: &mut Leg, proposal: &Proposal, own: Forecast, sockets: Vec<SocketId>) {
        let Some(forecast) = proposal.forecast else {
            return;
        };
        self.replace_candidates(core, leg, &proposal.candidates);
        let agreed = Agreed {
            number: proposal.number,
            strategy: proposal.strategy,
            proposer: false,
            delay: Duration::from_millis(u64::from(proposal.delay)),
            width: self.width(proposal),
            own: Terms { class: Class::of(self.own_mapping(leg)), forecast: own },
            other: Terms { class: Class::of(proposal.mapping), forecast },
            sockets,
        };
        self.begin(core, leg, &agreed);
    }

    /// The answer to a proposal: yes to `accepted`, or no.
    fn answer_to(&self, core: &Core, leg: &Leg, accepted: Option<&Proposal>, forecast: Option<Forecast>) -> Attempted {
        Attempted {
            accepted: accepted.is_some(),
            width: accepted.map_or(0, |proposal| self.width(proposal)),
            mapping: self.own_mapping(leg),
            candidates: accepted.map_or_else(Candidates::default, |_| self.own_candidates(core, leg)),
            forecast,
        }
    }

    /// The width that this side agrees to.
    fn width(&self, proposal: &Proposal) -> u16 {
        match proposal.strategy {
            Strategy::PREDICTED => proposal.width.min(MAX_WINDOW),
            // [R-PRED-014]
            Strategy::TCP_PREDICTED => proposal.width.min(WINDOWS[1]),
            Strategy::BIRTHDAY => proposal.width.min(BIRTHDAY_PORTS),
            Strategy::LOW_TTL => proposal.width.clamp(1, u16::from(u8::MAX)),
            _ => 0,
        }
    }

    // --- samples ---

    /// Whether an attempt begins with samples of this side's port allocation.
    fn needs_samples(&self, leg: &Leg, strategy: Strategy) -> bool {
        match strategy {
            Strategy::PREDICTED | Strategy::TCP_PREDICTED => Class::of(self.own_mapping(leg)).is_dependent(),
            Strategy::LOW_TTL => self.transport == Some(Transport::Udp),
            Strategy::TCP_SEQUENTIAL_CLOSE => true,
            _ => false,
        }
    }

    /// Begins to sample, where there is a server to ask and room for the sockets.
    fn sampler(&mut self, core: &mut Core, leg: &Leg, strategy: Strategy) -> Option<Sampler> {
        let transport = self.transport?;
        let slot = leg.slot_of(transport)?;
        if !has_room(core) {
            return None;
        }
        let sampler = match transport {
            Transport::Udp => Sampler::begin(core, self.handle, transport, leg.bindings()[slot].server),
            Transport::Tcp if strategy == Strategy::TCP_SEQUENTIAL_CLOSE => {
                Sampler::of_one(core, self.handle, transport, leg.help_hole(slot))
            }
            Transport::Tcp => Sampler::begin(core, self.handle, transport, leg.help_hole(slot)),
        };
        self.spent.sockets += sampler.sockets();
        Some(sampler)
    }

    /// What there is to tell without samples: where the server sees this side.
    fn known_forecast(&self, leg: &Leg) -> Option<Forecast> {
        let slot = leg.slot_of(self.transport?)?;
        let endpoint = leg.bindings()[slot].public?;
        let dependent = Class::of(self.own_mapping(leg)).is_dependent();
        let allocation = if dependent { self.proposals.own_allocation } else { Allocation::UNKNOWN };
        Some(Forecast { allocation, endpoint, step: 0 })
    }

    /// A throw-away socket is open.
    pub(in crate::peer) fn on_opened(&mut self, core: &mut Core, socket: SocketId) {
        if let Attempt::Sampling { sampler, .. } = &mut self.attempt {
            sampler.on_opened(core);
        } else if self.transport == Some(Transport::Tcp) {
            self.on_dials_due(core);
        } else {
            self.shoot_from(core, socket);
        }
    }

    /// A throw-away socket could not be opened.
    pub(in crate::peer) fn on_open_failed(&mut self, core: &mut Core, socket: SocketId) {
        if let Attempt::Sampling { sampler, .. } = &mut self.attempt {
            sampler.on_open_failed(core, socket);
        }
    }

    /// The server answered a sample.
    pub(in crate::peer) fn on_sample(&mut self, core: &mut Core, leg: &mut Leg, socket: SocketId, found: &Discovered) {
        if let Attempt::Sampling { sampler, .. } = &mut self.attempt
            && sampler.on_discovered(socket, &found.transaction, found.observed)
        {
            self.on_sampled(core, leg);
        }
    }

    /// The connection of a sample is there.
    pub(in crate::peer) fn on_sample_connected(&self, core: &mut Core, stream: StreamId) {
        match &self.attempt {
            Attempt::Sampling { sampler, .. } => sampler.on_connected(core, stream),
            _ => core.close(stream, true),
        }
    }

    /// The server answered a sample over TCP.
    pub(in crate::peer) fn on_stream_sample(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        stream: StreamId,
        found: &Discovered,
    ) {
        if let Attempt::Sampling { sampler, .. } = &mut self.attempt
            && sampler.on_stream_discovered(stream, &found.transaction, found.observed)
        {
            self.on_sampled(core, leg);
        }
    }

    /// The connection of a sample ended, or could not be made.
    pub(in crate::peer) fn on_sample_closed(&mut self, core: &mut Core, leg: &mut Leg, stream: StreamId) {
        if let Attempt::Sampling { sampler, .. } = &mut self.attempt
            && sampler.on_closed(stream)
        {
            self.on_sampled(core, leg);
        }
    }

    /// The samples are there, as many as came.
    pub(super) fn on_sampled(&mut self, core: &mut Core, leg: &mut Leg) {
        core.timers.clear(Timer::Attempt(self.handle));
        let number = self.attempt.number();
        let Attempt::Sampling { sampler, purpose, .. } =
            core::mem::replace(&mut self.attempt, Attempt::Idle { number })
        else {
            return;
        };
        let mut outcome = sampler.finish(core);
        let strategy = match &purpose {
            Purpose::Propose(choice) => choice.strategy,
            Purpose::Answer { proposal, .. } => proposal.strategy,
        };
        let predicted = matches!(strategy, Strategy::PREDICTED | Strategy::TCP_PREDICTED);
        if !predicted {
            // A mapping that nobody has sent to yet.
            outcome.forecast =
                outcome.last.map(|(_, endpoint)| Forecast { allocation: Allocation::UNKNOWN, endpoint, step: 0 });
            outcome.sockets = outcome.last.map(|(socket, _)| socket).into_iter().collect();
        } else {
            self.proposals.own_allocation =
                outcome.forecast.map_or(Allocation::UNKNOWN, |forecast| forecast.allocation);
        }
        let known = outcome.forecast.filter(|forecast| {
            !predicted || matches!(forecast.allocation, Allocation::SEQUENTIAL | Allocation::PRESERVING)
        });
        match (purpose, known) {
            (Purpose::Propose(choice), Some(forecast)) => self.ask_for(core, leg, choice, forecast, outcome.sockets),
            (Purpose::Propose(choice), None) => {
                if !predicted || self.proposals.own_allocation != Allocation::RANDOM {
                    // The server was silent: this attempt counts, without having been made.
                    self.proposals.tries.count(choice.strategy);
                }
                self.propose(core, leg);
            }
            (Purpose::Answer { id, path, proposal }, known) => {
                let answer = self.answer_to(core, leg, Some(&proposal).filter(|_| known.is_some()), outcome.forecast);
                let reply = Reply::Attempted(answer);
                self.answers.answer(id, &reply);
                self.send_answer(core, leg, path, Message::Answer(id, reply));
                match known {
                    Some(forecast) => self.accept(core, leg, &proposal, forecast, outcome.sockets),
                    None => {
                        self.drop_sockets(core);
                        if let Err(verdict) = self.next_choice(core, leg) {
                            self.give_up(core, leg, verdict);
                        }
                    }
                }
            }
        }
    }

    fn send_answer(&mut self, core: &mut Core, leg: &mut Leg, path: Option<PathId>, answer: Message<'_>) {
        match self.position(path) {
            Some(at) => self.send_on(core, at, &[answer]),
            None => self.send_relay(core, leg, &[answer]),
        }
    }

    // --- what is known ---

    fn learn(&mut self, mapping: Mapping, forecast: Option<Forecast>) {
        self.remote_mapping = mapping;
        if let Some(forecast) = forecast {
            self.proposals.other_allocation = forecast.allocation;
        }
    }

    /// Whether shots may go to where a forecast points: an address that the server told for the other peer,
    /// or that a path was proved to.
    // [R-PRED-005]
    fn may_guess_at(&self, core: &Core, leg: &Leg, forecast: &Forecast) -> bool {
        let endpoint = forecast.endpoint;
        let address = endpoint.address();
        let possible = endpoint.is_candidate() || (core.on_loopback() && address.is_loopback());
        let believed = self.named.contains(&address) || self.paths.iter().any(|path| path.has_proved(address));
        possible && believed && !leg.is_server_address(address) && !core.is_own(endpoint)
    }

    /// Whether this side has a direct path that works as far as it knows.
    pub(super) fn works(&self) -> bool {
        let heard = |path: &Path| self.proposals.moved.is_none_or(|moved| path.last_received > moved);
        self.paths.iter().any(|path| path.state() == PathState::Proved && heard(path))
    }

    /// The other side has no direct path, so what is proved here is to be checked.
    fn doubt(&mut self, core: &mut Core) {
        let Selection::Path(selected) = self.selected else {
            return;
        };
        let Some(at) = self.position(Some(selected)) else {
            return;
        };
        if !matches!(self.paths[at].link, Link::Udp { .. }) {
            return;
        }
        self.proposals.doubted = Some(selected);
        self.paths[at].unanswered = self.paths[at].unanswered.max(1);
        let check = self.check(core, at, false);
        self.send_on(core, at, &[check]);
        core.timers.set_earlier(Timer::Keepalive(self.handle), core.now + KEEPALIVE_RETRY);
    }

    /// Counts a proposal of the other side that is taken, if there were not too many.
    fn may_take(&mut self, now: Instant) -> bool {
        let (since, count) = &mut self.proposals.taken;
        if now - *since >= MINUTE {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= ATTEMPTS_PER_MINUTE
    }

    /// Where this side may be reached, by the transport of the session.
    fn own_candidates(&self, core: &Core, leg: &Leg) -> Candidates {
        if core.config.relay == RelayPolicy::Only {
            return Candidates::default();
        }
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let bindings = || leg.bindings().iter().filter(|binding| Some(binding.transport) == self.transport);
        let public = bindings().filter(|binding| binding.is_online()).filter_map(|binding| binding.public);
        for endpoint in public.chain(bindings().flat_map(|binding| core.private_endpoints(binding.socket))) {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        List::from_first(endpoints)
    }

    fn replace_candidates(&mut self, core: &mut Core, leg: &Leg, endpoints: &[Endpoint]) {
        if !endpoints.is_empty() {
            self.candidates.clear();
            self.add_candidates(core, leg, endpoints, super::Told::Peer);
        }
    }
}

/// How long a packet takes to the other peer and back by way of the server, from the two round trips that the
/// server told in microseconds.
pub(super) fn by_way_of_server(own: u32, other: u32) -> Duration {
    Duration::from_micros(u64::from(own) + u64::from(other))
}

/// Whether an attempt may open sockets.
// [R-PRED-008]
fn has_room(core: &Core) -> bool {
    let owned = core.ports.iter().filter(|port| port.owner.is_some()).count();
    owned + usize::from(BIRTHDAY_SOCKETS) <= MAX_THROW_AWAY
}

/// The period of [`ATTEMPTS_PER_MINUTE`].
const MINUTE: Duration = Duration::from_secs(60);
