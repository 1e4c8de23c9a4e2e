//! Who knows what: the knowledge of each machine as facts, and which of them the last step added.

use pinhole_proto::PeerId;
use pinhole_proto::peer::Peer;
use pinhole_proto::server::Server;
use pinhole_proto::sorted::SortedMap;
use pinhole_sim::trace::Record;
use pinhole_sim::{HostId, NatId, Place, World};
use serde::Serialize;

use crate::duty::duty;
use crate::ladder;
use crate::past::Past;
use crate::text::Text;
use crate::words;

/// What one machine knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Knows {
    /// The machine.
    pub machine: String,
    /// What it knows.
    pub facts: Vec<Fact>,
}

/// Something that a machine knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What.
    pub text: Text,
    /// Whether the last step told it.
    pub fresh: bool,
}

/// What every machine knows in a world after these records, compared with what it knew before.
#[must_use]
pub fn knows(past: &Past, records: &[Record], world: &World) -> Vec<Knows> {
    let of = |(place, facts): (Place, Vec<Text>)| Knows {
        machine: world.trace().name(place).to_owned(),
        facts: facts.into_iter().map(|text| Fact { fresh: !past.knew(place, &text), text }).collect(),
    };
    all(records, world).into_iter().map(of).filter(|knows| !knows.facts.is_empty()).collect()
}

/// The facts that each machine knows.
pub(crate) fn all(records: &[Record], world: &World) -> Vec<(Place, Vec<Text>)> {
    let places = ladder::columns(world).into_iter().filter_map(|machine| world.place_named(&machine));
    places.map(|place| (place, facts(records, world, place))).collect()
}

fn facts(records: &[Record], world: &World, place: Place) -> Vec<Text> {
    match place {
        Place::Nat(nat) => nat_facts(world, nat),
        Place::Host(host) => match (world.engine_if::<Peer>(host), world.engine_if::<Server>(host)) {
            (Some(peer), _) => peer_facts(world, host, peer),
            (None, Some(server)) => server_facts(records, world, server),
            (None, None) => Vec::new(),
        },
    }
}

fn nat_facts(world: &World, nat: NatId) -> Vec<Text> {
    let row = |row: &pinhole_sim::nat::Row| {
        Text::of("knows.row")
            .with("internal", row.internal)
            .with("external", row.external)
            .with_text("key", words::remote_key(row.key))
    };
    world.nat(nat).rows().map(row).collect()
}

fn peer_facts(world: &World, host: HostId, peer: &Peer) -> Vec<Text> {
    let snapshot = peer.snapshot();
    let names = names(world);
    let mut facts: Vec<Text> =
        world.interfaces(host).iter().map(|own| Text::of("knows.own-address").with("address", own.address)).collect();
    let public = snapshot
        .bindings
        .iter()
        .filter_map(|binding| Some((binding.public?, words::key_of(&binding.transport).to_ascii_uppercase())));
    facts.extend(
        public.map(|(public, transport)| {
            Text::of("knows.own-public").with("endpoint", public).with("transport", transport)
        }),
    );
    for session in &snapshot.sessions {
        let peer = names.get(&session.peer).map_or("?", String::as_str);
        let remotes = session.paths.iter().filter_map(|path| Some((path.remote?, words::key_of(&path.state))));
        facts.extend(remotes.map(|(remote, state)| {
            Text::of(format!("knows.path.{state}")).with("peer", peer).with("endpoint", remote)
        }));
        let state = Text::of(format!("session.{}", session.state));
        facts.push(Text::of("knows.session").with("peer", peer).with_text("state", state));
    }
    facts
}

fn server_facts(records: &[Record], world: &World, server: &Server) -> Vec<Text> {
    let names = names(world);
    let mut facts = Vec::from_iter(duty(records, world));
    for registration in server.snapshot().registrations {
        let peer = names.get(&registration.peer).map_or("?", String::as_str);
        for binding in registration.bindings {
            facts.push(Text::of("knows.registered").with("peer", peer).with("endpoint", binding.public));
            facts.extend(
                binding
                    .private
                    .iter()
                    .map(|private| Text::of("knows.reported").with("peer", peer).with("endpoint", private)),
            );
        }
    }
    facts
}

/// The peers' names by their keys.
fn names(world: &World) -> SortedMap<PeerId, String> {
    let name = |host: HostId| {
        let id = world.engine_if::<Peer>(host)?.id();
        Some((id, world.trace().name(Place::Host(host)).to_owned()))
    };
    world.hosts().filter_map(name).collect()
}
