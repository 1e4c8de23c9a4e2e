//! `Register` and `Registered`: a key for peer and server (`spec/registration.md`).
//!
//! ```text
//! Register, 256 octets                 Registered, at most 200 octets
//! kind              1  0x06            kind              1  0x07
//! version           1                  version           1
//! reserved          2  zeros           reserved          2  zeros
//! receiver index    4  the peer's      receiver index    4  the peer's
//! cookie           16  zeros when none length            2  of message 2
//! body                 offered,        message 2            Noise IK
//!                      answered        sealed               one `Sealed` with a PathCheck
//! length            2  of message 1
//! message 1            Noise IK
//! padding              zeros
//! ```
//!
//! The payload of message 1 is empty, that of message 2 a [`Welcome`]; extensions may follow in both.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::code::packet;
use super::codec::{decode_prefix, encode};
use super::discover::Cookie;
use super::sealed::{Index, Token};
use super::{Versions, exactly, padding, put_counted, reserved, take, take_counted};
use crate::constants::{MAX_REGISTERED, REGISTER_SIZE, VERSION};
use crate::discard::Discard;

/// Registers a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register<'a> {
    /// What the server writes on what it sends to the peer.
    pub index: Index,
    /// From `Discovered`; zeros when there is none.
    pub cookie: Cookie,
    /// The versions that the peer's `Discover` listed; empty when there was none.
    pub offered: Versions,
    /// The versions that the `Discovered` listed; empty when there was none.
    pub answered: Versions,
    /// Noise IK message 1.
    pub message_1: &'a [u8],
}

/// The body of a [`Register`].
#[derive(Serialize, Deserialize)]
struct Lists {
    offered: Versions,
    answered: Versions,
}

/// Answers a [`Register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered<'a> {
    /// The peer's index out of `Register`.
    pub index: Index,
    /// Noise IK message 2.
    pub message_2: &'a [u8],
    /// A whole `Sealed`.
    pub sealed: &'a [u8],
}

/// The payload of Noise IK message 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What the peer writes on what it sends to the server.
    pub index: Index,
    /// What a `Reset` from this server to the observed endpoint will carry.
    pub token: Token,
}

/// The prologue of the Noise IK handshake: protocol, version, the versions that the peer offered in
/// `Discover` and those that the server answered in `Discovered`. Lists that were cut on the way break
/// the handshake, so nobody on the way can lower the version.
#[must_use]
pub fn prologue(offered: &Versions, answered: &Versions) -> Vec<u8> {
    // [R-SEC-001]
    let mut out = Vec::with_capacity(16);
    out.extend_from_slice(b"pinhole ik");
    out.push(VERSION);
    encode(offered, &mut out);
    encode(answered, &mut out);
    out
}

impl<'a> Register<'a> {
    pub(super) fn decode(mut rest: &'a [u8]) -> Result<Self, Discard> {
        exactly(rest, REGISTER_SIZE)?;
        reserved(&mut rest)?;
        let index = Index(*take(&mut rest)?);
        let cookie = *take(&mut rest)?;
        let (Lists { offered, answered }, mut rest) = decode_prefix(rest)?;
        let message_1 = take_counted(&mut rest)?;
        padding(rest)?;
        Ok(Self { index, cookie, offered, answered, message_1 })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(REGISTER_SIZE);
        out.extend_from_slice(&[packet::REGISTER, VERSION, 0, 0]);
        out.extend_from_slice(&self.index.0);
        out.extend_from_slice(&self.cookie);
        encode(&(&self.offered, &self.answered), &mut out);
        put_counted(self.message_1, &mut out);
        out.resize(REGISTER_SIZE, 0);
        out
    }
}

impl<'a> Registered<'a> {
    pub(super) fn decode(mut rest: &'a [u8]) -> Result<Self, Discard> {
        // [R-WIRE-007]
        if rest.len() + 2 > MAX_REGISTERED {
            return Err(Discard::TooLong);
        }
        reserved(&mut rest)?;
        let index = Index(*take(&mut rest)?);
        let message_2 = take_counted(&mut rest)?;
        Ok(Self { index, message_2, sealed: rest })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_REGISTERED);
        out.extend_from_slice(&[packet::REGISTERED, VERSION, 0, 0]);
        out.extend_from_slice(&self.index.0);
        put_counted(self.message_2, &mut out);
        out.extend_from_slice(self.sealed);
        out
    }
}
