//! What goes wrong on purpose.

use alloc::rc::Rc;

use super::{HostId, NatId, Place, RealmId, World};
use crate::link::Line;
use crate::nat::{Behaviour, Nat};
use crate::packet::Packet;

type Matcher = Rc<dyn Fn(RealmId, &Packet) -> bool>;

/// Packets that are to be removed.
#[derive(Clone)]
pub(super) struct Fault {
    matches: Matcher,
    skip: u32,
    count: u32,
}

impl World {
    /// Removes packets from the line: of those that match from here on, `skip` pass, `count` do not, and
    /// the rest pass. A packet is looked at anew in each realm that it crosses.
    pub fn remove_packets(&mut self, skip: u32, count: u32, matches: impl Fn(RealmId, &Packet) -> bool + 'static) {
        self.faults.push(Fault { matches: Rc::new(matches), skip, count });
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

    pub(super) fn remove_by_fault(&mut self, realm: RealmId, packet: &Packet) -> bool {
        let mut removed = false;
        for fault in &mut self.faults {
            if !(fault.matches)(realm, packet) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.count > 0 {
                fault.count -= 1;
                removed = true;
            }
        }
        self.faults.retain(|fault| fault.count > 0);
        removed
    }

    fn access_of(&mut self, place: Place) -> &mut super::Access {
        match place {
            Place::Host(host) => &mut self.hosts[host.0 as usize].access,
            Place::Nat(nat) => &mut self.nats[nat.0 as usize].access,
        }
    }
}
