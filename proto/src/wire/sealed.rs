//! `Sealed`, `Relayed` and `Reset` (`spec/wire.md`, `spec/relay.md`, `spec/registration.md`).
//!
//! ```text
//! Sealed, at most 1200          Relayed, at most 1200         Reset, 22 octets
//! kind             1  0x0a      kind             1  0x0b      kind             1  0x0c
//! version          1            version          1            version          1
//! reserved         2  zeros     channel id       8            receiver index   4  the unknown one
//! receiver index   4            octets                        token           16
//! counter          8
//! ciphertext
//! tag             16
//! ```
//!
//! The first 16 octets of a `Sealed` are its associated data.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::code::packet;
use super::{exactly, reserved, take};
use crate::constants::VERSION;
use crate::discard::Discard;
use crate::seal;

/// Names an association at its receiver, who issued it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Index(pub [u8; 4]);

/// Names one side of a relay channel at the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub [u8; 8]);

/// Proves that a `Reset` comes from the server that issued the index.
pub type Token = [u8; 16];

/// The octets in front of a `Sealed`'s ciphertext.
pub const SEALED_HEADER: usize = 16;

/// The octets in front of a `Relayed`'s content.
pub const RELAYED_HEADER: usize = 10;

/// Sealed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The receiver's index.
    pub index: Index,
    /// Path number (2 octets) and packet number (6 octets).
    pub counter: u64,
    header: &'a [u8],
    ciphertext: &'a [u8],
}

/// A packet between peers on its way through the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed<'a> {
    /// The sender's side of the channel on the way to the server, the receiver's from there on.
    pub channel: ChannelId,
    /// A whole packet.
    pub packet: &'a [u8],
}

/// The receiver of a `Sealed` does not know its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The index that is not known.
    pub index: Index,
    /// Shows that the server issued it.
    pub token: Token,
}

impl<'a> Sealed<'a> {
    pub(super) fn decode(octets: &'a [u8]) -> Result<Self, Discard> {
        let (header, ciphertext) = octets.split_at_checked(SEALED_HEADER).ok_or(Discard::TooShort)?;
        let mut rest = &header[2..];
        reserved(&mut rest)?;
        let index = Index(*take(&mut rest)?);
        let counter = u64::from_be_bytes(*take(&mut rest)?);
        // [R-WIRE-010]
        if ciphertext.len() < seal::TAG {
            return Err(Discard::TooShort);
        }
        Ok(Self { index, counter, header, ciphertext })
    }

    /// Opens the ciphertext with `key`.
    ///
    /// # Errors
    /// [`Discard::DecryptFailed`].
    pub fn open(&self, key: &[u8; 32]) -> Result<Vec<u8>, Discard> {
        seal::open(key, self.counter, self.header, self.ciphertext)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [self.header, self.ciphertext].concat()
    }
}

/// Seals `plaintext` into a whole `Sealed`.
#[must_use]
pub fn seal_packet(key: &[u8; 32], index: Index, counter: u64, plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEALED_HEADER + plaintext.len() + seal::TAG);
    out.extend_from_slice(&[packet::SEALED, VERSION, 0, 0]);
    out.extend_from_slice(&index.0);
    out.extend_from_slice(&counter.to_be_bytes());
    out.extend_from_slice(plaintext);
    // [R-SEC-032]
    seal::seal(key, counter, &mut out, SEALED_HEADER);
    out
}

impl<'a> Relayed<'a> {
    pub(super) fn decode(mut rest: &'a [u8]) -> Result<Self, Discard> {
        let channel = ChannelId(*take(&mut rest)?);
        // [R-WIRE-010]
        if rest.is_empty() {
            return Err(Discard::TooShort);
        }
        Ok(Self { channel, packet: rest })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RELAYED_HEADER + self.packet.len());
        out.extend_from_slice(&[packet::RELAYED, VERSION]);
        out.extend_from_slice(&self.channel.0);
        out.extend_from_slice(self.packet);
        out
    }
}

impl Reset {
    pub(super) fn decode(mut rest: &[u8]) -> Result<Self, Discard> {
        exactly(rest, 22)?;
        Ok(Self { index: Index(*take(&mut rest)?), token: *take(&mut rest)? })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(22);
        out.extend_from_slice(&[packet::RESET, VERSION]);
        out.extend_from_slice(&self.index.0);
        out.extend_from_slice(&self.token);
        out
    }
}
