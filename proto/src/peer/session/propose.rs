//! Proposals of attempts and their answers (`spec/punching.md`, "Attempts").

use alloc::vec::Vec;

use super::{PathState, RelayPolicy, Selection, Session, Stage};
use crate::constants::{ATTEMPTS_PER_MINUTE, KEEPALIVE_RETRY};
use crate::endpoint::Endpoint;
use crate::peer::core::{Core, Timer};
use crate::peer::leg::Leg;
use crate::peer::path::{Link, Path, PathId};
use crate::time::{Duration, Instant};
use crate::wire::List;
use crate::wire::code::Strategy;
use crate::wire::control::{Attempt as Proposal, Attempted, Candidates};
use crate::wire::message::Request;

/// What a session remembers between attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct Proposals {
    /// Attempts since the session began or something changed.
    pub(super) tries: u8,
    /// When the local addresses changed, until a direct path works again.
    pub(super) moved: Option<Instant>,
    /// The path that the other side said is none, until something arrives on it.
    pub(super) doubted: Option<PathId>,
    /// Attempts that were taken since.
    taken: (Instant, u8),
}

impl Session {
    /// Proposes another attempt over whatever way there is, because something changed.
    pub(in crate::peer) fn propose_anew(&mut self, core: &mut Core, leg: &mut Leg) {
        self.proposals.tries = 0;
        self.propose(core, leg);
    }

    /// Proposes the next attempt over whatever way there is.
    pub(in crate::peer) fn propose(&mut self, core: &mut Core, leg: &mut Leg) {
        if self.stage != Stage::Established || self.works() || core.config.relay == RelayPolicy::Only {
            return;
        }
        let number = self.attempt.number().saturating_add(1);
        let proposal = self.proposal(core, leg, number, Strategy::PLAIN);
        self.request(core, leg, None, Request::Attempt(proposal));
        // A plain attempt needs no agreement: who is late joins.
        self.start_attempt(core, number);
    }

    /// Shows the other side, through the relay, that this one has keys; the first attempt runs already.
    pub(super) fn confirm_attempt(&mut self, core: &mut Core, leg: &mut Leg) {
        let number = self.attempt.number();
        let mut proposal = self.proposal(core, leg, number, Strategy::PLAIN);
        // What the server just told needs no repetition.
        proposal.candidates = Candidates::default();
        self.request(core, leg, None, Request::Attempt(proposal));
    }

    fn proposal(&self, core: &Core, leg: &Leg, number: u16, strategy: Strategy) -> Proposal {
        let mapping = self.own_mapping(leg);
        let candidates = self.own_candidates(core, leg);
        Proposal { number, strategy, delay: 0, width: 0, mapping, candidates, forecast: None }
    }

    /// The other side wants to punch (again).
    pub(super) fn on_proposal(&mut self, core: &mut Core, leg: &mut Leg, proposal: &Proposal) -> Attempted {
        let number = self.attempt.number();
        let known = proposal.strategy == Strategy::PLAIN;
        // [R-PUNCH-013]
        if core.config.relay == RelayPolicy::Only || proposal.number < number || !known || !self.may_take(core.now) {
            return Attempted {
                accepted: false,
                width: 0,
                mapping: self.own_mapping(leg),
                candidates: Candidates::default(),
                forecast: None,
            };
        }
        self.remote_mapping = proposal.mapping;
        if self.stage != Stage::Ended && proposal.number > number {
            // [R-PUNCH-027]
            self.stop_attempt(core);
            self.doubt(core);
            self.replace_candidates(core, leg, &proposal.candidates);
            self.start_attempt(core, proposal.number);
        } else if !proposal.candidates.is_empty() {
            // [R-PUNCH-028] Two plain proposals that crossed are one attempt.
            self.replace_candidates(core, leg, &proposal.candidates);
        }
        let candidates =
            if proposal.candidates.is_empty() { Candidates::default() } else { self.own_candidates(core, leg) };
        Attempted { accepted: true, width: 0, mapping: self.own_mapping(leg), candidates, forecast: None }
    }

    /// The other side answered a proposal.
    pub(super) fn on_attempted(&mut self, core: &mut Core, leg: &mut Leg, proposal: &Proposal, answer: &Attempted) {
        if !answer.accepted || proposal.number != self.attempt.number() {
            return;
        }
        self.remote_mapping = answer.mapping;
        if !answer.candidates.is_empty() {
            self.replace_candidates(core, leg, &answer.candidates);
        }
    }

    /// Whether this side has a direct path that works as far as it knows.
    fn works(&self) -> bool {
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
        self.candidates.clear();
        self.add_candidates(core, leg, endpoints, super::Told::Peer);
    }
}

/// The period of [`ATTEMPTS_PER_MINUTE`].
const MINUTE: Duration = Duration::from_secs(60);
