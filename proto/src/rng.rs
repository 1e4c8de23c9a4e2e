//! Pseudo-random octets from one seed, in two streams that do not betray each other.

use blake2::digest::Mac;
use blake2::digest::consts::U32;

type Keyed = blake2::Blake2sMac<U32>;

/// A stream of octets: keyed BLAKE2s over a counter.
#[derive(Clone)]
pub(crate) struct Rng {
    key: [u8; 32],
    counter: u64,
}

impl Rng {
    /// The two streams of a seed: values that appear on the wire, and secrets.
    pub(crate) fn pair(seed: [u8; 32]) -> (Self, Self) {
        (Self { key: keyed(&seed, &[b"visible"]), counter: 0 }, Self { key: keyed(&seed, &[b"secret"]), counter: 0 })
    }

    /// The next octets.
    pub(crate) fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(32) {
            let block = keyed(&self.key, &[&self.counter.to_be_bytes()]);
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        out
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.octets())
    }

    /// A number below `bound`, which is not 0. The bias is below 2^-32 for the bounds in use.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }
}

/// Keyed BLAKE2s over the concatenated parts.
pub(crate) fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Keyed as Mac>::new_from_slice(key).expect("BLAKE2s takes keys of up to 32 octets");
    for part in parts {
        Mac::update(&mut mac, part);
    }
    mac.finalize().into_bytes().into()
}

/// BLAKE2s over the concatenated parts.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    use blake2::Digest as _;
    let mut state = blake2::Blake2s256::new();
    for part in parts {
        blake2::Digest::update(&mut state, part);
    }
    state.finalize().into()
}
