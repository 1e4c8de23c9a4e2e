//! What the scripted server and the other peers say.

use std::collections::BTreeMap;

use pinhole_proto::PeerId;
use pinhole_proto::noise::{Handshake, Keys, Pattern, Recipe};
use pinhole_proto::wire::code::{Mapping, Transports};
use pinhole_proto::wire::codec::{decode, encode};
use pinhole_proto::wire::control::{
    Acknowledge, Answered, Connect, Introduce, Introduced, PathCheck, PathReply, Refreshed, RelayOpened,
};
use pinhole_proto::wire::discover::Discovered;
use pinhole_proto::wire::message::{Message, Reply, Request, RequestId};
use pinhole_proto::wire::punch::{Acceptance, Offer};
use pinhole_proto::wire::register::{Welcome, prologue};
use pinhole_proto::wire::sealed::seal_packet;
use pinhole_proto::wire::{Index, List, Nonce, Packet, Punch, PunchReply, Registered, SessionId, Versions};

use crate::compose;
use crate::curve::{curve, public};

use super::{CHANNEL, OWN, PUBLIC, SERVER, SERVERS, TOKEN, Via, WELCOME, World, endpoint, endpoints};

/// One end's keys for what it says to the peer.
#[derive(Clone)]
pub(super) struct Voice {
    pub(super) keys: Keys,
    /// The peer's index.
    pub(super) remote: Index,
    pub(super) counters: BTreeMap<u16, u64>,
    pub(super) next: RequestId,
    pub(super) asked: Vec<RequestId>,
    pub(super) nonces: Vec<Nonce>,
}

/// A session with another peer, from its side.
#[derive(Clone)]
pub(super) struct Meeting {
    pub(super) secret: u8,
    pub(super) session: SessionId,
    pub(super) index: Index,
    /// What it wrote, as initiator.
    pub(super) written: Option<(Vec<u8>, Recipe)>,
    /// What it read, as responder.
    pub(super) connect: Option<Connect>,
    pub(super) message_2: Vec<u8>,
    pub(super) voice: Option<Voice>,
}

impl World {
    // --- the server ---

    /// What was asked in clear is answered, the latest first.
    pub(super) fn answer_call(&mut self, twist: u8) {
        let Some((via, packet)) = self.calls.pop() else { return };
        let packet = match Packet::decode(&packet) {
            Ok(Packet::Discover(discover)) => {
                let flags = twist >> 1;
                Packet::Discovered(Discovered {
                    transaction: discover.transaction,
                    versions: if flags & 1 == 1 { List::from_first([2, 0]) } else { List::from_first([1]) },
                    observed: endpoint(if flags & 2 == 2 { "155.99.25.11:62001" } else { PUBLIC }),
                    alternates: List::from_first((flags & 4 == 0).then(|| endpoint(SERVERS[1]))),
                    keys: List::from_first([public(if flags & 8 == 8 { SERVER + 1 } else { SERVER })]),
                    cookie: [twist; 16],
                    dial_back: None,
                })
                .encode()
            }
            Ok(Packet::Register(register)) => {
                self.registers = self.registers.wrapping_add(1);
                let x25519 = curve();
                let handshake = Handshake {
                    pattern: Pattern::Ik,
                    x25519: &x25519,
                    secret: &[SERVER; 32],
                    remote: None,
                    prologue: &prologue(&register.offered, &register.answered),
                };
                let Ok(received) = handshake.receive([self.registers.wrapping_add(100); 32], register.message_1) else {
                    return;
                };
                assert_eq!(received.remote, public(OWN));
                let mut payload = vec![];
                encode(&Welcome { index: WELCOME, token: TOKEN }, &mut payload);
                if twist & 2 == 2 {
                    payload.truncate(usize::from(twist >> 3));
                }
                let (message_2, keys) = received.respond(&payload).expect("no key is weak");
                let mut voice = Voice::new(keys, register.index);
                let observed = endpoint(PUBLIC);
                let mut check = vec![];
                voice.next += 1;
                let request = Request::PathCheck(PathCheck { nonce: [twist; 8], observed });
                Message::Request(voice.next, request).encode(&mut check);
                let sealed = voice.seal(0, &check);
                self.server = Some(voice);
                Packet::Registered(Registered { index: register.index, message_2: &message_2, sealed: &sealed })
                    .encode()
            }
            _ => return,
        };
        self.past.push(packet.clone());
        self.deliver(via, &packet);
    }

    /// What was asked under the keys is answered, the latest first.
    pub(super) fn answer_request(&mut self, twist: u8) {
        let Some((via, id, request)) = self.requests.pop() else { return };
        let observed = endpoint(if twist & 1 == 1 { "155.99.25.11:62001" } else { PUBLIC });
        let reply = match request {
            Request::Refresh(_) => Reply::Refreshed(Refreshed { lifetime: 120, interval: 25, observed }),
            Request::Connect(connect) => {
                let secret = if connect.target == public(2) { 2 } else { 3 };
                let transport = connect.transports.preferred().map_or(Transports(0), Transports::of);
                let index = self.index(secret);
                let session = connect.session;
                let meeting = Meeting { connect: Some(connect), ..Meeting::new(secret, session, index) };
                self.meetings.push(meeting);
                Reply::Introduced(Introduced {
                    transport,
                    candidates: List::from_first(endpoints(twist >> 2)),
                    channel: (twist & 2 == 0).then_some(CHANNEL),
                    own_round_trip: 0,
                    other_round_trip: 50_000,
                })
            }
            Request::RelayOpen(_) => Reply::RelayOpened(RelayOpened { channel: CHANNEL }),
            Request::PathCheck(check) => Reply::PathReply(PathReply { nonce: check.nonce, observed }),
            _ => Reply::Acknowledge(Acknowledge {}),
        };
        let mut plaintext = vec![];
        Message::Answer(id, reply).encode(&mut plaintext);
        self.server_says_via(via, &plaintext);
    }

    /// Over UDP, or on the latest stream to the server.
    pub(super) fn server_says(&mut self, how: u8, plaintext: &[u8]) {
        let main = endpoint(SERVERS[0]);
        let stream = self.peer.streams.iter().rev().find(|(_, wire)| wire.remote == main && !wire.dialling);
        let via = stream.map(|(stream, _)| Via::Stream(*stream)).filter(|_| how & 0x80 != 0);
        self.server_says_via(via.unwrap_or(Via::Datagram(main)), plaintext);
    }

    pub(super) fn server_says_via(&mut self, via: Via, plaintext: &[u8]) {
        let lane = if let Via::Stream(stream) = via { 1 + (stream.0 / 2 % 7) as u16 } else { 0 };
        let Some(voice) = &mut self.server else { return };
        let packet = voice.seal(lane, plaintext);
        self.past.push(packet.clone());
        self.deliver(via, &packet);
    }

    // --- the other peers ---

    pub(super) fn index(&self, secret: u8) -> Index {
        Index([7, 7, self.meetings.len() as u8, secret])
    }

    /// Another peer, or this one under the other's name, is introduced as the initiator.
    pub(super) fn introduce(&mut self, at: u8, flags: u8, candidates: u8) {
        let (secret, session) = (2 + (at & 1), [at >> 1; 8]);
        let index = self.index(secret);
        let versions: Versions = List::from_first([1]);
        let offer = Offer {
            index,
            versions: versions.clone(),
            private: List::from_first(endpoints(candidates >> 4)),
            mapping: Mapping(flags >> 6),
        };
        let mut payload = vec![];
        encode(&offer, &mut payload);
        let (x25519, other) = (curve(), public(OWN));
        let prologue = kk(&session, &public(secret), &other, &versions);
        let handshake = Handshake {
            pattern: Pattern::Kk,
            x25519: &x25519,
            secret: &[secret; 32],
            remote: Some(&other),
            prologue: &prologue,
        };
        let ephemeral = [self.meetings.len() as u8 + 150; 32];
        let Ok((message_1, recipe)) = handshake.initiate(ephemeral, &payload) else { return };
        let introduce = Introduce {
            initiator: public(secret),
            session,
            transport: Transports(flags & 3),
            versions,
            candidates: List::from_first(endpoints(candidates)),
            channel: (flags & 4 == 0).then_some(CHANNEL),
            own_round_trip: 0,
            other_round_trip: u32::from(flags) << 12,
            message_1: List::from_first(message_1.iter().copied()),
        };
        let meeting = Meeting { written: Some((message_1, recipe)), ..Meeting::new(secret, session, index) };
        self.meetings.push(meeting);
        let Some(voice) = &mut self.server else { return };
        voice.next += 1;
        let mut plaintext = vec![];
        Message::Request(voice.next, Request::Introduce(introduce)).encode(&mut plaintext);
        self.server_says(flags << 4, &plaintext);
    }

    /// Another peer accepts what it was asked: through the server, or by its punch.
    pub(super) fn accept_connect(&mut self, at: u8, how: u8) {
        let Some(place) = self.meetings.iter().rposition(|meeting| meeting.connect.is_some()) else { return };
        let meeting = &mut self.meetings[place];
        let Some(connect) = &meeting.connect else { return };
        if meeting.voice.is_none() {
            let (x25519, other) = (curve(), public(OWN));
            let prologue = kk(&connect.session, &other, &public(meeting.secret), &connect.versions);
            let handshake = Handshake {
                pattern: Pattern::Kk,
                x25519: &x25519,
                secret: &[meeting.secret; 32],
                remote: Some(&other),
                prologue: &prologue,
            };
            let Ok(received) = handshake.receive([place as u8 + 50; 32], &connect.message_1) else { return };
            let offer: Offer = decode(&received.payload).expect("the peer's payload decodes");
            let mut payload = vec![];
            let private = List::from_first(endpoints(at >> 4));
            encode(&Acceptance { index: meeting.index, private, mapping: Mapping(at & 3) }, &mut payload);
            let (message_2, keys) = received.respond(&payload).expect("no key is weak");
            meeting.message_2 = message_2;
            meeting.voice = Some(Voice::new(keys, offer.index));
        }
        let (session, message_2) = (meeting.session, meeting.message_2.clone());
        if how == 0 {
            let Some(voice) = &mut self.server else { return };
            voice.next += 1;
            let mut plaintext = vec![];
            let candidates = List::from_first(endpoints(at));
            let message_2 = List::from_first(message_2);
            let answered = Request::Answered(Answered { session, candidates, message_2 });
            Message::Request(voice.next, answered).encode(&mut plaintext);
            return self.server_says(0, &plaintext);
        }
        let Some(voice) = &mut meeting.voice else { return };
        voice.next += 1;
        let mut plaintext = vec![];
        let check = PathCheck { nonce: [how; 8], observed: endpoint(PUBLIC) };
        Message::Request(voice.next, Request::PathCheck(check)).encode(&mut plaintext);
        if let Some(&nonce) = voice.nonces.last() {
            let reply = PathReply { nonce, observed: endpoint(PUBLIC) };
            Message::Answer(0, Reply::PathReply(reply)).encode(&mut plaintext);
        }
        let sealed = voice.seal(0, &plaintext);
        let packet = Packet::PunchReply(PunchReply { session, message_2: &message_2, sealed: &sealed }).encode();
        self.past.push(packet.clone());
        let via = self.via(how);
        self.proves(via);
        self.deliver(via, &packet);
    }

    /// The initiator's punch.
    pub(super) fn punch(&mut self, at: u8, how: u8) {
        let Some(place) = self.meetings.len().checked_sub(1 + usize::from(at & 3)) else { return };
        let meeting = &self.meetings[place];
        let message_1 = match (&meeting.written, &meeting.connect) {
            (Some((message_1, _)), _) => message_1.as_slice(),
            (_, Some(connect)) => &connect.message_1,
            _ => return,
        };
        let mut proof = pinhole_proto::wire::punch::Proof::default();
        proof.copy_from_slice(&hash(message_1)[..16]);
        proof[0] ^= u8::from(at & 8 != 0);
        let packet = Packet::Punch(Punch { session: meeting.session, nonce: [how ^ at; 8], proof }).encode();
        self.past.push(packet.clone());
        let via = self.via(how);
        self.heard_from(via, packet.len(), false);
        self.deliver(via, &packet);
    }

    pub(super) fn other_says(&mut self, meeting: usize, via: Via, lane: u8, plaintext: &[u8]) {
        let Some(voice) = &mut self.meetings[meeting].voice else { return };
        let lane = match via {
            Via::Datagram(_) if lane < 12 => 0,
            Via::Stream(stream) if lane < 12 => 10 + stream.0 as u16,
            Via::Relay if lane < 12 => 5,
            _ => u16::from(lane),
        };
        voice.next += 1;
        let packet = voice.seal(lane, plaintext);
        self.past.push(packet.clone());
        if compose::nonces(plaintext).is_empty() {
            self.heard_from(via, packet.len(), false);
        } else {
            self.proves(via);
        }
        self.deliver(via, &packet);
    }
}

impl Voice {
    pub(super) const fn new(keys: Keys, remote: Index) -> Self {
        Self { keys, remote, counters: BTreeMap::new(), next: 0, asked: vec![], nonces: vec![] }
    }

    pub(super) fn seal(&mut self, lane: u16, plaintext: &[u8]) -> Vec<u8> {
        let number = self.counters.entry(lane).or_default();
        let counter = u64::from(lane) << 48 | *number;
        *number += 1;
        seal_packet(&self.keys.send, self.remote, counter, plaintext)
    }
}

impl Meeting {
    pub(super) const fn new(secret: u8, session: SessionId, index: Index) -> Self {
        Self { secret, session, index, written: None, connect: None, message_2: vec![], voice: None }
    }
}

/// The prologue of a handshake between peers (`spec/security.md`, "Prologues").
pub(super) fn kk(session: &SessionId, a: &PeerId, b: &PeerId, versions: &Versions) -> Vec<u8> {
    let mut out = b"pinhole kk\x01".to_vec();
    out.extend_from_slice(session);
    out.extend_from_slice(a.as_octets());
    out.extend_from_slice(b.as_octets());
    encode(versions, &mut out);
    out
}

fn hash(octets: &[u8]) -> [u8; 32] {
    use blake2::Digest as _;
    blake2::Blake2s256::digest(octets).into()
}
