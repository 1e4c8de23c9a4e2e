//! Dials: the TCP half of an attempt (`spec/punching-tcp.md`).

use super::{Attempt, Session};
use crate::constants::{DIAL_RETRY, DIAL_RETRY_AFTER_RESET, MAX_DIALS};
use crate::endpoint::Endpoint;
use crate::engine::{NetError, StreamId, Transport};
use crate::peer::core::{Core, Purpose, Timer};
use crate::peer::path::Link;
use crate::time::{Duration, Instant};

/// The dials to one candidate.
#[derive(Clone, Debug)]
pub(in crate::peer) struct Dial {
    pub(super) remote: Endpoint,
    pub(super) stream: Option<StreamId>,
    pub(super) tries: u8,
    pub(super) at: Option<Instant>,
}

impl Session {
    /// Ends dials that have not connected. Those that have are paths.
    pub(super) fn stop_dials(&mut self, core: &mut Core) {
        if let Attempt::Running { dials, .. } = &mut self.attempt {
            for stream in dials.iter_mut().filter_map(|dial| dial.stream.take()) {
                core.close(stream, true);
            }
        }
    }

    pub(super) fn on_dials_due(&mut self, core: &mut Core) {
        let handle = self.handle;
        let Attempt::Running { dials, .. } = &mut self.attempt else {
            return;
        };
        let mut next: Option<Instant> = None;
        for dial in dials.iter_mut() {
            let Some(at) = dial.at else { continue };
            if at > core.now {
                next = Some(next.map_or(at, |next| next.min(at)));
                continue;
            }
            dial.at = None;
            let Some(socket) = core.port_of(Transport::Tcp, dial.remote.family()) else {
                continue;
            };
            if core.budget.take(core.now, dial.remote.address(), SYN_OCTETS) {
                dial.tries += 1;
                dial.stream = Some(core.dial(socket, dial.remote, Purpose::Dial(handle)));
            }
        }
        if let Some(at) = next {
            core.timers.set(Timer::Dial(handle), at);
        }
    }

    /// Whether the attempt dials this endpoint, or has given that up.
    pub(in crate::peer) fn is_dialling(&self, endpoint: Endpoint) -> bool {
        matches!(&self.attempt, Attempt::Running { dials, .. } if dials.iter().any(|dial| dial.remote == endpoint))
    }

    /// A stream to where this session dials is there: who dialled speaks first.
    pub(in crate::peer) fn on_dialled(&mut self, core: &mut Core, stream: StreamId) {
        if let Attempt::Running { dials, .. } = &mut self.attempt {
            for dial in dials.iter_mut().filter(|dial| dial.stream == Some(stream)) {
                dial.stream = None;
            }
        }
        let Some(remote) = core.streams.get(&stream).map(|entry| entry.remote) else {
            return;
        };
        let Some(at) = self.add_stream_path(core, stream, remote) else {
            return;
        };
        // [R-TCP-006]
        if let Some((packet, nonce)) = self.opening(core, at, None) {
            self.paths[at].remember(nonce, false);
            core.write(stream, &packet);
        }
    }

    /// A dial of this session failed: again, unless the tuple is connected already.
    pub(in crate::peer) fn on_dial_failed(&mut self, core: &mut Core, stream: StreamId, error: Option<NetError>) {
        let Attempt::Running { dials, .. } = &mut self.attempt else {
            return;
        };
        let Some(dial) = dials.iter_mut().find(|dial| dial.stream == Some(stream)) else {
            return;
        };
        dial.stream = None;
        let remote = dial.remote;
        self.dial_again(core, remote, error);
    }

    /// The dial to a candidate of this attempt failed, or its stream ended before it proved anything, as where
    /// two handshakes crossed and each side took the other's for its own.
    pub(super) fn dial_again(&mut self, core: &mut Core, remote: Endpoint, error: Option<NetError>) {
        let jitter = core.visible.below(DIAL_RETRY_JITTER);
        let Attempt::Running { dials, .. } = &mut self.attempt else {
            return;
        };
        let Some(dial) = dials.iter_mut().find(|dial| dial.remote == remote && dial.stream.is_none()) else {
            return;
        };
        // [R-TCP-004]
        if dial.tries >= MAX_DIALS {
            return;
        }
        let wait = match error {
            Some(NetError::Refused | NetError::Reset) => DIAL_RETRY_AFTER_RESET,
            // [R-TCP-005]
            // The tuple is connected or being accepted: the stream comes by the listener.
            Some(NetError::AddressNotAvailable | NetError::AddressInUse) => DIAL_RETRY * 2,
            Some(NetError::Unreachable | NetError::NotPermitted | NetError::TimedOut | NetError::Other) | None => {
                DIAL_RETRY * 4 / 5 + Duration::from_micros(jitter)
            }
        };
        let at = core.now + wait;
        dial.at = Some(at);
        core.timers.set_earlier(Timer::Dial(self.handle), at);
    }

    /// Makes a stream a path of this session.
    pub(super) fn add_stream_path(&mut self, core: &mut Core, stream: StreamId, remote: Endpoint) -> Option<usize> {
        let at = self.add_path(core, Link::Stream { stream, remote });
        let Some(at) = at else {
            core.close(stream, true);
            return None;
        };
        // [R-SEC-034]
        self.paths[at].lane = self.association.as_mut().map(crate::association::Association::lane);
        if let Some(entry) = core.streams.get_mut(&stream) {
            entry.purpose = Purpose::Path(self.handle, self.paths[at].id);
        }
        core.timers.clear(Timer::FirstFrame(stream));
        Some(at)
    }
}

/// What a SYN costs of the budget, in octets.
const SYN_OCTETS: usize = 60;
/// The spread of [`DIAL_RETRY`], in microseconds.
const DIAL_RETRY_JITTER: u64 = 400_000;
