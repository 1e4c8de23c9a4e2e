//! Carries out what an engine orders.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};

use nix::sys::epoll::EpollFlags;
use pinhole_proto::{
    Address, Duration, Endpoint, Family, Input, Instant, NetError, SocketId, StreamId, StreamInput, Transport,
};
use socket2::Socket;

use crate::addresses::Addresses;
use crate::clock::Clock;
use crate::error::of_io;
use crate::inbox::take_rejection;
use crate::listener::{Accept, accept};
use crate::outbound::{Origin, Outbound};
use crate::port::{Port, Sharing};
use crate::reactor::{Reactor, Token};
use crate::stream::{Detached, Ready};
use crate::streams::{Streams, closed};

/// The sockets of a driver, and what they answer to orders at once.
pub(crate) struct Io {
    pub(crate) reactor: Reactor,
    /// What the engine has to hear before anything else.
    pub(crate) feedback: VecDeque<Input<'static>>,
    addresses: Addresses,
    sharing: Sharing,
    ports: HashMap<SocketId, Port>,
    streams: Streams,
    outbound: Outbound,
    /// Listeners that rest until then, because there was no room for what they would accept.
    resting: Option<(Instant, Vec<SocketId>)>,
}

impl Io {
    pub(crate) fn new(addresses: Addresses, sharing: Sharing) -> io::Result<Self> {
        Ok(Self {
            reactor: Reactor::new()?,
            feedback: VecDeque::new(),
            addresses,
            sharing,
            ports: HashMap::new(),
            streams: Streams::new(),
            outbound: Outbound::new(),
            resting: None,
        })
    }

    pub(crate) fn open(
        &mut self,
        socket: SocketId,
        transport: Transport,
        family: Family,
        port: u16,
        share: Option<SocketId>,
    ) {
        let opened = self
            .shared_port(port, share)
            .and_then(|port| Port::open(transport, self.addresses.source(family), port, self.sharing))
            .and_then(|port| {
                let token = Token::Port(socket);
                self.reactor.add(&port.socket, token, EpollFlags::EPOLLIN)?;
                Ok(port)
            });
        self.feedback.push_back(match opened {
            Ok(port) => {
                let local = port.local.into();
                self.ports.insert(socket, port);
                Input::Opened { socket, local }
            }
            Err(error) => {
                tracing::debug!(%error, ?transport, ?family, port, "cannot open a port");
                let error = of_io(&error);
                Input::OpenFailed { socket, error }
            }
        });
    }

    pub(crate) fn shut(&mut self, socket: SocketId) {
        if self.outbound.origin().is_some_and(|o| o.socket == socket) {
            self.flush_datagrams();
        }
        self.ports.remove(&socket);
        self.feedback.retain(|input| {
            let about = match *input {
                Input::Opened { socket, .. } | Input::OpenFailed { socket, .. } | Input::Rejected { socket, .. } => {
                    Some(socket)
                }
                _ => None,
            };
            about != Some(socket)
        });
    }

    pub(crate) fn transmit(
        &mut self,
        socket: SocketId,
        local: Option<Address>,
        remote: Endpoint,
        ttl: Option<u8>,
        payload: &[u8],
    ) {
        let fits = |port: &Port| {
            port.transport == Transport::Udp
                && port.family == remote.family()
                && local.is_none_or(|local| local.is_ipv4() == remote.address().is_ipv4())
        };
        if !self.ports.get(&socket).is_some_and(fits) {
            self.outbound.drop_one();
            return;
        }
        let local = local.filter(|local| !local.is_unspecified());
        let origin = Origin { socket, local, ttl };
        if !self.outbound.accepts(origin) {
            self.flush_datagrams();
        }
        self.outbound.push(origin, remote, payload);
    }

    pub(crate) fn dial(
        &mut self,
        stream: StreamId,
        from: SocketId,
        local: Option<Address>,
        remote: Endpoint,
        ttl: Option<u8>,
    ) {
        let dialled = match self.ports.get(&from) {
            Some(port) => {
                let address = local.unwrap_or_else(|| self.addresses.source(remote.family()));
                let local = SocketAddr::new(address, port.local.port());
                self.streams.dial(&self.reactor, stream, local, remote, ttl).map_err(|error| of_io(&error))
            }
            None => Err(NetError::Other),
        };
        if let Err(error) = dialled {
            self.feedback.push_back(closed(stream, error));
        }
    }

    pub(crate) fn write(&mut self, stream: StreamId, octets: &[u8]) {
        self.streams.write(stream, octets);
    }

    pub(crate) fn read(&mut self, stream: StreamId, on: bool) {
        self.streams.read(&self.reactor, stream, on);
    }

    pub(crate) fn close(&mut self, stream: StreamId, abort: bool, now: Instant) {
        self.streams.close(stream, abort, now);
        self.feedback.retain(|input| !matches!(input, Input::Stream { stream: about, .. } if *about == stream));
    }

    /// Sends and writes what was gathered.
    pub(crate) fn flush(&mut self) {
        self.flush_datagrams();
        self.streams.flush(&self.reactor, &mut self.feedback);
    }

    /// The datagram socket of a port, for receiving.
    pub(crate) fn datagrams(&self, socket: SocketId) -> Option<(RawFd, Family)> {
        let port = self.ports.get(&socket)?;
        (port.transport == Transport::Udp).then(|| (port.socket.as_raw_fd(), port.family))
    }

    /// Reads the error queue of a datagram socket.
    pub(crate) fn take_rejections(&mut self, socket: SocketId) {
        let Some((fd, _)) = self.datagrams(socket) else {
            return;
        };
        for _ in 0..MAX_REJECTIONS {
            let Some((remote, error)) = take_rejection(fd) else {
                break;
            };
            self.feedback.push_back(Input::Rejected { socket, remote, error });
        }
        // What the queue had no room for is still pending, and would keep the socket ready.
        if let Some(port) = self.ports.get(&socket) {
            let _ = port.socket.take_error();
        }
    }

    /// Accepts a stream on a listener. `None` when nobody waits.
    pub(crate) fn accept(&mut self, socket: SocketId, now: Instant) -> Option<Input<'static>> {
        let port = self.ports.get(&socket)?;
        if port.transport != Transport::Tcp {
            return None;
        }
        match accept(&port.socket) {
            Accept::Stream(connection, remote) => {
                if !self.serves(&connection) {
                    // Not for these addresses: what a port with nobody on it answers.
                    let _ = connection.set_linger(Some(Duration::ZERO));
                    drop(connection);
                    return self.accept(socket, now);
                }
                let accepted = self.streams.accept(&self.reactor, connection.into());
                let (stream, local) = accepted.ok()?;
                let what = StreamInput::Accepted { socket, local, remote };
                Some(Input::Stream { stream, what })
            }
            Accept::Nobody => None,
            Accept::NoRoom(error) => {
                tracing::warn!(%error, "no stream is accepted for a while");
                let token = Token::Port(socket);
                let _ = self.reactor.modify(&port.socket, token, EpollFlags::empty());
                let (_, listeners) = self.resting.get_or_insert_with(|| (now + REST, Vec::new()));
                listeners.push(socket);
                None
            }
        }
    }

    /// Takes a stream out.
    pub(crate) fn detach(&mut self, stream: StreamId) -> Option<Detached> {
        self.streams.detach(&self.reactor, stream)
    }

    /// Takes a stream in that another driver accepted, as if it were accepted here.
    pub(crate) fn attach(&mut self, socket: SocketId, detached: Detached) -> io::Result<(StreamId, Input<'static>)> {
        let (stream, local, remote) = self.streams.attach(&self.reactor, detached)?;
        let what = StreamInput::Accepted { socket, local, remote };
        Ok((stream, Input::Stream { stream, what }))
    }

    pub(crate) fn has_stream(&self, stream: StreamId) -> bool {
        self.streams.contains(stream)
    }

    /// Looks at a stream that is ready. Reads into `buffer`.
    pub(crate) fn on_stream(&mut self, stream: StreamId, flags: EpollFlags, buffer: &mut [u8], now: Instant) -> Ready {
        self.streams.on_ready(&self.reactor, stream, flags, buffer, now)
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Instant) {
        self.streams.expire(now);
        if let Some((_, listeners)) = self.resting.take_if(|(until, _)| *until <= now) {
            for socket in listeners {
                if let Some(port) = self.ports.get(&socket) {
                    let token = Token::Port(socket);
                    let _ = self.reactor.modify(&port.socket, token, EpollFlags::EPOLLIN);
                }
            }
        }
    }

    /// When [`Io::on_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let rested = self.resting.as_ref().map(|(until, _)| *until);
        rested.into_iter().chain(self.streams.deadline()).min()
    }

    /// Sets the timer.
    pub(crate) fn wake_at(&mut self, clock: Clock, deadline: Option<Instant>) -> io::Result<()> {
        let nearest = deadline.into_iter().chain(self.deadline()).min();
        self.reactor.wake_at(clock, nearest)
    }

    pub(crate) fn is_lingering(&self) -> bool {
        self.streams.is_lingering()
    }

    pub(crate) const fn unsent(&self) -> u64 {
        self.outbound.unsent()
    }

    /// Which datagrams were dropped since this was asked last; see [`Outbound::take_unsent`].
    pub(crate) fn take_unsent(&mut self) -> Vec<u64> {
        self.outbound.take_unsent()
    }

    fn flush_datagrams(&mut self) {
        let Some(Origin { socket, .. }) = self.outbound.origin() else {
            return;
        };
        let fd = self.ports.get(&socket).map(|port| port.socket.as_raw_fd());
        let feedback = &mut self.feedback;
        self.outbound.flush(fd, |remote, error| {
            feedback.push_back(Input::Rejected { socket, remote, error });
        });
    }

    fn serves(&self, connection: &Socket) -> bool {
        let local = connection.local_addr().ok().and_then(|local| local.as_socket());
        local.is_none_or(|local| self.addresses.serves(Endpoint::from(local).address()))
    }

    fn shared_port(&self, port: u16, share: Option<SocketId>) -> io::Result<u16> {
        match share {
            None => Ok(port),
            Some(other) => self
                .ports
                .get(&other)
                .map(|port| port.local.port())
                .ok_or_else(|| io::Error::other("the port to share is not open")),
        }
    }
}

/// How long a listener rests when there is no room for what it would accept.
const REST: Duration = Duration::from_millis(200);
/// The most ICMP errors that are read in one turn.
const MAX_REJECTIONS: usize = 64;
