//! What came of a run: the path of the peers' sessions at its end, or what plain hosts heard of each other.

use pinhole_proto::peer::{PathKind, Peer, PeerEvent};
use pinhole_proto::{Endpoint, Instant};
use pinhole_sim::plain::{Plain, PlainSaid};
use pinhole_sim::worlds::PeerSaid;
use pinhole_sim::{HostId, Place, RealmId, World};
use serde::Serialize;

use crate::text::Text;
use crate::words;

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `direct`, `relayed`, `failed` or `none`; `unknown` where nothing tells, or nobody tried.
    pub kind: &'static str,
    /// The same in words.
    pub text: Text,
}

/// What came of a run, by its world at the end.
#[must_use]
pub fn outcome(end: &World) -> Outcome {
    let peers: Vec<_> = end.hosts().filter(|host| end.engine_if::<Peer>(*host).is_some()).collect();
    if peers.is_empty() { of_plain_hosts(end) } else { of_peers(end, &peers) }
}

fn of_peers(end: &World, peers: &[HostId]) -> Outcome {
    let selected = peers.iter().filter_map(|host| {
        end.log::<PeerSaid>(*host).iter().rev().find_map(|(at, said)| Some((*at, said.selected()?)))
    });
    let best = selected.min_by_key(|(at, path)| (path.kind == PathKind::Relayed, *at));
    let verdict = || {
        peers.iter().find_map(|host| {
            end.log::<PeerSaid>(*host).iter().rev().find_map(|(_, said)| match said.event {
                PeerEvent::NotDirect { verdict, .. } => Some(verdict),
                _ => None,
            })
        })
    };
    match best {
        Some((at, path)) if path.kind != PathKind::Relayed => Outcome {
            kind: "direct",
            text: Text::of("outcome.direct").with_text("path", words::path(&path)).with("ms", at.as_micros() / 1000),
        },
        Some(_) => {
            let verdict = verdict().map_or_else(|| "unknown".to_owned(), |verdict| verdict.name().to_owned());
            Outcome {
                kind: "relayed",
                text: Text::of("outcome.relayed").with_text("verdict", Text::of(format!("verdict.{verdict}"))),
            }
        }
        None => Outcome { kind: "none", text: Text::of("outcome.none") },
    }
}

/// Plain hosts reach each other when one behind a NAT hears another one behind a NAT. The first two of a scenario are
/// meant to; what others hear is not for them.
fn of_plain_hosts(end: &World) -> Outcome {
    let hidden: Vec<_> = end
        .hosts()
        .filter(|host| end.realm_of(*host) != RealmId::INTERNET && end.engine_if::<Plain>(*host).is_some())
        .take(2)
        .collect();
    // Where there are no two to be joined, it is not that they failed.
    if hidden.len() < 2 {
        return Outcome { kind: "unknown", text: Text::of("outcome.none") };
    }
    let heard = hidden.iter().filter_map(|host| {
        let (at, from) = end.log::<PlainSaid>(*host).iter().find_map(|(at, said)| Some((*at, another(end, said)?)))?;
        Some((at, *host, from))
    });
    match heard.min_by_key(|(at, ..)| *at) {
        Some((at, host, from)) => Outcome { kind: "direct", text: heard_text(end, at, host, from) },
        None => Outcome { kind: "failed", text: Text::of("outcome.unheard") },
    }
}

/// Whom a plain host heard, where that is a host behind a NAT.
fn another(end: &World, said: &PlainSaid) -> Option<Endpoint> {
    let from = match said {
        PlainSaid::Datagram { from, .. }
        | PlainSaid::Received { from, .. }
        | PlainSaid::Accepted(from)
        | PlainSaid::Connected { remote: from, .. } => *from,
        PlainSaid::Opened(_) | PlainSaid::OpenFailed(_) | PlainSaid::Rejected(..) | PlainSaid::Closed(_) => {
            return None;
        }
    };
    let server = end
        .hosts()
        .filter(|host| end.realm_of(*host) == RealmId::INTERNET)
        .any(|host| end.interfaces(host).iter().any(|own| own.address == from.address()));
    (!server).then_some(from)
}

fn heard_text(end: &World, at: Instant, host: HostId, from: Endpoint) -> Text {
    Text::of("outcome.heard")
        .with("host", end.trace().name(Place::Host(host)))
        .with("from", from)
        .with("ms", at.as_micros() / 1000)
}
