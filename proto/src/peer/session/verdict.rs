//! Why there is no direct path (`spec/punching.md`, "Verdicts").

use super::handshake::mapping;
use super::{Certainty, PathState, PeerEvent, RelayPolicy, Session, Stage, Verdict};
use crate::constants::MAX_ATTEMPTS;
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::peer::api::Evidence;
use crate::peer::core::Core;
use crate::peer::leg::Leg;
use crate::wire::code::Mapping;

impl Session {
    /// How the NAT in front of this side maps.
    pub(super) fn own_mapping(&self, leg: &Leg) -> Mapping {
        self.transport.map_or(Mapping::UNKNOWN, |transport| mapping(leg, transport))
    }

    /// Why there is no direct path, as far as the evidence tells.
    pub(super) fn verdict(&self, core: &Core, leg: &Leg) -> Verdict {
        judge(&self.evidence(core, leg))
    }

    /// Tells the application, unless that is what it was told last.
    pub(super) fn tell_not_direct(&mut self, core: &mut Core, leg: &Leg, verdict: Verdict) {
        // [R-PUNCH-032]
        if self.told == Some(verdict) {
            return;
        }
        let evidence = self.evidence(core, leg);
        let certainty = certainty(verdict, &evidence);
        let session = self.handle;
        core.event(PeerEvent::NotDirect { session, verdict, certainty, evidence });
        self.told = Some(verdict);
    }

    /// Takes back what was told: a direct path was proved.
    pub(super) fn withdraw_verdict(&mut self, core: &mut Core) {
        if let Some(verdict) = self.told.take() {
            core.event(PeerEvent::Withdrawn { session: self.handle, verdict });
        }
    }

    fn evidence(&self, core: &Core, leg: &Leg) -> Evidence {
        let slot = self.transport.and_then(|transport| leg.slot_of(transport));
        let public = slot.and_then(|slot| leg.bindings()[slot].public).map(Endpoint::address);
        let (own_allocation, other_allocation) = self.proposals.allocations();
        let udp_online =
            leg.bindings().iter().any(|binding| binding.transport == Transport::Udp && binding.is_online());
        // Whoever asked for TCP did not miss UDP; the responder does not know.
        let missed_udp = self.is_initiator() && self.wish.is_none() && self.transport == Some(Transport::Tcp);
        Evidence {
            relay_only: core.config.relay == RelayPolicy::Only,
            answered: self.association.is_some(),
            candidates: u8::try_from(self.candidates.len()).unwrap_or(u8::MAX),
            same_address: self.candidates.iter().any(|candidate| Some(candidate.address()) == public),
            heard: self.stage == Stage::Established && self.paths.iter().any(|path| path.state() != PathState::Untried),
            own_mapping: self.own_mapping(leg),
            other_mapping: self.remote_mapping,
            own_allocation,
            other_allocation,
            udp_silent: missed_udp && core.config.udp && !udp_online,
            attempts: self.proposals.tries.all().min(MAX_ATTEMPTS),
        }
    }
}

/// The verdict after plain attempts; those with another strategy have theirs from the table of strategies.
fn judge(evidence: &Evidence) -> Verdict {
    let (own, other) = (evidence.own_mapping, evidence.other_mapping);
    let stable = |mapping| mapping == Mapping::ENDPOINT_INDEPENDENT;
    if evidence.relay_only {
        Verdict::RELAY_ONLY
    } else if !evidence.answered {
        Verdict::PEER_SILENT
    } else if evidence.candidates == 0 {
        Verdict::NO_CANDIDATES
    } else if own.is_dependent() && other.is_dependent() {
        Verdict::BOTH_ENDPOINT_DEPENDENT
    } else if own.is_dependent() || other.is_dependent() {
        Verdict::ENDPOINT_DEPENDENT
    } else if evidence.same_address {
        Verdict::NO_HAIRPIN
    } else if evidence.udp_silent {
        Verdict::UDP_BLOCKED
    } else if stable(own) && stable(other) {
        Verdict::FILTERED
    } else {
        Verdict::UNKNOWN
    }
}

/// How sure the statement of a verdict is.
const fn certainty(verdict: Verdict, evidence: &Evidence) -> Certainty {
    match verdict {
        Verdict::RELAY_ONLY if evidence.relay_only => Certainty::Proved,
        Verdict::NO_CANDIDATES if evidence.answered && evidence.candidates == 0 => Certainty::Proved,
        Verdict::BOTH_ENDPOINT_DEPENDENT
            if evidence.own_mapping.is_dependent() && evidence.other_mapping.is_dependent() =>
        {
            Certainty::Proved
        }
        Verdict::UNKNOWN => Certainty::Unknown,
        _ => Certainty::Consistent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::code::Allocation;

    const NOTHING: Evidence = Evidence {
        relay_only: false,
        answered: true,
        candidates: 1,
        same_address: false,
        heard: false,
        own_mapping: Mapping::UNKNOWN,
        other_mapping: Mapping::UNKNOWN,
        own_allocation: Allocation::UNKNOWN,
        other_allocation: Allocation::UNKNOWN,
        udp_silent: false,
        attempts: 1,
    };

    fn judged(evidence: Evidence) -> (Verdict, Certainty) {
        let verdict = judge(&evidence);
        (verdict, certainty(verdict, &evidence))
    }

    #[test]
    fn each_statement_has_its_evidence() {
        let (stable, dependent) = (Mapping::ENDPOINT_INDEPENDENT, Mapping::ADDRESS_DEPENDENT);
        let maps = |own_mapping, other_mapping| Evidence { own_mapping, other_mapping, ..NOTHING };
        for (evidence, expected) in [
            (NOTHING, (Verdict::UNKNOWN, Certainty::Unknown)),
            (Evidence { relay_only: true, ..NOTHING }, (Verdict::RELAY_ONLY, Certainty::Proved)),
            (Evidence { answered: false, ..NOTHING }, (Verdict::PEER_SILENT, Certainty::Consistent)),
            (Evidence { candidates: 0, ..NOTHING }, (Verdict::NO_CANDIDATES, Certainty::Proved)),
            (maps(dependent, dependent), (Verdict::BOTH_ENDPOINT_DEPENDENT, Certainty::Proved)),
            (maps(dependent, stable), (Verdict::ENDPOINT_DEPENDENT, Certainty::Consistent)),
            (maps(Mapping::UNKNOWN, dependent), (Verdict::ENDPOINT_DEPENDENT, Certainty::Consistent)),
            (Evidence { same_address: true, ..NOTHING }, (Verdict::NO_HAIRPIN, Certainty::Consistent)),
            (Evidence { udp_silent: true, ..NOTHING }, (Verdict::UDP_BLOCKED, Certainty::Consistent)),
            (maps(stable, stable), (Verdict::FILTERED, Certainty::Consistent)),
            (maps(stable, Mapping::UNKNOWN), (Verdict::UNKNOWN, Certainty::Unknown)),
        ] {
            assert_eq!(judged(evidence), expected, "{evidence:?}");
        }
    }

    #[test]
    fn what_an_attempt_concluded_is_never_proved_without_its_evidence() {
        for code in 0..=11 {
            let sure = certainty(Verdict(code), &NOTHING) == Certainty::Proved;
            assert!(!sure, "{}", Verdict(code).name());
        }
    }
}
