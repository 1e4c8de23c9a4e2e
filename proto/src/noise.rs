//! The two Noise handshakes: IK from a peer to its server, KK between peers (`spec/security.md`).
//!
//! snow's handshake states cannot be cloned, and engines can. So nothing of snow outlives a call: between
//! its two messages an initiator keeps the [`Recipe`] (ephemeral secret and payload) and builds the state again.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use blake2::{Blake2s256, Digest as _};
use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifierList, HandshakePattern, HashChoice,
    NoiseParams,
};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use crate::key::PublicKey;

/// The X25519 function. Simulations pass one that remembers results, so that replays cost no arithmetic.
pub trait X25519: Send + Sync + fmt::Debug {
    /// The public key of a secret.
    fn public_key(&self, secret: &[u8; 32]) -> [u8; 32];
    /// The shared secret of `secret` and the owner of `public`; all zeros for a weak `public`.
    fn agree(&self, secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32];
}

/// X25519 by curve25519-dalek.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dalek;

impl X25519 for Dalek {
    fn public_key(&self, secret: &[u8; 32]) -> [u8; 32] {
        curve25519_dalek::montgomery::MontgomeryPoint::mul_base_clamped(*secret).to_bytes()
    }

    fn agree(&self, secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
        curve25519_dalek::montgomery::MontgomeryPoint(*public).mul_clamped(*secret).to_bytes()
    }
}

/// The public key of a secret.
///
/// # Panics
/// Never: a clamped secret times the base point is neither weak nor above the field.
#[must_use]
pub fn public_key(x25519: &dyn X25519, secret: &[u8; 32]) -> PublicKey {
    PublicKey::new(x25519.public_key(secret)).expect("a multiple of the base point is a valid key")
}

/// The keys of an established association.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Seals what is sent.
    pub send: [u8; 32],
    /// Opens what is received.
    pub receive: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // [R-SEC-004]
        f.write_str("Keys")
    }
}

/// A Noise message did not verify, or a shared secret was zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeError;

/// Which handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Peer to server: the initiator's key travels encrypted in message 1.
    Ik,
    /// Peer to peer: both keys are known, none travels.
    Kk,
}

/// One side's view of one handshake.
#[derive(Clone, Copy)]
pub struct Handshake<'a> {
    /// Which handshake.
    pub pattern: Pattern,
    /// The X25519 function.
    pub x25519: &'a Arc<dyn X25519>,
    /// This side's private key.
    pub secret: &'a [u8; 32],
    /// The other side's key; unknown to an IK responder.
    pub remote: Option<&'a PublicKey>,
    /// What both sides must agree on beforehand (`spec/security.md`, "Prologues").
    pub prologue: &'a [u8],
}

/// What an initiator keeps between the two messages.
#[derive(Clone)]
pub struct Recipe {
    ephemeral: [u8; 32],
    payload: Vec<u8>,
}

/// What a responder reads in message 1.
pub struct Received {
    state: snow::HandshakeState,
    /// The initiator's key.
    pub remote: PublicKey,
    /// The payload of message 1.
    pub payload: Vec<u8>,
}

impl Handshake<'_> {
    /// Writes message 1.
    ///
    /// # Errors
    /// A shared secret was zero.
    pub fn initiate(self, ephemeral: [u8; 32], payload: &[u8]) -> Result<(Vec<u8>, Recipe), HandshakeError> {
        let recipe = Recipe { ephemeral, payload: payload.into() };
        let (message, _) = self.message_1(&recipe)?;
        Ok((message, recipe))
    }

    /// Reads message 2: its payload, and the keys.
    ///
    /// # Errors
    /// The message does not verify.
    pub fn finish(self, recipe: &Recipe, message_2: &[u8]) -> Result<(Vec<u8>, Keys), HandshakeError> {
        let (_, mut state) = self.message_1(recipe)?;
        let mut payload = vec![0; message_2.len()];
        // [R-SEC-002]
        let length = state.read_message(message_2, &mut payload).map_err(|_| HandshakeError)?;
        payload.truncate(length);
        let (send, receive) = state.dangerously_get_raw_split();
        Ok((payload, Keys { send, receive }))
    }

    /// Reads message 1 as the responder whose ephemeral secret is `ephemeral`.
    ///
    /// # Errors
    /// The message does not verify.
    pub fn receive(self, ephemeral: [u8; 32], message_1: &[u8]) -> Result<Received, HandshakeError> {
        let mut state = self.builder(ephemeral)?.build_responder().map_err(|_| HandshakeError)?;
        let mut payload = vec![0; message_1.len()];
        // [R-SEC-002]
        let length = state.read_message(message_1, &mut payload).map_err(|_| HandshakeError)?;
        payload.truncate(length);
        let remote: [u8; 32] =
            state.get_remote_static().ok_or(HandshakeError)?.try_into().map_err(|_| HandshakeError)?;
        let remote = PublicKey::new(remote).map_err(|_| HandshakeError)?;
        Ok(Received { state, remote, payload })
    }

    fn message_1(self, recipe: &Recipe) -> Result<(Vec<u8>, snow::HandshakeState), HandshakeError> {
        let mut state = self.builder(recipe.ephemeral)?.build_initiator().map_err(|_| HandshakeError)?;
        let mut message = vec![0; recipe.payload.len() + OVERHEAD];
        let length = state.write_message(&recipe.payload, &mut message).map_err(|_| HandshakeError)?;
        message.truncate(length);
        Ok((message, state))
    }

    fn builder(&self, ephemeral: [u8; 32]) -> Result<snow::Builder<'_>, HandshakeError> {
        let (name, pattern) = match self.pattern {
            Pattern::Ik => ("Noise_IK_25519_ChaChaPoly_BLAKE2s", HandshakePattern::IK),
            Pattern::Kk => ("Noise_KK_25519_ChaChaPoly_BLAKE2s", HandshakePattern::KK),
        };
        let params = NoiseParams::new(
            name.into(),
            BaseChoice::Noise,
            HandshakeChoice { pattern, modifiers: HandshakeModifierList { list: Vec::new() } },
            DHChoice::Curve25519,
            CipherChoice::ChaChaPoly,
            HashChoice::Blake2s,
        );
        let resolver = Resolver { x25519: Arc::clone(self.x25519), ephemeral };
        let mut builder = snow::Builder::with_resolver(params, Box::new(resolver))
            .local_private_key(self.secret)
            .and_then(|builder| builder.prologue(self.prologue))
            .map_err(|_| HandshakeError)?;
        if let Some(remote) = self.remote {
            builder = builder.remote_public_key(remote.as_octets()).map_err(|_| HandshakeError)?;
        }
        Ok(builder)
    }
}

impl Received {
    /// Writes message 2 with `payload`; the keys are the responder's.
    ///
    /// # Errors
    /// A shared secret was zero.
    pub fn respond(mut self, payload: &[u8]) -> Result<(Vec<u8>, Keys), HandshakeError> {
        let mut message = vec![0; payload.len() + OVERHEAD];
        let length = self.state.write_message(payload, &mut message).map_err(|_| HandshakeError)?;
        message.truncate(length);
        let (receive, send) = self.state.dangerously_get_raw_split();
        Ok((message, Keys { send, receive }))
    }
}

/// Two keys and two tags: the most that a message has besides its payload.
const OVERHEAD: usize = 2 * 32 + 2 * 16;

struct Resolver {
    x25519: Arc<dyn X25519>,
    ephemeral: [u8; 32],
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Fixed(self.ephemeral)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519)
            .then(|| Box::new(Agreement { x25519: Arc::clone(&self.x25519), secret: [0; 32], public: [0; 32] }) as _)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::<Blake2s>::default() as _)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// The 32 octets that a handshake may draw; drawing more is an error, not a repetition.
struct Fixed([u8; 32]);

impl Random for Fixed {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        if out.len() != self.0.len() {
            return Err(snow::Error::Rng);
        }
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

/// BLAKE2s alone: the library's own choice of hashes brings all of them.
#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&self.0.finalize_reset());
    }
}

struct Agreement {
    x25519: Arc<dyn X25519>,
    secret: [u8; 32],
    public: [u8; 32],
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        self.secret.copy_from_slice(secret);
        self.public = self.x25519.public_key(&self.secret);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = [0; 32];
        rng.try_fill_bytes(&mut secret)?;
        self.set(&secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.secret
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public: &[u8; 32] = public.get(..32).and_then(|key| key.try_into().ok()).ok_or(snow::Error::Dh)?;
        let shared = self.x25519.agree(&self.secret, public);
        // [R-SEC-003] A zero secret is one that everybody knows.
        if shared == [0; 32] {
            return Err(snow::Error::Dh);
        }
        out[..32].copy_from_slice(&shared);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake<'a>(
        x25519: &'a Arc<dyn X25519>,
        pattern: Pattern,
        secret: &'a [u8; 32],
        remote: Option<&'a PublicKey>,
    ) -> Handshake<'a> {
        Handshake { pattern, x25519, secret, remote, prologue: b"prologue" }
    }

    #[test]
    fn both_sides_get_the_same_keys_and_the_recipe_rebuilds_the_state() {
        let x25519: Arc<dyn X25519> = Arc::new(Dalek);
        let (a, b) = ([1; 32], [2; 32]);
        let (a_id, b_id) = (public_key(&Dalek, &a), public_key(&Dalek, &b));
        for pattern in [Pattern::Ik, Pattern::Kk] {
            let initiator = handshake(&x25519, pattern, &a, Some(&b_id));
            let known = (pattern == Pattern::Kk).then_some(&a_id);
            let (message_1, recipe) = initiator.initiate([3; 32], b"one").unwrap();
            let received = handshake(&x25519, pattern, &b, known).receive([4; 32], &message_1).unwrap();
            assert_eq!((received.remote, received.payload.as_slice()), (a_id, b"one".as_slice()));
            let (message_2, b_keys) = received.respond(b"two").unwrap();
            for _ in 0..2 {
                let (payload, a_keys) = initiator.finish(&recipe, &message_2).unwrap();
                assert_eq!(payload, b"two");
                assert_eq!((a_keys.send, a_keys.receive), (b_keys.receive, b_keys.send));
            }
            let mut forged = message_2.clone();
            forged[40] ^= 1;
            assert_eq!(initiator.finish(&recipe, &forged).unwrap_err(), HandshakeError);
        }
    }

    // [R-SEC-004]
    #[test]
    fn keys_are_not_shown() {
        let keys = Keys { send: [0xab; 32], receive: [0xcd; 32] };
        assert_eq!(alloc::format!("{keys:?}"), "Keys");
    }

    #[test]
    fn a_zero_shared_secret_ends_the_handshake() {
        let x25519: Arc<dyn X25519> = Arc::new(Dalek);
        let mut forged = vec![0; 96];
        forged[0] = 1;
        let responder = handshake(&x25519, Pattern::Ik, &[2; 32], None);
        assert!(responder.receive([4; 32], &forged).is_err());
    }
}
