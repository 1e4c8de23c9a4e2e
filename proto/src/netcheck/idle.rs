//! How long a UDP mapping lives when nothing passes: many ports at once, each silent for another time.
//!
//! Each port first talks to the server for [`USE`], since some NATs give a mapping that was used for a few seconds a
//! longer life than one that saw a single answer. Then it says nothing for its time, and then asks whether what the
//! talk left in the NAT is still there. The question itself opens the way anew, so a port tells one thing only.

use alloc::vec::Vec;

use super::api::{NetCheckEvent, NetCheckSnapshot};
use super::core::{Core, Findings, PORTS, Ports, Timer};
use super::course::Ask;
use super::exchange::Exchange;
use super::report::{Observation, Outcome, Probe, Remnant};
use crate::constants::MAX_SILENCE;
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, Transport};
use crate::time::{Duration, Instant};
use crate::wire::{Discovered, Packet};

/// The part of a check that waits.
#[derive(Clone, Debug)]
pub(super) struct Idle {
    ports: Ports,
    findings: Findings,
    remnant: Remnant,
    /// The shortest silence first; each has the port of its number.
    lanes: Vec<Lane>,
    over: bool,
}

/// One silence.
#[derive(Clone, Debug)]
struct Lane {
    wait: Duration,
    state: State,
    outcome: Option<Outcome>,
}

#[derive(Clone, Debug)]
enum State {
    /// Its port is being opened.
    Opening,
    /// It talks, for the n-th time.
    Talking { round: u32, batch: Vec<Exchange> },
    /// It will talk again.
    Pausing { round: u32 },
    /// It is silent.
    Silent(Talk),
    /// It asks what is left.
    Asking { talk: Talk, exchange: Exchange },
    /// What was left is gone, unless nothing gets through at all.
    Confirming { talk: Talk, asked: Instant, exchange: Exchange },
    /// There is nothing more to find out.
    Ended,
}

/// What the last round of talking left.
#[derive(Clone, Copy, Debug)]
struct Talk {
    /// Its first question was sent.
    began: Instant,
    /// Its last answer came.
    ended: Instant,
    /// The public endpoint that the place in question saw.
    public: Option<Endpoint>,
}

impl Idle {
    /// Begins, if `findings` tell by what the end of a mapping shows. No silence is longer than `longest`.
    pub(super) fn start(core: &mut Core, findings: &Findings, longest: Duration) -> Option<Self> {
        let remnant = super::infer::remnant(findings)?;
        let waits = silences(longest);
        let ports = Ports::open(core, Transport::Udp, waits.len(), 0);
        let lanes = waits.into_iter().map(|wait| Lane { wait, state: State::Opening, outcome: None }).collect();
        Some(Self { ports, findings: findings.clone(), remnant, lanes, over: false })
    }

    pub(super) const fn ports(&mut self) -> &mut Ports {
        &mut self.ports
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn snapshot(&self, deadline: Option<Instant>) -> NetCheckSnapshot {
        NetCheckSnapshot {
            step: "Idle".into(),
            open: self.lanes.iter().filter(|lane| !lane.has_ended()).count(),
            streams: 0,
            observations: self.findings.observations.clone(),
            deadline,
        }
    }

    /// Ends it: the findings that it began with, and its own.
    pub(super) fn finish(&mut self, core: &mut Core) -> Findings {
        self.over = true;
        for at in 0..self.lanes.len() {
            core.timers.clear(Timer::Lane(at));
        }
        self.lanes.clear();
        self.ports.shut(core);
        self.findings.clone()
    }

    /// A port was opened or could not be.
    pub(super) fn on_settled(&mut self, core: &mut Core) {
        if !self.ports.are_settled() {
            return;
        }
        for at in 0..self.lanes.len() {
            let state = if self.ports.is_open(at) { self.talk(core, at, 0) } else { State::Ended };
            self.enter(at, state);
        }
        self.on_progress();
    }

    pub(super) fn on_timer(&mut self, core: &mut Core, at: usize) {
        let ports = &self.ports;
        let Some(lane) = self.lanes.get_mut(at) else { return };
        match &mut lane.state {
            State::Talking { batch, .. } => batch.iter_mut().for_each(|exchange| exchange.repeat(core, ports)),
            State::Asking { exchange, .. } | State::Confirming { exchange, .. } => exchange.repeat(core, ports),
            State::Pausing { round } => {
                let round = *round;
                let state = self.talk(core, at, round);
                self.enter(at, state);
                return;
            }
            State::Silent(talk) => {
                let (talk, exchange) = (*talk, self.question(core, at));
                self.enter(at, State::Asking { talk, exchange });
                return;
            }
            State::Opening | State::Ended => {}
        }
        self.advance(core, at);
    }

    pub(super) fn on_datagram(
        &mut self,
        core: &mut Core,
        socket: SocketId,
        local: Address,
        remote: Endpoint,
        payload: &[u8],
    ) -> Result<(), Discard> {
        let at = self.ports.find(socket).ok_or(Discard::SocketUnknown)?;
        let Packet::Discovered(found) = Packet::decode(payload)? else { return Err(Discard::WrongRole) };
        let lane = self.lanes.get_mut(at).ok_or(Discard::TransactionUnknown)?;
        let exchange = lane.asked(&found).ok_or(Discard::TransactionUnknown)?;
        exchange.on_answer(&self.findings.servers, None, remote, &found)?;
        self.ports.on_local(at, local);
        self.advance(core, at);
        Ok(())
    }

    /// Takes a lane on when all that it asked is answered or given up; the next repetition is due otherwise.
    fn advance(&mut self, core: &mut Core, at: usize) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if lane.state.is_open() {
            core.timers.set_earlier(Timer::Lane(at), core.now + core.pace);
            return;
        }
        core.timers.clear(Timer::Lane(at));
        let wait = lane.wait;
        let state = match core::mem::replace(&mut lane.state, State::Ended) {
            State::Talking { batch, .. } if batch.iter().any(|e| e.outcome == Some(Outcome::Silent)) => State::Ended,
            State::Talking { round, batch } => {
                let began = batch.first().map_or(core.now, |exchange| exchange.first_sent);
                let public = batch.last().and_then(|exchange| exchange.outcome).and_then(Outcome::observed);
                let talk = Talk { began, ended: core.now, public };
                let round = round + 1;
                let (state, due) = if round < ROUNDS {
                    (State::Pausing { round }, (began + USE / (ROUNDS - 1)).max(core.now + MOMENT))
                } else {
                    (State::Silent(talk), core.now + wait)
                };
                core.timers.set(Timer::Lane(at), due);
                state
            }
            State::Asking { talk, exchange } => self.on_asked(core, at, talk, &exchange),
            State::Confirming { talk, asked, exchange } => {
                // Without an answer nothing is known.
                if exchange.outcome != Some(Outcome::Silent) {
                    self.record(core, talk, asked, &exchange, Outcome::Lost);
                }
                State::Ended
            }
            state @ (State::Opening | State::Pausing { .. } | State::Silent(_) | State::Ended) => state,
        };
        self.enter(at, state);
        self.on_progress();
    }

    fn on_asked(&mut self, core: &mut Core, at: usize, talk: Talk, exchange: &Exchange) -> State {
        let asked = exchange.first_sent;
        match (self.remnant, exchange.outcome) {
            (Remnant::Permission(_), Some(Outcome::Silent)) => {
                let ask = Ask { port: at, to: self.findings.servers.main, probe: Probe::Observe };
                let exchange = self.send(core, ask);
                return State::Confirming { talk, asked, exchange };
            }
            (Remnant::Permission(_), _) => self.record(core, talk, asked, exchange, Outcome::Kept),
            (Remnant::Mapping(_), Some(Outcome::Observed(seen))) => {
                let outcome = if Some(seen) == talk.public { Outcome::Kept } else { Outcome::Lost };
                self.record(core, talk, asked, exchange, outcome);
            }
            // Without an answer nothing is known.
            (Remnant::Mapping(_), _) => {}
        }
        State::Ended
    }

    fn record(&mut self, core: &mut Core, talk: Talk, asked: Instant, told: &Exchange, outcome: Outcome) {
        let (remnant, at) = (self.remnant, told.ask.port);
        // The NAT saw the last packet before the last answer came here, and the question after it had left.
        let at_least_ms = millis(asked.saturating_since(talk.ended));
        let at_most_ms = millis(core.now.saturating_since(talk.began)) + 1;
        let observation = Observation {
            transport: Transport::Udp,
            port: PORTS + at,
            from: self.ports.get(at).and_then(|port| port.private),
            to: told.ask.to,
            probe: Probe::Silence { remnant, at_least_ms, at_most_ms },
            sent: told.sent,
            outcome,
        };
        self.findings.observations.push(observation);
        core.outbox.event(NetCheckEvent::Observed(observation));
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.outcome = Some(outcome);
        }
    }

    /// It is over when every silence is, or two were too long: longer ones would tell the same.
    fn on_progress(&mut self) {
        let told = self.lanes.iter().take_while(|lane| lane.has_ended());
        let lost = told.clone().filter(|lane| lane.outcome == Some(Outcome::Lost)).count();
        self.over = lost >= ENOUGH || told.count() == self.lanes.len();
    }

    fn enter(&mut self, at: usize, state: State) {
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.state = state;
        }
    }

    /// Has the server's main endpoint and the place in question see the port.
    fn talk(&self, core: &mut Core, at: usize, round: u32) -> State {
        let servers = self.findings.servers;
        let (Remnant::Mapping(place) | Remnant::Permission(place)) = self.remnant;
        let other = servers.place(place).filter(|other| *other != servers.main);
        let batch = [Some(servers.main), other].into_iter().flatten();
        let batch = batch.map(|to| self.send(core, Ask { port: at, to, probe: Probe::Observe })).collect();
        core.timers.set(Timer::Lane(at), core.now + core.pace);
        State::Talking { round, batch }
    }

    /// Asks what the talk has left.
    fn question(&self, core: &mut Core, at: usize) -> Exchange {
        let servers = self.findings.servers;
        let (to, probe) = match self.remnant {
            Remnant::Mapping(place) => (servers.place(place).unwrap_or(servers.main), Probe::Observe),
            Remnant::Permission(place) => (servers.main, Probe::Reply(place)),
        };
        self.send(core, Ask { port: at, to, probe })
    }

    fn send(&self, core: &mut Core, ask: Ask) -> Exchange {
        let mut exchange = Exchange::new(core, &self.ports, ask);
        exchange.send(core, &self.ports);
        core.timers.set(Timer::Lane(ask.port), core.now + core.pace);
        exchange
    }
}

impl Lane {
    const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The open question that an answer names.
    fn asked(&mut self, found: &Discovered) -> Option<&mut Exchange> {
        match &mut self.state {
            State::Talking { batch, .. } => batch.iter_mut().find(|exchange| exchange.is_named_by(found)),
            State::Asking { exchange, .. } | State::Confirming { exchange, .. } => {
                Some(exchange).filter(|exchange| exchange.is_named_by(found))
            }
            State::Opening | State::Pausing { .. } | State::Silent(_) | State::Ended => None,
        }
    }
}

impl State {
    /// Whether a question has no answer yet.
    fn is_open(&self) -> bool {
        match self {
            Self::Talking { batch, .. } => batch.iter().any(Exchange::is_open),
            Self::Asking { exchange, .. } | Self::Confirming { exchange, .. } => exchange.is_open(),
            Self::Opening | Self::Pausing { .. } | Self::Silent(_) | Self::Ended => false,
        }
    }
}

/// The silences of a check: even steps at first, then each longer than the one before by a quarter.
fn silences(longest: Duration) -> Vec<Duration> {
    // [R-BEH-009]
    let longest = longest.min(MAX_SILENCE);
    let next = |wait: &Duration| Some(if *wait < EVEN { *wait + STEP } else { *wait * 5 / 4 });
    let mut all: Vec<Duration> = core::iter::successors(Some(STEP), next).take_while(|wait| *wait < longest).collect();
    all.push(longest);
    all
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long a port talks before it is silent.
const USE: Duration = Duration::from_secs(3);
/// How often it talks meanwhile.
const ROUNDS: u32 = 4;
/// The shortest pause between two rounds.
const MOMENT: Duration = Duration::from_millis(10);
/// How many silences must have been too long.
const ENOUGH: usize = 2;
/// The shortest silence, and the distance of the short ones.
const STEP: Duration = Duration::from_secs(1);
/// From here on silences grow by a quarter.
const EVEN: Duration = Duration::from_secs(4);
