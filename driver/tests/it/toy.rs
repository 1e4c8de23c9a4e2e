//! An engine that does what it is told and tells what it hears.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use pinhole_driver::{Driver, Options};
use pinhole_proto::{
    Address, CommandError, Discard, Endpoint, Engine, Family, Input, Instant, Interface, NetError, Output, SocketId,
    StreamId, StreamInput, Transport,
};
use serde::Serialize;

/// An output that owns its octets, or a deadline.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Open(SocketId, Transport, Family, u16, Option<SocketId>),
    Shut(SocketId),
    Transmit(SocketId, Option<Address>, Endpoint, Option<u8>, Vec<u8>),
    Dial(StreamId, SocketId, Endpoint, Option<u8>),
    Write(StreamId, Vec<u8>),
    Read(StreamId, bool),
    Close(StreamId, bool),
    Tell(Heard),
    WakeAt(Instant),
    /// From here on datagrams and stream octets go back to where they came from.
    Echo,
}

/// An input that owns its octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Heard {
    Timeout(Instant),
    Interfaces(Vec<Interface>),
    Opened(SocketId, Endpoint),
    OpenFailed(SocketId, NetError),
    Datagram(SocketId, Address, Endpoint, Vec<u8>),
    Rejected(SocketId, Endpoint, NetError),
    Accepted(StreamId, Endpoint, Endpoint),
    Connected(StreamId, Endpoint),
    Received(StreamId, Vec<u8>),
    Written(StreamId, u32),
    Closed(StreamId, Option<NetError>),
}

#[derive(Default)]
pub(crate) struct Toy {
    queue: VecDeque<Order>,
    current: Option<Order>,
    deadline: Option<Instant>,
    echo: bool,
}

impl Engine for Toy {
    type Command<'a> = Order;
    type Reply = ();
    type Event<'a> = &'a Heard;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            self.queue.push_back(Order::Tell(Heard::Timeout(now)));
        }
        let heard = match input {
            Input::Timeout => return Ok(()),
            Input::Interfaces(list) => Heard::Interfaces(list.to_vec()),
            Input::Opened { socket, local } => Heard::Opened(socket, local),
            Input::OpenFailed { socket, error } => Heard::OpenFailed(socket, error),
            Input::Datagram { payload: [], .. } => return Err(Discard::TooShort),
            Input::Datagram { socket, local, remote, payload } => {
                if self.echo {
                    let back = payload.to_vec();
                    self.queue.push_back(Order::Transmit(socket, Some(local), remote, None, back));
                }
                Heard::Datagram(socket, local, remote, payload.to_vec())
            }
            Input::Rejected { socket, remote, error } => Heard::Rejected(socket, remote, error),
            Input::Stream { stream, what } => match what {
                StreamInput::Accepted { local, remote, .. } => Heard::Accepted(stream, local, remote),
                StreamInput::Connected { local } => Heard::Connected(stream, local),
                StreamInput::Received(octets) => {
                    if self.echo {
                        self.queue.push_back(Order::Write(stream, octets.to_vec()));
                    }
                    Heard::Received(stream, octets.to_vec())
                }
                StreamInput::Written(count) => Heard::Written(stream, count),
                StreamInput::Closed(error) => Heard::Closed(stream, error),
            },
        };
        self.queue.push_back(Order::Tell(heard));
        Ok(())
    }

    fn handle_command(&mut self, _: Instant, order: Order) -> Result<(), CommandError> {
        match order {
            Order::WakeAt(at) => self.deadline = Some(at),
            Order::Echo => self.echo = true,
            order => self.queue.push_back(order),
        }
        Ok(())
    }

    fn poll_output(&mut self) -> Output<'_, &Heard> {
        self.current = self.queue.pop_front();
        match self.current.as_ref() {
            None | Some(Order::WakeAt(_) | Order::Echo) => Output::Wait(self.deadline),
            Some(Order::Tell(heard)) => Output::Event(heard),
            Some(Order::Open(socket, transport, family, port, share)) => {
                Output::Open { socket: *socket, transport: *transport, family: *family, port: *port, share: *share }
            }
            Some(Order::Shut(socket)) => Output::Shut { socket: *socket },
            Some(Order::Transmit(socket, local, remote, ttl, payload)) => {
                Output::Transmit { socket: *socket, local: *local, remote: *remote, ttl: *ttl, payload }
            }
            Some(Order::Dial(stream, from, remote, ttl)) => {
                Output::Dial { stream: *stream, from: *from, local: None, remote: *remote, ttl: *ttl }
            }
            Some(Order::Write(stream, octets)) => Output::Write { stream: *stream, octets },
            Some(Order::Read(stream, on)) => Output::Read { stream: *stream, on: *on },
            Some(Order::Close(stream, abort)) => Output::Close { stream: *stream, abort: *abort },
        }
    }
}

/// A driven toy and what it heard and nobody asked for yet.
pub(crate) struct Node {
    pub(crate) driver: Driver<Toy>,
    heard: VecDeque<Heard>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn at(address: &str) -> Self {
        Self::with(Options { bind: vec![address.parse().unwrap()], ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        Self { driver: Driver::new(Toy::default(), options).unwrap(), heard: VecDeque::new() }
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.driver.command(order).unwrap();
    }

    pub(crate) async fn step(&mut self) {
        let heard = &mut self.heard;
        self.driver.step(&mut |event: &Heard| heard.push_back(event.clone())).await.unwrap();
    }

    /// Everything heard since the last question.
    pub(crate) fn take(&mut self) -> Vec<Heard> {
        self.heard.drain(..).collect()
    }

    /// Steps until `wanted` finds what it looks for; forgets what came before.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(&Heard) -> Option<T>) -> T {
        let search = async {
            loop {
                while let Some(heard) = self.heard.pop_front() {
                    if let Some(found) = wanted(&heard) {
                        return found;
                    }
                }
                self.step().await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("it is heard in time")
    }

    /// Opens a port on the wildcard or the bound address and answers its local endpoint.
    pub(crate) async fn open(&mut self, socket: u32, transport: Transport, family: Family) -> Endpoint {
        let socket = SocketId(socket);
        self.order(Order::Open(socket, transport, family, 0, None));
        self.until(|heard| match heard {
            Heard::Opened(id, local) if *id == socket => Some(*local),
            _ => None,
        })
        .await
    }
}

/// Steps `other` for as long as `future` goes on.
pub(crate) async fn beside<T>(other: &mut Node, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            found = &mut future => return found,
            () = other.step() => {}
        }
    }
}

/// A current-thread runtime, as the binaries have.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

pub(crate) fn loopback(port: u16) -> Endpoint {
    Endpoint::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// How long anything may take on a busy machine before a test calls it lost.
const PATIENCE: Duration = Duration::from_secs(20);
