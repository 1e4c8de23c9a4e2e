//! What an operator says to a [`Server`](super::Server) and hears from it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::Serialize;

use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, StreamId, Transport};
use crate::key::PeerId;
use crate::noise::X25519;
use crate::time::Instant;

/// How a server is set up.
#[derive(Clone)]
pub struct ServerConfig {
    /// The server's X25519 private key.
    pub secret: [u8; 32],
    /// The main endpoints' port.
    pub port: u16,
    /// The alternate port, for behaviour discovery.
    pub alternate_port: u16,
    /// The endpoints that `Discovered` tells as alternates: of those of the asker's family the first
    /// [`MAX_ALTERNATES`](crate::constants::MAX_ALTERNATES).
    pub alternates: Vec<Endpoint>,
    /// Two local addresses of one family, where the server has two: what arrives at one of them can be answered
    /// from the other.
    pub addresses: Option<[Address; 2]>,
    /// IPv6 beside IPv4.
    pub ipv6: bool,
    /// Relay for peers that ask.
    pub relay: bool,
    /// This engine's number among those of the process, in the top octet of every index that it issues.
    pub shard: u8,
    /// How many engines the process has; an index with a higher shard is of another start.
    pub shards: u8,
    /// A number that differs from the last start's, in the second octet of every index.
    pub boot: u8,
    /// Bounds of the tables; see [`Limits`].
    pub limits: Limits,
    /// The X25519 function.
    pub x25519: Arc<dyn X25519>,
}

impl core::fmt::Debug for ServerConfig {
    /// Everything but the private key [R-SEC-004].
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ServerConfig")
            .field("port", &self.port)
            .field("alternate_port", &self.alternate_port)
            .field("alternates", &self.alternates)
            .field("addresses", &self.addresses)
            .field("ipv6", &self.ipv6)
            .field("relay", &self.relay)
            .field("shard", &self.shard)
            .field("shards", &self.shards)
            .field("boot", &self.boot)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The bounds of a server's tables and rates, `spec/registries/limits.csv`.
///
/// An index has 16 bits beside shard and boot, so one engine names 65,536 registrations, pending ones
/// included; larger bounds are accepted and never reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Registrations in all.
    pub registrations: usize,
    /// Registrations per source address (IPv6: /64).
    pub registrations_per_source: usize,
    /// `Register`s a second per source address (IPv6: /64).
    pub registers_per_second: u32,
    /// Registrations that have not answered their nonce.
    pub pending: usize,
    /// Relay channels in all.
    pub channels: usize,
    /// Relay channels per peer.
    pub channels_per_peer: usize,
    /// Streams in all.
    pub streams: usize,
    /// Streams per source address (IPv6: /64).
    pub streams_per_source: usize,
    /// Handshakes a second above which a cookie is demanded.
    pub cookie_above: u32,
}

impl Limits {
    /// What one of `engines` grants when these are the limits of all (`spec/limits.md`).
    ///
    /// What is held in all is divided. A source's ports, and with them what it registers, are dealt out among the
    /// engines by chance: its share has three standard deviations of room, and is never more than the whole.
    /// Handshakes a second and channels of a peer are an engine's own affair.
    #[must_use]
    pub fn share(self, engines: u8) -> Self {
        let count = usize::from(engines.max(1));
        let part = |limit: usize| limit.div_ceil(count);
        let of_source = |limit: usize| (part(limit) + (9 * part(limit)).isqrt()).min(limit);
        let per_second = usize::try_from(self.registers_per_second).unwrap_or(usize::MAX);
        Self {
            registrations: part(self.registrations),
            registrations_per_source: of_source(self.registrations_per_source),
            registers_per_second: u32::try_from(of_source(per_second)).unwrap_or(u32::MAX),
            pending: part(self.pending),
            channels: part(self.channels),
            channels_per_peer: self.channels_per_peer,
            streams: part(self.streams),
            streams_per_source: of_source(self.streams_per_source),
            cookie_above: self.cookie_above,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registrations: 60_000,
            registrations_per_source: 64,
            registers_per_second: 10,
            pending: 4_096,
            channels: 65_536,
            channels_per_peer: 64,
            streams: 16_384,
            streams_per_source: 128,
            cookie_above: 500,
        }
    }
}

/// What is asked of a [`Server`](super::Server).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerCommand<'a> {
    /// What another engine sent here with [`ServerEvent::Forward`].
    ///
    /// It may come again, out of order, or not at all. An engine has one release and one server key in common with
    /// those that it hears; what cannot be decoded is discarded.
    Forwarded {
        /// The other engine's octets.
        #[serde(serialize_with = "hex")]
        payload: &'a [u8],
    },
    /// Nobody is where a [`ServerEvent::Forward`] was to go: its octets come back. Nothing breaks if they do not.
    Undeliverable {
        /// The octets.
        #[serde(serialize_with = "hex")]
        payload: &'a [u8],
    },
    /// A peer that may be registered here has registered with another engine since: the newer registration wins.
    ///
    /// Whoever keeps the directory says so to the engine that had the peer before. It is not said again, so a
    /// carrier that loses it has to repeat it until [`ServerEvent::Unregistered`].
    Replace {
        /// The peer.
        peer: PeerId,
        /// The transport of the newer registration.
        transport: Transport,
        /// Where it is seen.
        public: Endpoint,
    },
    /// Closes every stream in order and every port, forgets every registration, and ends.
    Shutdown,
}

/// What a [`Server`](super::Server) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerEvent<'a> {
    /// A local port is open.
    Listening {
        /// The transport.
        transport: Transport,
        /// The socket.
        socket: SocketId,
        /// Its local endpoint.
        local: Endpoint,
    },
    /// A local port could not be opened.
    ListenFailed {
        /// The transport.
        transport: Transport,
        /// The port that was asked for.
        port: u16,
        /// Why.
        error: crate::engine::NetError,
    },
    /// A registration took effect, or one of its bindings did or moved.
    Registered {
        /// The peer.
        peer: PeerId,
        /// The transport.
        transport: Transport,
        /// The endpoint that was observed.
        public: Endpoint,
        /// When the registration took effect: of two that engines have of one peer the later one counts.
        since: Instant,
    },
    /// A registration ended.
    Unregistered {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: UnregisterReason,
    },
    /// Two peers were introduced.
    Introduced {
        /// Who asked.
        initiator: PeerId,
        /// Who was asked for.
        responder: PeerId,
        /// The session's transport.
        transport: Transport,
    },
    /// A relay channel is in use.
    RelayOpened {
        /// One peer.
        a: PeerId,
        /// The other.
        b: PeerId,
    },
    /// A relay channel ended after so many octets in both directions.
    RelayClosed {
        /// One peer.
        a: PeerId,
        /// The other.
        b: PeerId,
        /// Octets relayed.
        octets: u64,
    },
    /// A message for another engine; it comes back with [`ServerCommand::Undeliverable`] if there is none.
    Forward {
        /// Who is to hear it.
        to: Recipient,
        /// Whether it may be dropped where there is no room, as the datagram may that it carries.
        droppable: bool,
        /// What [`ServerCommand::Forwarded`] takes.
        #[serde(serialize_with = "hex")]
        payload: &'a [u8],
    },
    /// A stream for another engine of the process, by the shard in an index that came on it. This engine has
    /// forgotten it and does not read it: the driver hands it over, with these octets in front of what it reads.
    Misplaced {
        /// The shard.
        shard: u8,
        /// The stream.
        stream: StreamId,
        /// The socket whose listener accepted it; the engines of a process name theirs alike.
        socket: SocketId,
        /// What arrived on it and was not acted on.
        #[serde(serialize_with = "hex")]
        octets: &'a [u8],
    },
    /// A datagram for another engine of the process, by the shard in its index.
    Misdirected {
        /// The shard.
        shard: u8,
        /// The socket that it arrived on; the engines of a process name theirs alike.
        socket: SocketId,
        /// The local address that it was sent to, if that is known.
        local: Option<Address>,
        /// Where it came from.
        remote: Endpoint,
        /// The datagram.
        #[serde(serialize_with = "hex")]
        payload: &'a [u8],
    },
    /// The engine has ended.
    Stopped,
}

/// Whom a forwarded message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipient {
    /// The engine that the peer is registered with; the one where it registered last, if there are several.
    Peer(PeerId),
    /// The engine of this number.
    Shard(u8),
}

/// Why a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnregisterReason {
    /// The peer said goodbye.
    Goodbye,
    /// It was not refreshed within its lifetime.
    Expired,
    /// Its connection ended and it has no other binding.
    StreamClosed,
    /// The same key registered anew.
    Replaced,
}

/// A stream of the server, for its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServerStream {
    /// The stream.
    pub stream: StreamId,
    /// Its remote endpoint.
    pub remote: Endpoint,
    /// The peer bound to it.
    pub peer: Option<PeerId>,
    /// Octets written that the other end has not taken.
    pub unwritten: usize,
    /// Octets received that cannot be relayed yet.
    pub backlog: usize,
    /// Whether it is not read, because what it sends by the relay is taken slowly.
    pub held_up: bool,
}

/// Octets as the transcripts write them.
fn hex<S: serde::Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&base16ct::lower::encode_string(octets))
}
