//! Packets as NATs and links see them.

use alloc::sync::Arc;
use core::fmt;

use pinhole_proto::{Endpoint, NetError, Transport};
use serde::{Serialize, Serializer};

/// Octets that several copies of a packet share.
pub type Octets = Arc<[u8]>;

/// An IP packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Packet {
    /// Where it says that it comes from.
    pub source: Endpoint,
    /// Where it goes.
    pub destination: Endpoint,
    /// How many routers it may still pass.
    pub ttl: u8,
    /// What it carries.
    pub body: Body,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// A UDP datagram.
    Udp(#[serde(serialize_with = "hex")] Octets),
    /// A TCP segment.
    Tcp(Segment),
    /// An ICMP error about an earlier packet.
    Icmp(Icmp),
}

/// A TCP segment. Sequence numbers have 64 bits here and never wrap; real ones are their lower half.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Segment {
    /// The flags.
    pub flags: Flags,
    /// The number of the first octet, or of the SYN or FIN.
    pub seq: u64,
    /// The number expected next; meaningful with the ACK flag.
    pub ack: u64,
    /// How many octets after `ack` the sender has room for.
    pub window: u32,
    /// The number of the segment that this one acknowledges by itself, ahead of the order (a small SACK).
    pub single: Option<u64>,
    /// The octets.
    #[serde(serialize_with = "hex")]
    pub octets: Octets,
}

/// The flags of a TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flags {
    /// Synchronise: opens.
    pub syn: bool,
    /// The `ack` field is meant.
    pub ack: bool,
    /// No more octets follow.
    pub fin: bool,
    /// Reset: ends at once.
    pub rst: bool,
}

impl Flags {
    /// SYN.
    pub const SYN: Self = Self { syn: true, ack: false, fin: false, rst: false };
    /// SYN and ACK.
    pub const SYN_ACK: Self = Self { syn: true, ack: true, fin: false, rst: false };
    /// ACK.
    pub const ACK: Self = Self { syn: false, ack: true, fin: false, rst: false };
    /// FIN and ACK.
    pub const FIN: Self = Self { syn: false, ack: true, fin: true, rst: false };
    /// RST and ACK.
    pub const RST: Self = Self { syn: false, ack: true, fin: false, rst: true };

    /// Whether this is a first SYN: one without an ACK.
    #[must_use]
    pub const fn opens(self) -> bool {
        self.syn && !self.ack
    }
}

/// An ICMP error. The packet's destination is the quoted source, port included, so that a NAT finds
/// the row where real ones look into the quotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Icmp {
    /// What it means to a socket: [`NetError::Refused`] for an unreachable port, else
    /// [`NetError::Unreachable`].
    pub error: NetError,
    /// The transport of the packet quoted.
    pub transport: Transport,
    /// The source of the packet quoted.
    pub source: Endpoint,
    /// The destination of the packet quoted.
    pub destination: Endpoint,
}

impl Packet {
    /// The time to live that systems give their packets.
    pub const TTL: u8 = 64;

    /// A datagram.
    #[must_use]
    pub fn udp(source: Endpoint, destination: Endpoint, payload: &[u8]) -> Self {
        Self { source, destination, ttl: Self::TTL, body: Body::Udp(payload.into()) }
    }

    /// A TCP segment without octets.
    #[must_use]
    pub fn tcp(source: Endpoint, destination: Endpoint, flags: Flags, seq: u64, ack: u64) -> Self {
        Self {
            source,
            destination,
            ttl: Self::TTL,
            body: Body::Tcp(Segment { flags, seq, ack, window: 0, single: None, octets: Octets::from([]) }),
        }
    }

    /// The transport; of an ICMP error that of the packet quoted.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match &self.body {
            Body::Udp(_) => Transport::Udp,
            Body::Tcp(_) => Transport::Tcp,
            Body::Icmp(icmp) => icmp.transport,
        }
    }

    /// The TCP flags, if it is a segment.
    #[must_use]
    pub const fn flags(&self) -> Option<Flags> {
        match &self.body {
            Body::Tcp(segment) => Some(segment.flags),
            Body::Udp(_) | Body::Icmp(_) => None,
        }
    }

    /// The octets that it carries for an application.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        match &self.body {
            Body::Udp(octets) => octets,
            Body::Tcp(segment) => &segment.octets,
            Body::Icmp(_) => &[],
        }
    }

    /// Its size on the wire: headers without options, and octets.
    #[must_use]
    pub fn wire_length(&self) -> usize {
        let ip = match self.source.family() {
            pinhole_proto::Family::V4 => 20,
            pinhole_proto::Family::V6 => 40,
        };
        ip + match &self.body {
            Body::Udp(octets) => 8 + octets.len(),
            Body::Tcp(segment) => 20 + segment.octets.len(),
            Body::Icmp(_) => 36,
        }
    }

    /// The reset that answers a segment which belongs to no connection; none for a reset.
    #[must_use]
    pub fn reset_for(&self) -> Option<Self> {
        let Body::Tcp(segment) = &self.body else {
            return None;
        };
        if segment.flags.rst {
            return None;
        }
        let (flags, seq, ack) = if segment.flags.ack {
            let flags = Flags { ack: false, ..Flags::RST };
            (flags, segment.ack, 0)
        } else {
            (Flags::RST, 0, segment.seq + segment.length())
        };
        Some(Self::tcp(self.destination, self.source, flags, seq, ack))
    }

    /// The ICMP error about this packet, from `reporter`; none about another ICMP error.
    #[must_use]
    pub fn error_from(&self, reporter: pinhole_proto::Address, error: NetError) -> Option<Self> {
        if matches!(self.body, Body::Icmp(_)) {
            return None;
        }
        Some(Self {
            source: Endpoint::new(reporter, 0),
            destination: self.source,
            ttl: Self::TTL,
            body: Body::Icmp(Icmp {
                error,
                transport: self.transport(),
                source: self.source,
                destination: self.destination,
            }),
        })
    }
}

impl Segment {
    /// How many sequence numbers it uses.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.octets.len() as u64 + u64::from(self.flags.syn) + u64::from(self.flags.fin)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(self.syn, "SYN"), (self.fin, "FIN"), (self.rst, "RST"), (self.ack, "ACK")];
        let mut first = true;
        for (_, name) in names.iter().filter(|(set, _)| *set) {
            if !first {
                f.write_str("-")?;
            }
            first = false;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ", self.source, self.destination)?;
        match &self.body {
            Body::Udp(octets) => write!(f, "UDP {}", octets.len()),
            Body::Tcp(s) => {
                write!(f, "{} seq={}", s.flags, s.seq)?;
                if s.flags.ack {
                    write!(f, " ack={}", s.ack)?;
                }
                if !s.octets.is_empty() {
                    write!(f, " {}", s.octets.len())?;
                }
                Ok(())
            }
            Body::Icmp(icmp) => write!(f, "ICMP {:?} about {} -> {}", icmp.error, icmp.source, icmp.destination),
        }
    }
}

fn hex<S: Serializer>(octets: &Octets, serializer: S) -> Result<S::Ok, S::Error> {
    struct Hex<'a>(&'a [u8]);
    impl fmt::Display for Hex<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
        }
    }
    serializer.collect_str(&Hex(octets))
}
