//! The wire format: what a datagram or a frame holds (`spec/wire.md`).
//!
//! ```text
//! kind     1  spec/registries/packets.csv, 0x04 to 0x0f
//! version  1  1; 0 in Discover and Discovered, whose layout no version changes
//! ...         by kind
//! ```
//!
//! [`Packet::decode`] is the only way in: what it returns is valid. Decoding has an order, one
//! [`Discard`] per step, and the first failure wins: length, kind, version, reserved octets, the lengths
//! inside, body, extensions, padding.

pub mod code;
pub mod codec;
pub mod control;
pub mod discover;
pub mod extension;
pub mod message;
pub mod punch;
pub mod register;
pub mod sealed;

use alloc::vec::Vec;

use crate::constants::{MAX_PACKET, VERSION};
use crate::discard::Discard;
use code::packet;

pub use codec::List;
pub use discover::{Discover, Discovered};
pub use punch::{Punch, PunchReply};
pub use register::{Register, Registered};
pub use sealed::{ChannelId, Index, Relayed, Reset, Sealed};

/// A list of versions.
pub type Versions = List<u8, { crate::constants::MAX_VERSIONS }>;

/// Random octets that come back.
pub type Nonce = [u8; 8];

/// The name of a session between two peers; drawn by the initiator.
pub type SessionId = [u8; 8];

/// Everything that a datagram or a frame can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Asks for versions, cookie and observed endpoint.
    Discover(Discover),
    /// Answers `Discover`.
    Discovered(Discovered),
    /// Registers a peer.
    Register(Register<'a>),
    /// Answers `Register`.
    Registered(Registered<'a>),
    /// The initiator's punch.
    Punch(Punch),
    /// The responder's punch.
    PunchReply(PunchReply<'a>),
    /// Sealed messages.
    Sealed(Sealed<'a>),
    /// A packet between peers on its way through the server.
    Relayed(Relayed<'a>),
    /// The index is unknown.
    Reset(Reset),
}

impl<'a> Packet<'a> {
    /// Decodes a datagram or a frame.
    ///
    /// # Errors
    /// The first step that fails, in the order of the module's description.
    pub fn decode(octets: &'a [u8]) -> Result<Self, Discard> {
        // [R-WIRE-002] [R-WIRE-003] Step by step, in the order of the chapter.
        if octets.len() > MAX_PACKET {
            return Err(Discard::TooLong);
        }
        // [R-WIRE-004]
        let (&[kind, version], rest) = octets.split_first_chunk::<2>().ok_or(Discard::TooShort)?;
        let expected = match kind {
            packet::DISCOVER | packet::DISCOVERED => 0,
            packet::REGISTER..=packet::RESET => VERSION,
            // [R-WIRE-005] [R-WIRE-040]
            _ => return Err(Discard::KindUnknown),
        };
        // [R-WIRE-006]
        if version != expected {
            return Err(Discard::VersionUnsupported);
        }
        match kind {
            packet::DISCOVER => Discover::decode(rest).map(Self::Discover),
            packet::DISCOVERED => Discovered::decode(rest).map(Self::Discovered),
            packet::REGISTER => Register::decode(rest).map(Self::Register),
            packet::REGISTERED => Registered::decode(rest).map(Self::Registered),
            packet::PUNCH => Punch::decode(rest).map(Self::Punch),
            packet::PUNCH_REPLY => PunchReply::decode(rest).map(Self::PunchReply),
            packet::SEALED => Sealed::decode(octets).map(Self::Sealed),
            packet::RELAYED => Relayed::decode(rest).map(Self::Relayed),
            _ => Reset::decode(rest).map(Self::Reset),
        }
    }

    /// Encodes the packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Discover(packet) => packet.encode(),
            Self::Discovered(packet) => packet.encode(),
            Self::Register(packet) => packet.encode(),
            Self::Registered(packet) => packet.encode(),
            Self::Punch(packet) => packet.encode(),
            Self::PunchReply(packet) => packet.encode(),
            Self::Sealed(packet) => packet.encode(),
            Self::Relayed(packet) => packet.encode(),
            Self::Reset(packet) => packet.encode(),
        }
    }
}

/// The length field in front of a packet on a stream.
pub const FRAME_HEADER: usize = 2;

/// Cuts a stream into frames (`spec/wire.md`, "Streams"). Holds at most one frame.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
}

impl Deframer {
    /// Takes octets from the front of `octets` until a packet is whole; call it again with what is left.
    ///
    /// # Errors
    /// A length of 0 ([`Discard::TooShort`]) or above 1200 ([`Discard::TooLong`]): the stream is to be closed.
    // [R-WIRE-050]
    pub fn next(&mut self, octets: &mut &[u8]) -> Result<Option<Vec<u8>>, Discard> {
        self.fill(FRAME_HEADER, octets);
        let Some(&header) = self.buffer.first_chunk::<FRAME_HEADER>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(header));
        match length {
            // [R-WIRE-052]
            0 => return Err(Discard::TooShort),
            1..=MAX_PACKET => {}
            _ => return Err(Discard::TooLong),
        }
        self.fill(FRAME_HEADER + length, octets);
        if self.buffer.len() < FRAME_HEADER + length {
            return Ok(None);
        }
        let packet = self.buffer.split_off(FRAME_HEADER);
        self.buffer.clear();
        Ok(Some(packet))
    }

    fn fill(&mut self, to: usize, octets: &mut &[u8]) {
        let missing = to.saturating_sub(self.buffer.len()).min(octets.len());
        let (taken, left) = octets.split_at(missing);
        self.buffer.extend_from_slice(taken);
        *octets = left;
    }
}

/// The length field of a packet on a stream.
// [R-WIRE-051]
#[must_use]
pub fn frame_header(packet: &[u8]) -> [u8; FRAME_HEADER] {
    u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// Splits `N` octets off the front.
fn take<'a, const N: usize>(octets: &mut &'a [u8]) -> Result<&'a [u8; N], Discard> {
    let (head, tail) = octets.split_first_chunk::<N>().ok_or(Discard::TooShort)?;
    *octets = tail;
    Ok(head)
}

/// Splits a string off the front that a big-endian length of two octets precedes.
fn take_counted<'a>(octets: &mut &'a [u8]) -> Result<&'a [u8], Discard> {
    let length = usize::from(u16::from_be_bytes(*take(octets)?));
    // [R-WIRE-009]
    if octets.len() < length {
        return Err(Discard::TooShort);
    }
    let (head, tail) = octets.split_at(length);
    *octets = tail;
    Ok(head)
}

fn put_counted(octets: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(octets);
}

/// The whole packet has `size` octets, two of which were taken already.
fn exactly(rest: &[u8], size: usize) -> Result<(), Discard> {
    // [R-WIRE-007]
    match (rest.len() + 2).cmp(&size) {
        core::cmp::Ordering::Less => Err(Discard::TooShort),
        core::cmp::Ordering::Equal => Ok(()),
        core::cmp::Ordering::Greater => Err(Discard::TooLong),
    }
}

fn reserved(octets: &mut &[u8]) -> Result<(), Discard> {
    // [R-WIRE-008]
    if take::<2>(octets)? == &[0, 0] { Ok(()) } else { Err(Discard::ReservedNotZero) }
}

fn padding(octets: &[u8]) -> Result<(), Discard> {
    // [R-WIRE-012]
    if octets.iter().all(|&octet| octet == 0) { Ok(()) } else { Err(Discard::PaddingNotZero) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    // [R-WIRE-050]
    #[test]
    fn frames_do_not_depend_on_how_the_stream_is_cut() {
        let packets: Vec<Vec<u8>> = vec![vec![1], vec![2; 1200], vec![3, 4]];
        let mut stream = vec![];
        for packet in &packets {
            stream.extend(frame_header(packet));
            stream.extend(packet);
        }
        for cut in 1..40 {
            let mut deframer = Deframer::default();
            let mut found = vec![];
            for mut chunk in stream.chunks(cut) {
                while let Some(packet) = deframer.next(&mut chunk).unwrap() {
                    found.push(packet);
                }
                assert!(chunk.is_empty());
            }
            assert_eq!(found, packets);
        }
    }

    #[test]
    fn an_impossible_length_ends_the_stream() {
        assert_eq!(Deframer::default().next(&mut [0, 0].as_slice()), Err(Discard::TooShort));
        assert_eq!(Deframer::default().next(&mut [4, 0xb1].as_slice()), Err(Discard::TooLong));
    }
}
