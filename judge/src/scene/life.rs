//! What the applications of a scene asked and heard, across restarts.

use std::collections::BTreeSet;

use pinhole_proto::peer::SessionHandle;
use pinhole_proto::{Duration, Instant, PeerId};
use pinhole_sim::HostId;
use pinhole_sim::action::Action;
use pinhole_sim::worlds::{PeerSaid, Trio};

use super::histogram::kind;
use super::is_disturbance;

/// What happened at the two peers.
#[derive(Clone, Debug)]
pub(super) struct Life {
    /// Every run of a peer's engine, oldest first; the last of each side is the one that runs at the end.
    pub(super) runs: Vec<Run>,
    /// Since when A's first question for a session is undisturbed.
    pub(super) asked_at: Option<Instant>,
    disturbed: bool,
    /// The actions that did something, by their kinds.
    pub(super) done: BTreeSet<&'static str>,
    names: [(HostId, PeerId, &'static str); 2],
}

/// One run of a peer's engine.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// 0 for A, 1 for B.
    pub(super) side: usize,
    /// When the process started.
    began: Instant,
    /// When the question for a session was asked, and its handle.
    pub(super) asked: Vec<(Instant, SessionHandle)>,
    /// Datagrams that were taken from the application.
    pub(super) sent: Vec<String>,
    /// The most octets that were taken for one byte stream.
    pub(super) written: u64,
    /// What the engine told, once the run is over.
    pub(super) said: Vec<(Instant, PeerSaid)>,
    /// The engine runs still.
    pub(super) runs: bool,
    /// Its sessions are closed by the application.
    pub(super) closed: bool,
}

impl Life {
    pub(super) fn new(trio: &Trio) -> Self {
        let run = |side| Run {
            side,
            began: trio.world.now(),
            asked: Vec::new(),
            sent: Vec::new(),
            written: 0,
            said: Vec::new(),
            runs: true,
            closed: false,
        };
        let names = [(trio.net.a, trio.a, "A"), (trio.net.b, trio.b, "B")];
        Self { runs: vec![run(0), run(1)], asked_at: None, disturbed: false, done: BTreeSet::new(), names }
    }

    /// Nothing but time and data has happened.
    pub(super) const fn is_undisturbed(&self) -> bool {
        !self.disturbed
    }

    pub(super) fn host(&self, side: usize) -> HostId {
        self.names[side].0
    }

    pub(super) fn last(&self, side: usize) -> &Run {
        self.runs.iter().rev().find(|run| run.side == side).expect("each side began")
    }

    /// When the processes of a side started.
    pub(super) fn starts(&self, side: usize) -> impl Iterator<Item = Instant> {
        self.runs.iter().filter(move |run| run.side == side).map(|run| run.began)
    }

    fn last_mut(&mut self, name: &str) -> Option<&mut Run> {
        let side = self.names.iter().position(|(_, _, known)| *known == name)?;
        self.runs.iter_mut().rev().find(|run| run.side == side)
    }

    /// Keeps what a run has said that an action ends.
    pub(super) fn before(&mut self, trio: &Trio, action: &Action) {
        if let Action::Start { host } | Action::Stop { host } = action {
            let Some(side) = self.names.iter().position(|(_, _, known)| known == host) else {
                return;
            };
            let said = trio.said(self.names[side].0).to_vec();
            if let Some(run) = self.last_mut(host)
                && run.runs
            {
                run.said = said;
                run.runs = false;
            }
        }
    }

    pub(super) fn after(&mut self, trio: &Trio, action: &Action, done: bool) {
        self.disturbed |= is_disturbance(action);
        if !done {
            return;
        }
        let now = trio.world.now();
        self.done.insert(kind(action));
        match action {
            Action::Connect { host, .. } => {
                let side = usize::from(host == "B");
                let session = trio.cast.session(&trio.world, self.names[side].0, self.names[1 - side].1);
                if let (Some(run), Some(session)) = (self.last_mut(host), session) {
                    run.asked.push((now, session));
                }
                self.asked_at.get_or_insert(now);
            }
            Action::Send { host, text, .. } => {
                if let Some(run) = self.last_mut(host) {
                    run.sent.push(text.clone());
                }
            }
            Action::Write { host, .. } => {
                let side = usize::from(host == "B");
                let (at, with) = (self.names[side].0, self.names[1 - side].1);
                let written =
                    trio.cast.session(&trio.world, at, with).map_or(0, |session| trio.cast.written(at, session));
                if let Some(run) = self.last_mut(host) {
                    run.written = run.written.max(written);
                }
            }
            Action::Close { .. } | Action::Shutdown { .. } => {
                for run in &mut self.runs {
                    run.closed = true;
                }
            }
            Action::Start { host } => {
                if let Some(side) = self.names.iter().position(|(_, _, known)| known == host) {
                    let fresh = Self::new(trio).runs.swap_remove(side);
                    self.runs.push(fresh);
                }
            }
            _ => {}
        }
    }

    /// Keeps what the runs have said that go on to the end.
    pub(super) fn end(&mut self, trio: &Trio) {
        for side in 0..2 {
            let (host, _, name) = self.names[side];
            let said = trio.said(host).to_vec();
            if let Some(run) = self.last_mut(name)
                && run.runs
            {
                run.said = said;
            }
        }
    }

    /// How long A's question has been undisturbed.
    pub(super) fn undisturbed_for(&self, now: Instant) -> Duration {
        self.asked_at.map_or(Duration::ZERO, |asked| now - asked)
    }
}
