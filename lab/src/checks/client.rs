//! A peer by hand, as far as a flood needs one: it registers over UDP and asks for introductions.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use pinhole_proto::noise::{Dalek, Handshake, Keys, Pattern, Recipe, X25519};
use pinhole_proto::wire::code::{Policy, Transports};
use pinhole_proto::wire::control::{Connect, PathReply, Refresh};
use pinhole_proto::wire::discover::{Cookie, ReplyFrom};
use pinhole_proto::wire::message::{Message, Reply, Request};
use pinhole_proto::wire::register::{Welcome, prologue};
use pinhole_proto::wire::sealed::seal_packet;
use pinhole_proto::wire::{Discover, Index, List, Packet, Register, Versions, codec};
use pinhole_proto::{PeerId, ServerKey};

use super::flood::Dice;

/// A socket and the server that it talks to.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    server: SocketAddr,
    key: ServerKey,
    dice: Dice,
}

/// A client whose registration took effect.
pub(crate) struct Registered {
    client: Client,
    keys: Keys,
    index: Index,
    counter: u64,
    request: u32,
}

/// What a server answers to `Discover`, as far as it is needed.
#[derive(Clone)]
pub(crate) struct Greeting {
    pub(crate) cookie: Cookie,
    versions: Versions,
}

impl Client {
    pub(crate) fn new(socket: UdpSocket, server: SocketAddr, key: ServerKey, seed: u64) -> anyhow::Result<Self> {
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, server, key, dice: Dice::new(seed) })
    }

    /// Asks for a cookie.
    pub(crate) fn greet(&mut self) -> anyhow::Result<Greeting> {
        let transaction = self.dice.array();
        let discover = Discover { transaction, versions: offered(), reply_from: ReplyFrom::default() };
        let mut buffer = [0; 2_048];
        for _ in 0..TRIES {
            self.socket.send(&Packet::Discover(discover.clone()).encode())?;
            while let Ok(length) = self.socket.recv(&mut buffer) {
                if let Ok(Packet::Discovered(found)) = Packet::decode(&buffer[..length])
                    && found.transaction == transaction
                {
                    return Ok(Greeting { cookie: found.cookie, versions: found.versions });
                }
            }
        }
        bail!("the server does not answer Discover")
    }

    /// A valid `Register` of a key that nobody had before.
    pub(crate) fn register(&mut self, greeting: &Greeting) -> anyhow::Result<Vec<u8>> {
        Ok(self.initiate(greeting)?.1)
    }

    /// Sends a valid `Register` until it is answered, and leaves it at that.
    pub(crate) fn try_register(&mut self, greeting: &Greeting) -> anyhow::Result<()> {
        let register = self.register(greeting)?;
        let mut buffer = [0; 2_048];
        for _ in 0..TRIES {
            self.socket.send(&register)?;
            if let Ok(length) = self.socket.recv(&mut buffer)
                && matches!(Packet::decode(&buffer[..length]), Ok(Packet::Registered(_)))
            {
                return Ok(());
            }
        }
        bail!("the server does not answer a valid Register")
    }

    fn initiate(&mut self, greeting: &Greeting) -> anyhow::Result<([u8; 32], Vec<u8>, Recipe)> {
        let (secret, ephemeral) = (self.dice.array(), self.dice.array());
        let prologue = prologue(&offered(), &greeting.versions);
        let x25519: Arc<dyn X25519> = Arc::new(Dalek);
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &x25519,
            secret: &secret,
            remote: Some(&self.key),
            prologue: &prologue,
        };
        let (message_1, recipe) = handshake.initiate(ephemeral, &[]).ok().context("a zero shared secret")?;
        let register = Register {
            index: Index(self.dice.array()),
            cookie: greeting.cookie,
            offered: offered(),
            answered: greeting.versions.clone(),
            message_1: &message_1,
        };
        Ok((secret, Packet::Register(register).encode(), recipe))
    }

    /// Registers for good.
    pub(crate) fn join(mut self) -> anyhow::Result<Registered> {
        let greeting = self.greet()?;
        let (secret, packet, recipe) = self.initiate(&greeting)?;
        let mut buffer = [0; 2_048];
        self.socket.send(&packet)?;
        let length = self.socket.recv(&mut buffer).context("no Registered")?;
        let Ok(Packet::Registered(answer)) = Packet::decode(&buffer[..length]) else {
            bail!("something else than Registered")
        };
        let prologue = prologue(&offered(), &greeting.versions);
        let x25519: Arc<dyn X25519> = Arc::new(Dalek);
        let handshake = Handshake {
            pattern: Pattern::Ik,
            x25519: &x25519,
            secret: &secret,
            remote: Some(&self.key),
            prologue: &prologue,
        };
        let (payload, keys) = handshake.finish(&recipe, answer.message_2).ok().context("message 2 does not verify")?;
        let welcome: Welcome = codec::decode(&payload).ok().context("no Welcome")?;
        let first = open(&keys, answer.sealed)?;
        let Ok(Message::Request(id, Request::PathCheck(check))) = Message::decode(&mut first.as_slice()) else {
            bail!("no PathCheck in Registered")
        };
        let observed = self.server.into();
        let mut registered = Registered { client: self, keys, index: welcome.index, counter: 0, request: 0 };
        let reply = Message::Answer(id, Reply::PathReply(PathReply { nonce: check.nonce, observed }));
        let terms =
            Refresh { private: List::default(), policy: Policy::OPEN, disclose: false, relay: false, moved: false };
        let refresh = Message::Request(registered.next(), Request::Refresh(terms));
        registered.send(&[reply, refresh])?;
        ensure!(matches!(registered.answer()?, Reply::Refreshed(_)), "no Refreshed");
        Ok(registered)
    }
}

impl Registered {
    /// Asks for an introduction to somebody; the answer comes with [`answer`](Self::answer).
    pub(crate) fn connect(&mut self, target: PeerId) -> anyhow::Result<()> {
        let message_1 = self.client.dice.octets(96);
        let connect = Connect {
            target,
            session: self.client.dice.array(),
            transports: Transports::UDP,
            versions: offered(),
            message_1: List::from_first(message_1),
        };
        let request = Message::Request(self.next(), Request::Connect(connect));
        self.send(&[request])
    }

    /// The next answer of the server.
    pub(crate) fn answer(&mut self) -> anyhow::Result<Reply> {
        let mut buffer = [0; 2_048];
        loop {
            let length = self.client.socket.recv(&mut buffer).context("the server does not answer")?;
            let plaintext = open(&self.keys, &buffer[..length])?;
            let mut rest = plaintext.as_slice();
            while !rest.is_empty() {
                if let Ok(Message::Answer(_, reply)) = Message::decode(&mut rest) {
                    return Ok(reply);
                }
            }
        }
    }

    fn next(&mut self) -> u32 {
        self.request += 1;
        self.request - 1
    }

    fn send(&mut self, messages: &[Message<'_>]) -> anyhow::Result<()> {
        let mut plaintext = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut plaintext));
        let packet = seal_packet(&self.keys.send, self.index, self.counter, &plaintext);
        self.counter += 1;
        self.client.socket.send(&packet)?;
        Ok(())
    }
}

/// A `Register` that decodes, with a message 1 out of the dice.
pub(crate) fn hollow_register(dice: &mut Dice) -> Vec<u8> {
    let (index, cookie, message_1) = (Index(dice.array()), dice.array(), dice.octets(96));
    let register = Register { index, cookie, offered: offered(), answered: offered(), message_1: &message_1 };
    Packet::Register(register).encode()
}

fn open(keys: &Keys, octets: &[u8]) -> anyhow::Result<Vec<u8>> {
    match Packet::decode(octets) {
        Ok(Packet::Sealed(sealed)) => sealed.open(&keys.receive).ok().context("a packet does not open"),
        other => bail!("{other:?} where something sealed is expected"),
    }
}

fn offered() -> Versions {
    List::from_first([pinhole_proto::constants::VERSION])
}

const TRIES: usize = 20;
const PATIENCE: Duration = Duration::from_millis(500);
