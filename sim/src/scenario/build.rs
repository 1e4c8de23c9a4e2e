//! A scenario becomes a world.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec;

use pinhole_proto::ServerKey;
use pinhole_proto::peer::{PeerConfig, RelayPolicy};
use pinhole_proto::server::ServerConfig;

use super::format::{HostSpec, NatSpec, PeerSpec, RelaySpec, Runs, Scenario, ServerSpec};
use super::{Run, ScenarioError};
use crate::HostOptions;
use crate::cast::{Cast, Role};
use crate::world::{HostId, NatPlan, RealmId, World};
use crate::worlds::{peer_config, server_config};

impl Run {
    /// Builds a scenario and starts what runs in it.
    ///
    /// # Errors
    /// The scenario contradicts itself.
    pub fn new(scenario: &Scenario, seed: u64) -> Result<Self, ScenarioError> {
        let (world, cast) = build(&scenario.nats, &scenario.hosts, seed)?;
        Ok(Self { world, cast, scenario: scenario.clone(), played: 0 })
    }
}

/// Builds the world of a scenario and starts what runs in it.
///
/// # Errors
/// The scenario contradicts itself.
pub fn build(nats: &[NatSpec], hosts: &[HostSpec], seed: u64) -> Result<(World, Cast), ScenarioError> {
    let mut world = World::new(seed);
    for nat in nats {
        add_nat(&mut world, nat)?;
    }
    for host in hosts {
        add_host(&mut world, host)?;
    }
    let mut cast = Cast::default();
    for (number, spec) in hosts.iter().enumerate() {
        if let Some(Runs::Server(server)) = &spec.runs {
            let config = server_of(server, spec, secret(number));
            cast.start(&mut world, host_id(number), Role::Server(Box::new(config)));
        }
    }
    for (number, spec) in hosts.iter().enumerate() {
        let role = match &spec.runs {
            None | Some(Runs::Server(_)) => continue,
            Some(Runs::Plain(config)) => Role::Plain(config.clone()),
            Some(Runs::Peer(peer)) => {
                let key = server_key(hosts, &cast, peer);
                let key = key.ok_or_else(|| ScenarioError::NoServer(spec.name.clone()))?;
                Role::Peer(Box::new(peer_of(peer, secret(number), key)))
            }
        };
        cast.start(&mut world, host_id(number), role);
    }
    Ok((world, cast))
}

fn add_nat(world: &mut World, spec: &NatSpec) -> Result<(), ScenarioError> {
    let outside = free(world, &spec.name, &spec.outside, &[spec.address])?;
    world.add_nat(&NatPlan {
        name: &spec.name,
        outside,
        address: spec.address,
        network: spec.network.0,
        behaviour: spec.behaviour,
        line: spec.line,
    });
    Ok(())
}

fn add_host(world: &mut World, spec: &HostSpec) -> Result<(), ScenarioError> {
    if spec.addresses.is_empty() {
        return Err(ScenarioError::NoAddress(spec.name.clone()));
    }
    let realm = free(world, &spec.name, &spec.realm, &spec.addresses)?;
    let host = world.add_host(&spec.name, realm, &spec.addresses, spec.line);
    if let Some(crossing_syn) = spec.crossing {
        world.set_options(host, HostOptions { crossing_syn, ..HostOptions::default() });
    }
    Ok(())
}

/// The realm of a machine that is to be added, if its name and addresses are free.
fn free(
    world: &World,
    name: &str,
    realm: &str,
    addresses: &[pinhole_proto::Address],
) -> Result<RealmId, ScenarioError> {
    if world.place_named(name).is_some() {
        return Err(ScenarioError::NameTwice(name.to_string()));
    }
    let realm = world.realm_named(realm).ok_or_else(|| ScenarioError::UnknownRealm(realm.to_string()))?;
    for (at, address) in addresses.iter().enumerate() {
        if world.occupant(realm, *address).is_some() || addresses[..at].contains(address) {
            return Err(ScenarioError::Address(*address));
        }
    }
    Ok(realm)
}

/// Hosts are numbered in the order of the file.
fn host_id(number: usize) -> HostId {
    HostId(u32::try_from(number).expect("fewer than 2^32 hosts"))
}

fn server_key(hosts: &[HostSpec], cast: &Cast, peer: &PeerSpec) -> Option<ServerKey> {
    let address = peer.server.address();
    let number = hosts.iter().position(|host| {
        matches!(&host.runs, Some(Runs::Server(server)) if server.port == peer.server.port())
            && host.addresses.contains(&address)
    })?;
    cast.role(host_id(number))?.server_key()
}

fn server_of(spec: &ServerSpec, host: &HostSpec, secret: [u8; 32]) -> ServerConfig {
    let addresses = match host.addresses[..] {
        [main, other, ..] => Some([main, other]),
        _ => None,
    };
    ServerConfig {
        secret,
        port: spec.port,
        alternate_port: spec.alternate_port,
        alternates: spec.alternates.clone(),
        addresses,
        relay: spec.relay,
        ..server_config()
    }
}

fn peer_of(spec: &PeerSpec, secret: [u8; 32], server: ServerKey) -> PeerConfig {
    PeerConfig {
        servers: vec![spec.server],
        udp: spec.transports.contains(&pinhole_proto::Transport::Udp),
        tcp: spec.transports.contains(&pinhole_proto::Transport::Tcp),
        port: spec.port,
        relay: match spec.relay {
            RelaySpec::Allow => RelayPolicy::Allow,
            RelaySpec::Only => RelayPolicy::Only,
            RelaySpec::Never => RelayPolicy::Never,
        },
        probe_private: spec.probe_private,
        refresh: spec.refresh,
        keepalive: spec.keepalive,
        adapt_keepalive: spec.adapt_keepalive,
        strategies: spec.strategies,
        birthday: spec.birthday,
        ..peer_config(secret, server)
    }
}

/// The private key of a host, by its number.
fn secret(number: usize) -> [u8; 32] {
    [u8::try_from(number % 255).unwrap_or(0) + 1; 32]
}
