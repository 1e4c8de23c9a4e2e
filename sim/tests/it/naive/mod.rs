//! A NAT as the RFCs define it, without an index and without haste: a list of rows, and the whole list is
//! looked through for every question. It judges the real one; of allocation it checks what was given.

mod give;

use pinhole_proto::{Address, Duration, Endpoint, Instant, Transport};
use pinhole_sim::Behaviour;
use pinhole_sim::nat::{
    Decision, DropRule, Hairpin, Ipv6, Kind, MappingRule, OnFull, OnIcmp, OnReset, Overloading, PermissionScope,
    PortRule, Receipt, Refresh, Side, SimultaneousOpen, TimerScope, Translation, Unsolicited, UnsolicitedDatagram,
};
use pinhole_sim::packet::{Body, Flags, Packet};

#[derive(Clone, Debug)]
pub(crate) struct Naive {
    pub(crate) behaviour: Behaviour,
    pool: Vec<Address>,
    rows: Vec<Row>,
    traces: Vec<(Transport, Endpoint, Endpoint, Instant)>,
    resting: Vec<(Transport, Endpoint, Instant)>,
    counters: Vec<((Transport, Option<Address>), u16)>,
    blocks: Vec<(Address, u16, Address)>,
    addresses: Vec<(Address, Address)>,
    late: Vec<(Endpoint, Endpoint, Instant)>,
    clock: u64,
}

#[derive(Clone, Debug)]
struct Row {
    transport: Transport,
    internal: Endpoint,
    external: Endpoint,
    /// Exactly for this remote endpoint, whatever the mapping.
    exact: Option<Endpoint>,
    /// The remote endpoint that it was made for, and by which kind.
    made_for: (Kind, Endpoint),
    /// Another took its place for further packets.
    replaced: bool,
    since: Instant,
    used: Instant,
    sessions: Vec<Session>,
}

#[derive(Clone, Debug)]
struct Session {
    remote: Endpoint,
    used: Instant,
    answered: bool,
    syn: Option<u64>,
    acked: [bool; 2],
    finished: [bool; 2],
    reset: bool,
    sent: u64,
}

/// What was asked of an allocation, and what was given.
pub(crate) struct Given {
    pub(crate) external: Endpoint,
    pub(crate) rule: PortRule,
}

impl Session {
    fn over(&self) -> bool {
        self.reset || (self.finished[0] && self.finished[1])
    }
}

impl Naive {
    pub(crate) fn new(behaviour: Behaviour, pool: &[Address]) -> Self {
        Self {
            behaviour,
            pool: pool.to_vec(),
            rows: vec![],
            traces: vec![],
            resting: vec![],
            counters: vec![],
            blocks: vec![],
            addresses: vec![],
            late: vec![],
            clock: 0,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn externals(&self) -> Vec<Endpoint> {
        self.rows.iter().map(|row| row.external).collect()
    }

    /// The answers that are due, each as where the SYN came from.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Endpoint> {
        let mut due: Vec<_> =
            self.late.iter().filter(|late| late.2 <= now).map(|late| (late.2, late.0, late.1)).collect();
        due.sort_unstable();
        self.late.retain(|late| late.2 > now);
        due.into_iter().map(|(_, _, remote)| remote).collect()
    }

    /// What becomes of a packet. Where a port was given, `receipt` says which, and that is checked.
    pub(crate) fn judge(&mut self, now: Instant, side: Side, packet: &Packet, receipt: &Receipt) -> Decision {
        self.clock += 1;
        self.forget(now);
        if packet.ttl <= 1 {
            return Decision::Dropped(DropRule::TtlExpired);
        }
        let mut behaviour = self.behaviour;
        if packet.source.address().is_ipv6() {
            match behaviour.ipv6 {
                Ipv6::Drop => return Decision::Dropped(DropRule::FamilyUnknown),
                Ipv6::Pass => return forwarded(packet.source, packet.destination),
                Ipv6::Filter => behaviour.translation = Translation::Firewall,
            }
        }
        if behaviour.block_udp && packet.transport() == Transport::Udp {
            return Decision::Dropped(DropRule::UdpBlocked);
        }
        let own = behaviour.translation != Translation::Firewall && self.pool.contains(&packet.destination.address());
        let result = match (&packet.body, side) {
            (Body::Icmp(_), _) => self.error(now, &behaviour, side, packet, own),
            (_, Side::Outside) => self
                .inward(now, &behaviour, packet.source, packet.destination, packet, true, packet)
                .map(|internal| (packet.source, internal)),
            (_, Side::Inside) if own && behaviour.hairpin == Hairpin::None => {
                return Decision::Dropped(DropRule::HairpinNone);
            }
            (_, Side::Inside) => {
                let outward = self.outward(now, &behaviour, packet, receipt);
                match outward {
                    Ok(external) if own => {
                        let filtered = behaviour.hairpin_filtered;
                        let source =
                            if behaviour.hairpin == Hairpin::InternalSource { packet.source } else { external };
                        self.inward(now, &behaviour, external, packet.destination, packet, filtered, packet)
                            .map(|internal| (source, internal))
                    }
                    other => other.map(|external| (external, packet.destination)),
                }
            }
        };
        match result {
            Ok((source, destination)) => forwarded(source, destination),
            Err(decision) => decision,
        }
    }

    fn idle(behaviour: &Behaviour, row: &Row, session: &Session) -> Duration {
        match row.transport {
            Transport::Udp => {
                let mut idle = behaviour.udp_idle;
                if session.remote.port() <= 1023 {
                    idle = idle.min(behaviour.udp_idle_well_known.unwrap_or(idle));
                }
                if !session.answered {
                    idle = idle.min(behaviour.udp_idle_unanswered.unwrap_or(idle));
                }
                idle
            }
            Transport::Tcp => {
                if session.over() {
                    behaviour.tcp_closing_idle.unwrap_or(behaviour.tcp_transitory_idle)
                } else if session.acked[0] && session.acked[1] {
                    behaviour.tcp_established_idle
                } else {
                    behaviour.tcp_transitory_idle
                }
            }
        }
    }

    /// When a row ends if nothing more happens.
    fn end(&self, row: &Row) -> Instant {
        let behaviour = &self.behaviour;
        let ends = row.sessions.iter().map(|session| {
            let from = match behaviour.timer {
                TimerScope::Mapping => row.used,
                TimerScope::Session => session.used,
            };
            from + Self::idle(behaviour, row, session)
        });
        let end = ends.max().expect("a row has sessions");
        behaviour.lifetime.map_or(end, |lifetime| end.min(row.since + lifetime))
    }

    fn forget(&mut self, now: Instant) {
        self.traces.retain(|trace| trace.3 > now);
        loop {
            let next = (0..self.rows.len()).map(|n| (self.end(&self.rows[n]), n)).min();
            match next {
                Some((end, n)) if end <= now => self.remove(n, end),
                _ => break,
            }
        }
        let behaviour = self.behaviour;
        if behaviour.timer == TimerScope::Session {
            for row in &mut self.rows {
                let copy = row.clone();
                row.sessions.retain(|session| session.used + Self::idle(&behaviour, &copy, session) > now);
            }
        }
        self.resting.retain(|rest| rest.2 > now);
        self.vacate();
    }

    fn vacate(&mut self) {
        let rows = &self.rows;
        let has_rows = |host: &Address| rows.iter().any(|row| row.internal.address() == *host);
        self.blocks.retain(|(_, _, host)| has_rows(host));
        self.addresses.retain(|(host, _)| has_rows(host));
    }

    fn remove(&mut self, n: usize, end: Instant) {
        let row = self.rows.remove(n);
        let shared = self.rows.iter().any(|other| (other.transport, other.external) == (row.transport, row.external));
        if !shared && !self.behaviour.reuse_delay.is_zero() {
            self.resting.push((row.transport, row.external, end + self.behaviour.reuse_delay));
        }
    }

    fn end_session(&mut self, now: Instant, n: usize, remote: Endpoint) {
        if self.rows[n].sessions.len() > 1 {
            self.rows[n].sessions.retain(|session| session.remote != remote);
        } else {
            self.remove(n, now);
        }
    }

    fn outward(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        packet: &Packet,
        receipt: &Receipt,
    ) -> Result<Endpoint, Decision> {
        let (transport, internal, remote) = (packet.transport(), packet.source, packet.destination);
        let kind = if behaviour.translation == Translation::Napt && behaviour.is_one_to_many(internal.port()) {
            Kind::EndpointIndependent
        } else {
            behaviour.mapping_of(transport)
        };
        let mine = |row: &Row| row.transport == transport && row.internal == internal && !row.replaced;
        let covers = |row: &Row| {
            row.exact.is_none()
                && row.made_for.0 == kind
                && match kind {
                    Kind::EndpointIndependent => true,
                    Kind::AddressDependent => row.made_for.1.address() == remote.address(),
                    Kind::AddressAndPortDependent | Kind::ConnectionDependent => row.made_for.1 == remote,
                }
        };
        let exactly = |row: &Row| {
            row.exact == Some(remote)
                || (row.exact.is_none() && row.made_for == (Kind::AddressAndPortDependent, remote))
        };
        let mut rivals = self.rows.iter().filter(|row| {
            row.transport == transport && row.internal.port() == internal.port() && row.internal != internal
        });
        let rival = behaviour.turns_symmetric && rivals.next().is_some();
        let exact = self.rows.iter().position(|row| mine(row) && exactly(row));
        let found = exact.or_else(|| self.rows.iter().position(|row| mine(row) && covers(row)));
        let session = found.and_then(|n| self.rows[n].sessions.iter().find(|session| session.remote == remote));
        let flags = packet.flags().unwrap_or_default();
        if flags.syn
            && flags.ack
            && session.is_some_and(|session| session.syn.is_some())
            && behaviour.simultaneous_open == SimultaneousOpen::OutboundSynAckDropped
        {
            return Err(Decision::Dropped(DropRule::SimultaneousOpen));
        }
        // Which row, or else whether the one to be made is for this remote endpoint alone.
        let choice = match (found, &packet.body) {
            (Some(n), Body::Tcp(segment))
                if self.rows[n].exact.is_none()
                    && kind == Kind::ConnectionDependent
                    && flags.opens()
                    && session.is_some_and(|s| s.over() || s.syn.is_some_and(|syn| syn != segment.seq)) =>
            {
                Err(false)
            }
            (Some(n), _) => {
                let trace = (transport, self.rows[n].external, remote);
                let spoiled = self.traces.iter().any(|known| (known.0, known.1, known.2) == trace);
                let turned = rival && session.is_none() && !exactly(&self.rows[n]);
                let external = (transport, self.rows[n].external);
                let met = behaviour.overloading == Overloading::OtherRemotes
                    && session.is_none()
                    && self.rows.iter().any(|row| {
                        (row.transport, row.external) == external && row.sessions.iter().any(|s| s.remote == remote)
                    });
                if spoiled || turned || met { Err(true) } else { Ok(n) }
            }
            (None, _) => Err(rival),
        };
        let n = match choice {
            Ok(n) => n,
            Err(exact) => self.make(now, behaviour, (transport, internal, remote), (kind, exact), receipt)?,
        };
        Ok(self.send(now, behaviour, n, packet))
    }

    /// Makes a row, for the remote endpoint alone where `exact` says so.
    fn make(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        (transport, internal, remote): (Transport, Endpoint, Endpoint),
        (kind, exact): (Kind, bool),
        receipt: &Receipt,
    ) -> Result<usize, Decision> {
        self.make_room(now, behaviour, internal.address())?;
        let given = receipt.mapping.map(|mapping| match mapping.rule {
            MappingRule::Created(rule) | MappingRule::Diverted(rule) => Given { external: mapping.external, rule },
            MappingRule::Reused => panic!("a mapping was to be made: {receipt:?}"),
        });
        self.check_given(behaviour, (transport, internal, remote), given.as_ref());
        let Some(Given { external, .. }) = given else {
            return Err(Decision::Dropped(DropRule::PortsExhausted));
        };
        let exact = exact.then_some(remote);
        let alone = |row: &Row| {
            row.exact.or_else(|| (row.made_for.0 == Kind::AddressAndPortDependent).then_some(row.made_for.1))
        };
        let row = Row {
            transport,
            internal,
            external,
            exact,
            made_for: (kind, remote),
            replaced: false,
            since: now,
            used: now,
            sessions: vec![],
        };
        for other in &mut self.rows {
            let same = match (alone(&row), alone(other)) {
                (None, None) => {
                    other.made_for.0 == kind
                        && match kind {
                            Kind::EndpointIndependent => true,
                            Kind::AddressDependent => other.made_for.1.address() == remote.address(),
                            Kind::AddressAndPortDependent | Kind::ConnectionDependent => other.made_for.1 == remote,
                        }
                }
                (one, another) => one == another,
            };
            other.replaced |= same && (other.transport, other.internal) == (transport, internal);
        }
        self.rows.push(row);
        Ok(self.rows.len() - 1)
    }

    /// Notes a packet that leaves by a row.
    fn send(&mut self, now: Instant, behaviour: &Behaviour, n: usize, packet: &Packet) -> Endpoint {
        let remote = packet.destination;
        let clock = self.clock;
        let flags = packet.flags().unwrap_or_default();
        let row = &mut self.rows[n];
        let external = row.external;
        let refreshes = behaviour.refresh != Refresh::Inbound && (behaviour.refresh_by_errors || !flags.rst);
        let begins = !row.sessions.iter().any(|session| session.remote == remote);
        if begins {
            row.sessions.push(Session {
                remote,
                used: now,
                answered: false,
                syn: None,
                acked: [false; 2],
                finished: [false; 2],
                reset: false,
                sent: clock,
            });
        }
        if begins || refreshes {
            row.used = now;
        }
        let session = row.sessions.iter_mut().find(|session| session.remote == remote).expect("it was just made");
        if refreshes {
            session.used = now;
        }
        if begins || behaviour.overloading != Overloading::Never {
            session.sent = clock;
        }
        follow(session, packet, 0, now);
        if flags.opens() {
            self.late.retain(|late| (late.0, late.1) != (external, remote));
        }
        let answered = session.answered;
        if flags.rst && ends(behaviour, answered) {
            self.end_session(now, n, remote);
        }
        external
    }

    fn make_room(&mut self, now: Instant, behaviour: &Behaviour, host: Address) -> Result<(), Decision> {
        let of_host = |row: &Row| row.internal.address() == host;
        if self.rows.iter().filter(|row| of_host(row)).count() >= behaviour.max_mappings_per_host as usize {
            if behaviour.full == OnFull::Refuse {
                return Err(Decision::Dropped(DropRule::HostFull));
            }
            let oldest = self.rows.iter().position(of_host).expect("the host has rows");
            self.remove(oldest, now);
        }
        if self.rows.len() >= behaviour.max_mappings as usize {
            if behaviour.full == OnFull::Refuse {
                return Err(Decision::Dropped(DropRule::TableFull));
            }
            self.remove(0, now);
        }
        Ok(())
    }

    /// The row that a packet from `remote` to `external` belongs to.
    fn reached(&self, transport: Transport, external: Endpoint, remote: Endpoint) -> Option<usize> {
        let holds = |row: &Row| row.transport == transport && row.external == external;
        let sent = |row: &Row| row.sessions.iter().find(|session| session.remote == remote).map(|session| session.sent);
        let talking = (0..self.rows.len()).filter(|n| holds(&self.rows[*n]) && sent(&self.rows[*n]).is_some());
        talking
            .max_by_key(|n| sent(&self.rows[*n]))
            .or_else(|| (0..self.rows.len()).rev().find(|n| holds(&self.rows[*n])))
    }

    #[allow(clippy::too_many_arguments)]
    fn inward(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        remote: Endpoint,
        external: Endpoint,
        packet: &Packet,
        filtered: bool,
        asked: &Packet,
    ) -> Result<Endpoint, Decision> {
        let transport = packet.transport();
        let opens = packet.flags().is_some_and(Flags::opens);
        let Some(n) = self.reached(transport, external, remote) else {
            return Err(self.refuse(now, behaviour, DropRule::NoMapping, (external, remote), asked));
        };
        let row = &self.rows[n];
        let session = row.sessions.iter().find(|session| session.remote == remote);
        let opening = session.is_some_and(|session| session.syn.is_some() && !session.answered && !session.reset);
        let kind = behaviour.filtering_of(transport);
        let admits = |other: &Row| {
            other.sessions.iter().any(|session| match kind {
                Kind::EndpointIndependent => true,
                Kind::AddressDependent => session.remote.address() == remote.address(),
                Kind::AddressAndPortDependent | Kind::ConnectionDependent => session.remote == remote,
            })
        };
        let mut admitted = match behaviour.permission {
            PermissionScope::Mapping => admits(row),
            PermissionScope::InternalEndpoint => self
                .rows
                .iter()
                .any(|other| (other.transport, other.internal) == (transport, row.internal) && admits(other)),
        };
        if kind == Kind::ConnectionDependent && opens && !opening {
            admitted = false;
        }
        let let_in = opens && behaviour.unsolicited_syn == Unsolicited::LetIn;
        if filtered && !admitted && !let_in {
            return Err(self.refuse(now, behaviour, DropRule::Filtered, (external, remote), asked));
        }
        if opens && opening && behaviour.simultaneous_open == SimultaneousOpen::InboundSynRefused {
            return Err(self.refuse(now, behaviour, DropRule::SimultaneousOpen, (external, remote), asked));
        }
        let internal = row.internal;
        let refreshes = behaviour.refresh != Refresh::Outbound;
        let row = &mut self.rows[n];
        if refreshes {
            row.used = now;
        }
        let mut ended = false;
        if let Some(session) = row.sessions.iter_mut().find(|session| session.remote == remote) {
            ended = packet.flags().is_some_and(|flags| flags.rst) && ends(behaviour, session.answered);
            session.answered = true;
            if refreshes {
                session.used = now;
            }
            follow(session, packet, 1, now);
        }
        if ended {
            self.end_session(now, n, remote);
        }
        Ok(internal)
    }

    fn refuse(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        rule: DropRule,
        (external, remote): (Endpoint, Endpoint),
        packet: &Packet,
    ) -> Decision {
        let opens = packet.flags().is_some_and(Flags::opens);
        let trace = match packet.transport() {
            Transport::Udp => behaviour.spoiled_by_early,
            Transport::Tcp if opens => behaviour.spoiled_by_early_syn,
            Transport::Tcp => None,
        };
        if let Some(span) = trace {
            let key = (packet.transport(), external, remote);
            self.traces.retain(|trace| (trace.0, trace.1, trace.2) != key);
            self.traces.push((key.0, key.1, key.2, now + span));
        }
        let answered = match packet.transport() {
            Transport::Udp => behaviour.unsolicited_datagram == UnsolicitedDatagram::Icmp,
            Transport::Tcp => opens && matches!(behaviour.unsolicited_syn, Unsolicited::Reset | Unsolicited::Icmp),
        };
        let waits = opens && behaviour.unsolicited_syn == Unsolicited::IcmpDelayed;
        if waits && !self.late.iter().any(|late| (late.0, late.1) == (external, remote)) {
            self.late.push((external, remote, now + behaviour.syn_grace));
        }
        if answered { Decision::Answered(rule) } else { Decision::Dropped(rule) }
    }

    fn error(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        side: Side,
        packet: &Packet,
        own: bool,
    ) -> Result<(Endpoint, Endpoint), Decision> {
        let Body::Icmp(icmp) = &packet.body else { unreachable!("only ICMP comes here") };
        let lost = Err(Decision::Dropped(DropRule::NoMapping));
        if behaviour.icmp == OnIcmp::Drop {
            return Err(Decision::Dropped(DropRule::IcmpBlocked));
        }
        let (mut source, mut quoted) = (packet.source, icmp.destination);
        if side == Side::Inside {
            let internal = icmp.destination;
            let mine = |row: &Row| row.transport == icmp.transport && row.internal == internal;
            let talks = |row: &Row| row.sessions.iter().any(|session| session.remote == icmp.source);
            let by_session = self.rows.iter().rposition(|row| mine(row) && talks(row));
            let covers = |row: &Row| {
                row.exact.map_or_else(
                    || match row.made_for.0 {
                        Kind::EndpointIndependent => true,
                        Kind::AddressDependent => row.made_for.1.address() == icmp.source.address(),
                        Kind::AddressAndPortDependent | Kind::ConnectionDependent => row.made_for.1 == icmp.source,
                    },
                    |exact| exact == icmp.source,
                )
            };
            let latest = self.rows.iter().rposition(mine).filter(|n| covers(&self.rows[*n]));
            let Some(n) = by_session.or(latest) else {
                return lost;
            };
            let row = &mut self.rows[n];
            if behaviour.refresh_by_errors {
                row.used = now;
                if let Some(session) = row.sessions.iter_mut().find(|session| session.remote == icmp.source) {
                    session.used = now;
                }
            }
            quoted = row.external;
            if behaviour.translation != Translation::Firewall {
                source = Endpoint::new(row.external.address(), 0);
            }
            if !own {
                return Ok((source, packet.destination));
            }
        }
        let Some(n) = self.reached(icmp.transport, icmp.source, quoted) else {
            return lost;
        };
        let internal = self.rows[n].internal;
        if behaviour.icmp == OnIcmp::Forget && self.rows[n].sessions.iter().any(|session| session.remote == quoted) {
            self.end_session(now, n, quoted);
        }
        Ok((source, internal))
    }
}

/// Whether a reset ends a session, from which something had come in before or had not.
fn ends(behaviour: &Behaviour, answered: bool) -> bool {
    match behaviour.reset {
        OnReset::Keep => false,
        OnReset::Forget => true,
        OnReset::ForgetUnanswered => !answered,
    }
}

fn follow(session: &mut Session, packet: &Packet, side: usize, now: Instant) {
    let Body::Tcp(segment) = &packet.body else {
        return;
    };
    let flags = segment.flags;
    if flags.opens() && session.over() {
        session.syn = None;
        session.answered = false;
        session.acked = [false; 2];
        session.finished = [false; 2];
        session.reset = false;
        session.used = now;
    }
    if flags.opens() && side == 0 {
        session.syn = Some(segment.seq);
    }
    if flags.ack && !flags.rst {
        session.acked[side] = true;
    }
    session.finished[side] |= flags.fin;
    session.reset |= flags.rst;
}

const fn forwarded(source: Endpoint, destination: Endpoint) -> Decision {
    Decision::Forwarded { source, destination }
}
