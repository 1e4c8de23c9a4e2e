//! The scenarios, by their names.

use pinhole_sim::scenario::{ALL, Scenario};

use crate::json;

/// Reads the scenario of a name in [`ALL`].
#[must_use]
pub fn named(name: &str) -> Option<Scenario> {
    let (_, text) = ALL.iter().find(|(known, _)| *known == name)?;
    Some(json::read(text).expect("a test reads every file of the list"))
}
