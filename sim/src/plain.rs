//! An engine without a protocol: open ports, an echo, and whatever it is told to send. The draft's plain
//! hosts, strangers, and competitors for a NAT's ports run it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use pinhole_proto::sorted::SortedMap;
use pinhole_proto::{
    CommandError, Discard, Duration, Endpoint, Engine, Family, Input, Instant, NetError, Output, SocketId, StreamId,
    StreamInput, Transport,
};
use serde::{Deserialize, Serialize};

/// How a plain host is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PlainConfig {
    /// The UDP ports that it has open, IPv4.
    pub udp: Vec<u16>,
    /// The TCP ports that it listens on, IPv4.
    pub tcp: Vec<u16>,
    /// Whether it sends every datagram back to where it came from.
    pub echo: bool,
}

/// What a plain host is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainCommand<'a> {
    /// Send a datagram from one of the open ports.
    Send {
        /// The port.
        port: u16,
        /// Where to.
        to: Endpoint,
        /// The time to live; the usual one when absent.
        ttl: Option<u8>,
        /// The octets.
        octets: &'a [u8],
    },
    /// Dial from one of the listening ports.
    Dial {
        /// The port.
        port: u16,
        /// Where to.
        to: Endpoint,
    },
    /// Write octets to the stream with an endpoint.
    Write {
        /// From which port.
        port: u16,
        /// With whom.
        to: Endpoint,
        /// The octets.
        octets: &'a [u8],
    },
    /// End the stream with an endpoint, or give up the dial to it.
    HangUp {
        /// From which port.
        port: u16,
        /// With whom.
        to: Endpoint,
    },
    /// Send one datagram each from fresh ports, evenly in time: every one takes a mapping of a NAT.
    Flows {
        /// Where to.
        to: Endpoint,
        /// How many, the first at once.
        count: u32,
        /// The time between two.
        every: Duration,
    },
}

/// What a plain host heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlainSaid {
    /// A port is open.
    Opened(Endpoint),
    /// A port cannot be opened.
    OpenFailed(NetError),
    /// A datagram.
    Datagram {
        /// Where it came from.
        from: Endpoint,
        /// The octets.
        octets: Vec<u8>,
    },
    /// A datagram to this endpoint was rejected.
    Rejected(Endpoint, NetError),
    /// A listener accepted a stream from this endpoint.
    Accepted(Endpoint),
    /// A dial succeeded.
    Connected {
        /// From which endpoint.
        local: Endpoint,
        /// To which.
        remote: Endpoint,
    },
    /// Octets of a stream.
    Received {
        /// From whom.
        from: Endpoint,
        /// The octets.
        octets: Vec<u8>,
    },
    /// A stream ended, or a dial failed.
    Closed(Option<NetError>),
}

/// The engine.
#[derive(Clone, Debug)]
pub struct Plain {
    config: PlainConfig,
    begun: bool,
    sockets: u32,
    dials: u64,
    /// The streams: the socket that each belongs to and its other end.
    streams: SortedMap<StreamId, (SocketId, Endpoint)>,
    flows: Option<Flows>,
    orders: VecDeque<Order>,
    current: Option<Order>,
    said: VecDeque<PlainSaid>,
}

#[derive(Clone, Copy, Debug)]
struct Flows {
    to: Endpoint,
    left: u32,
    every: Duration,
    next: Instant,
}

#[derive(Clone, Debug)]
enum Order {
    Open(SocketId, Transport, u16),
    Shut(SocketId),
    Send(SocketId, Endpoint, Option<u8>, Vec<u8>),
    Dial(StreamId, SocketId, Endpoint),
    Write(StreamId, Vec<u8>),
    Close(StreamId),
}

impl Plain {
    /// An engine that opens its ports when it is told its interfaces.
    #[must_use]
    pub const fn new(config: PlainConfig) -> Self {
        Self {
            config,
            begun: false,
            sockets: 0,
            dials: 0,
            streams: SortedMap::new(),
            flows: None,
            orders: VecDeque::new(),
            current: None,
            said: VecDeque::new(),
        }
    }

    fn begin(&mut self) {
        self.begun = true;
        let udp = self.config.udp.iter().map(|port| (Transport::Udp, *port));
        let tcp = self.config.tcp.iter().map(|port| (Transport::Tcp, *port));
        for (transport, port) in udp.chain(tcp) {
            self.orders.push_back(Order::Open(SocketId(self.sockets), transport, port));
            self.sockets += 1;
        }
    }

    /// The socket of a port: sockets have the numbers of their places in the configuration.
    fn socket(&self, transport: Transport, port: u16) -> Option<SocketId> {
        let (ports, before) = match transport {
            Transport::Udp => (&self.config.udp, 0),
            Transport::Tcp => (&self.config.tcp, self.config.udp.len()),
        };
        let at = ports.iter().position(|open| *open == port)?;
        u32::try_from(before + at).ok().map(SocketId)
    }

    /// The latest stream of a port with an endpoint.
    fn stream(&self, port: u16, to: Endpoint) -> Option<StreamId> {
        let socket = self.socket(Transport::Tcp, port)?;
        self.streams.iter().rev().find(|(_, known)| **known == (socket, to)).map(|(stream, _)| *stream)
    }

    fn on_stream(&mut self, stream: StreamId, what: StreamInput<'_>) -> Option<PlainSaid> {
        let from = self.streams.get(&stream).map(|(_, remote)| *remote);
        Some(match what {
            StreamInput::Accepted { socket, remote, .. } => {
                self.streams.insert(stream, (socket, remote));
                PlainSaid::Accepted(remote)
            }
            StreamInput::Connected { local } => PlainSaid::Connected { local, remote: from? },
            StreamInput::Received(octets) => PlainSaid::Received { from: from?, octets: octets.to_vec() },
            StreamInput::Written(_) => return None,
            StreamInput::Closed(error) => {
                self.streams.remove(&stream);
                PlainSaid::Closed(error)
            }
        })
    }

    fn on_time(&mut self, now: Instant) {
        while let Some(flows) = &mut self.flows {
            if flows.next > now {
                break;
            }
            let (to, socket) = (flows.to, SocketId(self.sockets));
            self.sockets += 1;
            flows.left -= 1;
            flows.next = flows.next + flows.every;
            if flows.left == 0 {
                self.flows = None;
            }
            self.orders.push_back(Order::Open(socket, Transport::Udp, 0));
            self.orders.push_back(Order::Send(socket, to, None, b"flow".to_vec()));
            self.orders.push_back(Order::Shut(socket));
        }
    }
}

impl Engine for Plain {
    type Command<'a> = PlainCommand<'a>;
    type Reply = ();
    type Event<'a> = PlainSaid;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        self.on_time(now);
        let said = match input {
            Input::Interfaces(_) if !self.begun => {
                self.begin();
                return Ok(());
            }
            Input::Timeout | Input::Interfaces(_) => return Ok(()),
            Input::Opened { local, .. } => PlainSaid::Opened(local),
            Input::OpenFailed { error, .. } => PlainSaid::OpenFailed(error),
            Input::Datagram { socket, remote, payload, .. } => {
                if self.config.echo {
                    self.orders.push_back(Order::Send(socket, remote, None, payload.to_vec()));
                }
                PlainSaid::Datagram { from: remote, octets: payload.to_vec() }
            }
            Input::Rejected { remote, error, .. } => PlainSaid::Rejected(remote, error),
            Input::Stream { stream, what } => match self.on_stream(stream, what) {
                Some(said) => said,
                None => return Ok(()),
            },
        };
        self.said.push_back(said);
        Ok(())
    }

    fn handle_command(&mut self, now: Instant, command: PlainCommand<'_>) -> Result<(), CommandError> {
        match command {
            PlainCommand::Send { port, to, ttl, octets } => {
                if octets.len() > MAX_PLAIN {
                    return Err(CommandError::TooLong);
                }
                let socket = self.socket(Transport::Udp, port).ok_or(CommandError::Unknown)?;
                self.orders.push_back(Order::Send(socket, to, ttl, octets.to_vec()));
            }
            PlainCommand::Dial { port, to } => {
                let socket = self.socket(Transport::Tcp, port).ok_or(CommandError::Unknown)?;
                self.dials += 2;
                self.streams.insert(StreamId(self.dials), (socket, to));
                self.orders.push_back(Order::Dial(StreamId(self.dials), socket, to));
            }
            PlainCommand::Write { port, to, octets } => {
                if octets.len() > MAX_PLAIN {
                    return Err(CommandError::TooLong);
                }
                let stream = self.stream(port, to).ok_or(CommandError::Unknown)?;
                self.orders.push_back(Order::Write(stream, octets.to_vec()));
            }
            PlainCommand::HangUp { port, to } => {
                let stream = self.stream(port, to).ok_or(CommandError::Unknown)?;
                self.streams.remove(&stream);
                self.orders.push_back(Order::Close(stream));
            }
            PlainCommand::Flows { to, count, every } => {
                if every.is_zero() {
                    return Err(CommandError::WrongState);
                }
                self.flows = (count > 0).then_some(Flows { to, left: count, every, next: now });
                self.on_time(now);
            }
        }
        Ok(())
    }

    fn poll_output(&mut self) -> Output<'_, PlainSaid> {
        if let Some(said) = self.said.pop_front() {
            return Output::Event(said);
        }
        self.current = self.orders.pop_front();
        match &self.current {
            None => Output::Wait(self.flows.map(|flows| flows.next)),
            Some(Order::Open(socket, transport, port)) => {
                Output::Open { socket: *socket, transport: *transport, family: Family::V4, port: *port, share: None }
            }
            Some(Order::Shut(socket)) => Output::Shut { socket: *socket },
            Some(Order::Send(socket, remote, ttl, payload)) => {
                Output::Transmit { socket: *socket, local: None, remote: *remote, ttl: *ttl, payload }
            }
            Some(Order::Dial(stream, from, remote)) => {
                Output::Dial { stream: *stream, from: *from, local: None, remote: *remote, ttl: None }
            }
            Some(Order::Write(stream, octets)) => Output::Write { stream: *stream, octets },
            Some(Order::Close(stream)) => Output::Close { stream: *stream, abort: false },
        }
    }
}

/// The longest datagram of a plain host, and the most octets that it writes at once.
const MAX_PLAIN: usize = 1_472;
