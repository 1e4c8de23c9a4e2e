//! Public keys: what a peer and a server are called.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use base32ct::{Base32Unpadded, Encoding as _};
use serde::{Deserialize, Serialize};

/// An X25519 public key: a peer's name ([`PeerId`]) or a server's ([`ServerKey`]).
///
/// A value of this type is canonical (below 2^255-19) and no point of small order, so that one key has
/// one name and no name belongs to everybody (`spec/terms.md`, "Keys"; `spec/registries/weak-keys.csv`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// The public key of a peer.
pub type PeerId = PublicKey;

/// The public key of a server.
pub type ServerKey = PublicKey;

/// Why a public key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not 52 characters of lower-case base32 with zero trailing bits.
    Spelling,
    /// Not below 2^255-19: a second spelling of another key.
    NotCanonical,
    /// A point of small order, for which everybody knows the shared secret.
    Weak,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spelling => "not 52 characters of lower-case base32",
            Self::NotCanonical => "not a canonical X25519 public key",
            Self::Weak => "a weak X25519 public key",
        })
    }
}

impl core::error::Error for KeyError {}

impl PublicKey {
    /// Checks and wraps the 32 octets of a key.
    ///
    /// # Errors
    /// [`KeyError::NotCanonical`] and [`KeyError::Weak`].
    pub fn new(octets: [u8; 32]) -> Result<Self, KeyError> {
        // [R-TERM-001]
        if octets.iter().rev().cmp(FIELD_PRIME.iter().rev()).is_ge() {
            return Err(KeyError::NotCanonical);
        }
        // [R-TERM-002]
        if WEAK.contains(&octets) {
            return Err(KeyError::Weak);
        }
        Ok(Self(octets))
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_octets(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base32Unpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base32Unpadded::encode_string(&self.0)[..8])
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        Base32Unpadded::encode_string(&key.0)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let octets = Base32Unpadded::decode_vec(text).map_err(|_| KeyError::Spelling)?;
        // [R-TERM-003] One spelling: no upper case, no padding, and the bits that are left over are zero.
        if Base32Unpadded::encode_string(&octets) != text {
            return Err(KeyError::Spelling);
        }
        Self::new(octets.try_into().map_err(|_| KeyError::Spelling)?)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
        }
        // [R-WIRE-027]
        Self::new(<[u8; 32]>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// 2^255-19, little-endian.
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// The canonical encodings of the points of small order, `spec/registries/weak-keys.csv`.
pub(crate) const WEAK: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    {
        let mut minus_one = FIELD_PRIME;
        minus_one[0] = 0xec;
        minus_one
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    // [R-TERM-003]
    #[test]
    fn a_key_has_one_spelling() {
        let key = PublicKey::new([9; 32]).unwrap();
        let text = key.to_string();
        assert_eq!(text.len(), 52);
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(text.to_uppercase().parse::<PublicKey>(), Err(KeyError::Spelling));
        assert_eq!(alloc::format!("{text}====").parse::<PublicKey>(), Err(KeyError::Spelling), "padding");
        let mut last = text.clone();
        last.replace_range(51.., "b");
        assert_eq!(last.parse::<PublicKey>(), Err(KeyError::Spelling), "trailing bits are zero");
    }

    #[test]
    fn every_weak_key_gives_a_zero_secret_and_is_refused() {
        for octets in WEAK {
            let point = curve25519_dalek::montgomery::MontgomeryPoint(octets);
            assert_eq!(point.mul_clamped([7; 32]).to_bytes(), [0; 32]);
            assert_eq!(PublicKey::new(octets), Err(KeyError::Weak));
        }
    }

    #[test]
    fn a_key_above_the_field_is_refused() {
        assert_eq!(PublicKey::new(FIELD_PRIME), Err(KeyError::NotCanonical));
        assert_eq!(PublicKey::new([0xff; 32]), Err(KeyError::NotCanonical));
    }
}
