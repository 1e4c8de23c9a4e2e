//! An engine without a protocol: it does what it is told and reports what it hears.

use std::collections::{BTreeMap, VecDeque};

use pinhole_proto::engine::MAX_UNWRITTEN;
use pinhole_proto::{
    CommandError, Discard, Duration, Endpoint, Engine, Family, Input, Instant, NetError, Output, SocketId, StreamId,
    StreamInput, Transport,
};
use pinhole_sim::{EngineNode, HostId, Node, World};

#[derive(Clone, Debug)]
pub(crate) enum Do {
    Open(u32, Transport, u16),
    /// The same for IPv6.
    Open6(u32, Transport, u16),
    Shut(u32),
    Send(u32, Endpoint, Vec<u8>),
    SendTtl(u32, Endpoint, u8),
    Dial(u64, u32, Endpoint),
    Write(u64, Vec<u8>),
    Read(u64, bool),
    Close(u64, bool),
    /// Write so many octets, as fast as credit comes back, then close.
    Pour(u64, usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Opened(u32, Endpoint),
    OpenFailed(u32, NetError),
    Datagram(Endpoint, Vec<u8>),
    Rejected(Endpoint, NetError),
    Accepted(u64, Endpoint),
    Connected(u64),
    Received(u64, Vec<u8>),
    Written(u64, u32),
    Closed(u64, Option<NetError>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Toy {
    /// What is done at which time.
    pub(crate) script: BTreeMap<Instant, Vec<Do>>,
    /// Answer every datagram with itself.
    pub(crate) echo: bool,
    /// Dial again so long after a dial failed.
    pub(crate) redial: Option<Duration>,
    orders: VecDeque<Do>,
    events: VecDeque<Heard>,
    current: Option<Do>,
    dials: BTreeMap<u64, (u32, Endpoint)>,
    next_dial: u64,
    pours: BTreeMap<u64, (usize, usize, usize)>,
}

impl Toy {
    pub(crate) fn echo() -> Self {
        Self { echo: true, ..Self::default() }
    }

    pub(crate) fn redialling(after: Duration) -> Self {
        Self { redial: Some(after), ..Self::default() }
    }

    pub(crate) fn at(mut self, millis: u64, what: Do) -> Self {
        let at = Instant::from_micros(millis * 1000);
        self.script.entry(at).or_default().push(what);
        self
    }

    fn act(&mut self, what: Do) {
        match what {
            Do::Pour(stream, total) => {
                self.pours.insert(stream, (total, 0, 0));
                self.pour(stream);
            }
            Do::Dial(stream, from, remote) => {
                self.dials.insert(stream, (from, remote));
                self.next_dial = self.next_dial.max(stream + 2);
                self.orders.push_back(what);
            }
            _ => self.orders.push_back(what),
        }
    }

    fn pour(&mut self, stream: u64) {
        let Some((total, sent, unwritten)) = self.pours.get_mut(&stream) else {
            return;
        };
        let length = (*total - *sent).min(MAX_UNWRITTEN - *unwritten);
        if length > 0 {
            let octets = (*sent..*sent + length).map(octet_at).collect();
            *sent += length;
            *unwritten += length;
            self.orders.push_back(Do::Write(stream, octets));
        }
        if sent == total {
            self.pours.remove(&stream);
            self.orders.push_back(Do::Close(stream, false));
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(entry) = self.script.first_entry() {
            if *entry.key() > now {
                break;
            }
            for what in entry.remove() {
                self.act(what);
            }
        }
    }
}

/// The octets that [`Do::Pour`] writes.
pub(crate) fn octet_at(index: usize) -> u8 {
    (index.wrapping_mul(2_654_435_761) >> 7) as u8
}

impl Engine for Toy {
    type Command<'a> = Do;
    type Reply = ();
    type Event<'a> = Heard;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        self.fire(now);
        let heard = match input {
            Input::Timeout | Input::Interfaces(_) => return Ok(()),
            Input::Opened { socket, local } => Heard::Opened(socket.0, local),
            Input::OpenFailed { socket, error } => Heard::OpenFailed(socket.0, error),
            Input::Datagram { socket, remote, payload, .. } => {
                if self.echo {
                    self.act(Do::Send(socket.0, remote, payload.to_vec()));
                }
                Heard::Datagram(remote, payload.to_vec())
            }
            Input::Rejected { remote, error, .. } => Heard::Rejected(remote, error),
            Input::Stream { stream: StreamId(id), what } => match what {
                StreamInput::Accepted { remote, .. } => Heard::Accepted(id, remote),
                StreamInput::Connected { .. } => Heard::Connected(id),
                StreamInput::Received(octets) => Heard::Received(id, octets.to_vec()),
                StreamInput::Written(octets) => {
                    if let Some((_, _, unwritten)) = self.pours.get_mut(&id) {
                        *unwritten -= octets as usize;
                    }
                    self.pour(id);
                    Heard::Written(id, octets)
                }
                StreamInput::Closed(error) => {
                    if let (Some(wait), Some((from, remote)), Some(_)) = (self.redial, self.dials.get(&id), error) {
                        let again = Do::Dial(self.next_dial, *from, *remote);
                        self.script.entry(now + wait).or_default().push(again);
                    }
                    Heard::Closed(id, error)
                }
            },
        };
        self.events.push_back(heard);
        Ok(())
    }

    fn handle_command(&mut self, _: Instant, command: Do) -> Result<(), CommandError> {
        self.act(command);
        Ok(())
    }

    fn poll_output(&mut self) -> Output<'_, Heard> {
        if let Some(heard) = self.events.pop_front() {
            return Output::Event(heard);
        }
        self.current = self.orders.pop_front();
        let Some(current) = &self.current else {
            return Output::Wait(self.script.keys().next().copied());
        };
        match *current {
            Do::Open(socket, transport, port) => {
                Output::Open { socket: SocketId(socket), transport, family: Family::V4, port, share: None }
            }
            Do::Open6(socket, transport, port) => {
                Output::Open { socket: SocketId(socket), transport, family: Family::V6, port, share: None }
            }
            Do::Shut(socket) => Output::Shut { socket: SocketId(socket) },
            Do::Send(socket, remote, ref payload) => {
                Output::Transmit { socket: SocketId(socket), local: None, remote, ttl: None, payload }
            }
            Do::SendTtl(socket, remote, ttl) => {
                Output::Transmit { socket: SocketId(socket), local: None, remote, ttl: Some(ttl), payload: b"short" }
            }
            Do::Dial(stream, from, remote) => {
                Output::Dial { stream: StreamId(stream), from: SocketId(from), local: None, remote, ttl: None }
            }
            Do::Write(stream, ref octets) => Output::Write { stream: StreamId(stream), octets },
            Do::Read(stream, on) => Output::Read { stream: StreamId(stream), on },
            Do::Close(stream, abort) => Output::Close { stream: StreamId(stream), abort },
            Do::Pour(..) => unreachable!("act turns it into writes"),
        }
    }
}

pub(crate) fn node(toy: Toy) -> impl Node {
    EngineNode::new(toy, |heard: Heard| Some(heard))
}

pub(crate) fn tell(world: &mut World, host: HostId, what: Do) {
    world.command(host, |toy: &mut Toy, now| toy.handle_command(now, what)).expect("a toy refuses nothing");
}

pub(crate) fn heard(world: &World, host: HostId) -> Vec<Heard> {
    let log = world.log::<Heard>(host);
    log.iter().map(|(_, heard)| heard.clone()).collect()
}

pub(crate) fn at(endpoint: &str) -> Endpoint {
    endpoint.parse().expect("an endpoint")
}
