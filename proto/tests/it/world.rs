//! The smallest world that two peers and a server can meet in: public addresses, one delay, lost
//! datagrams, streams without handshakes. It records every input, so that runs can be mutated.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use pinhole_proto::endpoint::Family;
use pinhole_proto::noise::{Dalek, public_key};
use pinhole_proto::peer::{
    Accept, Peer, PeerCommand, PeerConfig, PeerEvent, PeerReply, RelayPolicy, SessionHandle, StrategySet,
};
use pinhole_proto::server::{Limits, Server, ServerConfig};
use pinhole_proto::{
    Address, CommandError, Discard, Duration, Endpoint, Engine, Input, Instant, Interface, NetError, Output, PeerId,
    SocketId, StreamId, StreamInput, Transport,
};

pub(crate) const SERVER: usize = 0;
pub(crate) const A: usize = 1;
pub(crate) const B: usize = 2;

/// An input that can be kept.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Timeout,
    Interfaces(Vec<Interface>),
    Opened(SocketId, Endpoint),
    Datagram(SocketId, Address, Endpoint, Vec<u8>),
    Accepted(StreamId, SocketId, Endpoint, Endpoint),
    Connected(StreamId, Endpoint),
    Received(StreamId, Vec<u8>),
    Written(StreamId, u32),
    Closed(StreamId),
    Failed(StreamId, NetError),
}

impl Kept {
    pub(crate) fn as_input(&self) -> Input<'_> {
        let stream = |&stream: &StreamId, what| Input::Stream { stream, what };
        match self {
            Self::Timeout => Input::Timeout,
            Self::Interfaces(interfaces) => Input::Interfaces(interfaces),
            &Self::Opened(socket, local) => Input::Opened { socket, local },
            Self::Datagram(socket, local, remote, payload) => {
                Input::Datagram { socket: *socket, local: *local, remote: *remote, payload }
            }
            Self::Accepted(id, socket, local, remote) => {
                stream(id, StreamInput::Accepted { socket: *socket, local: *local, remote: *remote })
            }
            Self::Connected(id, local) => stream(id, StreamInput::Connected { local: *local }),
            Self::Received(id, octets) => stream(id, StreamInput::Received(octets)),
            Self::Written(id, octets) => stream(id, StreamInput::Written(*octets)),
            Self::Closed(id) => stream(id, StreamInput::Closed(None)),
            Self::Failed(id, error) => stream(id, StreamInput::Closed(Some(*error))),
        }
    }
}

#[derive(Clone)]
pub(crate) enum AnyEngine {
    Server(Box<Server>),
    Peer(Box<Peer>),
}

#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) engine: AnyEngine,
    /// The engine before its first input.
    pub(crate) initial: AnyEngine,
    pub(crate) address: Address,
    sockets: BTreeMap<SocketId, (Transport, u16)>,
    streams: BTreeMap<StreamId, (usize, StreamId)>,
    next_accepted: u64,
    deadline: Option<Instant>,
    pub(crate) up: bool,
    /// Events as JSON, except data.
    pub(crate) events: Vec<(Instant, serde_json::Value)>,
    pub(crate) datagrams: Vec<Vec<u8>>,
    pub(crate) stream: Vec<u8>,
    /// Whether the application takes the octets of a byte stream as they come.
    pub(crate) reads: bool,
    unread: Vec<(SessionHandle, u32)>,
    pub(crate) inputs: Vec<(Instant, Kept)>,
    pub(crate) discards: Vec<Discard>,
    pub(crate) sent: Vec<(Instant, Endpoint, Vec<u8>)>,
    pub(crate) dials: Vec<(Instant, Endpoint)>,
    /// The latest dial.
    pub(crate) dial: Option<StreamId>,
    /// What was written to streams, one frame each.
    pub(crate) written: Vec<(Instant, StreamId, Vec<u8>)>,
    pub(crate) closed: Vec<(Instant, StreamId)>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    queue: BTreeMap<(Instant, u64), (usize, Kept)>,
    sequence: u64,
    pub(crate) delay: Duration,
    /// One datagram in so many is lost; 0 loses none.
    pub(crate) loss: u64,
    dice: u64,
    pub(crate) udp_works: bool,
    /// Peers reach each other and not only the server.
    pub(crate) direct: bool,
}

pub(crate) fn peer_config(secret: u8, transports: (bool, bool)) -> PeerConfig {
    PeerConfig {
        secret: [secret; 32],
        server_key: Some(public_key(&Dalek, &[9; 32])),
        servers: vec!["18.181.0.31:4653".parse().unwrap()],
        udp: transports.0,
        tcp: transports.1,
        port: 4321,
        relay: RelayPolicy::Allow,
        accept: Accept::Anybody,
        probe_private: false,
        refresh: Duration::from_secs(25),
        keepalive: Duration::from_secs(15),
        adapt_keepalive: true,
        strategies: StrategySet::ALL,
        birthday: false,
        x25519: Arc::new(Dalek),
    }
}

pub(crate) fn server_config() -> ServerConfig {
    ServerConfig {
        secret: [9; 32],
        port: 4653,
        alternate_port: 4654,
        alternates: vec!["18.181.0.31:4654".parse().unwrap()],
        addresses: None,
        ipv6: false,
        relay: true,
        shard: 0,
        shards: 1,
        boot: 1,
        limits: Limits::default(),
        x25519: Arc::new(Dalek),
    }
}

impl World {
    /// A server and two peers with public addresses.
    pub(crate) fn new(seed: u8, a: PeerConfig, b: PeerConfig) -> Self {
        let host = |engine: AnyEngine, address: [u8; 4]| Host {
            initial: engine.clone(),
            engine,
            address: Address::from(address),
            sockets: BTreeMap::new(),
            streams: BTreeMap::new(),
            next_accepted: 1,
            deadline: None,
            up: true,
            events: Vec::new(),
            datagrams: Vec::new(),
            stream: Vec::new(),
            reads: true,
            unread: Vec::new(),
            inputs: Vec::new(),
            discards: Vec::new(),
            sent: Vec::new(),
            dials: Vec::new(),
            dial: None,
            written: Vec::new(),
            closed: Vec::new(),
        };
        let now = Instant::from_micros(1_000_000);
        let hosts = vec![
            host(AnyEngine::Server(Box::new(Server::new(server_config(), [seed; 32], now))), [18, 181, 0, 31]),
            host(AnyEngine::Peer(Box::new(Peer::new(a, [seed.wrapping_add(1); 32], now))), [155, 99, 25, 11]),
            host(AnyEngine::Peer(Box::new(Peer::new(b, [seed.wrapping_add(2); 32], now))), [138, 76, 29, 7]),
        ];
        let mut world = Self {
            now,
            hosts,
            queue: BTreeMap::new(),
            sequence: 0,
            delay: Duration::from_millis(25),
            loss: 0,
            dice: u64::from(seed),
            udp_works: true,
            direct: true,
        };
        for host in 0..world.hosts.len() {
            let interface = Interface { address: world.hosts[host].address, prefix: 24 };
            world.input(host, &Kept::Interfaces(vec![interface]));
        }
        world
    }

    pub(crate) fn peer(&self, host: usize) -> &Peer {
        match &self.hosts[host].engine {
            AnyEngine::Peer(peer) => peer,
            AnyEngine::Server(_) => panic!("host {host} is the server"),
        }
    }

    pub(crate) fn id(&self, host: usize) -> PeerId {
        self.peer(host).id()
    }

    /// Replaces the server by a fresh one, as after its restart.
    pub(crate) fn restart_server(&mut self) {
        self.kill_server();
        let mut config = server_config();
        config.boot = 2;
        let server = Server::new(config, [77; 32], self.now);
        self.hosts[SERVER].engine = AnyEngine::Server(Box::new(server));
        self.hosts[SERVER].up = true;
        self.drain(SERVER);
    }

    /// The server's process dies: its streams are reset, nothing is answered.
    pub(crate) fn kill_server(&mut self) {
        self.hosts[SERVER].up = false;
        self.hosts[SERVER].sockets.clear();
        self.hosts[SERVER].deadline = None;
        for (_, (peer, stream)) in std::mem::take(&mut self.hosts[SERVER].streams) {
            self.push(self.delay, peer, Kept::Closed(stream));
        }
    }

    /// A host's application takes what arrived of its byte streams.
    pub(crate) fn consume(&mut self, host: usize) {
        for (session, octets) in std::mem::take(&mut self.hosts[host].unread) {
            self.command(host, PeerCommand::Consume { session, octets }).unwrap();
        }
    }

    pub(crate) fn command(&mut self, host: usize, command: PeerCommand<'_>) -> Result<PeerReply, CommandError> {
        let now = self.now;
        let AnyEngine::Peer(peer) = &mut self.hosts[host].engine else { panic!("not a peer") };
        let reply = peer.handle_command(now, command);
        self.drain(host);
        reply
    }

    pub(crate) fn connect(&mut self, from: usize, to: usize, transport: Option<Transport>) -> SessionHandle {
        let peer = self.id(to);
        match self.command(from, PeerCommand::Connect { peer, transport }) {
            Ok(PeerReply::Session(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Runs until `done` or for `patience`; `true` when it was done.
    pub(crate) fn run_until(&mut self, patience: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + patience;
        loop {
            if done(self) {
                return true;
            }
            let packet = self.queue.keys().next().map(|&(at, _)| at);
            let timer = self.hosts.iter().filter(|host| host.up).filter_map(|host| host.deadline).min();
            let Some(at) = packet.into_iter().chain(timer).min() else { return false };
            if at > end {
                self.now = end;
                return false;
            }
            self.now = self.now.max(at);
            if packet == Some(at) {
                let (_, (host, kept)) = self.queue.pop_first().unwrap();
                self.input(host, &kept);
            } else {
                for host in 0..self.hosts.len() {
                    if self.hosts[host].up && self.hosts[host].deadline.is_some_and(|due| due <= at) {
                        self.input(host, &Kept::Timeout);
                    }
                }
            }
        }
    }

    pub(crate) fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Whether a host was told of an event of this name with this text in it.
    pub(crate) fn told(&self, host: usize, name: &str, text: &str) -> bool {
        self.hosts[host].events.iter().any(|(_, event)| {
            let event = event.to_string();
            event.contains(&format!("\"{name}\"")) && event.contains(text)
        })
    }

    pub(crate) fn inject(&mut self, host: usize, kept: Kept) -> Option<Discard> {
        let before = self.hosts[host].discards.len();
        self.input(host, &kept);
        self.hosts[host].discards.get(before).copied()
    }

    fn input(&mut self, host: usize, kept: &Kept) {
        if !self.hosts[host].up {
            return;
        }
        let now = self.now;
        let entry = &mut self.hosts[host];
        entry.inputs.push((now, kept.clone()));
        let result = match &mut entry.engine {
            AnyEngine::Server(server) => server.handle_input(now, kept.as_input()),
            AnyEngine::Peer(peer) => peer.handle_input(now, kept.as_input()),
        };
        if let Err(discard) = result {
            entry.discards.push(discard);
        }
        self.drain(host);
    }

    fn push(&mut self, after: Duration, host: usize, kept: Kept) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), (host, kept));
    }

    fn lost(&mut self) -> bool {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.loss != 0 && (self.dice >> 33).is_multiple_of(self.loss)
    }

    fn drain(&mut self, host: usize) {
        loop {
            let mut engine = self.hosts[host].engine.clone();
            let mut orders = VecDeque::new();
            let deadline = match &mut engine {
                AnyEngine::Server(server) => {
                    drain_engine(&mut **server, &mut orders, |event| (serde_json::to_value(event).unwrap(), None, None))
                }
                AnyEngine::Peer(peer) => drain_engine(&mut **peer, &mut orders, told_by_peer),
            };
            self.hosts[host].engine = engine;
            self.hosts[host].deadline = deadline;
            if orders.is_empty() {
                return;
            }
            for order in orders {
                self.carry_out(host, order);
            }
        }
    }

    fn carry_out(&mut self, host: usize, order: Order) {
        let (now, delay) = (self.now, self.delay);
        match order {
            Order::Open(socket, transport, port) => {
                let taken = |host: &Host| host.sockets.values().any(|&known| known == (transport, port));
                let port = if port == 0 || taken(&self.hosts[host]) { 40_000 + socket.0 as u16 } else { port };
                self.hosts[host].sockets.insert(socket, (transport, port));
                let local = Endpoint::new(Address::from([0, 0, 0, 0]), port);
                self.input(host, &Kept::Opened(socket, local));
            }
            Order::Shut(socket) => {
                self.hosts[host].sockets.remove(&socket);
            }
            Order::Transmit(socket, remote, payload) => {
                let Some(&(_, port)) = self.hosts[host].sockets.get(&socket) else { return };
                self.hosts[host].sent.push((now, remote, payload.clone()));
                let source = Endpoint::new(self.hosts[host].address, port);
                let lost = self.lost() || !self.udp_works || !self.reaches(host, remote);
                if let Some((to, socket)) = self.listener(remote, Transport::Udp)
                    && !lost
                {
                    self.push(delay, to, Kept::Datagram(socket, remote.address(), source, payload));
                }
            }
            Order::Dial(stream, from, remote) => {
                self.hosts[host].dials.push((now, remote));
                self.hosts[host].dial = Some(stream);
                let port = self.hosts[host].sockets[&from].1;
                let local = Endpoint::new(self.hosts[host].address, port);
                let both = |world: &Self, a: usize, b: usize| {
                    world.hosts[a].streams.values().any(|&(peer, _)| peer == b) && a != SERVER && b != SERVER
                };
                match self.listener(remote, Transport::Tcp) {
                    Some((to, socket)) if !both(self, host, to) && self.reaches(host, remote) => {
                        let accepted = StreamId(self.hosts[to].next_accepted);
                        self.hosts[to].next_accepted += 2;
                        self.hosts[host].streams.insert(stream, (to, accepted));
                        self.hosts[to].streams.insert(accepted, (host, stream));
                        self.push(delay, to, Kept::Accepted(accepted, socket, remote, local));
                        self.push(delay * 2, host, Kept::Connected(stream, local));
                    }
                    _ => self.push(delay * 2, host, Kept::Closed(stream)),
                }
            }
            Order::Write(stream, octets) => {
                let length = octets.len() as u32;
                self.hosts[host].written.push((now, stream, octets.clone()));
                if let Some(&(to, other)) = self.hosts[host].streams.get(&stream) {
                    self.push(delay, to, Kept::Received(other, octets));
                    self.push(delay * 2, host, Kept::Written(stream, length));
                }
            }
            Order::Close(stream) => {
                self.hosts[host].closed.push((now, stream));
                if let Some((to, other)) = self.hosts[host].streams.remove(&stream) {
                    self.push(delay, to, Kept::Closed(other));
                    self.hosts[to].streams.remove(&other);
                }
            }
            Order::Event(event, datagram, stream) => {
                let entry = &mut self.hosts[host];
                match (datagram, stream) {
                    (Some(octets), _) => entry.datagrams.push(octets),
                    (None, Some(octets)) => {
                        let session = SessionHandle(event.as_u64().unwrap() as u32);
                        let taken = octets.len() as u32;
                        entry.stream.extend(octets);
                        entry.unread.push((session, taken));
                        if entry.reads {
                            self.consume(host);
                        }
                    }
                    (None, None) => entry.events.push((now, event)),
                }
            }
        }
    }

    fn reaches(&self, host: usize, remote: Endpoint) -> bool {
        self.direct || host == SERVER || remote.address() == self.hosts[SERVER].address
    }

    fn listener(&self, remote: Endpoint, transport: Transport) -> Option<(usize, SocketId)> {
        let to = self.hosts.iter().position(|host| host.address == remote.address())?;
        let sockets = self.hosts[to].sockets.iter();
        let mut found = sockets.filter(|&(_, &open)| open == (transport, remote.port()));
        found.next().map(|(&socket, _)| (to, socket))
    }
}

pub(crate) fn told_by_peer(event: PeerEvent<'_>) -> Told {
    match event {
        PeerEvent::Datagram { octets, .. } => (serde_json::Value::Null, Some(octets.to_vec()), None),
        PeerEvent::Stream { octets, session } => (serde_json::json!(session.0), None, Some(octets.to_vec())),
        event => (serde_json::to_value(event).unwrap(), None, None),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Open(SocketId, Transport, u16),
    Shut(SocketId),
    Transmit(SocketId, Endpoint, Vec<u8>),
    Dial(StreamId, SocketId, Endpoint),
    Write(StreamId, Vec<u8>),
    Close(StreamId),
    Event(serde_json::Value, Option<Vec<u8>>, Option<Vec<u8>>),
}

pub(crate) type Told = (serde_json::Value, Option<Vec<u8>>, Option<Vec<u8>>);

pub(crate) fn drain_engine<E: Engine>(
    engine: &mut E,
    orders: &mut VecDeque<Order>,
    told: impl Fn(E::Event<'_>) -> Told,
) -> Option<Instant> {
    loop {
        orders.push_back(match engine.poll_output() {
            Output::Open { socket, transport, port, family, .. } => {
                assert_eq!(family, Family::V4);
                Order::Open(socket, transport, port)
            }
            Output::Shut { socket } => Order::Shut(socket),
            Output::Transmit { socket, remote, payload, .. } => Order::Transmit(socket, remote, payload.to_vec()),
            Output::Dial { stream, from, remote, .. } => Order::Dial(stream, from, remote),
            Output::Write { stream, octets } => Order::Write(stream, octets.to_vec()),
            Output::Read { .. } => continue,
            Output::Close { stream, .. } => Order::Close(stream),
            Output::Event(event) => {
                let (event, datagram, stream) = told(event);
                Order::Event(event, datagram, stream)
            }
            Output::Wait(deadline) => return deadline,
        });
    }
}
