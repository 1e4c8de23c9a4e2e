//! The networks a lab can be: the draft's figures, with its addresses.

use std::str::FromStr;

use crate::error::LabError;
use crate::line::Line;
use crate::nat::{NatKind, UnsolicitedSyn};

/// Which network.
///
/// Hosts are called `s` (the server, 18.181.0.31 and 18.181.0.32), `a`, `b`, and where there are more
/// `a2` and `stranger`; NATs are called `nat-a`, `nat-b` and `nat-isp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A behind NAT A, B at 138.76.29.7 itself: connection reversal (section 3.2 of the draft).
    BPublic,
    /// A at 155.99.25.11 and B at 138.76.29.7, no NAT at all.
    BothPublic,
    /// A provider's NAT (155.99.25.11) above NAT A (100.64.0.11); B behind NAT B.
    CgnatAboveA,
    /// A and B have global IPv6 addresses behind stateful firewalls.
    Ipv6Firewalls,
    /// NAT A with two hosts, `a` and `a2`, and no B: where a NAT is probed.
    OneNat {
        /// Whether the NAT turns packets around.
        hairpin: bool,
    },
    /// A (10.0.0.1) and B (10.1.1.3) on one LAN behind NAT A (section 3.3.2). One line, that of A.
    SameNat {
        /// Whether the NAT turns packets around.
        hairpin: bool,
    },
    /// A (192.168.1.101) and B (192.168.1.100) behind two NATs, and `stranger` on A's LAN at the private
    /// address of B (section 6).
    Stranger,
    /// The NATs of A (192.168.1.1) and B (192.168.1.2) behind the NAT of one provider, 155.99.25.11
    /// (section 3.3.3). One line, that of A.
    TwoLevels {
        /// Whether the provider's NAT turns packets around.
        hairpin: bool,
    },
    /// A (10.0.0.1) behind NAT A (155.99.25.11), B (10.1.1.3) behind NAT B (138.76.29.7) (section
    /// 3.3.1).
    TwoNats,
    /// As [`Self::TwoNats`], and NAT A passes no UDP.
    UdpBlocked,
}

impl Kind {
    /// Every network, with hairpin and without where that makes two.
    pub const ALL: [Self; 13] = [
        Self::BPublic,
        Self::BothPublic,
        Self::CgnatAboveA,
        Self::Ipv6Firewalls,
        Self::OneNat { hairpin: false },
        Self::OneNat { hairpin: true },
        Self::SameNat { hairpin: false },
        Self::SameNat { hairpin: true },
        Self::Stranger,
        Self::TwoLevels { hairpin: false },
        Self::TwoLevels { hairpin: true },
        Self::TwoNats,
        Self::UdpBlocked,
    ];

    /// The name for command lines and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BPublic => "b-public",
            Self::BothPublic => "both-public",
            Self::CgnatAboveA => "cgnat-above-a",
            Self::Ipv6Firewalls => "ipv6-firewalls",
            Self::OneNat { hairpin: false } => "one-nat",
            Self::OneNat { hairpin: true } => "one-nat-hairpin",
            Self::SameNat { hairpin: false } => "same-nat",
            Self::SameNat { hairpin: true } => "same-nat-hairpin",
            Self::Stranger => "stranger",
            Self::TwoLevels { hairpin: false } => "two-levels",
            Self::TwoLevels { hairpin: true } => "two-levels-hairpin",
            Self::TwoNats => "two-nats",
            Self::UdpBlocked => "udp-blocked",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Self, LabError> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| LabError::NoSuch(name.to_owned()))
    }
}

/// A network with everything that can be chosen about it.
///
/// Start from [`Topology::new`] and change what differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Topology {
    /// Which network.
    pub kind: Kind,
    /// The kind of the NAT in front of A.
    pub nat_a: NatKind,
    /// The kind of the NAT in front of B, where B has one of its own.
    pub nat_b: NatKind,
    /// The kind of the provider's NAT, where there is one.
    pub nat_isp: NatKind,
    /// What every NAT and firewall does with unsolicited SYNs.
    pub syn: UnsolicitedSyn,
    /// The access line of A's site.
    pub line_a: Line,
    /// The access line of B's site, where it is not that of A.
    pub line_b: Line,
    /// The access line of the server.
    pub line_s: Line,
    /// Decides the public ports of NATs that do not keep the private one.
    pub seed: u32,
}

impl Topology {
    /// The network with port-restricted NATs that drop unsolicited SYNs, and lines that take no time.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            nat_a: NatKind::PortRestricted,
            nat_b: NatKind::PortRestricted,
            nat_isp: NatKind::PortRestricted,
            syn: UnsolicitedSyn::default(),
            line_a: Line::default(),
            line_b: Line::default(),
            line_s: Line::default(),
            seed: 0x9e37_79b9,
        }
    }
}
