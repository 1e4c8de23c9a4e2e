//! The columns of a trace's ladder: the engine whose trace it is, and who is at the other ends, as far as it shows.

use pinhole_proto::Endpoint;
use pinhole_proto::sorted::{SortedMap, SortedSet};
use pinhole_trace::{Engine, Header};

use super::events::{Events, short};
use super::steps::Clue;

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// The server, or its second address.
    Server,
    /// The peer with this id.
    Peer(String),
    /// A peer whose id the trace does not show, by the session's.
    Session([u8; 8]),
    /// Nobody knows.
    Unknown,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// What stands above it.
    pub(super) name: String,
    /// `peer`, `server` or `host`.
    pub(super) kind: &'static str,
    /// Its endpoints, as they were seen.
    pub(super) endpoints: Vec<Endpoint>,
}

/// All columns; the first is the engine's own.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    of: SortedMap<Endpoint, usize>,
}

impl Lanes {
    pub(super) fn of(header: &Header<'_>, clues: &[(Endpoint, Clue)], events: &Events) -> Self {
        let known = known(header, clues, events);
        let mut lanes = Self { all: vec![own(header)], of: SortedMap::new() };
        let mut found: SortedMap<Who, usize> = SortedMap::new();
        let wants_server = known.values().any(|who| *who == Who::Server);
        if wants_server {
            found.insert(Who::Server, 1);
            lanes.all.push(Lane { name: "S".into(), kind: "server", endpoints: Vec::new() });
        }
        let mut others = None;
        for (endpoint, _) in clues {
            if lanes.of.contains_key(endpoint) {
                continue;
            }
            let who = known.get(endpoint).cloned().unwrap_or(Who::Unknown);
            let lane = match found.get(&who) {
                Some(lane) => *lane,
                None if lanes.all.len() < MAX_LANES => {
                    lanes.all.push(lane(&who));
                    found.insert(who, lanes.all.len() - 1);
                    lanes.all.len() - 1
                }
                None => *others.get_or_insert_with(|| {
                    lanes.all.push(Lane { name: "…".into(), kind: "host", endpoints: Vec::new() });
                    lanes.all.len() - 1
                }),
            };
            lanes.of.insert(*endpoint, lane);
            lanes.all[lane].endpoints.push(*endpoint);
        }
        lanes
    }

    pub(super) fn all(&self) -> &[Lane] {
        &self.all
    }

    /// The name of the engine's own column.
    pub(super) fn own(&self) -> &str {
        &self.all[0].name
    }

    /// The column of an endpoint that is in the trace.
    pub(super) fn of_endpoint(&self, endpoint: Endpoint) -> usize {
        self.of.get(&endpoint).copied().unwrap_or(0)
    }
}

/// Who each endpoint is: by what it sent, by what was sent to it, by what the engine said about it.
fn known(header: &Header<'_>, clues: &[(Endpoint, Clue)], events: &Events) -> SortedMap<Endpoint, Who> {
    let mut known: SortedMap<Endpoint, Who> = events.peers().map(|(at, id)| (at, Who::Peer(id.to_owned()))).collect();
    // All endpoints of one session are of one peer.
    let mut of_session: SortedMap<[u8; 8], String> = SortedMap::new();
    for (endpoint, clue) in clues {
        if let (Clue::Session(session), Some(Who::Peer(id))) = (clue, known.get(endpoint)) {
            of_session.or_insert_with(*session, || id.clone());
        }
    }
    let mut asked = SortedSet::new();
    for (endpoint, clue) in clues {
        match clue {
            Clue::Server => {
                known.insert(*endpoint, Who::Server);
            }
            Clue::Asked => {
                asked.insert(*endpoint);
            }
            Clue::Session(session) => {
                let who = || of_session.get(session).map_or(Who::Session(*session), |id| Who::Peer(id.clone()));
                known.or_insert_with(*endpoint, who);
            }
            Clue::None => {}
        }
    }
    for endpoint in asked.iter().chain(&header.servers) {
        known.or_insert_with(*endpoint, || Who::Server);
    }
    known
}

fn own(header: &Header<'_>) -> Lane {
    let (name, kind) = match header.engine {
        Engine::Server => ("S".to_owned(), "server"),
        Engine::Peer => (header.id.as_deref().map_or_else(|| "peer".to_owned(), short), "peer"),
        Engine::Netcheck => ("netcheck".to_owned(), "host"),
    };
    Lane { name, kind, endpoints: Vec::new() }
}

fn lane(who: &Who) -> Lane {
    let (name, kind) = match who {
        Who::Server => ("S".to_owned(), "server"),
        Who::Peer(id) => (short(id), "peer"),
        Who::Session(session) => (format!("#{}", crate::bytes::hex(&session[..3])), "peer"),
        Who::Unknown => ("?".to_owned(), "host"),
    };
    Lane { name, kind, endpoints: Vec::new() }
}

/// The most columns, but for one of all the others.
const MAX_LANES: usize = 7;
