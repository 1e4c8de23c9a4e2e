//! The contract between a sans-IO engine and whoever drives it.
//!
//! Both engines, [`Peer`](crate::peer::Peer) and [`Server`](crate::server::Server), run under tokio, in
//! a simulator, in fuzzers and in a browser through this one trait. Eight clauses bind them, each with a
//! property test (`proto/tests/it/contract/mod.rs`):
//!
//! 1. No input makes an engine panic.
//! 2. `Err` from [`Engine::handle_input`] leaves the state as after [`Input::Timeout`] at the same
//!    `now`, discard counters and rate limits aside; `Err` from [`Engine::handle_command`] changes nothing.
//! 3. Queued work is always returned before a deadline.
//! 4. A timeout before the deadline changes nothing.
//! 5. After a timeout at `t` the next deadline is later than `t`, or there is none.
//! 6. Equal configuration, seed and inputs give equal bytes on every target.
//! 7. A server sends no more octets to an unvalidated address than came from it; a peer no more than
//!    its probe budget to an unproved one.
//! 8. Every table has a `MAX_*` and an eviction rule.

use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::time::Instant;

/// A sans-IO protocol engine.
pub trait Engine {
    /// What the application asks.
    type Command<'a>;
    /// What a successful command answers.
    type Reply;
    /// What the application is told.
    type Event<'a>
    where
        Self: 'a;

    /// Fires what is due at `now`, then applies one input.
    ///
    /// # Errors
    /// The input was ignored, for the reason given; see clause 2 above.
    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard>;

    /// Applies what the application asks.
    ///
    /// # Errors
    /// The command was refused and nothing changed.
    fn handle_command(&mut self, now: Instant, command: Self::Command<'_>) -> Result<Self::Reply, CommandError>;

    /// The oldest output that was not fetched; the last is always [`Output::Wait`].
    fn poll_output(&mut self) -> Output<'_, Self::Event<'_>>;
}

/// UDP or TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams; a local port is one socket for everybody.
    Udp,
    /// Streams; a local port is one listener and any number of streams.
    Tcp,
}

/// A local port: for UDP one socket, for TCP a listener and the streams dialled from it.
///
/// The engine names it and never uses a name twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct SocketId(pub u32);

/// One TCP connection. The engine names those that it dials (even numbers), the driver those that it
/// accepts (odd numbers); no name is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct StreamId(pub u64);

/// One address of a local interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Interface {
    /// The address.
    pub address: Address,
    /// The length of the network prefix, in bits.
    pub prefix: u8,
}

impl Interface {
    /// Whether `other` is on the interface's network.
    #[must_use]
    pub fn contains(&self, other: Address) -> bool {
        fn equal_prefix(a: &[u8], b: &[u8], bits: usize) -> bool {
            let (whole, rest) = (bits / 8, bits % 8);
            a[..whole] == b[..whole] && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0)
        }
        match (self.address, other) {
            (Address::V4(a), Address::V4(b)) => {
                equal_prefix(&a.octets(), &b.octets(), usize::from(self.prefix.min(32)))
            }
            (Address::V6(a), Address::V6(b)) => {
                equal_prefix(&a.octets(), &b.octets(), usize::from(self.prefix.min(128)))
            }
            _ => false,
        }
    }
}

/// Why the operating system refused or ended something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetError {
    /// EADDRINUSE.
    AddressInUse,
    /// EADDRNOTAVAIL; on a dial from a shared port it means "this tuple is connected already".
    AddressNotAvailable,
    /// ENETUNREACH, EHOSTUNREACH or an ICMP error of that meaning.
    Unreachable,
    /// EACCES or EPERM.
    NotPermitted,
    /// ECONNREFUSED, or an ICMP port unreachable.
    Refused,
    /// ECONNRESET, ECONNABORTED or EPIPE.
    Reset,
    /// ETIMEDOUT.
    TimedOut,
    /// Anything else.
    Other,
}

/// What happened outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Time passed.
    Timeout,
    /// The local addresses, at the start and after every change: roaming is this input.
    Interfaces(&'a [Interface]),
    /// An [`Output::Open`] succeeded.
    Opened {
        /// The socket that was ordered.
        socket: SocketId,
        /// Its local endpoint; the address is unspecified when it is bound to the wildcard.
        local: Endpoint,
    },
    /// An [`Output::Open`] failed.
    OpenFailed {
        /// The socket that was ordered.
        socket: SocketId,
        /// Why.
        error: NetError,
    },
    /// A datagram arrived.
    Datagram {
        /// The socket that it arrived on.
        socket: SocketId,
        /// The local address that it was sent to.
        local: Address,
        /// Where it came from.
        remote: Endpoint,
        /// Its octets.
        payload: &'a [u8],
    },
    /// The system reports that a datagram to `remote` was rejected (ICMP). A hint only: anybody can send it.
    Rejected {
        /// The socket that the datagram left from.
        socket: SocketId,
        /// Where it was sent to.
        remote: Endpoint,
        /// What was reported.
        error: NetError,
    },
    /// Something happened to a stream.
    Stream {
        /// Which stream.
        stream: StreamId,
        /// What happened.
        what: StreamInput<'a>,
    },
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamInput<'a> {
    /// A listener accepted it.
    Accepted {
        /// The socket whose listener it was.
        socket: SocketId,
        /// The stream's local endpoint.
        local: Endpoint,
        /// The stream's remote endpoint.
        remote: Endpoint,
    },
    /// A dial succeeded.
    Connected {
        /// The stream's local endpoint.
        local: Endpoint,
    },
    /// Octets arrived; any number of them, cut anywhere.
    Received(&'a [u8]),
    /// So many octets left the stream's buffer: credit comes back.
    Written(u32),
    /// The stream ended, or a dial failed. Nothing more is said about it.
    Closed(Option<NetError>),
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a, E> {
    /// Open a local port; answered by [`Input::Opened`] or [`Input::OpenFailed`].
    Open {
        /// The name that the port gets.
        socket: SocketId,
        /// UDP: a socket. TCP: a listener whose port dials share.
        transport: Transport,
        /// IPv4 or IPv6, on the wildcard address of that family (IPv6 with V6ONLY).
        family: crate::endpoint::Family,
        /// The port, or 0 for any.
        port: u16,
        /// Use the port of this socket, whatever it is (the other transport or family).
        share: Option<SocketId>,
    },
    /// Close a local port. Streams live on.
    Shut {
        /// Which port.
        socket: SocketId,
    },
    /// Send a datagram.
    Transmit {
        /// The socket to send it from.
        socket: SocketId,
        /// The local address to send it from; the system's choice when absent.
        local: Option<Address>,
        /// Where to.
        remote: Endpoint,
        /// The IP time to live; the system's when absent.
        ttl: Option<u8>,
        /// Its octets.
        payload: &'a [u8],
    },
    /// Connect a stream; answered by [`StreamInput::Connected`] or [`StreamInput::Closed`].
    Dial {
        /// The name that the stream gets.
        stream: StreamId,
        /// The local port to dial from.
        from: SocketId,
        /// The local address to dial from; the system's choice when absent.
        local: Option<Address>,
        /// Where to.
        remote: Endpoint,
        /// The IP time to live of the SYN; the system's when absent.
        ttl: Option<u8>,
    },
    /// Append octets to a stream.
    Write {
        /// Which stream.
        stream: StreamId,
        /// The octets.
        octets: &'a [u8],
    },
    /// Start or stop reading from a stream (backpressure). Streams start reading.
    Read {
        /// Which stream.
        stream: StreamId,
        /// Whether to read.
        on: bool,
    },
    /// End a stream: in order after what was written, or at once with a reset. Nothing more is said about it.
    Close {
        /// Which stream.
        stream: StreamId,
        /// With a reset.
        abort: bool,
    },
    /// Tell the application.
    Event(E),
    /// Nothing more to do until then, or until an input.
    Wait(Option<Instant>),
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandError {
    /// The argument is longer than the protocol carries; see the command.
    TooLong,
    /// A table is full (`MAX_*`).
    TooMany,
    /// The session's state does not allow it: it has ended, or it carries the other service.
    WrongState,
    /// The peer named is this peer.
    OwnId,
    /// There is no such session or stream.
    Unknown,
    /// The engine is not registered with a server over a transport that the command needs.
    NotOnline,
    /// There is no room at this moment; the `Writable` event says when to go on.
    WouldBlock,
}

impl core::fmt::Display for CommandError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than the protocol carries",
            Self::TooMany => "the table is full",
            Self::WrongState => "not possible in this state",
            Self::OwnId => "the peer is this peer itself",
            Self::Unknown => "no such session",
            Self::NotOnline => "not registered with a server",
            Self::WouldBlock => "no room at this moment",
        })
    }
}

impl core::error::Error for CommandError {}

/// The most octets a stream holds without [`StreamInput::Written`].
pub const MAX_UNWRITTEN: usize = 262_144;
