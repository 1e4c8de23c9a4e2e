//! Paths: a local end and a remote end, and how far they can be trusted (`spec/punching.md`, "Paths").

use alloc::collections::VecDeque;

use serde::Serialize;

use super::api::{PathKind, PathState};
use crate::association::Lane;
use crate::constants::{BUSY_PACKETS, HEARD_FACTOR, MAX_HEARD_OCTETS};
use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, StreamId};
use crate::time::Instant;
use crate::wire::Nonce;

/// A path of a session; numbers are not reused within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct PathId(pub(super) u16);

/// Where a packet of a session came from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// From a socket to an endpoint.
    Udp { socket: SocketId, remote: Endpoint },
    /// On a stream.
    Stream { stream: StreamId, remote: Endpoint },
    /// Through the server.
    Relay,
}

/// One direct path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) id: PathId,
    pub(super) link: Link,
    pub(super) kind: PathKind,
    state: PathState,
    /// The local address that the last packet on it was sent to.
    pub(super) local: Option<Address>,
    /// The local port.
    pub(super) local_port: u16,
    /// This side's endpoint as the other side sees it.
    pub(super) mapped: Option<Endpoint>,
    /// The path number of what this side sends on it; path 0 until it is proved.
    pub(super) lane: Option<Lane>,
    nonces: VecDeque<Outstanding>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) last_received: Instant,
    pub(super) last_sent: Instant,
    /// When the first authentic packet arrived.
    pub(super) heard_at: Instant,
    /// When data was first sent on it after the last authentic packet.
    pub(super) data_since: Option<Instant>,
    /// Packets of data sent on it since then.
    pub(super) unheard: u16,
    /// Checks since the last authentic packet.
    pub(super) unanswered: u8,
    /// Keepalives in a row whose first check was not answered, and the nonce of the last one's.
    missed: u8,
    kept: Option<Nonce>,
    /// Checks sent while it was heard.
    pub(super) checks: u8,
    /// When the next check of a heard path is due.
    pub(super) check_at: Instant,
    /// A packet of full size came through.
    pub(super) full_size: bool,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    nonce: Nonce,
    full_size: bool,
}

impl Path {
    pub(super) fn new(id: PathId, link: Link, kind: PathKind, now: Instant) -> Self {
        Self {
            id,
            link,
            kind,
            state: PathState::Untried,
            local: None,
            local_port: 0,
            mapped: None,
            lane: None,
            nonces: VecDeque::new(),
            received: 0,
            sent: 0,
            last_received: now,
            last_sent: now,
            heard_at: now,
            data_since: None,
            unheard: 0,
            unanswered: 0,
            missed: 0,
            kept: None,
            checks: 0,
            check_at: now,
            full_size: matches!(link, Link::Stream { .. }),
        }
    }

    pub(super) const fn state(&self) -> PathState {
        self.state
    }

    /// The remote endpoint of a direct path.
    pub(super) const fn remote(&self) -> Option<Endpoint> {
        match self.link {
            Link::Udp { remote, .. } | Link::Stream { remote, .. } => Some(remote),
            Link::Relay => None,
        }
    }

    /// Whether it is proved and leads to `address`.
    pub(super) fn has_proved(&self, address: Address) -> bool {
        self.state == PathState::Proved && self.remote().is_some_and(|remote| remote.address() == address)
    }

    /// Remembers a nonce that is sent on this path only.
    pub(super) fn remember(&mut self, nonce: Nonce, full_size: bool) {
        if self.nonces.len() >= MAX_NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(Outstanding { nonce, full_size });
    }

    /// Whether the nonce was sent on this path.
    pub(super) fn sent_nonce(&self, nonce: &Nonce) -> bool {
        self.nonces.iter().any(|outstanding| outstanding.nonce == *nonce)
    }

    /// An authentic packet arrived. `true` when the path was untried before.
    pub(super) fn on_heard(&mut self, now: Instant, octets: usize) -> bool {
        self.received += octets as u64;
        self.last_received = now;
        self.unanswered = 0;
        self.data_since = None;
        self.unheard = 0;
        let first = self.state == PathState::Untried;
        if first {
            self.state = PathState::Heard;
            self.heard_at = now;
            self.check_at = now;
        }
        first
    }

    /// Whether so much data left on it without a word from the other side that it is watched closely.
    pub(super) const fn is_busy(&self) -> bool {
        self.unheard >= BUSY_PACKETS
    }

    /// A keepalive begins with the nonce remembered last. How many before it were not answered, in a row:
    /// packets that arrive all the same were sent for reasons of the other side's.
    pub(super) fn on_keepalive(&mut self) -> u8 {
        let missed = self.kept.is_some_and(|nonce| self.sent_nonce(&nonce));
        self.missed = if missed { self.missed.saturating_add(1) } else { 0 };
        self.kept = self.nonces.back().map(|outstanding| outstanding.nonce);
        self.missed
    }

    /// A nonce came back on it. `true` when the path was not proved before.
    pub(super) fn on_reply(&mut self, nonce: &Nonce, mapped: Endpoint) -> bool {
        // [R-PUNCH-019]
        let Some(at) = self.nonces.iter().position(|outstanding| outstanding.nonce == *nonce) else {
            return false;
        };
        self.full_size |= self.nonces.remove(at).is_some_and(|outstanding| outstanding.full_size);
        self.mapped = Some(mapped);
        let first = self.state != PathState::Proved;
        self.state = PathState::Proved;
        first
    }

    /// Whether so many octets may go out on it (SEC-8): without bound on a proved path, a multiple of
    /// what came in on a heard one, nothing on an untried one.
    pub(super) const fn allows(&self, octets: usize) -> bool {
        match self.state {
            PathState::Proved => true,
            PathState::Heard => {
                let after = self.sent + octets as u64;
                // [R-PUNCH-017]
                after <= self.received * HEARD_FACTOR && after <= MAX_HEARD_OCTETS
            }
            PathState::Untried => false,
        }
    }
}

/// The most nonces that a path waits for.
const MAX_NONCES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    // [R-PUNCH-017]
    #[test]
    fn a_heard_path_takes_three_times_what_came_and_never_more_than_its_bound() {
        let link = Link::Udp { socket: SocketId(0), remote: "192.0.2.1:1".parse().unwrap() };
        let mut path = Path::new(PathId(0), link, PathKind::Public, Instant::ZERO);
        assert!(!path.allows(0), "untried");
        path.on_heard(Instant::ZERO, 100);
        assert!(path.allows(300) && !path.allows(301));
        path.sent = 200;
        assert!(path.allows(100) && !path.allows(101));
        path.on_heard(Instant::ZERO, 100_000);
        assert!(path.allows(4_600) && !path.allows(4_601));
        // [R-PUNCH-019]
        assert!(!path.on_reply(&[1; 8], "192.0.2.9:9".parse().unwrap()));
        assert_eq!(path.state(), PathState::Heard);
        path.remember([1; 8], false);
        assert!(path.on_reply(&[1; 8], "192.0.2.9:9".parse().unwrap()));
        assert!(path.allows(100_000));
    }
}
