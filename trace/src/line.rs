//! The lines of a trace after the first: what entered an engine and what left it.

use std::borrow::Cow;
use std::io;

use pinhole_proto::{
    Address, Discard, Endpoint, Family, Input, Instant, Interface, NetError, Output, SocketId, StreamId, StreamInput,
    Transport,
};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// A line. `V` is what an event, a command or a reply is: anything to be written, its JSON once it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a, V> {
    /// When, in microseconds since the driver began.
    pub t: Instant,
    /// What.
    pub what: What<'a, V>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a, V> {
    /// An input of the engine.
    In(In<'a>),
    /// The engine ignored the input before this line, for a reason of `spec/registries/discards.csv`.
    Discard(Cow<'a, str>),
    /// An output of the engine.
    Out(Out<'a, V>),
    /// The system did not take a datagram: that of the `transmit` of this number, from 0, in the file.
    Unsent(u64),
    /// What the application asked.
    Command(V),
    /// What the engine answered to the command before this line.
    Reply(V),
}

/// An input of an engine; the fields are those of [`Input`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields of `Input`")]
pub enum In<'a> {
    /// [`Input::Timeout`].
    Timeout,
    /// [`Input::Interfaces`].
    Interfaces(Cow<'a, [Interface]>),
    /// [`Input::Opened`].
    Opened { socket: SocketId, local: Endpoint },
    /// [`Input::OpenFailed`].
    OpenFailed { socket: SocketId, error: NetError },
    /// [`Input::Datagram`].
    Datagram { socket: SocketId, local: Address, remote: Endpoint, payload: Octets<'a> },
    /// [`Input::Rejected`].
    Rejected { socket: SocketId, remote: Endpoint, error: NetError },
    /// [`Input::Stream`].
    Stream {
        stream: StreamId,
        #[serde(flatten)]
        what: StreamIn<'a>,
    },
}

/// What happened to a stream; the fields are those of [`StreamInput`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields of `StreamInput`")]
pub enum StreamIn<'a> {
    /// [`StreamInput::Accepted`].
    Accepted { socket: SocketId, local: Endpoint, remote: Endpoint },
    /// [`StreamInput::Connected`].
    Connected { local: Endpoint },
    /// [`StreamInput::Received`].
    Received(Octets<'a>),
    /// [`StreamInput::Written`].
    Written(u32),
    /// [`StreamInput::Closed`].
    Closed(Option<NetError>),
}

/// An output of an engine; the fields are those of [`Output`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields of `Output`")]
pub enum Out<'a, V> {
    /// [`Output::Open`]; the family is 4 or 6.
    Open { socket: SocketId, transport: Transport, family: u8, port: u16, share: Option<SocketId> },
    /// [`Output::Shut`].
    Shut { socket: SocketId },
    /// [`Output::Transmit`].
    Transmit { socket: SocketId, local: Option<Address>, remote: Endpoint, ttl: Option<u8>, payload: Octets<'a> },
    /// [`Output::Dial`].
    Dial { stream: StreamId, from: SocketId, local: Option<Address>, remote: Endpoint, ttl: Option<u8> },
    /// [`Output::Write`].
    Write { stream: StreamId, octets: Octets<'a> },
    /// [`Output::Read`].
    Read { stream: StreamId, on: bool },
    /// [`Output::Close`].
    Close { stream: StreamId, abort: bool },
    /// [`Output::Event`].
    Event(V),
    /// [`Output::Wait`].
    Wait(Option<Instant>),
}

impl<'a, V> Out<'a, V> {
    /// The same with another event.
    #[must_use]
    pub fn map_event<W>(self, map: impl FnOnce(V) -> W) -> Out<'a, W> {
        match self {
            Self::Open { socket, transport, family, port, share } => {
                Out::Open { socket, transport, family, port, share }
            }
            Self::Shut { socket } => Out::Shut { socket },
            Self::Transmit { socket, local, remote, ttl, payload } => {
                Out::Transmit { socket, local, remote, ttl, payload }
            }
            Self::Dial { stream, from, local, remote, ttl } => Out::Dial { stream, from, local, remote, ttl },
            Self::Write { stream, octets } => Out::Write { stream, octets },
            Self::Read { stream, on } => Out::Read { stream, on },
            Self::Close { stream, abort } => Out::Close { stream, abort },
            Self::Event(event) => Out::Event(map(event)),
            Self::Wait(at) => Out::Wait(at),
        }
    }
}

/// Octets, written as lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Octets<'a>(pub Cow<'a, [u8]>);

impl Octets<'static> {
    /// Octets of its own.
    pub(crate) const fn owned(octets: Vec<u8>) -> Self {
        Self(Cow::Owned(octets))
    }
}

impl<'a> From<&'a [u8]> for Octets<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self(Cow::Borrowed(octets))
    }
}

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl<V: Serialize> Serialize for Line<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("t", &self.t)?;
        match &self.what {
            What::In(input) => map.serialize_entry("in", input)?,
            What::Discard(discard) => map.serialize_entry("discard", discard)?,
            What::Out(output) => map.serialize_entry("out", output)?,
            What::Unsent(number) => map.serialize_entry("unsent", number)?,
            What::Command(command) => map.serialize_entry("command", command)?,
            What::Reply(reply) => map.serialize_entry("reply", reply)?,
        }
        map.end()
    }
}

impl<V: Serialize> Line<'_, V> {
    /// Writes the line, with its end.
    ///
    /// # Errors
    /// The sink's.
    pub fn to_line(&self, sink: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *sink, self).map_err(io::Error::from)?;
        sink.write_all(b"\n")
    }
}

impl<'a> From<&Input<'a>> for In<'a> {
    fn from(input: &Input<'a>) -> Self {
        match *input {
            Input::Timeout => Self::Timeout,
            Input::Interfaces(list) => Self::Interfaces(Cow::Borrowed(list)),
            Input::Opened { socket, local } => Self::Opened { socket, local },
            Input::OpenFailed { socket, error } => Self::OpenFailed { socket, error },
            Input::Datagram { socket, local, remote, payload } => {
                Self::Datagram { socket, local, remote, payload: payload.into() }
            }
            Input::Rejected { socket, remote, error } => Self::Rejected { socket, remote, error },
            Input::Stream { stream, what } => Self::Stream {
                stream,
                what: match what {
                    StreamInput::Accepted { socket, local, remote } => StreamIn::Accepted { socket, local, remote },
                    StreamInput::Connected { local } => StreamIn::Connected { local },
                    StreamInput::Received(octets) => StreamIn::Received(octets.into()),
                    StreamInput::Written(count) => StreamIn::Written(count),
                    StreamInput::Closed(error) => StreamIn::Closed(error),
                },
            },
        }
    }
}

impl<'a, E> From<&'a Output<'_, E>> for Out<'a, &'a E> {
    fn from(output: &'a Output<'_, E>) -> Self {
        match *output {
            Output::Open { socket, transport, family, port, share } => Self::Open {
                socket,
                transport,
                family: match family {
                    Family::V4 => 4,
                    Family::V6 => 6,
                },
                port,
                share,
            },
            Output::Shut { socket } => Self::Shut { socket },
            Output::Transmit { socket, local, remote, ttl, payload } => {
                Self::Transmit { socket, local, remote, ttl, payload: payload.into() }
            }
            Output::Dial { stream, from, local, remote, ttl } => Self::Dial { stream, from, local, remote, ttl },
            Output::Write { stream, octets } => Self::Write { stream, octets: octets.into() },
            Output::Read { stream, on } => Self::Read { stream, on },
            Output::Close { stream, abort } => Self::Close { stream, abort },
            Output::Event(ref event) => Self::Event(event),
            Output::Wait(at) => Self::Wait(at),
        }
    }
}

impl<V> From<Discard> for What<'_, V> {
    fn from(discard: Discard) -> Self {
        match serde_json::to_value(discard) {
            Ok(serde_json::Value::String(name)) => Self::Discard(Cow::Owned(name)),
            Ok(_) | Err(_) => unreachable!("a discard is its name"),
        }
    }
}
