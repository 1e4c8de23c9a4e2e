//! Whether ports that a NAT gave out one after the other follow each other (`spec/prediction.md`, "Samples").

use alloc::vec::Vec;

use crate::constants::MAX_STEP;

/// How far each port is from the one before, modulo 65,536.
pub(crate) fn distances(ports: &[u16]) -> Vec<i16> {
    ports.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]).cast_signed()).collect()
}

/// The step in which ports with these distances follow each other, modulo 65,536, where they do: all go one way, none
/// further than [`MAX_STEP`], and each is a multiple of the smallest, since others may have been given the ports
/// between.
// [R-PRED-002]
pub(crate) fn step(distances: &[i16]) -> Option<u16> {
    let smallest = distances.iter().map(|distance| distance.unsigned_abs()).min()?;
    let upwards = distances.iter().all(|distance| *distance > 0);
    let downwards = distances.iter().all(|distance| *distance < 0);
    let regular = |distance: &i16| {
        let distance = distance.unsigned_abs();
        distance <= MAX_STEP && smallest != 0 && distance.is_multiple_of(smallest)
    };
    if !(upwards || downwards) || !distances.iter().all(regular) {
        return None;
    }
    Some(if upwards { smallest } else { smallest.wrapping_neg() })
}
