//! What `--trace FILE` writes: every input and output of an engine, one JSON object a line.
//!
//! This is the format of the transcripts. A file begins with [`header`], which names the engine and, where it
//! is to be replayed, its seed:
//!
//! ```json
//! {"trace":"pinhole/1","engine":"peer","seed":"00ff..."}
//! ```
//!
//! Each further line has `t`, microseconds since the driver's origin, and one of `in`, `out`, `command` or
//! `reply` (the last two as their programs write them with [`Driver::note`](crate::Driver::note)):
//!
//! ```json
//! {"t":0,"in":{"interfaces":[{"address":"192.0.2.7","prefix":24}]}}
//! {"t":0,"out":{"open":{"socket":0,"transport":"udp","family":4,"port":0,"share":null}}}
//! {"t":12,"in":{"opened":{"socket":0,"local":"0.0.0.0:40001"}}}
//! {"t":12,"out":{"transmit":{"socket":0,"local":null,"remote":"198.51.100.1:4653","ttl":null,"payload":"c0de"}}}
//! {"t":12,"out":{"wait":500012}}
//! {"t":950,"in":{"datagram":{"socket":0,"local":"192.0.2.7","remote":"198.51.100.1:4653","payload":"00"}}}
//! {"t":950,"discard":"too-short"}
//! {"t":960,"in":{"stream":{"stream":2,"received":"00"}}}
//! {"t":970,"in":"timeout"}
//! ```
//!
//! Octets are lower-case hex, endpoints and addresses text, names and errors kebab-case, absent values
//! `null`; fields stand in the order of the `Input` and `Output` types, without spaces. An input comes
//! before the outputs that it caused; `discard` follows an input that was ignored; outputs come in
//! the order in which they were fetched and end with `wait`, whose value is the deadline. Equal runs give equal
//! lines.

use std::io::{self, Write};

use pinhole_proto::{
    Address, Discard, Endpoint, Family, Input, Instant, Interface, NetError, Output, SocketId, StreamId, StreamInput,
    Transport,
};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// The first line of a trace file, with its line end.
///
/// The seed makes the engine's secrets known to whoever reads the file: only where that is asked for.
#[must_use]
pub fn header(engine: &str, seed: Option<&[u8; 32]>) -> String {
    #[derive(Serialize)]
    struct Header<'a> {
        trace: &'static str,
        engine: &'a str,
        seed: Option<Hex<'a>>,
    }
    let header = Header { trace: "pinhole/1", engine, seed: seed.map(|seed| Hex(seed)) };
    serde_json::to_string(&header).expect("a header is plain data") + "\n"
}

/// The writer of a trace. After an error it writes nothing more; the engine goes on.
pub(crate) struct Trace {
    sink: Option<Box<dyn Write + Send>>,
}

impl Trace {
    pub(crate) fn new(sink: Option<Box<dyn Write + Send>>) -> Self {
        Self { sink: sink.map(|sink| Box::new(io::BufWriter::new(sink)) as Box<dyn Write + Send>) }
    }

    pub(crate) fn input(&mut self, t: Instant, input: &Input<'_>) {
        if self.sink.is_some() {
            self.line(&InputLine { t, input: In::from(input) });
        }
    }

    pub(crate) fn discard(&mut self, t: Instant, discard: Discard) {
        if self.sink.is_some() {
            self.line(&DiscardLine { t, discard });
        }
    }

    pub(crate) fn output<E: Serialize>(&mut self, t: Instant, output: &Output<'_, E>) {
        if self.sink.is_some() {
            self.line(&OutputLine { t, out: Out::from(output) });
        }
    }

    pub(crate) fn note(&mut self, t: Instant, name: &str, value: &impl Serialize) {
        if self.sink.is_some() {
            self.line(&Note { t, name, value });
        }
    }

    pub(crate) fn flush(&mut self) {
        if let Some(sink) = &mut self.sink {
            let result = sink.flush();
            self.check(result);
        }
    }

    fn line(&mut self, line: &impl Serialize) {
        if let Some(sink) = &mut self.sink {
            let result =
                serde_json::to_writer(&mut *sink, line).map_err(io::Error::from).and_then(|()| sink.write_all(b"\n"));
            self.check(result);
        }
    }

    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the trace ends here: it cannot be written");
            self.sink = None;
        }
    }
}

#[derive(Serialize)]
struct InputLine<'a> {
    t: Instant,
    #[serde(rename = "in")]
    input: In<'a>,
}

#[derive(Serialize)]
struct DiscardLine {
    t: Instant,
    discard: Discard,
}

struct Note<'a, V> {
    t: Instant,
    name: &'a str,
    value: &'a V,
}

impl<V: Serialize> Serialize for Note<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("t", &self.t)?;
        map.serialize_entry(self.name, self.value)?;
        map.end()
    }
}

#[derive(Serialize)]
#[serde(bound = "E: Serialize")]
struct OutputLine<'a, E> {
    t: Instant,
    out: Out<'a, E>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum In<'a> {
    Timeout,
    Interfaces(&'a [Interface]),
    Opened { socket: SocketId, local: Endpoint },
    OpenFailed { socket: SocketId, error: NetError },
    Datagram { socket: SocketId, local: Address, remote: Endpoint, payload: Hex<'a> },
    Rejected { socket: SocketId, remote: Endpoint, error: NetError },
    Stream(StreamLine<'a>),
}

#[derive(Serialize)]
struct StreamLine<'a> {
    stream: StreamId,
    #[serde(flatten)]
    what: StreamIn<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum StreamIn<'a> {
    Accepted { socket: SocketId, local: Endpoint, remote: Endpoint },
    Connected { local: Endpoint },
    Received(Hex<'a>),
    Written(u32),
    Closed(Option<NetError>),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", bound = "E: Serialize")]
enum Out<'a, E> {
    Open { socket: SocketId, transport: Transport, family: u8, port: u16, share: Option<SocketId> },
    Shut { socket: SocketId },
    Transmit { socket: SocketId, local: Option<Address>, remote: Endpoint, ttl: Option<u8>, payload: Hex<'a> },
    Dial { stream: StreamId, from: SocketId, local: Option<Address>, remote: Endpoint, ttl: Option<u8> },
    Write { stream: StreamId, octets: Hex<'a> },
    Read { stream: StreamId, on: bool },
    Close { stream: StreamId, abort: bool },
    Event(&'a E),
    Wait(Option<Instant>),
}

struct Hex<'a>(&'a [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(self.0))
    }
}

impl<'a> From<&Input<'a>> for In<'a> {
    fn from(input: &Input<'a>) -> Self {
        match *input {
            Input::Timeout => Self::Timeout,
            Input::Interfaces(list) => Self::Interfaces(list),
            Input::Opened { socket, local } => Self::Opened { socket, local },
            Input::OpenFailed { socket, error } => Self::OpenFailed { socket, error },
            Input::Datagram { socket, local, remote, payload } => {
                Self::Datagram { socket, local, remote, payload: Hex(payload) }
            }
            Input::Rejected { socket, remote, error } => Self::Rejected { socket, remote, error },
            Input::Stream { stream, what } => Self::Stream(StreamLine {
                stream,
                what: match what {
                    StreamInput::Accepted { socket, local, remote } => StreamIn::Accepted { socket, local, remote },
                    StreamInput::Connected { local } => StreamIn::Connected { local },
                    StreamInput::Received(octets) => StreamIn::Received(Hex(octets)),
                    StreamInput::Written(count) => StreamIn::Written(count),
                    StreamInput::Closed(error) => StreamIn::Closed(error),
                },
            }),
        }
    }
}

impl<'a, E> From<&'a Output<'_, E>> for Out<'a, E> {
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
                Self::Transmit { socket, local, remote, ttl, payload: Hex(payload) }
            }
            Output::Dial { stream, from, local, remote, ttl } => Self::Dial { stream, from, local, remote, ttl },
            Output::Write { stream, octets } => Self::Write { stream, octets: Hex(octets) },
            Output::Read { stream, on } => Self::Read { stream, on },
            Output::Close { stream, abort } => Self::Close { stream, abort },
            Output::Event(ref event) => Self::Event(event),
            Output::Wait(at) => Self::Wait(at),
        }
    }
}
