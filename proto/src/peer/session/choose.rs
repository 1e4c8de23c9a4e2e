//! Which strategy the next attempt has: one table (`spec/punching.md`, "Choice").
//!
//! A row is a *ladder*: what is tried in turn. A strategy that one of the two sides does not allow is passed
//! over; the first attempt of a session is made before anything is known, and is the first rung of each ladder.

use super::Verdict;
use crate::constants::{BIRTHDAY_PORTS, WINDOWS};
use crate::engine::Transport;
use crate::peer::api::StrategySet;
use crate::wire::code::{Allocation, Mapping, Strategy};

/// What a NAT's mapping depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Not measured.
    Unknown,
    /// On nothing: whoever knows the public endpoint may use it.
    Stable,
    /// On the remote address.
    Address,
    /// On the remote address and port.
    Port,
}

impl Class {
    pub(super) const fn of(mapping: Mapping) -> Self {
        match mapping {
            Mapping::ENDPOINT_INDEPENDENT => Self::Stable,
            // The kind that was not told apart is taken for the common one.
            Mapping::ENDPOINT_DEPENDENT | Mapping::ADDRESS_AND_PORT_DEPENDENT => Self::Port,
            Mapping::ADDRESS_DEPENDENT => Self::Address,
            _ => Self::Unknown,
        }
    }

    /// Whether the other peer meets another endpoint than the server.
    pub(super) const fn is_dependent(self) -> bool {
        matches!(self, Self::Address | Self::Port)
    }
}

/// What is known of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) class: Class,
    /// The latest that its samples told.
    pub(super) allocation: Allocation,
}

/// How often each strategy was tried since something changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tries([u8; 16]);

impl Tries {
    pub(super) fn of(&self, strategy: Strategy) -> u8 {
        self.0.get(usize::from(strategy.0)).copied().unwrap_or(u8::MAX)
    }

    pub(super) fn count(&mut self, strategy: Strategy) {
        if let Some(tries) = self.0.get_mut(usize::from(strategy.0)) {
            *tries = tries.saturating_add(1);
        }
    }

    pub(super) fn all(&self) -> u8 {
        self.0.iter().fold(0, |all: u8, tries| all.saturating_add(*tries))
    }
}

/// Everything that the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Situation {
    pub(super) transport: Transport,
    pub(super) own: Side,
    pub(super) other: Side,
    pub(super) tries: Tries,
    /// What this side allows and the other did not refuse.
    pub(super) allowed: StrategySet,
}

/// What is tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::peer) struct Choice {
    pub(super) strategy: Strategy,
    /// How many ports, or which TTL: the strategy says.
    pub(super) width: u16,
}

/// The next attempt, or the verdict with which nothing more is tried.
pub(super) fn choose(situation: &Situation) -> Result<Choice, Verdict> {
    let ladder = ladder(situation);
    let mut passed = Tries::default();
    for &(strategy, width) in ladder {
        if passed.of(strategy) >= situation.tries.of(strategy) && situation.allowed.contains(strategy) {
            return Ok(Choice { strategy, width });
        }
        passed.count(strategy);
    }
    Err(verdict(situation))
}

// [R-PRED-001]
type Rung = (Strategy, u16);

const fn plain() -> Rung {
    (Strategy::PLAIN, 0)
}

/// Nothing is known, or nothing else is there.
const PLAIN: [Rung; 3] = [plain(); 3];
/// Nothing more helps.
const ONCE: [Rung; 1] = [plain()];
/// Both endpoints are known: packets were lost, or came too early.
const STABLE: [Rung; 5] = [plain(), (Strategy::LOW_TTL, 2), plain(), (Strategy::LOW_TTL, 3), (Strategy::LOW_TTL, 4)];
/// The same over TCP, where too early a SYN may be answered with a reset that closes what it opened.
const STREAMS: [Rung; 5] =
    [plain(), (Strategy::LOW_TTL, 2), (Strategy::TCP_SEQUENTIAL_KEEP, 0), (Strategy::LOW_TTL, 3), plain()];
/// The same where a mapping is not known.
const STREAMS_UNKNOWN: [Rung; 5] =
    [plain(), (Strategy::LOW_TTL, 2), (Strategy::TCP_SEQUENTIAL_KEEP, 0), (Strategy::TCP_SEQUENTIAL_CLOSE, 0), plain()];
/// Over TCP, ports that follow each other.
const STREAMS_SEQUENTIAL: [Rung; 3] =
    [plain(), (Strategy::TCP_PREDICTED, WINDOWS[0]), (Strategy::TCP_PREDICTED, WINDOWS[1])];
/// Over TCP, ports that may be given again when a connection is gone.
const STREAMS_DEPENDENT: [Rung; 4] = [
    plain(),
    (Strategy::TCP_PREDICTED, WINDOWS[0]),
    (Strategy::TCP_SEQUENTIAL_CLOSE, 0),
    (Strategy::TCP_PREDICTED, WINDOWS[1]),
];
/// Ports that follow each other, as far as is known.
const SEQUENTIAL: [Rung; 4] =
    [plain(), (Strategy::PREDICTED, WINDOWS[0]), (Strategy::PREDICTED, WINDOWS[1]), (Strategy::PREDICTED, WINDOWS[2])];
/// Random ports against an endpoint that is known.
const RANDOM: [Rung; 2] = [plain(), (Strategy::BIRTHDAY, BIRTHDAY_PORTS)];

const fn ladder(situation: &Situation) -> &'static [Rung] {
    match situation.transport {
        // What the mappings rule out is not repeated.
        Transport::Tcp if is_random(situation.own) || is_random(situation.other) => &ONCE,
        Transport::Tcp if follows(situation.own) || follows(situation.other) => &STREAMS_SEQUENTIAL,
        Transport::Tcp => match (situation.own.class, situation.other.class) {
            (Class::Address | Class::Port, _) | (_, Class::Address | Class::Port) => &STREAMS_DEPENDENT,
            (Class::Unknown, _) | (_, Class::Unknown) => &STREAMS_UNKNOWN,
            (Class::Stable, Class::Stable) => &STREAMS,
        },
        Transport::Udp => match (situation.own.class, situation.other.class) {
            (Class::Unknown, _) | (_, Class::Unknown) => &PLAIN,
            (Class::Stable, Class::Stable) => &STABLE,
            (Class::Stable, _) if is_random(situation.other) => &RANDOM,
            (_, Class::Stable) if is_random(situation.own) => &RANDOM,
            _ if is_random(situation.own) || is_random(situation.other) => &ONCE,
            _ => &SEQUENTIAL,
        },
    }
}

const fn is_random(side: Side) -> bool {
    side.class.is_dependent() && matches!(side.allocation, Allocation::RANDOM)
}

const fn follows(side: Side) -> bool {
    side.class.is_dependent() && matches!(side.allocation, Allocation::SEQUENTIAL)
}

/// Why nothing is left.
fn verdict(situation: &Situation) -> Verdict {
    let (own, other) = (situation.own, situation.other);
    if situation.tries.of(Strategy::BIRTHDAY) > 0 {
        Verdict::BIRTHDAY_MISSED
    } else if is_random(own) || is_random(other) {
        Verdict::RANDOM_ALLOCATION
    } else if situation.tries.of(Strategy::PREDICTED) > 0 || situation.tries.of(Strategy::TCP_PREDICTED) > 0 {
        Verdict::PREDICTED_PORTS_MISSED
    } else if own.class.is_dependent() && other.class.is_dependent() {
        Verdict::BOTH_ENDPOINT_DEPENDENT
    } else if own.class.is_dependent() || other.class.is_dependent() {
        Verdict::ENDPOINT_DEPENDENT
    } else if (own.class, other.class) == (Class::Stable, Class::Stable) {
        Verdict::FILTERED
    } else {
        Verdict::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const CLASSES: [Class; 4] = [Class::Unknown, Class::Stable, Class::Address, Class::Port];
    const ALLOCATIONS: [Allocation; 4] =
        [Allocation::UNKNOWN, Allocation::SEQUENTIAL, Allocation::RANDOM, Allocation::PRESERVING];

    fn climb(mut situation: Situation) -> (Vec<(Strategy, u16)>, Verdict) {
        let mut rungs = Vec::new();
        loop {
            match choose(&situation) {
                Ok(choice) => {
                    rungs.push((choice.strategy, choice.width));
                    situation.tries.count(choice.strategy);
                    assert!(rungs.len() <= usize::from(crate::constants::MAX_ATTEMPTS), "{situation:?}");
                }
                Err(verdict) => return (rungs, verdict),
            }
        }
    }

    /// What the rows of the table say, written again by cases.
    fn expected(situation: &Situation) -> Vec<(Strategy, u16)> {
        let (own, other) = (situation.own, situation.other);
        let random = |side: Side| side.class.is_dependent() && side.allocation == Allocation::RANDOM;
        let mut rungs = alloc::vec![(Strategy::PLAIN, 0)];
        let known = own.class != Class::Unknown && other.class != Class::Unknown;
        let dependent = [own, other].iter().filter(|side| side.class.is_dependent()).count();
        let any_random = random(own) || random(other);
        let follows = |side: Side| side.class.is_dependent() && side.allocation == Allocation::SEQUENTIAL;
        if situation.transport == Transport::Tcp && dependent > 0 {
            if !any_random {
                rungs.push((Strategy::TCP_PREDICTED, 1));
                if !follows(own) && !follows(other) {
                    rungs.push((Strategy::TCP_SEQUENTIAL_CLOSE, 0));
                }
                rungs.push((Strategy::TCP_PREDICTED, 8));
            }
        } else if situation.transport == Transport::Tcp && !known {
            rungs.extend([
                (Strategy::LOW_TTL, 2),
                (Strategy::TCP_SEQUENTIAL_KEEP, 0),
                (Strategy::TCP_SEQUENTIAL_CLOSE, 0),
                (Strategy::PLAIN, 0),
            ]);
        } else if situation.transport == Transport::Tcp {
            rungs.extend([
                (Strategy::LOW_TTL, 2),
                (Strategy::TCP_SEQUENTIAL_KEEP, 0),
                (Strategy::LOW_TTL, 3),
                (Strategy::PLAIN, 0),
            ]);
        } else if !known {
            rungs.extend([(Strategy::PLAIN, 0), (Strategy::PLAIN, 0)]);
        } else if dependent == 0 {
            rungs.extend([
                (Strategy::LOW_TTL, 2),
                (Strategy::PLAIN, 0),
                (Strategy::LOW_TTL, 3),
                (Strategy::LOW_TTL, 4),
            ]);
        } else if !random(own) && !random(other) {
            rungs.extend([1, 8, 64].map(|width| (Strategy::PREDICTED, width)));
        } else if dependent == 1 {
            rungs.push((Strategy::BIRTHDAY, BIRTHDAY_PORTS));
        }
        rungs.retain(|(strategy, _)| situation.allowed.contains(*strategy));
        rungs
    }

    // [R-PUNCH-014] [R-PRED-001]
    #[test]
    fn every_situation_has_its_ladder_and_an_end() {
        let mut seen = 0;
        for transport in [Transport::Udp, Transport::Tcp] {
            for own in CLASSES {
                for other in CLASSES {
                    for own_allocation in ALLOCATIONS {
                        for other_allocation in ALLOCATIONS {
                            for bits in 0..128u8 {
                                let allowed = StrategySet::ALL.iter().filter(|strategy| bits >> strategy.0 & 1 == 1);
                                let situation = Situation {
                                    transport,
                                    own: Side { class: own, allocation: own_allocation },
                                    other: Side { class: other, allocation: other_allocation },
                                    tries: Tries::default(),
                                    allowed: allowed.fold(StrategySet::NONE, StrategySet::with),
                                };
                                let (rungs, _) = climb(situation);
                                assert_eq!(rungs, expected(&situation), "{situation:?}");
                                seen += 1;
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(seen, 2 * 16 * 16 * 128);
    }

    #[test]
    fn what_is_learned_on_the_way_changes_the_ladder() {
        let mut situation = Situation {
            transport: Transport::Udp,
            own: Side { class: Class::Stable, allocation: Allocation::UNKNOWN },
            other: Side { class: Class::Port, allocation: Allocation::UNKNOWN },
            tries: Tries::default(),
            allowed: StrategySet::ALL,
        };
        situation.tries.count(Strategy::PLAIN);
        assert_eq!(choose(&situation), Ok(Choice { strategy: Strategy::PREDICTED, width: 1 }));
        situation.other.allocation = Allocation::RANDOM;
        assert_eq!(choose(&situation), Ok(Choice { strategy: Strategy::BIRTHDAY, width: BIRTHDAY_PORTS }));
        situation.allowed = StrategySet::ALL.without(Strategy::BIRTHDAY);
        assert_eq!(choose(&situation), Err(Verdict::RANDOM_ALLOCATION));
        situation.allowed = StrategySet::ALL;
        situation.tries.count(Strategy::BIRTHDAY);
        assert_eq!(choose(&situation), Err(Verdict::BIRTHDAY_MISSED));
        situation.other.allocation = Allocation::SEQUENTIAL;
        situation.tries = Tries::default();
        situation.tries.count(Strategy::PLAIN);
        (0..3).for_each(|_| situation.tries.count(Strategy::PREDICTED));
        assert_eq!(choose(&situation), Err(Verdict::PREDICTED_PORTS_MISSED));
    }
}
