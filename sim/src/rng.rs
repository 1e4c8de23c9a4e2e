//! Pseudo-random numbers from one seed, forked so that no part disturbs another.

use core::fmt;

use pinhole_proto::Duration;
use serde::{Deserialize, Serialize};

/// A stream of numbers: SplitMix64. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// An independent stream for the part that `label` names; this stream does not advance.
    #[must_use]
    pub const fn fork(&self, label: u64) -> Self {
        Self { state: mix(self.state ^ mix(label.wrapping_add(GAMMA))) }
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.number()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A port of the range, both ends included.
    pub fn port(&mut self, low: u16, high: u16) -> u16 {
        let span = u64::from(high.saturating_sub(low)) + 1;
        low + u16::try_from(self.below(span)).unwrap_or(0)
    }

    /// Whether something of this chance happens.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance.0 > 0 && self.below(u64::from(MILLION)) < u64::from(chance.0)
    }

    /// A span between nothing and `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }

    /// Octets for an engine's seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut out = [0; 32];
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_be_bytes());
        }
        out
    }
}

/// A probability, in millionths: the same on every target, and comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct Chance(u32);

impl TryFrom<u32> for Chance {
    type Error = AboveCertain;

    fn try_from(parts: u32) -> Result<Self, AboveCertain> {
        if parts > MILLION { Err(AboveCertain) } else { Ok(Self(parts)) }
    }
}

/// A chance of more than a million millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AboveCertain;

impl fmt::Display for AboveCertain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chance above 1000000 millionths")
    }
}

impl core::error::Error for AboveCertain {}

impl Chance {
    /// Never.
    pub const NEVER: Self = Self(0);

    /// So many millionths, at most a million.
    #[must_use]
    pub const fn millionths(parts: u32) -> Self {
        Self(if parts > MILLION { MILLION } else { parts })
    }

    /// So many percent, at most a hundred.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::millionths(percent.saturating_mul(MILLION / 100))
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
const MILLION: u32 = 1_000_000;
