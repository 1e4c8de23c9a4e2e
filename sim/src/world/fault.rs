//! What goes wrong on purpose.

use core::fmt;

use pinhole_proto::{Duration, Instant};
use serde::{Deserialize, Serialize};

use super::{Event, HostId, JourneyId, NatId, Place, RealmId, World};
use crate::link::Line;
use crate::nat::{Behaviour, Nat};
use crate::packet::{Body, Octets, Packet};
use crate::pick::{Pick, Seen};

/// Something that happens to chosen packets on the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// Which packets.
    #[serde(default)]
    pub pick: Pick,
    /// How many of them pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// How many are met after those; the rest passes unharmed.
    #[serde(default = "one")]
    pub count: u32,
    /// What happens to them.
    pub effect: Effect,
}

/// What a fault does to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// It does not arrive.
    Drop,
    /// It takes so many milliseconds longer.
    Delay {
        /// How many.
        ms: u64,
    },
    /// A second copy arrives so many milliseconds after the first.
    Duplicate {
        /// How many.
        ms: u64,
    },
    /// It arrives right after the next packet on the same way, or after so many milliseconds at the latest.
    Reorder {
        /// How many.
        ms: u64,
    },
    /// One of the octets that it carries is another one: checksums did not notice.
    Corrupt {
        /// Which octet; the last one where there are fewer.
        at: u16,
        /// The bits that are turned.
        xor: u8,
    },
}

/// There are [`MAX_FAULTS`] faults that wait for packets already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyFaults;

/// A packet that waits for another one to overtake it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    number: u64,
    realm: RealmId,
    from: Place,
    to: Place,
    journey: JourneyId,
    packet: Packet,
}

impl World {
    /// Lets something happen to packets from here on.
    ///
    /// # Errors
    /// [`MAX_FAULTS`] wait for their packets already.
    pub fn add_fault(&mut self, fault: Fault) -> Result<(), TooManyFaults> {
        if self.faults.len() >= MAX_FAULTS {
            return Err(TooManyFaults);
        }
        if fault.count > 0 {
            self.faults.push(fault);
        }
        Ok(())
    }

    /// The faults that wait for packets.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Cuts a machine's line (a NAT's on its outer side). What is under way arrives.
    pub fn cut(&mut self, place: Place) {
        self.access_of(place).cut = true;
    }

    /// Mends a line that was cut.
    pub fn mend(&mut self, place: Place) {
        self.access_of(place).cut = false;
    }

    /// Changes a machine's line.
    pub fn set_line(&mut self, place: Place, line: Line) {
        self.access_of(place).line = line;
    }

    /// A NAT forgets its table, as when it restarts.
    pub fn reboot_nat(&mut self, nat: NatId) {
        self.nats[nat.0 as usize].nat.reboot();
    }

    /// A NAT behaves otherwise from here on.
    pub fn set_behaviour(&mut self, nat: NatId, behaviour: Behaviour) {
        self.nats[nat.0 as usize].nat.set_behaviour(behaviour);
    }

    /// A NAT.
    #[must_use]
    pub fn nat(&self, nat: NatId) -> &Nat {
        &self.nats[nat.0 as usize].nat
    }

    /// The realm that a host is in.
    #[must_use]
    pub fn realm_of(&self, host: HostId) -> RealmId {
        self.hosts[host.0 as usize].realm
    }

    /// What happens on purpose to a packet; a corruption is carried out here.
    pub(super) fn meet_faults(
        &mut self,
        realm: RealmId,
        from: Place,
        to: Option<Place>,
        journey: JourneyId,
        packet: &mut Packet,
    ) -> Option<Effect> {
        if self.faults.is_empty() {
            return None;
        }
        let names = self.trace.names();
        let seen = Seen {
            realm: names.realm(realm),
            from: names.place(from),
            to: to.map(|to| names.place(to)),
            journey,
            packet,
        };
        let mut effect = None;
        for fault in &mut self.faults {
            if fault.count == 0 || !fault.pick.matches(&seen) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if effect.is_none() {
                fault.count -= 1;
                effect = Some(fault.effect);
            }
        }
        self.faults.retain(|fault| fault.count > 0);
        if let Some(Effect::Corrupt { at, xor }) = effect {
            corrupt(packet, usize::from(at), xor);
        }
        effect
    }

    /// Keeps a packet until another one has gone its way.
    pub(super) fn hold(
        &mut self,
        (realm, from, to): (RealmId, Place, Place),
        journey: JourneyId,
        packet: Packet,
        until: Instant,
    ) {
        let number = self.sequence;
        self.held.push(Held { number, realm, from, to, journey, packet });
        self.schedule(until, Event::Release(number));
    }

    /// Lets the packets follow that wait for one on this way, which arrives at `at`.
    pub(super) fn overtake(&mut self, way: (RealmId, Place, Place), at: Instant) {
        if self.held.is_empty() {
            return;
        }
        let mut kept = alloc::vec::Vec::new();
        for held in core::mem::take(&mut self.held) {
            if (held.realm, held.from, held.to) == way {
                let Held { realm, from, to, journey, packet, .. } = held;
                self.schedule(at, Event::Arrive { journey, realm, from, to, packet });
            } else {
                kept.push(held);
            }
        }
        self.held = kept;
    }

    /// Nothing has overtaken a packet in time.
    pub(super) fn on_release(&mut self, number: u64) {
        if let Some(at) = self.held.iter().position(|held| held.number == number) {
            let Held { realm, from, to, journey, packet, .. } = self.held.remove(at);
            self.on_arrival(journey, realm, from, to, packet);
        }
    }

    fn access_of(&mut self, place: Place) -> &mut super::Access {
        match place {
            Place::Host(host) => &mut self.hosts[host.0 as usize].access,
            Place::Nat(nat) => &mut self.nats[nat.0 as usize].access,
        }
    }
}

impl Effect {
    /// How much later than on the line a packet arrives.
    pub(super) const fn delay(self) -> Duration {
        match self {
            Self::Delay { ms } => Duration::from_millis(ms),
            Self::Drop | Self::Duplicate { .. } | Self::Reorder { .. } | Self::Corrupt { .. } => Duration::ZERO,
        }
    }
}

impl fmt::Display for TooManyFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MAX_FAULTS} faults wait for their packets already")
    }
}

impl core::error::Error for TooManyFaults {}

fn corrupt(packet: &mut Packet, at: usize, xor: u8) {
    let turn = |octets: &Octets| {
        let mut octets = octets.to_vec();
        let last = octets.len().saturating_sub(1);
        if let Some(octet) = octets.get_mut(at.min(last)) {
            *octet ^= xor;
        }
        Octets::from(octets)
    };
    match &mut packet.body {
        Body::Udp(octets) => *octets = turn(octets),
        Body::Tcp(segment) => segment.octets = turn(&segment.octets),
        Body::Icmp(_) => {}
    }
}

const fn one() -> u32 {
    1
}

/// How many faults wait for packets at most.
pub const MAX_FAULTS: usize = 256;
