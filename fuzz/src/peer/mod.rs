//! The peer engine against a scripted server and scripted other peers, all of whom hold valid keys.
//!
//! The server half answers what it is asked when the script says so, as a server would or with a twist, and
//! says whatever the script composes, sealed. The other peers do their half of Noise KK in either role and
//! then say whatever the script composes, from any endpoint, on any stream, or by the relay.
//!
//! Beyond [`checked`](crate::checked) and [`watch`](crate::watch): an address that proved nothing gets its
//! probe budget and no more, where a period of the budget begins with its first packet; every table is
//! within its bound; what the peer says decodes.

mod voices;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pinhole_proto::constants::{
    MAX_EARLY_PUNCHES, MAX_PATHS, MAX_PROBE_OCTETS, MAX_PROBED, MAX_PROBES, MAX_SESSIONS, MAX_UNPROVED_STREAMS,
    PROBE_PERIOD,
};
use pinhole_proto::noise::{Handshake, Pattern};
use pinhole_proto::peer::{Accept, PathState, Peer, PeerCommand, PeerConfig, PeerReply, RelayPolicy, StrategySet};
use pinhole_proto::wire::codec::decode;
use pinhole_proto::wire::message::{Message, Reply, Request, RequestId};
use pinhole_proto::wire::punch::Acceptance;
use pinhole_proto::wire::{ChannelId, Index, List, Packet, Relayed, Reset, Sealed, SessionId, frame_header};
use pinhole_proto::{
    Address, Discard, Duration, Endpoint, Input, Instant, Interface, NetError, SocketId, StreamId, StreamInput,
    Transport,
};

use crate::bytes::Script;
use crate::checked::{Checked, Order, PeerTold, span};
use crate::compose::{self, Context};
use crate::curve::{curve, public};
use crate::server::edited;
use crate::watch::{Counters, Sessions};
use voices::{Meeting, Voice, kk};

/// The operations that the script tells apart.
pub const OPERATIONS: u8 = 21;
/// The prologues.
pub const STAGES: usize = 6;

const OWN: u8 = 1;
const SERVER: u8 = 77;
const WELCOME: Index = Index([0, 1, 2, 3]);
const TOKEN: [u8; 16] = [0x55; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Datagram(Endpoint),
    Stream(StreamId),
    Relay,
}

#[derive(Clone)]
struct Probes {
    since: Instant,
    packets: u32,
    octets: usize,
    heard: usize,
    proved: bool,
}

#[derive(Clone)]
struct World {
    peer: Checked<Peer>,
    sessions: Sessions,
    server: Option<Voice>,
    /// What the server was asked in clear.
    calls: Vec<(Via, Vec<u8>)>,
    /// What the server was asked under its keys.
    requests: Vec<(Via, RequestId, Request)>,
    meetings: Vec<Meeting>,
    past: Vec<Vec<u8>>,
    probes: BTreeMap<Address, Probes>,
    counters: Counters,
    next_stream: u64,
    registers: u8,
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
        if world.step(&mut script).is_none() {
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
        let after = |before: &World, script: &[u8], states: (&str, &str)| {
            let mut world = before.clone();
            world.play(script);
            let snapshot = world.peer.engine.snapshot();
            assert!(snapshot.bindings.iter().all(|binding| binding.state == states.0), "{snapshot:?}");
            assert!(snapshot.sessions.iter().all(|session| session.state == states.1), "{snapshot:?}");
            if states.1 == "established" {
                let paths = snapshot.sessions.iter().flat_map(|session| &session.paths);
                assert!(paths.into_iter().any(|path| path.state == PathState::Proved), "{snapshot:?}");
            }
            world
        };
        let online = after(&fresh, &REGISTERS, ("online", ""));
        let asking = after(&online, &CONNECTS, ("online", "introduced"));
        let initiator = after(&asking, &ANSWERED, ("online", "established"));
        let responder = after(&online, &INTRODUCED, ("online", "established"));
        let stream = after(&online, &STREAMED, ("online", "established"));
        [fresh, online, asking, initiator, responder, stream]
    })
}

impl World {
    fn new() -> Self {
        let config = PeerConfig {
            secret: [OWN; 32],
            server_key: Some(public(SERVER)),
            servers: vec![endpoint(SERVERS[0])],
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
        let now = Instant::from_micros(1_000_000);
        let (peer, orders) = Checked::new(Peer::new(config, [1; 32], now), now);
        let mut world = Self {
            peer,
            sessions: Sessions::default(),
            server: None,
            calls: vec![],
            requests: vec![],
            meetings: vec![],
            past: vec![],
            probes: BTreeMap::new(),
            counters: Counters::default(),
            next_stream: 1,
            registers: 0,
        };
        world.heed(orders);
        let _ = world.input(Input::Interfaces(&interfaces(0)));
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
        match operation {
            0 => self.answer_call(at),
            1 => self.answer_request(at),
            2 | 3 => {
                // The server says something.
                let mut context = self.context(usize::from(at));
                let plaintext = compose::plaintext(script, &mut context)?;
                self.server_says(at, &plaintext);
            }
            4..=6 => {
                // Another peer says something.
                let how = script.octet()?;
                let meeting = self.meetings.len().checked_sub(1 + usize::from(at & 3));
                let mut context = self.context(usize::from(how));
                if let Some(Meeting { voice: Some(voice), .. }) = meeting.map(|meeting| &self.meetings[meeting]) {
                    context.nonces = voice.nonces.iter().rev().take(8).copied().collect();
                    context.asked = voice.asked.iter().rev().take(4).rev().copied().collect();
                    context.next = voice.next;
                }
                let plaintext = compose::plaintext(script, &mut context)?;
                if let Some(meeting) = meeting {
                    self.other_says(meeting, self.via(how), at >> 4, &plaintext);
                }
            }
            7 => {
                let (flags, candidates) = (script.octet()?, script.octet()?);
                self.introduce(at, flags, candidates);
            }
            8 => {
                let how = script.octet()?;
                self.accept_connect(at, how);
            }
            9 => {
                let how = script.octet()?;
                self.punch(at, how);
            }
            10 => {
                let (place, edit, position) = (script.octet()?, script.octet()?, script.word()?);
                let Some(packet) = self.past.iter().rev().nth(usize::from(place)).cloned() else { return Some(()) };
                let packet = edited(packet, edit, position);
                let via = self.via(at);
                self.heard_from(via, packet.len(), true);
                self.deliver(via, &packet);
            }
            11 => {
                let octets = script.counted()?;
                match self.via(at) {
                    Via::Stream(stream) => {
                        self.proves(Via::Stream(stream));
                        let _ = self.input(Input::Stream { stream, what: StreamInput::Received(octets) });
                    }
                    via => self.deliver(via, octets),
                }
            }
            12 => self.accept_stream(ENDPOINTS[usize::from(at) % ENDPOINTS.len()]),
            13 => self.dial_result(at, script.octet()?),
            14 => {
                if let Some(stream) = self.stream(at) {
                    let error = script.octet()?.checked_sub(1).map(|error| ERRORS[usize::from(error) % ERRORS.len()]);
                    let _ = self.input(Input::Stream { stream, what: StreamInput::Closed(error) });
                }
            }
            15 => {
                if let Some(stream) = self.stream(at)
                    && let octets @ 1.. = self.peer.streams[&stream].unwritten as u32
                {
                    let _ = self.input(Input::Stream { stream, what: StreamInput::Written(octets) });
                }
            }
            16 | 17 => self.pass(at, script.octet()?),
            18 => self.command(at, script)?,
            19 => {
                let _ = self.input(Input::Interfaces(&interfaces(at)));
            }
            _ => self.stray(at, script.octet()?),
        }
        Some(())
    }

    // --- the network ---

    fn via(&self, how: u8) -> Via {
        let place = how & 0x0f;
        match how >> 4 {
            0..=8 => Via::Datagram(endpoint(ENDPOINTS[usize::from(place) % ENDPOINTS.len()])),
            9 => Via::Datagram(endpoint(SERVERS[usize::from(place & 1)])),
            10..=13 => self.stream(place).map_or(Via::Relay, Via::Stream),
            _ => Via::Relay,
        }
    }

    /// A stream, the latest first.
    fn stream(&self, at: u8) -> Option<StreamId> {
        let count = self.peer.streams.len().max(1);
        self.peer.streams.keys().rev().nth(usize::from(at) % count).copied()
    }

    fn deliver(&mut self, via: Via, packet: &[u8]) {
        let payload = Packet::Relayed(Relayed { channel: CHANNEL, packet }).encode();
        let (remote, payload) = match via {
            Via::Datagram(remote) => (remote, packet),
            Via::Relay if packet.is_empty() => return,
            Via::Relay => (endpoint(SERVERS[0]), payload.as_slice()),
            Via::Stream(stream) => {
                if !packet.is_empty() && packet.len() <= 1_200 && self.peer.streams.contains_key(&stream) {
                    let octets = [&frame_header(packet), packet].concat();
                    let _ = self.input(Input::Stream { stream, what: StreamInput::Received(&octets) });
                }
                return;
            }
        };
        let mut udp = self.peer.sockets.iter().filter(|(_, (transport, _))| *transport == Transport::Udp);
        let Some((&socket, _)) = udp.next_back() else { return };
        let _ = self.input(Input::Datagram { socket, local: endpoint(PRIVATE).address(), remote, payload });
    }

    fn accept_stream(&mut self, remote: &str) {
        let mut tcp = self.peer.sockets.iter().filter(|(_, (transport, _))| *transport == Transport::Tcp);
        let Some((&socket, _)) = tcp.next_back() else { return };
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        let what = StreamInput::Accepted { socket, local: endpoint(PRIVATE), remote: endpoint(remote) };
        if self.input(Input::Stream { stream, what }).is_err() {
            assert!(!self.peer.streams.contains_key(&stream), "a stream that is refused is closed");
        }
    }

    fn dial_result(&mut self, at: u8, how: u8) {
        let dials: Vec<_> = self.peer.streams.iter().filter(|(_, wire)| wire.dialling).map(|(id, _)| *id).collect();
        let Some(&stream) = dials.get(usize::from(at) % dials.len().max(1)) else { return };
        let what = match how {
            0..=0x9f => StreamInput::Connected { local: endpoint(PRIVATE) },
            0xa0..=0xaf => StreamInput::Connected { local: self.peer.streams[&stream].remote },
            _ => StreamInput::Closed(Some(ERRORS[usize::from(how) % ERRORS.len()])),
        };
        let _ = self.input(Input::Stream { stream, what });
    }

    fn stray(&mut self, at: u8, place: u8) {
        let socket = SocketId(u32::from(place));
        let (local, error) = (endpoint(PRIVATE), ERRORS[usize::from(place) % ERRORS.len()]);
        let stream = StreamId(u64::from(place));
        let known = self.peer.streams.contains_key(&stream);
        let _ = match at % 6 {
            0 => self.input(Input::Opened { socket, local }),
            1 => self.input(Input::Rejected { socket, remote: local, error }),
            2 if !known => self.input(Input::Stream { stream, what: StreamInput::Written(1) }),
            3 if !known => self.input(Input::Stream { stream, what: StreamInput::Received(&[place]) }),
            4 if self.server.is_some() => {
                let index = self.server.as_ref().map_or(WELCOME, |_| WELCOME);
                let token = if place & 1 == 1 { TOKEN } else { [place; 16] };
                let packet = Packet::Reset(Reset { index, token }).encode();
                self.deliver(Via::Datagram(endpoint(SERVERS[0])), &packet);
                Ok(())
            }
            _ => Ok(()),
        };
    }

    fn pass(&mut self, skip: u8, length: u8) {
        let end = self.peer.now + span(length);
        let mut stops = 0;
        while let Some(due) = self.peer.due(end).filter(|_| skip & 1 == 0 && stops < 100) {
            stops += 1;
            self.peer.now = due;
            assert_eq!(self.input(Input::Timeout), Ok(()));
        }
        self.peer.now = end;
        assert_eq!(self.input(Input::Timeout), Ok(()));
    }

    fn command(&mut self, at: u8, script: &mut Script<'_>) -> Option<()> {
        let place = script.octet()?;
        let session = self.sessions.pick(place);
        let filler = vec![at; usize::from(place) * 64];
        let command = match at % 16 {
            0..=2 => {
                let transport = [None, Some(Transport::Udp), Some(Transport::Tcp), None][usize::from(place >> 2 & 3)];
                PeerCommand::Connect { peer: public(1 + (place & 3)), transport }
            }
            3..=5 => PeerCommand::Send { session, datagram: script.counted()? },
            6 => PeerCommand::Send { session, datagram: &filler },
            7..=8 => PeerCommand::Write { session, octets: script.counted()? },
            9 => PeerCommand::Write { session, octets: &filler },
            10 => PeerCommand::Finish { session },
            11..=12 => PeerCommand::Consume { session, octets: u32::from(script.word()?) << (at >> 4) },
            13..=14 => PeerCommand::Close { session },
            _ if place == 0xa5 => PeerCommand::Shutdown,
            _ => return Some(()),
        };
        let (reply, orders) = self.peer.command(command);
        match (command, &reply) {
            (PeerCommand::Connect { .. }, Ok(PeerReply::Session(session))) => self.sessions.opened(*session),
            (PeerCommand::Write { session, octets }, Ok(PeerReply::Written(count))) => {
                self.sessions.wrote(session, &octets[..*count]);
            }
            _ => {}
        }
        self.heed(orders);
        Some(())
    }

    // --- what the peer does ---

    fn input(&mut self, input: Input<'_>) -> Result<(), Discard> {
        let (result, orders) = self.peer.input(input);
        self.heed(orders);
        result
    }

    fn heed(&mut self, orders: Vec<Order<PeerTold>>) {
        let mut opened = vec![];
        for order in orders {
            match order {
                Order::Open(socket, ..) => opened.push(socket),
                Order::Transmit(_, remote, packet) => {
                    self.probe(remote, packet.len());
                    self.hear(Via::Datagram(remote), &packet);
                }
                Order::Dial(_, _, remote) => self.probe(remote, SYN),
                Order::Event(told) => self.sessions.on(&told),
                _ => {}
            }
        }
        for (stream, frame) in std::mem::take(&mut self.peer.frames) {
            self.hear(Via::Stream(stream), &frame);
        }
        for socket in opened {
            let Some(&(_, port)) = self.peer.sockets.get(&socket) else { continue };
            let local = Endpoint::new(Address::from([0, 0, 0, 0]), port);
            let _ = self.input(Input::Opened { socket, local });
        }
    }

    /// An address that proved nothing gets its budget, and thrice what came from it.
    fn probe(&mut self, remote: Endpoint, octets: usize) {
        if SERVERS.iter().any(|server| endpoint(server).address() == remote.address()) {
            return;
        }
        let now = self.peer.now;
        let probes = self.probes.entry(remote.address()).or_insert_with(|| Probes::new(now));
        if now - probes.since >= PROBE_PERIOD {
            (probes.since, probes.packets, probes.octets) = (now, 0, 0);
        }
        probes.packets += 1;
        probes.octets += octets;
        if probes.proved {
            return;
        }
        assert!(probes.heard > 0 || probes.packets <= MAX_PROBES, "{} packets to {remote}", probes.packets);
        let most = MAX_PROBE_OCTETS as usize + 3 * probes.heard;
        assert!(probes.octets <= most, "{} octets to {remote}, where {} are allowed", probes.octets, most);
    }

    fn heard_from(&mut self, via: Via, octets: usize, replay: bool) {
        if replay {
            // It may be one that proves something.
            return self.proves(via);
        }
        if let Some(remote) = self.remote(via) {
            let now = self.peer.now;
            self.probes.entry(remote.address()).or_insert_with(|| Probes::new(now)).heard += octets;
        }
    }

    fn proves(&mut self, via: Via) {
        if let Some(remote) = self.remote(via) {
            let now = self.peer.now;
            self.probes.entry(remote.address()).or_insert_with(|| Probes::new(now)).proved = true;
        }
    }

    fn remote(&self, via: Via) -> Option<Endpoint> {
        match via {
            Via::Datagram(remote) => Some(remote),
            Via::Stream(stream) => self.peer.streams.get(&stream).map(|wire| wire.remote),
            Via::Relay => None,
        }
    }

    fn hear(&mut self, via: Via, packet: &[u8]) {
        match Packet::decode(packet) {
            Ok(Packet::Discover(_) | Packet::Register(_)) => {
                self.calls.push((via, packet.to_vec()));
            }
            Ok(Packet::Sealed(sealed)) if sealed.index == WELCOME => self.hear_as_server(via, &sealed, packet),
            Ok(Packet::Sealed(sealed)) => self.hear_as_other(&sealed, packet),
            Ok(Packet::Relayed(relayed)) => self.hear(Via::Relay, relayed.packet),
            Ok(Packet::PunchReply(reply)) => {
                self.finish(reply.session, reply.message_2);
                if let Ok(Packet::Sealed(sealed)) = Packet::decode(reply.sealed) {
                    self.hear_as_other(&sealed, reply.sealed);
                }
            }
            Ok(Packet::Punch(punch)) => {
                let meeting = self.meetings.iter_mut().rev().find(|meeting| meeting.session == punch.session);
                if let Some(voice) = meeting.and_then(|meeting| meeting.voice.as_mut()) {
                    voice.nonces.push(punch.nonce);
                }
            }
            other => panic!("{other:?} from a peer"),
        }
    }

    fn hear_as_server(&mut self, via: Via, sealed: &Sealed<'_>, packet: &[u8]) {
        let Some(voice) = &mut self.server else { return };
        let Ok(plaintext) = sealed.open(&voice.keys.receive) else { return };
        self.counters.on(voice.keys.receive, sealed.counter, packet);
        let mut answers = vec![];
        for message in messages(&plaintext) {
            match message {
                Message::Request(id, request) => {
                    voice.asked.push(id);
                    self.requests.push((via, id, request));
                }
                Message::Answer(_, Reply::Answer(answer)) => answers.push(answer.message_2),
                Message::Answer(..) => {}
                other => panic!("{other:?} from a peer to its server"),
            }
        }
        for message_2 in answers {
            for session in self.meetings.iter().map(|meeting| meeting.session).collect::<Vec<_>>() {
                self.finish(session, &message_2);
            }
        }
    }

    fn hear_as_other(&mut self, sealed: &Sealed<'_>, packet: &[u8]) {
        let Some(meeting) = self.meetings.iter_mut().find(|meeting| meeting.index == sealed.index) else { return };
        let Some(voice) = &mut meeting.voice else { return };
        let Ok(plaintext) = sealed.open(&voice.keys.receive) else { return };
        self.counters.on(voice.keys.receive, sealed.counter, packet);
        for message in messages(&plaintext) {
            if let Message::Request(id, request) = message {
                voice.asked.push(id);
                if let Request::PathCheck(check) = request {
                    voice.nonces.push(check.nonce);
                }
            }
        }
    }

    /// The peer's message 2 reached the other peer, the initiator.
    fn finish(&mut self, session: SessionId, message_2: &[u8]) {
        let waiting = |meeting: &&mut Meeting| meeting.session == session && meeting.voice.is_none();
        let Some(meeting) = self.meetings.iter_mut().rev().find(waiting) else { return };
        let Some((_, recipe)) = &meeting.written else { return };
        let (x25519, other) = (curve(), public(OWN));
        let prologue = kk(&session, &public(meeting.secret), &other, &List::from_first([1]));
        let handshake = Handshake {
            pattern: Pattern::Kk,
            x25519: &x25519,
            secret: &[meeting.secret; 32],
            remote: Some(&other),
            prologue: &prologue,
        };
        let Ok((payload, keys)) = handshake.finish(recipe, message_2) else { return };
        let acceptance: Acceptance = decode(&payload).expect("the peer's payload decodes");
        meeting.voice = Some(Voice::new(keys, acceptance.index));
    }

    fn context(&self, at: usize) -> Context {
        let server = self.server.as_ref();
        Context {
            peers: (1..=4).map(public).collect(),
            sessions: self
                .meetings
                .iter()
                .rev()
                .take(3)
                .map(|meeting| meeting.session)
                .chain([[9; 8], [at as u8; 8]])
                .collect(),
            endpoints: ENDPOINTS.iter().map(|text| endpoint(text)).collect(),
            channels: vec![CHANNEL, ChannelId([1; 8])],
            nonces: vec![[0; 8]],
            asked: server.map_or_else(Vec::new, |voice| voice.asked.iter().rev().take(4).rev().copied().collect()),
            next: server.map_or(0, |voice| voice.next) + 1_000,
            noise: [vec![6; 96], self.meetings.last().map_or_else(Vec::new, |meeting| meeting.message_2.clone())],
        }
    }

    fn tables(&self) {
        let snapshot = self.peer.engine.snapshot();
        assert!(snapshot.sessions.len() <= MAX_SESSIONS);
        assert!(snapshot.probed <= MAX_PROBED && snapshot.early <= MAX_EARLY_PUNCHES);
        assert!(snapshot.sessions.iter().all(|session| session.paths.len() <= MAX_PATHS));
        assert_eq!(snapshot.streams, self.peer.streams.len(), "the driver and the peer have the same streams");
        let own = self.peer.streams.keys().filter(|stream| stream.0 % 2 == 1).count();
        assert!(own <= MAX_UNPROVED_STREAMS + snapshot.sessions.len() * MAX_PATHS);
        assert_eq!(snapshot.deadline, self.peer.deadline);
        let mut handles: Vec<_> = snapshot.sessions.iter().map(|session| session.handle).collect();
        handles.dedup();
        assert_eq!(handles.len(), snapshot.sessions.len());
    }
}

impl Probes {
    const fn new(since: Instant) -> Self {
        Self { since, packets: 0, octets: 0, heard: 0, proved: false }
    }
}

fn messages(mut plaintext: &[u8]) -> Vec<Message<'_>> {
    let mut found = vec![];
    while !plaintext.is_empty() {
        found.push(Message::decode(&mut plaintext).expect("the peer says what decodes"));
    }
    found
}

fn interfaces(at: u8) -> Vec<Interface> {
    let all = ["10.0.0.1", "192.168.7.1", "2001:db8::1", "10.0.0.2"];
    let address = |text: &&str| text.parse().expect("an address");
    let chosen = all.iter().enumerate().filter(|(bit, _)| (at ^ 1) >> bit & 1 == 1);
    chosen.map(|(_, text)| Interface { address: address(text), prefix: 24 }).collect()
}

/// Endpoints out of the table, from one place on.
fn endpoints(at: u8) -> Vec<Endpoint> {
    let count = usize::from(at >> 4 & 7) + 1;
    ENDPOINTS.iter().cycle().skip(usize::from(at & 0x0f)).take(count).map(|text| endpoint(text)).collect()
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

const PUBLIC: &str = "155.99.25.11:62000";
const PRIVATE: &str = "10.0.0.1:4321";
const SERVERS: [&str; 2] = ["18.181.0.31:4653", "18.181.0.31:4654"];
const CHANNEL: ChannelId = ChannelId([0xc4; 8]);
/// Where other peers, and strangers, send from and claim to be.
const ENDPOINTS: [&str; 16] = [
    "138.76.29.7:31000",
    "138.76.29.7:31001",
    "10.0.0.9:4321",
    "10.1.1.3:4321",
    "203.0.113.66:1",
    "203.0.113.67:2",
    "155.99.25.11:62000",
    "155.99.25.11:62005",
    "10.0.0.1:4321",
    "18.181.0.31:4653",
    "127.0.0.1:4321",
    "224.0.0.1:7",
    "203.0.113.68:0",
    "[2001:db8::7]:31000",
    "255.255.255.255:9",
    "0.0.0.0:1",
];
const ERRORS: [NetError; 8] = [
    NetError::Refused,
    NetError::Reset,
    NetError::TimedOut,
    NetError::Unreachable,
    NetError::AddressNotAvailable,
    NetError::AddressInUse,
    NetError::NotPermitted,
    NetError::Other,
];
/// What a SYN counts in the budget.
const SYN: usize = 60;
const MAX_STEPS: usize = 400;

/// Both transports register.
pub(crate) const REGISTERS: [u8; 20] = [0, 0, 0, 0, 1, 0, 0, 0, 13, 0, 0, 0, 0, 1, 0, 13, 0, 0, 0, 0];
/// The peer asks for another and is introduced.
pub(crate) const CONNECTS: [u8; 5] = [18, 0, 1, 1, 0];
/// The other peer answers, and a path over UDP is proved.
pub(crate) const ANSWERED: [u8; 11] = [8, 0, 0, 16, 0, 0x1a, 4, 0, 0, 1, 0];
/// Another peer asks, and a path over UDP is proved.
pub(crate) const INTRODUCED: [u8; 9] = [7, 0, 1, 0, 4, 0, 0, 1, 0];
/// The same over TCP.
pub(crate) const STREAMED: [u8; 12] = [7, 0, 2, 0, 13, 0, 0, 4, 0, 0xa0, 1, 0];
