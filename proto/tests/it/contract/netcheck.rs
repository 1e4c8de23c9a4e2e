//! The clauses of the engine's contract, held by a check. Inputs are those of whole checks, mutated.

use std::collections::BTreeMap;

use pinhole_proto::constants::MAX_PROBES;
use pinhole_proto::netcheck::{NetCheck, NetCheckCommand, NetCheckConfig, NetCheckEvent, NetCheckSnapshot};
use pinhole_proto::noise::{Dalek, public_key};
use pinhole_proto::wire::code::DialBack;
use pinhole_proto::wire::{Deframer, Discover, Discovered, List, Packet, frame_header};
use pinhole_proto::{
    Address, CommandError, Discard, Duration, Endpoint, Engine, Input, Instant, Interface, NetError, SocketId,
    StreamId, StreamInput, Transport,
};

use super::{Run, Subject, mutate_inputs, repeat, watch_deadlines};
use crate::world::{Kept, Order, Told};

const MAIN: &str = "18.181.0.31:4653";
const OTHER_PORT: &str = "18.181.0.31:4654";
const OTHER_ADDRESS: &str = "18.181.0.32:4653";
const PRIVATE: &str = "10.0.0.1:0";
const PUBLIC: &str = "155.99.25.11:0";
/// What the NAT adds to a port.
const SHIFT: u16 = 1_000;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

/// A check, its NAT and its server: one mapping for all, the filter by address and port, a hairpin.
struct Scene {
    now: Instant,
    initial: NetCheck,
    check: NetCheck,
    queue: BTreeMap<(Instant, u64), Kept>,
    count: u64,
    deadline: Option<Instant>,
    sockets: BTreeMap<SocketId, (Transport, u16)>,
    /// Where each port has sent.
    sent: Vec<(u16, Endpoint, Vec<u8>)>,
    /// The port that a stream belongs to, and its remote endpoint or the stream at the other end.
    streams: BTreeMap<StreamId, (u16, Result<Endpoint, StreamId>)>,
    accepted: u64,
    inputs: Vec<(Instant, Kept)>,
    events: Vec<serde_json::Value>,
}

impl Scene {
    fn new(seed: u8, udp_works: bool) -> Self {
        Self::with_silence(seed, udp_works, None)
    }

    fn with_silence(seed: u8, udp_works: bool, longest_silence: Option<Duration>) -> Self {
        let config = NetCheckConfig { server: endpoint(MAIN), udp: true, tcp: true, port: 4321, longest_silence };
        let check = NetCheck::new(&config, [seed; 32], Instant::ZERO);
        let mut scene = Self {
            now: Instant::ZERO,
            initial: check.clone(),
            check,
            queue: BTreeMap::new(),
            count: 0,
            deadline: None,
            sockets: BTreeMap::new(),
            sent: vec![],
            streams: BTreeMap::new(),
            accepted: 1,
            inputs: vec![],
            events: vec![],
        };
        scene.input(Kept::Interfaces(vec![Interface { address: endpoint(PRIVATE).address(), prefix: 24 }]));
        for _ in 0..10_000 {
            let next = scene.queue.first_key_value().map(|(&(at, _), _)| at);
            scene.now = match (next, scene.deadline) {
                (Some(at), Some(deadline)) => at.min(deadline),
                (Some(at), None) | (None, Some(at)) => at,
                (None, None) => return scene,
            };
            match scene.queue.first_entry().filter(|entry| entry.key().0 <= scene.now) {
                Some(entry) => {
                    let kept = entry.remove();
                    if udp_works || !matches!(kept, Kept::Datagram(..)) {
                        scene.input(kept);
                    }
                }
                None => scene.input(Kept::Timeout),
            }
        }
        panic!("it ends")
    }

    fn input(&mut self, kept: Kept) {
        self.inputs.push((self.now, kept.clone()));
        // What is late is refused, and that is right.
        let _ = self.check.handle_input(self.now, kept.as_input());
        let orders;
        (orders, self.deadline) = self.check.drain();
        for order in orders {
            self.carry_out(order);
        }
    }

    fn later(&mut self, kept: Kept) {
        self.count += 1;
        self.queue.insert((self.now + Duration::from_millis(50), self.count), kept);
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Open(socket, transport, port) => {
                let port = if port == 0 { 40_000 + socket.0 as u16 } else { port };
                self.sockets.insert(socket, (transport, port));
                self.later(Kept::Opened(socket, endpoint("0.0.0.0:0").with_port(port)));
            }
            Order::Transmit(socket, remote, payload) => {
                let (_, port) = self.sockets[&socket];
                self.sent.push((port, remote, payload.clone()));
                let here = endpoint(PRIVATE).address();
                let public = endpoint(PUBLIC).with_port(port + SHIFT);
                if remote.address() == public.address() {
                    if let Some((to, at)) = self.behind(remote, Transport::Udp)
                        && self.sent.iter().any(|(from, to, _)| (*from, *to) == (at, public))
                    {
                        self.later(Kept::Datagram(to, here, public, payload));
                    }
                } else if let Some((from, answer)) = answer(remote, public, &payload, None)
                    && self.sent.iter().any(|(of, to, _)| (*of, *to) == (port, from))
                {
                    self.later(Kept::Datagram(socket, here, from, answer));
                }
            }
            Order::Dial(stream, from, remote) => {
                let (_, port) = self.sockets[&from];
                let public = endpoint(PUBLIC).with_port(port + SHIFT);
                let local = endpoint(PRIVATE).with_port(port);
                if remote.address() != public.address() {
                    self.streams.insert(stream, (port, Ok(remote)));
                    self.later(Kept::Connected(stream, local));
                } else if let Some((to, at)) = self.behind(remote, Transport::Tcp) {
                    let id = self.accept(at, Err(stream));
                    self.streams.insert(stream, (port, Err(id)));
                    self.later(Kept::Accepted(id, to, endpoint(PRIVATE).with_port(at), public));
                    self.later(Kept::Connected(stream, local));
                }
            }
            Order::Write(stream, octets) => match self.streams.get(&stream) {
                Some(&(_, Err(other))) => self.later(Kept::Received(other, octets)),
                Some(&(port, Ok(remote))) => self.serve(stream, port, remote, &octets),
                None => {}
            },
            Order::Event(event, ..) => self.events.push(event),
            Order::Shut(_) | Order::Close(_) => {}
        }
    }

    /// The server's half of a stream: asked for its other port it is refused, for its other address let in.
    fn serve(&mut self, stream: StreamId, port: u16, remote: Endpoint, mut octets: &[u8]) {
        let public = endpoint(PUBLIC).with_port(port + SHIFT);
        let packet = Deframer::default().next(&mut octets).unwrap().unwrap();
        let Ok(Packet::Discover(Discover { reply_from, .. })) = Packet::decode(&packet) else { panic!("{packet:?}") };
        let code = match reply_from.0 {
            0 => None,
            1 => Some(DialBack::REFUSED),
            _ => Some(DialBack::CONNECTED),
        };
        let framed = |packet: Vec<u8>| [&frame_header(&packet)[..], &packet].concat();
        if code == Some(DialBack::CONNECTED) {
            let (&socket, _) = self.sockets.iter().find(|(_, open)| **open == (Transport::Tcp, port)).unwrap();
            let from = endpoint(OTHER_ADDRESS);
            let id = self.accept(port, Ok(from));
            self.later(Kept::Accepted(id, socket, endpoint(PRIVATE).with_port(port), from));
            let (_, said) = answer(remote, public, &packet, None).unwrap();
            self.later(Kept::Received(id, framed(said)));
        }
        let (_, said) = answer(remote, public, &packet, code).unwrap();
        self.later(Kept::Received(stream, framed(said)));
    }

    fn accept(&mut self, port: u16, other: Result<Endpoint, StreamId>) -> StreamId {
        let id = StreamId(self.accepted);
        self.accepted += 2;
        self.streams.insert(id, (port, other));
        id
    }

    fn behind(&self, public: Endpoint, transport: Transport) -> Option<(SocketId, u16)> {
        let wanted = (transport, public.port() - SHIFT);
        self.sockets.iter().find(|(_, open)| **open == wanted).map(|(&socket, &(_, port))| (socket, port))
    }

    fn report(&self) -> &serde_json::Value {
        &self.events.last().unwrap()["finished"]
    }
}

/// What the server answers, and from where.
fn answer(
    asked: Endpoint,
    public: Endpoint,
    packet: &[u8],
    dial_back: Option<DialBack>,
) -> Option<(Endpoint, Vec<u8>)> {
    let Ok(Packet::Discover(Discover { transaction, reply_from, .. })) = Packet::decode(packet) else { return None };
    let from = match reply_from.0 {
        1 => endpoint(OTHER_PORT),
        2 => endpoint(OTHER_ADDRESS),
        _ => asked,
    };
    let discovered = Packet::Discovered(Discovered {
        transaction,
        versions: List::from_first([1]),
        observed: public,
        alternates: List::from_first([OTHER_PORT, OTHER_ADDRESS].map(endpoint)),
        keys: List::from_first([public_key(&Dalek, &[9; 32])]),
        cookie: [0; 16],
        dial_back,
    });
    Some((from, discovered.encode()))
}

impl Subject for NetCheck {
    type State = NetCheckSnapshot;

    fn state(&self) -> NetCheckSnapshot {
        self.snapshot()
    }

    fn told(event: NetCheckEvent) -> Told {
        (serde_json::to_value(event).unwrap(), None, None)
    }

    /// A stream that is not wanted is reset; nothing is kept of it.
    fn may_answer(order: &Order, ignored: &Kept) -> bool {
        matches!((order, ignored), (Order::Close(closed), Kept::Accepted(stream, ..)) if closed == stream)
    }
}

fn scenes() -> [Scene; 3] {
    [Scene::new(1, true), Scene::new(2, false), Scene::with_silence(7, true, Some(Duration::from_secs(4)))]
}

fn runs() -> Vec<Run<NetCheck>> {
    scenes().into_iter().map(|scene| Run { initial: scene.initial, inputs: scene.inputs }).collect()
}

#[test]
fn a_check_over_both_transports_ends_with_what_it_saw() {
    let [open, blocked, silent] = scenes();
    let value = |report: &serde_json::Value, half: &str, name: &str| report[half][name]["value"].clone();
    let report = open.report();
    for half in ["udp", "tcp"] {
        assert_eq!(value(report, half, "mapping"), "endpoint-independent");
        assert_eq!(value(report, half, "hairpin"), "external-source");
        assert_eq!(value(report, half, "port_preservation"), false);
        assert_eq!(report[half]["public"], "155.99.25.11:5321");
        assert_eq!(report[half]["private"], "10.0.0.1:4321");
    }
    assert_eq!(value(report, "udp", "filtering"), "address-and-port-dependent");
    // By the port alone: RFC 4787 has no word for it.
    assert_eq!(value(report, "tcp", "filtering"), serde_json::Value::Null);
    assert_eq!(value(report, "tcp", "unsolicited_syn"), "refused");
    // This NAT forgets nothing.
    let idle = &silent.report()["udp"]["idle_timeout"];
    assert_eq!((&idle["value"]["at_least_ms"], &idle["certainty"]), (&4_000.into(), &"proved".into()));
    assert_eq!(value(silent.report(), "udp", "idle_timeout")["at_most_ms"], serde_json::Value::Null);
    assert_eq!(value(report, "udp", "idle_timeout"), serde_json::Value::Null);
    let report = blocked.report();
    assert_eq!((&report["udp"]["reachable"], &report["tcp"]["reachable"]), (&false.into(), &true.into()));
    assert_eq!(value(report, "udp", "mapping"), serde_json::Value::Null);
}

// [R-BEH-007] [R-BEH-008]
#[test]
fn transaction_ids_are_drawn_anew_and_the_own_address_gets_its_budget() {
    let scene = Scene::new(3, true);
    let own = endpoint(PRIVATE).address();
    let transactions: Vec<[u8; 16]> =
        scene.sent.iter().map(|(_, _, payload)| payload[6..22].try_into().unwrap()).collect();
    let mut alike = 0;
    for (at, transaction) in transactions.iter().enumerate() {
        // Questions are repeated as they are; different ones have nothing in common.
        let repeats = |other: &&[u8; 16]| other[4..8] == transaction[4..8];
        assert!(transactions[at..].iter().filter(repeats).all(|other| other == transaction));
        let shown = Address::from([transaction[0], transaction[1], transaction[2], transaction[3]]);
        alike += usize::from(shown == own);
    }
    assert_eq!(alike, 1, "one question looks like the private address");
    // Of a NAT without a hairpin, so that every question is repeated.
    let blocked = Scene::new(4, false);
    for scene in [scene, blocked] {
        let public = endpoint(PUBLIC).address();
        let count = scene.sent.iter().filter(|(_, to, _)| to.address() == public).count();
        assert!(count <= MAX_PROBES as usize, "{count}");
    }
}

// [R-WIRE-014]
#[test]
fn no_mutated_input_panics_and_an_ignored_one_changes_nothing() {
    let (accepted, ignored) = mutate_inputs(&runs(), 30);
    assert!(accepted >= ignored, "{accepted} accepted, {ignored} ignored");
    assert!(ignored > 300, "{ignored} ignored");
}

#[test]
fn a_timeout_before_the_deadline_changes_nothing_and_one_at_it_moves_it() {
    let deadlines = watch_deadlines(&runs());
    assert!(deadlines > 80, "{deadlines} deadlines");
}

#[test]
fn equal_configuration_seed_and_inputs_give_equal_octets() {
    repeat(&runs());
}

#[test]
fn a_check_that_is_stopped_says_what_it_knows_and_then_nothing() {
    for scene in runs() {
        for stop in 0..scene.inputs.len() {
            let mut check = scene.initial.clone();
            for (at, kept) in &scene.inputs[..stop] {
                let _ = check.handle_input(*at, kept.as_input());
                check.drain();
            }
            let now = scene.inputs[stop].0;
            match check.handle_command(now, NetCheckCommand::Stop) {
                Ok(()) => {
                    let (orders, deadline) = check.drain();
                    let last = orders.last();
                    assert!(matches!(last, Some(Order::Event(event, ..)) if event["finished"].is_object()), "{last:?}");
                    assert_eq!(deadline, None);
                }
                Err(error) => assert_eq!((error, check.is_over()), (CommandError::WrongState, true)),
            }
            let before: NetCheckSnapshot = check.snapshot();
            for (at, kept) in &scene.inputs[stop..] {
                let _ = check.handle_input(*at, kept.as_input());
                assert_eq!(check.drain(), (vec![], None));
            }
            assert_eq!(check.snapshot(), before);
        }
    }
}

#[test]
fn a_flood_of_streams_is_reset_and_the_table_stays_small() {
    let scene = Scene::new(5, true);
    let half = scene.inputs.iter().position(|(_, kept)| matches!(kept, Kept::Connected(..))).unwrap();
    let mut check = scene.initial.clone();
    for (at, kept) in &scene.inputs[..=half] {
        let _ = check.handle_input(*at, kept.as_input());
        check.drain();
    }
    let (now, _) = scene.inputs[half];
    let (&socket, _) = scene.sockets.iter().find(|(_, (transport, _))| *transport == Transport::Tcp).unwrap();
    let before = check.snapshot().streams;
    let mut over = 0;
    for number in 0..500u64 {
        let (stream, local) = (StreamId(20_001 + 2 * number), endpoint("10.0.0.1:4321"));
        let what = StreamInput::Accepted { socket, local, remote: endpoint("192.0.2.6:7") };
        over += u32::from(check.handle_input(now, Input::Stream { stream, what }) == Err(Discard::OverLimit));
        check.drain();
    }
    assert!(over > 400, "{over}");
    assert!(check.snapshot().streams <= before + 8);
}

#[test]
fn a_port_that_is_taken_is_replaced_by_another() {
    let scene = Scene::new(6, true);
    let mut check = scene.initial.clone();
    check.drain();
    check
        .handle_input(Instant::ZERO, Input::OpenFailed { socket: SocketId(0), error: NetError::AddressInUse })
        .unwrap();
    let (orders, _) = check.drain();
    assert_eq!(orders, [Order::Open(SocketId(7), Transport::Udp, 0)]);
    let again = Input::OpenFailed { socket: SocketId(0), error: NetError::AddressInUse };
    assert_eq!(check.handle_input(Instant::ZERO, again), Err(Discard::SocketUnknown));
}
