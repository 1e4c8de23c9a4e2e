//! Who runs what in a world, and what becomes of an [`Action`].

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use pinhole_proto::noise::public_key;
use pinhole_proto::peer::{Peer, PeerCommand, PeerConfig, PeerEvent, PeerReply, SessionHandle};
use pinhole_proto::server::{Server, ServerConfig, ServerEvent};
use pinhole_proto::sorted::SortedMap;
use pinhole_proto::{CommandError, Duration, Engine as _, PeerId, ServerKey};

use crate::HostOptions;
use crate::action::{Action, ActionError, MAX_WAIT, MAX_WRITE};
use crate::node::EngineNode;
use crate::plain::{Plain, PlainCommand, PlainConfig, PlainSaid};
use crate::world::{HostId, NatId, Place, World};
use crate::worlds::{PeerSaid, peer_node, server_event};

/// The engines of a world with what is needed to start them anew.
#[derive(Default)]
pub struct Cast {
    roles: SortedMap<HostId, Role>,
    /// Octets of byte streams that applications wrote and took.
    written: SortedMap<(HostId, SessionHandle), u64>,
    taken: SortedMap<(HostId, SessionHandle), u64>,
}

/// What runs on a host.
#[derive(Clone)]
pub enum Role {
    /// A rendezvous server. Each start gets another boot number.
    Server(Box<ServerConfig>),
    /// A peer.
    Peer(Box<PeerConfig>),
    /// A host without Pinhole.
    Plain(PlainConfig),
}

impl Cast {
    /// Starts an engine on a host and remembers how.
    pub fn start(&mut self, world: &mut World, host: HostId, role: Role) {
        start(world, host, &role);
        self.roles.insert(host, role);
        self.written.retain(|(at, _), _| *at != host);
        self.taken.retain(|(at, _), _| *at != host);
    }

    /// What runs on a host.
    #[must_use]
    pub fn role(&self, host: HostId) -> Option<&Role> {
        self.roles.get(&host)
    }

    /// The peers, in the order of their hosts.
    pub fn peers(&self) -> impl Iterator<Item = (HostId, PeerId)> {
        self.roles.iter().filter_map(|(host, role)| role.peer_id().map(|id| (*host, id)))
    }

    /// The latest session of a host's peer with another one, ended or not.
    #[must_use]
    pub fn session(&self, world: &World, host: HostId, with: PeerId) -> Option<SessionHandle> {
        let sessions = world.engine_if::<Peer>(host)?.snapshot().sessions;
        sessions.iter().filter(|session| session.peer == with).map(|session| session.handle).max()
    }

    /// How many octets of a session's byte stream the peer on a host has taken from its application.
    #[must_use]
    pub fn written(&self, host: HostId, session: SessionHandle) -> u64 {
        self.written.get(&(host, session)).copied().unwrap_or(0)
    }

    /// Carries out an action.
    ///
    /// # Errors
    /// [`ActionError`]; the world is as before.
    pub fn apply(&mut self, world: &mut World, action: &Action) -> Result<(), ActionError> {
        match action {
            Action::Wait { ms } if *ms > MAX_WAIT => return Err(ActionError::WaitTooLong),
            Action::Wait { ms } => world.run_for(Duration::from_millis(*ms)),
            Action::Connect { host, to, transport } => {
                let (host, peer) = (self.peer(world, host)?.0, self.peer(world, to)?.1);
                command(world, host, PeerCommand::Connect { peer, transport: *transport })?;
            }
            Action::Send { host, to, text } => {
                let (host, session) = self.session_named(world, host, to)?;
                command(world, host, PeerCommand::Send { session, datagram: text.as_bytes() })?;
            }
            Action::Write { host, to, octets } => self.write(world, (host, to), *octets)?,
            Action::Finish { host, to } => {
                let (host, session) = self.session_named(world, host, to)?;
                command(world, host, PeerCommand::Finish { session })?;
            }
            Action::Take { host, to } => self.take(world, (host, to))?,
            Action::Close { host, to } => {
                let (host, session) = self.session_named(world, host, to)?;
                command(world, host, PeerCommand::Close { session })?;
            }
            Action::Shutdown { host } => {
                let (host, _) = self.peer(world, host)?;
                command(world, host, PeerCommand::Shutdown)?;
            }
            Action::Stop { host } => world.stop(host_named(world, host)?),
            Action::Start { host } => {
                let id = host_named(world, host)?;
                let role = self.roles.get(&id).cloned().ok_or_else(|| ActionError::WrongRole(host.clone()))?;
                self.start(world, id, role);
            }
            Action::SetStrategies { host, strategies } => {
                let role = self.roles.get_mut(&host_named(world, host)?);
                let Some(Role::Peer(config)) = role else { return Err(ActionError::WrongRole(host.clone())) };
                config.strategies = *strategies;
            }
            Action::Datagram { host, port, to, ttl, text } => {
                let (port, to, ttl, octets) = (*port, *to, *ttl, text.as_bytes());
                plain(world, host, PlainCommand::Send { port, to, ttl, octets })?;
            }
            Action::Dial { host, port, to } => plain(world, host, PlainCommand::Dial { port: *port, to: *to })?,
            Action::Say { host, port, to, text } => {
                plain(world, host, PlainCommand::Write { port: *port, to: *to, octets: text.as_bytes() })?;
            }
            Action::HangUp { host, port, to } => plain(world, host, PlainCommand::HangUp { port: *port, to: *to })?,
            Action::Compete { host, to, count, every } => {
                plain(world, host, PlainCommand::Flows { to: *to, count: *count, every: *every })?;
            }
            _ => change(world, action)?,
        }
        Ok(())
    }

    fn peer(&self, world: &World, name: &str) -> Result<(HostId, PeerId), ActionError> {
        let host = host_named(world, name)?;
        let id = self.roles.get(&host).and_then(Role::peer_id);
        Ok((host, id.ok_or_else(|| ActionError::WrongRole(name.to_string()))?))
    }

    fn session_named(&self, world: &World, name: &str, to: &str) -> Result<(HostId, SessionHandle), ActionError> {
        let ((host, _), (_, with)) = (self.peer(world, name)?, self.peer(world, to)?);
        let none = || ActionError::NoSession(name.to_string(), to.to_string());
        Ok((host, self.session(world, host, with).ok_or_else(none)?))
    }

    fn write(&mut self, world: &mut World, (host, to): (&str, &str), count: u32) -> Result<(), ActionError> {
        let (host, session) = self.session_named(world, host, to)?;
        if count > MAX_WRITE {
            return Err(ActionError::Refused(CommandError::TooLong));
        }
        let written = self.written.or_insert_with((host, session), Default::default);
        let octets: Vec<u8> = (*written..*written + u64::from(count)).map(octet_at).collect();
        if let PeerReply::Written(taken) = command(world, host, PeerCommand::Write { session, octets: &octets })? {
            *written += taken as u64;
        }
        Ok(())
    }

    fn take(&mut self, world: &mut World, (host, to): (&str, &str)) -> Result<(), ActionError> {
        let (host, session) = self.session_named(world, host, to)?;
        let arrived = world.log::<PeerSaid>(host).iter().map(|(_, said)| match said.event {
            PeerEvent::Stream { session: of, .. } if of == session => said.octets.len() as u64,
            _ => 0,
        });
        let arrived = arrived.sum::<u64>();
        let taken = self.taken.or_insert_with((host, session), Default::default);
        let octets = u32::try_from(arrived - *taken).unwrap_or(u32::MAX);
        command(world, host, PeerCommand::Consume { session, octets })?;
        *taken += u64::from(octets);
        Ok(())
    }
}

impl Role {
    /// The peer's id, if it is a peer.
    #[must_use]
    pub fn peer_id(&self) -> Option<PeerId> {
        match self {
            Self::Peer(config) => Some(public_key(&*config.x25519, &config.secret)),
            Self::Server(_) | Self::Plain(_) => None,
        }
    }

    /// The server's key, if it is a server.
    #[must_use]
    pub fn server_key(&self) -> Option<ServerKey> {
        match self {
            Self::Server(config) => Some(public_key(&*config.x25519, &config.secret)),
            Self::Peer(_) | Self::Plain(_) => None,
        }
    }
}

/// The octet at a place of every byte stream that [`Action::Write`] writes.
#[must_use]
pub const fn octet_at(place: u64) -> u8 {
    (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn start(world: &mut World, host: HostId, role: &Role) {
    match role {
        Role::Server(config) => {
            let seed = world.engine_seed();
            let server = Server::new(ServerConfig { boot: seed[0], ..(**config).clone() }, seed, world.now());
            world.start(host, EngineNode::new(server, |event: ServerEvent<'_>| server_event(event)));
        }
        Role::Peer(config) => {
            let peer = Peer::new((**config).clone(), world.engine_seed(), world.now());
            world.start(host, peer_node(peer));
        }
        Role::Plain(config) => {
            world.start(host, EngineNode::new(Plain::new(config.clone()), |said: PlainSaid| Some(said)));
        }
    }
}

/// What concerns machines and lines, and no engine.
fn change(world: &mut World, action: &Action) -> Result<(), ActionError> {
    match action {
        Action::Move { host, realm, addresses } => {
            let host = host_named(world, host)?;
            let realm = world.realm_named(realm).ok_or_else(|| ActionError::UnknownRealm(realm.clone()))?;
            for (at, address) in addresses.iter().enumerate() {
                let other = world.occupant(realm, *address).is_some_and(|place| place != Place::Host(host));
                if other || addresses[..at].contains(address) {
                    return Err(ActionError::AddressTaken(*address));
                }
            }
            world.move_host(host, realm, addresses);
        }
        Action::SetCrossing { host, taker } => {
            let host = host_named(world, host)?;
            let options = HostOptions { crossing_syn: *taker, ..*world.options(host) };
            world.set_options(host, options);
        }
        Action::SetNat { nat, behaviour } => world.set_behaviour(nat_named(world, nat)?, *behaviour),
        Action::SetField { nat, field, value } => {
            let nat = nat_named(world, nat)?;
            let mut behaviour = *world.nat(nat).behaviour();
            behaviour.set(field, value)?;
            world.set_behaviour(nat, behaviour);
        }
        Action::Reboot { nat } => world.reboot_nat(nat_named(world, nat)?),
        Action::Cut { machine } => world.cut(place_named(world, machine)?),
        Action::Restore { machine } => world.mend(place_named(world, machine)?),
        Action::SetLine { machine, line } => world.set_line(place_named(world, machine)?, *line),
        Action::Fault(fault) => world.add_fault(fault.clone())?,
        Action::Wait { .. }
        | Action::Connect { .. }
        | Action::Send { .. }
        | Action::Write { .. }
        | Action::Finish { .. }
        | Action::Take { .. }
        | Action::Close { .. }
        | Action::Shutdown { .. }
        | Action::Stop { .. }
        | Action::Start { .. }
        | Action::SetStrategies { .. }
        | Action::Datagram { .. }
        | Action::Dial { .. }
        | Action::Say { .. }
        | Action::HangUp { .. }
        | Action::Compete { .. } => {}
    }
    Ok(())
}

fn command(world: &mut World, host: HostId, command: PeerCommand<'_>) -> Result<PeerReply, ActionError> {
    if world.engine_if::<Peer>(host).is_none() {
        return Err(ActionError::NotRunning(world.trace().name(Place::Host(host)).to_string()));
    }
    Ok(world.command(host, |peer: &mut Peer, now| peer.handle_command(now, command))?)
}

fn plain(world: &mut World, name: &str, command: PlainCommand<'_>) -> Result<(), ActionError> {
    let host = host_named(world, name)?;
    if world.engine_if::<Plain>(host).is_none() {
        return Err(ActionError::WrongRole(name.to_string()));
    }
    Ok(world.command(host, |plain: &mut Plain, now| plain.handle_command(now, command))?)
}

fn host_named(world: &World, name: &str) -> Result<HostId, ActionError> {
    world.host_named(name).ok_or_else(|| ActionError::UnknownMachine(name.to_string()))
}

fn nat_named(world: &World, name: &str) -> Result<NatId, ActionError> {
    world.nat_named(name).ok_or_else(|| ActionError::UnknownMachine(name.to_string()))
}

fn place_named(world: &World, name: &str) -> Result<Place, ActionError> {
    world.place_named(name).ok_or_else(|| ActionError::UnknownMachine(name.to_string()))
}
