//! Codes: open numbers with names, checked against `spec/registries/`.

use serde::{Deserialize, Serialize, Serializer};

/// The kind of a packet, `spec/registries/packets.csv`.
pub mod packet {
    /// Asks for versions, cookie and observed endpoint.
    pub const DISCOVER: u8 = 0x04;
    /// Answers `Discover`.
    pub const DISCOVERED: u8 = 0x05;
    /// Registers a peer.
    pub const REGISTER: u8 = 0x06;
    /// Answers `Register`.
    pub const REGISTERED: u8 = 0x07;
    /// The initiator's punch.
    pub const PUNCH: u8 = 0x08;
    /// The responder's punch.
    pub const PUNCH_REPLY: u8 = 0x09;
    /// Sealed messages.
    pub const SEALED: u8 = 0x0a;
    /// A packet between peers on its way through the server.
    pub const RELAYED: u8 = 0x0b;
    /// The receiver of a `Sealed` does not know its index.
    pub const RESET: u8 = 0x0c;
    /// Reserved so that nobody relies on its absence.
    pub const GREASE: u8 = 0x0f;
}

/// The code of a message inside `Sealed`, `spec/registries/messages.csv`.
pub mod message {
    /// Request: return a nonce.
    pub const PATH_CHECK: u8 = 0x01;
    /// Answer to `PathCheck`.
    pub const PATH_REPLY: u8 = 0x02;
    /// Answer without content.
    pub const ACKNOWLEDGE: u8 = 0x03;
    /// Answer: no, and why.
    pub const REFUSE: u8 = 0x04;
    /// Request: keep or set up a binding.
    pub const REFRESH: u8 = 0x10;
    /// Answer to `Refresh`.
    pub const REFRESHED: u8 = 0x11;
    /// Request: end the registration.
    pub const UNREGISTER: u8 = 0x12;
    /// Request: another registration of the same key has replaced this one.
    pub const REPLACED: u8 = 0x13;
    /// Request: answer later.
    pub const ECHO: u8 = 0x14;
    /// Request: introduce me to a peer.
    pub const CONNECT: u8 = 0x18;
    /// Answer to `Connect`.
    pub const INTRODUCED: u8 = 0x19;
    /// Request: a peer wants a session.
    pub const INTRODUCE: u8 = 0x1a;
    /// Answer to `Introduce`.
    pub const ANSWER: u8 = 0x1b;
    /// Request: what the responder answered.
    pub const ANSWERED: u8 = 0x1c;
    /// Request: the responder refused.
    pub const REJECTED: u8 = 0x1d;
    /// Request: a relay channel for a session.
    pub const RELAY_OPEN: u8 = 0x20;
    /// Answer to `RelayOpen`.
    pub const RELAY_OPENED: u8 = 0x21;
    /// Request: this path carries the session's data.
    pub const SELECT: u8 = 0x30;
    /// Request: punch again.
    pub const ATTEMPT: u8 = 0x31;
    /// Request: the session ends.
    pub const CLOSE: u8 = 0x32;
    /// Request: the sender's byte stream ends.
    pub const FINISH: u8 = 0x33;
    /// Answer to `Attempt`.
    pub const ATTEMPTED: u8 = 0x34;
    /// A datagram of the application.
    pub const DATAGRAM: u8 = 0x38;
    /// Octets of the byte stream.
    pub const DATA: u8 = 0x39;
    /// What of the byte stream arrived, and how much more may.
    pub const ACK: u8 = 0x3a;
    /// From here on an unknown message is skipped instead of discarding the rest of its packet.
    pub const IGNORABLE: u8 = 0x80;
}

/// Why a request was refused, `spec/registries/refusals.csv`.
// [R-WIRE-026] Codes are open: the number is what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Refusal(pub u8);

impl Refusal {
    /// The target is not registered, over no transport in common.
    pub const NOT_REGISTERED: Self = Self(1);
    /// The target does not want it.
    pub const REFUSED: Self = Self(2);
    /// Too many, too fast, or a table is full.
    pub const LIMITED: Self = Self(3);
    /// The list of versions was tampered with.
    pub const DOWNGRADE: Self = Self(4);
    /// No version in common.
    pub const UNSUPPORTED_VERSION: Self = Self(5);
    /// The server does not relay for this pair.
    pub const RELAY_REFUSED: Self = Self(6);

    /// The name in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "not-registered",
            2 => "refused",
            3 => "limited",
            4 => "downgrade",
            5 => "unsupported-version",
            6 => "relay-refused",
            _ => "unknown",
        }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.name())
        } else {
            self.0.serialize(serializer)
        }
    }
}

/// Why a session is not direct, `spec/registries/verdicts.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verdict(pub u8);

impl Verdict {
    /// No evidence tells why.
    pub const UNKNOWN: Self = Self(0);
    /// Both mappings are endpoint-dependent.
    pub const BOTH_ENDPOINT_DEPENDENT: Self = Self(1);
    /// One mapping is endpoint-dependent, and the other side filters by port.
    pub const ENDPOINT_DEPENDENT: Self = Self(2);
    /// Both peers are behind one public address that does not hairpin.
    pub const NO_HAIRPIN: Self = Self(3);
    /// Neither side's packets arrived, though both mappings are endpoint-independent.
    pub const FILTERED: Self = Self(4);
    /// Policy allows the relay only.
    pub const RELAY_ONLY: Self = Self(5);
    /// The other peer told no endpoint.
    pub const NO_CANDIDATES: Self = Self(6);
    /// The other peer did not answer at all.
    pub const PEER_SILENT: Self = Self(7);
    /// Ports follow each other, and other ones than the predicted were given out.
    pub const PREDICTED_PORTS_MISSED: Self = Self(8);
    /// The ports of an endpoint-dependent mapping follow no rule.
    pub const RANDOM_ALLOCATION: Self = Self(9);
    /// Many ports met many sockets, and none was the right one.
    pub const BIRTHDAY_MISSED: Self = Self(10);
    /// The server answers this peer over TCP alone, and TCP made no direct path.
    pub const UDP_BLOCKED: Self = Self(11);

    /// The name in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "both-endpoint-dependent",
            2 => "endpoint-dependent",
            3 => "no-hairpin",
            4 => "filtered",
            5 => "relay-only",
            6 => "no-candidates",
            7 => "peer-silent",
            8 => "predicted-ports-missed",
            9 => "random-allocation",
            10 => "birthday-missed",
            11 => "udp-blocked",
            _ => "unknown",
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How a NAT maps, as its own peer measured it: one octet in the handshakes between peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping(pub u8);

impl Mapping {
    /// Not measured.
    pub const UNKNOWN: Self = Self(0);
    /// One public endpoint towards both of the server's ports.
    pub const ENDPOINT_INDEPENDENT: Self = Self(1);
    /// Different public endpoints; whether the port alone changes it is not known.
    pub const ENDPOINT_DEPENDENT: Self = Self(2);
    /// One public endpoint towards each address.
    pub const ADDRESS_DEPENDENT: Self = Self(3);
    /// One public endpoint towards each address and port.
    pub const ADDRESS_AND_PORT_DEPENDENT: Self = Self(4);

    /// The name in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "endpoint-independent",
            2 => "endpoint-dependent",
            3 => "address-dependent",
            4 => "address-and-port-dependent",
            _ => "unknown",
        }
    }

    /// Whether it was measured that another remote endpoint sees another public one.
    #[must_use]
    pub const fn is_dependent(self) -> bool {
        matches!(self, Self::ENDPOINT_DEPENDENT | Self::ADDRESS_DEPENDENT | Self::ADDRESS_AND_PORT_DEPENDENT)
    }
}

/// What became of a dial that a `Discover` on a stream asked for, `spec/registries/dial-backs.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialBack(pub u8);

impl DialBack {
    /// Nothing answered it within [`DIAL_BACK_PATIENCE`](crate::constants::DIAL_BACK_PATIENCE).
    pub const PENDING: Self = Self(0);
    /// It connected.
    pub const CONNECTED: Self = Self(1);
    /// It was refused, by a reset or an ICMP error of that meaning.
    pub const REFUSED: Self = Self(2);
    /// It failed in another way, or was not made.
    pub const FAILED: Self = Self(3);
}

/// How the ports of fresh mappings follow each other, `spec/registries/allocations.csv`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allocation(pub u8);

impl Allocation {
    /// Not measured.
    pub const UNKNOWN: Self = Self(0);
    /// By a step that was the same every time.
    pub const SEQUENTIAL: Self = Self(1);
    /// By no rule that the samples show.
    pub const RANDOM: Self = Self(2);
    /// The internal port is kept while it is free.
    pub const PRESERVING: Self = Self(3);

    /// The name in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "sequential",
            2 => "random",
            3 => "preserving",
            _ => "unknown",
        }
    }
}

/// How an attempt tries to get through, `spec/registries/strategies.csv`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Strategy(pub u8);

impl Strategy {
    /// Both sides send to the candidates.
    pub const PLAIN: Self = Self(0);
    /// Sequential ports are predicted.
    pub const PREDICTED: Self = Self(1);
    /// Many ports meet many sockets.
    pub const BIRTHDAY: Self = Self(2);
    /// The first packets die on the way.
    pub const LOW_TTL: Self = Self(3);
    /// TCP: one side after the other; the connection to the server's other port stays.
    pub const TCP_SEQUENTIAL_KEEP: Self = Self(4);
    /// TCP: one side after the other; the connection to the server's other port is closed first.
    pub const TCP_SEQUENTIAL_CLOSE: Self = Self(5);
    /// TCP: sequential ports are predicted.
    pub const TCP_PREDICTED: Self = Self(6);

    /// The name in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "plain",
            1 => "predicted",
            2 => "birthday",
            3 => "low-ttl",
            4 => "tcp-sequential-keep",
            5 => "tcp-sequential-close",
            6 => "tcp-predicted",
            _ => "unknown",
        }
    }
}

/// Who may be introduced to a peer, `spec/introduction.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policy(pub u8);

impl Policy {
    /// Nobody.
    pub const CLOSED: Self = Self(0);
    /// Whoever the peer accepts; its endpoints are told with its answer only.
    pub const ASK: Self = Self(1);
    /// Everybody.
    pub const OPEN: Self = Self(2);
}

/// A set of transports: bit 0 UDP, bit 1 TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Transports(pub u8);

impl Transports {
    /// UDP.
    pub const UDP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(2);

    /// Whether `transport` is in the set.
    #[must_use]
    pub const fn contains(self, transport: crate::engine::Transport) -> bool {
        self.0 & Self::of(transport).0 != 0
    }

    /// The set of one.
    #[must_use]
    pub const fn of(transport: crate::engine::Transport) -> Self {
        match transport {
            crate::engine::Transport::Udp => Self::UDP,
            crate::engine::Transport::Tcp => Self::TCP,
        }
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// UDP if it is in the set, else TCP if that is.
    #[must_use]
    pub const fn preferred(self) -> Option<crate::engine::Transport> {
        if self.0 & 1 != 0 {
            Some(crate::engine::Transport::Udp)
        } else if self.0 & 2 != 0 {
            Some(crate::engine::Transport::Tcp)
        } else {
            None
        }
    }
}
