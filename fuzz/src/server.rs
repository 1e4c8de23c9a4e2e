//! The server engine against five scripted clients with valid keys, and strangers.
//!
//! The clients do the peer's half of the handshake and of sealing, keep what they hear (nonces, requests,
//! channels, cookies), and otherwise do what the script says, true or not.
//!
//! Beyond [`checked`](crate::checked): an endpoint that never returned a nonce got no more octets than came
//! from it, and is never called registered; nothing goes to an endpoint that was only reported, never seen;
//! every table is within its bound; no counter is used twice under one key; what the server says to a
//! client decodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use pinhole_proto::constants::{MAX_BINDINGS, MAX_DIAL_BACKS, MAX_RATES};
use pinhole_proto::engine::MAX_UNWRITTEN;
use pinhole_proto::noise::{Handshake, Keys, Pattern, Recipe};
use pinhole_proto::server::{Limits, Server, ServerCommand, ServerConfig};
use pinhole_proto::wire::codec::decode_prefix;
use pinhole_proto::wire::discover::{Discover, ReplyFrom};
use pinhole_proto::wire::message::{Message, Reply, Request};
use pinhole_proto::wire::register::{Welcome, prologue};
use pinhole_proto::wire::sealed::seal_packet;
use pinhole_proto::wire::{ChannelId, Index, List, Nonce, Packet, Register, Relayed, Versions, frame_header};
use pinhole_proto::{Endpoint, Input, Instant, SocketId, StreamId, StreamInput, Transport};

use crate::bytes::Script;
use crate::checked::{Checked, Order, ServerTold, span};
use crate::compose::{self, Context};
use crate::curve::{curve, public};
use crate::watch::Counters;

/// The clients; the first three begin over UDP, the others over TCP.
pub const CLIENTS: usize = 5;
/// The operations that the script tells apart.
pub const OPERATIONS: u8 = 18;
/// The prologues.
pub const STAGES: usize = 3;

const SECRET: u8 = 77;

#[derive(Clone)]
struct Client {
    secret: u8,
    home: Endpoint,
    stream: Option<StreamId>,
    over_tcp: bool,
    cookie: [u8; 16],
    pending: Option<(Recipe, Index)>,
    /// The latest keys, and the server's index.
    keys: Option<(Keys, Index)>,
    counters: BTreeMap<u16, u64>,
    /// The path number of the stream.
    lane: u16,
    next: u32,
    registers: u8,
    asked: Vec<u32>,
    nonces: Vec<Nonce>,
    checks: Vec<(u32, Nonce)>,
}

#[derive(Clone, Copy)]
enum Via {
    Datagram(Endpoint),
    Stream(StreamId),
}

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
    server: Checked<Server>,
    limits: Limits,
    clients: Vec<Client>,
    accounts: BTreeMap<Endpoint, Account>,
    /// Packets that were sent to the server, and the nonces in them.
    past: Vec<(Vec<u8>, Vec<Nonce>)>,
    channels: Vec<ChannelId>,
    counters: Counters,
    next_stream: u64,
    /// The accepted streams that were open before this input, and where they lead to.
    open: BTreeMap<StreamId, Endpoint>,
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
        let fresh = World::new();
        let mut registered = fresh.clone();
        registered.play(&REGISTRATIONS);
        assert_eq!(registered.server.engine.snapshot().registrations.len(), 4);
        let mut introduced = registered.clone();
        introduced.play(&INTRODUCTIONS);
        assert!(!introduced.server.engine.snapshot().channels.is_empty());
        [fresh, registered, introduced]
    })
}

impl World {
    fn new() -> Self {
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
        let config = ServerConfig {
            secret: [SECRET; 32],
            port: 4653,
            alternate_port: 4654,
            alternates: vec![endpoint("18.181.0.31:4654")],
            addresses: Some([endpoint("18.181.0.31:1").address(), endpoint("18.181.0.32:1").address()]),
            ipv6: true,
            relay: true,
            shard: 0,
            shards: 1,
            boot: 1,
            limits,
            x25519: curve(),
        };
        let now = Instant::from_micros(1_000_000);
        let (server, orders) = Checked::new(Server::new(config, [1; 32], now), now);
        let client = |at: usize| Client {
            secret: at as u8 + 1,
            home: endpoint(&format!("198.51.100.{}:{}", at / 2, 7_000 + at)),
            stream: None,
            over_tcp: at >= 3,
            cookie: [0; 16],
            pending: None,
            keys: None,
            counters: BTreeMap::new(),
            lane: 0,
            next: 0,
            registers: 0,
            asked: vec![],
            nonces: vec![],
            checks: vec![],
        };
        let mut world = Self {
            server,
            limits,
            clients: (0..CLIENTS).map(client).collect(),
            accounts: BTreeMap::new(),
            past: vec![],
            channels: vec![],
            counters: Counters::default(),
            next_stream: 1,
            open: BTreeMap::new(),
            ended: false,
        };
        let mut sockets = 0;
        for order in orders {
            let Order::Open(socket, _, port) = order else { continue };
            let address = if sockets < 4 { "0.0.0.0" } else { "[::]" };
            sockets += 1;
            assert_eq!(world.input(Input::Opened { socket, local: endpoint(&format!("{address}:{port}")) }), Ok(()));
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
                let packet = self.register(who, script.octet()?);
                self.send(self.own(who), &packet, vec![]);
            }
            2 => {
                // Answer the latest check, and set the binding up.
                let Some((id, nonce)) = self.clients[who].checks.pop() else { return Some(()) };
                let mut plaintext = vec![];
                let reply = pinhole_proto::wire::control::PathReply { nonce, observed: endpoint("18.181.0.31:4653") };
                Message::Answer(id, Reply::PathReply(reply)).encode(&mut plaintext);
                let mut context = self.context(who);
                compose::plaintext(&mut Script::new(&[4, 0, 0x4e]), &mut context)
                    .into_iter()
                    .for_each(|refresh| plaintext.extend(refresh));
                self.clients[who].next = context.next;
                self.seal(who, at / 5, &plaintext)?;
            }
            3 | 4 => {
                let how = script.octet()?;
                let mut context = self.context(who);
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
                    let _ = self.input(Input::Stream { stream, what: StreamInput::Closed(None) });
                }
            }
            10 => {
                let octets = script.counted()?;
                if let Some(stream) = self.clients[who].stream {
                    let _ = self.input(Input::Stream { stream, what: StreamInput::Received(octets) });
                }
            }
            11 => {
                // Everything that was written leaves.
                if let Some(stream) = self.clients[who].stream
                    && let Some(wire) = self.server.streams.get(&stream)
                    && let octets @ 1.. = wire.unwritten as u32
                {
                    let _ = self.input(Input::Stream { stream, what: StreamInput::Written(octets) });
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
            }
            15 => {
                let (lane, number) = (script.octet()? & 0x1f, script.word()?);
                self.clients[who].counters.insert(u16::from(lane), u64::from(number));
            }
            16 => {
                let stray = StreamId(u64::from(at));
                let socket = SocketId(u32::from(script.octet()?));
                let local = endpoint("18.181.0.31:4653");
                let _ = match at & 3 {
                    0 => self.input(Input::Opened { socket, local }),
                    1 if !self.server.streams.contains_key(&stray) => {
                        self.input(Input::Stream { stream: stray, what: StreamInput::Connected { local } })
                    }
                    2 => self.input(Input::Interfaces(&[])),
                    _ => self.input(Input::Rejected { socket, remote: local, error: pinhole_proto::NetError::Refused }),
                };
            }
            _ => {
                if script.octet()? == 0xa5 {
                    let (_, orders) = self.server.command(ServerCommand::Shutdown);
                    self.heed(orders);
                    self.ended = true;
                }
            }
        }
        Some(())
    }

    // --- what clients send ---

    fn register(&mut self, who: usize, flags: u8) -> Vec<u8> {
        let client = &mut self.clients[who];
        let one: Versions = List::from_first([1]);
        let (x25519, server) = (curve(), public(SECRET));
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &x25519,
            secret: &[client.secret; 32],
            remote: Some(&server),
            prologue: &prologue(&one, &one),
        };
        client.registers = client.registers.wrapping_add(1);
        let ephemeral = [client.secret ^ 0x80, client.registers].repeat(16);
        let ephemeral = ephemeral.try_into().expect("16 pairs are 32 octets");
        let (message_1, recipe) = handshake.initiate(ephemeral, &[]).expect("no key is weak");
        let index = Index([9, 9, client.registers, client.secret]);
        client.pending = Some((recipe, index));
        let cookie = if flags & 1 == 1 { client.cookie } else { [0; 16] };
        Packet::Register(Register { index, cookie, offered: one.clone(), answered: one, message_1: &message_1 })
            .encode()
    }

    /// Seals and sends: `how` selects where from and on which path number.
    fn seal(&mut self, who: usize, how: u8, plaintext: &[u8]) -> Option<()> {
        let via = if how & 0x1f == 0 { self.own(who) } else { self.via(how) };
        let client = &mut self.clients[who];
        let Some((keys, index)) = client.keys else { return Some(()) };
        let lane = match how >> 5 {
            0 if matches!(via, Via::Stream(_)) => client.lane,
            other => u16::from(other),
        };
        let number = client.counters.entry(lane).or_default();
        let counter = u64::from(lane) << 48 | *number;
        *number += 1;
        let packet = seal_packet(&keys.send, index, counter, plaintext);
        self.send(via, &packet, compose::nonces(plaintext));
        Some(())
    }

    fn own(&self, who: usize) -> Via {
        let client = &self.clients[who];
        match client.stream {
            Some(stream) if client.over_tcp => Via::Stream(stream),
            _ => Via::Datagram(client.home),
        }
    }

    /// Any client's home or stream, or a stranger.
    fn via(&self, at: u8) -> Via {
        let who = usize::from(at) % CLIENTS;
        match (at / 5) % 4 {
            0 | 1 => self.own(who),
            2 => Via::Datagram(self.clients[who].home),
            _ => Via::Datagram(STRANGERS[who % STRANGERS.len()].parse().expect("an endpoint")),
        }
    }

    fn send(&mut self, via: Via, packet: &[u8], nonces: Vec<Nonce>) {
        self.past.push((packet.to_vec(), nonces.clone()));
        match via {
            Via::Datagram(remote) => {
                let account = self.accounts.entry(remote).or_default();
                account.received += packet.len();
                account.proved |= nonces.iter().any(|nonce| account.nonces.contains(nonce));
                let (socket, local) =
                    if remote.address().is_ipv4() { (0, "18.181.0.31:1") } else { (4, "[2001:db8::31]:1") };
                let socket = SocketId(socket);
                let local = endpoint(local).address();
                let _ = self.input(Input::Datagram { socket, local, remote, payload: packet });
            }
            Via::Stream(stream) => {
                if packet.is_empty() {
                    return;
                }
                let octets = [&frame_header(packet), packet].concat();
                let _ = self.input(Input::Stream { stream, what: StreamInput::Received(&octets) });
            }
        }
    }

    fn accept(&mut self, who: usize) {
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        let remote = self.clients[who].home.with_port(20_000 + self.next_stream as u16);
        let (socket, local) = (SocketId(1), endpoint("18.181.0.31:4653"));
        let what = StreamInput::Accepted { socket, local, remote };
        self.open.insert(stream, remote);
        if self.input(Input::Stream { stream, what }).is_ok() {
            let client = &mut self.clients[who];
            client.stream = Some(stream);
            client.lane += 1;
        } else {
            assert!(!self.server.streams.contains_key(&stream), "a stream that is refused is closed");
        }
    }

    /// Lets time pass, stopping at every deadline unless `skip` is odd.
    fn pass(&mut self, skip: u8, length: u8) {
        let end = self.server.now + span(length);
        let mut stops = 0;
        while let Some(due) = self.server.due(end).filter(|_| skip & 1 == 0 && stops < 200) {
            stops += 1;
            self.server.now = due;
            assert_eq!(self.input(Input::Timeout), Ok(()));
        }
        self.server.now = end;
        assert_eq!(self.input(Input::Timeout), Ok(()));
    }

    // --- what the server does ---

    fn input(&mut self, input: Input<'_>) -> Result<(), pinhole_proto::Discard> {
        let (result, orders) = self.server.input(input);
        self.heed(orders);
        result
    }

    fn heed(&mut self, orders: Vec<Order<ServerTold>>) {
        for order in orders {
            match order {
                Order::Transmit(_, remote, payload) => {
                    let account = self.accounts.entry(remote).or_default();
                    account.sent += payload.len();
                    assert!(
                        account.proved || account.sent <= account.received,
                        "{} octets to {remote}, which sent {} and proved nothing",
                        account.sent,
                        account.received
                    );
                    self.hear(Some(remote), &payload);
                }
                Order::Event(ServerTold::Registered(_, Transport::Udp, public)) => {
                    let proved = self.accounts.get(&public).is_some_and(|account| account.proved);
                    assert!(proved, "{public} returned its nonce");
                }
                Order::Dial(_, _, remote) => {
                    let asks = self.open.values().any(|known| *known == remote);
                    assert!(asks, "dials {remote}, which has no stream here");
                }
                _ => {}
            }
        }
        for (_, frame) in std::mem::take(&mut self.server.frames) {
            self.hear(None, &frame);
        }
        self.open.retain(|stream, _| self.server.streams.contains_key(stream));
        for client in &mut self.clients {
            client.stream = client.stream.filter(|stream| self.server.streams.contains_key(stream));
        }
    }

    /// What the server says is understood by the client that it is for.
    fn hear(&mut self, at: Option<Endpoint>, packet: &[u8]) {
        match Packet::decode(packet) {
            Ok(Packet::Discovered(discovered)) => {
                let client = self.clients.iter_mut().find(|client| Some(client.home) == at || at.is_none());
                if let Some(client) = client {
                    client.cookie = discovered.cookie;
                }
            }
            Ok(Packet::Registered(registered)) => {
                let Some(who) = self
                    .clients
                    .iter()
                    .position(|client| client.pending.as_ref().is_some_and(|(_, index)| *index == registered.index))
                else {
                    return;
                };
                let client = &mut self.clients[who];
                let one: Versions = List::from_first([1]);
                let (x25519, server) = (curve(), public(SECRET));
                let handshake = Handshake {
                    pattern: Pattern::Ik,
                    x25519: &x25519,
                    secret: &[client.secret; 32],
                    remote: Some(&server),
                    prologue: &prologue(&one, &one),
                };
                let Some((recipe, _)) = &client.pending else { return };
                // An answer to an older copy of the same index does not verify.
                let Ok((payload, keys)) = handshake.finish(recipe, registered.message_2) else { return };
                let (welcome, _) = decode_prefix::<Welcome>(&payload).expect("the server's payload decodes");
                if client.keys.is_none_or(|(_, index)| index != welcome.index) {
                    client.counters.clear();
                    client.lane = u16::from(client.stream.is_some());
                }
                client.keys = Some((keys, welcome.index));
                self.open(who, at, registered.sealed);
            }
            Ok(Packet::Sealed(sealed)) => {
                let [_, _, _, secret] = sealed.index.0;
                if (1..=CLIENTS as u8).contains(&secret) {
                    self.open(usize::from(secret) - 1, at, packet);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, who: usize, at: Option<Endpoint>, packet: &[u8]) {
        let Ok(Packet::Sealed(sealed)) = Packet::decode(packet) else { panic!("not sealed") };
        let Some((keys, _)) = self.clients[who].keys else { return };
        // Under older keys: not for this client any more.
        let Ok(plaintext) = sealed.open(&keys.receive) else { return };
        self.counters.on(keys.receive, sealed.counter, packet);
        let mut rest = plaintext.as_slice();
        while !rest.is_empty() {
            let message = Message::decode(&mut rest).expect("the server says what decodes");
            let client = &mut self.clients[who];
            match message {
                Message::Request(id, request) => {
                    client.asked.push(id);
                    match request {
                        Request::PathCheck(check) => {
                            client.checks.push((id, check.nonce));
                            client.nonces.push(check.nonce);
                            if let Some(at) = at {
                                self.accounts.entry(at).or_default().nonces.insert(check.nonce);
                            }
                        }
                        Request::Introduce(introduce) => self.channels.extend(introduce.channel),
                        _ => {}
                    }
                }
                Message::Answer(_, Reply::Introduced(introduced)) => self.channels.extend(introduced.channel),
                Message::Answer(_, Reply::RelayOpened(opened)) => self.channels.push(opened.channel),
                Message::Answer(..) => {}
                other => panic!("{other:?} from a server"),
            }
        }
    }

    fn context(&self, who: usize) -> Context {
        let client = &self.clients[who];
        Context {
            peers: (1..=CLIENTS as u8 + 1).map(public).collect(),
            sessions: (0..4).map(|session| [session; 8]).collect(),
            endpoints: (0..16).map(|host| endpoint(&format!("10.0.0.{host}:{}", 4_000 + host))).collect(),
            channels: self.channels.clone(),
            nonces: client.nonces.iter().rev().take(8).copied().collect(),
            asked: client.asked.iter().rev().take(4).rev().copied().collect(),
            next: client.next,
            noise: [vec![6; 96], vec![8; 48]],
        }
    }

    fn tables(&self) {
        let snapshot = self.server.engine.snapshot();
        let limits = self.limits;
        assert!(snapshot.registrations.len() <= limits.registrations);
        assert!(snapshot.pending.len() <= limits.pending);
        assert!(snapshot.channels.len() <= limits.channels);
        assert!(snapshot.streams.len() <= limits.streams);
        let rates = snapshot.rates;
        let tables = [rates.registers, rates.resets, rates.to_target, rates.by_pair];
        assert!(tables.iter().all(|&keys| keys <= MAX_RATES));
        assert_eq!(snapshot.deadline, self.server.deadline);
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
            assert!(self.server.streams.contains_key(&stream.stream), "the driver knows {:?}", stream.stream);
        }
        // Streams that were dialled back carry nothing and are not in the table.
        let accepted = self.server.streams.keys().filter(|stream| stream.0 % 2 == 1).count();
        assert_eq!(snapshot.streams.len(), accepted);
        assert!(self.server.streams.len() - accepted <= MAX_DIAL_BACKS);
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
/// Two of them are introduced, and relay.
pub(crate) const INTRODUCTIONS: [u8; 22] = [3, 0, 0, 8, 0x01, 0, 3, 3, 1, 0, 11, 0x80, 13, 0, 0, 0, 0, 13, 1, 1, 0, 0];
