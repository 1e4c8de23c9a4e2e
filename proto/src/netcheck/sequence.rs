//! Where a NAT takes its ports from, told by a few that it gave out one after the other.

use super::report::Allocation;
use crate::peer::Certainty;

/// The class of the allocation that gave out `ports`, in that order, and how sure it is.
///
/// Sequential: each port is above the one before by at most [`MAX_GAP`] times the smallest distance, and by
/// at most [`MAX_STEP`]; what lies between was given to somebody else. One port that is far below the rest may be the
/// end of the range. Random: anything else, and proved when the ports went down twice, which no counter does within
/// a few packets.
pub(crate) fn classify(ports: &[u16]) -> Option<(Allocation, Certainty)> {
    if ports.len() < MIN_SAMPLES {
        return None;
    }
    let pairs = || ports.windows(2).map(|pair| (pair[0], pair[1]));
    let down = pairs().filter(|(before, after)| after <= before).count();
    let step = pairs().filter(|(before, after)| after > before).map(|(before, after)| after - before).min();
    let (Some(step @ 1..=MAX_STEP), 0..=1) = (step, down) else {
        return Some((Allocation::Random, if down >= 2 { Certainty::Proved } else { Certainty::Consistent }));
    };
    let gap = step.saturating_mul(MAX_GAP);
    let regular = pairs().all(|(before, after)| after <= before || after - before <= gap);
    if !regular {
        return Some((Allocation::Random, Certainty::Consistent));
    }
    let exact = down == 0 && pairs().all(|(before, after)| after - before == step);
    let certainty = if exact && ports.len() > MIN_SAMPLES { Certainty::Proved } else { Certainty::Consistent };
    Some((Allocation::Sequential { first: ports[0], step }, certainty))
}

/// The fewest ports that tell anything: with two distances the odds that chance looks regular are 1 to a million.
pub(super) const MIN_SAMPLES: usize = 3;
/// The largest distance of neighbours that still counts as a step.
const MAX_STEP: u16 = 16;
/// The most steps from one sample to the next.
const MAX_GAP: u16 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn class(ports: &[u16]) -> Option<Allocation> {
        classify(ports).map(|(class, _)| class)
    }

    #[test]
    fn a_counter_is_sequential_whatever_its_step_and_whoever_took_ports_between() {
        let sequential = |first, step| Some(Allocation::Sequential { first, step });
        assert_eq!(class(&[62_000, 62_001, 62_002]), sequential(62_000, 1));
        assert_eq!(class(&[62_000, 62_002, 62_004, 62_006]), sequential(62_000, 2));
        assert_eq!(class(&[62_000, 62_001, 62_004, 62_005]), sequential(62_000, 1));
        assert_eq!(class(&[65_534, 65_535, 1_024, 1_025]), sequential(65_534, 1));
    }

    #[test]
    fn ports_from_anywhere_are_random_and_proved_so_when_they_go_down_twice() {
        assert_eq!(classify(&[9_000, 50_000, 2_000, 1_500]), Some((Allocation::Random, Certainty::Proved)));
        assert_eq!(classify(&[9_000, 20_000, 41_000, 60_000]), Some((Allocation::Random, Certainty::Consistent)));
        assert_eq!(class(&[9_000, 9_001, 41_000]), Some(Allocation::Random));
    }

    #[test]
    fn two_ports_tell_nothing() {
        assert_eq!(class(&[62_000, 62_001]), None);
    }
}
