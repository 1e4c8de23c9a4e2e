//! A trace of a real program (`spec/trace.md`) as a run of the page: what left one engine and what entered it.
//!
//! A trace knows one place. There are no NATs to be seen or changed, no branches, and nothing is known of what
//! became of a datagram after it was sent: what a trace does not have is said, and never made up.

mod events;
mod lanes;
mod notes;
mod steps;
mod view;

use pinhole_proto::Instant;
use pinhole_trace::{Header, Line};

pub use events::{EVENTS, event_keys};
pub use notes::{located, problems};
pub use view::TraceView;

use crate::page::Refused;
use events::Events;
use lanes::Lanes;
use steps::Step;

/// A trace that is shown.
pub struct TracePage {
    /// The file's name.
    file: String,
    header: Header<'static>,
    lines: Vec<Line<'static, String>>,
    /// Whether the file ends in the middle of a line.
    cut: bool,
    steps: Vec<Step>,
    lanes: Lanes,
    events: Events,
    digest: u64,
    cursor: usize,
}

impl TracePage {
    /// Opens the file `name`.
    ///
    /// # Errors
    /// It is not a trace, and where.
    pub fn open(name: &str, file: &[u8]) -> Result<Self, Refused> {
        let trace = pinhole_trace::read(file).map_err(|error| Refused(located(name, &error)))?;
        let events = Events::of(&trace);
        let (mut steps, endpoints) = steps::of(&trace);
        let lanes = Lanes::of(&trace.header, &endpoints, &events);
        for step in &mut steps {
            step.lane = step.remote.map(|remote| lanes.of_endpoint(remote));
        }
        let mut page = Self {
            file: name.to_owned(),
            header: trace.header,
            lines: trace.lines,
            cut: trace.cut,
            steps,
            lanes,
            events,
            digest: digest(file),
            cursor: 0,
        };
        page.cursor = page.first_of_note();
        Ok(page)
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

    fn line(&self, step: &Step) -> &Line<'static, String> {
        &self.lines[step.line]
    }

    fn at(&self, index: usize) -> Instant {
        self.steps.get(index).map_or(Instant::ZERO, |step| self.line(step).t)
    }

    /// The first step in which the engine ignored something, or else the first packet.
    fn first_of_note(&self) -> usize {
        let ignored = self.steps.iter().position(|step| step.discard.is_some());
        ignored.or_else(|| self.steps.iter().position(|step| step.fate.is_some())).unwrap_or(0)
    }
}

/// FNV-1a.
fn digest(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |sum, octet| (sum ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}
