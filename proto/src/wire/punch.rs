//! `Punch` and `PunchReply`: the packets that open filters (`spec/punching.md`).
//!
//! ```text
//! Punch, 256 octets                    PunchReply, at most 256 octets
//! kind              1  0x08            kind              1  0x09
//! version           1                  version           1
//! session id        8                  session id        8
//! nonce             8                  length            2  of message 2
//! proof            16                  message 2            Noise KK
//! padding              zeros           sealed               one `Sealed`
//! ```

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::code::{Mapping, packet};
use super::sealed::Index;
use super::{List, Nonce, SessionId, Versions, exactly, padding, put_counted, take, take_counted};
use crate::constants::{MAX_PRIVATE, PUNCH_SIZE, VERSION};
use crate::discard::Discard;
use crate::endpoint::Endpoint;

/// The first 16 octets of BLAKE2s over Noise message 1: whoever knows it was introduced.
pub type Proof = [u8; 16];

/// The initiator's punch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punch {
    /// The session.
    pub session: SessionId,
    /// Comes back in the `PathReply` of the answer, if it arrives.
    pub nonce: Nonce,
    /// Shows that the sender was introduced.
    pub proof: Proof,
}

/// The responder's punch, and its answer to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PunchReply<'a> {
    /// The session.
    pub session: SessionId,
    /// Noise KK message 2.
    pub message_2: &'a [u8],
    /// A whole `Sealed`, under the keys that message 2 completes.
    pub sealed: &'a [u8],
}

/// The payload of Noise KK message 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What the responder writes on what it sends to the initiator.
    pub index: Index,
    /// The versions that the initiator speaks.
    pub versions: Versions,
    /// The initiator's private endpoints.
    pub private: List<Endpoint, MAX_PRIVATE>,
    /// How the initiator's NAT maps.
    pub mapping: Mapping,
}

/// The payload of Noise KK message 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// What the initiator writes on what it sends to the responder.
    pub index: Index,
    /// The responder's private endpoints.
    pub private: List<Endpoint, MAX_PRIVATE>,
    /// How the responder's NAT maps.
    pub mapping: Mapping,
}

impl Punch {
    pub(super) fn decode(mut rest: &[u8]) -> Result<Self, Discard> {
        exactly(rest, PUNCH_SIZE)?;
        let punch = Self { session: *take(&mut rest)?, nonce: *take(&mut rest)?, proof: *take(&mut rest)? };
        padding(rest)?;
        Ok(punch)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PUNCH_SIZE);
        out.extend_from_slice(&[packet::PUNCH, VERSION]);
        out.extend_from_slice(&self.session);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.proof);
        out.resize(PUNCH_SIZE, 0);
        out
    }
}

impl<'a> PunchReply<'a> {
    pub(super) fn decode(mut rest: &'a [u8]) -> Result<Self, Discard> {
        // [R-WIRE-007]
        if rest.len() + 2 > PUNCH_SIZE {
            return Err(Discard::TooLong);
        }
        let session = *take(&mut rest)?;
        let message_2 = take_counted(&mut rest)?;
        Ok(Self { session, message_2, sealed: rest })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PUNCH_SIZE);
        out.extend_from_slice(&[packet::PUNCH_REPLY, VERSION]);
        out.extend_from_slice(&self.session);
        put_counted(self.message_2, &mut out);
        out.extend_from_slice(self.sealed);
        out
    }
}
