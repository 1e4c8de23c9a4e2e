//! The kinds of NAT: which rules make each, and what each declares to be.

use std::str::FromStr;
use std::time::Duration;

use crate::behaviour::{Behaviour, EarlyDatagram, Filtering, Hairpin, Mapping, Port, SynAnswer};
use crate::error::LabError;
use crate::gateway::behaviour;

/// A kind of NAT: those of the kernel in the draft's words, of which `nat/*.nft` says why each behaves so, and
/// whatever the simulator's model can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there are a handful of them, and they are copied when a lab is built")]
pub enum NatKind {
    /// Endpoint-independent mapping to another port; filters by remote address.
    AddressRestricted,
    /// Endpoint-independent mapping to another port; filters nothing that has a mapping.
    Full,
    /// The model, with this behaviour.
    Model(pinhole_sim::Behaviour),
    /// Endpoint-independent mapping that keeps the port; filters by remote endpoint.
    PortRestricted,
    /// Endpoint-independent mapping to another port; filters by remote endpoint.
    PortRestrictedOtherPort,
    /// As [`Self::PortRestricted`] until a datagram arrives before the inside has sent to its source.
    SpoiledByEarlyPackets,
    /// Another random port for each remote endpoint; filters by remote endpoint.
    Symmetric,
}

/// What a NAT does with a TCP SYN that nobody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnsolicitedSyn {
    /// Drops it silently.
    #[default]
    Drop,
    /// Answers with RST.
    Rst,
}

impl NatKind {
    /// Every kind that the kernel makes.
    pub const ALL: [Self; 6] = [
        Self::AddressRestricted,
        Self::Full,
        Self::PortRestricted,
        Self::PortRestrictedOtherPort,
        Self::SpoiledByEarlyPackets,
        Self::Symmetric,
    ];

    /// The name of its file, without the ending; `model` for the model.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AddressRestricted => "address-restricted",
            Self::Full => "full",
            Self::Model(_) => "model",
            Self::PortRestricted => "port-restricted",
            Self::PortRestrictedOtherPort => "port-restricted-other-port",
            Self::SpoiledByEarlyPackets => "spoiled-by-early-packets",
            Self::Symmetric => "symmetric",
        }
    }

    /// What a NAT of this kind declares to be; [`probe`](crate::probe) measures the same.
    #[must_use]
    pub fn declared(self, syn: UnsolicitedSyn, hairpin: bool) -> Behaviour {
        if let Self::Model(model) = self {
            return Behaviour::of_model(&modelled(model, hairpin, false, syn));
        }
        let mapping = match self {
            Self::Symmetric => Mapping::AddressAndPortDependent,
            _ => Mapping::EndpointIndependent,
        };
        let filtering = match self {
            Self::Full => Filtering::EndpointIndependent,
            Self::AddressRestricted => Filtering::AddressDependent,
            _ => Filtering::AddressAndPortDependent,
        };
        Behaviour {
            mapping,
            tcp_mapping: mapping,
            filtering,
            port: match self {
                Self::PortRestricted | Self::SpoiledByEarlyPackets => Port::Kept,
                _ => Port::Other,
            },
            hairpin: if hairpin { Hairpin::ExternalSource } else { Hairpin::None },
            early_datagram: match self {
                Self::SpoiledByEarlyPackets => EarlyDatagram::Spoils,
                Self::Symmetric => EarlyDatagram::NotApplicable,
                _ => EarlyDatagram::Harmless,
            },
            unsolicited_syn: match (self, syn) {
                (Self::Full, _) => SynAnswer::Admitted,
                (_, UnsolicitedSyn::Drop) => SynAnswer::Dropped,
                (_, UnsolicitedSyn::Rst) => SynAnswer::Reset,
            },
        }
    }

    /// The behaviour of the model that claims to be this kind, with the kernel's timeouts.
    #[must_use]
    pub fn model(self) -> pinhole_sim::Behaviour {
        use pinhole_sim::nat::{OnReset, Overloading, Refresh, TimerScope, UnsolicitedDatagram};
        use pinhole_sim::{Behaviour as Model, Dependence};
        // Mappings are flows of the kernel.
        let flows = Model {
            timer: TimerScope::Session,
            udp_idle: Duration::from_secs(120),
            udp_idle_unanswered: Some(Duration::from_secs(30)),
            refresh: Refresh::Both,
            refresh_by_errors: true,
            reset: OnReset::ForgetUnanswered,
            ..Model::port_restricted()
        };
        // Mappings are rows of maps, which only packets from inside keep alive.
        let rows = Model {
            udp_idle: Duration::from_secs(300),
            udp_idle_unanswered: None,
            refresh: Refresh::Outbound,
            reset: OnReset::Keep,
            ..flows
        };
        let kept = Model { preserve_port: true, overloading: Overloading::OtherRemotes, ..flows };
        match self {
            Self::AddressRestricted => rows.with_filtering(Dependence::AddressDependent),
            Self::Full => rows.with_filtering(Dependence::EndpointIndependent),
            Self::Model(behaviour) => behaviour,
            Self::PortRestricted => kept,
            Self::PortRestrictedOtherPort => flows,
            Self::SpoiledByEarlyPackets => Model {
                spoiled_by_early: Some(Duration::from_secs(30)),
                unsolicited_datagram: UnsolicitedDatagram::Icmp,
                ..kept
            },
            Self::Symmetric => flows.with_mapping(Dependence::AddressAndPortDependent),
        }
    }

    fn rules(self) -> &'static str {
        match self {
            Self::AddressRestricted => include_str!("../nat/address-restricted.nft"),
            Self::Full => include_str!("../nat/full.nft"),
            Self::Model(_) => "",
            Self::PortRestricted => include_str!("../nat/port-restricted.nft"),
            Self::PortRestrictedOtherPort => include_str!("../nat/port-restricted-other-port.nft"),
            Self::SpoiledByEarlyPackets => include_str!("../nat/spoiled-by-early-packets.nft"),
            Self::Symmetric => include_str!("../nat/symmetric.nft"),
        }
    }
}

impl std::fmt::Display for NatKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NatKind {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Self, LabError> {
        if let Some(model) = name.strip_prefix("model:") {
            return behaviour(model).map(Self::Model);
        }
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| LabError::NoSuch(name.to_owned()))
    }
}

impl FromStr for UnsolicitedSyn {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Self, LabError> {
        match name {
            "drop" => Ok(Self::Drop),
            "rst" => Ok(Self::Rst),
            _ => Err(LabError::NoSuch(name.to_owned())),
        }
    }
}

/// What a router between a LAN and the outside does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gate {
    Nat { kind: NatKind, hairpin: bool, udp_blocked: bool, syn: UnsolicitedSyn },
    Ipv6Firewall { syn: UnsolicitedSyn },
    Model(pinhole_sim::Behaviour),
}

/// The behaviour of a model's NAT in a network that asks for a hairpin, blocked UDP or resets, as it asks for
/// them from the kernel's.
pub(crate) fn modelled(
    mut model: pinhole_sim::Behaviour,
    hairpin: bool,
    udp_blocked: bool,
    syn: UnsolicitedSyn,
) -> pinhole_sim::Behaviour {
    if hairpin && model.hairpin == pinhole_sim::Hairpin::None {
        model.hairpin = pinhole_sim::Hairpin::ExternalSource;
        model.hairpin_filtered = false;
    }
    if syn == UnsolicitedSyn::Rst {
        model.unsolicited_syn = pinhole_sim::nat::Unsolicited::Reset;
    }
    model.block_udp |= udp_blocked;
    model
}

impl Gate {
    /// The NAT of the model that stands here, if one does.
    pub(crate) const fn model(self) -> Option<pinhole_sim::Behaviour> {
        match self {
            Self::Model(behaviour) => Some(behaviour),
            Self::Nat { .. } | Self::Ipv6Firewall { .. } => None,
        }
    }

    /// The rules to load, for a router whose outside address is `public`.
    pub(crate) fn rules(self, public: std::net::IpAddr, seed: u32) -> String {
        match self {
            Self::Model(_) => String::new(),
            Self::Ipv6Firewall { syn } => [include_str!("../nat/ipv6-firewall.nft"), unsolicited(syn)].join("\n"),
            Self::Nat { kind, hairpin, udp_blocked, syn } => {
                let mut rules = format!("define public = {public}\n");
                rules.push_str(include_str!("../nat/base.nft"));
                rules.push_str(&kind.rules().replace(SEED_IN_FILES, &format!("seed {seed:#x}")));
                rules.push_str(unsolicited(syn));
                if hairpin {
                    rules.push_str(include_str!("../nat/hairpin.nft"));
                }
                if udp_blocked {
                    rules.push_str(include_str!("../nat/udp-blocked.nft"));
                }
                rules
            }
        }
    }
}

fn unsolicited(syn: UnsolicitedSyn) -> &'static str {
    match syn {
        UnsolicitedSyn::Drop => include_str!("../nat/unsolicited-drop.nft"),
        UnsolicitedSyn::Rst => include_str!("../nat/unsolicited-rst.nft"),
    }
}

/// What the rules of kinds with another public port say where the lab puts its seed.
const SEED_IN_FILES: &str = "seed 0x9e3779b9";
