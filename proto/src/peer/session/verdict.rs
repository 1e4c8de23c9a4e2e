//! Why there is no direct path (`spec/punching.md`, "Verdicts").

use super::handshake::mapping;
use super::{Certainty, RelayPolicy, Session, Verdict};
use crate::endpoint::Endpoint;
use crate::peer::core::Core;
use crate::peer::leg::Leg;
use crate::wire::code::Mapping;

impl Session {
    /// How the NAT in front of this side maps.
    pub(super) fn own_mapping(&self, leg: &Leg) -> Mapping {
        self.transport.map_or(Mapping::UNKNOWN, |transport| mapping(leg, transport))
    }

    /// Why there is no direct path, as far as the evidence tells.
    pub(super) fn verdict(&self, core: &Core, leg: &Leg) -> (Verdict, Certainty) {
        if core.config.relay == RelayPolicy::Only {
            return (Verdict::RELAY_ONLY, Certainty::Proved);
        }
        if self.association.is_none() {
            return (Verdict::PEER_SILENT, Certainty::Consistent);
        }
        if self.candidates.is_empty() {
            return (Verdict::NO_CANDIDATES, Certainty::Proved);
        }
        let slot = self.transport.and_then(|transport| leg.slot_of(transport));
        let own = self.own_mapping(leg);
        let public = slot.and_then(|slot| leg.bindings()[slot].public).map(Endpoint::address);
        let dependent = Mapping::is_dependent;
        match (own, self.remote_mapping) {
            (own, other) if dependent(own) && dependent(other) => {
                (Verdict::BOTH_ENDPOINT_DEPENDENT, Certainty::Consistent)
            }
            (own, other) if dependent(own) || dependent(other) => (Verdict::ENDPOINT_DEPENDENT, Certainty::Consistent),
            _ if self.candidates.iter().any(|candidate| Some(candidate.address()) == public) => {
                (Verdict::NO_HAIRPIN, Certainty::Consistent)
            }
            (Mapping::ENDPOINT_INDEPENDENT, Mapping::ENDPOINT_INDEPENDENT) => {
                (Verdict::FILTERED, Certainty::Consistent)
            }
            _ => (Verdict::UNKNOWN, Certainty::Unknown),
        }
    }
}
