//! Worlds with the real engines: a [`Server`] and two [`Peer`]s in one of the draft's networks.
//!
//! ```
//! use pinhole_proto::{Duration, Transport};
//! use pinhole_sim::nat::Unsolicited;
//! use pinhole_sim::topology::{self, Plan};
//! use pinhole_sim::worlds::Trio;
//! use pinhole_sim::{Behaviour, Chance, Place};
//!
//! let mut plan = Plan::default();
//! plan.nat_b = Behaviour::address_restricted().with_unsolicited_syn(Unsolicited::Reset);
//! plan.line_a = plan.line_a.with_loss(Chance::percent(3));
//! let mut trio = Trio::new(1, &plan, topology::two_nats, |config| config.tcp = false);
//! assert!(trio.register());
//! trio.connect(Some(Transport::Udp)).expect("the peer is online");
//! let a = trio.net.a;
//! trio.world.run_for(Duration::from_secs(5));
//! assert!(trio.is_direct(a), "{}", trio.world.trace().ladder());
//! trio.world.cut(Place::Host(trio.net.server));
//! trio.world.run_for(Duration::from_secs(60));
//! println!("{:?} {:?}", trio.selected(a), trio.said(a).last());
//! ```

mod said;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use pinhole_proto::noise::public_key;
use pinhole_proto::peer::{
    Accept, PathInfo, PathKind, Peer, PeerCommand, PeerConfig, PeerEvent, PeerReply, RelayPolicy, SessionHandle,
    StrategySet,
};
use pinhole_proto::server::{Limits, Server, ServerConfig, ServerEvent};
use pinhole_proto::{CommandError, Duration, Endpoint, Engine as _, Instant, PeerId, ServerKey, Transport};

use crate::action::{Action, ActionError};
use crate::cast::{Cast, Role};
use crate::memo::Memo;
use crate::node::{EngineNode, Node};
use crate::topology::{self, Plan, Topology};
use crate::world::{HostId, World};
pub use said::PeerSaid;
pub(crate) use said::server_event;

/// A world in which S, A and B run the real engines.
pub struct Trio {
    /// The world.
    pub world: World,
    /// Who is where in it.
    pub net: Topology,
    /// A's key.
    pub a: PeerId,
    /// B's key.
    pub b: PeerId,
    /// The server's key.
    pub server: ServerKey,
    /// The engines, for [`Trio::apply`].
    pub cast: Cast,
    /// Which transports the peers register over.
    transports: Vec<Transport>,
}

impl Trio {
    /// Builds a topology and starts the three engines. `adjust` changes the configuration that both peers
    /// start with: relay allowed, everybody accepted, UDP and TCP.
    pub fn new(
        seed: u64,
        plan: &Plan,
        build: impl FnOnce(&mut World, &Plan) -> Topology,
        adjust: impl Fn(&mut PeerConfig),
    ) -> Self {
        let mut world = World::new(seed);
        let net = build(&mut world, plan);
        let mut cast = Cast::default();
        let config = server_config();
        let server = public_key(&*config.x25519, &config.secret);
        cast.start(&mut world, net.server, Role::Server(Box::new(config)));
        let mut transports = Vec::new();
        let mut start = |host, secret| {
            let mut config = peer_config(secret, server);
            adjust(&mut config);
            transports.clear();
            transports.extend(config.udp.then_some(Transport::Udp));
            transports.extend(config.tcp.then_some(Transport::Tcp));
            let id = public_key(&*config.x25519, &config.secret);
            cast.start(&mut world, host, Role::Peer(Box::new(config)));
            id
        };
        let a = start(net.a, SECRETS[0]);
        let b = start(net.b, SECRETS[1]);
        Self { world, net, a, b, server, cast, transports }
    }

    /// Lets time pass until both peers are registered over every transport that they use, and 1.5 s more;
    /// answers whether that came about within 10 s.
    pub fn register(&mut self) -> bool {
        let hosts = [self.net.a, self.net.b];
        let transports = self.transports.clone();
        let registered = self.world.run_while_not(Duration::from_secs(10), |world| {
            hosts.iter().all(|host| {
                let log = world.log::<PeerSaid>(*host);
                let online = |transport: &Transport| log.iter().any(|(_, said)| said.is_online_over(*transport));
                transports.iter().all(online)
            })
        });
        self.world.run_for(Duration::from_millis(1_500));
        registered
    }

    /// A asks for a session with B.
    ///
    /// # Errors
    /// The engine refused.
    pub fn connect(&mut self, transport: Option<Transport>) -> Result<SessionHandle, CommandError> {
        let peer = self.b;
        let reply = self.command(self.net.a, PeerCommand::Connect { peer, transport })?;
        match reply {
            PeerReply::Session(session) => Ok(session),
            PeerReply::Done | PeerReply::Written(_) => Err(CommandError::Unknown),
        }
    }

    /// Commands one of the peers.
    ///
    /// # Errors
    /// The engine refused.
    pub fn command(&mut self, host: HostId, command: PeerCommand<'_>) -> Result<PeerReply, CommandError> {
        self.world.command(host, |peer: &mut Peer, now| peer.handle_command(now, command))
    }

    /// What a peer told its application.
    #[must_use]
    pub fn said(&self, host: HostId) -> &[(Instant, PeerSaid)] {
        self.world.log(host)
    }

    /// What the server told its operator, events with octets aside.
    #[must_use]
    pub fn server_said(&self) -> &[(Instant, ServerEvent<'static>)] {
        self.world.log(self.net.server)
    }

    /// The path that a peer's latest session uses: the one selected last.
    #[must_use]
    pub fn selected(&self, host: HostId) -> Option<PathInfo> {
        self.said(host).iter().rev().find_map(|(_, said)| said.selected())
    }

    /// Whether the path that a peer selected last is a direct one.
    #[must_use]
    pub fn is_direct(&self, host: HostId) -> bool {
        self.selected(host).is_some_and(|path| path.kind != PathKind::Relayed)
    }

    /// Carries out an action.
    ///
    /// # Errors
    /// [`ActionError`]; the world is as before.
    pub fn apply(&mut self, action: &Action) -> Result<(), ActionError> {
        self.cast.apply(&mut self.world, action)
    }

    /// Ends the server and starts it again with its key and without its memory.
    pub fn restart_server(&mut self) {
        start_server(&mut self.world, self.net.server);
    }
}

/// A server's engine with the ports 1234 and 1235 of the draft.
#[must_use]
pub fn server_config() -> ServerConfig {
    ServerConfig {
        secret: SECRETS[2],
        port: 1234,
        alternate_port: 1235,
        alternates: vec![Endpoint::new(topology::SERVER, 1235), Endpoint::new(topology::SERVER_ALTERNATE, 1234)],
        addresses: Some([topology::SERVER, topology::SERVER_ALTERNATE]),
        ipv6: false,
        relay: true,
        shard: 0,
        shards: 1,
        boot: 0,
        limits: Limits::default(),
        x25519: Memo::shared(),
    }
}

/// A peer's configuration: local port 1234, the server of [`server_config`].
#[must_use]
pub fn peer_config(secret: [u8; 32], server: ServerKey) -> PeerConfig {
    PeerConfig {
        secret,
        server_key: Some(server),
        servers: vec![Endpoint::new(topology::SERVER, 1234)],
        udp: true,
        tcp: true,
        port: 1234,
        relay: RelayPolicy::Allow,
        accept: Accept::Anybody,
        probe_private: false,
        refresh: Duration::from_secs(25),
        keepalive: Duration::from_secs(15),
        adapt_keepalive: true,
        strategies: StrategySet::ALL,
        birthday: false,
        x25519: Memo::shared(),
    }
}

/// Starts a peer's engine on a host; the log keeps [`PeerSaid`].
pub fn start_peer(world: &mut World, host: HostId, config: PeerConfig) -> PeerId {
    let peer = Peer::new(config, world.engine_seed(), world.now());
    let id = peer.id();
    world.start(host, peer_node(peer));
    id
}

/// Starts a server's engine on a host, each time with another boot number.
pub fn start_server(world: &mut World, host: HostId) -> ServerKey {
    let seed = world.engine_seed();
    let config = ServerConfig { boot: seed[0], ..server_config() };
    let key = public_key(&*config.x25519, &config.secret);
    let server = Server::new(config, seed, world.now());
    world.start(host, EngineNode::new(server, |event: ServerEvent<'_>| said::server_event(event)));
    key
}

/// Wraps a peer's engine so that its log keeps [`PeerSaid`].
#[must_use]
pub fn peer_node(peer: Peer) -> impl Node {
    EngineNode::new(peer, |event: PeerEvent<'_>| Some(PeerSaid::from(event)))
}

const SECRETS: [[u8; 32]; 3] = [[0xa1; 32], [0xb2; 32], [0xc3; 32]];
