//! How long the NAT on the way keeps a mapping that nobody uses (`spec/keepalive.md`, "How long a NAT waits").
//!
//! A *trial* is a spare socket with one `Echo` on it: the mapping of that socket lives if the answer arrives
//! after so much silence. What a trial finds holds for the network, so that every session uses it, and no
//! session's own mapping is ever put at risk.

use alloc::vec::Vec;

use super::{Leg, Slot, decode_all, offered};
use crate::constants::{ECHO_GRACE, KEEPALIVE_STEPS};
use crate::discard::Discard;
use crate::endpoint::{Endpoint, Family};
use crate::engine::{SocketId, Transport};
use crate::peer::core::{Core, Timer};
use crate::replay::Arrival;
use crate::time::{Duration, Instant};
use crate::wire::Packet;
use crate::wire::control::Echo;
use crate::wire::discover::{Discover, Discovered, ReplyFrom, TransactionId};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::sealed::Sealed;

/// What is known of one binding's network.
#[derive(Clone, Default)]
pub(in crate::peer) struct Idle {
    /// A session has a use for it.
    wanted: bool,
    measured: bool,
    trials: Vec<Trial>,
    /// The longest silence that a mapping survived, in seconds.
    proved: Option<u8>,
    /// The longest interval at which no path has died, in seconds.
    limit: Option<u8>,
    along: Along,
}

/// Whether the registration's refreshes keep what else leaves from its socket, as a NAT does that times a
/// mapping as a whole.
#[derive(Clone, Copy, Default)]
enum Along {
    #[default]
    Unknown,
    /// A spare socket asks the server to answer from its other port, from which nothing may arrive.
    Filter {
        socket: SocketId,
        transaction: TransactionId,
        tries: u8,
        until: Instant,
    },
    /// The registration's socket has sent to the other port once, and waits.
    Waiting {
        request: RequestId,
        until: Instant,
    },
    Known(bool),
}

/// One spare socket.
#[derive(Clone, Copy)]
struct Trial {
    socket: SocketId,
    /// A place in [`KEEPALIVE_STEPS`].
    step: usize,
    /// What was asked, once the socket was open, and until when the answer is waited for.
    asked: Option<(RequestId, Instant)>,
}

impl Idle {
    /// The longest silence that a mapping is known to survive.
    pub(in crate::peer) fn proved(&self) -> Option<Duration> {
        self.proved.map(seconds)
    }

    /// The same, as long as no path died sooner.
    pub(in crate::peer) fn safe(&self) -> Option<Duration> {
        self.proved.map(|proved| seconds(self.limit.map_or(proved, |limit| limit.min(proved))))
    }

    /// The network is another one: nothing is known of it.
    pub(super) const fn forget(&mut self) {
        self.proved = None;
        self.limit = None;
        self.measured = false;
        self.along = Along::Unknown;
    }

    fn at(&self, socket: SocketId) -> Option<usize> {
        self.trials.iter().position(|trial| trial.socket == socket)
    }
}

impl Leg {
    /// The interval at which a path of this family is kept.
    pub(in crate::peer) fn keepalive(&self, core: &Core, family: Family) -> Duration {
        let first = core.config.keepalive;
        // [R-KEEP-011] [R-KEEP-017]
        let Some((slot, proved)) = self.udp(family).and_then(|slot| Some((slot, self.bindings[slot].idle.proved()?)))
        else {
            return first;
        };
        let idle = &self.bindings[slot].idle;
        let along = matches!(idle.along, Along::Known(true)) && self.bindings[slot].is_online();
        let proved = if along { seconds(LONGEST) } else { proved };
        idle.limit.map_or(proved, |limit| proved.min(seconds(limit).max(first)))
    }

    /// A session has a direct path to keep: find out how long the NAT waits, if that is not known.
    pub(in crate::peer) fn measure_idle(&mut self, core: &mut Core, family: Family) {
        if let Some(slot) = self.udp(family).filter(|_| core.config.adapt_keepalive) {
            self.bindings[slot].idle.wanted = true;
            self.start_trials(core, slot);
        }
    }

    /// A path died at an interval that was thought to be safe.
    pub(in crate::peer) fn lower_keepalive(&mut self, core: &Core, family: Family, used: Duration) {
        // [R-KEEP-012]
        if let Some(slot) = self.udp(family).filter(|_| used > core.config.keepalive) {
            let lower = KEEPALIVE_STEPS.into_iter().rev().find(|step| seconds(*step) < used);
            let idle = &mut self.bindings[slot].idle;
            idle.limit = idle.limit.into_iter().chain(lower).min();
        }
    }

    /// Whether a socket is one of a trial.
    pub(in crate::peer) fn is_spare(&self, socket: SocketId) -> bool {
        self.trial(socket).is_some() || self.filter(socket).is_some()
    }

    /// Whether a packet is from the server's other port to the registration's socket.
    pub(in crate::peer) fn is_along(&self, socket: SocketId, remote: Endpoint) -> bool {
        self.bindings.iter().any(|binding| binding.socket == socket && binding.alternates.other_port == Some(remote))
    }

    /// A sealed packet from the server's other port.
    pub(in crate::peer) fn on_along_sealed(
        &mut self,
        core: &mut Core,
        socket: SocketId,
        sealed: &Sealed<'_>,
    ) -> Result<(), Discard> {
        let slot = self.bindings.iter().position(|binding| binding.socket == socket).ok_or(Discard::SocketUnknown)?;
        let Along::Waiting { request, .. } = self.bindings[slot].idle.along else {
            return Err(Discard::SourceWrong);
        };
        self.open_answer(sealed, request)?;
        self.bindings[slot].idle.along = Along::Known(true);
        self.schedule_trials(core, slot);
        Ok(())
    }

    /// The server answers a spare socket's `Discover` from its other port: the NAT lets others in than those
    /// that were sent to, so that the other port stands for nobody else.
    pub(in crate::peer) fn on_spare_discovered(
        &mut self,
        core: &mut Core,
        socket: SocketId,
        remote: Endpoint,
        found: &Discovered,
    ) -> Result<(), Discard> {
        let slot = self.filter(socket).ok_or(Discard::SocketUnknown)?;
        match self.bindings[slot].idle.along {
            Along::Filter { transaction, .. } if transaction == found.transaction => {}
            // [R-DISC-009]
            _ => return Err(Discard::TransactionUnknown),
        }
        if self.bindings[slot].alternates.other_port != Some(remote) {
            return Err(Discard::SourceWrong);
        }
        core.shut(socket);
        self.bindings[slot].idle.along = Along::Known(false);
        self.schedule_trials(core, slot);
        Ok(())
    }

    /// A sealed packet of the server on the socket of a trial.
    pub(in crate::peer) fn on_spare_sealed(
        &mut self,
        core: &mut Core,
        socket: SocketId,
        remote: Endpoint,
        sealed: &Sealed<'_>,
    ) -> Result<(), Discard> {
        let (slot, at) = self.trial(socket).ok_or(Discard::SocketUnknown)?;
        if self.bindings[slot].server != remote {
            return Err(Discard::SourceWrong);
        }
        let trial = self.bindings[slot].idle.trials[at];
        let (request, _) = trial.asked.ok_or(Discard::RequestUnknown)?;
        self.open_answer(sealed, request)?;
        let binding = &mut self.bindings[slot];
        binding.idle.proved = binding.idle.proved.max(Some(KEEPALIVE_STEPS[trial.step]));
        // A NAT that forgets sooner than the server wants to be told.
        let safe = seconds(KEEPALIVE_STEPS[trial.step]);
        if safe < binding.interval {
            binding.interval = safe;
            core.timers.set_earlier(Timer::Binding(slot), core.now + safe * 9 / 10);
        }
        // What is shorter survives, too.
        let over = |other: &Trial| other.step <= trial.step;
        self.end_trials_that(core, slot, over);
        self.on_trials_changed(core, slot);
        Ok(())
    }

    /// Opens the answer to an `Echo`.
    fn open_answer(&mut self, sealed: &Sealed<'_>, request: RequestId) -> Result<(), Discard> {
        let registration = self.registration.as_mut().ok_or(Discard::IndexUnknown)?;
        let plaintext = registration.association.open(sealed, Arrival::Datagram)?;
        let answers =
            |message: &Message<'_>| matches!(message, Message::Answer(id, Reply::Acknowledge(_)) if *id == request);
        if !decode_all(&plaintext)?.iter().any(answers) {
            return Err(Discard::RequestUnknown);
        }
        registration.association.enter(sealed, Arrival::Datagram);
        Ok(())
    }

    pub(super) fn start_trials(&mut self, core: &mut Core, slot: Slot) {
        let binding = &self.bindings[slot];
        let idle = &binding.idle;
        if !idle.wanted || idle.measured || !idle.trials.is_empty() || !binding.is_online() {
            return;
        }
        // The two longest at once: most NATs wait so long, and the longer one takes its time.
        for step in (0..KEEPALIVE_STEPS.len()).rev().take(2) {
            self.start_trial(core, slot, step);
        }
    }

    pub(super) fn on_spare_opened(&mut self, core: &mut Core, socket: SocketId) {
        if let Some(slot) = self.filter(socket) {
            return self.ask_filter(core, slot);
        }
        let Some((slot, at)) = self.trial(socket) else {
            return;
        };
        let after = KEEPALIVE_STEPS[self.bindings[slot].idle.trials[at].step];
        // [R-KEEP-010] Nothing more leaves from this socket.
        let asked = self.echo(core, socket, self.bindings[slot].server, after);
        self.bindings[slot].idle.trials[at].asked = asked;
        self.schedule_trials(core, slot);
    }

    /// Sends an `Echo`: its request, and until when the answer is waited for.
    fn echo(&mut self, core: &mut Core, from: SocketId, to: Endpoint, after: u8) -> Option<(RequestId, Instant)> {
        let registration = self.registration.as_mut().filter(|_| core.is_open(from))?;
        let request = self.requests.reserve();
        let echo = Message::Request(request, Request::Echo(Echo { after }));
        let packet = registration.association.seal(None, &[echo]);
        core.outbox.transmit(from, None, to, &packet);
        Some((request, core.now + seconds(after) + ECHO_GRACE))
    }

    /// Begins to find out whether the registration's refreshes keep more than itself, where that would help.
    // [R-KEEP-017]
    fn start_along(&mut self, core: &mut Core, slot: Slot) {
        let binding = &self.bindings[slot];
        let idle = &binding.idle;
        let helps = idle.proved.is_some_and(|proved| proved < LONGEST && seconds(proved) >= binding.interval);
        if !helps || !matches!(idle.along, Along::Unknown) || binding.alternates.other_port.is_none() {
            return;
        }
        let socket = core.open(Transport::Udp, binding.family, 0, None);
        let transaction = core.visible.octets();
        let until = core.now + ECHO_GRACE;
        self.bindings[slot].idle.along = Along::Filter { socket, transaction, tries: 0, until };
    }

    fn ask_filter(&mut self, core: &mut Core, slot: Slot) {
        let server = self.bindings[slot].server;
        if let Along::Filter { socket, transaction, tries, until } = &mut self.bindings[slot].idle.along {
            *tries += 1;
            *until = core.now + ECHO_GRACE / 2;
            let discover = Discover { transaction: *transaction, versions: offered(), reply_from: ReplyFrom(1) };
            if !core.is_open(*socket) {
                return;
            }
            core.outbox.transmit(*socket, None, server, &Packet::Discover(discover).encode());
        }
        self.schedule_trials(core, slot);
    }

    /// What the registration's socket sends to the other port is, to the NAT, what it sends to another peer.
    fn on_along_due(&mut self, core: &mut Core, slot: Slot) {
        match self.bindings[slot].idle.along {
            Along::Filter { until, tries, .. } if until <= core.now && (1..MAX_FILTER_TRIES).contains(&tries) => {
                self.ask_filter(core, slot);
            }
            Along::Filter { socket, until, .. } if until <= core.now => {
                core.shut(socket);
                let (from, to) = (self.bindings[slot].socket, self.bindings[slot].alternates.other_port);
                let asked = to.and_then(|to| self.echo(core, from, to, LONGEST));
                self.bindings[slot].idle.along =
                    asked.map_or(Along::Unknown, |(request, until)| Along::Waiting { request, until });
            }
            Along::Waiting { until, .. } if until <= core.now => self.bindings[slot].idle.along = Along::Known(false),
            Along::Unknown | Along::Filter { .. } | Along::Waiting { .. } | Along::Known(_) => {}
        }
    }

    fn filter(&self, socket: SocketId) -> Option<Slot> {
        let asks = |along: &Along| matches!(along, Along::Filter { socket: known, .. } if *known == socket);
        self.bindings.iter().position(|binding| asks(&binding.idle.along))
    }

    pub(super) fn on_spare_failed(&mut self, core: &mut Core, socket: SocketId) {
        if let Some(slot) = self.filter(socket) {
            self.bindings[slot].idle.along = Along::Known(false);
        }
        if let Some((slot, _)) = self.trial(socket) {
            self.end_trials_that(core, slot, |trial| trial.socket == socket);
            self.on_trials_changed(core, slot);
        }
    }

    /// The time of a trial is over without an answer.
    pub(in crate::peer) fn on_idle_due(&mut self, core: &mut Core, slot: Slot) {
        let now = core.now;
        let due = |trial: &Trial| trial.asked.is_some_and(|(_, until)| until <= now);
        let idle = &self.bindings[slot].idle;
        let lowest = idle.trials.iter().map(|trial| trial.step).min();
        let failed = idle.trials.iter().filter(|trial| due(trial)).map(|trial| trial.step).min();
        self.end_trials_that(core, slot, due);
        if let Some(step) = failed.filter(|failed| Some(*failed) == lowest && *failed > 0)
            && self.bindings[slot].idle.proved.is_none()
        {
            self.start_trial(core, slot, step - 1);
        }
        self.on_along_due(core, slot);
        self.on_trials_changed(core, slot);
    }

    /// Ends what is being tried: its answers cannot be read any more.
    pub(super) fn end_trials(&mut self, core: &mut Core, slot: Slot) {
        self.end_trials_that(core, slot, |_| true);
        let along = &mut self.bindings[slot].idle.along;
        if let Along::Filter { socket, .. } = *along {
            core.shut(socket);
        }
        if !matches!(along, Along::Known(_)) {
            *along = Along::Unknown;
        }
        self.schedule_trials(core, slot);
    }

    fn start_trial(&mut self, core: &mut Core, slot: Slot, step: usize) {
        let socket = core.open(Transport::Udp, self.bindings[slot].family, 0, None);
        self.bindings[slot].idle.trials.push(Trial { socket, step, asked: None });
    }

    fn end_trials_that(&mut self, core: &mut Core, slot: Slot, over: impl Fn(&Trial) -> bool) {
        self.bindings[slot].idle.trials.retain(|trial| {
            if over(trial) {
                core.shut(trial.socket);
            }
            !over(trial)
        });
    }

    fn on_trials_changed(&mut self, core: &mut Core, slot: Slot) {
        let idle = &mut self.bindings[slot].idle;
        idle.measured = idle.trials.is_empty();
        if idle.measured {
            self.start_along(core, slot);
        }
        self.schedule_trials(core, slot);
    }

    fn schedule_trials(&self, core: &mut Core, slot: Slot) {
        let idle = &self.bindings[slot].idle;
        let along = match idle.along {
            Along::Filter { until, .. } | Along::Waiting { until, .. } => Some(until),
            Along::Unknown | Along::Known(_) => None,
        };
        let trials = idle.trials.iter().filter_map(|trial| trial.asked).map(|(_, until)| until);
        match trials.chain(along).min() {
            Some(at) => core.timers.set(Timer::Idle(slot), at),
            None => core.timers.clear(Timer::Idle(slot)),
        }
    }

    fn trial(&self, socket: SocketId) -> Option<(Slot, usize)> {
        self.bindings.iter().enumerate().find_map(|(slot, binding)| Some((slot, binding.idle.at(socket)?)))
    }

    /// The binding over UDP of a family.
    pub(super) fn udp(&self, family: Family) -> Option<Slot> {
        self.bindings.iter().position(|binding| binding.transport == Transport::Udp && binding.family == family)
    }
}

/// The longest silence that is tried, in seconds.
const LONGEST: u8 = KEEPALIVE_STEPS[KEEPALIVE_STEPS.len() - 1];
/// How often the server is asked to answer from its other port.
const MAX_FILTER_TRIES: u8 = 2;

fn seconds(count: u8) -> Duration {
    Duration::from_secs(u64::from(count))
}
