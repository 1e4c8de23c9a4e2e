//! The streams that the server accepted: frames, credit, and who waits for whom.
//!
//! ```text
//! Fresh     no whole frame yet: closed after FIRST_FRAME
//! Unbound   not a registration's: closed after PENDING_LIFETIME
//! Bound     lives until its registration drops it
//! ```
//!
//! A stream that takes relayed octets slowly holds up those who send them: they are not read until it has
//! taken enough ([`Streams::hold_up`]). What a held-up stream had already delivered waits here.

use alloc::vec::Vec;

use super::api::{Limits, ServerEvent, ServerStream};
use super::common::Timer;
use super::link::Link;
use crate::constants::{FIRST_FRAME, PENDING_LIFETIME, RELAY_FULL, RELAY_PAUSE, RELAY_RESUME, RELAY_STALL};
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{MAX_UNWRITTEN, SocketId, StreamId};
use crate::outbox::Outbox;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::Instant;
use crate::timers::Timers;
use crate::wire::{Deframer, Index, frame_header};

/// All accepted streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    table: SortedMap<StreamId, Stream>,
    per_source: SortedMap<Address, usize>,
    /// Registrations that lost their stream and do not know it yet.
    lost: Vec<(Index, StreamId)>,
    /// Those that were held up by a stream or channel that is gone or has room.
    released: Vec<Waiter>,
}

#[derive(Clone, Debug)]
struct Stream {
    socket: SocketId,
    /// The server's own address.
    local: Address,
    remote: Endpoint,
    state: State,
    deframer: Deframer,
    unwritten: usize,
    /// What arrived behind a frame that could not be relayed, that frame included.
    backlog: Vec<u8>,
    held_up_by: SortedSet<Waiter>,
    holds_up: SortedSet<Waiter>,
}

/// What can wait, and be waited for, when octets are relayed over streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiter {
    Stream(StreamId),
    /// A relay channel whose other end is another engine's, by its number.
    Channel(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Unbound,
    Bound(Index),
}

type Out = Outbox<ServerEvent<'static>>;

impl Streams {
    pub(super) fn on_accepted(
        &mut self,
        now: Instant,
        stream: StreamId,
        (socket, local, remote): (SocketId, Address, Endpoint),
        limits: &Limits,
        timers: &mut Timers<Timer>,
    ) -> Result<(), Discard> {
        let source = remote.source_prefix();
        let here = self.per_source.get(&source).copied().unwrap_or(0);
        if self.table.len() >= limits.streams || here >= limits.streams_per_source {
            return Err(Discard::OverLimit);
        }
        self.per_source.insert(source, here + 1);
        let entry = Stream {
            socket,
            local,
            remote,
            state: State::Fresh,
            deframer: Deframer::default(),
            unwritten: 0,
            backlog: Vec::new(),
            held_up_by: SortedSet::new(),
            holds_up: SortedSet::new(),
        };
        self.table.insert(stream, entry);
        // [R-LIM-003]
        timers.set(Timer::Stream(stream), now + FIRST_FRAME);
        Ok(())
    }

    pub(super) fn contains(&self, stream: StreamId) -> bool {
        self.table.contains_key(&stream)
    }

    /// The stream as a link, and the socket that accepted it.
    pub(super) fn link(&self, stream: StreamId) -> Result<(Link, SocketId), Discard> {
        let entry = self.table.get(&stream).ok_or(Discard::StreamUnknown)?;
        let remote = entry.remote;
        Ok((Link::Stream { stream, remote }, entry.socket))
    }

    /// The socket that accepted a stream, and the server's own address on it.
    pub(super) fn local(&self, stream: StreamId) -> Option<(SocketId, Address)> {
        self.table.get(&stream).map(|entry| (entry.socket, entry.local))
    }

    /// Takes one frame from what arrived.
    pub(super) fn next_frame(
        &mut self,
        now: Instant,
        stream: StreamId,
        octets: &mut &[u8],
        timers: &mut Timers<Timer>,
    ) -> Result<Option<Vec<u8>>, Discard> {
        let entry = self.table.get_mut(&stream).ok_or(Discard::StreamUnknown)?;
        let frame = entry.deframer.next(octets)?;
        if frame.is_some() && entry.state == State::Fresh {
            entry.state = State::Unbound;
            timers.set(Timer::Stream(stream), now + PENDING_LIFETIME);
        }
        Ok(frame)
    }

    /// Appends a control packet. A stream that does not take it within its bound is aborted.
    pub(super) fn write(&mut self, stream: StreamId, packet: &[u8], timers: &mut Timers<Timer>, out: &mut Out) {
        let Some(entry) = self.table.get_mut(&stream) else {
            return;
        };
        let header = frame_header(packet);
        if entry.unwritten + header.len() + packet.len() > MAX_UNWRITTEN {
            self.end(stream, true, timers, out);
            return;
        }
        entry.unwritten += header.len() + packet.len();
        // [R-WIRE-051]
        out.write(stream, &[&header, packet]);
    }

    /// Whether a relayed packet fits.
    pub(super) fn has_room(&self, stream: StreamId, packet: usize) -> bool {
        self.table.get(&stream).is_none_or(|entry| entry.unwritten + 2 + packet <= RELAY_FULL)
    }

    /// Whether those who send to this stream by the relay are to be held up.
    pub(super) fn is_slow(&self, stream: StreamId) -> bool {
        self.table.get(&stream).is_some_and(|entry| entry.unwritten > RELAY_PAUSE)
    }

    /// Stops reading `source` until `slow` has taken enough.
    pub(super) fn hold_up(
        &mut self,
        now: Instant,
        source: StreamId,
        slow: Waiter,
        timers: &mut Timers<Timer>,
        out: &mut Out,
    ) {
        let (Some(from), true) = (self.table.get_mut(&source), slow != Waiter::Stream(source)) else {
            return;
        };
        // [R-RELAY-009]
        if from.held_up_by.is_empty() {
            out.read(source, false);
        }
        from.held_up_by.insert(slow);
        if let Waiter::Stream(slow) = slow {
            self.wait_for(now, slow, Waiter::Stream(source), timers);
        }
    }

    /// Remembers who is to be told when `slow` has taken enough.
    pub(super) fn wait_for(&mut self, now: Instant, slow: StreamId, waiter: Waiter, timers: &mut Timers<Timer>) {
        if let Some(to) = self.table.get_mut(&slow) {
            to.holds_up.insert(waiter);
            // [R-RELAY-017]
            timers.set_earlier(Timer::Stall(slow), now + RELAY_STALL);
        }
    }

    /// Keeps what cannot be relayed yet: a frame and what follows it.
    pub(super) fn keep(&mut self, stream: StreamId, frame: Option<&[u8]>, rest: &[u8]) {
        if let Some(entry) = self.table.get_mut(&stream) {
            if let Some(frame) = frame {
                entry.backlog.extend_from_slice(&frame_header(frame));
                entry.backlog.extend_from_slice(frame);
            }
            entry.backlog.extend_from_slice(rest);
        }
    }

    /// Whether something that arrived earlier is waiting; the flag says that it is too much.
    pub(super) fn backlog(&self, stream: StreamId) -> Option<bool> {
        let entry = self.table.get(&stream)?;
        (!entry.backlog.is_empty()).then_some(entry.backlog.len() > MAX_UNWRITTEN)
    }

    pub(super) fn take_backlog(&mut self, stream: StreamId) -> Vec<u8> {
        self.table.get_mut(&stream).map(|entry| core::mem::take(&mut entry.backlog)).unwrap_or_default()
    }

    pub(super) fn on_written(
        &mut self,
        now: Instant,
        stream: StreamId,
        octets: u32,
        timers: &mut Timers<Timer>,
    ) -> Result<(), Discard> {
        let entry = self.table.get_mut(&stream).ok_or(Discard::StreamUnknown)?;
        let octets = usize::try_from(octets).unwrap_or(usize::MAX);
        entry.unwritten = entry.unwritten.saturating_sub(octets);
        if entry.unwritten <= RELAY_RESUME {
            self.release(stream, timers);
        } else if !entry.holds_up.is_empty() && octets > 0 {
            timers.set(Timer::Stall(stream), now + RELAY_STALL);
        }
        Ok(())
    }

    /// One that can try again what it has waiting.
    pub(super) fn next_released(&mut self) -> Option<Waiter> {
        self.released.pop()
    }

    /// Reads on, if nothing holds the stream up any more.
    pub(super) fn read_on(&mut self, stream: StreamId, out: &mut Out) {
        if self.table.get(&stream).is_some_and(|entry| entry.held_up_by.is_empty()) {
            out.read(stream, true);
        }
    }

    /// Binds a stream to a registration; the one that had it before loses it.
    pub(super) fn bind(&mut self, stream: StreamId, index: Index, timers: &mut Timers<Timer>) {
        if let Some(entry) = self.table.get_mut(&stream) {
            if let State::Bound(before) = entry.state
                && before != index
            {
                self.lost.push((before, stream));
            }
            entry.state = State::Bound(index);
            timers.clear(Timer::Stream(stream));
        }
    }

    /// A registration has ended whose stream this was: somebody has to bind it soon.
    pub(super) fn unbind(&mut self, now: Instant, stream: StreamId, index: Index, timers: &mut Timers<Timer>) {
        if let Some(entry) = self.table.get_mut(&stream)
            && entry.state == State::Bound(index)
        {
            entry.state = State::Unbound;
            timers.set(Timer::Stream(stream), now + PENDING_LIFETIME);
        }
    }

    /// Closes or aborts a stream.
    pub(super) fn end(&mut self, stream: StreamId, abort: bool, timers: &mut Timers<Timer>, out: &mut Out) {
        if self.forget(stream, timers) {
            out.close(stream, abort);
        }
    }

    /// Removes a stream that is gone; `false` when it was not there.
    pub(super) fn forget(&mut self, stream: StreamId, timers: &mut Timers<Timer>) -> bool {
        self.release(stream, timers);
        let Some(entry) = self.table.remove(&stream) else {
            return false;
        };
        timers.clear(Timer::Stream(stream));
        for &slow in entry.held_up_by.iter() {
            let Waiter::Stream(slow) = slow else {
                continue;
            };
            if let Some(other) = self.table.get_mut(&slow) {
                other.holds_up.remove(&Waiter::Stream(stream));
                if other.holds_up.is_empty() {
                    timers.clear(Timer::Stall(slow));
                }
            }
        }
        let source = entry.remote.source_prefix();
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
        if let State::Bound(index) = entry.state {
            self.lost.push((index, stream));
        }
        true
    }

    /// A registration that lost its stream.
    pub(super) fn next_lost(&mut self) -> Option<(Index, StreamId)> {
        self.lost.pop()
    }

    /// Closes every stream in order.
    pub(super) fn close_all(&mut self, out: &mut Out) {
        for &stream in self.table.keys() {
            out.close(stream, false);
        }
        *self = Self::default();
    }

    /// Each stream with the index of the registration that it is bound to.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ServerStream, Option<Index>)> {
        self.table.iter().map(|(&stream, entry)| {
            let bound = match entry.state {
                State::Bound(index) => Some(index),
                State::Fresh | State::Unbound => None,
            };
            let view = ServerStream {
                stream,
                remote: entry.remote,
                peer: None,
                unwritten: entry.unwritten,
                backlog: entry.backlog.len(),
                held_up: !entry.held_up_by.is_empty(),
            };
            (view, bound)
        })
    }

    fn release(&mut self, slow: StreamId, timers: &mut Timers<Timer>) {
        let Some(entry) = self.table.get_mut(&slow) else {
            return;
        };
        timers.clear(Timer::Stall(slow));
        for &waiter in core::mem::take(&mut entry.holds_up).iter() {
            self.let_go(Waiter::Stream(slow), waiter);
        }
    }

    /// `waiter` need not wait for `slow` any more.
    pub(super) fn let_go(&mut self, slow: Waiter, waiter: Waiter) {
        let Waiter::Stream(source) = waiter else {
            self.released.push(waiter);
            return;
        };
        if let Some(from) = self.table.get_mut(&source)
            && from.held_up_by.remove(&slow)
            && from.held_up_by.is_empty()
        {
            self.released.push(waiter);
        }
    }
}
