//! A peer's private key.

use std::fmt;
use std::path::Path;

use pinhole_driver::key_file;
use pinhole_proto::PeerId;
use pinhole_proto::noise::{Dalek, public_key};

/// A peer's X25519 private key. Its public key is the peer's name, [`PeerId`].
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// A key out of the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(pinhole_driver::seed())
    }

    /// Reads the key file, or makes one that only its owner can read.
    ///
    /// # Errors
    /// The file or its directory cannot be read or written, or holds no key.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, key_file::KeyFileError> {
        key_file::load_or_create(path.as_ref()).map(Self)
    }

    /// The name of the peer that holds this key.
    #[must_use]
    pub fn id(&self) -> PeerId {
        public_key(&Dalek, &self.0)
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_octets(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for SecretKey {
    fn from(octets: [u8; 32]) -> Self {
        Self(octets)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {:?}", self.id())
    }
}
