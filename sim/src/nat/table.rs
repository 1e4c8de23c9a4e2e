//! The table of a NAT: rows, the ways to find them, and their timers.
//!
//! Nothing is searched for packet by packet: each question that a packet asks has an index, and a timer
//! is looked at when the earliest moment comes at which it may have run out.

use alloc::vec::Vec;

use pinhole_proto::sorted::{SortedMap, SortedSet};
use pinhole_proto::{Address, Endpoint, Instant, Transport};

use super::behaviour::Behaviour;
use super::fading::Fading;
use super::habits::{Kind, OnReset, Overloading, PermissionScope, Refresh, TimerScope};
use super::receipt::{FilterReceipt, RemoteKey, RowId};
use super::row::{NEVER, Row, Session};
use crate::packet::{Body, Flags, Packet};

/// All rows, and what hinders new ones.
#[derive(Clone, Debug)]
pub(super) struct Table {
    rows: SortedMap<RowId, Row>,
    /// Internal endpoint and remote: the row by which a packet leaves.
    by_key: SortedMap<(Transport, Endpoint, RemoteKey), RowId>,
    /// External endpoint: the rows that have it, more than one under overloading.
    by_external: SortedSet<(Transport, Endpoint, RowId)>,
    /// External endpoint and remote: the row with a session of the two; of several the one that sent last.
    by_pair: SortedMap<(Transport, Endpoint, Endpoint), RowId>,
    /// Internal endpoint and remote: the rows with a session of the two.
    by_session: SortedSet<(Transport, Endpoint, Endpoint, RowId)>,
    /// Internal port and endpoint.
    by_internal: SortedSet<(Transport, u16, Endpoint, RowId)>,
    by_host: SortedSet<(Address, RowId)>,
    /// How many rows a host has.
    hosts: SortedMap<Address, u32>,
    /// When which row, or session of a row, is to be looked at.
    checks: SortedSet<(Instant, RowId, Option<Endpoint>)>,
    /// External and remote endpoint of packets that came too early.
    pub(super) traces: Fading<(Transport, Endpoint, Endpoint)>,
    /// Ports that rest.
    pub(super) resting: Fading<(Transport, Endpoint)>,
    /// Hosts whose last row has ended.
    pub(super) vacated: Vec<Address>,
    next_row: u64,
    /// How often a session was sent to, for telling which was last.
    sends: u64,
}

/// Who speaks to whom from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) transport: Transport,
    pub(super) internal: Endpoint,
    pub(super) remote: Endpoint,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            rows: SortedMap::new(),
            by_key: SortedMap::new(),
            by_external: SortedSet::new(),
            by_pair: SortedMap::new(),
            by_session: SortedSet::new(),
            by_internal: SortedSet::new(),
            by_host: SortedSet::new(),
            hosts: SortedMap::new(),
            checks: SortedSet::new(),
            traces: Fading::new(),
            resting: Fading::new(),
            vacated: Vec::new(),
            next_row: 0,
            sends: 0,
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

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: RowId) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// The row by which a flow leaves: one for exactly its remote endpoint, else the usual one.
    pub(super) fn leaving(&self, flow: Flow, kind: Kind) -> Option<&Row> {
        let exact = RemoteKey::Endpoint(flow.remote);
        let usual = RemoteKey::of(kind, flow.remote);
        let find = |key| self.by_key.get(&(flow.transport, flow.internal, key));
        let id = find(exact).or_else(|| if usual == exact { None } else { find(usual) })?;
        self.rows.get(id)
    }

    /// The row that a packet to an external endpoint reaches.
    pub(super) fn reached(&self, transport: Transport, external: Endpoint, remote: Endpoint) -> Option<&Row> {
        let pair = self.by_pair.get(&(transport, external, remote)).copied();
        self.rows.get(&pair.or_else(|| self.holder(transport, external))?)
    }

    /// The latest row with an external endpoint.
    pub(super) fn holder(&self, transport: Transport, external: Endpoint) -> Option<RowId> {
        let range = (transport, external, RowId(0))..=(transport, external, RowId(u64::MAX));
        self.by_external.range(range).next_back().map(|(_, _, id)| *id)
    }

    /// The external endpoints from one to another that are held or rest.
    pub(super) fn busy(
        &self,
        transport: Transport,
        (low, high): (Endpoint, Endpoint),
    ) -> impl Iterator<Item = Endpoint> + '_ {
        let held = self.by_external.range((transport, low, RowId(0))..=(transport, high, RowId(u64::MAX)));
        let resting = self.resting.range((transport, low), (transport, high));
        held.map(|entry| entry.1).chain(resting.map(|(_, external)| external))
    }

    /// The row whose session an external and a remote endpoint share.
    pub(super) fn pair(&self, transport: Transport, external: Endpoint, remote: Endpoint) -> Option<RowId> {
        self.by_pair.get(&(transport, external, remote)).copied()
    }

    /// The row whose external endpoint comes next after this one, or before where there is none.
    pub(super) fn nearest(&self, transport: Transport, external: Endpoint) -> Option<RowId> {
        let of_transport = |entry: &&(Transport, Endpoint, RowId)| entry.0 == transport;
        let above = self.by_external.range((transport, external, RowId(0))..).next().filter(of_transport);
        let below = || self.by_external.range(..(transport, external, RowId(0))).next_back().filter(of_transport);
        above.or_else(below).map(|(_, _, id)| *id)
    }

    /// A row of an inside endpoint that has a session with a remote one.
    pub(super) fn session_row(&self, transport: Transport, internal: Endpoint, remote: Endpoint) -> Option<RowId> {
        let range = (transport, internal, remote, RowId(0))..=(transport, internal, remote, RowId(u64::MAX));
        self.by_session.range(range).next_back().map(|(_, _, _, id)| *id)
    }

    /// Another inside endpoint with rows of the same port.
    pub(super) fn rival(&self, transport: Transport, internal: Endpoint) -> Option<Endpoint> {
        let port = internal.port();
        let mut range = self.by_internal.range((transport, port, LOWEST, RowId(0))..);
        let same = |entry: &&(Transport, u16, Endpoint, RowId)| (entry.0, entry.1) == (transport, port);
        let first = range.next().filter(same).map(|entry| entry.2)?;
        if first != internal {
            return Some(first);
        }
        let after = (transport, port, internal, RowId(u64::MAX));
        self.by_internal.range(after..).next().filter(same).map(|entry| entry.2)
    }

    /// The latest row of an inside endpoint.
    pub(super) fn row_of(&self, transport: Transport, internal: Endpoint) -> Option<&Row> {
        let at = |id| (transport, internal.port(), internal, RowId(id));
        let (_, _, _, id) = self.by_internal.range(at(0)..=at(u64::MAX)).next_back()?;
        self.rows.get(id)
    }

    /// How many rows a host has.
    pub(super) fn rows_of_host(&self, host: Address) -> u32 {
        self.hosts.get(&host).copied().unwrap_or(0)
    }

    /// The oldest row of a host.
    pub(super) fn oldest_of_host(&self, host: Address) -> Option<&Row> {
        let (owner, id) = self.by_host.range((host, RowId(0))..).next()?;
        if *owner == host { self.rows.get(id) } else { None }
    }

    /// The oldest row of all.
    pub(super) fn oldest(&self) -> Option<RowId> {
        self.rows.first().map(|(id, _)| *id)
    }

    /// Adds a row without sessions.
    pub(super) fn insert(&mut self, now: Instant, flow: Flow, external: Endpoint, key: RemoteKey) -> &Row {
        let id = RowId(self.next_row);
        self.next_row += 1;
        let Flow { transport, internal, .. } = flow;
        self.by_key.insert((transport, internal, key), id);
        self.by_external.insert((transport, external, id));
        self.by_internal.insert((transport, internal.port(), internal, id));
        self.by_host.insert((internal.address(), id));
        *self.hosts.or_insert_with(internal.address(), || 0) += 1;
        self.rows.or_insert_with(id, || Row {
            id,
            transport,
            internal,
            external,
            key,
            since: now,
            used: now,
            sessions: SortedMap::new(),
            check: NEVER,
        })
    }

    /// Removes a row; `since` is when it ended.
    pub(super) fn remove(&mut self, since: Instant, behaviour: &Behaviour, id: RowId) {
        let Some(row) = self.rows.remove(&id) else {
            return;
        };
        let (transport, internal, external) = (row.transport, row.internal, row.external);
        if self.by_key.get(&(transport, internal, row.key)) == Some(&id) {
            self.by_key.remove(&(transport, internal, row.key));
        }
        self.by_external.remove(&(transport, external, id));
        self.by_internal.remove(&(transport, internal.port(), internal, id));
        self.by_host.remove(&(internal.address(), id));
        if let Some(count) = self.hosts.get_mut(&internal.address()) {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(&internal.address());
                self.vacated.push(internal.address());
            }
        }
        self.checks.remove(&(row.check, id, None));
        for (remote, session) in &row.sessions {
            self.unlink((transport, internal, external, id), *remote, *session);
        }
        if !behaviour.reuse_delay.is_zero() && self.holder(transport, external).is_none() {
            self.resting.insert((transport, external), since + behaviour.reuse_delay);
        }
    }

    fn unlink(
        &mut self,
        (transport, internal, external, id): (Transport, Endpoint, Endpoint, RowId),
        remote: Endpoint,
        session: Session,
    ) {
        self.by_session.remove(&(transport, internal, remote, id));
        let pair = (transport, external, remote);
        if self.by_pair.get(&pair) == Some(&id) {
            self.by_pair.remove(&pair);
            let holders =
                self.by_external.range((transport, external, RowId(0))..=(transport, external, RowId(u64::MAX)));
            let sent = |holder: &RowId| Some(self.rows.get(holder)?.sessions.get(&remote)?.sent);
            let talking = holders.filter_map(|(_, _, id)| Some((sent(id)?, *id)));
            if let Some((_, other)) = talking.max() {
                self.by_pair.insert(pair, other);
            }
        }
        self.checks.remove(&(session.check, id, Some(remote)));
    }

    /// Removes a session, and its row when it was the last.
    pub(super) fn end_session(&mut self, since: Instant, behaviour: &Behaviour, id: RowId, remote: Endpoint) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        if row.sessions.len() <= 1 {
            self.remove(since, behaviour, id);
        } else if let Some(session) = row.sessions.remove(&remote) {
            let (transport, internal, external) = (row.transport, row.internal, row.external);
            if behaviour.timer == TimerScope::Mapping && since < row.check {
                // Without the session the row may end sooner.
                self.checks.remove(&(row.check, id, None));
                self.checks.insert((since, id, None));
                row.check = since;
            }
            self.unlink((transport, internal, external, id), remote, session);
        }
    }

    /// Notes a packet that left by a row.
    pub(super) fn on_outbound(&mut self, now: Instant, behaviour: &Behaviour, id: RowId, packet: &Packet) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let remote = packet.destination;
        let begins = !row.sessions.contains_key(&remote);
        let (transport, internal, external) = (row.transport, row.internal, row.external);
        let session = row.sessions.or_insert_with(remote, || Session::new(now));
        let error = packet.flags().is_some_and(|flags| flags.rst);
        if begins || (behaviour.refresh != Refresh::Inbound && (behaviour.refresh_by_errors || !error)) {
            session.used = now;
            row.used = now;
        }
        if begins {
            self.by_session.insert((transport, internal, remote, id));
        }
        if begins || behaviour.overloading != Overloading::Never {
            self.sends += 1;
            session.sent = self.sends;
            self.by_pair.insert((transport, external, remote), id);
        }
        self.on_passed(now, behaviour, id, remote, packet, 0);
    }

    /// Notes a packet that came in by a row.
    pub(super) fn on_inbound(&mut self, now: Instant, behaviour: &Behaviour, id: RowId, packet: &Packet) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let refreshes = behaviour.refresh != Refresh::Outbound;
        if refreshes {
            row.used = now;
        }
        if let Some(session) = row.sessions.get_mut(&packet.source) {
            session.answered = true;
            if refreshes {
                session.used = now;
            }
            self.on_passed(now, behaviour, id, packet.source, packet, 1);
        }
    }

    /// Keeps a session alive.
    pub(super) fn refresh(&mut self, now: Instant, id: RowId, remote: Endpoint) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.used = now;
            if let Some(session) = row.sessions.get_mut(&remote) {
                session.used = now;
            }
        }
    }

    /// Whether a reset ends its session here, where something had come in before it or had not.
    pub(super) fn ended_by_reset(behaviour: &Behaviour, flags: Option<Flags>, answered: bool) -> bool {
        let ends = match behaviour.reset {
            OnReset::Keep => false,
            OnReset::Forget => true,
            OnReset::ForgetUnanswered => !answered,
        };
        ends && flags.is_some_and(|flags| flags.rst)
    }

    /// Whether something has come in from a remote endpoint.
    pub(super) fn is_answered(&self, id: RowId, remote: Endpoint) -> bool {
        let session = self.rows.get(&id).and_then(|row| row.sessions.get(&remote));
        session.is_some_and(|session| session.answered)
    }

    fn on_passed(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        id: RowId,
        remote: Endpoint,
        packet: &Packet,
        side: usize,
    ) {
        if let Body::Tcp(segment) = &packet.body
            && let Some(session) = self.rows.get_mut(&id).and_then(|row| row.sessions.get_mut(&remote))
        {
            session.follow(now, segment.flags, segment.seq, side);
        }
        self.watch(behaviour, id, remote);
    }

    /// Sees to it that a session and its row are looked at in time.
    fn watch(&mut self, behaviour: &Behaviour, id: RowId, remote: Endpoint) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let mut check = NEVER;
        if let Some(session) = row.sessions.get_mut(&remote) {
            let idle = session.idle(behaviour, row.transport, remote);
            match behaviour.timer {
                TimerScope::Mapping => check = row.used + idle,
                TimerScope::Session => {
                    let at = session.used + idle;
                    if at < session.check {
                        self.checks.remove(&(session.check, id, Some(remote)));
                        self.checks.insert((at, id, Some(remote)));
                        session.check = at;
                    }
                }
            }
        }
        if let Some(lifetime) = behaviour.lifetime {
            check = check.min(row.since + lifetime);
        }
        if check < row.check {
            self.checks.remove(&(row.check, id, None));
            self.checks.insert((check, id, None));
            row.check = check;
        }
    }

    /// Sets every timer anew, after the behaviour has changed.
    pub(super) fn watch_all(&mut self, behaviour: &Behaviour) {
        self.checks.clear();
        let mut sessions = Vec::new();
        for row in self.rows.values_mut() {
            row.check = NEVER;
            for (remote, session) in row.sessions.iter_mut() {
                session.check = NEVER;
                sessions.push((row.id, *remote));
            }
        }
        for (id, remote) in sessions {
            self.watch(behaviour, id, remote);
        }
    }

    /// Removes what has timed out.
    pub(super) fn expire(&mut self, now: Instant, behaviour: &Behaviour) {
        self.traces.expire(now);
        while let Some((at, id, of)) = self.checks.first().copied() {
            if at > now {
                break;
            }
            self.checks.pop_first();
            let Some(row) = self.rows.get_mut(&id) else {
                continue;
            };
            let due = row.due(behaviour, of);
            // What moved on waits for its new turn, so that things end in the order of their times.
            if due <= at {
                match of {
                    None => self.remove(due, behaviour, id),
                    Some(remote) => self.end_session(due, behaviour, id, remote),
                }
                continue;
            }
            let check = match of {
                None => Some(&mut row.check),
                Some(remote) => row.sessions.get_mut(&remote).map(|session| &mut session.check),
            };
            if let Some(check) = check {
                *check = due;
                self.checks.insert((due, id, of));
            }
        }
        self.resting.expire(now);
    }

    /// Whether `remote` may send to a row; `opens` says that it does so with a first SYN.
    pub(super) fn filter(&self, behaviour: &Behaviour, row: &Row, remote: Endpoint, opens: bool) -> FilterReceipt {
        let rule = behaviour.filtering_of(row.transport);
        let (low, high) = match rule {
            Kind::EndpointIndependent => (LOWEST, HIGHEST),
            Kind::AddressDependent => (remote.with_port(0), remote.with_port(u16::MAX)),
            Kind::AddressAndPortDependent | Kind::ConnectionDependent => (remote, remote),
        };
        let by_internal = behaviour.permission == PermissionScope::InternalEndpoint;
        let mine =
            |entry: &&(Transport, Endpoint, Endpoint, RowId)| (entry.0, entry.1) == (row.transport, row.internal);
        let from = |low: Endpoint| {
            if by_internal {
                let start = (row.transport, row.internal, low, RowId(0));
                self.by_session.range(start..).next().filter(mine).map(|entry| entry.2)
            } else {
                row.sessions.range(low..).next().map(|(session, _)| *session)
            }
        };
        let before = |high: Endpoint| {
            if by_internal {
                let end = (row.transport, row.internal, high, RowId(0));
                self.by_session.range(..end).next_back().filter(mine).map(|entry| entry.2)
            } else {
                row.sessions.range(..high).next_back().map(|(session, _)| *session)
            }
        };
        let admitting = from(low).filter(|session| *session <= high);
        // A SYN from outside begins a connection of its own, unless one from inside is under way.
        let own_connection =
            rule == Kind::ConnectionDependent && opens && !row.sessions.get(&remote).is_some_and(Session::is_opening);
        let session = admitting.filter(|_| !own_connection);
        let beside = [from(remote), before(remote)];
        let same = beside.into_iter().flatten().find(|near| near.address() == remote.address());
        let nearest = if session.is_some() { None } else { same.or_else(|| beside.into_iter().flatten().next()) };
        FilterReceipt { row: row.id, rule, remote, session, nearest, passed: session.is_some() }
    }
}

const LOWEST: Endpoint = Endpoint::new(Address::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);
const HIGHEST: Endpoint = Endpoint::new(Address::V6(core::net::Ipv6Addr::from_bits(u128::MAX)), u16::MAX);
