//! `Discover` and `Discovered`: versions, observed endpoint, cookie (`spec/discovery.md`).
//!
//! Their layout is the same in every version.
//!
//! ```text
//! Discover, 200 octets               Discovered, at most 200 octets
//! kind            1  0x04            kind            1  0x05
//! version         1  0               version         1  0
//! magic           4  "PNCH"          magic           4  "PNCH"
//! transaction id 16                  transaction id 16
//! body               versions,       body               versions, observed endpoint, alternates (both
//!                    reply from                         masked), server keys, cookie
//! padding            zeros           extensions
//! ```
//!
//! A masked endpoint is an endpoint whose address and port octets are XORed with the transaction id, so
//! that a NAT that rewrites octets that look like an address finds none.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::code::{DialBack, packet};
use super::codec::{decode_prefix, encode};
use super::{List, Versions, exactly, extension, padding, take};
use crate::constants::{DISCOVER_SIZE, MAX_ALTERNATES, MAX_SERVER_KEYS};
use crate::discard::Discard;
use crate::endpoint::Endpoint;
use crate::key::ServerKey;

/// "PNCH".
pub const MAGIC: [u8; 4] = *b"PNCH";

/// Random octets that tie an answer to its question.
pub type TransactionId = [u8; 16];

/// Proves to a server that the sender receives at its source endpoint.
pub type Cookie = [u8; 16];

/// Asks for versions, cookie and observed endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discover {
    /// Ties the answer to this question.
    pub transaction: TransactionId,
    /// The versions that the sender speaks.
    pub versions: Versions,
    /// Where the answer is to come from.
    pub reply_from: ReplyFrom,
}

/// Where the answer to a `Discover` is to come from: bit 0 the other port, bit 1 the other address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyFrom(pub u8);

/// Answers a [`Discover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The question's.
    pub transaction: TransactionId,
    /// The versions that the server speaks.
    pub versions: Versions,
    /// Where the question came from. A hint: it is not authenticated.
    pub observed: Endpoint,
    /// The server's other endpoints.
    pub alternates: List<Endpoint, MAX_ALTERNATES>,
    /// The server's keys, the current one first.
    pub keys: List<ServerKey, MAX_SERVER_KEYS>,
    /// The cookie for `Register`.
    pub cookie: Cookie,
    /// What became of the dial that the question asked for, if it asked for one over a stream.
    pub dial_back: Option<DialBack>,
}

#[derive(Serialize, Deserialize)]
struct DiscoverBody {
    versions: Versions,
    reply_from: ReplyFrom,
}

#[derive(Serialize, Deserialize)]
struct DiscoveredBody {
    versions: Versions,
    observed: Masked,
    alternates: List<Masked, MAX_ALTERNATES>,
    keys: List<ServerKey, MAX_SERVER_KEYS>,
    cookie: Cookie,
}

impl Discover {
    pub(super) fn decode(mut rest: &[u8]) -> Result<Self, Discard> {
        exactly(rest, DISCOVER_SIZE)?;
        let transaction = head(&mut rest)?;
        let (body, rest) = decode_prefix::<DiscoverBody>(rest)?;
        // [R-DISC-003]
        if body.versions.is_empty() || body.reply_from.0 > 3 {
            return Err(Discard::BodyMalformed);
        }
        padding(rest)?;
        Ok(Self { transaction, versions: body.versions, reply_from: body.reply_from })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = start(packet::DISCOVER, &self.transaction);
        encode(&DiscoverBody { versions: self.versions.clone(), reply_from: self.reply_from }, &mut out);
        out.resize(DISCOVER_SIZE, 0);
        out
    }
}

impl Discovered {
    pub(super) fn decode(mut rest: &[u8]) -> Result<Self, Discard> {
        // [R-WIRE-007]
        if rest.len() + 2 > DISCOVER_SIZE {
            return Err(Discard::TooLong);
        }
        let transaction = head(&mut rest)?;
        let (body, rest) = decode_prefix::<DiscoveredBody>(rest)?;
        // [R-DISC-008]
        if body.versions.is_empty() || body.keys.is_empty() {
            return Err(Discard::BodyMalformed);
        }
        let unmask = |masked: &Masked| masked.unmask(&transaction);
        let observed = unmask(&body.observed)?;
        let alternates: Vec<_> = body.alternates.iter().map(unmask).collect::<Result<_, _>>()?;
        extension::check(rest)?;
        // [R-BEH-006]
        let dial_back = match extension::find(rest, extension::DIAL_BACK) {
            Some(&[code]) => Some(DialBack(code)),
            Some(_) | None => None,
        };
        Ok(Self {
            transaction,
            versions: body.versions,
            observed,
            alternates: List::from_first(alternates),
            keys: body.keys,
            cookie: body.cookie,
            dial_back,
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = start(packet::DISCOVERED, &self.transaction);
        let mask = |endpoint: &Endpoint| Masked::new(*endpoint, &self.transaction);
        let body = DiscoveredBody {
            versions: self.versions.clone(),
            observed: mask(&self.observed),
            alternates: List::from_first(self.alternates.iter().map(mask)),
            keys: self.keys.clone(),
            cookie: self.cookie,
        };
        encode(&body, &mut out);
        if let Some(code) = self.dial_back {
            extension::put(extension::DIAL_BACK, &[code.0], &mut out);
        }
        out
    }
}

fn head(rest: &mut &[u8]) -> Result<TransactionId, Discard> {
    // [R-DISC-001]
    if take::<4>(rest)? != &MAGIC {
        return Err(Discard::MagicWrong);
    }
    take::<16>(rest).copied()
}

fn start(kind: u8, transaction: &TransactionId) -> Vec<u8> {
    let mut out = Vec::with_capacity(DISCOVER_SIZE);
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(transaction);
    out
}

/// An endpoint behind its mask; any octets are possible, only the unmasked endpoint is checked.
#[derive(Clone, Copy)]
enum Masked {
    V4([u8; 4], [u8; 2]),
    V6([u8; 16], [u8; 2]),
}

impl Masked {
    fn new(endpoint: Endpoint, transaction: &TransactionId) -> Self {
        let port = xor(endpoint.port().to_be_bytes(), &transaction[..2]);
        match endpoint.address() {
            IpAddr::V4(v4) => Self::V4(xor(v4.octets(), transaction), port),
            IpAddr::V6(v6) => Self::V6(xor(v6.octets(), transaction), port),
        }
    }

    fn unmask(self, transaction: &TransactionId) -> Result<Endpoint, Discard> {
        let (address, port) = match self {
            Self::V4(address, port) => (IpAddr::V4(Ipv4Addr::from(xor(address, transaction))), port),
            Self::V6(address, port) => {
                let v6 = Ipv6Addr::from(xor(address, transaction));
                // [R-WIRE-025]
                if v6.to_ipv4_mapped().is_some() {
                    return Err(Discard::BodyMalformed);
                }
                (IpAddr::V6(v6), port)
            }
        };
        Ok(Endpoint::new(address, u16::from_be_bytes(xor(port, &transaction[..2]))))
    }
}

fn xor<const N: usize>(mut octets: [u8; N], mask: &[u8]) -> [u8; N] {
    for (octet, mask) in octets.iter_mut().zip(mask) {
        *octet ^= mask;
    }
    octets
}

impl Serialize for Masked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::V4(address, port) => (4u8, address, port).serialize(serializer),
            Self::V6(address, port) => (6u8, address, port).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Masked {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Masked;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("family, masked address, masked port")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Masked, A::Error> {
                use serde::de::Error as _;
                let missing = || A::Error::custom("endpoint cut short");
                match seq.next_element::<u8>()?.ok_or_else(missing)? {
                    4 => Ok(Masked::V4(
                        seq.next_element()?.ok_or_else(missing)?,
                        seq.next_element()?.ok_or_else(missing)?,
                    )),
                    6 => Ok(Masked::V6(
                        seq.next_element()?.ok_or_else(missing)?,
                        seq.next_element()?.ok_or_else(missing)?,
                    )),
                    _ => Err(A::Error::custom("unknown address family")),
                }
            }
        }
        deserializer.deserialize_tuple(3, Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Packet;
    use alloc::vec;

    // [R-BEH-006]
    #[test]
    fn what_became_of_a_dial_is_one_octet_or_not_there() {
        let plain = Discovered {
            transaction: [7; 16],
            versions: List::from_first([1]),
            observed: "192.0.2.1:7".parse().unwrap(),
            alternates: List::default(),
            keys: List::from_first([crate::noise::public_key(&crate::noise::Dalek, &[9; 32])]),
            cookie: [3; 16],
            dial_back: None,
        };
        let told = Discovered { dial_back: Some(DialBack::REFUSED), ..plain.clone() };
        let mut octets = plain.encode();
        for (value, expected) in [(vec![2], &told), (vec![], &plain), (vec![2, 2], &plain)] {
            octets.truncate(plain.encode().len());
            extension::put(extension::DIAL_BACK, &value, &mut octets);
            assert_eq!(Packet::decode(&octets), Ok(Packet::Discovered(expected.clone())));
        }
        assert_eq!(Packet::decode(&told.encode()), Ok(Packet::Discovered(told)));
    }
}
