//! What was before the last step: what a frame compares the world with.

use pinhole_proto::{Endpoint, Instant};
use pinhole_sim::nat::RowId;
use pinhole_sim::trace::Record;
use pinhole_sim::{NatId, Place, World};

use crate::knows;
use crate::text::Text;

/// The tables and the knowledge of a moment.
pub struct Past {
    /// When each row, and each of its sessions, began and was used last, in the order of their names.
    rows: Vec<(Name, Span)>,
    /// What each machine knew.
    facts: Vec<(Place, Vec<Text>)>,
}

/// A row, or one of its sessions.
type Name = (NatId, RowId, Option<Endpoint>);
/// When something began, and when it was used last.
pub type Span = (Instant, Instant);

impl Past {
    /// The moment in which a world is, after these records.
    #[must_use]
    pub fn of(records: &[Record], world: &World) -> Self {
        let mut rows = Vec::new();
        for nat in world.nats() {
            for row in world.nat(nat).rows() {
                rows.push(((nat, row.id, None), (row.since, row.used)));
                for (remote, session) in &row.sessions {
                    rows.push(((nat, row.id, Some(*remote)), (session.since, session.used)));
                }
            }
        }
        Self { rows, facts: knows::all(records, world) }
    }

    /// When a row, or its session with `remote`, began and was used last; none if there was no such.
    #[must_use]
    pub fn span(&self, nat: NatId, row: RowId, remote: Option<Endpoint>) -> Option<Span> {
        let at = self.rows.binary_search_by_key(&(nat, row, remote), |(name, _)| *name).ok()?;
        Some(self.rows[at].1)
    }

    /// Whether a machine knew something.
    #[must_use]
    pub fn knew(&self, place: Place, fact: &Text) -> bool {
        self.facts.iter().any(|(known, facts)| *known == place && facts.contains(fact))
    }
}
