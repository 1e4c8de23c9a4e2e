//! Messages inside `Sealed` (`spec/wire.md`, "Messages").
//!
//! ```text
//! code        1  spec/registries/messages.csv
//! length      2  big-endian, of what follows
//! request id  4  big-endian; requests and answers only
//! body           by code
//! extensions     not in Datagram and Data
//! ```
//!
//! A packet holds one or more.

use alloc::vec::Vec;

use serde::Serialize;

use super::code::message as code;
use super::codec::{decode, encode};
use super::control::{
    Ack, Acknowledge, Answer, Answered, Attempt, Attempted, Close, Connect, Echo, Finish, Introduce, Introduced,
    PathCheck, PathReply, Refresh, Refreshed, Refuse, Rejected, RelayOpen, RelayOpened, Replaced, Select, Unregister,
};
use super::extension;
use crate::discard::Discard;

/// Ties an answer to its request; unique per key and sender.
pub type RequestId = u32;

/// The octets in front of a message's content.
pub const MESSAGE_HEADER: usize = 3;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A message that is to be answered.
    Request(RequestId, Request),
    /// The answer to a request.
    Answer(RequestId, Reply),
    /// A datagram of the application.
    Datagram(&'a [u8]),
    /// Octets of the byte stream.
    Data {
        /// The offset of the first one.
        offset: u64,
        /// The octets.
        octets: &'a [u8],
    },
    /// What of the byte stream arrived.
    Ack(Ack),
    /// A message that this version does not know and may skip.
    Unknown(u8),
}

/// A message that is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// See [`PathCheck`].
    PathCheck(PathCheck),
    /// See [`Refresh`].
    Refresh(Refresh),
    /// See [`Unregister`].
    Unregister(Unregister),
    /// See [`Replaced`].
    Replaced(Replaced),
    /// See [`Echo`].
    Echo(Echo),
    /// See [`Connect`].
    Connect(Connect),
    /// See [`Introduce`].
    Introduce(Introduce),
    /// See [`Answered`].
    Answered(Answered),
    /// See [`Rejected`].
    Rejected(Rejected),
    /// See [`RelayOpen`].
    RelayOpen(RelayOpen),
    /// See [`Select`].
    Select(Select),
    /// See [`Attempt`].
    Attempt(Attempt),
    /// See [`Close`].
    Close(Close),
    /// See [`Finish`].
    Finish(Finish),
}

impl Request {
    /// The code in the registry.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::PathCheck(_) => code::PATH_CHECK,
            Self::Refresh(_) => code::REFRESH,
            Self::Unregister(_) => code::UNREGISTER,
            Self::Replaced(_) => code::REPLACED,
            Self::Echo(_) => code::ECHO,
            Self::Connect(_) => code::CONNECT,
            Self::Introduce(_) => code::INTRODUCE,
            Self::Answered(_) => code::ANSWERED,
            Self::Rejected(_) => code::REJECTED,
            Self::RelayOpen(_) => code::RELAY_OPEN,
            Self::Select(_) => code::SELECT,
            Self::Attempt(_) => code::ATTEMPT,
            Self::Close(_) => code::CLOSE,
            Self::Finish(_) => code::FINISH,
        }
    }

    fn decode(kind: u8, octets: &[u8]) -> Result<Option<Self>, Discard> {
        Ok(Some(match kind {
            code::PATH_CHECK => Self::PathCheck(decode(octets)?),
            code::REFRESH => Self::Refresh(decode(octets)?),
            code::UNREGISTER => Self::Unregister(decode(octets)?),
            code::REPLACED => Self::Replaced(decode(octets)?),
            code::ECHO => Self::Echo(decode(octets)?),
            code::CONNECT => Self::Connect(decode(octets)?),
            code::INTRODUCE => Self::Introduce(decode(octets)?),
            code::ANSWERED => Self::Answered(decode(octets)?),
            code::REJECTED => Self::Rejected(decode(octets)?),
            code::RELAY_OPEN => Self::RelayOpen(decode(octets)?),
            code::SELECT => Self::Select(decode(octets)?),
            code::ATTEMPT => Self::Attempt(decode(octets)?),
            code::CLOSE => Self::Close(decode(octets)?),
            code::FINISH => Self::Finish(decode(octets)?),
            _ => return Ok(None),
        }))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::PathCheck(body) => encode(body, out),
            Self::Refresh(body) => encode(body, out),
            Self::Unregister(body) => encode(body, out),
            Self::Replaced(body) => encode(body, out),
            Self::Echo(body) => encode(body, out),
            Self::Connect(body) => encode(body, out),
            Self::Introduce(body) => encode(body, out),
            Self::Answered(body) => encode(body, out),
            Self::Rejected(body) => encode(body, out),
            Self::RelayOpen(body) => encode(body, out),
            Self::Select(body) => encode(body, out),
            Self::Attempt(body) => encode(body, out),
            Self::Close(body) => encode(body, out),
            Self::Finish(body) => encode(body, out),
        }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// See [`PathReply`].
    PathReply(PathReply),
    /// See [`Acknowledge`].
    Acknowledge(Acknowledge),
    /// See [`Refuse`].
    Refuse(Refuse),
    /// See [`Refreshed`].
    Refreshed(Refreshed),
    /// See [`Introduced`].
    Introduced(Introduced),
    /// See [`Answer`].
    Answer(Answer),
    /// See [`RelayOpened`].
    RelayOpened(RelayOpened),
    /// See [`Attempted`].
    Attempted(Attempted),
}

impl Reply {
    /// The code in the registry.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::PathReply(_) => code::PATH_REPLY,
            Self::Acknowledge(_) => code::ACKNOWLEDGE,
            Self::Refuse(_) => code::REFUSE,
            Self::Refreshed(_) => code::REFRESHED,
            Self::Introduced(_) => code::INTRODUCED,
            Self::Answer(_) => code::ANSWER,
            Self::RelayOpened(_) => code::RELAY_OPENED,
            Self::Attempted(_) => code::ATTEMPTED,
        }
    }

    fn decode(kind: u8, octets: &[u8]) -> Result<Option<Self>, Discard> {
        Ok(Some(match kind {
            code::PATH_REPLY => Self::PathReply(decode(octets)?),
            code::ACKNOWLEDGE => Self::Acknowledge(decode(octets)?),
            code::REFUSE => Self::Refuse(decode(octets)?),
            code::REFRESHED => Self::Refreshed(decode(octets)?),
            code::INTRODUCED => Self::Introduced(decode(octets)?),
            code::ANSWER => Self::Answer(decode(octets)?),
            code::RELAY_OPENED => Self::RelayOpened(decode(octets)?),
            code::ATTEMPTED => Self::Attempted(decode(octets)?),
            _ => return Ok(None),
        }))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::PathReply(body) => encode(body, out),
            Self::Acknowledge(body) => encode(body, out),
            Self::Refuse(body) => encode(body, out),
            Self::Refreshed(body) => encode(body, out),
            Self::Introduced(body) => encode(body, out),
            Self::Answer(body) => encode(body, out),
            Self::RelayOpened(body) => encode(body, out),
            Self::Attempted(body) => encode(body, out),
        }
    }
}

impl<'a> Message<'a> {
    /// Decodes the first message of `octets` and moves `octets` behind it.
    ///
    /// # Errors
    /// [`Discard::TooShort`], [`Discard::BodyMalformed`], the extension discards, and
    /// [`Discard::MessageUnexpected`] for an unknown code that must be understood.
    pub fn decode(octets: &mut &'a [u8]) -> Result<Self, Discard> {
        // [R-WIRE-041]
        let (&[kind, l0, l1], rest) = octets.split_first_chunk::<MESSAGE_HEADER>().ok_or(Discard::TooShort)?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (content, rest) = rest.split_at_checked(length).ok_or(Discard::TooShort)?;
        *octets = rest;
        match kind {
            code::DATAGRAM => return Ok(Self::Datagram(content)),
            code::DATA => {
                // [R-WIRE-042]
                let (offset, octets) = content.split_first_chunk::<8>().ok_or(Discard::TooShort)?;
                return Ok(Self::Data { offset: u64::from_be_bytes(*offset), octets });
            }
            code::ACK => return Ok(Self::Ack(decode(content)?)),
            // [R-WIRE-044]
            code::IGNORABLE.. => return Ok(Self::Unknown(kind)),
            _ => {}
        }
        // [R-WIRE-042]
        let (request, body) = content.split_first_chunk::<4>().ok_or(Discard::TooShort)?;
        let request = u32::from_be_bytes(*request);
        if let Some(message) = Request::decode(kind, body)? {
            return Ok(Self::Request(request, message));
        }
        match Reply::decode(kind, body)? {
            Some(message) => Ok(Self::Answer(request, message)),
            // [R-WIRE-043]
            None => Err(Discard::MessageUnexpected),
        }
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(request, message) => framed(message.code(), out, |out| {
                out.extend_from_slice(&request.to_be_bytes());
                message.encode(out);
            }),
            Self::Answer(request, message) => framed(message.code(), out, |out| {
                out.extend_from_slice(&request.to_be_bytes());
                message.encode(out);
            }),
            Self::Datagram(octets) => framed(code::DATAGRAM, out, |out| out.extend_from_slice(octets)),
            Self::Data { offset, octets } => framed(code::DATA, out, |out| {
                out.extend_from_slice(&offset.to_be_bytes());
                out.extend_from_slice(octets);
            }),
            Self::Ack(ack) => framed(code::ACK, out, |out| encode(ack, out)),
            Self::Unknown(kind) => framed(*kind, out, |_| {}),
        }
    }

    /// Appends the message with a padding extension such that `out` gets `total` octets, where there is room for one.
    pub fn encode_padded(&self, total: usize, out: &mut Vec<u8>) {
        let at = out.len();
        self.encode(out);
        let missing = total.saturating_sub(out.len());
        if missing >= 4 {
            extension::pad(missing, out);
            set_length(at, out);
        }
    }
}

fn framed(kind: u8, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[kind, 0, 0]);
    content(out);
    set_length(at, out);
}

fn set_length(at: usize, out: &mut [u8]) {
    let length = u16::try_from(out.len() - at - MESSAGE_HEADER).unwrap_or(u16::MAX);
    out[at + 1..at + 3].copy_from_slice(&length.to_be_bytes());
}

/// Encodes a body by itself, as the payloads of the handshakes are.
pub(crate) fn body<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, &mut out);
    out
}
