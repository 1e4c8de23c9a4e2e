//! How long the NAT on the way keeps a mapping that nobody uses (`spec/keepalive.md`, "How long a NAT waits").
//!
//! A *trial* is a spare socket with one `Echo` on it: the mapping of that socket lives if the answer arrives
//! after so much silence. What a trial finds holds for the network, so that every session uses it, and no
//! session's own mapping is ever put at risk.

use alloc::vec::Vec;

use super::{Leg, Slot, decode_all};
use crate::constants::{ECHO_GRACE, KEEPALIVE_STEPS};
use crate::discard::Discard;
use crate::endpoint::{Endpoint, Family};
use crate::engine::{SocketId, Transport};
use crate::peer::core::{Core, Timer};
use crate::replay::Arrival;
use crate::time::{Duration, Instant};
use crate::wire::control::Echo;
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
    }

    fn at(&self, socket: SocketId) -> Option<usize> {
        self.trials.iter().position(|trial| trial.socket == socket)
    }
}

impl Leg {
    /// The interval at which a path of this family is kept.
    pub(in crate::peer) fn keepalive(&self, core: &Core, family: Family) -> Duration {
        let first = core.config.keepalive;
        // [R-KEEP-011]
        let Some((slot, proved)) = self.udp(family).and_then(|slot| Some((slot, self.bindings[slot].idle.proved()?)))
        else {
            return first;
        };
        self.bindings[slot].idle.limit.map_or(proved, |limit| proved.min(seconds(limit).max(first)))
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
        self.trial(socket).is_some()
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
        let registration = self.registration.as_mut().ok_or(Discard::IndexUnknown)?;
        let plaintext = registration.association.open(sealed, Arrival::Datagram)?;
        let messages = decode_all(&plaintext)?;
        let trial = self.bindings[slot].idle.trials[at];
        let asked = trial.asked.map(|(request, _)| request);
        let answers = |message: &Message<'_>| match message {
            Message::Answer(id, Reply::Acknowledge(_)) => Some(*id) == asked,
            _ => false,
        };
        if !messages.iter().any(answers) {
            return Err(Discard::RequestUnknown);
        }
        registration.association.enter(sealed, Arrival::Datagram);
        let idle = &mut self.bindings[slot].idle;
        idle.proved = idle.proved.max(Some(KEEPALIVE_STEPS[trial.step]));
        // What is shorter survives, too.
        let over = |other: &Trial| other.step <= trial.step;
        self.end_trials_that(core, slot, over);
        self.on_trials_changed(core, slot);
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
        let Some((slot, at)) = self.trial(socket) else {
            return;
        };
        let Some(registration) = &mut self.registration else {
            return;
        };
        let request = self.requests.reserve();
        let server = self.bindings[slot].server;
        let trial = &mut self.bindings[slot].idle.trials[at];
        let after = KEEPALIVE_STEPS[trial.step];
        trial.asked = Some((request, core.now + seconds(after) + ECHO_GRACE));
        // [R-KEEP-010] Nothing more leaves from this socket.
        let echo = Message::Request(request, Request::Echo(Echo { after }));
        let packet = registration.association.seal(None, &[echo]);
        core.outbox.transmit(socket, None, server, &packet);
        self.schedule_trials(core, slot);
    }

    pub(super) fn on_spare_failed(&mut self, core: &mut Core, socket: SocketId) {
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
        self.on_trials_changed(core, slot);
    }

    /// Ends what is being tried: its answers cannot be read any more.
    pub(super) fn end_trials(&mut self, core: &mut Core, slot: Slot) {
        self.end_trials_that(core, slot, |_| true);
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
        self.schedule_trials(core, slot);
    }

    fn schedule_trials(&self, core: &mut Core, slot: Slot) {
        let trials = self.bindings[slot].idle.trials.iter();
        match trials.filter_map(|trial| trial.asked).map(|(_, until)| until).min() {
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

fn seconds(count: u8) -> Duration {
    Duration::from_secs(u64::from(count))
}
