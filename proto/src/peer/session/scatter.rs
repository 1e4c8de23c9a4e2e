//! Ports in an order that nobody foresees, each once (`spec/prediction.md`, "Birthday").

use crate::constants::LOWEST_PORT;
use crate::rng::{Rng, keyed};

/// A permutation of the ports from [`LOWEST_PORT`] on, and how far it was used.
///
/// Four rounds of a Feistel network over 16 bits; ports below are walked past.
#[derive(Clone, Debug)]
pub(super) struct Scatter {
    key: [u8; 32],
    next: u32,
}

impl Scatter {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { key: rng.octets(), next: 0 }
    }

    fn permute(&self, number: u16) -> u16 {
        let [mut left, mut right] = number.to_be_bytes();
        for round in 0..4 {
            let mixed = keyed(&self.key, &[&[round, right]])[0];
            (left, right) = (right, left ^ mixed);
        }
        u16::from_be_bytes([left, right])
    }
}

impl Iterator for Scatter {
    type Item = u16;

    /// The next port; none when each was drawn.
    fn next(&mut self) -> Option<u16> {
        loop {
            let number = u16::try_from(self.next).ok()?;
            self.next += 1;
            let port = self.permute(number);
            if port >= LOWEST_PORT {
                return Some(port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    // [R-PRED-010]
    #[test]
    fn every_port_comes_once_and_in_an_order_of_its_own() {
        let (mut one, mut other) = (Rng::pair([1; 32]).0, Rng::pair([2; 32]).0);
        let ports: Vec<u16> = Scatter::new(&mut one).collect();
        assert_eq!(ports.len(), 64_512);
        assert_eq!(ports.iter().copied().collect::<BTreeSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| *port >= 1_024));
        let others: Vec<u16> = Scatter::new(&mut other).collect();
        assert_ne!(ports[..32], others[..32]);
        let ascending = ports[..1_000].windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((400..600).contains(&ascending), "{ascending}");
    }
}
