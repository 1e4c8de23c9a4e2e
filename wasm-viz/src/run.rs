//! A run, step by step: everything that happened, and the world as it was after any step.
//!
//! A step is one event of the world that left a record: a packet arrives at a machine, with everything that
//! the machine does about it; a timer fires and something is sent; an action is carried out. The world of a
//! step is found from the checkpoint before it by doing the same again.

use std::ops::Range;

use pinhole_proto::{Duration, Instant};
use pinhole_sim::World;
use pinhole_sim::action::{Action, ActionError};
use pinhole_sim::cast::Cast;
use pinhole_sim::trace::Record;
use serde::{Deserialize, Serialize};

use crate::order::ordered;

/// A world with its engines, at the beginning, and what is to be done to it.
#[derive(Clone)]
pub struct Play {
    /// The world.
    pub world: World,
    /// Who runs what in it.
    pub cast: Cast,
    /// What is done, in order.
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
#[derive(Clone)]
pub struct Run {
    steps: Vec<Step>,
    records: Vec<Record>,
    checkpoints: Vec<(usize, Machine)>,
    refused: Vec<(Edit, ActionError)>,
    digest: u64,
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

/// The world and how far its script is.
#[derive(Clone)]
struct Machine {
    world: World,
    cast: Cast,
    /// The next action of the play.
    next: usize,
    /// Until when the play waits: everything up to and at that moment happens before its next action.
    until: Option<Instant>,
    /// The next edit.
    next_edit: usize,
}

/// What a machine did last.
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
        let edits = in_time(edits);
        let mut machine =
            Machine { world: play.world.clone(), cast: play.cast.clone(), next: 0, until: None, next_edit: 0 };
        let mut run =
            Self { steps: Vec::new(), records: Vec::new(), checkpoints: Vec::new(), refused: Vec::new(), digest: 0 };
        // What is changed before everything is no step: the runs with and without it count alike.
        while let Some(edit) = edits.get(machine.next_edit).filter(|edit| edit.at == 0) {
            if let Err(error) = machine.cast.apply(&mut machine.world, &edit.action) {
                run.refused.push((edit.clone(), error));
            }
            machine.next_edit += 1;
        }
        run.checkpoints.push((0, machine.clone()));
        while run.steps.len() < most {
            let action = match machine.turn(play, &edits)? {
                Turn::Over => break,
                Turn::Event => None,
                Turn::Action(action) => Some(*action),
                Turn::Edit(at, outcome) => {
                    if let Err(error) = outcome {
                        run.refused.push((edits[at].clone(), error));
                    }
                    Some(edits[at].action.clone())
                }
            };
            run.take(&mut machine, action);
        }
        run.digest = machine.world.trace().digest();
        Ok(run)
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

    /// A digest of everything that happened; equal runs have equal ones.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The world as it is after step `index`, or at the beginning where there is no step.
    ///
    /// # Panics
    /// Never: what was played once can be played again.
    #[must_use]
    pub fn world_at(&self, play: &Play, edits: &[Edit], index: usize) -> World {
        let wanted = (index + 1).min(self.steps.len());
        let at = self.checkpoints.partition_point(|(done, _)| *done <= wanted) - 1;
        let (mut done, mut machine) = self.checkpoints[at].clone();
        let sorted = in_time(edits);
        while done < wanted {
            let turn = machine.turn(play, &sorted).expect("the action was carried out before");
            let shown = matches!(turn, Turn::Action(_) | Turn::Edit(..));
            done += usize::from(shown || !machine.world.trace().records().is_empty());
            machine.world.trace_mut().clear();
        }
        machine.world
    }

    /// Takes over what the machine did, if there is anything to see.
    fn take(&mut self, machine: &mut Machine, action: Option<Action>) {
        let from = self.records.len();
        self.records.extend_from_slice(machine.world.trace().records());
        machine.world.trace_mut().clear();
        if action.is_none() && self.records.len() == from {
            return;
        }
        self.steps.push(Step { at: machine.world.now(), records: from..self.records.len(), action });
        if self.steps.len().is_multiple_of(CHECKPOINT) {
            self.checkpoints.push((self.steps.len(), machine.clone()));
        }
    }
}

impl Machine {
    /// Does the next thing.
    fn turn(&mut self, play: &Play, edits: &[Edit]) -> Result<Turn, ActionError> {
        loop {
            let edit = edits.get(self.next_edit);
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

fn in_time(edits: &[Edit]) -> Vec<Edit> {
    ordered(edits.iter().cloned(), |a, b| a.at < b.at)
}

/// Steps between two checkpoints.
const CHECKPOINT: usize = 64;
