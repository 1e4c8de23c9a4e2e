//! The clauses of the engine's contract, over mutated valid runs.

use super::*;
use crate::rng::Rng;
use crate::wire::control::{Answer, Unregister};
use crate::wire::{ChannelId, Relayed};

/// How often each kind of packet is sent: most are such that a server accepts.
const KINDS: [u8; 20] = [0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8];

/// One random step of one of the clients, valid but for a mutation now and then.
struct Run {
    rng: Rng,
    clients: Vec<Client>,
    /// Packets of the past, to be replayed from elsewhere.
    past: Vec<(Via, Vec<u8>)>,
    /// Relay channels that the clients were told.
    channels: Vec<ChannelId>,
    /// The latest stream.
    streams: u64,
    accepted: u32,
    refused: u32,
}

impl Run {
    fn new(seed: u8) -> (Self, World) {
        let mut world = World::new();
        let mut clients = vec![];
        for number in 1..6 {
            let from = format!("198.51.100.{}:7000", number / 2);
            let from = from.replace(":7000", &format!(":{}", 7_000 + u16::from(number)));
            clients.push(if number < 4 {
                Client::registered(&mut world, number, &from)
            } else {
                Client::registered_tcp(&mut world, number, u64::from(number) * 2 + 1, &from)
            });
        }
        let rng = Rng::pair([seed; 32]).0;
        (Self { rng, clients, past: vec![], channels: vec![], streams: 101, accepted: 0, refused: 0 }, world)
    }

    fn packet(&mut self, at: usize) -> Vec<u8> {
        let other = self.rng.below(5) as usize;
        let target = self.clients[other].id;
        let session = [self.rng.below(3) as u8; 8];
        let choice = KINDS[self.rng.below(KINDS.len() as u64) as usize];
        let client = &mut self.clients[at];
        let request = match choice {
            0 => return discover(self.rng.below(4) as u8),
            1 | 2 => {
                let mut refresh = client.refresh.clone();
                refresh.moved = choice == 2;
                Request::Refresh(refresh)
            }
            3 | 4 => Request::Connect(Connect {
                target,
                session,
                transports: Transports(3),
                versions: List::from_first([1]),
                message_1: List::from_first([6; 96]),
            }),
            5 => {
                Request::RelayOpen(crate::wire::control::RelayOpen { session, peer: target, transport: Transports(3) })
            }
            6 => {
                let id = self.rng.below(8) as u32;
                let message_2 = List::from_first([8; 48]);
                return client.seal(&[Message::Answer(id, Reply::Answer(Answer { message_2 }))]);
            }
            7 if self.rng.below(4) == 0 => {
                Request::Echo(crate::wire::control::Echo { after: self.rng.below(20) as u8 })
            }
            7 if self.rng.below(20) == 0 => Request::Unregister(Unregister {}),
            8 if self.channels.is_empty() => return discover(0),
            8 => {
                let channel = self.channels[self.rng.below(self.channels.len() as u64) as usize];
                return Packet::Relayed(Relayed { channel, packet: &[1; 20] }).encode();
            }
            _ => return client.register_packet([0; 16]),
        };
        let request = client.request(request);
        client.seal(&[request])
    }

    /// Registers a client again that a mutation has cost its stream.
    fn revive(&mut self, world: &mut World, at: usize) {
        let Via::Tcp(stream) = self.clients[at].via else {
            return;
        };
        if world.server.common.streams.contains(StreamId(stream)) {
            return;
        }
        self.streams += 2;
        world.now = world.now + Duration::from_millis(200);
        world.accept(self.streams, endpoint(&format!("198.51.100.77:{}", 1_024 + self.streams))).unwrap();
        let client = &mut self.clients[at];
        client.via = Via::Tcp(self.streams);
        let register = client.register_packet([0; 16]);
        client.send(world, &register).unwrap();
        if let [registered] = &client.received(world)[..] {
            let (id, check) = client.on_registered(registered);
            client.prove(world, id, check).unwrap();
        }
    }

    fn step(&mut self, world: &mut World) {
        let at = self.rng.below(5) as usize;
        self.revive(world, at);
        let mut packet = self.packet(at);
        let mut via = self.clients[at].via;
        match self.rng.below(20) {
            0 => {
                let place = self.rng.below(packet.len() as u64) as usize;
                packet[place] ^= 1 << self.rng.below(8);
            }
            1 => packet.truncate(self.rng.below(packet.len() as u64) as usize),
            2 => via = Via::Udp(endpoint("203.0.113.66:6")),
            3 if !self.past.is_empty() => {
                let old = self.rng.below(self.past.len() as u64) as usize;
                (_, packet) = self.past[old].clone();
            }
            4 => via = self.clients[self.rng.below(5) as usize].via,
            _ => {}
        }
        world.now = world.now + Duration::from_micros(self.rng.below(60_000));
        self.apply(world, via, &packet);
        self.past.push((via, packet));
        self.answer_all(world);
    }

    /// Gives the packet to the engine, and looks at what an `Err` did.
    fn apply(&mut self, world: &mut World, via: Via, packet: &[u8]) {
        let mut reference = world.clone();
        reference.input(Input::Timeout).unwrap();
        assert!(reference.deadline.is_none_or(|next| next > reference.now));
        let result = match via {
            Via::Udp(from) => world.datagram(from, packet),
            Via::Tcp(stream) => world.frame(stream, packet),
        };
        assert!(world.deadline.is_none_or(|next| next > world.now));
        match result {
            Ok(()) => self.accepted += 1,
            Err(_) => {
                self.refused += 1;
                assert_eq!(world.state(), reference.state());
                let (mut a, mut b) = (world.server.clone(), reference.server.clone());
                assert_eq!(a.common.visible.octets::<8>(), b.common.visible.octets::<8>());
            }
        }
    }

    /// The clients answer what they are asked, mostly.
    fn answer_all(&mut self, world: &mut World) {
        for at in 0..self.clients.len() {
            let mut client = self.clients[at].clone();
            for packet in client.received(world) {
                let Ok(Packet::Sealed(sealed)) = Packet::decode(&packet) else {
                    continue;
                };
                let arrival = match client.via {
                    Via::Udp(_) => Arrival::Datagram,
                    Via::Tcp(_) => Arrival::Stream,
                };
                let Ok(plaintext) = client.association.as_ref().unwrap().open(&sealed, arrival) else {
                    continue;
                };
                client.association.as_mut().unwrap().enter(&sealed, arrival);
                for message in super::super::decode(&plaintext).unwrap() {
                    let (id, request) = match message {
                        Message::Request(id, request) => (id, request),
                        Message::Answer(_, Reply::Introduced(introduced)) => {
                            self.channels.extend(introduced.channel);
                            continue;
                        }
                        _ => continue,
                    };
                    if let Request::Introduce(introduce) = &request {
                        self.channels.extend(introduce.channel);
                    }
                    let reply = match request {
                        Request::PathCheck(check) => {
                            let observed = endpoint("203.0.113.1:4653");
                            Reply::PathReply(PathReply { nonce: check.nonce, observed })
                        }
                        Request::Introduce(_) => Reply::Answer(Answer { message_2: List::from_first([8; 48]) }),
                        _ => Reply::Acknowledge(Acknowledge {}),
                    };
                    if self.rng.below(5) > 0 {
                        let answer = client.seal(&[Message::Answer(id, reply)]);
                        let via = client.via;
                        self.apply(world, via, &answer);
                    }
                }
            }
            self.clients[at] = client;
        }
        world.sent.clear();
    }
}

#[test]
fn a_refused_input_leaves_the_state_as_time_alone_would() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..12 {
        let (mut run, mut world) = Run::new(seed);
        for _ in 0..250 {
            run.step(&mut world);
        }
        accepted += run.accepted;
        refused += run.refused;
    }
    assert!(accepted >= refused && refused > 300, "{accepted} accepted, {refused} refused");
}

#[test]
fn a_timeout_before_the_deadline_changes_nothing() {
    let (mut run, mut world) = Run::new(77);
    for _ in 0..300 {
        run.step(&mut world);
        let before = world.state();
        if let Some(deadline) = world.deadline {
            let now = world.now;
            world.now = Instant::from_micros(deadline.as_micros() - 1).max(now);
            world.input(Input::Timeout).unwrap();
            world.now = now;
            assert_eq!(world.state(), before);
            assert!(world.sent.is_empty());
        }
    }
}

#[test]
fn equal_inputs_give_equal_octets() {
    let outputs = || {
        let (mut run, mut world) = Run::new(5);
        let mut all = vec![];
        for _ in 0..100 {
            let at = run.rng.below(5) as usize;
            let packet = run.packet(at);
            let _ = run.clients[at].send(&mut world, &packet);
            all.append(&mut world.sent);
        }
        all
    };
    let first = outputs();
    assert!(first.len() > 50);
    assert_eq!(first, outputs());
}

/// What engines sent each other in sessions that went well, over both transports.
fn valid_forwards() -> (super::shards::Cluster, Vec<Vec<u8>>) {
    let mut cluster = super::shards::Cluster::new();
    let mut seen = vec![];
    let [first, second] = &mut cluster.worlds;
    let clients = [
        (Client::registered(first, 1, "198.51.100.1:1"), Client::registered(second, 2, "198.51.100.2:1")),
        (Client::registered_tcp(first, 3, 1, "198.51.100.3:1"), Client::registered_tcp(second, 4, 1, "198.51.100.4:1")),
    ];
    for (mut a, mut b) in clients {
        a.connect(&mut cluster.worlds[0], b.id, [a.secret[0]; 8]);
        cluster.carry_and(&mut seen);
        let own = match only(a.hear(&mut cluster.worlds[0])) {
            Heard::Answer(_, Reply::Introduced(introduced)) => introduced.channel.unwrap(),
            other => panic!("{other:?}"),
        };
        for heard in b.hear(&mut cluster.worlds[1]) {
            let Heard::Request(id, _) = heard else { continue };
            let message_2 = List::from_first([8; 48]);
            b.answer(&mut cluster.worlds[1], id, Reply::Answer(Answer { message_2 })).unwrap();
        }
        for _ in 0..20 {
            let packet = Packet::Relayed(Relayed { channel: own, packet: &[1; 1_000] }).encode();
            a.send(&mut cluster.worlds[0], &packet).unwrap();
            cluster.carry_and(&mut seen);
        }
        a.connect(&mut cluster.worlds[0], public_key(&Dalek, &[99; 32]), [9; 8]);
        cluster.carry_and(&mut seen);
    }
    (cluster, seen)
}

/// Gives both engines a thousand mutated forwards: how many could be read, how many were accepted, and everything
/// that was sent.
fn storm(seed: u8) -> (u64, u64, Vec<Sent>) {
    let (mut cluster, seen) = valid_forwards();
    let mut dice = Rng::pair([seed; 32]).0;
    let mut sent = vec![];
    let discards = |cluster: &super::shards::Cluster| -> u64 {
        cluster
            .worlds
            .iter()
            .flat_map(|world| world.server.snapshot().discards.into_iter().map(|(_, value)| value))
            .sum()
    };
    let malformed = |cluster: &super::shards::Cluster| -> u64 {
        cluster.worlds.iter().map(|world| world.discarded(Discard::BodyMalformed)).sum()
    };
    let before = (malformed(&cluster), discards(&cluster));
    for _ in 0..1_000 {
        let mut payload = seen[dice.below(seen.len() as u64) as usize].clone();
        match dice.below(12) {
            0 => {
                let place = dice.below(payload.len() as u64) as usize;
                payload[place] ^= 1 << dice.below(8);
            }
            1 => payload.truncate(dice.below(payload.len() as u64) as usize),
            // Another question with the same content.
            2 | 3 => payload[1 + dice.below(8) as usize] ^= dice.below(256) as u8,
            _ => {}
        }
        let world = &mut cluster.worlds[dice.below(2) as usize];
        world.now = world.now + Duration::from_micros(dice.below(200_000));
        let payload = &payload[..];
        world.command(match dice.below(6) {
            0 => ServerCommand::Undeliverable { payload },
            _ => ServerCommand::Forwarded { payload },
        });
        assert!(world.deadline.is_none_or(|next| next > world.now));
        sent.append(&mut world.sent);
        world.forwards.clear();
    }
    (1_000 + before.0 - malformed(&cluster), 1_000 + before.1 - discards(&cluster), sent)
}

#[test]
fn whatever_a_carrier_brings_leaves_an_engine_sound_and_equal() {
    let (readable, accepted, sent) = storm(1);
    // Most of a stream's packets and of the answers came before.
    assert!(readable > 800 && accepted > 200, "{readable} readable, {accepted} accepted");
    assert!(sent.len() > 50, "{}", sent.len());
    assert_eq!(storm(1), (readable, accepted, sent));
}

#[test]
fn stray_inputs_are_discarded() {
    let mut world = World::new();
    let before = world.state();
    let local = endpoint("0.0.0.0:1");
    let socket = SocketId(99);
    let what = [
        (Input::Opened { socket, local }, Err(Discard::SocketUnknown)),
        (Input::Opened { socket: MAIN, local }, Err(Discard::SocketUnknown)),
        (
            Input::Datagram { socket: MAIN_TCP, local: local.address(), remote: local, payload: &[4] },
            Err(Discard::SocketUnknown),
        ),
        (Input::Stream { stream: StreamId(1), what: StreamInput::Written(5) }, Err(Discard::StreamUnknown)),
        (Input::Stream { stream: StreamId(1), what: StreamInput::Closed(None) }, Err(Discard::StreamUnknown)),
        (Input::Stream { stream: StreamId(2), what: StreamInput::Connected { local } }, Err(Discard::StreamUnknown)),
        (Input::Interfaces(&[]), Ok(())),
    ];
    for (input, expected) in what {
        assert_eq!(world.input(input), expected, "{input:?}");
    }
    assert_eq!(world.state(), before);
}
