//! Dials to whoever asked for one over a stream, from another port or address (`spec/behaviour.md`).
//!
//! ```text
//! asked        dialled: waited for, at most DIAL_BACK_PATIENCE
//! connected    `Discovered` on the stream that was dialled, which ends
//! over         `Discovered` with a `DialBack` on the stream that asked
//! ```

use super::common::Timer;
use super::rate::RateLimiter;
use super::streams::Streams;
use crate::constants::{DIAL_BACK_PATIENCE, DIAL_BACKS_BURST, DIAL_BACKS_PER_SECOND, MAX_DIAL_BACKS};
use crate::endpoint::{Address, Endpoint};
use crate::engine::{NetError, SocketId, StreamId};
use crate::outbox::Outbox;
use crate::server::api::ServerEvent;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::timers::Timers;
use crate::wire::code::DialBack;
use crate::wire::{Discovered, Packet, frame_header};

/// The dials under way, and how often each source asked.
#[derive(Clone, Debug)]
pub(super) struct DialBacks {
    table: SortedMap<StreamId, Dial>,
    rates: RateLimiter<Address>,
    next_stream: u64,
}

#[derive(Clone, Debug)]
struct Dial {
    /// The stream that asked.
    asker: StreamId,
    /// The answer, without the word about the dial.
    answer: Discovered,
}

type Out = Outbox<ServerEvent<'static>>;

impl DialBacks {
    pub(super) fn new() -> Self {
        Self {
            table: SortedMap::new(),
            rates: RateLimiter::new(DIAL_BACKS_PER_SECOND, DIAL_BACKS_BURST),
            next_stream: 0,
        }
    }

    /// Dials the source of the stream that asked; `false` when there were too many.
    // [R-BEH-003]
    pub(super) fn dial(
        &mut self,
        now: Instant,
        (asker, remote): (StreamId, Endpoint),
        (socket, local): (SocketId, Option<Address>),
        answer: Discovered,
        timers: &mut Timers<Timer>,
        out: &mut Out,
    ) -> bool {
        if self.table.len() >= MAX_DIAL_BACKS || !self.rates.take(now, remote.source_prefix()) {
            return false;
        }
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        self.table.insert(stream, Dial { asker, answer });
        // [R-BEH-002]
        out.dial_from(stream, socket, local, remote);
        // [R-BEH-004]
        timers.set(Timer::DialBack(stream), now + DIAL_BACK_PATIENCE);
        true
    }

    /// A dial connected; `false` when it was none of these.
    pub(super) fn on_connected(
        &mut self,
        stream: StreamId,
        streams: &mut Streams,
        timers: &mut Timers<Timer>,
        out: &mut Out,
    ) -> bool {
        let Some(dial) = self.table.get(&stream) else {
            return false;
        };
        let packet = Packet::Discovered(dial.answer.clone()).encode();
        out.write(stream, &[&frame_header(&packet), &packet]);
        out.close(stream, false);
        self.end(stream, DialBack::CONNECTED, streams, timers, out);
        true
    }

    /// A dial failed; `false` when it was none of these.
    pub(super) fn on_closed(
        &mut self,
        stream: StreamId,
        error: Option<NetError>,
        streams: &mut Streams,
        timers: &mut Timers<Timer>,
        out: &mut Out,
    ) -> bool {
        let code = match error {
            Some(NetError::Refused | NetError::Reset) => DialBack::REFUSED,
            Some(NetError::TimedOut) => DialBack::PENDING,
            Some(
                NetError::AddressInUse
                | NetError::AddressNotAvailable
                | NetError::Unreachable
                | NetError::NotPermitted
                | NetError::Other,
            )
            | None => DialBack::FAILED,
        };
        self.end(stream, code, streams, timers, out)
    }

    /// A dial was not answered in time.
    pub(super) fn on_timer(
        &mut self,
        stream: StreamId,
        streams: &mut Streams,
        timers: &mut Timers<Timer>,
        out: &mut Out,
    ) {
        out.close(stream, true);
        self.end(stream, DialBack::PENDING, streams, timers, out);
    }

    /// Gives up every dial.
    pub(super) fn abort_all(&mut self, out: &mut Out) {
        for &stream in self.table.keys() {
            out.close(stream, true);
        }
        self.table.clear();
    }

    /// How many dials are under way.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many sources are remembered.
    pub(super) fn rates(&self) -> usize {
        self.rates.len()
    }

    fn end(
        &mut self,
        stream: StreamId,
        code: DialBack,
        streams: &mut Streams,
        timers: &mut Timers<Timer>,
        out: &mut Out,
    ) -> bool {
        let Some(Dial { asker, answer }) = self.table.remove(&stream) else {
            return false;
        };
        timers.clear(Timer::DialBack(stream));
        // [R-BEH-005]
        let packet = Packet::Discovered(Discovered { dial_back: Some(code), ..answer }).encode();
        streams.write(asker, &packet, timers, out);
        true
    }
}
