//! The byte stream of a session, one in each direction (`spec/sessions.md`, "Byte stream").
//!
//! Octets are numbered for the session, not for the path: a path switch is nothing but sending from the
//! first unacknowledged octet on the other path.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::constants::{MAX_DATA, MAX_STREAM_RETRY, STREAM_RETRY, STREAM_WINDOW};

/// What this side sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    /// Octets from `acknowledged` on.
    buffer: VecDeque<u8>,
    acknowledged: u64,
    /// The next octet to send on the current path.
    next: u64,
    /// The end of what was ever sent.
    sent: u64,
    /// The receiver takes octets before this offset.
    limit: u64,
    finished: bool,
    /// `Finish` was sent for this stream.
    pub(super) finish_sent: bool,
    /// The application met a full buffer.
    starved: bool,
    /// One message at a time, until something is acknowledged.
    careful: bool,
    /// How often in a row an acknowledgement was overdue.
    overdue: u32,
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything before this offset was delivered.
    pub(super) acknowledged: u64,
    /// The application met a full buffer before, and there is room.
    pub(super) writable: bool,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self { limit: STREAM_WINDOW as u64, ..Self::default() }
    }

    /// Takes as many octets as there is room for.
    pub(super) fn write(&mut self, octets: &[u8]) -> usize {
        if self.finished {
            return 0;
        }
        let taken = octets.len().min(STREAM_WINDOW - self.buffer.len());
        self.buffer.extend(&octets[..taken]);
        self.starved |= taken < octets.len();
        taken
    }

    /// Nothing more will be written.
    pub(super) const fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// The number of octets of the finished stream, once all of them were sent.
    pub(super) fn final_offset(&self) -> Option<u64> {
        (self.finished && self.next == self.end()).then(|| self.end())
    }

    /// The next octets to send, at most one message of them.
    pub(super) fn next(&mut self) -> Option<(u64, Vec<u8>)> {
        // [R-SESS-010]
        let until = self.end().min(self.limit).min(self.next + MAX_DATA as u64);
        // [R-SESS-021]
        if until <= self.next || (self.careful && self.in_flight()) {
            return None;
        }
        let from = usize::try_from(self.next - self.acknowledged).ok()?;
        let to = usize::try_from(until - self.acknowledged).ok()?;
        let octets = self.buffer.range(from..to).copied().collect();
        let offset = self.next;
        self.next = until;
        self.sent = self.sent.max(until);
        Some((offset, octets))
    }

    /// Whether octets were sent and not acknowledged.
    pub(super) const fn in_flight(&self) -> bool {
        self.next > self.acknowledged
    }

    /// Whether an `Ack` is awaited: for octets that were sent, or for room.
    pub(super) fn waits(&self) -> bool {
        self.in_flight() || self.end() > self.limit
    }

    /// How long an `Ack` may take from now on.
    pub(super) fn patience(&self) -> Duration {
        // [R-SESS-021]
        STREAM_RETRY.saturating_mul(1 << self.overdue.min(8)).min(MAX_STREAM_RETRY)
    }

    /// An `Ack` did not come in time. The offset to ask at, if there is nothing to send again.
    pub(super) fn on_overdue(&mut self) -> Option<u64> {
        self.overdue += 1;
        (!self.in_flight()).then_some(self.acknowledged)
    }

    /// Sends again from the first unacknowledged octet: the way changed, or an answer is overdue. Carefully where
    /// packets are lost.
    pub(super) const fn rewind(&mut self, careful: bool) {
        // [R-SESS-011]
        self.careful = careful && self.in_flight();
        self.next = self.acknowledged;
    }

    /// Applies an acknowledgement; `None` when it tells nothing or of octets that were never sent.
    pub(super) fn acknowledge(&mut self, next: u64, window: u32) -> Option<Progress> {
        // [R-SESS-016]
        if next < self.acknowledged || next > self.sent {
            return None;
        }
        self.limit = self.limit.max(next + u64::from(window));
        let fresh = usize::try_from(next - self.acknowledged).ok()?;
        // [R-SESS-009]
        self.buffer.drain(..fresh);
        self.acknowledged = next;
        self.next = self.next.max(next);
        if fresh == 0 {
            return None;
        }
        (self.careful, self.overdue) = (false, 0);
        let writable = core::mem::take(&mut self.starved);
        Some(Progress { acknowledged: next, writable })
    }

    fn end(&self) -> u64 {
        self.acknowledged + self.buffer.len() as u64
    }
}

/// What this side receives.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    next: u64,
    consumed: u64,
    /// The last limit that the other side was told.
    told: u64,
    end: Option<u64>,
    /// The end was told to the application.
    ended: bool,
    /// An `Ack` is to be sent.
    pub(super) ack_due: bool,
}

impl Receiver {
    /// The part of a message that is new and next, if any.
    pub(super) fn receive<'a>(&mut self, offset: u64, octets: &'a [u8]) -> Option<&'a [u8]> {
        // [R-SESS-014]
        self.ack_due = true;
        let skip = usize::try_from(self.next.checked_sub(offset)?).ok()?;
        // [R-SESS-012]
        let fresh = octets.get(skip..).filter(|fresh| !fresh.is_empty())?;
        let room = usize::try_from(self.limit() - self.next).ok()?;
        let beyond = self.end.is_some_and(|end| self.next + fresh.len() as u64 > end);
        // [R-SESS-013]
        if fresh.len() > room || beyond {
            return None;
        }
        self.next += fresh.len() as u64;
        Some(fresh)
    }

    /// The application took octets. `true` when the other side is worth telling.
    pub(super) fn consume(&mut self, octets: u32) -> bool {
        self.consumed = self.next.min(self.consumed + u64::from(octets));
        // The window opened by a quarter, or was shut for a whole message.
        let opened = self.limit().saturating_sub(self.told.max(STREAM_WINDOW as u64));
        let shut = self.told.max(STREAM_WINDOW as u64).saturating_sub(self.next) < MAX_DATA as u64;
        // [R-SESS-014]
        self.ack_due |= opened >= STREAM_WINDOW as u64 / 4 || (shut && opened >= MAX_DATA as u64);
        self.ack_due
    }

    /// The stream ends at this offset. `false` when that contradicts what arrived.
    pub(super) fn finish(&mut self, offset: u64) -> bool {
        // [R-SESS-018]
        if offset < self.next || self.end.is_some_and(|end| end != offset) {
            return false;
        }
        self.end = Some(offset);
        true
    }

    /// Whether everything has arrived; `true` once.
    pub(super) fn take_end(&mut self) -> bool {
        // [R-SESS-017]
        let ends = !self.ended && self.end == Some(self.next);
        self.ended |= ends;
        ends
    }

    /// The offset and window for an `Ack` that is sent.
    pub(super) fn ack(&mut self) -> (u64, u32) {
        self.ack_due = false;
        // [R-SESS-015] It only grows, with what the application took.
        self.told = self.limit();
        (self.next, u32::try_from(self.told - self.next).unwrap_or(0))
    }

    fn limit(&self) -> u64 {
        self.consumed + STREAM_WINDOW as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    // [R-SESS-009] [R-SESS-011] [R-SESS-012]
    #[test]
    fn a_rewind_repeats_what_was_not_acknowledged_and_nothing_is_delivered_twice() {
        let (mut sender, mut receiver) = (Sender::new(), Receiver::default());
        let text: Vec<u8> = (0..10_000u32).map(|number| number as u8).collect();
        assert_eq!(sender.write(&text), text.len());
        let mut delivered: Vec<u8> = vec![];
        let mut rounds = 0;
        while delivered.len() < text.len() {
            rounds += 1;
            let mut sent = 0;
            while let Some((offset, octets)) = sender.next() {
                sent += 1;
                // Every third message is lost.
                if (sent + rounds) % 3 != 0 {
                    delivered.extend(receiver.receive(offset, &octets).unwrap_or_default());
                }
            }
            let (next, window) = receiver.ack();
            sender.acknowledge(next, window);
            sender.rewind(false);
        }
        assert_eq!(delivered, text);
        assert!(rounds > 1);
    }

    // [R-SESS-021]
    #[test]
    fn a_careful_rewind_sends_one_message_and_waits_longer_each_time() {
        let mut sender = Sender::new();
        sender.write(&[7; 5 * MAX_DATA]);
        while sender.next().is_some() {}
        for seconds in [2, 4, 8, 16, 16] {
            assert_eq!(sender.patience(), Duration::from_secs(seconds));
            assert_eq!(sender.on_overdue(), None);
            sender.rewind(true);
            assert_eq!(sender.next().map(|(offset, _)| offset), Some(0));
            assert_eq!(sender.next(), None);
        }
        // The second message had arrived, too.
        assert!(sender.acknowledge(2 * MAX_DATA as u64, STREAM_WINDOW as u32).is_some());
        assert_eq!(sender.patience(), STREAM_RETRY);
        let rest: Vec<u64> = core::iter::from_fn(|| sender.next()).map(|(offset, _)| offset).collect();
        assert_eq!(rest, [2, 3, 4].map(|number| number * MAX_DATA as u64));
        // A way that loses nothing takes all at once.
        sender.rewind(false);
        assert_eq!(core::iter::from_fn(|| sender.next()).count(), 3);
        // Nothing on the way is nothing to be careful about.
        sender.acknowledge(5 * MAX_DATA as u64, STREAM_WINDOW as u32);
        sender.rewind(true);
        sender.write(&[7; 2 * MAX_DATA]);
        assert_eq!(core::iter::from_fn(|| sender.next()).count(), 2);
    }

    // [R-SESS-010] [R-SESS-014]
    #[test]
    fn the_window_closes_and_opens_again() {
        let (mut sender, mut receiver) = (Sender::new(), Receiver::default());
        let (next, window) = receiver.ack();
        let told = next + u64::from(window);
        let much = vec![7; STREAM_WINDOW + 1];
        assert_eq!(sender.write(&much), STREAM_WINDOW);
        while let Some((offset, octets)) = sender.next() {
            assert!(receiver.receive(offset, &octets).is_some());
        }
        let (next, window) = receiver.ack();
        assert_eq!((next, window), (STREAM_WINDOW as u64, 0));
        // [R-SESS-015] What was told is not taken back.
        assert_eq!(next + u64::from(window), told);
        assert_eq!(receiver.receive(next, &[1]), None, "beyond the window");
        let progress = sender.acknowledge(next, window).unwrap();
        assert!(progress.writable, "the application was told that there is no room");
        assert_eq!(sender.write(&[1]), 1);
        assert_eq!(sender.next(), None, "the receiver has no room");
        assert!(sender.waits());
        assert_eq!(sender.on_overdue(), Some(STREAM_WINDOW as u64), "the message that opens the window may be lost");
        assert!(receiver.consume(STREAM_WINDOW as u32));
        let (next, window) = receiver.ack();
        assert_eq!(sender.acknowledge(next, window), None);
        assert_eq!(sender.next(), Some((STREAM_WINDOW as u64, vec![1])));
    }

    // [R-SESS-013] [R-SESS-017] [R-SESS-018]
    #[test]
    fn the_end_comes_after_the_last_octet_and_once() {
        let mut receiver = Receiver::default();
        assert!(receiver.finish(3));
        assert!(!receiver.take_end());
        assert_eq!(receiver.receive(0, b"abcd"), None, "beyond the end");
        assert_eq!(receiver.receive(0, b"abc"), Some(b"abc".as_slice()));
        assert!(!receiver.finish(4));
        assert!(receiver.take_end());
        assert!(!receiver.take_end());
    }

    // [R-SESS-016]
    #[test]
    fn an_acknowledgement_of_octets_never_sent_is_ignored() {
        let mut sender = Sender::new();
        sender.write(b"abc");
        for beyond in [4, 3, 1] {
            assert_eq!(sender.acknowledge(beyond, 100), None);
        }
        assert_eq!(sender.next(), Some((0, b"abc".to_vec())));
        sender.rewind(false);
        assert!(sender.acknowledge(3, 100).is_some(), "sent before the way changed");
        assert_eq!(sender.next(), None);
    }
}
