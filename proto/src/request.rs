//! Requests and answers (`spec/sessions.md`, "Requests").
//!
//! A request is repeated, sealed anew each time, until its answer comes. Its receiver remembers what it
//! answered and answers a repeat alike, without acting again. On a stream nothing is repeated, but a
//! request that stays unanswered is given up all the same.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::constants::{MAX_ANSWERS, MAX_REQUEST_RETRIES, MAX_REQUESTS, REQUEST_RETRY};
use crate::sorted::SortedMap;
use crate::time::{Duration, Instant};
use crate::wire::message::{Reply, Request, RequestId};

/// The requests of one sender under one key.
#[derive(Clone, Debug)]
pub(crate) struct Requests<T> {
    next: RequestId,
    outstanding: SortedMap<RequestId, Outstanding<T>>,
    round_trip: Option<Duration>,
}

/// A request that was not answered yet. `T` is what its sender wants to remember with it.
#[derive(Clone, Debug)]
pub(crate) struct Outstanding<T> {
    pub(crate) request: Request,
    pub(crate) tag: T,
    sent: Instant,
    due: Instant,
    wait: Duration,
    repeats: u8,
    repeated: bool,
}

/// What became due.
#[derive(Clone, Debug)]
pub(crate) enum Due<T> {
    /// Send the request again.
    Repeat(RequestId, Request, T),
    /// It was repeated often enough.
    GaveUp(Request, T),
}

impl<T: Clone> Requests<T> {
    pub(crate) const fn new() -> Self {
        Self { next: 0, outstanding: SortedMap::new(), round_trip: None }
    }

    /// Continues after requests that were sent before there was a table: `next` is the first free id.
    pub(crate) const fn resume(next: RequestId, round_trip: Option<Duration>) -> Self {
        Self { next, outstanding: SortedMap::new(), round_trip }
    }

    /// Takes an id for a request that its sender repeats by its own rules, or not at all.
    // [R-SESS-001]
    pub(crate) const fn reserve(&mut self) -> RequestId {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        id
    }

    /// Enters a request that is sent at `now`; `None` when there are too many.
    pub(crate) fn begin(&mut self, now: Instant, request: Request, tag: T, stream: bool) -> Option<RequestId> {
        // [R-SESS-007]
        if self.outstanding.len() >= MAX_REQUESTS {
            return None;
        }
        let id = self.reserve();
        // [R-SESS-002]
        let first = self.round_trip.map_or(REQUEST_RETRY * 2, |smoothed| smoothed * 3 / 2).max(REQUEST_RETRY);
        // On a stream the whole patience is spent in one wait.
        let (wait, repeats) =
            // [R-SESS-003]
            if stream { (first * (1 << (MAX_REQUEST_RETRIES + 1)), MAX_REQUEST_RETRIES) } else { (first, 0) };
        let entry = Outstanding { request, tag, sent: now, due: now + wait, wait, repeats, repeated: false };
        self.outstanding.insert(id, entry);
        Some(id)
    }

    /// Takes the request that an answer belongs to.
    pub(crate) fn answered(&mut self, now: Instant, id: RequestId) -> Option<Outstanding<T>> {
        let entry = self.outstanding.remove(&id)?;
        if !entry.repeated {
            let sample = now - entry.sent;
            self.round_trip = Some(self.round_trip.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
        }
        Some(entry)
    }

    /// The request that an answer would belong to.
    pub(crate) fn get(&self, id: RequestId) -> Option<&Outstanding<T>> {
        self.outstanding.get(&id)
    }

    /// Takes what is due at `now`, one at a time.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due<T>> {
        let (&id, entry) = self.outstanding.iter_mut().find(|(_, entry)| entry.due <= now)?;
        // [R-SESS-002]
        if entry.repeats >= MAX_REQUEST_RETRIES {
            let entry = self.outstanding.remove(&id)?;
            return Some(Due::GaveUp(entry.request, entry.tag));
        }
        entry.repeats += 1;
        entry.repeated = true;
        entry.wait *= 2;
        entry.due = now + entry.wait;
        Some(Due::Repeat(id, entry.request.clone(), entry.tag.clone()))
    }

    /// The next moment at which [`due`](Self::due) has something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.outstanding.values().map(|entry| entry.due).min()
    }

    /// Removes every request that `drop` names.
    pub(crate) fn forget(&mut self, mut drop: impl FnMut(&Request, &T) -> bool) {
        self.outstanding.retain(|_, entry| !drop(&entry.request, &entry.tag));
    }

    /// Whether one of the outstanding requests is like that.
    pub(crate) fn any(&self, mut like: impl FnMut(&Request, &T) -> bool) -> bool {
        self.outstanding.values().any(|entry| like(&entry.request, &entry.tag))
    }

    /// The smoothed round trip, once a request was answered without a repeat.
    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

/// What a receiver answered lately.
///
/// Most answers to one peer are the same, so each is kept once: a server has one of these for each registered peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// The place of the answer in `replies`, once there is one.
    recent: VecDeque<(RequestId, Option<u8>)>,
    replies: Vec<Option<Reply>>,
}

/// What is known of a request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is new and entered: act, then call [`Answers::answer`].
    New,
    /// It was acted on; the answer is not ready.
    Pending,
    /// Answer it alike.
    Answered(Reply),
}

impl Answers {
    /// Looks a request up and enters it if it is new.
    pub(crate) fn enter(&mut self, id: RequestId) -> Seen {
        // [R-SESS-004]
        match self.recent.iter().find(|(known, _)| *known == id) {
            Some((_, Some(place))) => {
                let reply = self.replies.get(usize::from(*place)).cloned().flatten();
                reply.map_or(Seen::Pending, Seen::Answered)
            }
            // [R-SESS-005]
            Some((_, None)) => Seen::Pending,
            None => {
                if self.recent.len() >= MAX_ANSWERS
                    && let Some((_, Some(place))) = self.recent.pop_front()
                {
                    self.let_go(place);
                }
                self.recent.push_back((id, None));
                Seen::New
            }
        }
    }

    /// Remembers the answer to a request.
    pub(crate) fn answer(&mut self, id: RequestId, reply: &Reply) {
        let Some(at) = self.recent.iter().position(|(known, _)| *known == id) else {
            return;
        };
        let same = self.replies.iter().position(|kept| kept.as_ref() == Some(reply));
        let place = same.or_else(|| self.replies.iter().position(Option::is_none)).unwrap_or_else(|| {
            self.replies.reserve_exact(1);
            self.replies.push(None);
            self.replies.len() - 1
        });
        self.replies[place] = Some(reply.clone());
        // There are no more answers than requests, of which there are `MAX_ANSWERS`.
        let before = core::mem::replace(&mut self.recent[at].1, u8::try_from(place).ok());
        if let Some(before) = before {
            self.let_go(before);
        }
    }

    /// Forgets an answer that no request has any more.
    fn let_go(&mut self, place: u8) {
        if self.recent.iter().all(|&(_, other)| other != Some(place)) {
            self.replies[usize::from(place)] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::control::{Acknowledge, Select};
    use alloc::vec;

    // [R-SESS-002]
    #[test]
    fn a_request_is_repeated_six_times_and_then_given_up() {
        let mut requests: Requests<()> = Requests::new();
        let id = requests.begin(Instant::ZERO, Request::Select(Select {}), (), false).unwrap();
        let mut repeats = 0;
        loop {
            let at = requests.deadline().unwrap();
            assert!(requests.due(Instant::from_micros(at.as_micros() - 1)).is_none());
            match requests.due(at).unwrap() {
                Due::Repeat(repeated, ..) => {
                    assert_eq!(repeated, id);
                    repeats += 1;
                }
                Due::GaveUp(..) => break,
            }
        }
        assert_eq!(repeats, MAX_REQUEST_RETRIES);
        assert!(requests.deadline().is_none());
        assert!(requests.answered(Instant::ZERO, id).is_none());
    }

    // [R-SESS-001] [R-SESS-002] [R-SESS-003]
    #[test]
    fn waits_double_from_twice_the_first_and_a_stream_waits_as_long_in_one_go() {
        let mut requests: Requests<()> = Requests::new();
        let begin = |requests: &mut Requests<()>, stream| {
            requests.begin(Instant::ZERO, Request::Select(Select {}), (), stream).unwrap()
        };
        let first = begin(&mut requests, false);
        let mut due = vec![];
        while let Some(at) = requests.deadline() {
            due.push(at.as_micros() / 1_000);
            requests.due(at);
        }
        assert_eq!(due, [200, 600, 1_400, 3_000, 6_200, 12_600, 25_400]);
        let second = begin(&mut requests, true);
        assert_ne!(first, second);
        let at = requests.deadline().unwrap();
        assert_eq!(at.as_micros() / 1_000, 25_600);
        assert!(matches!(requests.due(at), Some(Due::GaveUp(..))));
        // Half as much again as a round trip, once one was measured.
        let third = begin(&mut requests, false);
        requests.answered(Instant::from_micros(400_000), third).unwrap();
        begin(&mut requests, false);
        assert_eq!(requests.deadline(), Some(Instant::from_micros(600_000)));
    }

    // [R-SESS-004] [R-SESS-005]
    #[test]
    fn a_repeat_is_answered_alike_without_acting_again() {
        let mut answers = Answers::default();
        assert_eq!(answers.enter(7), Seen::New);
        assert_eq!(answers.enter(7), Seen::Pending);
        answers.answer(7, &Reply::Acknowledge(Acknowledge {}));
        assert_eq!(answers.enter(7), Seen::Answered(Reply::Acknowledge(Acknowledge {})));
        for id in 100..100 + MAX_ANSWERS as u32 {
            answers.enter(id);
        }
        assert_eq!(answers.enter(7), Seen::New);
    }

    // [R-SESS-004]
    #[test]
    fn equal_answers_are_kept_once_and_each_request_has_its_own() {
        let mut answers = Answers::default();
        let reply = |number: u16| {
            let observed = "192.0.2.1:7".parse().unwrap();
            Reply::Refreshed(crate::wire::control::Refreshed { lifetime: number, interval: 1, observed })
        };
        for id in 0..1_000u32 {
            assert_eq!(answers.enter(id), Seen::New);
            answers.answer(id, &reply((id / 40 % 3) as u16));
            for earlier in id.saturating_sub(MAX_ANSWERS as u32 - 1)..=id {
                assert_eq!(answers.enter(earlier), Seen::Answered(reply((earlier / 40 % 3) as u16)));
            }
            assert!(answers.replies.len() <= 2, "{}", answers.replies.len());
        }
        // All different.
        for id in 5_000..5_100u32 {
            answers.enter(id);
            answers.answer(id, &reply(id as u16));
            answers.answer(id, &reply(id as u16));
        }
        for id in 5_100 - MAX_ANSWERS as u32..5_100 {
            assert_eq!(answers.enter(id), Seen::Answered(reply(id as u16)));
        }
        assert!(answers.replies.len() <= MAX_ANSWERS);
    }
}
