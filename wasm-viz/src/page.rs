//! The state of the page: a scenario, its branches, where one stands.

use std::mem;

use pinhole_proto::sorted::SortedMap;

use pinhole_sim::action::Action;
use pinhole_sim::{JourneyId, Place};
use serde::Serialize;

use crate::branch::{Branch, BranchView, Milestone};
use crate::bytes::BytesView;
use crate::frame::{Fate, Frame, fate};
use crate::hops::Hop;
use crate::ladder::{self, Ladder};
use crate::link::Link;
use crate::machines::{MachineView, machines};
use crate::nats::{self, NatView};
use crate::quiz::{self, Graded, Question};
use crate::race::{self, Arrival};
use crate::run::{Edit, Play, Run};
use crate::scenarios::{self, Scenario};
use crate::text::Text;
use crate::why::{self, Suggestion};
use crate::{bytes, errata, export, matrix};

/// The page.
pub struct Page {
    play: Play,
    /// The edits that the scenario begins with.
    own: Vec<Edit>,
    branches: Vec<Branch>,
    current: usize,
    cursor: usize,
    view: SortedMap<String, String>,
    notices: Vec<Text>,
}

/// Everything about the page that does not change with the cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageView {
    /// The scenario.
    pub scenario: String,
    /// Its title.
    pub title: Text,
    /// What it teaches, in a sentence or two.
    pub story: Text,
    /// The text that it is from.
    pub source: String,
    /// Where the texts that show it have a slip, and what is meant.
    pub errata: Vec<Text>,
    /// The machines.
    pub machines: Vec<MachineView>,
    /// The NATs.
    pub nats: Vec<NatView>,
    /// The branches.
    pub branches: Vec<BranchView>,
    /// The one shown.
    pub branch: usize,
    /// How many steps it has.
    pub length: usize,
    /// The packets that the text numbers.
    pub milestones: Vec<Milestone>,
    /// Where one stands.
    pub cursor: usize,
    /// The page's own part of the link.
    pub view: SortedMap<String, String>,
    /// What of a link or an edit could not be done.
    pub notices: Vec<Text>,
    /// What the trace is, where that is what is shown.
    pub trace: Option<crate::trace::TraceView>,
}

/// Why something that was asked of the page was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Text);

/// The most steps of a run.
pub const MAX_STEPS: usize = 20_000;
/// The most branches.
pub const MAX_BRANCHES: usize = 64;
/// What the page opens on.
pub const FIRST: &str = "f5-udp-hole-punching";

/// Where a scenario opens whose story speaks of another moment than that of a drop or of the last numbered packet, in
/// microseconds: two SYNs are under way, two punches, a keepalive.
const OPENS: [(&str, u64); 3] =
    [("crossing-syns", 2_000_000), ("sandbox", 3_050_000), ("twenty-second-timeouts", 17_150_000)];

impl Page {
    /// Opens what a fragment names, at its step or else at the one that the
    /// story speaks of; an empty one opens [`FIRST`].
    #[must_use]
    pub fn open(fragment: &str) -> Self {
        let link = Link::read(fragment);
        let mut notices = link.notices;
        let wanted = link.scenario.as_deref().unwrap_or(FIRST);
        let scenario = scenarios::named(wanted).unwrap_or_else(|| {
            notices.push(Text::of("notice.no-scenario").with("name", wanted));
            first()
        });
        let seed = link.seed.unwrap_or(1);
        let mut page = Self::new(scenario, seed).unwrap_or_else(|refused| {
            notices.push(refused.0);
            Self::new(first(), 1).expect("a test opens the first scenario")
        });
        if let Some(edits) = link.edits {
            match page.branch(Some(0), edits) {
                Ok(at) => page.current = at,
                Err(refused) => notices.push(refused.0),
            }
        }
        page.cursor = match link.index {
            Some(index) => index.min(page.last()),
            None => page.key_step(),
        };
        page.view = link.view;
        page.notices = notices;
        page
    }

    fn new(mut scenario: Scenario, seed: u64) -> Result<Self, Refused> {
        let (own, actions) = faults_apart(mem::take(&mut scenario.actions));
        let mut page = Self {
            own: own.clone(),
            play: Play { scenario, seed, actions },
            branches: Vec::new(),
            current: 0,
            cursor: 0,
            view: SortedMap::new(),
            notices: Vec::new(),
        };
        page.branch(None, own)?;
        Ok(page)
    }

    /// Makes a branch, or finds the one with the same edits.
    fn branch(&mut self, parent: Option<usize>, edits: Vec<Edit>) -> Result<usize, Refused> {
        if let Some(known) = self.branches.iter().position(|branch| branch.edits == edits) {
            return Ok(known);
        }
        if self.branches.len() >= MAX_BRANCHES {
            return Err(Refused(Text::of("notice.branches").with("most", MAX_BRANCHES)));
        }
        let branch = Branch::new(&self.play, parent, edits)?;
        self.branches.push(branch);
        Ok(self.branches.len() - 1)
    }

    /// The branch that is shown.
    #[must_use]
    pub fn current(&self) -> &Branch {
        &self.branches[self.current]
    }

    fn last(&self) -> usize {
        self.current().run.len().saturating_sub(1)
    }

    /// The step that the scenario's story speaks of: the moment that [`OPENS`] has, else that in which a NAT turns a
    /// numbered packet round that arrives, else the first numbered packet that is dropped, else the last numbered one,
    /// and where none is numbered the first drop.
    fn key_step(&self) -> usize {
        let branch = self.current();
        let steps = branch.run.steps();
        if let Some((_, moment)) = OPENS.iter().find(|(name, _)| *name == self.play.scenario.name) {
            return steps.partition_point(|step| step.at.as_micros() <= *moment).saturating_sub(1);
        }
        let records = branch.run.records();
        let turned = |milestone: &Milestone| {
            let hops = || branch.hops.journey(JourneyId(milestone.journey));
            let back = |(a, b): &(&Hop, &Hop)| records[a.record].realm == records[b.record].realm;
            let arrived = fate(&records[hops().last()?.arrival?.1].what) == Fate::Delivered;
            hops().zip(hops().skip(1)).find(back).filter(|_| arrived).map(|(_, hop)| hop.sent)
        };
        if let Some(step) = branch.milestones.iter().find_map(turned) {
            return step;
        }
        let drops = |at: usize| fate(&records[at].what) == Fate::Dropped;
        let dropped = |milestone: &&Milestone| {
            let hops = branch.hops.journey(JourneyId(milestone.journey));
            hops.filter_map(|hop| hop.arrival).any(|(_, at)| drops(at))
        };
        let milestone = branch.milestones.iter().find(dropped).or_else(|| branch.milestones.last());
        let drop = || steps.iter().position(|step| step.records.clone().any(drops));
        milestone.map(|milestone| milestone.index).or_else(drop).unwrap_or(0)
    }

    /// Everything that does not change with the cursor.
    #[must_use]
    pub fn view(&self) -> PageView {
        let branch = self.current();
        let scene = branch.scene(&self.play, self.cursor);
        let world = scene.world();
        PageView {
            scenario: self.play.scenario.name.clone(),
            title: Text::of(format!("title.{}", self.play.scenario.name)),
            story: Text::of(format!("story.{}", self.play.scenario.name)),
            source: self.play.scenario.source.to_owned(),
            errata: errata::of(&self.play.scenario.name),
            machines: machines(world),
            nats: world
                .nats()
                .map(|nat| nats::view(world.trace().name(Place::Nat(nat)), world.nat(nat).behaviour()))
                .collect(),
            branches: self.branches.iter().map(Branch::view).collect(),
            branch: self.current,
            length: branch.run.len(),
            milestones: branch.milestones.clone(),
            cursor: self.cursor,
            view: self.view.clone(),
            notices: self.notices.clone(),
            trace: None,
        }
    }

    /// Goes to a step, or to the last one where there are fewer.
    pub fn seek(&mut self, index: usize) -> Frame {
        self.cursor = index.min(self.last());
        self.current().frame(&self.play, self.cursor)
    }

    /// The frame of a step of another branch.
    #[must_use]
    pub fn beside(&self, branch: usize, index: usize) -> Option<Frame> {
        let branch = self.branches.get(branch)?;
        Some(branch.frame(&self.play, index.min(branch.run.len().saturating_sub(1))))
    }

    /// The ladder of a branch.
    #[must_use]
    pub fn ladder(&self, branch: usize, all: bool) -> Option<Ladder> {
        let branch = self.branches.get(branch)?;
        Some(ladder::ladder(&branch.run, &branch.hops, &branch.milestones, all))
    }

    /// Makes a branch with more edits and goes there, to the step in which the runs part.
    ///
    /// # Errors
    /// The world refuses an edit, or there are too many branches.
    pub fn edit(&mut self, more: Vec<Edit>) -> Result<(), Refused> {
        let mut edits = self.current().edits.clone();
        for edit in more {
            // A field that is set again replaces what was set before.
            edits.retain(|known| !replaces(&edit.action, &known.action));
            edits.push(edit);
        }
        self.enter_with(edits)
    }

    /// Makes a NAT one of a kind, in a branch.
    ///
    /// # Errors
    /// No such NAT or preset, or there are too many branches.
    pub fn preset(&mut self, nat: &str, preset: &str) -> Result<(), Refused> {
        let unknown = || Refused(Text::of("notice.no-preset").with("name", preset));
        let wanted = nats::PRESETS.iter().find(|(id, _)| *id == preset).ok_or_else(unknown)?.1();
        let held = self.play.scenario.nats.iter().find(|spec| spec.name == nat).ok_or_else(unknown)?;
        let more = matrix::changes(nat, &held.behaviour, &wanted);
        let mut edits = self.current().edits.clone();
        edits.retain(|known| !matches!(&known.action, Action::SetField { nat: of, .. } if of == nat));
        edits.extend(more);
        self.enter_with(edits)
    }

    /// The number of the branch that is shown.
    #[must_use]
    pub const fn branch_shown(&self) -> usize {
        self.current
    }

    /// The octets of a packet at every place that it passed, and what is sealed in it.
    ///
    /// # Errors
    /// There is no such packet.
    pub fn bytes(&self, journey: u64) -> Result<BytesView, Refused> {
        let branch = self.current();
        let missing = || Refused(Text::of("notice.no-packet").with("packet", journey));
        bytes::view(&branch.run, &branch.hops, JourneyId(journey)).ok_or_else(missing)
    }

    /// The changes that would have let the packet of a record pass.
    #[must_use]
    pub fn suggestions(&self, record: usize) -> Vec<Suggestion> {
        let branch = self.current();
        why::suggestions(&self.play, &branch.edits, &branch.run, record)
    }

    /// The smallest changes that would have made the run end in a direct path.
    #[must_use]
    pub fn remedies(&self) -> Vec<Suggestion> {
        let branch = self.current();
        why::remedies(&self.play, &branch.edits, branch.run.end())
    }

    /// What may arrive after the step that is shown.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        let branch = self.current();
        race::arrivals(&branch.run, &branch.hops, self.cursor)
    }

    /// The question about a step.
    #[must_use]
    pub fn question(&self, index: usize) -> Option<Question> {
        let branch = self.current();
        let before = branch.scene(&self.play, index.checked_sub(1)?);
        quiz::question(&branch.run, &branch.hops, index, before.world())
    }

    /// Grades an answer to the question about a step.
    ///
    /// # Errors
    /// There is no question about it.
    pub fn grade(&self, index: usize, choice: usize) -> Result<Graded, Refused> {
        let question = self.question(index).ok_or_else(|| Refused(Text::of("notice.no-question")))?;
        let branch = self.current();
        Ok(quiz::grade(&branch.run, &question, choice))
    }

    /// The packets of the branch that is shown, as a capture file.
    ///
    /// # Errors
    /// The writer's.
    pub fn capture(&self) -> Result<Vec<u8>, Refused> {
        let branch = self.current();
        export::pcapng(&branch.run).map_err(|why| Refused(Text::of("notice.argument").with("why", why)))
    }

    /// Makes a branch without one of the edits and goes there.
    ///
    /// # Errors
    /// There is no such edit, or there are too many branches.
    pub fn unedit(&mut self, edit: usize) -> Result<(), Refused> {
        let mut edits = self.current().edits.clone();
        if edit >= edits.len() {
            return Err(Refused(Text::of("notice.no-edit")));
        }
        edits.remove(edit);
        self.enter_with(edits)
    }

    fn enter_with(&mut self, edits: Vec<Edit>) -> Result<(), Refused> {
        let from = self.current;
        let to = self.branch(Some(from), edits)?;
        self.current = to;
        self.cursor = self.divergence(from).unwrap_or(self.cursor).min(self.last());
        Ok(())
    }

    /// Shows another branch.
    ///
    /// # Errors
    /// There is no such branch.
    pub fn enter(&mut self, branch: usize) -> Result<(), Refused> {
        if branch >= self.branches.len() {
            return Err(Refused(Text::of("notice.no-branch")));
        }
        self.current = branch;
        self.cursor = self.cursor.min(self.last());
        Ok(())
    }

    /// The first step in which the branch that is shown differs from another one; none where they are equal.
    #[must_use]
    pub fn divergence(&self, other: usize) -> Option<usize> {
        let (here, there) = (&self.current().run, &self.branches.get(other)?.run);
        let same = |index: &usize| {
            let at = |run: &Run| {
                let step = &run.steps()[*index];
                (step.at, step.action.clone(), run.records()[step.records.clone()].to_vec())
            };
            at(here) != at(there)
        };
        let shared = here.len().min(there.len());
        (0..shared).find(same).or_else(|| (here.len() != there.len()).then_some(shared.saturating_sub(1)))
    }

    /// The link to where one stands, with the page's own part.
    #[must_use]
    pub fn fragment(&self, view: SortedMap<String, String>) -> String {
        Link {
            scenario: Some(self.play.scenario.name.clone()),
            seed: (self.play.seed != 1).then_some(self.play.seed),
            edits: (self.current().edits != self.own).then(|| self.current().edits.clone()),
            index: Some(self.cursor),
            view,
            notices: Vec::new(),
        }
        .write()
    }
}

/// What goes wrong on purpose in a scenario, as edits: to be seen, and to be taken away. And the rest.
fn faults_apart(actions: Vec<Action>) -> (Vec<Edit>, Vec<Action>) {
    let mut at = 0_u64;
    let (mut faults, mut rest) = (Vec::new(), Vec::new());
    for action in actions {
        if let Action::Wait { ms } = &action {
            at = at.saturating_add(ms.saturating_mul(1000));
        }
        if matches!(action, Action::Fault(_)) {
            faults.push(Edit { at, action });
        } else {
            rest.push(action);
        }
    }
    (faults, rest)
}

/// Whether one edit undoes all of another.
fn replaces(action: &Action, known: &Action) -> bool {
    match (action, known) {
        (Action::SetField { nat, field, .. }, Action::SetField { nat: other, field: held, .. }) => {
            nat == other && field == held
        }
        (Action::SetStrategies { host, .. }, Action::SetStrategies { host: other, .. }) => host == other,
        _ => false,
    }
}

fn first() -> Scenario {
    scenarios::named(FIRST).expect("a test opens the first scenario")
}
