//! The machines of a scenario, as the page lays them out.

use pinhole_proto::peer::Peer;
use pinhole_proto::server::Server;
use pinhole_sim::{Place, World};
use serde::Serialize;

use crate::ladder;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MachineView {
    /// Its name.
    pub id: String,
    /// What it is: `nat`, `server`, `peer` or `host`.
    pub kind: &'static str,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The network that it is in.
    pub realm: String,
    /// A NAT's inner network.
    pub inside: Option<String>,
}

/// The machines, left to right.
#[must_use]
pub fn machines(world: &World) -> Vec<MachineView> {
    let name = |place| world.trace().name(place).to_owned();
    ladder::columns(world)
        .into_iter()
        .filter_map(|id| {
            Some(match world.place_named(&id)? {
                Place::Nat(nat) => MachineView {
                    kind: "nat",
                    addresses: world.nat(nat).pool().iter().map(ToString::to_string).collect(),
                    realm: world.trace().realm_name(world.outside(nat)).to_owned(),
                    inside: Some(world.trace().realm_name(world.inside(nat)).to_owned()),
                    id: name(Place::Nat(nat)),
                },
                Place::Host(host) => MachineView {
                    kind: if world.engine_if::<Server>(host).is_some() {
                        "server"
                    } else if world.engine_if::<Peer>(host).is_some() {
                        "peer"
                    } else {
                        "host"
                    },
                    addresses: world.interfaces(host).iter().map(|own| own.address.to_string()).collect(),
                    realm: world.trace().realm_name(world.realm_of(host)).to_owned(),
                    inside: None,
                    id,
                },
            })
        })
        .collect()
}
