//! Relay channels (`spec/relay.md`).
//!
//! A channel belongs to a session and two peers; each peer has its own name for it. Octets pass from where
//! one peer is bound to where the other is bound, whichever endpoints those are at the time, and only to a
//! peer that wants the channel: it asked for it, accepted its session, or has used it.

use alloc::collections::BTreeMap;

use super::api::{Limits, ServerEvent};
use super::common::{Common, Timer};
use super::link::Link;
use super::registry::Registry;
use crate::constants::{CHANNEL_UNUSED, CHANNEL_USED, MAX_PACKET, VERSION};
use crate::discard::Discard;
use crate::endpoint::Family;
use crate::engine::{StreamId, Transport};
use crate::key::PeerId;
use crate::time::Instant;
use crate::wire::code::packet;
use crate::wire::sealed::RELAYED_HEADER;
use crate::wire::{ChannelId, Relayed, SessionId};

/// All channels.
#[derive(Clone, Debug, Default)]
pub(super) struct Relay {
    channels: BTreeMap<u64, Channel>,
    by_side: BTreeMap<ChannelId, (u64, usize)>,
    by_session: BTreeMap<SessionKey, u64>,
    per_peer: BTreeMap<PeerId, usize>,
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
    pub(super) packets: u64,
    pub(super) octets: u64,
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
    /// It is on its way by a stream that is slow.
    Slowly(StreamId),
    /// This stream has no room; nothing happened.
    NotYet(StreamId),
}

impl Relay {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values()
    }

    /// The channel ids of `asker` and `other` for their session; made if there is none.
    pub(super) fn open(
        &mut self,
        now: Instant,
        (session, transport): (SessionId, Transport),
        asker: (PeerId, Family),
        other: (PeerId, Family),
        common: &mut Common,
    ) -> Result<[ChannelId; 2], Refused> {
        let key = key(session, asker.0, other.0);
        // [R-RELAY-013]
        if let Some(&number) = self.by_session.get(&key) {
            let channel = self.channels.get(&number).ok_or(Refused)?;
            let at = usize::from(channel.sides[0].peer != asker.0);
            if channel.transport != transport {
                return Err(Refused);
            }
            let ids = [channel.sides[at].id, channel.sides[1 - at].id];
            self.want(number, at, &common.config.limits)?;
            return Ok(ids);
        }
        let limits = &common.config.limits;
        // [R-RELAY-012]
        if self.channels.len() >= limits.channels || !self.may_want(asker.0, limits) {
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
                packets: 0,
                octets: 0,
            },
        );
        common.timers.set(Timer::Channel(number), now + CHANNEL_UNUSED);
        self.want(number, 0, &common.config.limits)?;
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
        let side = |channel: &Channel| usize::from(channel.sides[0].peer != responder);
        if let Some(at) = self.channels.get(&number).map(side)
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
        // [R-RELAY-004]
        let receiver = registry.by_peer(to.peer).filter(|_| to.wanted).ok_or(Discard::ChannelUnknown)?;
        let bindings = || receiver.bindings().iter().map(|binding| binding.link);
        let target = bindings()
            .find(|link| link.slot() == (transport, to.family))
            .or_else(|| bindings().find(|link| link.transport() == transport))
            .ok_or(Discard::ChannelUnknown)?;
        let mut buffer = [0; MAX_PACKET];
        // [R-RELAY-005] [R-RELAY-006]
        let packet = rewrite(to.id, relayed.packet, &mut buffer);
        let passed = match target.stream() {
            // [R-RELAY-009]
            Some(stream) if !common.streams.has_room(stream, packet.len()) => {
                return Ok(Passed::NotYet(stream));
            }
            Some(stream) => {
                common.send(target, packet);
                if common.streams.is_slow(stream) { Passed::Slowly(stream) } else { Passed::Yes }
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

    /// Ends a channel that was not used for long enough, else looks again when it may have been.
    pub(super) fn on_timer(&mut self, now: Instant, number: u64, common: &mut Common) {
        let Some(channel) = self.channels.get(&number) else {
            return;
        };
        // [R-RELAY-011]
        let lifetime = if channel.packets == 0 { CHANNEL_UNUSED } else { CHANNEL_USED };
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
        *self.per_peer.entry(peer).or_insert(0) += 1;
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
