//! What every part of the server uses: ways out, timers, dice, and the count of what was discarded.

use super::api::{Recipient, ServerConfig, ServerEvent};
use super::dial_back::DialBacks;
use super::forward::{Ask, AskId, Errand, Forwards};
use super::link::Link;
use super::sockets::Sockets;
use super::streams::Streams;
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, StreamId, Transport};
use crate::key::PeerId;
use crate::outbox::Outbox;
use crate::rng::Rng;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::timers::Timers;
use crate::wire::Index;

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A relay channel was not used for long enough, or its last use is to be looked at.
    Channel(u64),
    /// An answer that a peer wants later is to be sent.
    Echoes(Index),
    /// A relay channel waits for another engine to take what it was sent.
    Credit(u64),
    /// Another engine did not answer.
    Forward(AskId),
    /// A binding over UDP was not refreshed within its lifetime.
    Lifetime(Index),
    /// A dial that a stream asked for was not answered.
    DialBack(StreamId),
    /// A `Register` was not answered by its `PathReply`.
    Pending(Index),
    /// The old endpoint of a moving binding had its time, or the check of a new one has lapsed.
    Probes(Index),
    /// A request is to be repeated or given up.
    Requests(Index),
    /// A stream that others wait for took nothing for long enough.
    Stall(StreamId),
    /// A stream has no binding and had its time to get one.
    Stream(StreamId),
}

/// What every part of the server uses.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) config: ServerConfig,
    pub(super) out: Outbox<ServerEvent<'static>>,
    pub(super) sockets: Sockets,
    pub(super) dial_backs: DialBacks,
    pub(super) streams: Streams,
    pub(super) timers: Timers<Timer>,
    /// Values that appear on the wire.
    pub(super) visible: Rng,
    pub(super) discards: SortedMap<Discard, u64>,
    pub(super) forwards: Forwards,
}

impl Common {
    /// Sends a packet that is not relayed.
    pub(super) fn send(&mut self, link: Link, packet: &[u8]) {
        match link {
            Link::Datagram { socket, local, remote } => self.out.transmit(socket, local, remote, packet),
            Link::Stream { stream, .. } => {
                self.streams.write(stream, packet, &mut self.timers, &mut self.out);
            }
        }
    }

    /// Whether a peer that is not registered here may be registered with another engine.
    pub(super) const fn has_others(&self) -> bool {
        self.config.shards > 1
    }

    /// Asks the engine that `peer` is registered with; `false` when there is none, or too much is unanswered.
    pub(super) fn ask(&mut self, now: Instant, peer: PeerId, ask: Ask, errand: Errand) -> bool {
        if !self.has_others() {
            return false;
        }
        let name = (self.visible.octets(), self.config.shard);
        self.forwards.ask(now, name, Recipient::Peer(peer), ask, errand, (&mut self.timers, &mut self.out))
    }

    /// A listener accepted a stream; one too many is aborted.
    pub(super) fn on_accepted(
        &mut self,
        now: Instant,
        stream: StreamId,
        socket: SocketId,
        (local, remote): (Address, Endpoint),
    ) -> Result<(), Discard> {
        if self.streams.contains(stream) {
            return Err(Discard::StreamUnknown);
        }
        let accepted = self.sockets.port(socket, Transport::Tcp).and_then(|_| {
            let (limits, timers) = (&self.config.limits, &mut self.timers);
            self.streams.on_accepted(now, stream, (socket, local, remote), limits, timers)
        });
        if accepted.is_err() {
            self.out.close(stream, true);
        }
        accepted
    }

    /// Closes or aborts a stream.
    pub(super) fn end_stream(&mut self, stream: StreamId, abort: bool) {
        self.streams.end(stream, abort, &mut self.timers, &mut self.out);
    }

    pub(super) fn count(&mut self, discard: Discard) {
        *self.discards.or_insert_with(discard, || 0) += 1;
    }
}
