//! The draft's guidance for NATs, NAT-1 to NAT-14, checked on a behaviour.

use pinhole_proto::{Duration, Transport};
use serde::Serialize;

use super::behaviour::Behaviour;
use super::habits::{
    Dependence, Hairpin, Kind, OnFull, Overloading, Refresh, SimultaneousOpen, Translation, Unsolicited,
};

/// A piece of guidance of the draft's section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guidance {
    /// It is not symmetric (section 5.1).
    #[serde(rename = "nat-1")]
    Nat1,
    /// It is a cone for UDP (section 5.1).
    #[serde(rename = "nat-2")]
    Nat2,
    /// It lets peers through over UDP and over TCP (section 5.1).
    #[serde(rename = "nat-3")]
    Nat3,
    /// Being symmetric, it sets ports apart for one-to-many sessions (section 5.2).
    #[serde(rename = "nat-4")]
    Nat4,
    /// It knows which inside ports need those (section 5.2).
    #[serde(rename = "nat-5")]
    Nat5,
    /// A binding is stable while any session uses it (section 5.3).
    #[serde(rename = "nat-6")]
    Nat6,
    /// It filters by session, on both addresses and ports (section 5.3).
    #[serde(rename = "nat-7")]
    Nat7,
    /// A new session of a bound inside endpoint gets the same public endpoint (section 5.3).
    #[serde(rename = "nat-8")]
    Nat8,
    /// It keeps port numbers that are free (section 5.3.1).
    #[serde(rename = "nat-9")]
    Nat9,
    /// It keeps none where that would break a binding (section 5.3.1).
    #[serde(rename = "nat-10")]
    Nat10,
    /// TCP bindings are as consistent (section 5.4).
    #[serde(rename = "nat-11")]
    Nat11,
    /// A binding survives 299 s without traffic (section 5.5).
    #[serde(rename = "nat-12")]
    Nat12,
    /// One keepalive a minute is enough (section 5.5).
    #[serde(rename = "nat-13")]
    Nat13,
    /// It translates loopback (section 5.6).
    #[serde(rename = "nat-14")]
    Nat14,
}

/// How a behaviour stands to a piece of guidance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It does so.
    Satisfied,
    /// It does not, and should.
    Violated,
    /// The guidance speaks of other NATs, or allows what this one does not do.
    NotApplicable,
}

impl Behaviour {
    /// How the NAT stands to each piece of the draft's guidance. What is said of bindings holds for one
    /// external address, tables that are not full, and internal ports that the NAT may keep.
    #[must_use]
    pub fn guidance(&self) -> [(Guidance, Standing); 14] {
        let cone = self.is_cone(Transport::Udp);
        let tcp_cone = self.is_cone(Transport::Tcp);
        let tcp_punch = tcp_cone
            && self.simultaneous_open == SimultaneousOpen::Supported
            && matches!(self.unsolicited_syn, Unsolicited::Drop | Unsolicited::IcmpDelayed | Unsolicited::LetIn);
        let stable = cone && self.lifetime.is_none() && self.full == OnFull::Refuse;
        let split = self.one_to_many.is_some() && self.translation == Translation::Napt;
        let mapping_symmetric =
            self.translation == Translation::Napt && self.mapping != Dependence::EndpointIndependent;
        let longest = |span: Duration| {
            let udp = self.udp_idle_unanswered.map_or(self.udp_idle, |other| other.min(self.udp_idle));
            self.lifetime.map_or(udp, |lifetime| lifetime.min(udp)) > span
        };
        let udp = |standing: Standing| if self.block_udp { Standing::NotApplicable } else { standing };
        let kept = match self.refresh {
            Refresh::Outbound | Refresh::Both => longest(KEEPALIVE) && self.lifetime.is_none(),
            Refresh::Inbound => false,
        };
        [
            (Guidance::Nat1, udp(should(self.is_consistent(Transport::Udp)))),
            (Guidance::Nat2, should(cone && !self.block_udp)),
            (Guidance::Nat3, should(cone && !self.block_udp && tcp_punch)),
            (Guidance::Nat4, udp(if mapping_symmetric { may(split) } else { Standing::NotApplicable })),
            (
                Guidance::Nat5,
                udp(if mapping_symmetric {
                    may(split && self.one_to_many_for != (0, u16::MAX))
                } else {
                    Standing::NotApplicable
                }),
            ),
            (Guidance::Nat6, udp(should(stable))),
            (Guidance::Nat7, udp(may(self.filtering == Dependence::AddressAndPortDependent))),
            (Guidance::Nat8, udp(should(cone))),
            (Guidance::Nat9, udp(may(self.preserve_port || self.translation != Translation::Napt))),
            (
                Guidance::Nat10,
                udp(if self.preserve_port {
                    should(self.is_consistent(Transport::Udp))
                } else {
                    Standing::NotApplicable
                }),
            ),
            (Guidance::Nat11, should(tcp_cone)),
            (Guidance::Nat12, udp(should(longest(IDLE)))),
            (Guidance::Nat13, udp(should(kept))),
            (
                Guidance::Nat14,
                match (self.translation, self.hairpin) {
                    (Translation::Firewall, _) => Standing::NotApplicable,
                    (_, hairpin) => should(hairpin == Hairpin::ExternalSource),
                },
            ),
        ]
    }

    /// Whether every internal endpoint has one external endpoint for all remote ones, early ones too.
    fn is_cone(&self, transport: Transport) -> bool {
        let spoiled = match transport {
            Transport::Udp => self.spoiled_by_early,
            Transport::Tcp => self.spoiled_by_early_syn.filter(|_| self.unsolicited_syn != Unsolicited::LetIn),
        };
        // Whom the filter admits is never too early.
        let early = spoiled.is_some() && self.filtering_of(transport) != Kind::EndpointIndependent;
        self.is_consistent(transport) && (!early || self.translation != Translation::Napt)
    }

    /// The same, early ones aside.
    fn is_consistent(&self, transport: Transport) -> bool {
        let all = self.one_to_many_for == (0, u16::MAX) && self.is_one_to_many(0);
        let independent = all || self.mapping_of(transport) == Kind::EndpointIndependent;
        // Mappings that all keep the internal port look like one.
        let alike = self.preserve_port && self.overloading == Overloading::Always && self.one_to_many.is_none();
        self.translation != Translation::Napt || alike || (independent && !self.turns_symmetric)
    }
}

const fn should(done: bool) -> Standing {
    if done { Standing::Satisfied } else { Standing::Violated }
}

const fn may(done: bool) -> Standing {
    if done { Standing::Satisfied } else { Standing::NotApplicable }
}

/// The idle time that a binding should survive.
const IDLE: Duration = Duration::from_secs(299);

/// The interval of keepalives that the draft's rule of a fifth gives for 300 s.
const KEEPALIVE: Duration = Duration::from_secs(60);
