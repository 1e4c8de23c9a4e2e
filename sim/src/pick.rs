//! Packets chosen by what they are: a predicate as data, for faults, marks and expectations.

use alloc::string::{String, ToString as _};
use core::fmt;
use core::str::FromStr;

use pinhole_proto::wire::code::packet;
use pinhole_proto::{Address, Endpoint};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::packet::{Body, Packet};
use crate::world::JourneyId;

/// What a packet must be; what is absent does not matter. A packet is looked at in each network that it
/// crosses, as it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Pick {
    /// The network, by its name: `internet`, or `NAT A LAN` for the one behind NAT A.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The machine that puts it on the line there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The machine that it goes to there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<PacketKind>,
    /// Where it says that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Ends>,
    /// Where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Ends>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journey: Option<JourneyId>,
}

/// A packet in a network, by names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) realm: &'a str,
    pub(crate) from: &'a str,
    pub(crate) to: Option<&'a str>,
    pub(crate) journey: JourneyId,
    pub(crate) packet: &'a Packet,
}

impl Pick {
    /// Every packet of a kind.
    #[must_use]
    pub fn kind(kind: PacketKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Every packet to an endpoint.
    #[must_use]
    pub fn to(destination: Endpoint) -> Self {
        Self { destination: Some(Ends::from(destination)), ..Self::default() }
    }

    /// The same in one network only.
    #[must_use]
    pub fn in_realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.to_string());
        self
    }

    pub(crate) fn matches(&self, seen: &Seen<'_>) -> bool {
        let equal =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let covers = |wanted: &Option<Ends>, found: Endpoint| wanted.is_none_or(|wanted| wanted.contains(found));
        self.journey.is_none_or(|journey| journey == seen.journey)
            && self.kind.is_none_or(|kind| kind.is(seen.packet))
            && covers(&self.source, seen.packet.source)
            && covers(&self.destination, seen.packet.destination)
            && equal(&self.realm, Some(seen.realm))
            && equal(&self.from, Some(seen.from))
            && equal(&self.to, seen.to)
    }
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketKind {
    /// A datagram.
    Udp,
    /// A TCP segment.
    Tcp,
    /// An ICMP error.
    Icmp,
    /// A SYN without ACK.
    Syn,
    /// A SYN with ACK.
    SynAck,
    /// A segment with nothing but ACK.
    Ack,
    /// A segment with FIN.
    Fin,
    /// A segment with RST.
    Rst,
    /// A segment with octets.
    Data,
    /// Pinhole's `Discover`; this and the following ones in a datagram, or as the first frame of a segment.
    Discover,
    /// `Discovered`.
    Discovered,
    /// `Register`.
    Register,
    /// `Registered`.
    Registered,
    /// `Punch`.
    Punch,
    /// `PunchReply`.
    PunchReply,
    /// `Sealed`.
    Sealed,
    /// `Relayed`.
    Relayed,
    /// `Reset`.
    Reset,
}

impl PacketKind {
    /// Whether a packet is of this kind.
    #[must_use]
    pub fn is(self, packet: &Packet) -> bool {
        let flags = packet.flags();
        let message = match &packet.body {
            Body::Udp(octets) => octets.first(),
            // A frame begins with its length, two octets.
            Body::Tcp(segment) => segment.octets.get(2),
            Body::Icmp(_) => None,
        };
        let says = |code| message == Some(&code);
        match self {
            Self::Udp => matches!(packet.body, Body::Udp(_)),
            Self::Tcp => matches!(packet.body, Body::Tcp(_)),
            Self::Icmp => matches!(packet.body, Body::Icmp(_)),
            Self::Syn => flags.is_some_and(|flags| flags.syn && !flags.ack),
            Self::SynAck => flags.is_some_and(|flags| flags.syn && flags.ack),
            Self::Ack => flags.is_some_and(|f| f.ack && !f.syn && !f.fin && !f.rst) && packet.octets().is_empty(),
            Self::Fin => flags.is_some_and(|flags| flags.fin),
            Self::Rst => flags.is_some_and(|flags| flags.rst),
            Self::Data => flags.is_some() && !packet.octets().is_empty(),
            Self::Discover => says(packet::DISCOVER),
            Self::Discovered => says(packet::DISCOVERED),
            Self::Register => says(packet::REGISTER),
            Self::Registered => says(packet::REGISTERED),
            Self::Punch => says(packet::PUNCH),
            Self::PunchReply => says(packet::PUNCH_REPLY),
            Self::Sealed => says(packet::SEALED),
            Self::Relayed => says(packet::RELAYED),
            Self::Reset => says(packet::RESET),
        }
    }
}

/// An endpoint, or all endpoints of an address or of a port: `10.0.0.1:1234`, `10.0.0.1`, `*:1234`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ends {
    address: Option<Address>,
    port: Option<u16>,
}

impl Ends {
    /// Whether an endpoint is one of these.
    #[must_use]
    pub fn contains(&self, endpoint: Endpoint) -> bool {
        self.address.is_none_or(|address| address == endpoint.address())
            && self.port.is_none_or(|port| port == endpoint.port())
    }
}

impl From<Endpoint> for Ends {
    fn from(endpoint: Endpoint) -> Self {
        Self { address: Some(endpoint.address()), port: Some(endpoint.port()) }
    }
}

/// A text is no endpoint, address or `*:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndsError;

impl fmt::Display for EndsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither an endpoint nor an address nor *:port")
    }
}

impl core::error::Error for EndsError {}

impl FromStr for Ends {
    type Err = EndsError;

    fn from_str(text: &str) -> Result<Self, EndsError> {
        if let Some(port) = text.strip_prefix("*:") {
            return Ok(Self { address: None, port: Some(port.parse().map_err(|_| EndsError)?) });
        }
        if let Ok(address) = text.parse::<Address>() {
            return Ok(Self { address: Some(address), port: None });
        }
        text.parse::<Endpoint>().map(Self::from).map_err(|_| EndsError)
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (Some(address), Some(port)) => Endpoint::new(address, port).fmt(f),
            (Some(address), None) => address.fmt(f),
            (None, Some(port)) => write!(f, "*:{port}"),
            (None, None) => f.write_str("*"),
        }
    }
}

impl Serialize for Ends {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ends {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
