//! Punches that overtook their introduction (`spec/punching.md`, "Early punches").

use alloc::vec::Vec;

use super::path::Link;
use super::session::Source;
use crate::constants::{EARLY_PUNCH_LIFETIME, MAX_EARLY_PUNCHES};
use crate::engine::StreamId;
use crate::time::Instant;
use crate::wire::{Punch, SessionId};

/// The last punches for sessions that are not known yet. The oldest makes room.
#[derive(Clone, Debug, Default)]
pub(super) struct EarlyPunches {
    punches: Vec<(Instant, Source, Punch)>,
}

impl EarlyPunches {
    pub(super) fn remember(&mut self, now: Instant, source: Source, punch: Punch) {
        self.punches.retain(|(at, ..)| now - *at < EARLY_PUNCH_LIFETIME);
        // [R-LIM-004]
        if self.punches.len() >= MAX_EARLY_PUNCHES {
            self.punches.remove(0);
        }
        self.punches.push((now, source, punch));
    }

    /// Takes those of a session that was introduced.
    pub(super) fn take(&mut self, now: Instant, session: &SessionId) -> Vec<(Source, Punch)> {
        self.punches.retain(|(at, ..)| now - *at < EARLY_PUNCH_LIFETIME);
        let (mine, others) = self.punches.drain(..).partition(|(.., punch)| punch.session == *session);
        self.punches = others;
        let mine: Vec<_> = mine;
        mine.into_iter().map(|(_, source, punch)| (source, punch)).collect()
    }

    /// A stream is gone.
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.punches
            .retain(|(_, source, _)| !matches!(source.link, Link::Stream { stream: known, .. } if known == stream));
    }

    pub(super) fn len(&self) -> usize {
        self.punches.len()
    }
}
