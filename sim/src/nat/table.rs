//! The table of a NAT: rows, sessions, ports and timers.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pinhole_proto::{Address, Duration, Endpoint, Instant, Transport};

use super::behaviour::Behaviour;
use super::habits::{Dependence, FreshPort, OnReset, PermissionScope, Refresh, TimerScope};
use super::receipt::{FilterReceipt, MappingReceipt, MappingRule, PortRule, RemoteKey, RowId};
use crate::packet::{Flags, Packet};
use crate::rng::Rng;

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub id: RowId,
    /// Its transport.
    pub transport: Transport,
    /// The internal endpoint.
    pub internal: Endpoint,
    /// The external endpoint.
    pub external: Endpoint,
    /// What of the remote endpoint it is for.
    pub key: RemoteKey,
    /// When a packet last kept it alive.
    pub used: Instant,
    /// The remote endpoints that the inside sent to by it.
    pub sessions: BTreeMap<Endpoint, Session>,
}

/// One remote endpoint of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// When it began.
    pub since: Instant,
    /// When a packet last kept it alive.
    pub used: Instant,
    /// TCP: an ACK went out, came in.
    pub acked: [bool; 2],
    /// TCP: a FIN went out, came in.
    pub finished: [bool; 2],
    /// TCP: a RST passed.
    pub reset: bool,
}

/// All rows, and what hinders new ones.
#[derive(Clone, Debug)]
pub(super) struct Table {
    rows: BTreeMap<RowId, Row>,
    by_key: BTreeMap<(Transport, Endpoint, RemoteKey), RowId>,
    by_external: BTreeMap<(Transport, Endpoint), RowId>,
    spoiled: BTreeMap<(Endpoint, Endpoint), Instant>,
    next_row: u64,
    next_port: [Option<u16>; 2],
    /// No row, session or trace times out before.
    quiet_until: Instant,
}

type Flow = (Transport, Endpoint, Endpoint);

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_external: BTreeMap::new(),
            spoiled: BTreeMap::new(),
            next_row: 0,
            next_port: [None; 2],
            quiet_until: Instant::ZERO,
        }
    }

    pub(super) fn clear(&mut self) {
        let next_row = self.next_row;
        *self = Self::new();
        self.next_row = next_row;
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(super) fn find(&self, transport: Transport, external: Endpoint) -> Option<&Row> {
        let id = self.by_external.get(&(transport, external))?;
        self.rows.get(id)
    }

    /// The row of an outgoing packet, made if need be; none when no port is free.
    pub(super) fn map(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        address: Address,
        rng: &mut Rng,
        (transport, internal, remote): Flow,
    ) -> Option<MappingReceipt> {
        let exact = RemoteKey::Endpoint(remote);
        let usual = RemoteKey::of(behaviour.mapping, remote);
        let found = self
            .by_key
            .get(&(transport, internal, exact))
            .or_else(|| self.by_key.get(&(transport, internal, usual)))
            .and_then(|id| self.rows.get(id));
        let spoiled = found.is_some_and(|row| self.spoiled.contains_key(&(row.external, remote)));
        if let (Some(row), false) = (found, spoiled) {
            return Some(row.receipt(MappingRule::Reused));
        }
        let key = if spoiled { exact } else { usual };
        let (external, port_rule) = self.allocate(behaviour, address, rng, (transport, internal, remote))?;
        let row =
            Row { id: RowId(self.next_row), transport, internal, external, key, used: now, sessions: BTreeMap::new() };
        self.next_row += 1;
        let receipt =
            row.receipt(if spoiled { MappingRule::Diverted(port_rule) } else { MappingRule::Created(port_rule) });
        self.by_key.insert((transport, internal, key), row.id);
        self.by_external.insert((transport, external), row.id);
        self.rows.insert(row.id, row);
        Some(receipt)
    }

    /// Notes a packet that left by a row.
    pub(super) fn on_outbound(&mut self, now: Instant, behaviour: &Behaviour, id: RowId, packet: &Packet) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let session = row.sessions.entry(packet.destination).or_insert_with(|| Session::new(now));
        if packet.flags().is_some_and(Flags::opens) && session.is_over() {
            *session = Session::new(now);
        }
        if behaviour.refresh != Refresh::Inbound || session.since == now {
            session.used = now;
            row.used = now;
        }
        self.on_passed(behaviour, id, packet.destination, packet, 0);
    }

    /// Notes a packet that came in by a row.
    pub(super) fn on_inbound(&mut self, now: Instant, behaviour: &Behaviour, id: RowId, packet: &Packet) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        if behaviour.refresh != Refresh::Outbound {
            row.used = now;
            if let Some(session) = row.sessions.get_mut(&packet.source) {
                session.used = now;
            }
        }
        self.on_passed(behaviour, id, packet.source, packet, 1);
    }

    /// Whether `remote` may send to a row.
    pub(super) fn filter(&self, behaviour: &Behaviour, id: RowId, remote: Endpoint) -> FilterReceipt {
        let row = self.rows.get(&id);
        let admits = |row: &Row| {
            row.sessions
                .keys()
                .find(|session| match behaviour.filtering {
                    Dependence::EndpointIndependent => true,
                    Dependence::AddressDependent => session.address() == remote.address(),
                    Dependence::AddressAndPortDependent => **session == remote,
                })
                .copied()
        };
        let session = row.and_then(|row| match behaviour.permission {
            PermissionScope::Mapping => admits(row),
            PermissionScope::InternalEndpoint => self
                .rows
                .values()
                .filter(|other| other.transport == row.transport && other.internal == row.internal)
                .find_map(admits),
        });
        FilterReceipt { row: id, rule: behaviour.filtering, remote, session, passed: session.is_some() }
    }

    /// Notes a datagram that came too early.
    pub(super) fn spoil(&mut self, external: Endpoint, remote: Endpoint, until: Instant) {
        self.spoiled.insert((external, remote), until);
        self.quiet_until = self.quiet_until.min(until);
    }

    /// Removes what has timed out.
    pub(super) fn expire(&mut self, now: Instant, behaviour: &Behaviour) {
        if now < self.quiet_until {
            return;
        }
        self.spoiled.retain(|_, until| *until > now);
        let mut next = self.spoiled.values().min().copied();
        let mut dead = Vec::new();
        for row in self.rows.values_mut() {
            if let Some(deadline) = row.expire(now, behaviour) {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            } else {
                dead.push(row.id);
            }
        }
        for id in dead {
            self.remove(id);
        }
        // A session that begins later times out later than this by at least the shortest timeout.
        let shortest = behaviour.udp_idle.min(behaviour.tcp_transitory_idle).min(behaviour.tcp_established_idle);
        self.quiet_until = next.map_or(now + shortest, |next| next.min(now + shortest));
    }

    fn remove(&mut self, id: RowId) {
        if let Some(row) = self.rows.remove(&id) {
            self.by_key.remove(&(row.transport, row.internal, row.key));
            self.by_external.remove(&(row.transport, row.external));
        }
    }

    /// Follows the TCP session of a packet; `side` is 0 for outbound, 1 for inbound.
    fn on_passed(&mut self, behaviour: &Behaviour, id: RowId, remote: Endpoint, packet: &Packet, side: usize) {
        let (Some(flags), Some(row)) = (packet.flags(), self.rows.get_mut(&id)) else {
            return;
        };
        let Some(session) = row.sessions.get_mut(&remote) else {
            return;
        };
        session.acked[side] |= flags.ack && !flags.rst;
        session.finished[side] |= flags.fin;
        session.reset |= flags.rst;
        let deadline = session.used + session.idle(behaviour, Transport::Tcp);
        self.quiet_until = self.quiet_until.min(deadline);
        if flags.rst && behaviour.reset == OnReset::Forget {
            row.sessions.remove(&remote);
            if row.sessions.is_empty() {
                self.remove(id);
            }
        }
    }

    fn allocate(
        &mut self,
        behaviour: &Behaviour,
        address: Address,
        rng: &mut Rng,
        (transport, internal, remote): Flow,
    ) -> Option<(Endpoint, PortRule)> {
        let free = |port: u16| {
            let external = Endpoint::new(address, port);
            let taken = self.by_external.contains_key(&(transport, external))
                || (transport == Transport::Udp && self.spoiled.contains_key(&(external, remote)));
            (!taken).then_some(external)
        };
        let (low, high) = behaviour.ports;
        if behaviour.preserve_port
            && let Some(external) = free(internal.port())
        {
            return Some((external, PortRule::Preserved));
        }
        let size = u32::from(high.saturating_sub(low)) + 1;
        let following = |port: u16| if port >= high { low } else { port + 1 };
        let slot = usize::from(transport == Transport::Tcp);
        match behaviour.fresh_port {
            FreshPort::Sequential => {
                let mut port = self.next_port[slot].unwrap_or(behaviour.first_port).clamp(low, high.max(low));
                for skipped in 0..size {
                    let external = free(port);
                    port = following(port);
                    if let Some(external) = external {
                        self.next_port[slot] = Some(port);
                        return Some((external, PortRule::Sequential { skipped }));
                    }
                }
            }
            FreshPort::Random => {
                // Draws; where the range is nearly full, then takes the neighbours in turn.
                let mut port = rng.port(low, high);
                for tried in 0..DRAWS + size {
                    if let Some(external) = free(port) {
                        return Some((external, PortRule::Random));
                    }
                    port = if tried < DRAWS { rng.port(low, high) } else { following(port) };
                }
            }
        }
        None
    }
}

impl Row {
    const fn receipt(&self, rule: MappingRule) -> MappingReceipt {
        MappingReceipt { row: self.id, rule, key: self.key, internal: self.internal, external: self.external }
    }

    /// Drops what has timed out; answers when the rest does, or none when nothing is left.
    fn expire(&mut self, now: Instant, behaviour: &Behaviour) -> Option<Instant> {
        let (transport, used) = (self.transport, self.used);
        match behaviour.timer {
            TimerScope::Session => {
                let deadline = |s: &Session| s.used + s.idle(behaviour, transport);
                self.sessions.retain(|_, session| deadline(session) > now);
                self.sessions.values().map(deadline).min()
            }
            TimerScope::Mapping => {
                let idles = self.sessions.values().map(|s| s.idle(behaviour, transport));
                idles.max().map(|idle| used + idle).filter(|deadline| *deadline > now)
            }
        }
    }
}

impl Session {
    const fn new(now: Instant) -> Self {
        Self { since: now, used: now, acked: [false; 2], finished: [false; 2], reset: false }
    }

    fn is_over(&self) -> bool {
        self.reset || self.finished == [true; 2]
    }

    fn idle(&self, behaviour: &Behaviour, transport: Transport) -> Duration {
        match transport {
            Transport::Udp => behaviour.udp_idle,
            Transport::Tcp if self.acked == [true; 2] && !self.is_over() => behaviour.tcp_established_idle,
            Transport::Tcp => behaviour.tcp_transitory_idle,
        }
    }
}

impl RemoteKey {
    fn of(mapping: Dependence, remote: Endpoint) -> Self {
        match mapping {
            Dependence::EndpointIndependent => Self::Any,
            Dependence::AddressDependent => Self::Address(remote.address()),
            Dependence::AddressAndPortDependent => Self::Endpoint(remote),
        }
    }

    /// Whether a row with this key is used towards `remote`.
    #[must_use]
    pub fn covers(self, remote: Endpoint) -> bool {
        match self {
            Self::Any => true,
            Self::Address(address) => address == remote.address(),
            Self::Endpoint(endpoint) => endpoint == remote,
        }
    }
}

/// How often a random port is drawn before the search goes on one by one.
const DRAWS: u32 = 64;
