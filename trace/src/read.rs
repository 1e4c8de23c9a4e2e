//! The reader.

use std::borrow::Cow;

use pinhole_proto::{Instant, Interface, SocketId, StreamId};
use serde_json::Value;

use crate::error::{Located, Problem};
use crate::fields::{
    Fault, Object, Read, address, boolean, endpoint, get, instant, list, maybe, named, net_error, object, octets,
    one_of, optional, text, transport, u8, u16, u32, u64,
};
use crate::header::{Engine, Header, Shard, VERSION};
use crate::line::{In, Line, Out, StreamIn, What};

/// A trace that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its first line.
    pub header: Header<'static>,
    /// The others: line 2 of the file is the first of them. Events, commands and replies are their JSON.
    pub lines: Vec<Line<'static, String>>,
    /// Whether the file ends in the middle of a line, as that of a program does that was killed. That line is not
    /// among the others.
    pub cut: bool,
}

/// The most octets of a file that is read.
pub const MAX_OCTETS: usize = 128 << 20;
/// The most lines.
pub const MAX_LINES: usize = 250_000;
/// The most octets of a line.
pub const MAX_LINE: usize = 1 << 20;

/// Reads a file.
///
/// # Errors
/// The first place where it is not a trace.
pub fn read(file: &[u8]) -> Result<Trace, Located> {
    let whole = |line, problem| Located { line, field: String::new(), problem };
    if file.len() > MAX_OCTETS {
        return Err(whole(1, Problem::FileTooLong));
    }
    let (body, ended) = match file {
        [body @ .., b'\n'] => (body, true),
        [] => return Err(whole(1, Problem::Empty)),
        body => (body, false),
    };
    let mut texts = body.split(|octet| *octet == b'\n').map(|text| text.strip_suffix(b"\r").unwrap_or(text));
    let first = texts.next().unwrap_or_default();
    let header = json(first).and_then(|value| header(&value));
    let header = header.map_err(|Fault { field, problem }| Located { line: 1, field, problem })?;
    let mut trace = Trace { header, lines: Vec::new(), cut: false };
    let mut before = Instant::ZERO;
    let mut texts = texts.peekable();
    while let Some(octets) = texts.next() {
        let number = trace.lines.len() + 2;
        let at = |Fault { field, problem }| Located { line: number, field, problem };
        if number > MAX_LINES {
            return Err(whole(number, Problem::TooManyLines));
        }
        let last = texts.peek().is_none() && !ended;
        let value = match json(octets) {
            Err(Fault { problem: Problem::NotJson { .. }, .. }) if last && is_cut(octets) => {
                trace.cut = true;
                break;
            }
            value => value.map_err(at)?,
        };
        let line = line(&value).map_err(at)?;
        if line.t < before {
            return Err(Located { line: number, field: "t".to_owned(), problem: Problem::Backwards });
        }
        before = line.t;
        trace.lines.push(line);
    }
    Ok(trace)
}

fn json(octets: &[u8]) -> Read<Value> {
    if octets.len() > MAX_LINE {
        return Err(Fault::here(Problem::LineTooLong));
    }
    serde_json::from_slice(octets).map_err(|error| {
        // The decoder numbers lines, too; each is given to it alone.
        let text = error.to_string();
        let why = text.split(" at line ").next().unwrap_or_default().to_owned();
        Fault::here(Problem::NotJson { column: error.column(), why })
    })
}

/// Whether more octets could make it JSON.
fn is_cut(octets: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(octets).is_err_and(|error| error.is_eof())
}

fn header(value: &Value) -> Read<Header<'static>> {
    let fields = object(value)?;
    let version = get(fields, "trace", text)?;
    if version != VERSION {
        let found = version.chars().take(40).collect();
        return Err(Fault::here(Problem::Version(found)).inside("trace"));
    }
    let owned = |value| text(value).map(str::to_owned);
    let servers = |value| list(value)?.iter().map(endpoint).collect::<Read<Vec<_>>>();
    let shard = |value| {
        let fields = object(value)?;
        Ok(Shard { number: get(fields, "number", u8)?, of: get(fields, "of", u8)? })
    };
    Ok(Header {
        engine: get(fields, "engine", |value| named(value, &Engine::ALL, &["peer", "server", "netcheck"]))?,
        program: maybe(fields, "program", owned)?.unwrap_or_default(),
        id: maybe(fields, "id", owned)?,
        servers: maybe(fields, "servers", servers)?.unwrap_or_default(),
        shard: maybe(fields, "shard", shard)?,
        seed: maybe(fields, "seed", octets)?,
    })
}

fn line(value: &Value) -> Read<Line<'static, String>> {
    let fields = object(value)?;
    let t = get(fields, "t", instant)?;
    let (name, value) = one_of(fields, &["in", "out", "discard", "unsent", "command", "reply"])?;
    let what = match name {
        "in" => input(value).map(What::In),
        "out" => output(value).map(What::Out),
        "discard" => text(value).map(|name| What::Discard(Cow::Owned(name.to_owned()))),
        "unsent" => u64(value).map(What::Unsent),
        "command" => Ok(What::Command(value.to_string())),
        _ => Ok(What::Reply(value.to_string())),
    };
    Ok(Line { t, what: what.map_err(|fault| fault.inside(name))? })
}

fn input(value: &Value) -> Read<In<'static>> {
    if value == "timeout" {
        return Ok(In::Timeout);
    }
    let fields = object(value)?;
    let (name, value) = one_of(fields, &["interfaces", "opened", "open-failed", "datagram", "rejected", "stream"])?;
    let read = || -> Read<_> {
        if name == "interfaces" {
            let interfaces = list(value)?.iter().map(interface).collect::<Read<Vec<_>>>()?;
            return Ok(In::Interfaces(Cow::Owned(interfaces)));
        }
        let fields = object(value)?;
        Ok(match name {
            "opened" => In::Opened { socket: get(fields, "socket", socket)?, local: get(fields, "local", endpoint)? },
            "open-failed" => {
                In::OpenFailed { socket: get(fields, "socket", socket)?, error: get(fields, "error", net_error)? }
            }
            "datagram" => In::Datagram {
                socket: get(fields, "socket", socket)?,
                local: get(fields, "local", address)?,
                remote: get(fields, "remote", endpoint)?,
                payload: get(fields, "payload", octets)?,
            },
            "rejected" => In::Rejected {
                socket: get(fields, "socket", socket)?,
                remote: get(fields, "remote", endpoint)?,
                error: get(fields, "error", net_error)?,
            },
            _ => In::Stream { stream: get(fields, "stream", stream)?, what: stream_input(fields)? },
        })
    };
    read().map_err(|fault| fault.inside(name))
}

fn interface(value: &Value) -> Read<Interface> {
    let fields = object(value)?;
    Ok(Interface { address: get(fields, "address", address)?, prefix: get(fields, "prefix", u8)? })
}

fn stream_input(fields: &Object) -> Read<StreamIn<'static>> {
    let (name, value) = one_of(fields, &["accepted", "connected", "received", "written", "closed"])?;
    let read = || -> Read<_> {
        Ok(match name {
            "accepted" => {
                let fields = object(value)?;
                StreamIn::Accepted {
                    socket: get(fields, "socket", socket)?,
                    local: get(fields, "local", endpoint)?,
                    remote: get(fields, "remote", endpoint)?,
                }
            }
            "connected" => StreamIn::Connected { local: get(object(value)?, "local", endpoint)? },
            "received" => StreamIn::Received(octets(value)?),
            "written" => StreamIn::Written(u32(value)?),
            _ => StreamIn::Closed(optional(net_error)(value)?),
        })
    };
    read().map_err(|fault| fault.inside(name))
}

fn output(value: &Value) -> Read<Out<'static, String>> {
    let fields = object(value)?;
    let (name, value) =
        one_of(fields, &["open", "shut", "transmit", "dial", "write", "read", "close", "event", "wait"])?;
    let read = || -> Read<_> {
        match name {
            "event" => return Ok(Out::Event(value.to_string())),
            "wait" => return optional(instant)(value).map(Out::Wait),
            _ => {}
        }
        let fields = object(value)?;
        Ok(match name {
            "open" => Out::Open {
                socket: get(fields, "socket", socket)?,
                transport: get(fields, "transport", transport)?,
                family: get(fields, "family", u8)?,
                port: get(fields, "port", u16)?,
                share: get(fields, "share", optional(socket))?,
            },
            "shut" => Out::Shut { socket: get(fields, "socket", socket)? },
            "transmit" => Out::Transmit {
                socket: get(fields, "socket", socket)?,
                local: get(fields, "local", optional(address))?,
                remote: get(fields, "remote", endpoint)?,
                ttl: get(fields, "ttl", optional(u8))?,
                payload: get(fields, "payload", octets)?,
            },
            "dial" => Out::Dial {
                stream: get(fields, "stream", stream)?,
                from: get(fields, "from", socket)?,
                local: get(fields, "local", optional(address))?,
                remote: get(fields, "remote", endpoint)?,
                ttl: get(fields, "ttl", optional(u8))?,
            },
            "write" => Out::Write { stream: get(fields, "stream", stream)?, octets: get(fields, "octets", octets)? },
            "read" => Out::Read { stream: get(fields, "stream", stream)?, on: get(fields, "on", boolean)? },
            _ => Out::Close { stream: get(fields, "stream", stream)?, abort: get(fields, "abort", boolean)? },
        })
    };
    read().map_err(|fault| fault.inside(name))
}

fn socket(value: &Value) -> Read<SocketId> {
    u32(value).map(SocketId)
}

fn stream(value: &Value) -> Read<StreamId> {
    u64(value).map(StreamId)
}
