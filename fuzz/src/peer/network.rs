//! What passes between the peer, its server and the others, and what holds of it.

use pinhole_proto::constants::{MAX_PROBE_OCTETS, MAX_PROBES, PROBE_PERIOD};
use pinhole_proto::noise::{Handshake, Pattern};
use pinhole_proto::peer::{PeerCommand, PeerReply};
use pinhole_proto::wire::codec::decode;
use pinhole_proto::wire::message::{Message, Reply, Request};
use pinhole_proto::wire::punch::Acceptance;
use pinhole_proto::wire::{List, Packet, Relayed, Reset, Sealed, SessionId, frame_header};
use pinhole_proto::{Address, Discard, Endpoint, Input, SocketId, StreamId, StreamInput, Transport};

use super::voices::{Meeting, Voice, kk};
use super::{CHANNEL, ENDPOINTS, ERRORS, OWN, PRIVATE, Probes, SERVERS, TOKEN, Via, WELCOME, World, endpoint};
use crate::bytes::Script;
use crate::checked::{Order, PeerTold, span};
use crate::curve::{curve, public};

impl World {
    // --- the network ---

    pub(super) fn via(&self, how: u8) -> Via {
        let place = how & 0x0f;
        match how >> 4 {
            0..=8 => Via::Datagram(endpoint(ENDPOINTS[usize::from(place) % ENDPOINTS.len()])),
            9 => Via::Datagram(endpoint(SERVERS[usize::from(place & 1)])),
            10..=13 => self.stream(place).map_or(Via::Relay, Via::Stream),
            _ => Via::Relay,
        }
    }

    /// A stream, the latest first.
    pub(super) fn stream(&self, at: u8) -> Option<StreamId> {
        let count = self.peer.streams.len().max(1);
        self.peer.streams.keys().rev().nth(usize::from(at) % count).copied()
    }

    pub(super) fn deliver(&mut self, via: Via, packet: &[u8]) {
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

    pub(super) fn accept_stream(&mut self, remote: &str) {
        let mut tcp = self.peer.sockets.iter().filter(|(_, (transport, _))| *transport == Transport::Tcp);
        let Some((&socket, _)) = tcp.next_back() else { return };
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        let what = StreamInput::Accepted { socket, local: endpoint(PRIVATE), remote: endpoint(remote) };
        if self.input(Input::Stream { stream, what }).is_err() {
            assert!(!self.peer.streams.contains_key(&stream), "a stream that is refused is closed");
        }
    }

    pub(super) fn dial_result(&mut self, at: u8, how: u8) {
        let dials: Vec<_> = self.peer.streams.iter().filter(|(_, wire)| wire.dialling).map(|(id, _)| *id).collect();
        let Some(&stream) = dials.get(usize::from(at) % dials.len().max(1)) else { return };
        let what = match how {
            0..=0x9f => StreamInput::Connected { local: endpoint(PRIVATE) },
            0xa0..=0xaf => StreamInput::Connected { local: self.peer.streams[&stream].remote },
            _ => StreamInput::Closed(Some(ERRORS[usize::from(how) % ERRORS.len()])),
        };
        let _ = self.input(Input::Stream { stream, what });
    }

    pub(super) fn stray(&mut self, at: u8, place: u8) {
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

    pub(super) fn pass(&mut self, skip: u8, length: u8) {
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

    pub(super) fn command(&mut self, at: u8, script: &mut Script<'_>) -> Option<()> {
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

    pub(super) fn input(&mut self, input: Input<'_>) -> Result<(), Discard> {
        let (result, orders) = self.peer.input(input);
        self.heed(orders);
        result
    }

    pub(super) fn heed(&mut self, orders: Vec<Order<PeerTold>>) {
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

    pub(super) fn heard_from(&mut self, via: Via, octets: usize, replay: bool) {
        if replay {
            // It may be one that proves something.
            return self.proves(via);
        }
        if let Some(remote) = self.remote(via) {
            let now = self.peer.now;
            self.probes.entry(remote.address()).or_insert_with(|| Probes::new(now)).heard += octets;
        }
    }

    pub(super) fn proves(&mut self, via: Via) {
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
}

fn messages(mut plaintext: &[u8]) -> Vec<Message<'_>> {
    let mut found = vec![];
    while !plaintext.is_empty() {
        found.push(Message::decode(&mut plaintext).expect("the peer says what decodes"));
    }
    found
}

/// What a SYN counts in the budget.
const SYN: usize = 60;
