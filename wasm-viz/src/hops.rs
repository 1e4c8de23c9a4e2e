//! The ways of packets: a hop is one network that a packet crosses, a journey all its hops.

use pinhole_proto::Instant;
use pinhole_proto::sorted::SortedMap;
use pinhole_sim::trace::What;
use pinhole_sim::{JourneyId, Place};

use crate::run::Run;

/// A packet between two machines.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The packet's name.
    pub journey: JourneyId,
    /// Who sent it.
    pub from: Place,
    /// To whom; none where nobody has the address.
    pub to: Option<Place>,
    /// The step in which it was put on the line.
    pub sent: usize,
    /// The record of that.
    pub record: usize,
    /// When it was put on the line.
    pub left: Instant,
    /// When it arrives, if it does.
    pub due: Option<Instant>,
    /// The step in which it arrived and the record of that, if it did within the run.
    pub arrival: Option<(usize, usize)>,
}

/// All hops of a run.
#[derive(Clone, Debug, Default)]
pub struct Hops {
    all: Vec<Hop>,
    by_journey: SortedMap<JourneyId, Vec<usize>>,
}

impl Hops {
    /// Finds the hops of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let mut hops = Self::default();
        // Copies of one packet on one way arrive in the order in which they are due.
        let mut open: Vec<usize> = Vec::new();
        for (step, at) in run.steps().iter().enumerate().flat_map(|(n, step)| step.records.clone().map(move |r| (n, r)))
        {
            let record = &run.records()[at];
            let due = match record.what {
                What::Sent(span) | What::Copied(span) => Some(Some(record.at + span)),
                What::Lost | What::Cut | What::Removed | What::NoRoute | What::TtlExpired | What::Held => Some(None),
                What::Delivered(_) | What::NoSocket(_) | What::Decided(_) => None,
            };
            let Some(due) = due else {
                let same = |hop: &Hop| {
                    hop.journey == record.journey
                        && hop.from == record.from
                        && hop.to == record.to
                        && hop.due == Some(record.at)
                };
                if let Some(place) = open.iter().position(|hop| same(&hops.all[*hop])) {
                    let hop = open.remove(place);
                    hops.all[hop].arrival = Some((step, at));
                }
                continue;
            };
            let (journey, from, to) = (record.journey, record.from, record.to);
            let index = hops.all.len();
            hops.all.push(Hop { journey, from, to, sent: step, record: at, left: record.at, due, arrival: None });
            hops.by_journey.or_insert_with(journey, Vec::new).push(index);
            if due.is_some() {
                open.push(index);
            }
        }
        hops
    }

    /// All of them, in the order in which they began.
    #[must_use]
    pub fn all(&self) -> &[Hop] {
        &self.all
    }

    /// The hops of one packet.
    pub fn journey(&self, journey: JourneyId) -> impl Iterator<Item = &Hop> {
        self.by_journey.get(&journey).into_iter().flatten().map(|index| &self.all[*index])
    }

    /// The packets, in the order in which they were made.
    pub fn journeys(&self) -> impl Iterator<Item = JourneyId> {
        self.by_journey.keys().copied()
    }

    /// What is on a line after step `index`.
    pub fn under_way(&self, index: usize) -> impl Iterator<Item = &Hop> {
        self.all.iter().filter(move |hop| {
            hop.sent <= index && hop.due.is_some() && hop.arrival.is_none_or(|(arrived, _)| arrived > index)
        })
    }
}
