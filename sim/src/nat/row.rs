//! A row of the table and its sessions.

use pinhole_proto::sorted::SortedMap;
use pinhole_proto::{Duration, Endpoint, Instant, Transport};
use serde::Serialize;

use super::behaviour::Behaviour;
use super::habits::TimerScope;
use super::receipt::{MappingReceipt, MappingRule, RemoteKey, RowId};
use crate::packet::Flags;

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// When it began.
    pub since: Instant,
    /// When a packet last kept it alive.
    pub used: Instant,
    /// The remote endpoints that the inside sent to by it.
    pub sessions: SortedMap<Endpoint, Session>,
    /// When it is looked at next; the end of time when no timer runs.
    #[serde(skip)]
    pub(super) check: Instant,
}

/// One remote endpoint of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// When it began.
    pub since: Instant,
    /// When a packet last kept it alive.
    pub used: Instant,
    /// Something came in.
    pub answered: bool,
    /// TCP: the number of the first SYN that went out.
    pub syn: Option<u64>,
    /// TCP: an ACK went out, came in.
    pub acked: [bool; 2],
    /// TCP: a FIN went out, came in.
    pub finished: [bool; 2],
    /// TCP: a RST passed.
    pub reset: bool,
    /// Where two mappings share an external endpoint: which of their sessions sent later.
    #[serde(skip)]
    pub(super) sent: u64,
    #[serde(skip)]
    pub(super) check: Instant,
}

/// No timer runs.
pub(super) const NEVER: Instant = Instant::from_micros(u64::MAX);

impl Row {
    pub(super) const fn receipt(&self, rule: MappingRule) -> MappingReceipt {
        MappingReceipt { row: self.id, rule, key: self.key, internal: self.internal, external: self.external }
    }

    /// When the row ends without further traffic, or one of its sessions does.
    pub(super) fn due(&self, behaviour: &Behaviour, of: Option<Endpoint>) -> Instant {
        let idle = |remote: &Endpoint, session: &Session| session.idle(behaviour, self.transport, *remote);
        if let Some(remote) = of {
            let session = self.sessions.get(&remote);
            return session.map_or(Instant::ZERO, |session| session.used + idle(&remote, session));
        }
        let end = behaviour.lifetime.map_or(NEVER, |lifetime| self.since + lifetime);
        match behaviour.timer {
            TimerScope::Session => end,
            TimerScope::Mapping => {
                let longest = self.sessions.iter().map(|(remote, session)| idle(remote, session)).max();
                end.min(self.used + longest.unwrap_or(Duration::ZERO))
            }
        }
    }
}

impl Session {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            used: now,
            answered: false,
            syn: None,
            acked: [false; 2],
            finished: [false; 2],
            reset: false,
            sent: 0,
            check: NEVER,
        }
    }

    /// Whether a RST or both FINs have passed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.reset || self.finished == [true; 2]
    }

    /// Whether a SYN has gone out and nothing of the connection has come in.
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        self.syn.is_some() && !self.answered && !self.reset
    }

    /// Follows a segment; `side` is 0 for outbound, 1 for inbound.
    pub(super) fn follow(&mut self, now: Instant, flags: Flags, seq: u64, side: usize) {
        if flags.opens() && self.is_over() {
            *self = Self { check: self.check, sent: self.sent, ..Self::new(now) };
        }
        if flags.opens() && side == 0 {
            self.syn = Some(seq);
        }
        self.acked[side] |= flags.ack && !flags.rst;
        self.finished[side] |= flags.fin;
        self.reset |= flags.rst;
    }

    pub(super) fn idle(&self, behaviour: &Behaviour, transport: Transport, remote: Endpoint) -> Duration {
        match transport {
            Transport::Udp => {
                let well_known = behaviour.udp_idle_well_known.filter(|_| remote.port() < 1024);
                let unanswered = behaviour.udp_idle_unanswered.filter(|_| !self.answered);
                [well_known, unanswered].into_iter().flatten().fold(behaviour.udp_idle, Duration::min)
            }
            Transport::Tcp if self.is_over() => behaviour.tcp_closing_idle.unwrap_or(behaviour.tcp_transitory_idle),
            Transport::Tcp if self.acked == [true; 2] => behaviour.tcp_established_idle,
            Transport::Tcp => behaviour.tcp_transitory_idle,
        }
    }
}
