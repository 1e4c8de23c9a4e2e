//! Why a NAT did what it did: the row, the rules and the operands, as data.

use pinhole_proto::{Address, Endpoint};
use serde::Serialize;

use super::habits::Kind;
use super::rule::Checks;

/// What a NAT did with one packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Which way the packet went.
    pub direction: Direction,
    /// Its source before.
    pub source: Endpoint,
    /// Its destination before.
    pub destination: Endpoint,
    /// Which external endpoint its inner source has, and by which rule.
    pub mapping: Option<MappingReceipt>,
    /// Whether it may come in, and by which rule.
    pub filter: Option<FilterReceipt>,
    /// Where no mapping has the external endpoint, the one whose external endpoint is nearest.
    pub nearest: Option<RowId>,
    /// Every check that was made, in order.
    pub checks: Checks,
    /// What became of it.
    pub decision: Decision,
}

impl Receipt {
    pub(super) fn new(direction: Direction, source: Endpoint, destination: Endpoint) -> Self {
        Self {
            direction,
            source,
            destination,
            mapping: None,
            filter: None,
            nearest: None,
            checks: Checks::default(),
            decision: Decision::Forwarded { source, destination },
        }
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the inside out.
    Outbound,
    /// From the outside in.
    Inbound,
    /// From the inside to the inside, by the external address.
    Hairpin,
}

/// The name of a row of a NAT's table; never used twice, not even after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RowId(pub u64);

/// How an inner source got its external endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MappingReceipt {
    /// The row.
    pub row: RowId,
    /// The rule.
    pub rule: MappingRule,
    /// What of the remote endpoint the row is for.
    pub key: RemoteKey,
    /// The internal endpoint.
    pub internal: Endpoint,
    /// The external endpoint.
    pub external: Endpoint,
}

/// What of a remote endpoint a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteKey {
    /// Any.
    Any,
    /// This address, any port.
    Address(Address),
    /// This address and port.
    Endpoint(Endpoint),
    /// One connection with this address and port.
    Connection(Endpoint),
}

/// By which rule a packet got its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MappingRule {
    /// The row was there.
    Reused,
    /// A row was made.
    Created(PortRule),
    /// The row that was there cannot be used towards this remote endpoint; another was made. The remote endpoint
    /// sent too early ([`Behaviour::spoiled_by_early`](super::Behaviour::spoiled_by_early)), or already talks
    /// to another row with the same external endpoint ([`Overloading::OtherRemotes`](super::Overloading)).
    Diverted(PortRule),
}

/// By which rule a row got its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortRule {
    /// The internal port, which was free.
    Preserved,
    /// The internal port, which another mapping has too.
    Overloaded,
    /// The neighbour of the port of the neighbouring internal port.
    Contiguous,
    /// The next free one.
    Sequential {
        /// How many that were not to be had it skipped.
        skipped: u32,
    },
    /// A free one, drawn.
    Random,
    /// Ports are not translated.
    Untranslated,
}

/// Whether a packet may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FilterReceipt {
    /// The row that its destination belongs to.
    pub row: RowId,
    /// The filter.
    pub rule: Kind,
    /// The operand: where the packet claims to come from, as the filter sees it.
    pub remote: Endpoint,
    /// The session that admits it.
    pub session: Option<Endpoint>,
    /// Where none does, the one that is nearest.
    pub nearest: Option<Endpoint>,
    /// Whether it passed.
    pub passed: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It went on, with these endpoints.
    Forwarded {
        /// Its source after.
        source: Endpoint,
        /// Its destination after.
        destination: Endpoint,
    },
    /// It was dropped.
    Dropped(DropRule),
    /// It was dropped and answered with a reset or an ICMP error.
    Answered(DropRule),
}

/// Why a packet went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropRule {
    /// The NAT does not translate addresses of this family.
    FamilyUnknown,
    /// The filter did not admit it.
    Filtered,
    /// The NAT has no hairpin.
    HairpinNone,
    /// The inside host has as many mappings as it may have.
    HostFull,
    /// ICMP errors are not translated.
    IcmpBlocked,
    /// No row has this external endpoint, or an ICMP error quotes none.
    NoMapping,
    /// No external port, block or address is free.
    PortsExhausted,
    /// SYNs cross, and the NAT does not follow that.
    SimultaneousOpen,
    /// The NAT has as many mappings, or the mapping as many sessions, as there may be.
    TableFull,
    /// Its time to live ended here.
    TtlExpired,
    /// UDP is blocked.
    UdpBlocked,
}

impl DropRule {
    /// Every rule, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::FamilyUnknown,
        Self::Filtered,
        Self::HairpinNone,
        Self::HostFull,
        Self::IcmpBlocked,
        Self::NoMapping,
        Self::PortsExhausted,
        Self::SimultaneousOpen,
        Self::TableFull,
        Self::TtlExpired,
        Self::UdpBlocked,
    ];
}

impl RemoteKey {
    pub(super) const fn of(kind: Kind, remote: Endpoint) -> Self {
        match kind {
            Kind::EndpointIndependent => Self::Any,
            Kind::AddressDependent => Self::Address(remote.address()),
            Kind::AddressAndPortDependent => Self::Endpoint(remote),
            Kind::ConnectionDependent => Self::Connection(remote),
        }
    }

    /// Whether a row with this key is used towards `remote`.
    #[must_use]
    pub fn covers(self, remote: Endpoint) -> bool {
        match self {
            Self::Any => true,
            Self::Address(address) => address == remote.address(),
            Self::Endpoint(endpoint) | Self::Connection(endpoint) => endpoint == remote,
        }
    }
}
