//! A branch: a run of the scenario with some edits, and what the scenario's text numbers in it.

use std::cell::{Ref, RefCell};

use pinhole_sim::action::Action;
use pinhole_sim::{JourneyId, World};
use serde::Serialize;

use crate::frame::{Frame, frame};
use crate::hops::Hops;
use crate::order::ordered;
use crate::outcome::{Outcome, outcome};
use crate::page::{MAX_STEPS, Refused};
use crate::past::Past;
use crate::run::{Edit, Play, Replay, Run};
use crate::scenarios::Scenario;
use crate::text::Text;
use crate::{script, words};

/// A run of the scenario with some edits.
pub struct Branch {
    pub(crate) edits: Vec<Edit>,
    pub(crate) run: Run,
    pub(crate) hops: Hops,
    pub(crate) milestones: Vec<Milestone>,
    parent: Option<usize>,
    /// Where one stands in it: a frame that is asked for next is mostly a step further.
    scene: RefCell<Scene>,
}

/// The world after a step, and what was before that step.
pub(crate) struct Scene {
    replay: Replay,
    past: Past,
}

/// A packet that the scenario's text numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Milestone {
    /// The step in which its fate is decided.
    pub index: usize,
    /// The packet.
    pub journey: u64,
    /// Its number.
    pub step: String,
    /// What it is.
    pub text: Text,
}

/// The number of a packet that the text speaks of without one.
pub(crate) const UNNUMBERED: &str = "-";

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BranchView {
    /// The branch that it was made from.
    pub parent: Option<usize>,
    /// Its edits.
    pub edits: Vec<EditView>,
    /// What came of it.
    pub outcome: Outcome,
    /// How many steps it has.
    pub length: usize,
    /// Its digest.
    pub digest: String,
}

/// An edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EditView {
    /// What it does.
    pub text: Text,
    /// When, in microseconds.
    pub at: u64,
}

impl Branch {
    pub(crate) fn new(play: &Play, parent: Option<usize>, edits: Vec<Edit>) -> Result<Self, Refused> {
        let run =
            Run::of(play, &edits, MAX_STEPS).map_err(|error| Refused(Text::of("notice.refused").with("why", error)))?;
        if let Some((_, error)) = run.refused().first() {
            return Err(Refused(Text::of("notice.refused").with("why", error)));
        }
        let hops = Hops::of(&run);
        let milestones = milestones(&play.scenario, &run, &hops);
        let scene = RefCell::new(Scene::begin(play, &edits));
        Ok(Self { edits, run, hops, milestones, parent, scene })
    }

    /// The scene after a step, or at the beginning where there is no step.
    pub(crate) fn scene(&self, play: &Play, index: usize) -> Ref<'_, Scene> {
        let wanted = (index + 1).min(self.run.len());
        let mut scene = self.scene.borrow_mut();
        if scene.replay.done() > wanted {
            *scene = Scene::begin(play, &self.edits);
        }
        if let Some(step) = self.run.steps()[scene.replay.done()..wanted].last() {
            scene.replay.go_on(play, wanted - 1);
            scene.past = Past::of(&self.run.records()[..step.records.start], scene.replay.world());
            scene.replay.go_on(play, wanted);
        }
        drop(scene);
        self.scene.borrow()
    }

    pub(crate) fn frame(&self, play: &Play, index: usize) -> Frame {
        let scene = self.scene(play, index);
        frame(&self.run, &self.hops, index, &scene.past, scene.world())
    }

    /// What was changed in it.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// The world at the end.
    #[must_use]
    pub const fn world(&self) -> &World {
        self.run.end()
    }

    /// Everything that happened.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn view(&self) -> BranchView {
        BranchView {
            parent: self.parent,
            edits: self.edits.iter().map(|edit| EditView { text: edit_text(edit, &self.run), at: edit.at }).collect(),
            outcome: outcome(self.run.end()),
            length: self.run.len(),
            digest: format!("{:016x}", self.run.digest()),
        }
    }
}

impl Scene {
    fn begin(play: &Play, edits: &[Edit]) -> Self {
        // What was refused, the run has told.
        let replay = Replay::begin(play, edits, |_, _| {});
        let past = Past::of(&[], replay.world());
        Self { replay, past }
    }

    pub(crate) const fn world(&self) -> &World {
        self.replay.world()
    }
}

/// An edit of a run in words; a fault by the packet that met it.
pub(crate) fn edit_text(edit: &Edit, run: &Run) -> Text {
    let names = run.end();
    let Action::Fault(fault) = &edit.action else {
        return script::action(&edit.action);
    };
    let picked = |record: &&pinhole_sim::trace::Record| {
        record.effect == Some(fault.effect) && names.trace().matches(&fault.pick, record)
    };
    let packet = run.records().iter().find(picked).map_or_else(
        || Text::of("packet.none"),
        |record| {
            let to = record.to.map_or("?", |place| names.trace().name(place));
            let name = words::packet_name(names, &record.packet);
            Text::of("packet.to").with_text("name", name).with("machine", to)
        },
    );
    script::fault(fault.effect).with_text("packet", packet)
}

/// The packets of a run that the scenario numbers.
fn milestones(scenario: &Scenario, run: &Run, hops: &Hops) -> Vec<Milestone> {
    let found = scenario.marks.iter().filter_map(|mark| {
        let mut seen: Vec<JourneyId> = Vec::new();
        let picked = run.records().iter().filter(|record| run.end().trace().matches(&mark.pick, record));
        for record in picked {
            if !seen.contains(&record.journey) {
                seen.push(record.journey);
            }
        }
        let journey = *seen.get(mark.skip)?;
        let last = hops.journey(journey).last()?;
        let index = last.arrival.map_or(last.sent, |(step, _)| step);
        let text = Text::of(format!("mark.{}", slug(&mark.title)));
        Some(Milestone { index, journey: journey.0, step: mark.step.clone(), text })
    });
    ordered(found, |a, b| a.index < b.index)
}

/// A title as the end of a key: lower-case letters and digits, everything else a hyphen.
fn slug(title: &str) -> String {
    let lower = title.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}
