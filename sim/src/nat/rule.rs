//! The rules by which a NAT decides, and the checks that it made by them, as data.

use alloc::vec::Vec;

use pinhole_proto::{Address, Endpoint, Instant, Transport};
use serde::Serialize;

use super::receipt::{RemoteKey, RowId};
use crate::packet::Flags;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The time to live is above one.
    TimeToLive,
    /// The NAT has the packet's address family.
    AddressFamily,
    /// UDP is translated.
    UdpAllowed,
    /// There is a hairpin.
    Hairpin,
    /// A mapping of the internal endpoint covers the remote endpoint.
    MappingCovers,
    /// The first SYN is the one that the connection-dependent mapping began with.
    SameConnection,
    /// No other inside host has a mapping of the same internal port.
    PrivatePortAlone,
    /// The remote endpoint did not send too early.
    NoEarlyTrace,
    /// The inside host has room for another mapping.
    HostRoom,
    /// The NAT has room for another mapping.
    TableRoom,
    /// The mapping has room for another session.
    SessionRoom,
    /// An external address is free, or the inside host has one.
    AddressFree,
    /// The internal port may be kept.
    PortPreserved,
    /// The neighbour of the neighbour's external port is free.
    PortContiguous,
    /// The inside host has a block with a free port, or may have another.
    BlockFree,
    /// A port is free.
    PortFree,
    /// A SYN-ACK does not follow the inside's own SYN.
    SynAckAllowed,
    /// A mapping has the external endpoint.
    ExternalMapped,
    /// The filter admits the remote endpoint.
    Filter,
    /// A SYN that no filter admits is let in.
    SynLetIn,
    /// A SYN does not cross one from inside.
    CrossingSynAllowed,
    /// ICMP errors are translated.
    IcmpAllowed,
    /// The quoted packet has a mapping.
    QuoteMapped,
    /// The session outlives the reset.
    ResetSurvived,
    /// The session outlives the ICMP error.
    IcmpSurvived,
    /// Nothing in the payload looks like the address.
    PayloadUntouched,
    /// What was refused is answered.
    RefusalAnswered,
    /// No SYN left for the sender before the delayed answer was due.
    GraceUnused,
}

/// A rule applied: whether it held, and what was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule.
    pub rule: Rule,
    /// What the packet, or the table, has.
    pub found: Operand,
    /// What it was compared with.
    pub against: Operand,
    /// Whether the rule held.
    pub held: bool,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operand {
    /// Nothing is there.
    Nothing,
    /// An endpoint.
    Endpoint(Endpoint),
    /// An address.
    Address(Address),
    /// A port.
    Port(u16),
    /// A number.
    Number(u64),
    /// A moment.
    Moment(Instant),
    /// A row of the table.
    Row(RowId),
    /// What a row is for.
    Key(RemoteKey),
    /// The flags of a segment.
    Flags(Flags),
    /// A field of the behaviour, by its name; its value decided.
    Field(&'static str),
    /// Why a port is not to be had.
    Taken(Taken),
}

/// Why a port is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// A mapping has it.
    ByMapping,
    /// A packet came to it too early.
    ByEarlyTrace,
    /// It rests after another mapping.
    Resting,
    /// It is none of the ports that the internal port may get.
    OutOfRange,
}

/// The checks of one decision, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Checks(Vec<Check>);

impl Checks {
    pub(super) fn note(&mut self, rule: Rule, found: Operand, against: Operand, held: bool) -> bool {
        if self.0.is_empty() {
            self.0.reserve_exact(USUAL);
        }
        self.0.push(Check { rule, found, against, held });
        held
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Check] {
        &self.0
    }

    /// The one of a rule that was made last.
    #[must_use]
    pub fn of(&self, rule: Rule) -> Option<&Check> {
        self.0.iter().rev().find(|check| check.rule == rule)
    }
}

/// How many checks a packet that passes needs.
const USUAL: usize = 3;

impl Rule {
    /// Every rule, in the order of declaration.
    pub const ALL: [Self; 28] = [
        Self::TimeToLive,
        Self::AddressFamily,
        Self::UdpAllowed,
        Self::Hairpin,
        Self::MappingCovers,
        Self::SameConnection,
        Self::PrivatePortAlone,
        Self::NoEarlyTrace,
        Self::HostRoom,
        Self::TableRoom,
        Self::SessionRoom,
        Self::AddressFree,
        Self::PortPreserved,
        Self::PortContiguous,
        Self::BlockFree,
        Self::PortFree,
        Self::SynAckAllowed,
        Self::ExternalMapped,
        Self::Filter,
        Self::SynLetIn,
        Self::CrossingSynAllowed,
        Self::IcmpAllowed,
        Self::QuoteMapped,
        Self::ResetSurvived,
        Self::IcmpSurvived,
        Self::PayloadUntouched,
        Self::RefusalAnswered,
        Self::GraceUnused,
    ];

    /// The text that the rule comes from, which for some is another one for TCP.
    #[must_use]
    pub const fn source(self, transport: Transport) -> &'static str {
        let tcp = matches!(transport, Transport::Tcp);
        match self {
            Self::Hairpin if tcp => "RFC 5382 REQ-8",
            Self::MappingCovers if tcp => "RFC 5382 REQ-1",
            Self::Filter if tcp => "RFC 5382 REQ-3",
            Self::IcmpAllowed if tcp => "RFC 5382 REQ-9",
            Self::IcmpSurvived if tcp => "RFC 5382 REQ-10",
            Self::QuoteMapped if !tcp => "RFC 4787 REQ-12",
            Self::RefusalAnswered if !tcp => "RFC 4787 5",
            Self::TimeToLive => "RFC 791",
            Self::AddressFamily => "draft 2",
            Self::UdpAllowed => "draft 6.4",
            Self::Hairpin => "RFC 4787 REQ-9",
            Self::MappingCovers => "RFC 4787 REQ-1",
            Self::SameConnection => "RFC 5382 REQ-1",
            Self::PrivatePortAlone | Self::NoEarlyTrace => "RFC 4787 REQ-11",
            Self::HostRoom | Self::TableRoom | Self::SessionRoom => "RFC 6888",
            Self::AddressFree => "RFC 4787 REQ-2",
            Self::PortPreserved => "draft 5.3.1",
            Self::PortContiguous => "RFC 4787 4.2.3",
            Self::BlockFree => "draft 5.2",
            Self::PortFree => "RFC 4787 4.2.1",
            Self::SynAckAllowed | Self::CrossingSynAllowed => "RFC 5382 REQ-2a",
            Self::ExternalMapped => "RFC 4787 4.1",
            Self::Filter => "RFC 4787 REQ-8",
            Self::SynLetIn => "RFC 5382 REQ-3",
            Self::IcmpAllowed | Self::IcmpSurvived => "RFC 4787 REQ-12",
            Self::QuoteMapped => "RFC 5382 REQ-9",
            Self::ResetSurvived => "RFC 7857",
            Self::PayloadUntouched => "RFC 4787 REQ-10",
            Self::RefusalAnswered | Self::GraceUnused => "RFC 5382 REQ-4",
        }
    }
}
