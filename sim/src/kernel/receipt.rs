//! Why a host did what it did with a packet: the socket, the rule and the operands, as data.

use pinhole_proto::{Endpoint, SocketId, StreamId};
use serde::Serialize;

/// What a host's network side did with one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostReceipt {
    /// By which rule.
    pub rule: HostRule,
    /// The endpoint here that was looked up; of an ICMP error the source of the packet quoted.
    pub local: Endpoint,
    /// The endpoint there; of an ICMP error the destination of the packet quoted.
    pub remote: Endpoint,
    /// Who took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taker: Option<Taker>,
    /// The state of the connection before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<TcpState>,
    /// The state of the connection after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<TcpState>,
    /// The numbers that were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

/// Who took a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taker {
    /// A UDP socket.
    Socket(SocketId),
    /// A TCP listener.
    Listener(SocketId),
    /// A TCP stream that the engine has a name for.
    Stream(StreamId),
    /// A TCP connection that the engine does not know, or knows no longer.
    Connection,
}

/// The state of a TCP connection, in the words of RFC 9293.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcpState {
    /// A SYN was sent.
    SynSent,
    /// A SYN came and was answered.
    SynReceived,
    /// Both sides know that it exists; the states from ESTABLISHED to LAST-ACK.
    Established,
    /// This side ended first.
    TimeWait,
    /// It has ended.
    Closed,
}

/// The numbers of a segment beside those that the connection expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Numbers {
    /// The segment's sequence number.
    pub seq: u64,
    /// The sequence number expected next.
    pub expected: u64,
    /// The segment's acknowledgement number.
    pub ack: u64,
    /// The number that the next octet sent here has; behind a SYN the only one acceptable.
    pub sent: u64,
}

/// By which rule a host treated a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostRule {
    /// The address is none of the host's (any longer): dropped.
    AddressNotHere,
    /// A UDP socket has the port: delivered.
    PortOpen,
    /// No socket has the port: dropped, and answered if the host does that.
    PortClosed,
    /// The port has a listener, the segment opens nothing and no connection has its endpoints: reset.
    NoConnection,
    /// A listener takes the SYN.
    ListenerTakesSyn,
    /// A pending dial takes the SYN of the other side: simultaneous open.
    DialTakesSyn,
    /// The listener takes a SYN that matches a pending dial, which fails by it.
    ListenerTakesCrossingSyn,
    /// The SYN-ACK completes a dial.
    SynAckOpens,
    /// The ACK completes a connection that a SYN had begun.
    AckOpens,
    /// The segment acknowledges something that was not sent: reset in a handshake, else answered with an ACK.
    AckWrong,
    /// The RST acknowledges the SYN: the dial is refused.
    ResetRefuses,
    /// The RST does not acknowledge the SYN, or its number is outside the window: ignored.
    ResetWrong,
    /// The RST ends the connection.
    ResetEnds,
    /// A SYN again: the answer is repeated.
    SynAgain,
    /// The segment is neither SYN, ACK nor RST where one of them is needed: ignored.
    Unexpected,
    /// It carries nothing that counts: its acknowledgement was noted.
    AckNoted,
    /// It is within the window: kept, and acknowledged.
    InWindow,
    /// It was had before, or is outside the window: acknowledged only.
    OutsideWindow,
    /// Octets for an engine that has closed the stream: reset.
    AfterClose,
    /// A SYN for endpoints that rest after an earlier connection: a listener takes it.
    TimeWaitReopened,
    /// The connection rests after its end.
    TimeWait,
    /// The ICMP error is told to the UDP socket.
    ErrorTold,
    /// The ICMP error ends a dial.
    ErrorEndsDial,
    /// The ICMP error ends no connection that exists.
    ErrorIgnored,
    /// The ICMP error is about a packet of no socket here.
    ErrorStray,
}

impl HostRule {
    /// Whether a socket or a connection here took the packet.
    #[must_use]
    pub const fn is_taken(self) -> bool {
        !matches!(self, Self::AddressNotHere | Self::PortClosed | Self::NoConnection | Self::ErrorStray)
    }
}

impl HostReceipt {
    pub(crate) const fn new(rule: HostRule, local: Endpoint, remote: Endpoint) -> Self {
        Self { rule, local, remote, taker: None, before: None, after: None, numbers: None }
    }

    pub(super) const fn taken_by(mut self, taker: Taker) -> Self {
        self.taker = Some(taker);
        self
    }
}
