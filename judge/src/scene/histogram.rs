//! What was seen in how many worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pinhole_proto::peer::{CloseReason, PathKind, PeerEvent};
use pinhole_proto::wire::code::Verdict;
use pinhole_sim::action::Action;
use pinhole_sim::trace::What;
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, Effect};

use super::Scene;
use super::life::Life;

/// For each thing that can be seen the number of worlds in which it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    worlds: u64,
    /// The most entries of a trace.
    busiest: u64,
    seen: BTreeMap<(&'static str, String), u64>,
}

impl Histogram {
    /// How many worlds there were.
    #[must_use]
    pub const fn worlds(&self) -> u64 {
        self.worlds
    }

    /// In how many worlds something was seen.
    #[must_use]
    pub fn count(&self, what: &'static str, which: &str) -> u64 {
        self.seen.get(&(what, which.to_owned())).copied().unwrap_or(0)
    }

    /// Adds the worlds of another one.
    pub fn join(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.busiest = self.busiest.max(other.busiest);
        for (key, count) in other.seen {
            *self.seen.entry(key).or_default() += count;
        }
    }

    /// What was seen too rarely: less than a quarter of the worlds ended direct, or relayed, or a verdict, a
    /// value of a NAT's field, a kind of fault or a kind of action was in fewer than `least` worlds.
    #[must_use]
    pub fn gaps(&self, least: u64) -> Vec<String> {
        let quarter = self.worlds.div_ceil(4);
        let ends = ["direct", "relayed"].map(|end| ("end", end.to_owned(), quarter));
        let others = wanted().into_iter().map(|(what, which)| (what, which, least));
        let rare = |(what, which, least): (&'static str, String, u64)| {
            let count = self.count(what, &which);
            (count < least).then(|| format!("{what} {which}: {count}, not {least}"))
        };
        ends.into_iter().chain(others).filter_map(rare).collect()
    }

    /// The rarest of what has to be seen, with how often it was.
    #[must_use]
    pub fn rarest(&self, most: usize) -> Vec<(u64, String)> {
        let mut all: Vec<_> =
            wanted().into_iter().map(|(what, which)| (self.count(what, &which), format!("{what} {which}"))).collect();
        all.sort();
        all.truncate(most);
        all
    }

    pub(super) fn enter(&mut self, scene: &Scene, trio: &Trio, life: &Life) {
        self.worlds += 1;
        let mut seen = BTreeSet::new();
        seen.insert(("end", ending(trio, life).to_owned()));
        seen.insert(("network", kebab(&scene.network)));
        for behaviour in scene.behaviours() {
            for field in Behaviour::FIELDS {
                seen.insert(("field", format!("{} {}", field.name, field.get(&behaviour))));
            }
        }
        for run in &life.runs {
            for (_, said) in &run.said {
                match said.event {
                    PeerEvent::NotDirect { verdict, .. }
                    | PeerEvent::Closed { reason: CloseReason::NoPath(verdict), .. } => {
                        seen.insert(("verdict", verdict.name().to_owned()));
                    }
                    _ => {}
                }
                if let PeerEvent::Closed { reason, .. } = said.event {
                    let reason = format!("{reason:?}");
                    let name = reason.split('(').next().unwrap_or_default();
                    seen.insert(("closed", name.to_owned()));
                }
            }
        }
        for name in &life.done {
            seen.insert(("action", (*name).to_owned()));
            if FAULTS.contains(name) {
                seen.insert(("fault", (*name).to_owned()));
            }
        }
        self.busiest = self.busiest.max(trio.world.trace().count());
        for record in trio.world.trace().records() {
            let name = match (record.effect, &record.what) {
                (Some(effect), _) => effect_name(effect),
                (None, What::Lost) => "loss",
                (None, What::Copied(_)) => "duplication",
                _ => continue,
            };
            seen.insert(("fault", name.to_owned()));
        }
        for line in [scene.line_a, scene.line_b] {
            if line.up.jitter.as_micros() > 0 {
                seen.insert(("fault", "jitter".to_owned()));
            }
            if line.up.hold.as_micros() > 0 {
                seen.insert(("fault", "reordering".to_owned()));
            }
        }
        for key in seen {
            *self.seen.entry(key).or_default() += 1;
        }
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>7} worlds, at most {} entries in the trace of one", self.worlds, self.busiest)?;
        for ((what, which), count) in &self.seen {
            writeln!(f, "{count:>7} {what:<8} {which}")?;
        }
        Ok(())
    }
}

/// How A's last session ended, or goes on.
fn ending(trio: &Trio, life: &Life) -> &'static str {
    let run = life.last(0);
    let mut now = "none";
    for (_, said) in &run.said {
        match said.event {
            PeerEvent::Selected { path, .. } if path.kind == PathKind::Relayed => now = "relayed",
            PeerEvent::Selected { .. } => now = "direct",
            PeerEvent::Closed { .. } | PeerEvent::Stopped => now = "closed",
            _ => {}
        }
    }
    if now == "closed" && trio.selected(life.host(0)).is_none() { "none" } else { now }
}

fn kebab(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The kind of an action; those that are faults have names among [`FAULTS`].
pub(super) const fn kind(action: &Action) -> &'static str {
    match action {
        Action::Wait { .. } => "wait",
        Action::Connect { .. } => "connect",
        Action::Send { .. } => "send",
        Action::Write { .. } => "write",
        Action::Finish { .. } => "finish",
        Action::Take { .. } => "take",
        Action::Close { .. } => "close",
        Action::Shutdown { .. } => "shutdown",
        Action::Stop { .. } => "stop",
        Action::Start { .. } => "restart",
        Action::Move { .. } => "move",
        Action::SetCrossing { .. } => "set-crossing",
        Action::SetStrategies { .. } => "set-strategies",
        Action::SetNat { .. } => "set-nat",
        Action::SetField { .. } => "set-field",
        Action::Reboot { .. } => "reboot",
        Action::Cut { .. } => "cut",
        Action::Restore { .. } => "restore",
        Action::SetLine { .. } => "set-line",
        Action::Fault(_) => "fault",
        Action::Datagram { .. } => "datagram",
        Action::Dial { .. } => "dial",
        Action::Say { .. } => "say",
        Action::HangUp { .. } => "hang-up",
        Action::Compete { .. } => "compete",
    }
}

const fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Drop => "drop",
        Effect::Delay { .. } => "delay",
        Effect::Duplicate { .. } => "duplicate",
        Effect::Reorder { .. } => "reorder",
        Effect::Corrupt { .. } => "corrupt",
    }
}

/// Every kind of fault that a scene may hold.
const FAULTS: [&str; 18] = [
    "compete",
    "corrupt",
    "cut",
    "delay",
    "drop",
    "duplicate",
    "duplication",
    "jitter",
    "loss",
    "move",
    "reboot",
    "reorder",
    "reordering",
    "restart",
    "set-crossing",
    "set-field",
    "set-line",
    "set-nat",
];

/// Every kind of action, but for `set-strategies`: which ones a peer may try is drawn with it.
const ACTIONS: [&str; 24] = [
    "close",
    "compete",
    "connect",
    "cut",
    "datagram",
    "dial",
    "fault",
    "finish",
    "hang-up",
    "move",
    "reboot",
    "restart",
    "restore",
    "say",
    "send",
    "set-crossing",
    "set-field",
    "set-line",
    "set-nat",
    "shutdown",
    "stop",
    "take",
    "wait",
    "write",
];

/// Everything that has to be seen, the ends aside.
fn wanted() -> Vec<(&'static str, String)> {
    let named = |what, name: &str| (what, name.to_owned());
    let mut wanted: Vec<_> = verdicts().map(|name| named("verdict", name)).collect();
    wanted.extend(FAULTS.map(|name| named("fault", name)));
    wanted.extend(ACTIONS.map(|name| named("action", name)));
    for field in Behaviour::FIELDS {
        wanted.extend(field.samples().map(|value| ("field", format!("{} {value}", field.name))));
    }
    wanted
}

/// Every verdict that a session may end with.
fn verdicts() -> impl Iterator<Item = &'static str> {
    let named = (1..=u8::MAX).map(|code| Verdict(code).name()).filter(|name| *name != Verdict::UNKNOWN.name());
    core::iter::once(Verdict::UNKNOWN.name()).chain(named)
}
