//! TCP of a host: which connection a segment belongs to, and what the engine orders.

use pinhole_proto::{Address, Endpoint, Instant, NetError, SocketId, StreamId, Transport, engine::MAX_UNWRITTEN};

use super::connection::{Connection, Fate};
use super::receipt::{HostReceipt, HostRule, Taker, TcpState};
use super::{CrossingSyn, Kernel, Notice, Tuple};
use crate::packet::{Packet, Segment};

impl Kernel {
    pub(super) fn dial(
        &mut self,
        now: Instant,
        stream: StreamId,
        (from, local): (SocketId, Option<Address>),
        remote: Endpoint,
        ttl: Option<u8>,
    ) -> Result<(), NetError> {
        let port = match self.sockets.get(&from) {
            Some(socket) if socket.transport == Transport::Tcp => socket.port,
            Some(_) | None => return Err(NetError::Other),
        };
        let source = self.source(local, remote)?;
        let tuple = (Endpoint::new(source, port), remote);
        if self.connections.contains_key(&tuple) {
            return Err(NetError::AddressNotAvailable);
        }
        let isn = self.rng.below(1 << 32);
        let connection = Connection::dial(now, tuple, stream, isn, ttl, &self.options);
        self.streams.insert(stream, tuple);
        self.connections.insert(tuple, connection);
        self.settle(now, tuple);
        Ok(())
    }

    pub(super) fn write(&mut self, now: Instant, stream: StreamId, octets: &[u8]) {
        self.with_stream(now, stream, |connection| {
            connection.write(octets);
            assert!(
                connection.unwritten() <= MAX_UNWRITTEN,
                "an engine wrote more than MAX_UNWRITTEN to {stream:?} without credit"
            );
        });
    }

    pub(super) fn read(&mut self, now: Instant, stream: StreamId, on: bool) {
        self.with_stream(now, stream, |connection| connection.read(on));
    }

    pub(super) fn close(&mut self, now: Instant, stream: StreamId, abort: bool) {
        self.with_stream(now, stream, |connection| connection.close(abort));
        self.streams.remove(&stream);
    }

    /// Drops connections that a listener has not handed over yet.
    pub(super) fn forget_half_open(&mut self, now: Instant, socket: SocketId) {
        let tuples: alloc::vec::Vec<_> = self
            .connections
            .values()
            .filter(|connection| connection.is_half_open_of(socket))
            .map(|connection| connection.tuple)
            .collect();
        for tuple in tuples {
            if let Some(connection) = self.connections.get_mut(&tuple) {
                connection.close(true);
            }
            self.settle(now, tuple);
        }
    }

    /// Fires the connection timers that are due.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        while let Some((at, tuple)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            if let Some(connection) = self.connections.get_mut(&tuple) {
                connection.on_timeout(now);
            }
            self.settle(now, tuple);
        }
    }

    pub(super) fn handle_segment(&mut self, now: Instant, packet: &Packet, segment: &Segment) -> HostReceipt {
        let tuple = (packet.destination, packet.source);
        let receipt = |rule| HostReceipt::new(rule, tuple.0, tuple.1);
        let listener = self.ports.get(&(Transport::Tcp, packet.destination.family(), packet.destination.port()));
        let listener = listener.copied();
        let opens = segment.flags.opens();
        let reopens = self.connections.get(&tuple).is_some_and(|c| opens && c.is_in_time_wait());
        if reopens {
            self.remove(tuple);
        }
        if let Some(connection) = self.connections.get_mut(&tuple) {
            let mut taker = connection.owner.map_or(Taker::Connection, Taker::Stream);
            let (before, numbers) = (connection.state(), connection.numbers(segment));
            if let (true, Some(socket), CrossingSyn::Listener) = (opens, listener, self.options.crossing_syn)
                && let Some(stream) = connection.hand_to_listener(socket)
            {
                taker = Taker::Listener(socket);
                self.streams.remove(&stream);
                let notice = Notice::Closed(stream, Some(NetError::AddressInUse));
                self.effects.notices.push_back(notice);
            }
            let rule = connection.handle_segment(now, segment);
            let after = connection.state();
            self.settle(now, tuple);
            let numbers = Some(numbers);
            return HostReceipt { before: Some(before), after: Some(after), numbers, ..receipt(rule).taken_by(taker) };
        }
        match listener {
            Some(socket) if opens => {
                let isn = self.rng.below(1 << 32);
                let connection = Connection::accept(now, tuple, socket, isn, segment, &self.options);
                self.connections.insert(tuple, connection);
                self.settle(now, tuple);
                let rule = if reopens { HostRule::TimeWaitReopened } else { HostRule::ListenerTakesSyn };
                HostReceipt { after: Some(TcpState::SynReceived), ..receipt(rule).taken_by(Taker::Listener(socket)) }
            }
            Some(_) | None => {
                if self.options.answers_closed_ports {
                    self.effects.packets.extend(packet.reset_for());
                }
                receipt(if listener.is_some() { HostRule::NoConnection } else { HostRule::PortClosed })
            }
        }
    }

    pub(super) fn handle_unreachable(&mut self, now: Instant, tuple: Tuple, error: NetError) -> HostReceipt {
        let receipt = |rule| HostReceipt::new(rule, tuple.0, tuple.1);
        let Some(connection) = self.connections.get_mut(&tuple) else {
            return receipt(HostRule::ErrorStray);
        };
        let taker = connection.owner.map_or(Taker::Connection, Taker::Stream);
        let before = connection.state();
        let rule = connection.on_unreachable(error);
        let after = connection.state();
        self.settle(now, tuple);
        HostReceipt { before: Some(before), after: Some(after), ..receipt(rule).taken_by(taker) }
    }

    fn with_stream(&mut self, now: Instant, stream: StreamId, act: impl FnOnce(&mut Connection)) {
        let Some(tuple) = self.streams.get(&stream).copied() else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(&tuple) {
            act(connection);
        }
        self.settle(now, tuple);
    }

    /// Lets a connection send, passes on what it says, and keeps its timer and its place in the tables.
    fn settle(&mut self, now: Instant, tuple: Tuple) {
        let Some(connection) = self.connections.get_mut(&tuple) else {
            return;
        };
        if let Some(at) = connection.scheduled.take() {
            self.timers.remove(&(at, tuple));
        }
        if let Some(socket) = connection.take_accepted() {
            let stream = StreamId(self.accepted * 2 + 1);
            self.accepted += 1;
            connection.owner = Some(stream);
            self.streams.insert(stream, tuple);
            let notice = Notice::Accepted(stream, socket, tuple.0, tuple.1);
            self.effects.notices.push_back(notice);
        }
        connection.work(now);
        for packet in connection.packets.drain(..) {
            self.effects.packets.push_back(packet);
        }
        let owner = connection.owner;
        for said in connection.said.drain(..) {
            if let Some(stream) = owner {
                self.effects.notices.push_back(said.notice(stream));
            }
        }
        match connection.fate() {
            Fate::Lives(deadline) => {
                connection.scheduled = deadline;
                if let Some(at) = deadline {
                    self.timers.insert((at, tuple));
                }
            }
            Fate::Orphaned(deadline) => {
                if let Some(stream) = connection.owner.take() {
                    self.streams.remove(&stream);
                }
                connection.scheduled = deadline;
                if let Some(at) = deadline {
                    self.timers.insert((at, tuple));
                }
            }
            Fate::Gone => self.remove(tuple),
        }
    }

    fn remove(&mut self, tuple: Tuple) {
        if let Some(connection) = self.connections.remove(&tuple) {
            if let Some(at) = connection.scheduled {
                self.timers.remove(&(at, tuple));
            }
            if let Some(stream) = connection.owner {
                self.streams.remove(&stream);
            }
        }
    }
}
