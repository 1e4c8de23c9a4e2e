//! Who may register: rates, cookies, and the Noise IK handshake (`spec/registration.md`).

use alloc::sync::Arc;

use super::common::Common;
use super::discovery::versions;
use super::link::Link;
use super::pending::{HandshakeId, Pending, PendingTable, Proved};
use super::rate::RateLimiter;
use super::registry::Registry;
use super::resets::Tokens;
use super::slots::Slots;
use crate::association::Association;
use crate::constants::REGISTER_SIZE;
use crate::discard::Discard;
use crate::endpoint::Address;
use crate::noise::{Handshake, Pattern};
use crate::rng::{Rng, hash};
use crate::time::Instant;
use crate::wire::message::{Message, body};
use crate::wire::register::{Welcome, prologue};
use crate::wire::{Index, Register, Sealed, extension};

/// The door: from `Register` to a proved source.
#[derive(Clone)]
pub(super) struct Admission {
    pub(super) pending: PendingTable,
    slots: Slots,
    /// Per source, apart for those that showed a cookie: whoever forges a source spoils only the other.
    registers: RateLimiter<(Address, bool)>,
    handshakes: RateLimiter<()>,
    tokens: Tokens,
    secrets: Rng,
}

impl Admission {
    pub(super) fn new(common: &Common, tokens: Tokens, secrets: Rng) -> Self {
        let config = &common.config;
        let limits = &config.limits;
        Self {
            pending: PendingTable::default(),
            slots: Slots::new(config.shard, config.boot),
            registers: RateLimiter::new(limits.registers_per_second, limits.registers_per_second),
            handshakes: RateLimiter::new(limits.cookie_above, limits.cookie_above),
            tokens,
            secrets,
        }
    }

    /// Makes or finds the pending entry of a `Register` and answers it. `shown` says that the sender has
    /// shown that it receives where it sends from.
    pub(super) fn on_register(
        &mut self,
        now: Instant,
        (link, shown): (Link, bool),
        register: &Register<'_>,
        registry: &Registry,
        common: &mut Common,
    ) -> Result<(), Discard> {
        let source = link.remote().source_prefix();
        // [R-REG-027]
        if !self.registers.take(now, (source, shown)) {
            return Err(Discard::OverLimit);
        }
        // [R-SEC-008] Whoever heard another list did not hear this server.
        if register.answered != versions() {
            return Err(Discard::HandshakeFailed);
        }
        let handshake = hash(&[register.message_1]);
        // [R-REG-005]
        if let Some(index) = self.pending.find(&handshake) {
            return self.pending.answer(now, index, link, REGISTER_SIZE, common);
        }
        // [R-REG-028]
        if !self.handshakes.take(now, ()) && !shown {
            return Err(Discard::CookieInvalid);
        }
        let index = self.accept(now, link, handshake, register, registry, common)?;
        self.pending.answer(now, index, link, REGISTER_SIZE, common)
    }

    /// Reads a sealed packet whose index is pending.
    pub(super) fn on_sealed(
        &mut self,
        now: Instant,
        link: Link,
        (sealed, length): (&Sealed<'_>, usize),
        messages: &[Message<'_>],
        registry: &Registry,
        common: &mut Common,
    ) -> Result<Option<Proved>, Discard> {
        let source = link.remote().source_prefix();
        let waiting = self.pending.peer(sealed.index).ok_or(Discard::IndexUnknown)?;
        if !registry.has_room(waiting, source, &common.config.limits) {
            return Err(Discard::OverLimit);
        }
        self.pending.on_sealed(now, link, (sealed, length), messages, common)
    }

    /// Drops an entry that was not answered.
    pub(super) fn on_timer(&mut self, index: Index, common: &mut Common) {
        if self.pending.remove(index, common).is_some() {
            self.slots.give_back(index);
        }
    }

    /// A registration has ended: its index may be issued again.
    pub(super) fn give_back(&mut self, index: Index) {
        self.slots.give_back(index);
    }

    pub(super) fn remembered(&self) -> usize {
        self.registers.len()
    }

    fn push_out_oldest(&mut self, common: &mut Common) {
        if let Some(oldest) = self.pending.oldest() {
            self.on_timer(oldest, common);
        }
    }

    /// The public-key work, and the entry that it makes.
    fn accept(
        &mut self,
        now: Instant,
        link: Link,
        handshake: HandshakeId,
        register: &Register<'_>,
        registry: &Registry,
        common: &mut Common,
    ) -> Result<Index, Discard> {
        let mut secrets = self.secrets.clone();
        let x25519 = Arc::clone(&common.config.x25519);
        let noise = Handshake {
            pattern: Pattern::Ik,
            x25519: &x25519,
            secret: &common.config.secret,
            remote: None,
            prologue: &prologue(&register.offered, &register.answered),
        };
        // [R-SEC-002]
        let received = noise.receive(secrets.octets(), register.message_1).map_err(|_| Discard::HandshakeFailed)?;
        extension::check(&received.payload)?;
        let peer = received.remote;
        // [R-REG-027]
        if !registry.has_room(peer, link.remote().source_prefix(), &common.config.limits) {
            return Err(Discard::OverLimit);
        }
        // [R-LIM-002]
        if self.pending.len() >= common.config.limits.pending || self.slots.are_exhausted() {
            self.push_out_oldest(common);
        }
        let index = self.slots.take().ok_or(Discard::OverLimit)?;
        // [R-REG-023]
        let token = self.tokens.token(index, link.remote());
        let Ok((message_2, keys)) = received.respond(&body(&Welcome { index, token })) else {
            self.slots.give_back(index);
            return Err(Discard::HandshakeFailed);
        };
        self.secrets = secrets;
        let association = Association::new(keys, register.index);
        let entry = Pending::new(handshake, peer, register.index, association, message_2, now);
        self.pending.insert(now, index, entry, common);
        Ok(index)
    }
}
