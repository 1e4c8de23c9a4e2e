//! Dials: the TCP half of an attempt (`spec/punching-tcp.md`).

use alloc::vec::Vec;

use super::volley::Agreed;
use super::{Attempt, PeerEvent, RelayPolicy, Selection, Session};
use crate::constants::{
    DIAL_JITTER, DIAL_RETRY, DIAL_RETRY_AFTER_RESET, GUESS_TIMEOUT, MAX_DIALS, TCP_ATTEMPT_TIMEOUT,
};
use crate::endpoint::Endpoint;
use crate::engine::{NetError, SocketId, StreamId, Transport};
use crate::peer::core::{Core, Purpose, Timer};
use crate::peer::leg::Leg;
use crate::peer::path::{Link, PathId};
use crate::time::{Duration, Instant};
use crate::wire::code::Strategy;

/// The dials to one candidate.
#[derive(Clone, Debug)]
pub(in crate::peer) struct Dial {
    pub(super) remote: Endpoint,
    /// The throw-away port that it is made from; none: the one that faces the server.
    from: Option<SocketId>,
    pub(super) stream: Option<StreamId>,
    pub(super) tries: u8,
    pub(super) at: Option<Instant>,
    /// What the first SYN is for, where it is not to connect.
    early: Option<Early>,
    /// Nothing is dialled any more: the other side does.
    passive: bool,
    /// The remote port is a guess: it has the budget of shots.
    guess: bool,
}

/// A first SYN that opens the near NAT and is not expected to connect.
#[derive(Clone, Copy, Debug)]
struct Early {
    /// It dies on the way.
    ttl: Option<u8>,
    until: Instant,
}

impl Dial {
    pub(super) const fn at(remote: Endpoint, at: Instant) -> Self {
        Self { remote, from: None, stream: None, tries: 0, at: Some(at), early: None, passive: false, guess: false }
    }
}

impl Dial {
    /// One side's SYN opens its NAT, then the other side dials.
    // [R-TCP-013]
    fn by_turns(mut self, agreed: &Agreed) -> Self {
        let from = self.at.map(|at| at + agreed.delay);
        if agreed.proposer {
            self.at = from;
        } else {
            self.early = from.map(|until| Early { ttl: None, until });
            self.passive = true;
        }
        self
    }
}

impl Session {
    /// Ends dials that have not connected, and samples. Those that have are paths.
    pub(super) fn stop_dials(&mut self, core: &mut Core) {
        if let Attempt::Sampling { sampler, .. } = &mut self.attempt {
            sampler.hang_up(core);
        }
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
            // It is dialled when it is open.
            if dial.from.is_some_and(|from| !core.is_open(from)) {
                continue;
            }
            if at > core.now {
                next = Some(next.map_or(at, |next| next.min(at)));
                continue;
            }
            dial.at = None;
            // An early SYN had its time. A dial that is ended before it is answered sends nothing.
            if let Some(stream) = dial.stream.take() {
                core.close(stream, true);
            }
            let early = dial.early.filter(|early| early.until > core.now);
            dial.early = early;
            if early.is_none() && dial.passive {
                continue;
            }
            let Some(socket) = dial.from.or_else(|| core.port_of(Transport::Tcp, dial.remote.family())) else {
                continue;
            };
            if let Some(early) = early {
                dial.at = Some(early.until);
                next = Some(next.map_or(early.until, |next| next.min(early.until)));
            }
            let address = dial.remote.address();
            let affordable = if dial.guess {
                // [R-PRED-006]
                core.budget.take_shot(core.now, address)
            } else {
                core.budget.take(core.now, address, SYN_OCTETS)
            };
            if affordable {
                self.spent.shots += u32::from(dial.guess);
                dial.tries += u8::from(early.is_none());
                let ttl = early.and_then(|early| early.ttl);
                dial.stream = Some(core.dial_with(socket, dial.remote, ttl, Purpose::Dial(handle)));
            }
        }
        if let Some(at) = next {
            core.timers.set(Timer::Dial(handle), at);
        }
    }

    /// Begins an attempt over TCP that both sides agreed on.
    pub(super) fn begin_dials(&mut self, core: &mut Core, agreed: &Agreed) {
        let (started, from) = (core.now, core.now + agreed.delay);
        let other = agreed.other.forecast.endpoint;
        let dials = match agreed.strategy {
            Strategy::TCP_PREDICTED => self.dials_at_guesses(core, agreed),
            Strategy::TCP_SEQUENTIAL_CLOSE => {
                let port = agreed.sockets.first().copied();
                port.map(|port| Dial { from: Some(port), ..Dial::at(other, started).by_turns(agreed) })
                    .into_iter()
                    .collect()
            }
            Strategy::LOW_TTL => {
                // [R-TCP-012]
                let early = Some(Early { ttl: u8::try_from(agreed.width).ok(), until: from });
                self.candidates.iter().map(|&remote| Dial { early, ..Dial::at(remote, started) }).collect()
            }
            _ => self.candidates.iter().map(|&remote| Dial::at(remote, started).by_turns(agreed)).collect(),
        };
        let patience = if agreed.strategy == Strategy::TCP_PREDICTED { GUESS_TIMEOUT } else { TCP_ATTEMPT_TIMEOUT };
        self.attempt = Attempt::Running { number: agreed.number, started, round: 0, dials, volley: None };
        self.tell_attempt(core, agreed.number, agreed.strategy, agreed.width);
        // [R-PUNCH-012]
        core.timers.set(Timer::Attempt(self.handle), from + patience);
        core.timers.set(Timer::Dial(self.handle), from);
        self.on_dials_due(core);
    }

    /// A dial from each end to each port that an attempt over TCP guesses.
    fn dials_at_guesses(&mut self, core: &mut Core, agreed: &Agreed) -> Vec<Dial> {
        let Some(main) = core.port_of(Transport::Tcp, agreed.other.forecast.endpoint.family()) else {
            return Vec::new();
        };
        // [R-PRED-013] The proposer hears of the agreement later by as much.
        let at = if agreed.proposer { core.now } else { core.now + agreed.delay };
        let guesses = self.guesses(core, agreed, Transport::Tcp, main);
        let dial = |(port, remote)| Dial {
            from: Some(port).filter(|port| *port != main),
            guess: true,
            ..Dial::at(remote, at)
        };
        guesses.into_iter().map(dial).collect()
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
        let Some(at) = dials.iter().position(|dial| dial.stream == Some(stream)) else {
            return;
        };
        dials[at].stream = None;
        // [R-TCP-012] [R-TCP-013] That was expected.
        if dials[at].early.is_none() {
            self.redial(core, at, error);
        }
    }

    /// The dial to a candidate of this attempt failed, or its stream ended before it proved anything, as where
    /// two handshakes crossed and each side took the other's for its own.
    pub(super) fn dial_again(&mut self, core: &mut Core, remote: Endpoint, error: Option<NetError>) {
        let Attempt::Running { dials, .. } = &mut self.attempt else {
            return;
        };
        if let Some(at) = dials.iter().position(|dial| dial.remote == remote && dial.stream.is_none()) {
            self.redial(core, at, error);
        }
    }

    fn redial(&mut self, core: &mut Core, at: usize, error: Option<NetError>) {
        let wait = match error {
            Some(NetError::Refused | NetError::Reset) => DIAL_RETRY_AFTER_RESET,
            // [R-TCP-005]
            // The tuple is connected or being accepted: the stream comes by the listener.
            Some(NetError::AddressNotAvailable | NetError::AddressInUse) => DIAL_RETRY * 2,
            Some(NetError::Unreachable | NetError::NotPermitted | NetError::TimedOut | NetError::Other) | None => {
                DIAL_RETRY
            }
        };
        // Two sides that keep step miss each other by as much every time.
        let spread = wait * u32::from(DIAL_JITTER) / 100;
        let jitter = core.visible.below(u64::try_from(spread.as_micros() * 2).unwrap_or(u64::MAX));
        let wait = wait - spread + Duration::from_micros(jitter);
        let Attempt::Running { dials, .. } = &mut self.attempt else {
            return;
        };
        let dial = &mut dials[at];
        // [R-TCP-004]
        if dial.tries >= MAX_DIALS || dial.passive || dial.early.is_some() {
            return;
        }
        let at = core.now + wait;
        dial.at = Some(at);
        core.timers.set_earlier(Timer::Dial(self.handle), at);
    }

    /// Takes the streams of a session whose place this one takes: between the same endpoints there is no second one.
    // [R-TCP-015]
    pub(in crate::peer) fn inherit(&mut self, core: &mut Core, other: &mut Self) {
        if self.transport != Some(Transport::Tcp) || core.config.relay == RelayPolicy::Only || self.works() {
            return;
        }
        for (stream, remote) in other.hand_over(core) {
            match core.streams.get_mut(&stream) {
                Some(entry) if entry.local.is_some() => self.on_dialled(core, stream),
                Some(entry) => {
                    let handle = self.handle;
                    let waiting = match &mut self.attempt {
                        Attempt::Running { dials, .. } => {
                            dials.iter_mut().find(|dial| dial.remote == remote && dial.stream.is_none())
                        }
                        _ => None,
                    };
                    if let Some(dial) = waiting {
                        entry.purpose = Purpose::Dial(handle);
                        (dial.stream, dial.at) = (Some(stream), None);
                    } else {
                        core.close(stream, true);
                    }
                }
                None => {}
            }
        }
    }

    /// Gives up its connected streams, that which carries data first, and the dials that are under way.
    fn hand_over(&mut self, core: &Core) -> Vec<(StreamId, Endpoint)> {
        let mut streams = Vec::new();
        let selected = self.selected;
        self.paths.retain(|path| match path.link {
            Link::Stream { stream, remote } if core.is_connected(stream) => {
                let place = if selected == Selection::Path(path.id) { 0 } else { streams.len() };
                streams.insert(place, (stream, remote));
                false
            }
            Link::Stream { .. } | Link::Udp { .. } | Link::Relay => true,
        });
        if let Attempt::Running { dials, .. } = &mut self.attempt {
            let plain = dials.iter_mut().filter(|dial| dial.early.is_none() && dial.from.is_none());
            streams.extend(plain.filter_map(|dial| Some((dial.stream.take()?, dial.remote))));
        }
        streams
    }

    /// A later session with the same peer took the stream of this path.
    pub(in crate::peer) fn on_stream_taken(&mut self, core: &mut Core, leg: &mut Leg, path: PathId) {
        let Some(at) = self.position(Some(path)) else {
            return;
        };
        let path = self.paths.remove(at);
        if self.selected == Selection::Path(path.id) {
            core.event(PeerEvent::PathLost { session: self.handle, path: self.info(&path) });
            self.selected = Selection::Nothing;
            if self.channel.is_some() {
                self.select(core, leg, Selection::Relay);
            }
        }
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
