//! Where a NAT takes its ports from, told by a few that it gave out one after the other.

use super::report::Allocation;
use crate::peer::Certainty;
use crate::sequence::{distances, step};

/// The class of the allocation that gave out `ports`, in that order, and how sure it is.
///
/// Sequential: they follow each other as those of a forecast do, save that one may lie behind: a counter begins again
/// at the end of its range. Random: anything else, and proved when the ports went either way twice, which no counter
/// does within a few packets.
pub(crate) fn classify(ports: &[u16]) -> Option<(Allocation, Certainty)> {
    if ports.len() < MIN_SAMPLES {
        return None;
    }
    let distances = distances(ports);
    let sequential = |step| Allocation::Sequential { first: ports[0], step };
    if let Some(step) = step(&distances) {
        let exact = distances.iter().all(|distance| distance.cast_unsigned() == step);
        let certainty = if exact && ports.len() > MIN_SAMPLES { Certainty::Proved } else { Certainty::Consistent };
        return Some((sequential(step), certainty));
    }
    if let Some(step) = (0..distances.len()).find_map(|end| step_but(ports, &distances, end)) {
        return Some((sequential(step), Certainty::Consistent));
    }
    let ways =
        [1, -1].map(|way| ports.windows(2).filter(move |pair| way * (i32::from(pair[1]) - i32::from(pair[0])) > 0));
    let proved = ways.into_iter().all(|way| way.count() > 1);
    Some((Allocation::Random, if proved { Certainty::Proved } else { Certainty::Consistent }))
}

/// The step of the ports but at one place, where they come to the end of the range: the port goes the other way there.
fn step_but(ports: &[u16], distances: &[i16], end: usize) -> Option<u16> {
    let others = [&distances[..end], &distances[end + 1..]].concat();
    let step = step(&others)?;
    let upwards = step.cast_signed() > 0;
    ((ports[end + 1] < ports[end]) == upwards).then_some(step)
}

/// The fewest ports that tell anything: with two distances the odds that chance looks regular are 1 to a million.
pub(super) const MIN_SAMPLES: usize = 3;

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
        assert_eq!(class(&[62_004, 62_002, 61_998, 61_996]), sequential(62_004, 0xfffe));
        assert_eq!(class(&[1_025, 1_024, 65_535, 65_534]), sequential(1_025, 0xffff));
        assert_eq!(class(&[65_535, 0, 1]), sequential(65_535, 1));
    }

    #[test]
    fn ports_from_anywhere_are_random_and_proved_so_when_they_go_either_way_twice() {
        assert_eq!(classify(&[9_000, 50_000, 2_000, 41_000, 1_500]), Some((Allocation::Random, Certainty::Proved)));
        assert_eq!(classify(&[9_000, 50_000, 2_000, 1_500]), Some((Allocation::Random, Certainty::Consistent)));
        assert_eq!(classify(&[9_000, 20_000, 41_000, 60_000]), Some((Allocation::Random, Certainty::Consistent)));
        for random in [[9_000, 9_001, 41_000], [9_001, 9_000, 1_024], [62_000, 62_002, 62_005], [62_000; 3]] {
            assert_eq!(class(&random), Some(Allocation::Random), "{random:?}");
        }
    }

    #[test]
    fn two_ports_tell_nothing() {
        assert_eq!(class(&[62_000, 62_001]), None);
    }
}
