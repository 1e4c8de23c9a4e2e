//! What the server still does for peers that have a path, as the packets that reached it tell.

use pinhole_proto::Instant;
use pinhole_proto::peer::{PathKind, Peer};
use pinhole_proto::server::Server;
use pinhole_sim::trace::{Record, What};
use pinhole_sim::worlds::PeerSaid;
use pinhole_sim::{HostId, Place, World};

use crate::text::Text;
use crate::words;

/// What the server does in `world` for peers that have a path, after `records`; nothing where they have
/// none, and before a relayed one has carried a packet.
#[must_use]
pub(crate) fn duty(records: &[Record], world: &World) -> Option<Text> {
    let server = world.hosts().find(|host| world.engine_if::<Server>(*host).is_some())?;
    let (since, kind) = chosen(world)?;
    let relayed: Vec<Instant> = records
        .iter()
        .rev()
        .take_while(|record| record.at > since)
        .filter(|record| reached(record, server) && words::is_relayed(&record.packet))
        .map(|record| record.at)
        .collect();
    let text = if kind == PathKind::Relayed {
        if relayed.is_empty() {
            return None;
        }
        Text::of("server.relays").with("count", relayed.len())
    } else {
        // What was under way when the path was chosen still arrives.
        let since = relayed.first().map_or(since, |last| *last);
        Text::of("server.idle").with("ms", since.as_micros() / 1000)
    };
    let registered = world.engine_if::<Server>(server)?.snapshot().registrations.len();
    let keeps = if registered == 0 { "server.keeps-none" } else { "server.keeps" };
    let keeps = Text::of(keeps).with("count", registered);
    let name = world.trace().name(Place::Host(server));
    Some(text.with("server", name).with_text("keeps", keeps))
}

/// Since when every peer that has a path has the one that it has, and whether any of them is relayed.
fn chosen(world: &World) -> Option<(Instant, PathKind)> {
    let peers = world.hosts().filter(|host| world.engine_if::<Peer>(*host).is_some());
    let selected = peers.filter_map(|host| {
        let said = world.log::<PeerSaid>(host).iter().rev();
        said.into_iter().find_map(|(at, said)| Some((*at, said.selected()?.kind)))
    });
    selected.reduce(|(at, kind), (other, its)| (at.max(other), if its == PathKind::Relayed { its } else { kind }))
}

fn reached(record: &Record, server: HostId) -> bool {
    matches!(record.what, What::Delivered(_)) && record.to == Some(Place::Host(server))
}
