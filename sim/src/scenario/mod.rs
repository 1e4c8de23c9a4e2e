//! Scenarios: a network, who runs what in it, what is done, and what must come of it, as data.
//!
//! The files of `sim/scenarios/` are the draft's figures with the draft's addresses, and the failures that the
//! texts describe; [`ALL`] has them. Each [expects](Expect) an outcome, [`Run::check`] compares.
//!
//! ```
//! use pinhole_sim::scenario::{self, Run};
//!
//! let scenario = scenario::named("f5-udp-hole-punching").expect("it is in the list");
//! let mut run = Run::new(&scenario, 1).expect("it can be built");
//! run.play().expect("every action can be done");
//! assert_eq!(run.check(), []);
//! ```

mod build;
mod check;
mod expect;
mod files;
mod format;

use alloc::string::{String, ToString as _};
use core::fmt;

use pinhole_proto::Address;

pub use build::build;
pub use check::{Found, Mismatch, PathFound};
pub use expect::{DiscardExpected, Expect, Fate, FateKind, Heard, Kind, Mark, PathExpected, VerdictExpected};
pub use files::{ALL, NAMES};
pub use format::{HostSpec, NatSpec, Network, NetworkError, PeerSpec, RelaySpec, Runs, Scenario, ServerSpec};

use crate::action::{Action, ActionError};
use crate::cast::Cast;
use crate::world::World;

/// A scenario that runs.
pub struct Run {
    /// The world.
    pub world: World,
    /// Who runs what in it.
    pub cast: Cast,
    scenario: Scenario,
    played: usize,
}

impl Run {
    /// The scenario, which may be a changed one.
    #[must_use]
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The scenario's next action, if there is one left.
    #[must_use]
    pub fn next_action(&self) -> Option<&Action> {
        self.scenario.actions.get(self.played)
    }

    /// Carries out the scenario's next action; answers whether there was one.
    ///
    /// # Errors
    /// It cannot be done; it is passed over.
    pub fn play_next(&mut self) -> Result<bool, ActionError> {
        let Some(action) = self.scenario.actions.get(self.played) else {
            return Ok(false);
        };
        self.played += 1;
        self.cast.apply(&mut self.world, action).map(|()| true)
    }

    /// Carries out the rest of the scenario's actions.
    ///
    /// # Errors
    /// The first that cannot be done, by its number from 0.
    pub fn play(&mut self) -> Result<(), ScenarioError> {
        loop {
            match self.play_next() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(ScenarioError::Action(self.played - 1, error)),
            }
        }
    }

    /// Carries out an action that is not the scenario's.
    ///
    /// # Errors
    /// It cannot be done; nothing is changed.
    pub fn apply(&mut self, action: &Action) -> Result<(), ActionError> {
        self.cast.apply(&mut self.world, action)
    }
}

/// Reads the scenario of a name in [`ALL`].
#[must_use]
pub fn named(name: &str) -> Option<Scenario> {
    let (_, text) = ALL.iter().find(|(known, _)| *known == name)?;
    Some(Scenario::from_json(text).expect("a test reads every file of the list"))
}

/// Why a scenario cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScenarioError {
    /// It is not JSON of the format: what the parser says, with line and column.
    Format(String),
    /// Two machines have one name.
    NameTwice(String),
    /// A machine is in a network that is not there (yet: NATs build networks in the order of the file).
    UnknownRealm(String),
    /// Two machines of a network have one address.
    Address(Address),
    /// A host has no address.
    NoAddress(String),
    /// A peer's server is no host of the scenario that runs one.
    NoServer(String),
    /// An action cannot be done, by its number from 0.
    Action(usize, ActionError),
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => f.write_str(error),
            Self::NameTwice(name) => write!(f, "two machines are called `{name}`"),
            Self::UnknownRealm(name) => write!(f, "no network is called `{name}`"),
            Self::Address(address) => write!(f, "{address} is given twice in one network"),
            Self::NoAddress(name) => write!(f, "`{name}` has no address"),
            Self::NoServer(name) => write!(f, "the server of `{name}` is no server here"),
            Self::Action(number, error) => write!(f, "action {number}: {error}"),
        }
    }
}

impl core::error::Error for ScenarioError {}

impl From<serde_json::Error> for ScenarioError {
    fn from(error: serde_json::Error) -> Self {
        Self::Format(error.to_string())
    }
}
