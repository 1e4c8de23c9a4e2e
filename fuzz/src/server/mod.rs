//! One or two engines of a server against five scripted clients with valid keys, and strangers.
//!
//! The clients do the peer's half of the handshake and of sealing, keep what they hear (nonces, requests,
//! channels, cookies), and otherwise do what the script says, true or not. Two engines share the clients, and what
//! they have for each other is lost, repeated, reordered and changed as the script says.
//!
//! Beyond [`checked`](crate::checked): an endpoint that never returned a nonce got no more octets from an engine
//! than came from it, and is never called registered; nothing goes to an endpoint that was only reported, never
//! seen; every table is within its bound; no counter is used twice under one key; what the server says to a
//! client decodes.

mod carrier;
mod client;
mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use pinhole_proto::constants::{MAX_BINDINGS, MAX_DIAL_BACKS, MAX_FORWARDS, MAX_RATES};
use pinhole_proto::engine::MAX_UNWRITTEN;
use pinhole_proto::server::{Limits, Server, ServerCommand, ServerConfig};
use pinhole_proto::wire::discover::{Discover, ReplyFrom};
use pinhole_proto::wire::message::{Message, Reply};
use pinhole_proto::wire::{ChannelId, List, Nonce, Packet, Relayed, Versions};
use pinhole_proto::{Endpoint, Input, Instant, SocketId, StreamId, StreamInput};

use crate::bytes::Script;
use crate::checked::{Checked, Order};
use crate::compose;
use crate::curve::curve;
use crate::watch::Counters;
use carrier::{Directory, Flight};
use client::Client;

/// The clients; the first three begin over UDP, the others over TCP.
pub const CLIENTS: usize = 5;
/// The operations that the script tells apart.
pub const OPERATIONS: u8 = 21;
/// The prologues.
pub const STAGES: usize = 5;

const SECRET: u8 = 77;

#[derive(Clone, Copy)]
enum Via {
    /// A datagram from an endpoint, to an engine.
    Datagram(usize, Endpoint),
    Stream(StreamId),
}

/// What an engine and an endpoint sent each other.
#[derive(Clone, Default)]
struct Account {
    received: usize,
    sent: usize,
    proved: bool,
    /// Nonces that were sent there.
    nonces: BTreeSet<Nonce>,
}

#[derive(Clone)]
struct World {
    servers: Vec<Checked<Server>>,
    limits: Limits,
    clients: Vec<Client>,
    accounts: BTreeMap<(usize, Endpoint), Account>,
    /// Packets that were sent to the server, and the nonces in them.
    past: Vec<(Vec<u8>, Vec<Nonce>)>,
    channels: Vec<ChannelId>,
    counters: Counters,
    next_stream: u64,
    /// The accepted streams that were open before this input, and where they lead to.
    open: BTreeMap<StreamId, Endpoint>,
    /// What is on its way between engines, and what was.
    flights: Vec<Flight>,
    forwards: Vec<Vec<u8>>,
    directory: Directory,
    ended: bool,
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
    for step in 0..MAX_STEPS {
        if world.step(&mut script).is_none() || world.ended {
            break;
        }
        if step % 8 == 7 {
            world.tables();
        }
    }
    world.tables();
}

fn worlds() -> &'static [World; STAGES] {
    static WORLDS: OnceLock<[World; STAGES]> = OnceLock::new();
    WORLDS.get_or_init(|| {
        let after = |before: &World, script: &[u8]| {
            let mut world = before.clone();
            world.play(script);
            world
        };
        let registrations = |world: &World| -> Vec<_> {
            world.servers.iter().map(|server| server.engine.snapshot().registrations.len()).collect()
        };
        let channels = |world: &World| -> Vec<_> {
            world.servers.iter().map(|server| server.engine.snapshot().channels.len()).collect()
        };
        let fresh = World::new(1);
        let registered = after(&fresh, &REGISTRATIONS);
        assert_eq!(registrations(&registered), [4]);
        let introduced = after(&registered, &INTRODUCTIONS);
        assert_eq!(channels(&introduced), [1]);
        let spread = after(&World::new(2), &REGISTRATIONS);
        assert_eq!(registrations(&spread), [2, 2]);
        let acquainted = after(&spread, &ACQUAINTANCE);
        assert_eq!(channels(&acquainted), [1, 1]);
        [fresh, registered, introduced, spread, acquainted]
    })
}

impl World {
    fn new(engines: u8) -> Self {
        let limits = Limits {
            registrations: 6,
            registrations_per_source: 3,
            registers_per_second: 10,
            pending: 4,
            channels: 4,
            channels_per_peer: 3,
            streams: 8,
            streams_per_source: 4,
            cookie_above: 20,
        };
        let now = Instant::from_micros(1_000_000);
        let server = |shard| {
            let config = ServerConfig {
                secret: [SECRET; 32],
                port: 4653,
                alternate_port: 4654,
                alternates: vec![endpoint("18.181.0.31:4654")],
                addresses: Some([endpoint("18.181.0.31:1").address(), endpoint("18.181.0.32:1").address()]),
                ipv6: true,
                relay: true,
                shard,
                shards: engines,
                boot: 1,
                limits,
                x25519: curve(),
            };
            Checked::new(Server::new(config, [shard + 1; 32], now), now)
        };
        let client = |at: usize| {
            let home = endpoint(&format!("198.51.100.{}:{}", at / 2, 7_000 + at));
            Client::new(at as u8 + 1, home, at >= 3, at % usize::from(engines))
        };
        let (servers, opening): (Vec<_>, Vec<_>) = (0..engines).map(server).unzip();
        let mut world = Self {
            servers,
            limits,
            clients: (0..CLIENTS).map(client).collect(),
            accounts: BTreeMap::new(),
            past: vec![],
            channels: vec![],
            counters: Counters::default(),
            next_stream: 1,
            open: BTreeMap::new(),
            flights: vec![],
            forwards: vec![],
            directory: Directory::default(),
            ended: false,
        };
        for (engine, orders) in opening.into_iter().enumerate() {
            let ports = orders.into_iter().filter_map(|order| match order {
                Order::Open(socket, _, port) => Some((socket, port)),
                _ => None,
            });
            for (number, (socket, port)) in ports.enumerate() {
                let address = if number < 4 { "0.0.0.0" } else { "[::]" };
                let opened = Input::Opened { socket, local: endpoint(&format!("{address}:{port}")) };
                assert_eq!(world.input(engine, opened), Ok(()));
            }
        }
        world
    }

    fn play(&mut self, script: &[u8]) {
        let mut script = Script::new(script);
        while self.step(&mut script).is_some() {}
    }

    /// One operation. `None` at the end of the script.
    fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        let operation = script.octet()? % OPERATIONS;
        let at = script.octet()?;
        let who = usize::from(at) % CLIENTS;
        match operation {
            0 => {
                let flags = script.octet()?;
                let versions: Versions = List::from_first([1, flags >> 4]);
                let packet = Discover { transaction: [flags; 16], versions, reply_from: ReplyFrom(flags & 3) };
                self.send(self.own(who), &Packet::Discover(packet).encode(), vec![]);
            }
            1 => {
                let packet = self.clients[who].register(script.octet()?);
                self.send(self.own(who), &packet, vec![]);
            }
            2 => {
                // Answer the latest check, and set the binding up.
                let Some((id, nonce)) = self.clients[who].checks.pop() else { return Some(()) };
                let mut plaintext = vec![];
                let reply = pinhole_proto::wire::control::PathReply { nonce, observed: endpoint("18.181.0.31:4653") };
                Message::Answer(id, Reply::PathReply(reply)).encode(&mut plaintext);
                let mut context = self.clients[who].context(self.channels.clone());
                compose::plaintext(&mut Script::new(&[4, 0, 0x4e]), &mut context)
                    .into_iter()
                    .for_each(|refresh| plaintext.extend(refresh));
                self.clients[who].next = context.next;
                self.seal(who, at / 5, &plaintext);
            }
            3 | 4 => {
                let how = script.octet()?;
                let mut context = self.clients[who].context(self.channels.clone());
                let plaintext = compose::plaintext(script, &mut context)?;
                self.clients[who].next = context.next;
                self.seal(who, how, &plaintext);
            }
            5 | 6 => {
                let (place, edit, position) = (script.octet()?, script.octet()?, script.word()?);
                let via = self.via(at);
                let Some((packet, nonces)) = self.past.iter().rev().nth(usize::from(place)).cloned() else {
                    return Some(());
                };
                let packet = edited(packet, if operation == 5 { 0 } else { edit }, position);
                self.send(via, &packet, nonces);
            }
            7 => {
                let packet = script.counted()?;
                self.send(self.via(at), packet, vec![]);
            }
            8 => self.accept(who),
            9 => {
                if let Some(stream) = self.clients[who].stream.take() {
                    self.on_stream(stream, StreamInput::Closed(None));
                }
            }
            10 => {
                let octets = script.counted()?;
                if let Some(stream) = self.clients[who].stream {
                    self.on_stream(stream, StreamInput::Received(octets));
                }
            }
            11 => {
                // Everything that was written leaves.
                if let Some(stream) = self.clients[who].stream
                    && let Some(engine) = self.engine_of(stream)
                    && let octets @ 1.. = self.servers[engine].streams[&stream].unwritten as u32
                {
                    self.on_stream(stream, StreamInput::Written(octets));
                }
            }
            12 => self.pass(at, script.octet()?),
            13 => {
                let channel = self.channels.iter().rev().nth(usize::from(script.octet()? & 7)).copied();
                let (times, inner) = (script.octet()?, script.counted()?);
                let channel = channel.unwrap_or(ChannelId([at; 8]));
                let inner = [inner, &vec![at; usize::from(times & 0x0f) * 60 + 1]].concat();
                let packet = Packet::Relayed(Relayed { channel, packet: &inner }).encode();
                for _ in 0..1 << (times >> 5) {
                    self.send(self.own(who), &packet, vec![]);
                }
            }
            14 => {
                // The client moves, or changes its transport.
                let how = script.octet()?;
                let client = &mut self.clients[who];
                client.home = client.home.with_port(7_000 + u16::from(how));
                client.over_tcp = how & 1 == 1;
                client.engine = usize::from(how >> 1) % self.servers.len();
            }
            15 => {
                let (lane, number) = (script.octet()? & 0x1f, script.word()?);
                self.clients[who].counters.insert(u16::from(lane), u64::from(number));
            }
            16 => {
                let stray = StreamId(u64::from(at));
                let socket = SocketId(u32::from(script.octet()?));
                let local = endpoint("18.181.0.31:4653");
                let input = match at & 3 {
                    0 => Input::Opened { socket, local },
                    1 if self.engine_of(stray).is_none() => {
                        Input::Stream { stream: stray, what: StreamInput::Connected { local } }
                    }
                    2 => Input::Interfaces(&[]),
                    _ => Input::Rejected { socket, remote: local, error: pinhole_proto::NetError::Refused },
                };
                let _ = self.input(self.clients[who].engine, input);
            }
            17 => {
                if script.octet()? == 0xa5 {
                    for engine in 0..self.servers.len() {
                        self.command(engine, ServerCommand::Shutdown);
                    }
                    self.ended = true;
                }
            }
            18 => self.carry(usize::from(at >> 1), at & 1 == 1),
            19 => self.lose(usize::from(at >> 1), at & 1 == 1),
            _ => {
                // What one engine told another comes again, later or changed, or comes back.
                let (place, edit, position) = (script.octet()?, script.octet()?, script.word()?);
                let Some(payload) = self.forwards.iter().rev().nth(usize::from(place)).cloned() else {
                    return Some(());
                };
                let payload = &edited(payload, edit, position);
                let command = match at & 1 {
                    0 => ServerCommand::Forwarded { payload },
                    _ => ServerCommand::Undeliverable { payload },
                };
                self.command(usize::from(at >> 1) % self.servers.len(), command);
            }
        }
        Some(())
    }

    // --- what holds ---

    fn tables(&self) {
        self.servers.iter().for_each(|server| self.tables_of(server));
    }

    fn tables_of(&self, server: &Checked<Server>) {
        let snapshot = server.engine.snapshot();
        let limits = self.limits;
        assert!(snapshot.registrations.len() <= limits.registrations);
        assert!(snapshot.pending.len() <= limits.pending);
        assert!(snapshot.channels.len() <= limits.channels);
        assert!(snapshot.streams.len() <= limits.streams);
        assert!(snapshot.asked <= MAX_FORWARDS && snapshot.told <= MAX_FORWARDS);
        let rates = snapshot.rates;
        let tables = [rates.registers, rates.resets, rates.to_target, rates.by_pair];
        assert!(tables.iter().all(|&keys| keys <= MAX_RATES));
        assert_eq!(snapshot.deadline, server.deadline);
        let mut peers = BTreeSet::new();
        for registration in &snapshot.registrations {
            assert!(peers.insert(registration.peer), "a peer is registered once");
            assert!(registration.bindings.len() <= MAX_BINDINGS && !registration.bindings.is_empty());
            let mut sides = snapshot.channels.iter().flat_map(|channel| channel.sides);
            let wanted = sides.by_ref().filter(|(peer, wanted)| *peer == registration.peer && *wanted).count();
            assert!(wanted <= limits.channels_per_peer);
        }
        let mut sources: BTreeMap<_, usize> = BTreeMap::new();
        for stream in &snapshot.streams {
            *sources.entry(stream.remote.source_prefix()).or_default() += 1;
            assert!(stream.unwritten <= MAX_UNWRITTEN && stream.backlog <= MAX_UNWRITTEN);
            assert!(server.streams.contains_key(&stream.stream), "the driver knows {:?}", stream.stream);
        }
        // Streams that were dialled back carry nothing and are not in the table.
        let accepted = server.streams.keys().filter(|stream| stream.0 % 2 == 1).count();
        assert_eq!(snapshot.streams.len(), accepted);
        assert!(server.streams.len() - accepted <= MAX_DIAL_BACKS);
        assert!(sources.values().all(|&count| count <= limits.streams_per_source));
    }
}

/// A packet with one change.
pub(crate) fn edited(mut packet: Vec<u8>, edit: u8, position: u16) -> Vec<u8> {
    let at = usize::from(position) % packet.len().max(1);
    match edit & 3 {
        0 => {}
        1 if !packet.is_empty() => packet[at] ^= (edit >> 2).max(1),
        2 => packet.truncate(at),
        _ => packet.push(edit >> 2),
    }
    packet
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

const STRANGERS: [&str; 4] = ["203.0.113.66:6", "198.51.100.1:7002", "[2001:db8::66]:66", "203.0.113.67:4653"];
const MAX_STEPS: usize = 400;
/// Three clients over UDP and one over TCP register.
pub(crate) const REGISTRATIONS: [u8; 25] =
    [0, 0, 0x10, 1, 0, 0, 2, 0, 1, 1, 0, 2, 1, 1, 2, 0, 2, 2, 8, 3, 1, 3, 0, 2, 3];
/// Two of them, of two engines, are introduced: the second accepts.
pub(crate) const ACQUAINTANCE: [u8; 19] = [3, 0, 0, 8, 0x01, 0, 3, 18, 0, 18, 0, 3, 1, 0, 11, 0x80, 12, 0, 0];
/// Two of them are introduced, and relay.
pub(crate) const INTRODUCTIONS: [u8; 22] = [3, 0, 0, 8, 0x01, 0, 3, 3, 1, 0, 11, 0x80, 13, 0, 0, 0, 0, 13, 1, 1, 0, 0];
