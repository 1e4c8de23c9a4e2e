//! An engine with the clauses of its contract around it (`pinhole_proto::engine`).
//!
//! After every input: everything queued is returned before a deadline (3), which is not in the past, and
//! after a timeout in the future (5);
//! what is ordered makes sense (streams and sockets that exist, ids used once, credit, sizes); every packet
//! that leaves decodes. On a sample: an `Err` left the state that a timeout leaves, and the future too (2);
//! a timeout before the deadline changes nothing (4); a timeout at the deadline moves it (5).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use pinhole_proto::constants::MAX_PACKET;
use pinhole_proto::engine::MAX_UNWRITTEN;
use pinhole_proto::peer::{PathInfo, PathState, Peer, PeerEvent, PeerSnapshot, SessionHandle};
use pinhole_proto::server::{RateTables, Recipient, Server, ServerEvent, ServerSnapshot, UnregisterReason};
use pinhole_proto::wire::{Deframer, Packet};
use pinhole_proto::{
    Address, CommandError, Discard, Duration, Endpoint, Engine, Input, Instant, Output, PeerId, SocketId, StreamId,
    StreamInput, Transport,
};

/// An engine that can be looked at.
pub trait Subject: Engine + Clone {
    /// What is kept of an event.
    type Told: Clone + Debug + PartialEq;
    /// What is to be equal after an ignored input.
    type State: Debug + PartialEq;
    /// Keeps an event.
    fn told(event: Self::Event<'_>) -> Self::Told;
    /// The state, without discard counters, rates, and the record of early punches.
    fn state(&self) -> Self::State;
    /// The stream that the engine gave away with an event.
    fn given_away(_told: &Self::Told) -> Option<StreamId> {
        None
    }
}

/// What a server told.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerTold {
    /// A registration or a binding took effect, and since when the registration counts.
    Registered(PeerId, Transport, Endpoint, Instant),
    /// A registration ended, and not because the peer registered anew.
    Unregistered(PeerId),
    /// A message for another engine.
    Forward(Recipient, Vec<u8>),
    /// A datagram for the engine of a shard.
    Misdirected(u8, SocketId, Option<Address>, Endpoint, Vec<u8>),
    /// A stream for the engine of a shard, with what arrived on it.
    Misplaced(u8, SocketId, StreamId, Vec<u8>),
    /// Anything else, in words.
    Other(String),
}

/// What a peer told.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerTold {
    /// Registered over this transport.
    Online(Transport),
    /// A session was introduced.
    Introduced(SessionHandle),
    /// A session was established with a peer.
    Established(SessionHandle, PeerId),
    /// A path was heard or proved.
    Path(SessionHandle, PathState, PathInfo),
    /// A datagram arrived.
    Datagram(SessionHandle, Vec<u8>),
    /// Octets of the byte stream arrived.
    Stream(SessionHandle, Vec<u8>),
    /// The other side's byte stream ended.
    Finished(SessionHandle),
    /// The byte stream was delivered up to here.
    Acknowledged(SessionHandle, u64),
    /// Anything else about a session.
    Session(SessionHandle, &'static str),
    /// A session ended.
    Closed(SessionHandle),
    /// The engine ended.
    Stopped,
    /// Anything else.
    Other,
}

impl Subject for Server {
    type Told = ServerTold;
    type State = ServerSnapshot;

    fn told(event: ServerEvent<'_>) -> ServerTold {
        match event {
            ServerEvent::Registered { peer, transport, public, since } => {
                ServerTold::Registered(peer, transport, public, since)
            }
            ServerEvent::Unregistered { peer, reason } if reason != UnregisterReason::Replaced => {
                ServerTold::Unregistered(peer)
            }
            ServerEvent::Forward { to, payload, .. } => ServerTold::Forward(to, payload.to_vec()),
            ServerEvent::Misdirected { shard, socket, local, remote, payload } => {
                ServerTold::Misdirected(shard, socket, local, remote, payload.to_vec())
            }
            ServerEvent::Misplaced { shard, stream, socket, octets } => {
                ServerTold::Misplaced(shard, socket, stream, octets.to_vec())
            }
            event => ServerTold::Other(format!("{event:?}")),
        }
    }

    fn state(&self) -> ServerSnapshot {
        let mut snapshot = self.snapshot();
        snapshot.discards.clear();
        snapshot.rates = RateTables::default();
        snapshot
    }

    fn given_away(told: &ServerTold) -> Option<StreamId> {
        match told {
            ServerTold::Misplaced(_, _, stream, _) => Some(*stream),
            _ => None,
        }
    }
}

impl Subject for Peer {
    type Told = PeerTold;
    type State = PeerSnapshot;

    fn told(event: PeerEvent<'_>) -> PeerTold {
        match event {
            PeerEvent::Online { transport, .. } => PeerTold::Online(transport),
            PeerEvent::Introduced { session, .. } => PeerTold::Introduced(session),
            PeerEvent::Established { session, peer, .. } => PeerTold::Established(session, peer),
            PeerEvent::Path { session, state, path } => PeerTold::Path(session, state, path),
            PeerEvent::Datagram { session, octets } => PeerTold::Datagram(session, octets.to_vec()),
            PeerEvent::Stream { session, octets } => PeerTold::Stream(session, octets.to_vec()),
            PeerEvent::Finished { session } => PeerTold::Finished(session),
            PeerEvent::Acknowledged { session, offset } => PeerTold::Acknowledged(session, offset),
            PeerEvent::Selected { session, .. } => PeerTold::Session(session, "Selected"),
            PeerEvent::PathLost { session, .. } => PeerTold::Session(session, "PathLost"),
            PeerEvent::Writable { session } => PeerTold::Session(session, "Writable"),
            PeerEvent::Attempt { session, .. } => PeerTold::Session(session, "Attempt"),
            PeerEvent::NotDirect { session, .. } => PeerTold::Session(session, "NotDirect"),
            PeerEvent::Withdrawn { session, .. } => PeerTold::Session(session, "Withdrawn"),
            PeerEvent::Closed { session, .. } => PeerTold::Closed(session),
            PeerEvent::Stopped => PeerTold::Stopped,
            PeerEvent::ServerKey(_)
            | PeerEvent::Offline { .. }
            | PeerEvent::ServerUnreachable
            | PeerEvent::Replaced
            | PeerEvent::ServerRefused(_) => PeerTold::Other,
        }
    }

    fn state(&self) -> PeerSnapshot {
        let mut snapshot = self.snapshot();
        snapshot.discards.clear();
        snapshot.early = 0;
        snapshot
    }
}

/// An output that can be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Order<T> {
    /// Open a port.
    Open(SocketId, Transport, u16),
    /// Close a port.
    Shut(SocketId),
    /// Send a datagram.
    Transmit(SocketId, Endpoint, Vec<u8>),
    /// Connect.
    Dial(StreamId, SocketId, Endpoint),
    /// Write to a stream.
    Write(StreamId, Vec<u8>),
    /// Read from a stream, or not.
    Read(StreamId, bool),
    /// End a stream.
    Close(StreamId),
    /// Tell the application.
    Event(T),
}

/// What a command answered.
pub type Reply<E> = Result<<E as Engine>::Reply, CommandError>;

/// What the driver's side knows of a stream.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The other end.
    pub remote: Endpoint,
    /// Dialled, and not connected yet.
    pub dialling: bool,
    /// Octets that were written and not credited.
    pub unwritten: usize,
    deframer: Deframer,
}

/// An engine, and what a driver knows about it.
#[derive(Clone)]
pub struct Checked<E: Subject> {
    /// The engine.
    pub engine: E,
    /// The clock.
    pub now: Instant,
    /// The next deadline.
    pub deadline: Option<Instant>,
    /// Open ports.
    pub sockets: BTreeMap<SocketId, (Transport, u16)>,
    /// Open streams.
    pub streams: BTreeMap<StreamId, Wire>,
    /// Packets on streams, taken out of their frames, the oldest first.
    pub frames: Vec<(StreamId, Vec<u8>)>,
    used: BTreeSet<StreamId>,
    /// Where datagrams came from.
    sources: BTreeSet<Endpoint>,
    next_socket: u32,
    steps: u32,
    /// One step in so many is followed by the expensive checks.
    pub sample: u32,
}

impl<E: Subject> Checked<E> {
    /// Drains a new engine.
    pub fn new(engine: E, now: Instant) -> (Self, Vec<Order<E::Told>>) {
        let mut checked = Self {
            engine,
            now,
            deadline: None,
            sockets: BTreeMap::new(),
            streams: BTreeMap::new(),
            frames: Vec::new(),
            used: BTreeSet::new(),
            sources: BTreeSet::new(),
            next_socket: 0,
            steps: 0,
            sample: SAMPLE,
        };
        let orders = checked.drain();
        (checked, orders)
    }

    /// One input, and what it led to.
    pub fn input(&mut self, input: Input<'_>) -> (Result<(), Discard>, Vec<Order<E::Told>>) {
        self.steps += 1;
        let sampled = self.steps.is_multiple_of(self.sample);
        let before = sampled.then(|| self.engine.clone());
        self.note(input);
        let result = self.engine.handle_input(self.now, input);
        let orders = self.drain();
        let late = self.deadline.is_none_or(|due| due > self.now);
        assert!(late || input != Input::Timeout, "the deadline {:?} after a timeout at {:?}", self.deadline, self.now);
        if let (Err(discard), Some(before)) = (result, before) {
            self.changed_nothing(before, input, discard, &orders);
        } else if sampled {
            self.timers();
        }
        (result, orders)
    }

    /// One command, and what it led to.
    pub fn command(&mut self, command: E::Command<'_>) -> (Reply<E>, Vec<Order<E::Told>>) {
        self.steps += 1;
        let before = self.steps.is_multiple_of(self.sample.min(SAMPLE)).then(|| self.engine.state());
        let result = self.engine.handle_command(self.now, command);
        let orders = self.drain();
        if let Err(error) = &result {
            assert!(before.is_none_or(|before| before == self.engine.state()), "refused with {error:?}");
            assert_eq!(orders, [], "refused with {error:?}");
        }
        (result, orders)
    }

    /// The moment of the next deadline, if it is not after `end`.
    pub fn due(&self, end: Instant) -> Option<Instant> {
        self.deadline.filter(|&due| due <= end).map(|due| due.max(self.now))
    }

    fn note(&mut self, input: Input<'_>) {
        let (stream, what) = match input {
            Input::Stream { stream, what } => (stream, what),
            Input::Datagram { remote, .. } => {
                self.sources.insert(remote);
                return;
            }
            _ => return,
        };
        match what {
            StreamInput::Accepted { remote, .. } => {
                assert!(self.used.insert(stream), "the harness uses a stream's name once");
                self.streams.insert(stream, Wire { remote, ..Wire::new(remote) });
            }
            StreamInput::Connected { .. } => {
                if let Some(wire) = self.streams.get_mut(&stream) {
                    wire.dialling = false;
                }
            }
            StreamInput::Written(octets) => {
                if let Some(wire) = self.streams.get_mut(&stream) {
                    wire.unwritten =
                        wire.unwritten.checked_sub(octets as usize).expect("the harness returns credit once");
                }
            }
            StreamInput::Closed(_) => {
                self.streams.remove(&stream);
            }
            StreamInput::Received(_) => {}
        }
    }

    fn drain(&mut self) -> Vec<Order<E::Told>> {
        let (orders, deadline) = drain(&mut self.engine);
        self.deadline = deadline;
        assert!(deadline.is_none_or(|due| due >= self.now), "the deadline {deadline:?} at {:?}", self.now);
        for order in &orders {
            self.carry_out(order);
        }
        let again = drain(&mut self.engine);
        assert!(again == (vec![], deadline), "everything is returned before a deadline");
        orders
    }

    fn carry_out(&mut self, order: &Order<E::Told>) {
        match order {
            &Order::Open(socket, transport, port) => {
                assert_eq!(socket.0, self.next_socket, "sockets are named in order");
                self.next_socket += 1;
                let port = if port == 0 { 30_000 + socket.0 as u16 } else { port };
                self.sockets.insert(socket, (transport, port));
            }
            Order::Shut(socket) => assert!(self.sockets.remove(socket).is_some(), "shuts {socket:?}, which is open"),
            Order::Transmit(socket, remote, payload) => {
                let open = self.sockets.get(socket).map(|(transport, _)| *transport);
                assert_eq!(open, Some(Transport::Udp), "sends from {socket:?}");
                let answers = self.sources.contains(remote);
                assert!(remote.is_candidate() || answers, "sends to {remote}, where nothing came from");
                sound(payload);
            }
            &Order::Dial(stream, from, remote) => {
                assert_eq!(self.sockets.get(&from).map(|(transport, _)| *transport), Some(Transport::Tcp));
                assert!(stream.0 % 2 == 0 && self.used.insert(stream), "{stream:?} is fresh");
                assert!(remote.is_candidate(), "dials {remote}");
                self.streams.insert(stream, Wire { dialling: true, ..Wire::new(remote) });
            }
            Order::Write(stream, octets) => {
                let wire = self.streams.get_mut(stream).expect("writes to a stream that is open");
                assert!(!wire.dialling, "writes to {stream:?}, which is connected");
                wire.unwritten += octets.len();
                assert!(wire.unwritten <= MAX_UNWRITTEN, "{} octets without credit", wire.unwritten);
                let mut rest = octets.as_slice();
                while let Some(frame) = wire.deframer.next(&mut rest).expect("writes frames") {
                    sound(&frame);
                    self.frames.push((*stream, frame));
                }
            }
            Order::Read(stream, _) => assert!(self.streams.contains_key(stream), "reads {stream:?}, which is open"),
            Order::Close(stream) => {
                assert!(self.streams.remove(stream).is_some(), "closes {stream:?}, which is open");
            }
            Order::Event(told) => {
                if let Some(stream) = E::given_away(told) {
                    assert!(self.streams.remove(&stream).is_some(), "gives {stream:?} away, which is open");
                }
            }
        }
    }

    /// Clause 2. A refused stream is closed; that is the one thing ordered.
    fn changed_nothing(&self, mut before: E, input: Input<'_>, discard: Discard, orders: &[Order<E::Told>]) {
        let mut after = self.engine.clone();
        assert_eq!(before.handle_input(self.now, Input::Timeout), Ok(()));
        let (expected, _) = drain(&mut before);
        let refused = match input {
            Input::Stream { stream, what: StreamInput::Accepted { .. } } => Some(Order::Close(stream)),
            _ => None,
        };
        // What answers an ignored packet by the specification (a cookie, a `Reset`) is no state.
        let answers = matches!(discard, Discard::CookieInvalid | Discard::IndexUnknown);
        let rest: Vec<_> = orders
            .iter()
            .filter(|order| {
                Some(*order) != refused.as_ref()
                    && !(answers && matches!(order, Order::Transmit(..) | Order::Write(..)))
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .filter(|order| !(answers && matches!(order, Order::Transmit(..) | Order::Write(..))))
            .collect();
        assert_eq!(rest, expected, "{discard:?} on {input:?}");
        if !answers {
            assert_eq!(before.state(), after.state(), "{discard:?} on {input:?}");
        }
        for _ in 0..3 {
            let (_, deadline) = drain(&mut after);
            let Some(due) = deadline else { return };
            let due = due.max(self.now);
            assert_eq!(
                (before.handle_input(due, Input::Timeout), after.handle_input(due, Input::Timeout)),
                (Ok(()), Ok(()))
            );
            assert_eq!(drain(&mut before), drain(&mut after), "{discard:?} on {input:?}, later");
        }
    }

    /// Clauses 4 and 5.
    fn timers(&self) {
        let Some(due) = self.deadline.filter(|due| *due > self.now) else { return };
        let mut early = self.engine.clone();
        let moment = Instant::from_micros(due.as_micros() - 1);
        assert_eq!(early.handle_input(moment, Input::Timeout), Ok(()));
        assert_eq!(drain(&mut early), (vec![], Some(due)), "a timeout before the deadline");
        assert_eq!(early.state(), self.engine.state(), "a timeout before the deadline");
        let mut late = self.engine.clone();
        assert_eq!(late.handle_input(due, Input::Timeout), Ok(()));
        let (_, next) = drain(&mut late);
        assert!(next.is_none_or(|next| next > due), "{next:?} after {due:?}");
    }
}

impl Wire {
    fn new(remote: Endpoint) -> Self {
        Self { remote, dialling: false, unwritten: 0, deframer: Deframer::default() }
    }
}

/// What engines send decodes, and decodes only one way.
fn sound(packet: &[u8]) {
    assert!(packet.len() <= MAX_PACKET);
    let decoded = Packet::decode(packet).expect("what an engine sends is valid");
    assert_eq!(decoded.encode(), packet);
}

fn drain<E: Subject>(engine: &mut E) -> (Vec<Order<E::Told>>, Option<Instant>) {
    let mut orders = Vec::new();
    loop {
        orders.push(match engine.poll_output() {
            Output::Open { socket, transport, port, .. } => Order::Open(socket, transport, port),
            Output::Shut { socket } => Order::Shut(socket),
            Output::Transmit { socket, remote, payload, .. } => Order::Transmit(socket, remote, payload.to_vec()),
            Output::Dial { stream, from, remote, .. } => Order::Dial(stream, from, remote),
            Output::Write { stream, octets } => Order::Write(stream, octets.to_vec()),
            Output::Read { stream, on } => Order::Read(stream, on),
            Output::Close { stream, .. } => Order::Close(stream),
            Output::Event(event) => Order::Event(E::told(event)),
            Output::Wait(deadline) => return (orders, deadline),
        });
    }
}

/// How a script says how long to wait: 16 steps, from a tenth of a millisecond to about an hour.
#[must_use]
pub fn span(octet: u8) -> Duration {
    Duration::from_micros(100 << (octet % 16)) * (1 + u32::from(octet >> 4)) / 2
}

/// One step in so many is followed by the expensive checks, where the target does not say otherwise.
const SAMPLE: u32 = 4;
