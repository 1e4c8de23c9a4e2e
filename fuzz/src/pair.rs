//! Three honest engines, a server and two peers, on a network that does what the script says: it delays,
//! loses, repeats, reorders and changes datagrams, breaks streams, blocks the direct way, and carries a
//! stranger's packets, who has seen everything and knows no key.
//!
//! Beyond [`checked`](crate::checked) and [`watch`](crate::watch): the byte stream that a peer delivers is
//! the beginning of one that the other wrote, and all of it when it is finished; what is called delivered
//! was; a datagram is delivered once, as it was sent; the only other peer that a session is with is the
//! other peer.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use pinhole_proto::peer::{Accept, Peer, PeerCommand, PeerConfig, PeerReply, RelayPolicy, SessionHandle, StrategySet};
use pinhole_proto::server::{Limits, Server, ServerConfig};
use pinhole_proto::{
    Address, Duration, Endpoint, Input, Instant, Interface, NetError, SocketId, StreamId, StreamInput, Transport,
};

use crate::bytes::Script;
use crate::checked::{Checked, Order, PeerTold, span};
use crate::curve::{curve, public};
use crate::server::edited;
use crate::watch::Sessions;

/// The operations that the script tells apart.
pub const OPERATIONS: u8 = 16;
/// The prologues.
pub const STAGES: usize = 5;

const SERVER: usize = 2;
const ADDRESSES: [[u8; 4]; 3] = [[155, 99, 25, 11], [138, 76, 29, 7], [18, 181, 0, 31]];

/// Something on its way.
#[derive(Clone)]
enum Flight {
    Datagram { to: Endpoint, from: Endpoint, payload: Vec<u8> },
    Accepted { host: usize, stream: StreamId, socket: SocketId, local: Endpoint, remote: Endpoint },
    Connected { host: usize, stream: StreamId, local: Endpoint },
    Octets { host: usize, stream: StreamId, sender: (usize, StreamId), octets: Vec<u8> },
    Closed { host: usize, stream: StreamId, error: Option<NetError> },
}

/// One peer and its application.
#[derive(Clone)]
struct Host {
    peer: Checked<Peer>,
    sessions: Sessions,
    /// Sessions whose byte stream the application ended.
    finished: BTreeSet<SessionHandle>,
    datagrams: BTreeSet<Vec<u8>>,
    acknowledged: Vec<(SessionHandle, u64)>,
    /// The application does not take what arrives.
    lazy: bool,
}

#[derive(Clone)]
struct World {
    now: Instant,
    server: Checked<Server>,
    hosts: [Host; 2],
    flights: Vec<Flight>,
    /// Both ends of each stream; the first one dialled.
    streams: Vec<[(usize, StreamId); 2]>,
    past: Vec<Flight>,
    next_stream: u64,
    next_datagram: u32,
    blocked: bool,
}

/// Makes the prologues.
pub fn prepare() {
    worlds();
}

/// Runs one script: which prologue, then operations.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let Some(stage) = script.below(STAGES) else { return };
    let mut world = worlds()[stage].clone();
    for _ in 0..MAX_STEPS {
        if world.step(&mut script).is_none() {
            break;
        }
    }
    world.delivered();
}

fn worlds() -> &'static [World; STAGES] {
    static WORLDS: OnceLock<[World; STAGES]> = OnceLock::new();
    WORLDS.get_or_init(|| {
        let fresh = World::new();
        let mut online = fresh.clone();
        online.settle(Duration::from_secs(3));
        let connected = |blocked, transport| {
            let mut world = online.clone();
            world.blocked = blocked;
            world.command(0, PeerCommand::Connect { peer: public(2), transport: Some(transport) });
            world.settle(Duration::from_secs(2));
            let snapshots = [0, 1].map(|host| world.hosts[host].peer.engine.snapshot());
            let states = snapshots.iter().flat_map(|snapshot| snapshot.sessions.iter().map(|session| session.state));
            assert_eq!(states.collect::<Vec<_>>(), ["established"; 2], "{snapshots:?}");
            world
        };
        let (udp, tcp) = (connected(false, Transport::Udp), connected(false, Transport::Tcp));
        let relayed = connected(true, Transport::Tcp);
        [fresh, online, udp, tcp, relayed]
    })
}

impl World {
    fn new() -> Self {
        let now = Instant::from_micros(1_000_000);
        let config = ServerConfig {
            secret: [77; 32],
            port: 4653,
            alternate_port: 4654,
            alternates: vec![endpoint(SERVER, 4654)],
            addresses: None,
            ipv6: false,
            relay: true,
            shard: 0,
            shards: 1,
            boot: 1,
            limits: Limits::default(),
            x25519: curve(),
        };
        let (mut server, opening) = Checked::new(Server::new(config, [9; 32], now), now);
        server.sample = SAMPLE;
        let mut orders = vec![];
        let hosts = [1, 2].map(|secret: u8| {
            let config = PeerConfig {
                secret: [secret; 32],
                server_key: Some(public(77)),
                servers: vec![endpoint(SERVER, 4653)],
                udp: true,
                tcp: true,
                port: 4321,
                relay: RelayPolicy::Allow,
                accept: Accept::Anybody,
                probe_private: false,
                refresh: Duration::from_secs(25),
                keepalive: Duration::from_secs(15),
                adapt_keepalive: true,
                strategies: StrategySet::ALL,
                birthday: true,
                x25519: curve(),
            };
            let (mut peer, opening) = Checked::new(Peer::new(config, [secret; 32], now), now);
            peer.sample = SAMPLE;
            orders.push(opening);
            Host {
                peer,
                sessions: Sessions::default(),
                finished: BTreeSet::new(),
                datagrams: BTreeSet::new(),
                acknowledged: vec![],
                lazy: false,
            }
        });
        let mut world = Self {
            now,
            server,
            hosts,
            flights: vec![],
            streams: vec![],
            past: vec![],
            next_stream: 1,
            next_datagram: 0,
            blocked: false,
        };
        world.carry_out(SERVER, opening);
        for (host, orders) in orders.into_iter().enumerate() {
            let interface = Interface { address: Address::from(ADDRESSES[host]), prefix: 24 };
            world.input(host, Input::Interfaces(&[interface]));
            world.heed(host, orders);
        }
        world
    }

    /// One operation. `None` at the end of the script.
    fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        let operation = script.octet()? % OPERATIONS;
        let at = script.octet()?;
        let who = usize::from(at & 1);
        match operation {
            // The network.
            0..=2 => {
                for _ in 0..=at >> 4 {
                    self.wait(Duration::from_millis(1));
                    self.deliver(usize::from(at & 0x0f), false);
                }
            }
            3 => {
                let place = usize::from(at);
                if matches!(self.flights.get(place), Some(Flight::Datagram { .. })) {
                    self.flights.remove(place);
                }
            }
            4 => self.deliver(usize::from(at), true),
            5 | 6 => {
                // A stranger repeats what was seen, changed or from elsewhere.
                let (edit, position) = (script.octet()?, script.word()?);
                let Some(Flight::Datagram { to, from, payload }) = self.past.iter().rev().nth(usize::from(at)).cloned()
                else {
                    return Some(());
                };
                let from = if edit & 0x80 == 0 { from } else { STRANGER.parse().expect("an endpoint") };
                self.datagram(to, from, &edited(payload, edit & 0x7f, position));
            }
            7 => {
                let place = self.streams.len().checked_sub(1 + usize::from(at >> 1))?;
                let ends = self.streams.remove(place);
                for (host, stream) in ends {
                    self.flights.push(Flight::Closed { host, stream, error: Some(NetError::Reset) });
                }
            }
            8 => self.blocked = at & 1 == 1,
            9 | 10 => self.settle(span(at)),
            11 => self.wait(span(at)),
            // The applications.
            12 => {
                let transport = [None, Some(Transport::Udp), Some(Transport::Tcp), None][usize::from(at >> 1 & 3)];
                let peer = public(2 - who as u8);
                self.command(who, PeerCommand::Connect { peer, transport });
            }
            13 => {
                let session = self.hosts[who].sessions.pick(at >> 4);
                self.next_datagram += 1;
                let datagram = [&self.next_datagram.to_be_bytes()[..], &vec![at; usize::from(at) * 4]].concat();
                self.hosts[who].datagrams.insert(datagram.clone());
                self.command(who, PeerCommand::Send { session, datagram: &datagram });
            }
            14 => {
                let session = self.hosts[who].sessions.pick(at >> 4);
                let length = usize::from(script.word()?);
                // Where in which stream an octet belongs can be seen.
                let octets: Vec<u8> =
                    (0..length).map(|at| (at >> 8) as u8 ^ (at * 7) as u8 ^ session.0 as u8).collect();
                self.command(who, PeerCommand::Write { session, octets: &octets });
            }
            _ => {
                let session = self.hosts[who].sessions.pick(at >> 4);
                match script.octet()? % 8 {
                    0 | 1 => self.command(who, PeerCommand::Finish { session }),
                    2 => self.command(who, PeerCommand::Close { session }),
                    3 => self.command(who, PeerCommand::Consume { session, octets: 70_000 }),
                    4 => self.hosts[who].lazy ^= true,
                    5 => {
                        let address = Address::from([10, 0, 0, at]);
                        self.input(who, Input::Interfaces(&[Interface { address, prefix: 8 }]));
                    }
                    _ => {}
                }
            }
        }
        Some(())
    }

    // --- the network ---

    fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
        for host in 0..3 {
            let deadline = self.at(host);
            if deadline.is_some_and(|due| due <= self.now) {
                self.input(host, Input::Timeout);
            }
        }
    }

    fn at(&self, host: usize) -> Option<Instant> {
        if host == SERVER { self.server.deadline } else { self.hosts[host].peer.deadline }
    }

    /// Delivers everything, in order, and stops at every deadline.
    fn settle(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..MAX_FLIGHTS {
            while !self.flights.is_empty() && self.now < end {
                self.wait(Duration::from_micros(200));
                self.deliver(0, false);
            }
            let due = (0..3).filter_map(|host| self.at(host)).min().unwrap_or(end).min(end);
            self.wait(due.saturating_since(self.now));
            if self.now >= end {
                return;
            }
        }
    }

    /// Delivers what is at this place; of a stream, what is first.
    fn deliver(&mut self, place: usize, keep: bool) {
        if self.flights.is_empty() {
            return;
        }
        let place = place % self.flights.len();
        let key = self.flights[place].stream();
        let first = self.flights.iter().position(|flight| key.is_some() && flight.stream() == key).unwrap_or(place);
        let flight = self.flights.remove(first);
        if keep && key.is_none() {
            self.flights.push(flight.clone());
        }
        match flight {
            Flight::Datagram { to, from, ref payload } => {
                self.past.push(flight.clone());
                self.datagram(to, from, payload);
            }
            Flight::Accepted { host, stream, socket, local, remote } => {
                self.input(host, Input::Stream { stream, what: StreamInput::Accepted { socket, local, remote } });
            }
            Flight::Connected { host, stream, local } => {
                self.input(host, Input::Stream { stream, what: StreamInput::Connected { local } });
            }
            Flight::Octets { host, stream, sender, octets } => {
                let (cut, rest) = octets.split_at(octets.len() / 3);
                for part in [cut, rest].into_iter().filter(|part| !part.is_empty()) {
                    self.input(host, Input::Stream { stream, what: StreamInput::Received(part) });
                }
                let what = StreamInput::Written(octets.len() as u32);
                self.input(sender.0, Input::Stream { stream: sender.1, what });
            }
            Flight::Closed { host, stream, error } => {
                self.input(host, Input::Stream { stream, what: StreamInput::Closed(error) });
            }
        }
    }

    fn datagram(&mut self, to: Endpoint, from: Endpoint, payload: &[u8]) {
        if let Some((host, socket)) = self.listener(to, Transport::Udp) {
            let input = Input::Datagram { socket, local: to.address(), remote: from, payload };
            self.input(host, input);
        }
    }

    fn listener(&self, to: Endpoint, transport: Transport) -> Option<(usize, SocketId)> {
        let host = ADDRESSES.iter().position(|address| Address::from(*address) == to.address())?;
        let sockets = if host == SERVER { &self.server.sockets } else { &self.hosts[host].peer.sockets };
        let mut found = sockets.iter().filter(|(_, known)| **known == (transport, to.port()));
        found.next().map(|(socket, _)| (host, *socket))
    }

    // --- the engines ---

    fn input(&mut self, host: usize, input: Input<'_>) {
        if let Input::Stream { stream, what } = input
            && !matches!(what, StreamInput::Accepted { .. })
        {
            // What is on its way to a stream that was closed does not arrive.
            let known = if host == SERVER { &self.server.streams } else { &self.hosts[host].peer.streams };
            if !known.contains_key(&stream) {
                return;
            }
        }
        if host == SERVER {
            self.server.now = self.now;
            let (_, orders) = self.server.input(input);
            self.carry_out(host, orders);
        } else {
            self.hosts[host].peer.now = self.now;
            let (_, orders) = self.hosts[host].peer.input(input);
            self.heed(host, orders);
        }
    }

    fn command(&mut self, host: usize, command: PeerCommand<'_>) {
        let entry = &mut self.hosts[host];
        entry.peer.now = self.now;
        let (reply, orders) = entry.peer.command(command);
        match (command, reply) {
            (PeerCommand::Connect { .. }, Ok(PeerReply::Session(session))) => entry.sessions.opened(session),
            (PeerCommand::Write { session, octets }, Ok(PeerReply::Written(count))) => {
                entry.sessions.wrote(session, &octets[..count]);
            }
            (PeerCommand::Finish { session }, Ok(_)) => {
                entry.finished.insert(session);
            }
            _ => {}
        }
        self.heed(host, orders);
    }

    /// What a peer told and ordered.
    fn heed(&mut self, host: usize, orders: Vec<Order<PeerTold>>) {
        let mut taken = vec![];
        for order in &orders {
            let Order::Event(told) = order else { continue };
            let other = public(2 - host as u8);
            let entry = &mut self.hosts[host];
            entry.sessions.on(told);
            match told {
                PeerTold::Established(_, peer) => assert_eq!(*peer, other),
                PeerTold::Stream(session, octets) if !entry.lazy => taken.push((*session, octets.len() as u32)),
                PeerTold::Acknowledged(session, offset) => entry.acknowledged.push((*session, *offset)),
                PeerTold::Finished(session) => self.is_whole(host, *session),
                PeerTold::Datagram(_, octets) => {
                    assert!(self.hosts[1 - host].datagrams.remove(octets), "a datagram arrives once, as it was sent");
                }
                _ => {}
            }
        }
        self.carry_out(host, orders);
        for (session, octets) in taken {
            self.command(host, PeerCommand::Consume { session, octets });
        }
    }

    fn carry_out<T>(&mut self, host: usize, orders: Vec<Order<T>>) {
        if host == SERVER {
            self.server.frames.clear();
        } else {
            self.hosts[host].peer.frames.clear();
        }
        for order in orders {
            match order {
                Order::Open(socket, _, _) => {
                    let sockets = if host == SERVER { &self.server.sockets } else { &self.hosts[host].peer.sockets };
                    let Some(&(_, port)) = sockets.get(&socket) else { continue };
                    let local = Endpoint::new(Address::from([0, 0, 0, 0]), port);
                    self.input(host, Input::Opened { socket, local });
                }
                Order::Transmit(socket, to, payload) => {
                    let sockets = if host == SERVER { &self.server.sockets } else { &self.hosts[host].peer.sockets };
                    let Some(&(_, port)) = sockets.get(&socket) else { continue };
                    if !self.cut(host, to) && self.flights.len() < MAX_FLIGHTS {
                        self.flights.push(Flight::Datagram { to, from: endpoint(host, port), payload });
                    }
                }
                Order::Dial(stream, _, to) => self.dial(host, stream, to),
                Order::Write(stream, octets) => {
                    if let Some((to, other)) = self.other_end(host, stream) {
                        self.flights.push(Flight::Octets { host: to, stream: other, sender: (host, stream), octets });
                    }
                }
                Order::Close(stream) => {
                    if let Some((to, other)) = self.other_end(host, stream) {
                        self.streams.retain(|ends| !ends.contains(&(host, stream)));
                        self.flights.push(Flight::Closed { host: to, stream: other, error: None });
                    }
                }
                Order::Shut(_) | Order::Read(..) | Order::Event(_) => {}
            }
        }
    }

    fn dial(&mut self, host: usize, stream: StreamId, to: Endpoint) {
        let listener = self.listener(to, Transport::Tcp).filter(|_| !self.cut(host, to));
        let between = |ends: &[(usize, StreamId); 2]| ends.iter().all(|(end, _)| *end != SERVER);
        let Some((other, socket)) = listener else {
            return self.flights.push(Flight::Closed { host, stream, error: Some(NetError::TimedOut) });
        };
        if other != SERVER && self.streams.iter().any(between) {
            return self.flights.push(Flight::Closed { host, stream, error: Some(NetError::AddressNotAvailable) });
        }
        let accepted = StreamId(self.next_stream);
        self.next_stream += 2;
        let local = endpoint(host, 4321);
        self.streams.push([(host, stream), (other, accepted)]);
        self.flights.push(Flight::Accepted { host: other, stream: accepted, socket, local: to, remote: local });
        self.flights.push(Flight::Connected { host, stream, local });
    }

    fn cut(&self, host: usize, to: Endpoint) -> bool {
        self.blocked && host != SERVER && to.address() != Address::from(ADDRESSES[SERVER])
    }

    fn other_end(&self, host: usize, stream: StreamId) -> Option<(usize, StreamId)> {
        let ends = self.streams.iter().find(|ends| ends.contains(&(host, stream)))?;
        ends.iter().copied().find(|end| *end != (host, stream))
    }

    // --- what holds ---

    /// What was delivered is the beginning of what was written, and what is called delivered was.
    fn delivered(&self) {
        for (host, entry) in self.hosts.iter().enumerate() {
            let other = &self.hosts[1 - host];
            for (handle, known) in entry.sessions.iter() {
                let written = other.sessions.iter().any(|(_, writer)| writer.written.starts_with(&known.stream));
                let found = written || known.stream.is_empty();
                assert!(found, "{handle:?} of host {host} delivered {} octets that nobody wrote", known.stream.len());
            }
            for (handle, offset) in &entry.acknowledged {
                let writer = entry.sessions.iter().find(|(known, _)| known == handle).map(|(_, known)| known);
                let written = writer.map_or(&[][..], |known| known.written.as_slice());
                let arrived = other
                    .sessions
                    .iter()
                    .any(|(_, reader)| reader.stream.len() as u64 >= *offset && written.starts_with(&reader.stream));
                assert!(arrived, "{handle:?} of host {host}: {offset} octets are called delivered");
            }
        }
    }

    fn is_whole(&self, host: usize, session: SessionHandle) {
        let other = &self.hosts[1 - host];
        let Some((_, known)) = self.hosts[host].sessions.iter().find(|(handle, _)| *handle == session) else { return };
        let whole = |handle: &SessionHandle| {
            other.sessions.iter().any(|(writer, text)| writer == *handle && text.written == known.stream)
        };
        assert!(other.finished.iter().any(whole), "a stream that ends is whole");
    }
}

impl Flight {
    /// Where it goes to, if that keeps an order.
    const fn stream(&self) -> Option<(usize, StreamId)> {
        match self {
            Self::Datagram { .. } => None,
            Self::Accepted { host, stream, .. }
            | Self::Connected { host, stream, .. }
            | Self::Octets { host, stream, .. }
            | Self::Closed { host, stream, .. } => Some((*host, *stream)),
        }
    }
}

fn endpoint(host: usize, port: u16) -> Endpoint {
    Endpoint::new(Address::from(ADDRESSES[host]), port)
}

const STRANGER: &str = "203.0.113.66:6";
/// Most inputs come from honest engines.
const SAMPLE: u32 = 37;
const MAX_STEPS: usize = 200;
const MAX_FLIGHTS: usize = 1_000;
