//! The outcome of each kind of NAT with each other one: a table of runs.

use pinhole_sim::Behaviour;
use pinhole_sim::action::Action;
use pinhole_sim::nat::{Field, Value};
use serde::Serialize;

use crate::link::Link;
use crate::nats::PRESETS;
use crate::outcome::Outcome;
use crate::page::{FIRST, Page, Refused};
use crate::run::Edit;
use crate::scenarios;
use crate::text::Text;

/// One run of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The preset of NAT A.
    pub a: String,
    /// The preset of NAT B.
    pub b: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The digest of the run.
    pub digest: String,
    /// The link that opens it.
    pub fragment: String,
}

/// Runs one cell.
///
/// # Errors
/// No such preset.
pub fn cell(a: &str, b: &str) -> Result<Cell, Refused> {
    let mut edits = preset_edits("NAT A", a)?;
    edits.extend(preset_edits("NAT B", b)?);
    let link = Link { scenario: Some(FIRST.to_owned()), edits: Some(edits), index: Some(0), ..Link::default() };
    let fragment = link.write();
    let page = Page::open(&fragment);
    let view = page.view();
    let branch = view.branches.get(view.branch).ok_or_else(|| Refused(Text::of("notice.no-branch")))?;
    Ok(Cell { a: a.into(), b: b.into(), outcome: branch.outcome.clone(), digest: branch.digest.clone(), fragment })
}

/// The edits that make a NAT of the first scenario one of a kind: the fields in which it differs.
///
/// # Errors
/// No such preset.
pub fn preset_edits(nat: &str, preset: &str) -> Result<Vec<Edit>, Refused> {
    let unknown = || Refused(Text::of("notice.no-preset").with("name", preset));
    let wanted = PRESETS.iter().find(|(id, _)| *id == preset).ok_or_else(unknown)?.1();
    let scenario = scenarios::named(FIRST).ok_or_else(unknown)?;
    let held = scenario.nats.iter().find(|spec| spec.name == nat).ok_or_else(unknown)?.behaviour;
    Ok(changes(nat, &held, &wanted))
}

/// The edits that turn one behaviour into another, the ports of sequential allocation aside.
#[must_use]
pub fn changes(nat: &str, from: &Behaviour, to: &Behaviour) -> Vec<Edit> {
    let differs = |field: &&Field| field.name != "first-port" && field.get(from) != field.get(to);
    let edit = |field: &Field| {
        let value: Value<'_> = field.get(to);
        let (nat, field, value) = (nat.to_owned(), field.name.to_owned(), value.to_string());
        Edit { at: 0, action: Action::SetField { nat, field, value } }
    };
    Behaviour::FIELDS.iter().filter(differs).map(edit).collect()
}
