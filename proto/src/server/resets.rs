//! `Reset`: this boot did not issue that index (`spec/registration.md`, "Reset").

use super::common::Common;
use super::link::Link;
use super::rate::RateLimiter;
use crate::constants::RESETS_PER_SECOND;
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::rng::keyed;
use crate::time::Instant;
use crate::wire::message::body;
use crate::wire::sealed::Token;
use crate::wire::{Index, Packet, Reset};

/// Makes the tokens of `Reset`s.
#[derive(Clone, Copy)]
pub(super) struct Tokens {
    key: [u8; 32],
}

impl Tokens {
    /// The key comes from the server's private key, so that a `Reset` after a restart has the token that
    /// was told before it.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self { key: keyed(secret, &[b"pinhole reset"]) }
    }

    /// What a `Reset` of `index` to `remote` carries.
    pub(super) fn token(&self, index: Index, remote: Endpoint) -> Token {
        // [R-REG-023]
        let whole = keyed(&self.key, &[&index.0, &body(&remote)]);
        *whole.first_chunk().expect("32 octets have 16 in front of them")
    }
}

/// Sends `Reset`s.
#[derive(Clone)]
pub(super) struct Resets {
    tokens: Tokens,
    rates: RateLimiter<Address>,
}

impl Resets {
    pub(super) fn new(tokens: Tokens) -> Self {
        Self { tokens, rates: RateLimiter::new(RESETS_PER_SECOND, RESETS_PER_SECOND) }
    }

    /// Answers a `Sealed` of `length` octets whose index nobody has.
    pub(super) fn on_unknown(
        &mut self,
        now: Instant,
        link: Link,
        index: Index,
        length: usize,
        common: &mut Common,
    ) -> Discard {
        let token = self.tokens.token(index, link.remote());
        let reset = Packet::Reset(Reset { index, token }).encode();
        // Two servers never answer each other for ever: each answer is shorter than its trigger.
        // [R-REG-020]
        if reset.len() >= length {
            return Discard::IndexUnknown;
        }
        // [R-REG-021]
        if !self.rates.take(now, link.remote().source_prefix()) {
            return Discard::OverLimit;
        }
        common.send(link, &reset);
        Discard::IndexUnknown
    }

    pub(super) fn remembered(&self) -> usize {
        self.rates.len()
    }
}
