//! A scripted client against the engine: it has the peer's half of the handshake and of sealing, and no
//! behaviour of its own.

mod contract;
mod dial_back;
mod echo;
mod floods;
mod introduction;
mod registration;
mod relay;
mod shards;
mod shards_relay;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Limits, Recipient, Server, ServerCommand, ServerConfig, ServerEvent};
use crate::association::{Association, Lane};
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::engine::{Engine, Input, Output, SocketId, StreamId, StreamInput};
use crate::key::PeerId;
use crate::noise::{Dalek, Handshake, Pattern, Recipe, X25519, public_key};
use crate::replay::Arrival;
use crate::time::{Duration, Instant};
use crate::wire::code::{Policy, Transports};
use crate::wire::codec::decode_prefix;
use crate::wire::control::{Acknowledge, Connect, Introduced, PathCheck, PathReply, Refresh, Refreshed};
use crate::wire::discover::{Discover, Discovered, ReplyFrom};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::register::{Welcome, prologue};
use crate::wire::{Deframer, Index, List, Packet, Register, SessionId, Versions, frame_header};

const SERVER_SECRET: [u8; 32] = [77; 32];
const MAIN: SocketId = SocketId(0);
const MAIN_TCP: SocketId = SocketId(1);
const ALTERNATE: SocketId = SocketId(2);

/// What the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    Datagram(SocketId, Endpoint, Vec<u8>),
    Frame(StreamId, Vec<u8>),
    Read(StreamId, bool),
    Close(StreamId, bool),
    Dial(StreamId, SocketId, Option<Address>, Endpoint),
}

#[derive(Clone)]
struct World {
    server: Server,
    now: Instant,
    sent: Vec<Sent>,
    /// The local address of each datagram that was sent.
    locals: Vec<Option<Address>>,
    /// What is for other engines.
    forwards: Vec<(Recipient, Vec<u8>)>,
    misplaced: Vec<(u8, StreamId, SocketId, Vec<u8>)>,
    events: Vec<ServerEvent<'static>>,
    deadline: Option<Instant>,
}

/// The only element.
fn only<T: core::fmt::Debug>(mut items: Vec<T>) -> T {
    assert_eq!(items.len(), 1, "{items:?}");
    items.remove(0)
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn config(limits: Limits) -> ServerConfig {
    ServerConfig {
        secret: SERVER_SECRET,
        port: 4653,
        alternate_port: 4654,
        alternates: vec![endpoint("203.0.113.1:4654")],
        addresses: Some([endpoint("203.0.113.1:1").address(), endpoint("203.0.113.2:1").address()]),
        ipv6: true,
        relay: true,
        shard: 0,
        shards: 1,
        boot: 5,
        limits,
        x25519: Arc::new(Dalek),
    }
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self::configured(config(limits))
    }

    fn configured(config: ServerConfig) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let seed = [config.shard + 1; 32];
        let mut world = Self {
            server: Server::new(config, seed, now),
            now,
            sent: vec![],
            locals: vec![],
            forwards: vec![],
            misplaced: vec![],
            events: vec![],
            deadline: None,
        };
        world.drain();
        for socket in 0..8 {
            let address = if socket < 4 { "0.0.0.0" } else { "[::]" };
            let port = if socket % 4 < 2 { 4653 } else { 4654 };
            let local = endpoint(&format!("{address}:{port}"));
            let socket = SocketId(socket);
            world.input(Input::Opened { socket, local }).unwrap();
        }
        assert_eq!(world.events.len(), 8);
        world.events.clear();
        world
    }

    fn command(&mut self, command: ServerCommand<'_>) {
        self.server.handle_command(self.now, command).unwrap();
        self.drain();
    }

    fn input(&mut self, input: Input<'_>) -> Result<(), Discard> {
        let result = self.server.handle_input(self.now, input);
        self.drain();
        result
    }

    fn drain(&mut self) {
        loop {
            match self.server.poll_output() {
                Output::Transmit { socket, local, remote, payload, .. } => {
                    self.locals.push(local);
                    self.sent.push(Sent::Datagram(socket, remote, payload.into()));
                }
                Output::Write { stream, mut octets } => {
                    let mut deframer = Deframer::default();
                    let frame = deframer.next(&mut octets).unwrap().unwrap();
                    // [R-WIRE-051] A write is one whole frame.
                    assert!(octets.is_empty());
                    self.sent.push(Sent::Frame(stream, frame));
                }
                Output::Read { stream, on } => self.sent.push(Sent::Read(stream, on)),
                Output::Close { stream, abort } => self.sent.push(Sent::Close(stream, abort)),
                Output::Event(ServerEvent::Misdirected { shard, socket, local, remote, .. }) => {
                    self.events.push(ServerEvent::Misdirected { shard, socket, local, remote, payload: &[] });
                }
                Output::Event(ServerEvent::Forward { to, payload, .. }) => self.forwards.push((to, payload.into())),
                Output::Event(ServerEvent::Misplaced { shard, stream, socket, octets }) => {
                    self.misplaced.push((shard, stream, socket, octets.into()));
                }
                Output::Event(event) => self.events.push(forget_payload(event)),
                Output::Wait(at) => {
                    self.deadline = at;
                    return;
                }
                Output::Dial { stream, from, local, remote, .. } => {
                    self.sent.push(Sent::Dial(stream, from, local, remote));
                }
                Output::Open { .. } | Output::Shut { .. } => {}
            }
        }
    }

    /// Lets time pass, stopping at every deadline.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.deadline.filter(|&at| at <= end) {
            self.now = at;
            self.input(Input::Timeout).unwrap();
            assert!(self.deadline.is_none_or(|next| next > at));
        }
        self.now = end;
        self.input(Input::Timeout).unwrap();
    }

    fn datagram(&mut self, from: Endpoint, payload: &[u8]) -> Result<(), Discard> {
        let (socket, local) = match from.family() {
            crate::endpoint::Family::V4 => (MAIN, endpoint("203.0.113.1:0")),
            crate::endpoint::Family::V6 => (SocketId(4), endpoint("[2001:db8::1]:0")),
        };
        self.input(Input::Datagram { socket, local: local.address(), remote: from, payload })
    }

    fn accept(&mut self, stream: u64, remote: Endpoint) -> Result<(), Discard> {
        self.input(Input::Stream {
            stream: StreamId(stream),
            what: StreamInput::Accepted { socket: MAIN_TCP, local: endpoint("203.0.113.1:4653"), remote },
        })
    }

    fn stream(&mut self, stream: u64, what: StreamInput<'_>) -> Result<(), Discard> {
        let stream = StreamId(stream);
        self.input(Input::Stream { stream, what })
    }

    fn frame(&mut self, stream: u64, packet: &[u8]) -> Result<(), Discard> {
        let octets = [&frame_header(packet), packet].concat();
        self.stream(stream, StreamInput::Received(&octets))
    }

    /// Takes what was sent to an endpoint.
    fn to(&mut self, remote: Endpoint) -> Vec<Vec<u8>> {
        self.take(|sent| match sent {
            Sent::Datagram(_, to, octets) if *to == remote => Some(octets.clone()),
            _ => None,
        })
    }

    /// Takes what was written to a stream.
    fn on(&mut self, stream: u64) -> Vec<Vec<u8>> {
        self.take(|sent| match sent {
            Sent::Frame(on, octets) if *on == StreamId(stream) => Some(octets.clone()),
            _ => None,
        })
    }

    fn take<T>(&mut self, which: impl Fn(&Sent) -> Option<T>) -> Vec<T> {
        let mut taken = vec![];
        self.sent.retain(|sent| match which(sent) {
            Some(found) => {
                taken.push(found);
                false
            }
            None => true,
        });
        taken
    }

    fn discarded(&self, discard: Discard) -> u64 {
        let discards = self.server.snapshot().discards;
        discards.get(&discard).copied().unwrap_or(0)
    }

    /// Everything but the counters and rates, in words.
    fn state(&self) -> String {
        let server = &self.server;
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            server.admission.pending,
            server.registry,
            server.relay,
            server.common.streams,
            server.common.timers,
            server.common.forwards,
            server.common.dial_backs.len()
        )
    }
}

/// Events other than `Misdirected` borrow nothing.
fn forget_payload(event: ServerEvent<'_>) -> ServerEvent<'static> {
    match event {
        ServerEvent::Registered { peer, transport, public, since } => {
            ServerEvent::Registered { peer, transport, public, since }
        }
        ServerEvent::Unregistered { peer, reason } => ServerEvent::Unregistered { peer, reason },
        ServerEvent::Introduced { initiator, responder, transport } => {
            ServerEvent::Introduced { initiator, responder, transport }
        }
        ServerEvent::RelayOpened { a, b } => ServerEvent::RelayOpened { a, b },
        ServerEvent::RelayClosed { a, b, octets } => ServerEvent::RelayClosed { a, b, octets },
        ServerEvent::Listening { transport, socket, local } => ServerEvent::Listening { transport, socket, local },
        ServerEvent::ListenFailed { transport, port, error } => ServerEvent::ListenFailed { transport, port, error },
        ServerEvent::Forward { .. }
        | ServerEvent::Misdirected { .. }
        | ServerEvent::Misplaced { .. }
        | ServerEvent::Stopped => ServerEvent::Stopped,
    }
}

/// Where a client sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Udp(Endpoint),
    Tcp(u64),
}

/// What a client understood.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Request(RequestId, Request),
    Answer(RequestId, Reply),
}

/// The peer's half.
#[derive(Clone)]
struct Client {
    secret: [u8; 32],
    id: PeerId,
    via: Via,
    /// The versions offered and answered.
    lists: (Versions, Versions),
    recipe: Option<Recipe>,
    /// The server's index for this client.
    index: Index,
    token: [u8; 16],
    association: Option<Association>,
    lane: Option<Lane>,
    next: RequestId,
    refresh: Refresh,
}

impl Client {
    fn new(number: u8, via: Via) -> Self {
        let secret = [number; 32];
        Self {
            secret,
            id: public_key(&Dalek, &secret),
            via,
            lists: (List::from_first([1]), List::from_first([1])),
            recipe: None,
            index: Index::default(),
            token: [0; 16],
            association: None,
            lane: None,
            next: 0,
            refresh: Refresh {
                private: List::from_first([endpoint("10.0.0.1:4000")]),
                policy: Policy::OPEN,
                disclose: true,
                relay: true,
                moved: false,
            },
        }
    }

    fn udp(number: u8, from: &str) -> Self {
        Self::new(number, Via::Udp(endpoint(from)))
    }

    /// A registered client over UDP.
    fn registered(world: &mut World, number: u8, from: &str) -> Self {
        let mut client = Self::udp(number, from);
        client.register(world);
        client
    }

    /// A registered client over TCP.
    fn registered_tcp(world: &mut World, number: u8, stream: u64, from: &str) -> Self {
        world.accept(stream, endpoint(from)).unwrap();
        let mut client = Self::new(number, Via::Tcp(stream));
        client.register(world);
        client
    }

    fn register(&mut self, world: &mut World) {
        let register = self.register_packet([0; 16]);
        self.send(world, &register).unwrap();
        let registered = only(self.received(world));
        let (id, check) = self.on_registered(&registered);
        self.prove(world, id, check).unwrap();
        let heard = self.hear(world);
        assert!(matches!(&heard[..], [Heard::Answer(_, Reply::Refreshed(_))]), "{heard:?}");
    }

    fn register_packet(&mut self, cookie: [u8; 16]) -> Vec<u8> {
        let (offered, answered) = self.lists.clone();
        let server = public_key(&Dalek, &SERVER_SECRET);
        let x25519: Arc<dyn X25519> = Arc::new(Dalek);
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &x25519,
            secret: &self.secret,
            remote: Some(&server),
            prologue: &prologue(&offered, &answered),
        };
        let (message_1, recipe) = handshake.initiate([self.secret[0] ^ 0x5a; 32], &[]).unwrap();
        self.recipe = Some(recipe);
        let index = Index([9, 9, 9, self.secret[0]]);
        let register = Register { index, cookie, offered, answered, message_1: &message_1 };
        Packet::Register(register).encode()
    }

    fn on_registered(&mut self, packet: &[u8]) -> (RequestId, PathCheck) {
        let Packet::Registered(registered) = Packet::decode(packet).unwrap() else {
            panic!("not Registered");
        };
        let (offered, answered) = self.lists.clone();
        let server = public_key(&Dalek, &SERVER_SECRET);
        let x25519: Arc<dyn X25519> = Arc::new(Dalek);
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &x25519,
            secret: &self.secret,
            remote: Some(&server),
            prologue: &prologue(&offered, &answered),
        };
        let recipe = self.recipe.as_ref().unwrap();
        let (payload, keys) = handshake.finish(recipe, registered.message_2).unwrap();
        let (welcome, _) = decode_prefix::<Welcome>(&payload).unwrap();
        self.index = welcome.index;
        self.token = welcome.token;
        let mut association = Association::new(keys, welcome.index);
        self.lane = matches!(self.via, Via::Tcp(_)).then(|| association.lane());
        self.association = Some(association);
        let Heard::Request(id, Request::PathCheck(check)) = only(self.open(registered.sealed)) else {
            panic!("not a PathCheck");
        };
        (id, check)
    }

    fn prove(&mut self, world: &mut World, id: RequestId, check: PathCheck) -> Result<(), Discard> {
        let proof = self.path_reply(id, check);
        let refresh = self.request(Request::Refresh(self.refresh.clone()));
        let packet = self.seal(&[proof, refresh]);
        self.send(world, &packet)
    }

    fn path_reply(&self, id: RequestId, check: PathCheck) -> Message<'static> {
        let observed = endpoint("203.0.113.1:4653");
        let nonce = check.nonce;
        Message::Answer(id, Reply::PathReply(PathReply { nonce, observed }))
    }

    fn request(&mut self, request: Request) -> Message<'static> {
        self.next += 1;
        Message::Request(self.next, request)
    }

    fn ask(&mut self, world: &mut World, request: Request) -> Result<(), Discard> {
        let request = self.request(request);
        let packet = self.seal(&[request]);
        self.send(world, &packet)
    }

    fn answer(&mut self, world: &mut World, id: RequestId, reply: Reply) -> Result<(), Discard> {
        let packet = self.seal(&[Message::Answer(id, reply)]);
        self.send(world, &packet)
    }

    fn seal(&mut self, messages: &[Message<'_>]) -> Vec<u8> {
        let lane = self.lane.as_mut();
        self.association.as_mut().unwrap().seal(lane, messages)
    }

    fn send(&self, world: &mut World, packet: &[u8]) -> Result<(), Discard> {
        match self.via {
            Via::Udp(from) => world.datagram(from, packet),
            Via::Tcp(stream) => world.frame(stream, packet),
        }
    }

    fn received(&self, world: &mut World) -> Vec<Vec<u8>> {
        match self.via {
            Via::Udp(at) => world.to(at),
            Via::Tcp(stream) => world.on(stream),
        }
    }

    /// Opens what arrived here.
    fn hear(&mut self, world: &mut World) -> Vec<Heard> {
        let packets = self.received(world);
        packets.iter().flat_map(|packet| self.open(packet)).collect()
    }

    fn open(&mut self, packet: &[u8]) -> Vec<Heard> {
        let Packet::Sealed(sealed) = Packet::decode(packet).unwrap() else {
            panic!("not Sealed: {packet:?}");
        };
        let arrival = match self.via {
            Via::Udp(_) => Arrival::Datagram,
            Via::Tcp(_) => Arrival::Stream,
        };
        let association = self.association.as_mut().unwrap();
        let plaintext = association.open(&sealed, arrival).unwrap();
        association.enter(&sealed, arrival);
        super::decode(&plaintext)
            .unwrap()
            .into_iter()
            .map(|message| match message {
                Message::Request(id, request) => Heard::Request(id, request),
                Message::Answer(id, reply) => Heard::Answer(id, reply),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn connect(&mut self, world: &mut World, to: PeerId, session: SessionId) {
        let connect = Request::Connect(Connect {
            target: to,
            session,
            transports: Transports(3),
            versions: List::from_first([1]),
            message_1: List::from_first([6; 96]),
        });
        self.ask(world, connect).unwrap();
    }

    /// Connects and takes the server's answer.
    fn introduced(&mut self, world: &mut World, to: PeerId, session: SessionId) -> Introduced {
        self.connect(world, to, session);
        let Heard::Answer(_, Reply::Introduced(introduced)) = only(self.hear(world)) else {
            panic!("not introduced");
        };
        introduced
    }
}

fn discover(reply_from: u8) -> Vec<u8> {
    Packet::Discover(Discover {
        transaction: [3; 16],
        versions: List::from_first([1]),
        reply_from: ReplyFrom(reply_from),
    })
    .encode()
}

fn discovered(packet: &[u8]) -> Discovered {
    match Packet::decode(packet).unwrap() {
        Packet::Discovered(discovered) => discovered,
        other => panic!("{other:?}"),
    }
}
