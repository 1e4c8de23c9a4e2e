//! The peer engine against a scripted server and scripted other peers, all of whom hold valid keys.
//!
//! The server half answers what it is asked when the script says so, as a server would or with a twist, and
//! says whatever the script composes, sealed. The other peers do their half of Noise KK in either role and
//! then say whatever the script composes, from any endpoint, on any stream, or by the relay.
//!
//! Beyond [`checked`](crate::checked) and [`watch`](crate::watch): an address that proved nothing gets its
//! probe budget and no more, where a period of the budget begins with its first packet; every table is
//! within its bound; what the peer says decodes.

mod network;
mod voices;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pinhole_proto::constants::{MAX_EARLY_PUNCHES, MAX_PATHS, MAX_PROBED, MAX_SESSIONS, MAX_UNPROVED_STREAMS};
use pinhole_proto::peer::{Accept, PathState, Peer, PeerConfig, RelayPolicy, StrategySet};
use pinhole_proto::wire::message::{Request, RequestId};
use pinhole_proto::wire::{ChannelId, Index};
use pinhole_proto::{Address, Duration, Endpoint, Input, Instant, Interface, NetError, StreamId, StreamInput};

use crate::bytes::Script;
use crate::checked::Checked;
use crate::compose::{self, Context};
use crate::curve::{curve, public};
use crate::server::edited;
use crate::watch::{Counters, Sessions};
use voices::{Meeting, Voice};

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
