//! One side of a pair: a NAT behaviour of the oracle, by its name there.

use core::fmt;

use pinhole_proto::Transport;
use pinhole_sim::Behaviour;
use pinhole_sim::nat::{Dependence, FreshPort, OnReset, PermissionScope, Unsolicited};

/// A peer without a NAT, or the NAT in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A public address.
    Public,
    /// Behind one NAT.
    Nat {
        /// Which sessions share an external endpoint.
        mapping: Dependence,
        /// Who may send in.
        filtering: Dependence,
        /// What that right is attached to.
        permission: PermissionScope,
        /// Where external ports come from.
        allocation: Allocation,
        /// What a SYN meets that matches nothing; over UDP always [`Reaction::Drop`].
        reaction: Reaction,
    },
}

/// Where external ports come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// The internal port where it is free, else a random one.
    Preserving,
    /// One after the other.
    Sequential,
    /// Evenly drawn.
    Random,
}

/// What a SYN meets that matches nothing, and what a RST does to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Silence.
    Drop,
    /// A reset; a reset that passes leaves the session.
    ResetKept,
    /// A reset; a reset that passes ends the session.
    ResetForgotten,
}

impl Side {
    /// Every side over a transport, in the order of the oracle.
    #[must_use]
    pub fn all(transport: Transport) -> Vec<Self> {
        let reactions: &[Reaction] = match transport {
            Transport::Udp => &[Reaction::Drop],
            Transport::Tcp => &[Reaction::Drop, Reaction::ResetKept, Reaction::ResetForgotten],
        };
        let mut all = vec![Self::Public];
        for mapping in KINDS {
            for filtering in KINDS {
                for permission in [PermissionScope::Mapping, PermissionScope::InternalEndpoint] {
                    for allocation in [Allocation::Preserving, Allocation::Sequential, Allocation::Random] {
                        let nat = |&reaction| Self::Nat { mapping, filtering, permission, allocation, reaction };
                        all.extend(reactions.iter().map(nat));
                    }
                }
            }
        }
        all
    }

    /// The same side over a transport: over UDP nothing reacts to a SYN.
    #[must_use]
    pub const fn over(mut self, transport: Transport) -> Self {
        if let (Self::Nat { reaction, .. }, Transport::Udp) = (&mut self, transport) {
            *reaction = Reaction::Drop;
        }
        self
    }

    /// Its name in the oracle for a transport.
    #[must_use]
    pub fn name(self, transport: Transport) -> String {
        match transport {
            Transport::Tcp => self.to_string(),
            Transport::Udp => {
                let name = self.to_string();
                name.strip_suffix("-drop").map_or_else(|| name.clone(), str::to_owned)
            }
        }
    }

    /// The NAT; none for a public peer. Sequential ports begin at `first`.
    #[must_use]
    pub fn behaviour(self, first: u16) -> Option<Behaviour> {
        let Self::Nat { mapping, filtering, permission, allocation, reaction } = self else {
            return None;
        };
        let mut behaviour = Behaviour::default().with_mapping(mapping).with_filtering(filtering);
        behaviour.permission = permission;
        behaviour.preserve_port = allocation == Allocation::Preserving;
        behaviour.fresh_port = FreshPort::Random;
        if allocation == Allocation::Sequential {
            behaviour = behaviour.with_ports_from(first);
        }
        (behaviour.unsolicited_syn, behaviour.reset) = match reaction {
            Reaction::Drop => (Unsolicited::Drop, OnReset::Keep),
            Reaction::ResetKept => (Unsolicited::Reset, OnReset::Keep),
            Reaction::ResetForgotten => (Unsolicited::Reset, OnReset::Forget),
        };
        Some(behaviour)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Nat { mapping, filtering, permission, allocation, reaction } = self else {
            return f.write_str("public");
        };
        let permission = match permission {
            PermissionScope::Mapping => "mapping",
            PermissionScope::InternalEndpoint => "endpoint",
        };
        let allocation = match allocation {
            Allocation::Preserving => "preserving",
            Allocation::Sequential => "sequential",
            Allocation::Random => "random",
        };
        let reaction = match reaction {
            Reaction::Drop => "drop",
            Reaction::ResetKept => "reset-kept",
            Reaction::ResetForgotten => "reset-forgotten",
        };
        write!(f, "{}-{}-{permission}-{allocation}-{reaction}", short(*mapping), short(*filtering))
    }
}

const fn short(kind: Dependence) -> &'static str {
    match kind {
        Dependence::EndpointIndependent => "ei",
        Dependence::AddressDependent => "ad",
        Dependence::AddressAndPortDependent => "apd",
    }
}

const KINDS: [Dependence; 3] =
    [Dependence::EndpointIndependent, Dependence::AddressDependent, Dependence::AddressAndPortDependent];
