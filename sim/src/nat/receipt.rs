//! Why a NAT did what it did: the row, the rule and the operands, as data.

use pinhole_proto::{Address, Endpoint};

use super::habits::Dependence;

/// What a NAT did with one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// What became of it.
    pub decision: Decision,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the inside out.
    Outbound,
    /// From the outside in.
    Inbound,
    /// From the inside to the inside, by the external address.
    Hairpin,
}

/// The name of a row of a NAT's table; never used twice, not even after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// How an inner source got its external endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemoteKey {
    /// Any.
    Any,
    /// This address, any port.
    Address(Address),
    /// This endpoint.
    Endpoint(Endpoint),
}

/// By which rule a packet got its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MappingRule {
    /// The row was there.
    Reused,
    /// The row is new.
    Created(PortRule),
    /// The row that was there cannot be used towards this remote endpoint, which sent too early
    /// ([`Behaviour::spoiled_by_early`](super::Behaviour::spoiled_by_early)); another was made.
    Diverted(PortRule),
}

/// By which rule a row got its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortRule {
    /// The internal port, which was free.
    Preserved,
    /// The next free one.
    Sequential {
        /// How many that were taken it skipped.
        skipped: u32,
    },
    /// A free one, drawn.
    Random,
}

/// Whether a packet may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterReceipt {
    /// The row that its destination belongs to.
    pub row: RowId,
    /// The filter.
    pub rule: Dependence,
    /// The operand: where the packet claims to come from, as the filter sees it.
    pub remote: Endpoint,
    /// The session that admits it.
    pub session: Option<Endpoint>,
    /// Whether it passed.
    pub passed: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropRule {
    /// The NAT does not translate addresses of this family.
    FamilyUnknown,
    /// The filter did not admit it.
    Filtered,
    /// The NAT has no hairpin.
    HairpinNone,
    /// No row has this external endpoint, or an ICMP error quotes none.
    NoMapping,
    /// No external port is free.
    PortsExhausted,
    /// Its time to live ended here.
    TtlExpired,
    /// UDP is blocked.
    UdpBlocked,
}
