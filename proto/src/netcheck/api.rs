//! What an application says to a [`NetCheck`](super::NetCheck) and hears from it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::report::{Observation, Report};
use crate::endpoint::Endpoint;
use crate::time::{Duration, Instant};

/// How a check is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetCheckConfig {
    /// The server's main endpoint.
    pub server: Endpoint,
    /// Check UDP.
    pub udp: bool,
    /// Check TCP.
    pub tcp: bool,
    /// The number of the main port, or 0 for any.
    pub port: u16,
    /// Measure the timeout of UDP mappings, too, with silences up to this one; it is at most
    /// [`MAX_SILENCE`](crate::constants::MAX_SILENCE).
    pub longest_silence: Option<Duration>,
}

/// A view of a [`NetCheck`](super::NetCheck) for tests and transcripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetCheckSnapshot {
    /// What is being found out, in the names of the source.
    pub step: String,
    /// Questions without an answer.
    pub open: usize,
    /// Streams that are there or being made.
    pub streams: usize,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// When the next timer is due.
    pub deadline: Option<Instant>,
}

/// What the application asks of a [`NetCheck`](super::NetCheck).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetCheckCommand {
    /// Ends the check with what is known.
    Stop,
}

/// What a [`NetCheck`](super::NetCheck) tells the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetCheckEvent {
    /// Something was tried.
    Observed(Observation),
    /// The check is over; the engine does nothing any more.
    Finished(Box<Report>),
}
