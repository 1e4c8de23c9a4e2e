//! A run, step by step: everything that happened, and the world as it was after any step.
//!
//! A step is one event of the world that left a record: a packet arrives at a machine, with everything that
//! the machine does about it; a timer fires and something is sent; an action is carried out. The world of a
//! step is found by doing the same again from the beginning, or from an earlier step where one stands there. A
//! step takes microseconds: copies of the world on the way would cost more to download than they save.

use std::ops::Range;

use pinhole_proto::{Duration, Instant};
use pinhole_sim::action::{Action, ActionError};
use pinhole_sim::cast::Cast;
use pinhole_sim::scenario::Runs;
use pinhole_sim::trace::Record;
use pinhole_sim::{World, scenario};
use serde::{Deserialize, Serialize};

use crate::order::ordered;
use crate::scenarios::Scenario;

/// A scenario with what is random in it, and what is to be done.
pub struct Play {
    /// The scenario.
    pub scenario: Scenario,
    /// What everything random in it follows from.
    pub seed: u64,
    /// What is done, in order: the scenario's actions but its faults, which are edits.
    pub actions: Vec<Action>,
}

/// A change to a play: an action at a moment of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Edit {
    /// When, in microseconds; 0 is before everything.
    #[serde(default)]
    pub at: u64,
    /// What.
    pub action: Action,
}

/// Everything that happened in a play.
pub struct Run {
    steps: Vec<Step>,
    records: Vec<Record>,
    refused: Vec<(Edit, ActionError)>,
    end: World,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub at: Instant,
    /// Its records among those of the run.
    pub records: Range<usize>,
    /// The action of the play or of an edit that it is, if it is one.
    pub action: Option<Action>,
}

/// A play that is carried out: the world, and how far its script is.
pub struct Replay {
    world: World,
    cast: Cast,
    /// The edits, in time.
    edits: Vec<Edit>,
    /// How many steps are done.
    done: usize,
    /// The next action of the play.
    next: usize,
    /// Until when the play waits: everything up to and at that moment happens before its next action.
    until: Option<Instant>,
    /// The next edit.
    next_edit: usize,
}

/// What a replay did last.
enum Turn {
    /// The world moved on.
    Event,
    /// An action of the play.
    Action(Box<Action>),
    /// An edit, and whether it was refused.
    Edit(usize, Result<(), ActionError>),
    /// Nothing is left to do.
    Over,
}

impl Run {
    /// Plays a play to its end, at most `most` steps.
    ///
    /// # Errors
    /// An action of the play itself is refused.
    pub fn of(play: &Play, edits: &[Edit], most: usize) -> Result<Self, ActionError> {
        let mut refused = Vec::new();
        let mut replay = Replay::begin(play, edits, |edit, error| refused.push((edit.clone(), error)));
        let (mut steps, mut records) = (Vec::new(), Vec::new());
        while replay.done < most {
            let action = match replay.turn(play)? {
                Turn::Over => break,
                Turn::Event => None,
                Turn::Action(action) => Some(*action),
                Turn::Edit(at, outcome) => {
                    let edit = &replay.edits[at];
                    if let Err(error) = outcome {
                        refused.push((edit.clone(), error));
                    }
                    Some(edit.action.clone())
                }
            };
            let from = records.len();
            records.extend_from_slice(replay.world.trace().records());
            if replay.step_ends(action.is_some()) {
                steps.push(Step { at: replay.world.now(), records: from..records.len(), action });
            }
        }
        Ok(Self { steps, records, refused, end: replay.world })
    }

    /// How many steps there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing happened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Everything that happened to packets.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The edits that the world refused, and why.
    #[must_use]
    pub fn refused(&self) -> &[(Edit, ActionError)] {
        &self.refused
    }

    /// The world when nothing is left to do: after the last step, and after the timers since that nobody saw.
    #[must_use]
    pub const fn end(&self) -> &World {
        &self.end
    }

    /// A digest of everything that happened; equal runs have equal ones.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.end.trace().digest()
    }
}

impl Replay {
    /// A play as it begins; what is changed before everything has been changed, `refused` gets what was refused of
    /// that.
    ///
    /// # Panics
    /// Never: a test opens every scenario.
    pub fn begin(play: &Play, edits: &[Edit], mut refused: impl FnMut(&Edit, ActionError)) -> Self {
        let restricted = restricted(&play.scenario, edits);
        let Scenario { nats, hosts, .. } = restricted.as_ref().unwrap_or(&play.scenario);
        let (world, cast) = scenario::build(nats, hosts, play.seed).expect("a test opens every scenario");
        let edits = ordered(edits.iter().cloned(), |a, b| a.at < b.at);
        let mut replay = Self { world, cast, edits, done: 0, next: 0, until: None, next_edit: 0 };
        // What is changed before everything is no step: the runs with and without it count alike.
        while let Some(edit) = replay.edits.get(replay.next_edit).filter(|edit| edit.at == 0) {
            if let Err(error) = replay.cast.apply(&mut replay.world, &edit.action) {
                refused(edit, error);
            }
            replay.next_edit += 1;
        }
        replay
    }

    /// The world as it is after the steps that are done.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// How many steps are done.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// Goes on until so many steps are done, or nothing is left to do.
    ///
    /// # Panics
    /// Never for a play of which there is a run: what was played once can be played again.
    pub fn go_on(&mut self, play: &Play, steps: usize) {
        while self.done < steps {
            let shown = match self.turn(play).expect("the action was carried out before") {
                Turn::Over => return,
                Turn::Event => false,
                Turn::Action(_) | Turn::Edit(..) => true,
            };
            self.step_ends(shown);
        }
    }

    /// Counts what was done as a step if there is anything to see; says whether there is.
    fn step_ends(&mut self, shown: bool) -> bool {
        let step = shown || !self.world.trace().records().is_empty();
        self.done += usize::from(step);
        self.world.trace_mut().clear();
        step
    }

    /// Does the next thing.
    fn turn(&mut self, play: &Play) -> Result<Turn, ActionError> {
        loop {
            let edit = self.edits.get(self.next_edit);
            if let Some(until) = self.until {
                let end = edit.map_or(until, |edit| Instant::from_micros(edit.at).min(until));
                if self.world.next_event().is_some_and(|at| at <= end) {
                    self.world.step();
                    return Ok(Turn::Event);
                }
                self.world.run_until(end);
                self.until = Some(until).filter(|until| end < *until);
            }
            if let Some(edit) = edit.filter(|edit| Instant::from_micros(edit.at) <= self.world.now()) {
                let outcome = self.cast.apply(&mut self.world, &edit.action);
                self.next_edit += 1;
                return Ok(Turn::Edit(self.next_edit - 1, outcome));
            }
            if self.until.is_some() {
                continue;
            }
            let Some(action) = play.actions.get(self.next) else {
                return Ok(Turn::Over);
            };
            self.next += 1;
            if let Action::Wait { ms } = action {
                self.until = Some(self.world.now() + Duration::from_millis(*ms));
                continue;
            }
            self.cast.apply(&mut self.world, action)?;
            return Ok(Turn::Action(Box::new(action.clone())));
        }
    }
}

/// The scenario with what the edits before everything leave its peers to try, where they say that: it is known
/// before a peer starts.
fn restricted(scenario: &Scenario, edits: &[Edit]) -> Option<Scenario> {
    let mut found = None;
    for edit in edits.iter().filter(|edit| edit.at == 0) {
        let Action::SetStrategies { host, strategies } = &edit.action else { continue };
        let scenario: &mut Scenario = found.get_or_insert_with(|| scenario.clone());
        for spec in scenario.hosts.iter_mut().filter(|spec| spec.name == *host) {
            if let Some(Runs::Peer(peer)) = &mut spec.runs {
                peer.strategies = *strategies;
            }
        }
    }
    found
}
