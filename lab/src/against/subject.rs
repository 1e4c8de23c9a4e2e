//! The kinds that are compared, and what of the model claims to be each.

use std::time::Duration;

use pinhole_sim::nat::Unsolicited;
use pinhole_sim::{Behaviour, Hairpin};

use crate::nat::{NatKind, UnsolicitedSyn};

/// A kind of the kernel's NAT with what is put upon it.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// The kind.
    pub kind: NatKind,
    /// What it does with unsolicited SYNs.
    pub syn: UnsolicitedSyn,
    /// Whether it turns packets around.
    pub hairpin: bool,
    /// Whether it passes no UDP.
    pub udp_blocked: bool,
}

/// Every subject.
pub const SUBJECTS: [Subject; 11] = [
    Subject::new("full", NatKind::Full),
    Subject::new("address-restricted", NatKind::AddressRestricted),
    Subject::new("port-restricted", NatKind::PortRestricted),
    Subject::new("port-restricted-other-port", NatKind::PortRestrictedOtherPort),
    Subject::new("spoiled-by-early-packets", NatKind::SpoiledByEarlyPackets),
    Subject::new("symmetric", NatKind::Symmetric),
    Subject { syn: UnsolicitedSyn::Rst, ..Subject::new("port-restricted, RST", NatKind::PortRestricted) },
    Subject { syn: UnsolicitedSyn::Rst, ..Subject::new("symmetric, RST", NatKind::Symmetric) },
    Subject { hairpin: true, ..Subject::new("other port, hairpin", NatKind::PortRestrictedOtherPort) },
    Subject { hairpin: true, ..Subject::new("full, hairpin", NatKind::Full) },
    Subject { udp_blocked: true, ..Subject::new("port-restricted, no UDP", NatKind::PortRestricted) },
];

impl Subject {
    const fn new(name: &'static str, kind: NatKind) -> Self {
        Self { name, kind, syn: UnsolicitedSyn::Drop, hairpin: false, udp_blocked: false }
    }

    /// Whether mappings are rows of the maps in `nat/base.nft`, which only packets from inside keep alive. The
    /// others are flows of the kernel, which every packet does.
    pub(super) const fn has_maps(&self) -> bool {
        matches!(self.kind, NatKind::Full | NatKind::AddressRestricted)
    }

    /// Whether ports are a hash of the inside endpoint.
    pub(super) const fn is_hashed(&self) -> bool {
        matches!(self.kind, NatKind::Full | NatKind::AddressRestricted | NatKind::PortRestrictedOtherPort)
    }

    /// The behaviour that claims to be this kind, where timeouts are those of the comparison.
    #[must_use]
    pub fn claim(&self) -> Behaviour {
        let mut behaviour = self.kind.model();
        behaviour.udp_idle = TIMEOUT;
        behaviour.udp_idle_unanswered = None;
        behaviour.tcp_transitory_idle = TIMEOUT;
        behaviour.tcp_established_idle = if self.has_maps() { TIMEOUT } else { ESTABLISHED };
        behaviour.spoiled_by_early = behaviour.spoiled_by_early.map(|_| TIMEOUT);
        if self.syn == UnsolicitedSyn::Rst {
            behaviour.unsolicited_syn = Unsolicited::Reset;
        }
        if self.hairpin {
            behaviour.hairpin = Hairpin::ExternalSource;
            behaviour.hairpin_filtered = false;
        }
        behaviour.block_udp = self.udp_blocked;
        behaviour
    }
}

/// How long a mapping lives without traffic in a comparison, so that it is short to wait for.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
/// The same for an established TCP connection.
pub(super) const ESTABLISHED: Duration = Duration::from_secs(5);
/// How long a flow of the kernel lives where mappings are rows of maps: less than these.
pub(super) const FLOW: Duration = Duration::from_secs(1);
