//! What an application says to a [`Peer`](super::Peer) and hears from it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::key::{PeerId, ServerKey};
use crate::noise::X25519;
use crate::time::Duration;
use crate::wire::code::{Allocation, Mapping, Refusal, Strategy, Verdict};

/// How a peer is set up.
#[derive(Clone)]
pub struct PeerConfig {
    /// The peer's X25519 private key.
    pub secret: [u8; 32],
    /// The server's public key; absent: the key that `Discovered` names is used, and
    /// [`PeerEvent::ServerKey`] hands it to the application, which remembers it.
    pub server_key: Option<ServerKey>,
    /// The server's main endpoints, at most one per family, best first.
    pub servers: Vec<Endpoint>,
    /// Register and connect over UDP.
    pub udp: bool,
    /// Register and connect over TCP.
    pub tcp: bool,
    /// The local port, or 0 for any. UDP and TCP use the same number where they can.
    pub port: u16,
    /// Whether sessions may use the server's relay.
    pub relay: RelayPolicy,
    /// Which introductions are accepted.
    pub accept: Accept,
    /// Probe private endpoints of peers without evidence of a shared network
    /// (`spec/punching.md`, "Private candidates").
    pub probe_private: bool,
    /// Interval between refreshes when the server does not say otherwise.
    pub refresh: Duration,
    /// Interval of keepalives on a path that nobody uses, at most
    /// [`MAX_KEEPALIVE`](crate::constants::MAX_KEEPALIVE); the first one where it adapts.
    pub keepalive: Duration,
    /// Whether the interval adapts to how long the NAT on the way keeps a mapping (`spec/keepalive.md`).
    pub adapt_keepalive: bool,
    /// The strategies that attempts may have; the first attempt of a session is plain or none.
    pub strategies: StrategySet,
    /// Whether the birthday method is among them: some hundred sockets and a thousand packets, and only with
    /// a peer that wants it, too.
    pub birthday: bool,
    /// The X25519 function.
    pub x25519: Arc<dyn X25519>,
}

impl core::fmt::Debug for PeerConfig {
    /// Everything but the private key [R-SEC-004].
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PeerConfig")
            .field("server_key", &self.server_key)
            .field("servers", &self.servers)
            .field("udp", &self.udp)
            .field("tcp", &self.tcp)
            .field("port", &self.port)
            .field("relay", &self.relay)
            .field("accept", &self.accept)
            .field("strategies", &self.strategies)
            .field("birthday", &self.birthday)
            .finish_non_exhaustive()
    }
}

impl PeerConfig {
    /// The strategies that this peer takes part in.
    pub(super) const fn allowed(&self) -> StrategySet {
        if self.birthday { self.strategies } else { self.strategies.without(Strategy::BIRTHDAY) }
    }
}

/// A set of strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrategySet(u16);

impl StrategySet {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every one that version 1 names.
    pub const ALL: Self = Self((1 << Self::NAMED) - 1);
    /// How many strategies version 1 names.
    const NAMED: u8 = 7;

    /// Whether a strategy is in the set; one without a name never is.
    #[must_use]
    pub const fn contains(self, strategy: Strategy) -> bool {
        self.0 & Self::bit(strategy) != 0
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, strategy: Strategy) -> Self {
        Self(self.0 | Self::bit(strategy))
    }

    /// The set with one less.
    #[must_use]
    pub const fn without(self, strategy: Strategy) -> Self {
        Self(self.0 & !Self::bit(strategy))
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The strategies in the set, by their codes.
    pub fn iter(self) -> impl Iterator<Item = Strategy> {
        (0..Self::NAMED).map(Strategy).filter(move |strategy| self.contains(*strategy))
    }

    const fn bit(strategy: Strategy) -> u16 {
        if strategy.0 < Self::NAMED { 1 << strategy.0 } else { 0 }
    }
}

/// Whether sessions may use the server's relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RelayPolicy {
    /// Relay at once, and leave it for a direct path.
    Allow,
    /// Relay only; nothing is punched and no endpoint is told to the other peer.
    Only,
    /// Direct or nothing.
    Never,
}

/// Which introductions a peer accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// None: this peer only connects.
    Nobody,
    /// These peers'. Their endpoints stay unknown to everybody else.
    Only(Vec<PeerId>),
    /// Everybody's.
    Anybody,
}

/// A session of this engine. Handles are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionHandle(pub u32);

/// What the application asks of a [`Peer`](super::Peer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerCommand<'a> {
    /// Opens a session to a peer. Answers [`PeerReply::Session`]. Allowed before the peer is online:
    /// the request leaves once it is.
    Connect {
        /// The peer to reach.
        peer: PeerId,
        /// Restricts the session to one transport; `None` takes UDP where both sides have it, else TCP.
        transport: Option<Transport>,
    },
    /// Sends one datagram, at most [`MAX_DATAGRAM`](crate::constants::MAX_DATAGRAM) octets, unreliably.
    Send {
        /// The session.
        session: SessionHandle,
        /// The octets.
        datagram: &'a [u8],
    },
    /// Appends to the session's byte stream (TCP sessions only). Answers [`PeerReply::Written`] with the
    /// number of octets taken, 0 when the window is full.
    Write {
        /// The session.
        session: SessionHandle,
        /// The octets.
        octets: &'a [u8],
    },
    /// Ends this side's byte stream after what was written.
    Finish {
        /// The session.
        session: SessionHandle,
    },
    /// Says that the application took so many octets of the byte stream: the window opens by as much.
    Consume {
        /// The session.
        session: SessionHandle,
        /// How many octets.
        octets: u32,
    },
    /// Ends a session. The other side is told.
    Close {
        /// The session.
        session: SessionHandle,
    },
    /// Ends every session and the registration. Ends with [`PeerEvent::Stopped`].
    Shutdown,
}

/// What a successful [`PeerCommand`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerReply {
    /// Done.
    Done,
    /// The session that was opened.
    Session(SessionHandle),
    /// So many octets were taken.
    Written(usize),
}

/// The kind of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// Through the server.
    Relayed,
    /// Directly, to an endpoint on a shared network.
    Private,
    /// Directly, to a public endpoint.
    Public,
}

/// How far a path has come (`spec/punching.md`, "Paths").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathState {
    /// Nothing authentic arrived on it.
    Untried,
    /// An authentic packet of the session arrived on it.
    Heard,
    /// The answer to a nonce that was sent only on it arrived on it.
    Proved,
}

/// A path as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PathInfo {
    /// Its kind.
    pub kind: PathKind,
    /// Its transport.
    pub transport: Transport,
    /// The endpoint here. The address is the one that the system uses, the public one is in `mapped`.
    pub local: Endpoint,
    /// This side's endpoint as the other side sees it, once it said so.
    pub mapped: Option<Endpoint>,
    /// The endpoint there; unspecified for a relayed path, as `local` is.
    pub remote: Endpoint,
}

/// What a [`Peer`](super::Peer) tells the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerEvent<'a> {
    /// The server's key, when the configuration named none.
    ServerKey(ServerKey),
    /// A registration took effect over this transport and family, or its public endpoint changed.
    Online {
        /// The transport.
        transport: Transport,
        /// The endpoint that this side knows.
        private: Endpoint,
        /// The endpoint that the server observed.
        public: Endpoint,
    },
    /// A registration over this transport was lost; the engine goes on trying.
    Offline {
        /// The transport.
        transport: Transport,
        /// Why.
        reason: OfflineReason,
    },
    /// The server was not reached over any transport for
    /// [`SERVER_UNREACHABLE`](crate::constants::SERVER_UNREACHABLE); the engine goes on trying.
    ServerUnreachable,
    /// Somebody with the same key registered: this peer does not register again.
    Replaced,
    /// The server's handshake failed or its key is not the one expected.
    ServerRefused(ServerRefusal),
    /// The server introduced this peer and another.
    Introduced {
        /// The session.
        session: SessionHandle,
        /// The other peer.
        peer: PeerId,
        /// The session's transport.
        transport: Transport,
        /// Whether this side asked for it.
        initiator: bool,
    },
    /// The other peer proved that it holds its key: from here on data may be sent and arrives.
    Established {
        /// The session.
        session: SessionHandle,
        /// The other peer.
        peer: PeerId,
        /// Whether this side asked for it.
        initiator: bool,
    },
    /// A path was heard or proved.
    Path {
        /// The session.
        session: SessionHandle,
        /// How far it is.
        state: PathState,
        /// Which path.
        path: PathInfo,
    },
    /// Data takes this path from here on.
    Selected {
        /// The session.
        session: SessionHandle,
        /// Which path.
        path: PathInfo,
    },
    /// A path died: nothing authentic arrived on it in time, or its stream ended.
    PathLost {
        /// The session.
        session: SessionHandle,
        /// Which path.
        path: PathInfo,
    },
    /// A datagram arrived.
    Datagram {
        /// The session.
        session: SessionHandle,
        /// Its octets.
        #[serde(serialize_with = "hex")]
        octets: &'a [u8],
    },
    /// The next octets of the byte stream arrived.
    Stream {
        /// The session.
        session: SessionHandle,
        /// The octets.
        #[serde(serialize_with = "hex")]
        octets: &'a [u8],
    },
    /// The other side ended its byte stream; everything before was delivered.
    Finished {
        /// The session.
        session: SessionHandle,
    },
    /// Everything up to this offset was delivered to the other peer's engine.
    Acknowledged {
        /// The session.
        session: SessionHandle,
        /// Octets of the byte stream, counted from its beginning.
        offset: u64,
    },
    /// There is room in the byte stream again.
    Writable {
        /// The session.
        session: SessionHandle,
    },
    /// An attempt of a session that is established begins.
    Attempt {
        /// The session.
        session: SessionHandle,
        /// Counts the session's attempts from 1.
        number: u16,
        /// How.
        strategy: Strategy,
        /// How many ports are tried, or the TTL: what the strategy makes of it.
        width: u16,
    },
    /// No direct path was found in this attempt; the session goes on over the relay if there is one.
    NotDirect {
        /// The session.
        session: SessionHandle,
        /// Why, and how sure that is.
        verdict: Verdict,
        /// How sure the verdict's statement is.
        certainty: Certainty,
        /// What it rests on.
        evidence: Evidence,
    },
    /// A direct path was proved: the verdict told before does not hold.
    Withdrawn {
        /// The session.
        session: SessionHandle,
        /// The verdict.
        verdict: Verdict,
    },
    /// The session ended.
    Closed {
        /// The session.
        session: SessionHandle,
        /// Why.
        reason: CloseReason,
    },
    /// Everything has been ended; the engine does nothing any more.
    Stopped,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// This peer's own policy allows the relay only.
    pub relay_only: bool,
    /// The other peer's answer arrived.
    pub answered: bool,
    /// How many endpoints of the other peer may be tried.
    pub candidates: u8,
    /// Whether one of them has this peer's own public address.
    pub same_address: bool,
    /// Whether anything of the session arrived directly and was not answered to a proof.
    pub heard: bool,
    /// How the NAT in front of this peer maps, as it measured.
    #[serde(serialize_with = "mapping_name")]
    pub own_mapping: Mapping,
    /// How the other's does, by its word.
    #[serde(serialize_with = "mapping_name")]
    pub other_mapping: Mapping,
    /// How the NAT in front of this peer takes its ports, as its samples tell.
    #[serde(serialize_with = "allocation_name")]
    pub own_allocation: Allocation,
    /// How the other's does, by its word.
    #[serde(serialize_with = "allocation_name")]
    pub other_allocation: Allocation,
    /// Whether UDP was wanted and the server answers over TCP alone.
    pub udp_silent: bool,
    /// How many attempts were made since something changed.
    pub attempts: u8,
}

/// Octets as traces have them.
fn hex<S: serde::Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&base16ct::lower::encode_string(octets))
}

fn mapping_name<S: serde::Serializer>(mapping: &Mapping, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(mapping.name())
}

fn allocation_name<S: serde::Serializer>(allocation: &Allocation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(allocation.name())
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The evidence admits nothing else.
    Proved,
    /// The evidence fits, and fits other causes too.
    Consistent,
    /// There is no evidence.
    Unknown,
}

/// Why a registration was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfflineReason {
    /// The server did not answer.
    Silence,
    /// The connection to the server ended.
    StreamClosed,
    /// The server does not know the registration, as after its restart.
    Reset,
    /// The local interfaces changed.
    Moved,
    /// The keys of the registration had their time: it is made anew at once.
    KeysWorn,
}

/// Why a registration cannot come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerRefusal {
    /// The server's key differs from the one configured.
    KeyDiffers,
    /// The server speaks no version that this peer speaks.
    UnsupportedVersion,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The other side closed it.
    Remote,
    /// The server or the other peer refused it.
    Refused(Refusal),
    /// No message that proves the other peer's key arrived, though answers did.
    AuthenticationFailed,
    /// No path to the other peer was found, and no relay is allowed or available.
    NoPath(Verdict),
    /// Every path went silent.
    Lost,
    /// A second session with the same peer took its place.
    Superseded,
    /// Its keys were in use for [`KEY_LIFETIME`](crate::constants::KEY_LIFETIME).
    KeysWorn,
    /// The server did not answer the request.
    ServerSilent,
}
