//! What a check found: properties, how sure each is, and the observations that they rest on.

use alloc::vec::Vec;

use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::peer::Certainty;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The server's main endpoint.
    pub server: Endpoint,
    /// What holds for UDP, if it was asked for.
    pub udp: Option<NatReport>,
    /// What holds for TCP, if it was asked for.
    pub tcp: Option<NatReport>,
}

/// What is between this machine and the server, for one transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NatReport {
    /// Whether the server answered at all.
    pub reachable: bool,
    /// The endpoint of the main port on this machine.
    pub private: Option<Endpoint>,
    /// The endpoint that the server saw it at.
    pub public: Option<Endpoint>,
    /// Whether something on the way translates.
    pub translated: Property<bool>,
    /// On what of the remote endpoint a mapping depends.
    pub mapping: Property<Dependence>,
    /// On what of the remote endpoint it depends what is let in.
    pub filtering: Property<Dependence>,
    /// What the right to send in is attached to; visible only where one port has several mappings.
    pub permission: Property<PermissionScope>,
    /// What becomes of packets from the inside to the public endpoint.
    pub hairpin: Property<Hairpin>,
    /// Whether such packets pass the filter for those from outside.
    pub hairpin_filtered: Property<bool>,
    /// Whether a mapping takes the private port when that is free.
    pub port_preservation: Property<bool>,
    /// Where the port of a mapping comes from otherwise.
    pub allocation: Property<Allocation>,
    /// What becomes of a SYN that is not let in (TCP only).
    pub unsolicited_syn: Property<Unsolicited>,
    /// Whether octets of the payload that look like an address are rewritten (UDP over IPv4 only).
    pub look_alikes: Property<bool>,
    /// How long a mapping lives when nothing passes (UDP only, where it was asked for).
    pub idle_timeout: Property<IdleTimeout>,
    /// Everything that was seen, in order; [`Property::evidence`] has places in this list.
    pub observations: Vec<Observation>,
}

/// One property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Property<T> {
    /// What it is; absent when nothing tells.
    pub value: Option<T>,
    /// How sure that is.
    pub certainty: Certainty,
    /// The observations that it rests on.
    pub evidence: Vec<usize>,
}

impl<T> Property<T> {
    /// Nothing is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { value: None, certainty: Certainty::Unknown, evidence: Vec::new() }
    }

    pub(super) const fn proved(value: T, evidence: Vec<usize>) -> Self {
        Self { value: Some(value), certainty: Certainty::Proved, evidence }
    }

    pub(super) const fn consistent(value: T, evidence: Vec<usize>) -> Self {
        Self { value: Some(value), certainty: Certainty::Consistent, evidence }
    }

    pub(super) const fn of(value: T, proved: bool, evidence: Vec<usize>) -> Self {
        if proved { Self::proved(value, evidence) } else { Self::consistent(value, evidence) }
    }
}

/// On what of the remote endpoint something depends (RFC 4787, sections 4.1 and 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependence {
    /// On nothing.
    EndpointIndependent,
    /// On its address.
    AddressDependent,
    /// On its address and port.
    AddressAndPortDependent,
}

/// What the right to send in is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PermissionScope {
    /// The mapping that the packet to the remote endpoint left by.
    Mapping,
    /// The private endpoint: whoever it sent to may use each of its mappings.
    InternalEndpoint,
}

/// What becomes of a packet from the inside to a public endpoint of the same NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hairpin {
    /// It does not arrive.
    None,
    /// It arrives, from the sender's public endpoint.
    ExternalSource,
    /// It arrives, from the sender's private endpoint.
    InternalSource,
}

/// Where the port of a mapping comes from when it is not the private one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocation {
    /// One after the other.
    Sequential {
        /// The first port that was seen to be given out.
        first: u16,
        /// The distance from one to the next, modulo 65,536: above 32,767 where they go down.
        step: u16,
    },
    /// Anywhere.
    Random,
}

/// What becomes of a SYN that is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsolicited {
    /// Silence.
    Dropped,
    /// A reset, or an ICMP error that the server's system reports alike.
    Refused,
}

/// Between which bounds a timeout lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct IdleTimeout {
    /// The longest silence that a mapping outlived, in milliseconds; 0 where it outlived none.
    pub at_least_ms: u64,
    /// The shortest one that it did not; absent where it outlived all.
    pub at_most_ms: Option<u64>,
}

/// One thing that was tried, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// The transport.
    pub transport: Transport,
    /// Which of this side's ports it was tried from, counted from 0.
    pub port: usize,
    /// That port's endpoint on this machine, once it is known.
    pub from: Option<Endpoint>,
    /// Where the packet went.
    pub to: Endpoint,
    /// What was tried.
    pub probe: Probe,
    /// How many packets it took; 1 for a stream.
    pub sent: u8,
    /// What came of it.
    pub outcome: Outcome,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// The server says where it sees this port.
    Observe,
    /// The server answers, or dials, from another endpoint than the one asked.
    Reply(Place),
    /// A packet to the public endpoint of another own port.
    Hairpin {
        /// That port has sent to this one's public endpoint before.
        prepared: bool,
    },
    /// As `Observe`, with octets in the question that look like this address.
    LookAlike(Endpoint),
    /// Whether something outlived a silence. The NAT has seen no packet for a time between the two, in milliseconds.
    Silence {
        /// What was looked for afterwards.
        remnant: Remnant,
        /// The silence was not shorter.
        at_least_ms: u64,
        /// And not longer.
        at_most_ms: u64,
    },
}

/// What packets leave in a NAT, and what shows whether it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remnant {
    /// A mapping: the server sees the same public endpoint again, there.
    Mapping(Place),
    /// The right to send in: an answer from there arrives, to which nothing was sent again.
    Permission(Place),
}

/// From where the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// From the endpoint that was asked.
    Asked,
    /// From its other port.
    OtherPort,
    /// From its other address.
    OtherAddress,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The server saw this endpoint.
    Observed(Endpoint),
    /// It arrived, from this endpoint.
    Arrived(Endpoint),
    /// Nothing arrived.
    Silent,
    /// It was refused: a reset or an ICMP error.
    Refused,
    /// The answer shows that octets were rewritten.
    Rewritten,
    /// What was there before is still there.
    Kept,
    /// It is gone.
    Lost,
    /// It could not be tried.
    Untried,
}

impl Outcome {
    /// The endpoint that the server saw.
    #[must_use]
    pub const fn observed(self) -> Option<Endpoint> {
        match self {
            Self::Observed(endpoint) => Some(endpoint),
            Self::Arrived(_)
            | Self::Silent
            | Self::Refused
            | Self::Rewritten
            | Self::Kept
            | Self::Lost
            | Self::Untried => None,
        }
    }
}

impl Observation {
    /// The endpoint that the server saw.
    #[must_use]
    pub const fn observed(&self) -> Option<Endpoint> {
        self.outcome.observed()
    }

    /// Where it arrived from.
    #[must_use]
    pub const fn arrived(&self) -> Option<Endpoint> {
        match self.outcome {
            Outcome::Arrived(endpoint) => Some(endpoint),
            Outcome::Observed(_)
            | Outcome::Silent
            | Outcome::Refused
            | Outcome::Rewritten
            | Outcome::Kept
            | Outcome::Lost
            | Outcome::Untried => None,
        }
    }
}
