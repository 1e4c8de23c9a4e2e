//! Relay channels (`spec/relay.md`).
//!
//! A channel belongs to a session and two peers; each peer has its own name for it. Octets pass from where
//! one peer is bound to where the other is bound, whichever endpoints those are at the time, and only to a
//! peer that wants the channel: it asked for it, accepted its session, or has used it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::api::{Limits, Recipient, ServerEvent};
use super::common::{Common, Timer};
use super::forward::{Forward, Leg};
use super::link::Link;
use super::registry::Registry;
use super::streams::Waiter;
use crate::constants::{CHANNEL_UNUSED, CHANNEL_USED, FORWARD_WINDOW, MAX_PACKET, RELAY_STALL, VERSION};
use crate::discard::Discard;
use crate::endpoint::Family;
use crate::engine::{StreamId, Transport};
use crate::key::PeerId;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::Instant;
use crate::wire::code::packet;
use crate::wire::sealed::RELAYED_HEADER;
use crate::wire::{ChannelId, Relayed, SessionId};

/// All channels.
#[derive(Clone, Debug, Default)]
pub(super) struct Relay {
    channels: SortedMap<u64, Channel>,
    by_side: SortedMap<ChannelId, (u64, usize)>,
    by_session: SortedMap<SessionKey, u64>,
    per_peer: SortedMap<PeerId, usize>,
    next: u64,
}

/// A session's name and its peers in order: where the two sides of a channel meet.
type SessionKey = (SessionId, PeerId, PeerId);

#[derive(Clone, Debug)]
pub(super) struct Channel {
    session: SessionId,
    pub(super) transport: Transport,
    pub(super) sides: [Side; 2],
    last: Instant,
    /// What is known of its way through other engines, once it went there.
    flow: Option<Box<Flow>>,
    /// Whether anything passed, in either direction.
    used: bool,
    pub(super) packets: u64,
    pub(super) octets: u64,
}

/// How a channel over streams passes between two engines, in both directions.
///
/// What this engine sends is numbered, and no more of it is unanswered than [`FORWARD_WINDOW`]; what it gets waits
/// here while the peer's stream has no room, so never more than that either.
#[derive(Clone, Debug, Default)]
struct Flow {
    sent: u64,
    unanswered: usize,
    /// Streams that are not read until credit comes.
    held_up: SortedSet<StreamId>,
    /// The next number; whatever comes first is the first.
    expected: Option<u64>,
    /// The side that what waits here is for.
    toward: usize,
    waiting: VecDeque<Vec<u8>>,
    waiting_octets: usize,
    /// Octets taken and not told.
    owed: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) peer: PeerId,
    id: ChannelId,
    /// The family that the peer used last, of the bindings that it may have.
    family: Family,
    /// Whether the peer wants the channel. Only then it counts against the peer's bound.
    pub(super) wanted: bool,
}

/// The refusal of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// What became of a relayed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It is on its way.
    Yes,
    /// This engine of the process has to see it, and all that follows on its stream.
    Elsewhere(u8),
    /// It is on its way by a stream that is slow.
    Slowly(Waiter),
    /// This one has no room; nothing happened.
    NotYet(Waiter),
}

impl Relay {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values()
    }

    /// Whether there is room for a channel that `peer` wants.
    pub(super) fn may_open(&self, peer: PeerId, limits: &Limits) -> bool {
        self.channels.len() < limits.channels && self.may_want(peer, limits)
    }

    /// The channel ids of `asker` and `other` for their session; made if there is none. It is on behalf of the
    /// asker if that is registered `here`.
    pub(super) fn open(
        &mut self,
        now: Instant,
        (session, transport): (SessionId, Transport),
        asker: (PeerId, Family),
        other: (PeerId, Family),
        here: bool,
        common: &mut Common,
    ) -> Result<[ChannelId; 2], Refused> {
        let key = key(session, asker.0, other.0);
        // [R-RELAY-013]
        if let Some(&number) = self.by_session.get(&key) {
            let channel = self.channels.get(&number).ok_or(Refused)?;
            let at = channel.side(asker.0);
            if channel.transport != transport {
                return Err(Refused);
            }
            let ids = [channel.sides[at].id, channel.sides[1 - at].id];
            if here {
                self.want(number, at, &common.config.limits)?;
            }
            return Ok(ids);
        }
        let limits = &common.config.limits;
        // [R-RELAY-012]
        if self.channels.len() >= limits.channels || (here && !self.may_want(asker.0, limits)) {
            return Err(Refused);
        }
        let side = |(peer, family), id| Side { peer, id, family, wanted: false };
        // [R-RELAY-001]
        let ids = [(); 2].map(|()| ChannelId(common.visible.octets()));
        let number = self.next;
        self.next += 1;
        self.by_session.insert(key, number);
        for (at, &id) in ids.iter().enumerate() {
            self.by_side.insert(id, (number, at));
        }
        self.channels.insert(
            number,
            Channel {
                session,
                transport,
                sides: [side(asker, ids[0]), side(other, ids[1])],
                last: now,
                flow: None,
                used: false,
                packets: 0,
                octets: 0,
            },
        );
        common.timers.set(Timer::Channel(number), now + CHANNEL_UNUSED);
        if here {
            self.want(number, 0, &common.config.limits)?;
        }
        Ok(ids)
    }

    /// The responder accepted the session: the channel is there for it too.
    pub(super) fn on_accepted(
        &mut self,
        session: SessionId,
        initiator: PeerId,
        responder: PeerId,
        common: &mut Common,
    ) {
        let Some(&number) = self.by_session.get(&key(session, initiator, responder)) else {
            return;
        };
        if let Some(at) = self.channels.get(&number).map(|channel| channel.side(responder))
            && self.want(number, at, &common.config.limits).is_err()
        {
            self.close(number, common);
        }
    }

    /// Passes a packet on, the same size out as in.
    pub(super) fn on_relayed(
        &mut self,
        now: Instant,
        link: Link,
        relayed: &Relayed<'_>,
        registry: &Registry,
        common: &mut Common,
    ) -> Result<Passed, Discard> {
        let &(number, at) = self.by_side.get(&relayed.channel).ok_or(Discard::ChannelUnknown)?;
        let channel = self.channels.get(&number).ok_or(Discard::ChannelUnknown)?;
        let [from, to] = [&channel.sides[at], &channel.sides[1 - at]];
        let (transport, family) = link.slot();
        let sender = registry.by_peer(from.peer);
        // [R-RELAY-003]
        if transport != channel.transport || !sender.is_some_and(|peer| peer.is_bound(link)) {
            return Err(Discard::SourceWrong);
        }
        if !from.wanted && !self.may_want(from.peer, &common.config.limits) {
            return Err(Discard::OverLimit);
        }
        if registry.by_peer(to.peer).is_none() && common.has_others() {
            return Ok(self.pass_on(now, link, (number, at), relayed.packet, common));
        }
        // [R-RELAY-004]
        let target = target(to, transport, registry).ok_or(Discard::ChannelUnknown)?;
        let mut buffer = [0; MAX_PACKET];
        // [R-RELAY-005] [R-RELAY-006]
        let packet = rewrite(to.id, relayed.packet, &mut buffer);
        let passed = match target.stream() {
            // [R-RELAY-009]
            Some(stream) if !common.streams.has_room(stream, packet.len()) => {
                return Ok(Passed::NotYet(Waiter::Stream(stream)));
            }
            Some(stream) => {
                common.send(target, packet);
                if common.streams.is_slow(stream) { Passed::Slowly(Waiter::Stream(stream)) } else { Passed::Yes }
            }
            // [R-RELAY-010] A datagram is handed on at once; nothing is held.
            None => {
                common.send(target, packet);
                Passed::Yes
            }
        };
        self.on_used(now, (number, at), family, relayed.packet.len(), common);
        Ok(passed)
    }

    /// Hands a packet to the engine of the other peer, if a stream's window allows it.
    fn pass_on(
        &mut self,
        now: Instant,
        link: Link,
        (number, at): (u64, usize),
        packet: &[u8],
        common: &mut Common,
    ) -> Passed {
        let Some(channel) = self.channels.get_mut(&number) else {
            return Passed::Yes;
        };
        let leg = channel.leg(at);
        let mut count = 0;
        if let Some(stream) = link.stream() {
            let flow = channel.flow.get_or_insert_default();
            // [R-RELAY-018]
            if flow.unanswered + packet.len() > FORWARD_WINDOW {
                flow.held_up.insert(stream);
                common.timers.set_earlier(Timer::Credit(number), now + RELAY_STALL);
                return Passed::NotYet(Waiter::Channel(number));
            }
            flow.unanswered += packet.len();
            count = flow.sent;
            flow.sent += 1;
        }
        Forward::Packet(leg, count).send(Recipient::Peer(leg.to), packet, &mut common.out);
        self.on_used(now, (number, at), link.slot().1, packet.len(), common);
        Passed::Yes
    }

    /// A packet that another engine passed on.
    pub(super) fn on_passed_on(
        &mut self,
        now: Instant,
        (leg, count): (Leg, u64),
        packet: &[u8],
        registry: &Registry,
        common: &mut Common,
    ) -> Result<(), Discard> {
        let found = self.by_session.get(&key(leg.session, leg.from, leg.to)).copied();
        let found = found.and_then(|number| Some((number, self.channels.get_mut(&number)?)));
        let Some((number, channel)) = found.filter(|(_, channel)| channel.transport == leg.transport) else {
            credit(leg, packet.len(), common);
            return Err(Discard::ChannelUnknown);
        };
        let at = 1 - channel.side(leg.from);
        let to = &channel.sides[at];
        let Some(target) = target(to, leg.transport, registry) else {
            credit(leg, packet.len(), common);
            return Err(Discard::ChannelUnknown);
        };
        if target.stream().is_some() {
            let flow = channel.flow.get_or_insert_default();
            match flow.expected.map(|expected| count.cmp(&expected)) {
                Some(Ordering::Less) => return Err(Discard::Replayed),
                // [R-RELAY-019]
                Some(Ordering::Greater) => {
                    self.close(number, common);
                    return Err(Discard::StreamOutOfOrder);
                }
                Some(Ordering::Equal) | None => flow.expected = Some(count + 1),
            }
            // The other engine was impatient: it does not wait for ever.
            if flow.waiting_octets + packet.len() > 2 * FORWARD_WINDOW {
                self.close(number, common);
                return Err(Discard::OverLimit);
            }
            flow.toward = at;
            flow.waiting_octets += packet.len();
            flow.waiting.push_back(packet.to_vec());
            self.deliver(now, number, registry, common);
        } else {
            let mut buffer = [0; MAX_PACKET];
            common.send(target, rewrite(to.id, packet, &mut buffer));
        }
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.last = now;
            channel.used = true;
        }
        Ok(())
    }

    /// Writes what waits for a stream of this engine, as much as it has room for.
    pub(super) fn deliver(&mut self, now: Instant, number: u64, registry: &Registry, common: &mut Common) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        let (transport, at) = (channel.transport, channel.flow.as_ref().map_or(0, |flow| flow.toward));
        let leg = channel.leg(1 - at);
        let (to, Some(flow)) = (&channel.sides[at], &mut channel.flow) else {
            return;
        };
        while let Some(packet) = flow.waiting.front() {
            let target = target(to, transport, registry);
            if let Some(stream) = target.and_then(Link::stream) {
                if !common.streams.has_room(stream, RELAYED_HEADER + packet.len()) {
                    common.streams.wait_for(now, stream, Waiter::Channel(number), &mut common.timers);
                    return;
                }
                let mut buffer = [0; MAX_PACKET];
                let packet = rewrite(to.id, packet, &mut buffer);
                if let Some(target) = target {
                    common.send(target, packet);
                }
            }
            flow.waiting_octets -= packet.len();
            flow.owed += packet.len();
            flow.waiting.pop_front();
        }
        let slow = target(to, transport, registry).and_then(Link::stream).filter(|&it| common.streams.is_slow(it));
        if let Some(stream) = slow {
            // The sender's window is told to it only when the stream has taken enough.
            common.streams.wait_for(now, stream, Waiter::Channel(number), &mut common.timers);
        } else if flow.owed >= FORWARD_WINDOW / 4 {
            credit(leg, core::mem::take(&mut flow.owed), common);
        }
    }

    /// Another engine took octets of a stream.
    pub(super) fn on_credit(&mut self, leg: Leg, octets: u32, common: &mut Common) {
        let number = self.by_session.get(&key(leg.session, leg.from, leg.to)).copied();
        let octets = usize::try_from(octets).unwrap_or(usize::MAX);
        if let Some(number) = number {
            self.on_window(number, |unanswered| unanswered.saturating_sub(octets), common);
        }
    }

    /// Another engine took nothing for long enough: whoever waits for it goes on.
    pub(super) fn on_credit_due(&mut self, number: u64, common: &mut Common) {
        self.on_window(number, |_| 0, common);
    }

    fn on_window(&mut self, number: u64, change: impl FnOnce(usize) -> usize, common: &mut Common) {
        let Some(flow) = self.channels.get_mut(&number).and_then(|channel| channel.flow.as_mut()) else {
            return;
        };
        flow.unanswered = change(flow.unanswered);
        common.timers.clear(Timer::Credit(number));
        for &stream in core::mem::take(&mut flow.held_up).iter() {
            common.streams.let_go(Waiter::Channel(number), Waiter::Stream(stream));
        }
    }

    /// Ends a channel that was not used for long enough, else looks again when it may have been.
    pub(super) fn on_timer(&mut self, now: Instant, number: u64, common: &mut Common) {
        let Some(channel) = self.channels.get(&number) else {
            return;
        };
        // [R-RELAY-011]
        let lifetime = if channel.used { CHANNEL_USED } else { CHANNEL_UNUSED };
        let ends = channel.last + lifetime;
        if ends > now {
            common.timers.set(Timer::Channel(number), ends);
        } else {
            self.close(number, common);
        }
    }

    fn on_used(
        &mut self,
        now: Instant,
        (number, at): (u64, usize),
        family: Family,
        octets: usize,
        common: &mut Common,
    ) {
        // Checked before: the peer may want it.
        let _ = self.want(number, at, &common.config.limits);
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        channel.sides[at].family = family;
        channel.last = now;
        channel.used = true;
        channel.octets += octets as u64;
        channel.packets += 1;
        if channel.packets == 1 {
            common.out.event(ServerEvent::RelayOpened { a: channel.sides[0].peer, b: channel.sides[1].peer });
        }
    }

    fn may_want(&self, peer: PeerId, limits: &Limits) -> bool {
        self.per_peer.get(&peer).copied().unwrap_or(0) < limits.channels_per_peer
    }

    fn want(&mut self, number: u64, at: usize, limits: &Limits) -> Result<(), Refused> {
        let channel = self.channels.get(&number).ok_or(Refused)?;
        let (peer, wanted) = (channel.sides[at].peer, channel.sides[at].wanted);
        if wanted {
            return Ok(());
        }
        if !self.may_want(peer, limits) {
            return Err(Refused);
        }
        *self.per_peer.or_insert_with(peer, || 0) += 1;
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.sides[at].wanted = true;
        }
        Ok(())
    }

    fn close(&mut self, number: u64, common: &mut Common) {
        let Some(channel) = self.channels.remove(&number) else {
            return;
        };
        common.timers.clear(Timer::Channel(number));
        common.timers.clear(Timer::Credit(number));
        for &stream in channel.flow.iter().flat_map(|flow| flow.held_up.iter()) {
            common.streams.let_go(Waiter::Channel(number), Waiter::Stream(stream));
        }
        let [a, b] = &channel.sides;
        self.by_session.remove(&key(channel.session, a.peer, b.peer));
        for side in &channel.sides {
            self.by_side.remove(&side.id);
            if let (true, Some(count)) = (side.wanted, self.per_peer.get_mut(&side.peer)) {
                *count -= 1;
                if *count == 0 {
                    self.per_peer.remove(&side.peer);
                }
            }
        }
        if channel.packets > 0 {
            common.out.event(ServerEvent::RelayClosed { a: a.peer, b: b.peer, octets: channel.octets });
        }
    }
}

impl Channel {
    /// Which side a peer is.
    fn side(&self, peer: PeerId) -> usize {
        usize::from(self.sides[0].peer != peer)
    }

    /// The direction that begins at a side.
    fn leg(&self, at: usize) -> Leg {
        let [from, to] = [self.sides[at].peer, self.sides[1 - at].peer];
        Leg { session: self.session, transport: self.transport, from, to }
    }
}

/// Where a side's packets go: to the family that it used last, if it wants the channel.
fn target(to: &Side, transport: Transport, registry: &Registry) -> Option<Link> {
    let receiver = registry.by_peer(to.peer).filter(|_| to.wanted)?;
    let bindings = || receiver.bindings().iter().map(|binding| binding.link);
    let same = bindings().find(|link| link.slot() == (transport, to.family));
    same.or_else(|| bindings().find(|link| link.transport() == transport))
}

/// Tells the engine that a stream's packet came from that its octets are taken.
fn credit(leg: Leg, octets: usize, common: &mut Common) {
    if leg.transport == Transport::Tcp {
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        Forward::Credit(leg, octets).send(Recipient::Peer(leg.from), &[], &mut common.out);
    }
}

fn key(session: SessionId, one: PeerId, other: PeerId) -> SessionKey {
    (session, one.min(other), one.max(other))
}

fn rewrite<'a>(id: ChannelId, content: &[u8], buffer: &'a mut [u8; MAX_PACKET]) -> &'a [u8] {
    let length = RELAYED_HEADER + content.len();
    buffer[..2].copy_from_slice(&[packet::RELAYED, VERSION]);
    buffer[2..RELAYED_HEADER].copy_from_slice(&id.0);
    buffer[RELAYED_HEADER..length].copy_from_slice(content);
    &buffer[..length]
}
