//! What the parts of a peer share: queue, timers, dice, local ports and streams.

use alloc::vec::Vec;

use super::api::{PeerConfig, PeerEvent, SessionHandle};
use super::budget::Budget;
use super::path::PathId;
use crate::constants::{MAX_UNPROVED_STREAMS, RELAY_FULL};
use crate::discard::Discard;
use crate::endpoint::{Endpoint, Family};
use crate::engine::{Interface, MAX_UNWRITTEN, SocketId, StreamId, Transport};
use crate::key::PeerId;
use crate::outbox::Outbox;
use crate::rng::Rng;
use crate::sorted::SortedMap;
use crate::time::{Duration, Instant};
use crate::timers::Timers;
use crate::wire::sealed::Index;
use crate::wire::{Deframer, frame_header};

/// What becomes due in a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A binding repeats what it waits for, or refreshes.
    Binding(usize),
    /// A request to the server is repeated.
    LegRequests,
    /// The behaviour probe of a binding is repeated.
    Behaviour(usize),
    /// A trial of how long the NAT keeps a mapping is over.
    Idle(usize),
    /// The server is called unreachable.
    Unreachable,
    /// A request to a session's peer is repeated.
    SessionRequests(SessionHandle),
    /// The next round of punches.
    Punch(SessionHandle),
    /// The next dials.
    Dial(SessionHandle),
    /// An attempt ends without a direct path.
    Attempt(SessionHandle),
    /// Heard paths are checked again.
    Check(SessionHandle),
    /// Idle paths are checked.
    Keepalive(SessionHandle),
    /// Octets of the byte stream are sent again.
    Resend(SessionHandle),
    /// The initiator closes the streams that lost.
    Losers(SessionHandle),
    /// A session that did not come about, or has ended, is forgotten.
    Expire(SessionHandle),
    /// The keys of a session are worn out.
    Worn(SessionHandle),
    /// An accepted stream has not named its session.
    FirstFrame(StreamId),
    /// A stream had no room for a packet, and ends.
    Full(StreamId),
}

/// A local port.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) socket: SocketId,
    pub(super) transport: Transport,
    pub(super) family: Family,
    /// Its local endpoint, once it is open.
    pub(super) local: Option<Endpoint>,
    /// The session that it was opened for and is thrown away by.
    pub(super) owner: Option<SessionHandle>,
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The connection to the server of this binding.
    Server(usize),
    /// The connection to the server's alternate port, for this binding.
    Alternate(usize),
    /// A dial to a candidate.
    Dial(SessionHandle),
    /// The connection of a sample of the NAT's ports to the server.
    Sample(SessionHandle),
    /// Accepted; its first frame will name the session.
    Unproved,
    /// A path of a session.
    Path(SessionHandle, PathId),
}

/// A TCP connection.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) purpose: Purpose,
    pub(super) remote: Endpoint,
    pub(super) local: Option<Endpoint>,
    pub(super) deframer: Deframer,
    /// Octets written whose credit has not come back.
    unwritten: usize,
    /// A packet had no room: the stream is about to end.
    full: bool,
}

/// What the parts of a peer share.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) config: PeerConfig,
    pub(super) id: PeerId,
    pub(super) now: Instant,
    pub(super) visible: Rng,
    pub(super) secret: Rng,
    pub(super) outbox: Outbox<PeerEvent<'static>>,
    pub(super) timers: Timers<Timer>,
    pub(super) interfaces: Vec<Interface>,
    /// Whether they were told yet; there may be none at times.
    pub(super) interfaces_told: bool,
    pub(super) ports: Vec<Port>,
    pub(super) streams: SortedMap<StreamId, Stream>,
    pub(super) budget: Budget,
    pub(super) discards: SortedMap<Discard, u64>,
    next_socket: u32,
    next_stream: u64,
}

impl Core {
    pub(super) fn new(config: PeerConfig, id: PeerId, seed: [u8; 32], now: Instant) -> Self {
        let (visible, secret) = Rng::pair(seed);
        Self {
            config,
            id,
            now,
            visible,
            secret,
            outbox: Outbox::new(),
            timers: Timers::new(),
            interfaces: Vec::new(),
            interfaces_told: false,
            ports: Vec::new(),
            streams: SortedMap::new(),
            budget: Budget::default(),
            discards: SortedMap::new(),
            next_socket: 0,
            next_stream: 0,
        }
    }

    /// Counts something ignored inside a packet that was otherwise accepted.
    pub(super) fn note(&mut self, discard: Discard) {
        *self.discards.or_insert_with(discard, || 0) += 1;
    }

    pub(super) fn event(&mut self, event: PeerEvent<'static>) {
        self.outbox.event(event);
    }

    pub(super) fn index(&mut self) -> Index {
        Index(self.visible.octets())
    }

    /// Orders a local port.
    pub(super) fn open(
        &mut self,
        transport: Transport,
        family: Family,
        port: u16,
        share: Option<SocketId>,
    ) -> SocketId {
        let socket = SocketId(self.next_socket);
        self.next_socket += 1;
        self.ports.push(Port { socket, transport, family, local: None, owner: None });
        self.outbox.open(socket, transport, family, port, share);
        socket
    }

    /// Closes a local port and forgets it.
    pub(super) fn shut(&mut self, socket: SocketId) {
        if let Some(at) = self.ports.iter().position(|port| port.socket == socket) {
            self.ports.remove(at);
            self.outbox.shut(socket);
        }
    }

    /// Orders a port for a session's samples and guesses.
    pub(super) fn open_for(&mut self, owner: SessionHandle, transport: Transport, family: Family) -> SocketId {
        let socket = self.open(transport, family, 0, None);
        if let Some(port) = self.ports.last_mut() {
            port.owner = Some(owner);
        }
        socket
    }

    /// Shuts the ports of a session that `drop` names.
    pub(super) fn shut_owned(&mut self, owner: SessionHandle, mut drop: impl FnMut(SocketId) -> bool) {
        let outbox = &mut self.outbox;
        self.ports.retain(|port| {
            let dropped = port.owner == Some(owner) && drop(port.socket);
            if dropped {
                outbox.shut(port.socket);
            }
            !dropped
        });
    }

    /// Whether a local port is open, so that it can send.
    pub(in crate::peer) fn is_open(&self, socket: SocketId) -> bool {
        self.port(socket).is_some_and(|port| port.local.is_some())
    }

    pub(super) fn port(&self, socket: SocketId) -> Option<&Port> {
        self.ports.iter().find(|port| port.socket == socket)
    }

    /// The open port of a transport and family.
    pub(super) fn port_of(&self, transport: Transport, family: Family) -> Option<SocketId> {
        self.ports
            .iter()
            .find(|port| {
                port.transport == transport && port.family == family && port.local.is_some() && port.owner.is_none()
            })
            .map(|port| port.socket)
    }

    /// This side's endpoints on its own interfaces for a port.
    pub(super) fn private_endpoints(&self, socket: SocketId) -> Vec<Endpoint> {
        let Some(Port { local: Some(local), family, .. }) = self.port(socket) else {
            return Vec::new();
        };
        if !local.address().is_unspecified() {
            return alloc::vec![*local];
        }
        self.interfaces
            .iter()
            .map(|interface| Endpoint::new(interface.address, local.port()))
            .filter(|endpoint| endpoint.family() == *family)
            .collect()
    }

    /// Whether `endpoint` is one of this side's own.
    pub(super) fn is_own(&self, endpoint: Endpoint) -> bool {
        self.ports.iter().any(|port| self.private_endpoints(port.socket).contains(&endpoint))
    }

    /// Whether loopback endpoints may be candidates: only where the server is on loopback too.
    pub(super) fn on_loopback(&self) -> bool {
        self.config.servers.iter().any(|server| server.address().is_loopback())
    }

    /// Dials a stream from a port.
    pub(super) fn dial(&mut self, from: SocketId, remote: Endpoint, purpose: Purpose) -> StreamId {
        self.dial_with(from, remote, None, purpose)
    }

    /// The same with a time to live of the SYN.
    pub(super) fn dial_with(
        &mut self,
        from: SocketId,
        remote: Endpoint,
        ttl: Option<u8>,
        purpose: Purpose,
    ) -> StreamId {
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        self.insert(stream, purpose, remote, None);
        self.outbox.dial(stream, from, remote, ttl);
        stream
    }

    /// Enters an accepted stream, or resets it when too many have not named their session.
    pub(super) fn accept(&mut self, stream: StreamId, local: Endpoint, remote: Endpoint) -> Result<(), Discard> {
        let unproved = self.streams.values().filter(|stream| stream.purpose == Purpose::Unproved).count();
        // [R-TCP-002] Dialling one's own endpoint from its own port connects to itself.
        if unproved >= MAX_UNPROVED_STREAMS || local == remote {
            self.outbox.close(stream, true);
            return Err(Discard::OverLimit);
        }
        self.insert(stream, Purpose::Unproved, remote, Some(local));
        // [R-TCP-007] [R-TCP-008] Nothing is written before its first frame.
        self.timers.set(Timer::FirstFrame(stream), self.now + crate::constants::FIRST_FRAME);
        Ok(())
    }

    /// Writes a packet as a frame. A stream that has no room for a control message ends: without that message
    /// it would break at the other end anyway.
    pub(super) fn write(&mut self, stream: StreamId, packet: &[u8]) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            let header = frame_header(packet);
            let unwritten = entry.unwritten + header.len() + packet.len();
            if unwritten > MAX_UNWRITTEN {
                entry.full = true;
                self.timers.set(Timer::Full(stream), self.now + Duration::from_micros(1));
            }
            if !entry.full {
                entry.unwritten = unwritten;
                self.outbox.write(stream, &[&header, packet]);
            }
        }
    }

    /// Whether a stream is there; one that was dialled is, once it connected.
    pub(super) fn is_connected(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|entry| entry.local.is_some())
    }

    /// How many octets of data may be written to a stream. The rest of
    /// [`MAX_UNWRITTEN`] is for control messages.
    pub(super) fn room(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, |entry| RELAY_FULL.saturating_sub(entry.unwritten))
    }

    pub(super) fn written(&mut self, stream: StreamId, octets: u32) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.unwritten = entry.unwritten.saturating_sub(octets as usize);
        }
    }

    /// Closes and forgets a stream.
    pub(super) fn close(&mut self, stream: StreamId, abort: bool) {
        if self.streams.remove(&stream).is_some() {
            self.timers.clear(Timer::FirstFrame(stream));
            self.timers.clear(Timer::Full(stream));
            self.outbox.close(stream, abort);
        }
    }

    fn insert(&mut self, stream: StreamId, purpose: Purpose, remote: Endpoint, local: Option<Endpoint>) {
        let deframer = Deframer::default();
        self.streams.insert(stream, Stream { purpose, remote, local, deframer, unwritten: 0, full: false });
    }
}
