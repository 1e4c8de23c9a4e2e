//! The bindings of a registration, and what may become one (`spec/registration.md`, "Bindings").
//!
//! ```text
//! Refresh from an unproved link ──> probe: PathCheck there
//!     nothing to replace, a stream, or `moved`    Checking: taken once it answers
//!     replaces another endpoint                   Contested: PathCheck to the old one too;
//!         the old one answers                         dropped
//!         MOVE_CHECK passes, the probe had answered   taken
//!         MOVE_CHECK passes otherwise                 Checking
//! ```

use super::link::Link;
use crate::association::Lane;
use crate::constants::{MAX_PRIVATE, MOVE_CHECK, PENDING_LIFETIME};
use crate::endpoint::Endpoint;
use crate::time::Instant;
use crate::wire::control::Refresh;
use crate::wire::message::RequestId;
use crate::wire::{List, Nonce};

/// A link that the peer has proved.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) link: Link,
    /// A stream's own packet numbers.
    pub(super) lane: Option<Lane>,
    pub(super) private: List<Endpoint, MAX_PRIVATE>,
    /// When it ends unless it is refreshed. A stream's binding ends with the stream.
    pub(super) expires: Option<Instant>,
}

/// A link that the peer may prove.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) link: Link,
    pub(super) lane: Option<Lane>,
    pub(super) nonce: Nonce,
    /// The id of the `PathCheck`.
    pub(super) check: RequestId,
    /// Octets that came from there and were not answered: the most that may go there.
    pub(super) credit: usize,
    /// The request that wants this binding, and its id.
    pub(super) refresh: Refresh,
    pub(super) request: RequestId,
    since: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Checking,
    Contested { answered: bool },
}

/// What becomes of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Take,
    Drop,
}

impl Probe {
    pub(super) fn new(
        now: Instant,
        link: Link,
        lane: Option<Lane>,
        (nonce, check): (Nonce, RequestId),
        (refresh, request): (Refresh, RequestId),
        contested: bool,
    ) -> Self {
        Self {
            link,
            lane,
            nonce,
            check,
            credit: 0,
            refresh,
            request,
            since: now,
            stage: if contested { Stage::Contested { answered: false } } else { Stage::Checking },
        }
    }

    /// The peer asks again.
    pub(super) fn on_refresh(&mut self, refresh: Refresh, request: RequestId) {
        if refresh.moved {
            self.stage = Stage::Checking;
        }
        self.refresh = refresh;
        self.request = request;
    }

    /// The nonce came back from the probe's link.
    pub(super) const fn on_answer(&mut self) -> Verdict {
        match self.stage {
            Stage::Checking => Verdict::Take,
            Stage::Contested { .. } => {
                self.stage = Stage::Contested { answered: true };
                Verdict::Wait
            }
        }
    }

    /// The binding that would be replaced is alive.
    pub(super) const fn on_old_alive(&self) -> Verdict {
        match self.stage {
            Stage::Checking => Verdict::Wait,
            Stage::Contested { .. } => Verdict::Drop,
        }
    }

    pub(super) fn due(&self) -> Instant {
        match self.stage {
            Stage::Checking => self.since + PENDING_LIFETIME,
            Stage::Contested { .. } => self.since + MOVE_CHECK,
        }
    }

    pub(super) const fn on_due(&mut self) -> Verdict {
        match self.stage {
            Stage::Checking => Verdict::Drop,
            Stage::Contested { answered: true } => Verdict::Take,
            Stage::Contested { answered: false } => {
                self.stage = Stage::Checking;
                Verdict::Wait
            }
        }
    }
}
