//! The network side of a host: sockets, ports and a small TCP. Orders, packets and time in; packets
//! and notices for the engine out.

mod connection;
mod flow;
mod receipt;
mod tcp;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use pinhole_proto::sorted::{SortedMap, SortedSet};
use pinhole_proto::{
    Address, Endpoint, Family, Input, Instant, NetError, Output, SocketId, StreamId, StreamInput, Transport,
};

use crate::node::Order;
use crate::packet::{Body, Octets, Packet};
use crate::rng::Rng;
use connection::Connection;
pub use receipt::{HostReceipt, HostRule, Numbers, Taker, TcpState};

/// How a host's TCP behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// Who takes a SYN that matches both a pending dial and a listener.
    pub crossing_syn: CrossingSyn,
    /// How many octets a TCP receiver holds.
    pub window: u32,
    /// The most octets of a TCP segment.
    pub segment: usize,
    /// Whether packets to closed ports are answered (RST, ICMP port unreachable).
    pub answers_closed_ports: bool,
    /// How long the side that closes a stream first keeps its tuple.
    pub time_wait: pinhole_proto::Duration,
}

/// Who takes a SYN that matches both a pending dial and a listener: the two outcomes of TCP hole
/// punching in the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrossingSyn {
    /// The dial: `connect` succeeds and the listener sees nothing. BSD, and Linux today.
    Dial,
    /// The listener: `accept` gives the stream and `connect` fails with "address in use". Linux and
    /// Windows as the texts of 2005 describe them.
    Listener,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            crossing_syn: CrossingSyn::Dial,
            window: 262_144,
            segment: 1_460,
            answers_closed_ports: true,
            time_wait: pinhole_proto::Duration::from_secs(60),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    addresses: Vec<Address>,
    options: HostOptions,
    sockets: SortedMap<SocketId, Socket>,
    ports: SortedMap<(Transport, Family, u16), SocketId>,
    connections: SortedMap<Tuple, Connection>,
    streams: SortedMap<StreamId, Tuple>,
    timers: SortedSet<(Instant, Tuple)>,
    accepted: u64,
    rng: Rng,
    effects: Effects,
}

/// Local and remote endpoint.
type Tuple = (Endpoint, Endpoint);

#[derive(Clone, Copy, Debug)]
struct Socket {
    transport: Transport,
    family: Family,
    port: u16,
}

/// What is to be done outside.
#[derive(Clone, Debug, Default)]
struct Effects {
    packets: VecDeque<Packet>,
    notices: VecDeque<Notice>,
}

/// An [`Input`] that owns its octets.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    Opened(SocketId, Endpoint),
    OpenFailed(SocketId, NetError),
    Datagram { socket: SocketId, local: Address, remote: Endpoint, payload: Octets },
    Rejected(SocketId, Endpoint, NetError),
    Accepted(StreamId, SocketId, Endpoint, Endpoint),
    Connected(StreamId, Endpoint),
    Received(StreamId, Octets),
    Written(StreamId, u32),
    Closed(StreamId, Option<NetError>),
}

impl Notice {
    pub(crate) fn input(&self) -> Input<'_> {
        let (stream, what) = match *self {
            Self::Opened(socket, local) => return Input::Opened { socket, local },
            Self::OpenFailed(socket, error) => return Input::OpenFailed { socket, error },
            Self::Datagram { socket, local, remote, ref payload } => {
                return Input::Datagram { socket, local, remote, payload };
            }
            Self::Rejected(socket, remote, error) => {
                return Input::Rejected { socket, remote, error };
            }
            Self::Accepted(stream, socket, local, remote) => (stream, StreamInput::Accepted { socket, local, remote }),
            Self::Connected(stream, local) => (stream, StreamInput::Connected { local }),
            Self::Received(stream, ref octets) => (stream, StreamInput::Received(octets)),
            Self::Written(stream, octets) => (stream, StreamInput::Written(octets)),
            Self::Closed(stream, error) => (stream, StreamInput::Closed(error)),
        };
        Input::Stream { stream, what }
    }
}

impl Kernel {
    pub(crate) fn new(addresses: &[Address], options: HostOptions, rng: Rng) -> Self {
        Self {
            addresses: addresses.to_vec(),
            options,
            sockets: SortedMap::new(),
            ports: SortedMap::new(),
            connections: SortedMap::new(),
            streams: SortedMap::new(),
            timers: SortedSet::new(),
            accepted: 0,
            rng,
            effects: Effects::default(),
        }
    }

    pub(crate) fn next_packet(&mut self) -> Option<Packet> {
        self.effects.packets.pop_front()
    }

    pub(crate) fn next_notice(&mut self) -> Option<Notice> {
        self.effects.notices.pop_front()
    }

    /// When [`Kernel::on_timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) const fn options(&self) -> &HostOptions {
        &self.options
    }

    pub(crate) const fn options_mut(&mut self) -> &mut HostOptions {
        &mut self.options
    }

    pub(crate) fn set_addresses(&mut self, addresses: &[Address]) {
        self.addresses = addresses.to_vec();
    }

    /// The process ends: its sockets close and its streams are reset.
    pub(crate) fn end_process(&mut self, now: Instant) {
        let streams: Vec<_> = self.streams.keys().copied().collect();
        for stream in streams {
            self.close(now, stream, true);
        }
        let sockets: Vec<_> = self.sockets.keys().copied().collect();
        for socket in sockets {
            self.shut(now, socket);
        }
        self.effects.notices.clear();
    }

    /// Carries out what an engine orders.
    pub(crate) fn execute(&mut self, now: Instant, order: Order<'_>) {
        match order {
            Output::Open { socket, transport, family, port, share } => {
                let notice = match self.open(socket, transport, family, port, share) {
                    Ok(local) => Notice::Opened(socket, local),
                    Err(error) => Notice::OpenFailed(socket, error),
                };
                self.effects.notices.push_back(notice);
            }
            Output::Shut { socket } => self.shut(now, socket),
            Output::Transmit { socket, local, remote, ttl, payload } => {
                if let Err(error) = self.transmit(socket, local, remote, ttl, payload) {
                    let notice = Notice::Rejected(socket, remote, error);
                    self.effects.notices.push_back(notice);
                }
            }
            Output::Dial { stream, from, local, remote, ttl } => {
                if let Err(error) = self.dial(now, stream, (from, local), remote, ttl) {
                    let notice = Notice::Closed(stream, Some(error));
                    self.effects.notices.push_back(notice);
                }
            }
            Output::Write { stream, octets } => self.write(now, stream, octets),
            Output::Read { stream, on } => self.read(now, stream, on),
            Output::Close { stream, abort } => self.close(now, stream, abort),
            Output::Event(never) => match never {},
            Output::Wait(_) => {}
        }
    }

    /// Takes a packet to one of the host's addresses.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: &Packet) -> HostReceipt {
        match &packet.body {
            Body::Udp(payload) => self.handle_datagram(packet, payload),
            Body::Tcp(segment) => self.handle_segment(now, packet, segment),
            Body::Icmp(icmp) => match icmp.transport {
                Transport::Udp => {
                    let receipt = |rule| HostReceipt::new(rule, icmp.source, icmp.destination);
                    let key = (Transport::Udp, icmp.source.family(), icmp.source.port());
                    let Some(socket) = self.ports.get(&key) else {
                        return receipt(HostRule::ErrorStray);
                    };
                    let notice = Notice::Rejected(*socket, icmp.destination, icmp.error);
                    self.effects.notices.push_back(notice);
                    receipt(HostRule::ErrorTold).taken_by(Taker::Socket(*socket))
                }
                Transport::Tcp => self.handle_unreachable(now, (icmp.source, icmp.destination), icmp.error),
            },
        }
    }

    fn handle_datagram(&mut self, packet: &Packet, payload: &Octets) -> HostReceipt {
        let receipt = |rule| HostReceipt::new(rule, packet.destination, packet.source);
        let key = (Transport::Udp, packet.destination.family(), packet.destination.port());
        let Some(socket) = self.ports.get(&key) else {
            if self.options.answers_closed_ports {
                let reporter = packet.destination.address();
                let answer = packet.error_from(reporter, NetError::Refused);
                self.effects.packets.extend(answer);
            }
            return receipt(HostRule::PortClosed);
        };
        self.effects.notices.push_back(Notice::Datagram {
            socket: *socket,
            local: packet.destination.address(),
            remote: packet.source,
            payload: payload.clone(),
        });
        receipt(HostRule::PortOpen).taken_by(Taker::Socket(*socket))
    }

    fn open(
        &mut self,
        socket: SocketId,
        transport: Transport,
        family: Family,
        port: u16,
        share: Option<SocketId>,
    ) -> Result<Endpoint, NetError> {
        let port = match share {
            Some(other) => self.sockets.get(&other).ok_or(NetError::Other)?.port,
            None => port,
        };
        let port = if port == 0 { self.ephemeral(transport, family).ok_or(NetError::AddressInUse)? } else { port };
        if self.ports.contains_key(&(transport, family, port)) {
            return Err(NetError::AddressInUse);
        }
        self.ports.insert((transport, family, port), socket);
        self.sockets.insert(socket, Socket { transport, family, port });
        let wildcard = match family {
            Family::V4 => Address::V4(core::net::Ipv4Addr::UNSPECIFIED),
            Family::V6 => Address::V6(core::net::Ipv6Addr::UNSPECIFIED),
        };
        Ok(Endpoint::new(wildcard, port))
    }

    fn ephemeral(&mut self, transport: Transport, family: Family) -> Option<u16> {
        let (low, high) = EPHEMERAL;
        let first = self.rng.port(low, high);
        let taken = |port: u16| self.ports.contains_key(&(transport, family, port));
        (first..=high).chain(low..first).find(|port| !taken(*port))
    }

    fn shut(&mut self, now: Instant, socket: SocketId) {
        let Some(Socket { transport, family, port }) = self.sockets.remove(&socket) else {
            return;
        };
        self.ports.remove(&(transport, family, port));
        self.forget_half_open(now, socket);
    }

    fn transmit(
        &mut self,
        socket: SocketId,
        local: Option<Address>,
        remote: Endpoint,
        ttl: Option<u8>,
        payload: &[u8],
    ) -> Result<(), NetError> {
        let port = match self.sockets.get(&socket) {
            Some(socket) if socket.transport == Transport::Udp => socket.port,
            Some(_) | None => return Err(NetError::Other),
        };
        let source = self.source(local, remote)?;
        let mut packet = Packet::udp(Endpoint::new(source, port), remote, payload);
        packet.ttl = ttl.unwrap_or(Packet::TTL);
        self.effects.packets.push_back(packet);
        Ok(())
    }

    fn source(&self, local: Option<Address>, remote: Endpoint) -> Result<Address, NetError> {
        match local {
            Some(local) if self.addresses.contains(&local) => Ok(local),
            Some(_) => Err(NetError::AddressNotAvailable),
            None => self.source_for(remote).ok_or(NetError::Unreachable),
        }
    }

    /// The address that the system sends from: the host's first of the family, or `remote` itself if it is
    /// the host's own.
    fn source_for(&self, remote: Endpoint) -> Option<Address> {
        let own = self.addresses.iter().find(|own| **own == remote.address());
        own.or_else(|| {
            let family = remote.family();
            self.addresses.iter().find(|own| Endpoint::new(**own, 0).family() == family)
        })
        .copied()
    }
}

/// The ports that a system gives to sockets which ask for any.
const EPHEMERAL: (u16, u16) = (32_768, 60_999);
