//! What a session's handles and the node's thread share.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use pinhole_proto::peer::{CloseReason, SessionHandle};
use pinhole_proto::{PeerId, Transport};
use tokio::sync::{Notify, mpsc, watch};

use crate::actor::Signal;
use crate::moment::Moment;
use crate::paths::Paths;

/// The most datagrams that wait for a slow application; what comes on top is dropped and counted.
pub(crate) const MAX_INBOX: usize = 1_024;
/// The most octets that wait between a [`StreamWriter`](crate::StreamWriter) and the engine.
pub(crate) const MAX_OUTBOUND: usize = 65_536;
/// So many octets are read before the window is opened, unless everything was read.
const CONSUME_STEP: u32 = 32_768;

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Opening,
    Established,
    Closed(CloseReason),
}

pub(crate) struct Shared {
    pub(crate) handle: SessionHandle,
    pub(crate) peer: PeerId,
    pub(crate) initiator: bool,
    pub(crate) opened_at: Moment,
    pub(crate) transport: OnceLock<Transport>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) paths: watch::Sender<Paths>,
    pub(crate) acknowledged: watch::Sender<u64>,
    pub(crate) inbox_ready: Notify,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// The other peer has proved that it holds its key.
    pub(crate) proved: bool,
    pub(crate) inbox: VecDeque<Vec<u8>>,
    pub(crate) inbox_dropped: u64,
    pub(crate) send_dropped: u64,
    pub(crate) split: bool,
    pub(crate) inbound: VecDeque<u8>,
    pub(crate) finished: bool,
    pub(crate) consumed: u32,
    pub(crate) reader: Option<Waker>,
    pub(crate) outbound: VecDeque<u8>,
    pub(crate) written: u64,
    pub(crate) finish: Finish,
    pub(crate) writer: Option<Waker>,
    /// A [`Signal::Pump`] is on its way, so that there is never more than one.
    pub(crate) pump_sent: bool,
}

/// How far the end of this side's byte stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finish {
    #[default]
    No,
    Asked,
    Done,
}

impl Shared {
    pub(crate) fn new(
        handle: SessionHandle,
        peer: PeerId,
        initiator: bool,
        opened_at: Moment,
        signals: mpsc::UnboundedSender<Signal>,
    ) -> Self {
        Self {
            handle,
            peer,
            initiator,
            opened_at,
            transport: OnceLock::new(),
            phase: watch::Sender::new(Phase::Opening),
            paths: watch::Sender::new(Paths::default()),
            acknowledged: watch::Sender::new(0),
            inbox_ready: Notify::new(),
            signals,
            state: Mutex::new(State::default()),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way, so a poisoned state is a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        match *self.phase.borrow() {
            Phase::Closed(reason) => Some(reason),
            Phase::Opening | Phase::Established => None,
        }
    }

    /// Asks the node's thread to look at this session's buffers.
    pub(crate) fn pump(&self, state: &mut State) {
        if !state.pump_sent {
            state.pump_sent = true;
            // The receiver is gone only when the node is, and then nothing is left to do.
            let _ = self.signals.send(Signal::Pump(self.handle));
        }
    }

    /// Counts octets that the application took, and opens the window in steps.
    pub(crate) fn consume(&self, state: &mut State, octets: usize) {
        state.consumed = state.consumed.saturating_add(u32::try_from(octets).unwrap_or(u32::MAX));
        if state.consumed >= CONSUME_STEP || state.inbound.is_empty() {
            self.pump(state);
        }
    }

    pub(crate) fn on_datagram(&self, octets: &[u8]) {
        let mut state = self.state();
        if state.inbox.len() < MAX_INBOX {
            state.inbox.push_back(octets.to_vec());
            drop(state);
            self.inbox_ready.notify_one();
        } else {
            state.inbox_dropped += 1;
        }
    }

    pub(crate) fn on_stream(&self, octets: &[u8]) {
        let mut state = self.state();
        state.inbound.extend(octets);
        wake(&mut state.reader);
    }

    pub(crate) fn on_finished(&self) {
        let mut state = self.state();
        state.finished = true;
        wake(&mut state.reader);
    }

    pub(crate) fn on_closed(&self, reason: CloseReason) {
        self.phase.send_replace(Phase::Closed(reason));
        let mut state = self.state();
        wake(&mut state.reader);
        wake(&mut state.writer);
        drop(state);
        self.inbox_ready.notify_waiters();
    }
}

pub(crate) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
