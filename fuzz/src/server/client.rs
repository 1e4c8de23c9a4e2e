//! A scripted client: the peer's half of the handshake and of sealing, and what it heard.

use std::collections::BTreeMap;

use pinhole_proto::noise::{Handshake, Keys, Pattern, Recipe};
use pinhole_proto::wire::codec::decode_prefix;
use pinhole_proto::wire::message::{Message, Reply, Request};
use pinhole_proto::wire::register::{Welcome, prologue};
use pinhole_proto::wire::sealed::seal_packet;
use pinhole_proto::wire::{ChannelId, Index, List, Nonce, Packet, Register, Registered, Sealed, Versions};
use pinhole_proto::{Endpoint, StreamId};

use super::SECRET;
use crate::compose::Context;
use crate::curve::{curve, public};

#[derive(Clone)]
pub(super) struct Client {
    pub(super) secret: u8,
    pub(super) home: Endpoint,
    pub(super) stream: Option<StreamId>,
    pub(super) over_tcp: bool,
    /// The engine that its datagrams and new streams reach.
    pub(super) engine: usize,
    pub(super) cookie: [u8; 16],
    /// The latest keys, and the server's index.
    pub(super) keys: Option<(Keys, Index)>,
    pub(super) counters: BTreeMap<u16, u64>,
    /// The path number of the stream.
    pub(super) lane: u16,
    pub(super) next: u32,
    pub(super) checks: Vec<(u32, Nonce)>,
    pending: Option<(Recipe, Index)>,
    registers: u8,
    asked: Vec<u32>,
    nonces: Vec<Nonce>,
}

/// What a client learnt of a packet.
#[derive(Default)]
pub(super) struct Learnt {
    pub(super) nonces: Vec<Nonce>,
    pub(super) channels: Vec<ChannelId>,
}

impl Client {
    pub(super) const fn new(secret: u8, home: Endpoint, over_tcp: bool, engine: usize) -> Self {
        Self {
            secret,
            home,
            stream: None,
            over_tcp,
            engine,
            cookie: [0; 16],
            keys: None,
            counters: BTreeMap::new(),
            lane: 0,
            next: 0,
            checks: vec![],
            pending: None,
            registers: 0,
            asked: vec![],
            nonces: vec![],
        }
    }

    /// A new registration, with the cookie if the flag says so.
    pub(super) fn register(&mut self, flags: u8) -> Vec<u8> {
        self.registers = self.registers.wrapping_add(1);
        let ephemeral = [self.secret ^ 0x80, self.registers].repeat(16);
        let ephemeral = ephemeral.try_into().expect("16 pairs are 32 octets");
        let (message_1, recipe) =
            self.handshake(|handshake| handshake.initiate(ephemeral, &[])).expect("no key is weak");
        let index = Index([9, 9, self.registers, self.secret]);
        self.pending = Some((recipe, index));
        let cookie = if flags & 1 == 1 { self.cookie } else { [0; 16] };
        let one: Versions = List::from_first([1]);
        Packet::Register(Register { index, cookie, offered: one.clone(), answered: one, message_1: &message_1 })
            .encode()
    }

    /// Whether this answer is to the latest registration of this client.
    pub(super) fn awaits(&self, answer: &Registered<'_>) -> bool {
        self.pending.as_ref().is_some_and(|(_, index)| *index == answer.index)
    }

    /// Takes the keys out of an answer, if it is one to the copy of the registration that this client sent.
    pub(super) fn registered(&mut self, answer: &Registered<'_>) -> Option<()> {
        let (recipe, _) = self.pending.as_ref()?;
        // An answer to an older copy of the same index does not verify.
        let (payload, keys) = self.handshake(|handshake| handshake.finish(recipe, answer.message_2)).ok()?;
        let (welcome, _) = decode_prefix::<Welcome>(&payload).expect("the server's payload decodes");
        if self.keys.is_none_or(|(_, index)| index != welcome.index) {
            self.counters.clear();
            self.lane = u16::from(self.stream.is_some());
        }
        self.keys = Some((keys, welcome.index));
        Some(())
    }

    fn handshake<T>(&self, act: impl FnOnce(&Handshake<'_>) -> T) -> T {
        let one: Versions = List::from_first([1]);
        let (x25519, server) = (curve(), public(SECRET));
        act(&Handshake {
            pattern: Pattern::Ik,
            x25519: &x25519,
            secret: &[self.secret; 32],
            remote: Some(&server),
            prologue: &prologue(&one, &one),
        })
    }

    /// Seals on a path number; nothing without keys.
    pub(super) fn seal(&mut self, lane: u16, plaintext: &[u8]) -> Option<Vec<u8>> {
        let (keys, index) = self.keys?;
        let number = self.counters.entry(lane).or_default();
        let counter = u64::from(lane) << 48 | *number;
        *number += 1;
        Some(seal_packet(&keys.send, index, counter, plaintext))
    }

    /// Opens what came under the latest keys, and keeps what can be answered.
    pub(super) fn open(&mut self, sealed: &Sealed<'_>) -> Option<Learnt> {
        let (keys, _) = self.keys?;
        // Under older keys: not for this client any more.
        let plaintext = sealed.open(&keys.receive).ok()?;
        let mut learnt = Learnt::default();
        let mut rest = plaintext.as_slice();
        while !rest.is_empty() {
            match Message::decode(&mut rest).expect("the server says what decodes") {
                Message::Request(id, request) => {
                    self.asked.push(id);
                    match request {
                        Request::PathCheck(check) => {
                            self.checks.push((id, check.nonce));
                            self.nonces.push(check.nonce);
                            learnt.nonces.push(check.nonce);
                        }
                        Request::Introduce(introduce) => learnt.channels.extend(introduce.channel),
                        _ => {}
                    }
                }
                Message::Answer(_, Reply::Introduced(introduced)) => learnt.channels.extend(introduced.channel),
                Message::Answer(_, Reply::RelayOpened(opened)) => learnt.channels.push(opened.channel),
                Message::Answer(..) => {}
                other => panic!("{other:?} from a server"),
            }
        }
        Some(learnt)
    }

    /// What this client's messages speak of.
    pub(super) fn context(&self, channels: Vec<ChannelId>) -> Context {
        Context {
            peers: (1..=super::CLIENTS as u8 + 1).map(public).collect(),
            sessions: (0..4).map(|session| [session; 8]).collect(),
            endpoints: (0..16).map(|host| super::endpoint(&format!("10.0.0.{host}:{}", 4_000 + host))).collect(),
            channels,
            nonces: self.nonces.iter().rev().take(8).copied().collect(),
            asked: self.asked.iter().rev().take(4).rev().copied().collect(),
            next: self.next,
            noise: [vec![6; 96], vec![8; 48]],
        }
    }
}
