//! The queue between an engine's work and its driver: ranges into one arena.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use crate::endpoint::{Address, Endpoint, Family};
use crate::engine::{Output, SocketId, StreamId, Transport};
use crate::time::Instant;

/// What an engine has decided and the driver has not fetched. `E` is the event without its octets.
#[derive(Clone, Debug)]
pub(crate) struct Outbox<E> {
    items: VecDeque<Item<E>>,
    arena: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Item<E> {
    Open { socket: SocketId, transport: Transport, family: Family, port: u16, share: Option<SocketId> },
    Shut { socket: SocketId },
    Transmit { socket: SocketId, local: Option<Address>, remote: Endpoint, ttl: Option<u8>, payload: Range<usize> },
    Dial { stream: StreamId, from: SocketId, local: Option<Address>, remote: Endpoint, ttl: Option<u8> },
    Write { stream: StreamId, octets: Range<usize> },
    Read { stream: StreamId, on: bool },
    Close { stream: StreamId, abort: bool },
    Event(E, Range<usize>),
}

/// The next output, with an event still apart from its octets.
pub(crate) enum Next<'a, E> {
    Output(Output<'a, core::convert::Infallible>),
    Event(E, &'a [u8]),
}

impl<E> Outbox<E> {
    pub(crate) const fn new() -> Self {
        Self { items: VecDeque::new(), arena: Vec::new() }
    }

    pub(crate) fn open(
        &mut self,
        socket: SocketId,
        transport: Transport,
        family: Family,
        port: u16,
        share: Option<SocketId>,
    ) {
        self.items.push_back(Item::Open { socket, transport, family, port, share });
    }

    pub(crate) fn shut(&mut self, socket: SocketId) {
        self.items.push_back(Item::Shut { socket });
    }

    pub(crate) fn transmit(&mut self, socket: SocketId, local: Option<Address>, remote: Endpoint, payload: &[u8]) {
        let payload = self.store(payload);
        self.items.push_back(Item::Transmit { socket, local, remote, ttl: None, payload });
    }

    /// The same with a time to live.
    pub(crate) fn transmit_with(
        &mut self,
        socket: SocketId,
        local: Option<Address>,
        remote: Endpoint,
        ttl: Option<u8>,
        payload: &[u8],
    ) {
        let payload = self.store(payload);
        self.items.push_back(Item::Transmit { socket, local, remote, ttl, payload });
    }

    pub(crate) fn dial(&mut self, stream: StreamId, from: SocketId, remote: Endpoint, ttl: Option<u8>) {
        self.items.push_back(Item::Dial { stream, from, local: None, remote, ttl });
    }

    pub(crate) fn dial_from(&mut self, stream: StreamId, from: SocketId, local: Option<Address>, remote: Endpoint) {
        self.items.push_back(Item::Dial { stream, from, local, remote, ttl: None });
    }

    pub(crate) fn write(&mut self, stream: StreamId, parts: &[&[u8]]) {
        let from = self.arena.len();
        for part in parts {
            self.arena.extend_from_slice(part);
        }
        self.items.push_back(Item::Write { stream, octets: from..self.arena.len() });
    }

    pub(crate) fn read(&mut self, stream: StreamId, on: bool) {
        self.items.push_back(Item::Read { stream, on });
    }

    pub(crate) fn close(&mut self, stream: StreamId, abort: bool) {
        self.items.push_back(Item::Close { stream, abort });
    }

    pub(crate) fn event(&mut self, event: E) {
        self.items.push_back(Item::Event(event, 0..0));
    }

    pub(crate) fn event_with(&mut self, event: E, octets: &[u8]) {
        let octets = self.store(octets);
        self.items.push_back(Item::Event(event, octets));
    }

    /// The oldest item, or the wait until `deadline`.
    pub(crate) fn poll(&mut self, deadline: Option<Instant>) -> Next<'_, E> {
        let Some(item) = self.items.pop_front() else {
            self.arena.clear();
            return Next::Output(Output::Wait(deadline));
        };
        let arena = &self.arena;
        Next::Output(match item {
            Item::Open { socket, transport, family, port, share } => {
                Output::Open { socket, transport, family, port, share }
            }
            Item::Shut { socket } => Output::Shut { socket },
            Item::Transmit { socket, local, remote, ttl, payload } => {
                Output::Transmit { socket, local, remote, ttl, payload: &arena[payload] }
            }
            Item::Dial { stream, from, local, remote, ttl } => Output::Dial { stream, from, local, remote, ttl },
            Item::Write { stream, octets } => Output::Write { stream, octets: &arena[octets] },
            Item::Read { stream, on } => Output::Read { stream, on },
            Item::Close { stream, abort } => Output::Close { stream, abort },
            Item::Event(event, octets) => return Next::Event(event, &arena[octets]),
        })
    }

    fn store(&mut self, octets: &[u8]) -> Range<usize> {
        let from = self.arena.len();
        self.arena.extend_from_slice(octets);
        from..self.arena.len()
    }
}

impl<'a> Output<'a, core::convert::Infallible> {
    /// The same output beside events of another type.
    pub(crate) fn with_events<E>(self) -> Output<'a, E> {
        match self {
            Self::Open { socket, transport, family, port, share } => {
                Output::Open { socket, transport, family, port, share }
            }
            Self::Shut { socket } => Output::Shut { socket },
            Self::Transmit { socket, local, remote, ttl, payload } => {
                Output::Transmit { socket, local, remote, ttl, payload }
            }
            Self::Dial { stream, from, local, remote, ttl } => Output::Dial { stream, from, local, remote, ttl },
            Self::Write { stream, octets } => Output::Write { stream, octets },
            Self::Read { stream, on } => Output::Read { stream, on },
            Self::Close { stream, abort } => Output::Close { stream, abort },
            Self::Wait(at) => Output::Wait(at),
            Self::Event(never) => match never {},
        }
    }
}
