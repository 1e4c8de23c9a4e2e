//! The two halves of an established connection: what was sent and not acknowledged, and what arrived
//! and was not read.

use alloc::collections::VecDeque;

use pinhole_proto::sorted::SortedMap;
use pinhole_proto::{Duration, Instant};

use crate::packet::Octets;

/// The sending half. Every segment has its own acknowledgement and its own retransmission timer.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    queue: VecDeque<u8>,
    flight: VecDeque<Flight>,
    /// The number of the next octet to be sent for the first time.
    pub(super) next: u64,
    /// The number up to which the other side has room.
    edge: u64,
    finish: Finish,
    round_trip: Option<Duration>,
    probe: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Flight {
    seq: u64,
    octets: Octets,
    fin: bool,
    sent: Instant,
    tries: u32,
    acknowledged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    No,
    Wanted,
    Sent,
}

/// What a sender wants on the wire.
pub(super) enum Emission {
    /// A segment.
    Segment { seq: u64, octets: Octets, fin: bool },
    /// A question whether there is room again.
    Probe,
    /// Nothing; the other side has not answered for too long.
    GiveUp,
}

impl Sender {
    pub(super) const fn new(next: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            flight: VecDeque::new(),
            next,
            edge: 0,
            finish: Finish::No,
            round_trip: None,
            probe: None,
        }
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        self.queue.extend(octets);
    }

    pub(super) fn unwritten(&self) -> usize {
        let flying: usize = self.flight.iter().map(|flight| flight.octets.len()).sum();
        self.queue.len() + flying
    }

    pub(super) fn finish(&mut self) {
        if self.finish == Finish::No {
            self.finish = Finish::Wanted;
        }
    }

    /// Whether everything, the FIN included, was acknowledged.
    pub(super) fn is_finished(&self) -> bool {
        self.finish == Finish::Sent && self.flight.is_empty()
    }

    /// The other side's word on what arrived; answers how many octets have left the buffer for good.
    pub(super) fn on_ack(&mut self, now: Instant, ack: u64, single: Option<u64>, window: u32) -> u32 {
        self.edge = self.edge.max(ack + u64::from(window));
        if window > 0 {
            self.probe = None;
        }
        for flight in &mut self.flight {
            let arrived = flight.end() <= ack || single == Some(flight.seq);
            if arrived && !flight.acknowledged {
                flight.acknowledged = true;
                if flight.tries == 0 {
                    let sample = now - flight.sent;
                    let smooth = self.round_trip.map_or(sample, |old| (old * 7 + sample) / 8);
                    self.round_trip = Some(smooth);
                }
            }
        }
        let mut credit = 0;
        while let Some(flight) = self.flight.front().filter(|flight| flight.acknowledged) {
            credit += u32::try_from(flight.octets.len()).unwrap_or(0);
            self.flight.pop_front();
        }
        credit
    }

    /// The next segment that is due: a first transmission within the window, or a repetition.
    pub(super) fn emit(&mut self, now: Instant, most: usize) -> Option<Emission> {
        let timeout = self.timeout();
        let late = |flight: &&mut Flight| !flight.acknowledged && flight.deadline(timeout) <= now;
        if let Some(flight) = self.flight.iter_mut().find(late) {
            if flight.tries >= MOST_TRIES {
                return Some(Emission::GiveUp);
            }
            flight.tries += 1;
            flight.sent = now;
            return Some(Emission::Segment { seq: flight.seq, octets: flight.octets.clone(), fin: flight.fin });
        }
        let room = usize::try_from(self.edge.saturating_sub(self.next)).unwrap_or(usize::MAX);
        let length = self.queue.len().min(most).min(room);
        let fin = self.finish == Finish::Wanted && length == self.queue.len();
        if length == 0 && !fin {
            return self.emit_probe(now, timeout);
        }
        let octets: Octets = self.queue.drain(..length).collect();
        let seq = self.next;
        if fin {
            self.finish = Finish::Sent;
        }
        let flight = Flight { seq, octets: octets.clone(), fin, sent: now, tries: 0, acknowledged: false };
        self.next = flight.end();
        self.flight.push_back(flight);
        Some(Emission::Segment { seq, octets, fin })
    }

    fn emit_probe(&mut self, now: Instant, timeout: Duration) -> Option<Emission> {
        if self.queue.is_empty() || !self.flight.is_empty() {
            self.probe = None;
            return None;
        }
        let due = self.probe.is_some_and(|at| at <= now);
        if due || self.probe.is_none() {
            self.probe = Some(now + timeout);
        }
        due.then_some(Emission::Probe)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let timeout = self.timeout();
        let repeat =
            self.flight.iter().filter(|flight| !flight.acknowledged).map(|flight| flight.deadline(timeout)).min();
        repeat.into_iter().chain(self.probe).min()
    }

    fn timeout(&self) -> Duration {
        self.round_trip.map_or(FIRST_TIMEOUT, |trip| (trip * 2).max(SHORTEST_TIMEOUT))
    }
}

impl Flight {
    fn end(&self) -> u64 {
        self.seq + self.octets.len() as u64 + u64::from(self.fin)
    }

    fn deadline(&self, timeout: Duration) -> Instant {
        self.sent + (timeout * (1 << self.tries.min(16))).min(LONGEST_TIMEOUT)
    }
}

/// The receiving half.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// The number expected next.
    pub(super) next: u64,
    capacity: u32,
    ready: VecDeque<Octets>,
    held: usize,
    early: SortedMap<u64, (Octets, bool)>,
    reading: bool,
    finished: bool,
}

impl Receiver {
    pub(super) const fn new(next: u64, capacity: u32) -> Self {
        Self {
            next,
            capacity,
            ready: VecDeque::new(),
            held: 0,
            early: SortedMap::new(),
            reading: true,
            finished: false,
        }
    }

    /// How many octets there is room for.
    pub(super) fn window(&self) -> u32 {
        let held = u32::try_from(self.held).unwrap_or(u32::MAX);
        self.capacity.saturating_sub(held)
    }

    pub(super) const fn read(&mut self, on: bool) {
        self.reading = on;
    }

    pub(super) const fn is_reading(&self) -> bool {
        self.reading
    }

    /// Whether a number lies where the next octets are expected.
    pub(super) fn expects(&self, seq: u64) -> bool {
        (self.next..=self.next + u64::from(self.window())).contains(&seq)
    }

    /// Takes a segment; answers whether it is kept. The sender cuts every repetition the same way.
    pub(super) fn accept(&mut self, seq: u64, octets: &Octets, fin: bool) -> bool {
        let end = seq + octets.len() as u64;
        if seq < self.next || end > self.next + u64::from(self.window()) {
            return false;
        }
        self.early.insert(seq, (octets.clone(), fin));
        while let Some((octets, fin)) = self.early.remove(&self.next) {
            self.next += octets.len() as u64 + u64::from(fin);
            self.finished |= fin;
            if !octets.is_empty() {
                self.held += octets.len();
                self.ready.push_back(octets);
            }
        }
        true
    }

    /// The next octets for the engine, if it reads.
    pub(super) fn take(&mut self) -> Option<Octets> {
        if !self.reading {
            return None;
        }
        let octets = self.ready.pop_front()?;
        self.held -= octets.len();
        Some(octets)
    }

    /// Whether the other side has ended and everything before was taken.
    pub(super) fn is_finished(&self) -> bool {
        self.finished && self.ready.is_empty()
    }
}

const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(200);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a segment is repeated before the connection is given up.
const MOST_TRIES: u32 = 15;
