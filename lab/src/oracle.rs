//! What `spec/reachability.json` expects of two NATs of the model.

use pinhole_judge::{Allocation, Allowed, Oracle, Reaction, Side};
use pinhole_proto::Transport;
use pinhole_sim::Behaviour;
use pinhole_sim::nat::{FreshPort, OnReset, Unsolicited};

use crate::error::LabError;
use crate::trial::Over;

/// By which technique two sides become direct whose users asked for nothing; by none where they are relayed. A side
/// without a behaviour is public.
///
/// # Errors
///
/// [`LabError::NoSuch`] when the file is not an oracle, or lacks a side.
pub fn technique(a: Option<&Behaviour>, b: Option<&Behaviour>, over: Over) -> Result<Option<String>, LabError> {
    let oracle = Oracle::parse(include_str!("../../spec/reachability.json"))
        .and_then(|oracle| oracle.with_exceptions(include_str!("../../spec/reachability-exceptions.csv")))
        .map_err(|error| LabError::NoSuch(error.to_string()))?;
    let transport = if over == Over::Tcp { Transport::Tcp } else { Transport::Udp };
    let (a, b) = (side(a).over(transport), side(b).over(transport));
    let column = Side::all(transport).into_iter().position(|side| side == b);
    let column = column.ok_or_else(|| LabError::NoSuch(format!("{b} in spec/reachability.json")))?;
    Ok(oracle.outcome(transport, a, column, Allowed::DEFAULT).map(|(name, _)| name.to_owned()))
}

/// The side that a NAT of the model is on.
const fn side(behaviour: Option<&Behaviour>) -> Side {
    let Some(behaviour) = behaviour else {
        return Side::Public;
    };
    let allocation = match (behaviour.preserve_port, behaviour.fresh_port) {
        (true, _) => Allocation::Preserving,
        (false, FreshPort::Sequential) => Allocation::Sequential,
        (false, FreshPort::Random) => Allocation::Random,
    };
    // A socket cannot tell an ICMP error from a RST; what comes after six seconds comes too late to matter.
    let refuses = matches!(behaviour.unsolicited_syn, Unsolicited::Reset | Unsolicited::Icmp);
    let reaction = match (refuses, behaviour.reset) {
        (false, _) => Reaction::Drop,
        (true, OnReset::Keep) => Reaction::ResetKept,
        (true, OnReset::Forget | OnReset::ForgetUnanswered) => Reaction::ResetForgotten,
    };
    Side::Nat {
        mapping: behaviour.mapping,
        filtering: behaviour.filtering,
        permission: behaviour.permission,
        allocation,
        reaction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_found_by_the_behaviours_of_its_nats() {
        let cone = Behaviour::port_restricted();
        let random = Behaviour::symmetric();
        let full = Behaviour::full_cone();
        for over in [Over::Udp, Over::Tcp] {
            let by = |a, b| technique(a, b, over).unwrap();
            assert_eq!(by(Some(&cone), Some(&cone)).as_deref(), Some("plain"));
            assert_eq!(by(None, Some(&random)).as_deref(), Some("plain"));
            assert_eq!(by(Some(&random), Some(&full)).as_deref(), Some("plain"));
            assert_eq!(by(Some(&random), Some(&random)), None);
        }
        let sequential = Behaviour::symmetric_sequential(40_000);
        let by = |over| technique(Some(&sequential), Some(&cone), over).unwrap();
        assert_eq!(by(Over::Udp).as_deref(), Some("predicted"));
        assert_eq!(by(Over::Tcp).as_deref(), Some("tcp-predicted"));
    }

    /// What the file lists for this pair is ruled out where peers may predict, which they may here.
    #[test]
    fn a_technique_that_another_one_rules_out_is_not_expected() {
        let mut random = Behaviour::symmetric();
        (random.unsolicited_syn, random.reset) = (Unsolicited::Drop, OnReset::Keep);
        let transport = Transport::Tcp;
        let oracle = Oracle::parse(include_str!("../../spec/reachability.json")).unwrap();
        let ruled_out = Side::all(transport).into_iter().enumerate().find(|(column, other)| {
            let listed = oracle.techniques(transport, side(Some(&random)), *column);
            listed == ["tcp-sequential-close"] && *other != Side::Public
        });
        let (_, other) = ruled_out.expect("the file has such a pair");
        let other = other.behaviour(50_000);
        assert_eq!(technique(Some(&random), other.as_ref(), Over::Tcp).unwrap(), None);
    }
}
