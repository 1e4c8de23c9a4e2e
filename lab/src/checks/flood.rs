//! What floods are made of.

use pinhole_proto::constants::{DISCOVER_SIZE, PUNCH_SIZE, REGISTER_SIZE};

/// Random numbers that are the same in every run. `SplitMix64`.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }

    pub(crate) fn octets(&mut self, length: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(length + 8);
        while octets.len() < length {
            octets.extend(self.draw().to_be_bytes());
        }
        octets.truncate(length);
        octets
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.octets(N));
        array
    }
}

/// A datagram that means nothing: one in four all random, the others with a kind and version that exist, and
/// half of those with a length that the kind allows, so that they get as far as octets without a key can.
pub(crate) fn garbage(dice: &mut Dice) -> Vec<u8> {
    let any = dice.below(1_400);
    if dice.below(4) == 0 {
        return dice.octets(any);
    }
    let (kind, version, length) = [
        (0x04, 0, DISCOVER_SIZE),
        (0x05, 0, 150),
        (0x06, 1, REGISTER_SIZE),
        (0x07, 1, 180),
        (0x08, 1, PUNCH_SIZE),
        (0x09, 1, 200),
        (0x0a, 1, 32 + any % 1_100),
        (0x0b, 1, 11 + any % 1_100),
        (0x0c, 1, 22),
    ][dice.below(9)];
    let length = if dice.below(2) == 0 { any.max(6) } else { length };
    let mut octets = dice.octets(length);
    octets[..2].copy_from_slice(&[kind, version]);
    if dice.below(2) == 0 {
        octets[2..4].fill(0);
    }
    if kind == 0x0a && dice.below(2) == 0 {
        // An index of a server's first engine: to such a one it answers with Reset.
        octets[4..6].fill(0);
    }
    octets
}
