//! The scenarios, by their names, as far as the page shows them.

use pinhole_sim::Pick;
use pinhole_sim::action::Action;
use pinhole_sim::scenario::{HostSpec, NatSpec};
use serde::Deserialize;

use crate::json;

/// What the page shows of a scenario: everything but what must come of it. See
/// [`Scenario`](pinhole_sim::scenario::Scenario).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The text that it is from, with the section.
    #[serde(skip)]
    pub source: &'static str,
    /// The NATs.
    #[serde(default)]
    pub nats: Vec<NatSpec>,
    /// The hosts.
    pub hosts: Vec<HostSpec>,
    /// What is done, in order.
    pub actions: Vec<Action>,
    /// The packets that the text numbers.
    #[serde(default)]
    pub marks: Vec<Mark>,
}

/// A packet that the text numbers. See [`Mark`](pinhole_sim::scenario::Mark).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Mark {
    /// The number in the text.
    pub step: String,
    /// What it is.
    pub title: String,
    /// Which packet.
    pub pick: Pick,
    /// How many others that are picked come before it.
    #[serde(default)]
    pub skip: usize,
}

/// Reads the scenario of a name in [`NAMES`](pinhole_sim::scenario::NAMES).
#[must_use]
pub fn named(name: &str) -> Option<Scenario> {
    let (_, source, text) = TEXTS.iter().find(|(known, ..)| *known == name)?;
    let scenario: Scenario = json::read(text).expect("a test reads every one");
    Some(Scenario { source, ..scenario })
}

/// The text that a scenario is from, with the section.
#[must_use]
pub fn source(name: &str) -> &'static str {
    TEXTS.iter().find(|(known, ..)| *known == name).map_or("", |(_, source, _)| source)
}

/// The names, the sources and the texts, from the files of `sim/scenarios/`.
const TEXTS: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));
