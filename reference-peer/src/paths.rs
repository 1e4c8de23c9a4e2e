//! The paths of a session, as a snapshot to look at and to watch.

use pinhole_proto::peer::{Certainty, PathInfo, PathKind, PathState};
use pinhole_proto::wire::code::Verdict;

use crate::event::Event;

/// The paths of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// The path that data takes, once there is one.
    pub selected: Option<PathInfo>,
    /// Every path that was heard or proved and lives, in the order in which they appeared.
    pub known: Vec<KnownPath>,
    /// Why the last attempt found no direct path, and how sure that is.
    pub verdict: Option<(Verdict, Certainty)>,
}

/// A path and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPath {
    /// The path.
    pub path: PathInfo,
    /// How far it is.
    pub state: PathState,
}

impl Paths {
    /// The selected path, if it is direct.
    #[must_use]
    pub fn direct(&self) -> Option<PathInfo> {
        self.selected.filter(|path| path.kind != PathKind::Relayed)
    }

    pub(crate) fn on_event(&mut self, event: &Event) {
        match *event {
            Event::Path { state, path, .. } => match self.known.iter_mut().find(|known| same(&known.path, &path)) {
                Some(known) => *known = KnownPath { path, state },
                None => self.known.push(KnownPath { path, state }),
            },
            Event::Selected { path, .. } => {
                self.selected = Some(path);
                if path.kind != PathKind::Relayed {
                    self.verdict = None;
                }
            }
            Event::PathLost { path, .. } => {
                self.known.retain(|known| !same(&known.path, &path));
                self.selected = self.selected.filter(|selected| !same(selected, &path));
            }
            Event::NotDirect { verdict, certainty, .. } => self.verdict = Some((verdict, certainty)),
            Event::Withdrawn { .. } => self.verdict = None,
            _ => {}
        }
    }
}

/// Whether two descriptions are of one path: what the other side sees of it may become known later.
fn same(a: &PathInfo, b: &PathInfo) -> bool {
    (a.kind, a.transport, a.local, a.remote) == (b.kind, b.transport, b.local, b.remote)
}
