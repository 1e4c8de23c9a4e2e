//! Answers that a peer wants later: it measures how long a mapping lives (`spec/keepalive.md`).

use alloc::vec::Vec;

use super::link::Link;
use crate::constants::MAX_ECHOES;
use crate::time::{Duration, Instant};
use crate::wire::control::Echo;
use crate::wire::message::RequestId;

/// The `Echo`s of one registration that wait for their time.
#[derive(Clone, Debug, Default)]
pub(super) struct Echoes(Vec<Waiting>);

#[derive(Clone, Debug)]
struct Waiting {
    link: Link,
    id: RequestId,
    due: Instant,
}

impl Echoes {
    pub(super) const fn is_full(&self) -> bool {
        self.0.len() >= MAX_ECHOES
    }

    /// Enters one; there is room.
    pub(super) fn enter(&mut self, now: Instant, link: Link, id: RequestId, echo: Echo) {
        self.0.push(Waiting { link, id, due: now + Duration::from_secs(u64::from(echo.after)) });
    }

    /// Takes one that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Link, RequestId)> {
        let at = self.0.iter().position(|waiting| waiting.due <= now)?;
        let waiting = self.0.remove(at);
        Some((waiting.link, waiting.id))
    }

    /// When the next one is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|waiting| waiting.due).min()
    }
}
