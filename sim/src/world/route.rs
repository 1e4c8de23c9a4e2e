//! A packet's way: up a line, through a realm, down a line, and into a machine.

use pinhole_proto::Duration;

use super::{Access, Event, JourneyId, Place, RealmId, World};
use crate::nat::{Decision, Side};
use crate::packet::Packet;
use crate::trace::{Record, What};

impl World {
    /// Puts a packet on the line, as if the machine had sent it: for tests that need a stranger.
    pub fn inject(&mut self, from: super::HostId, packet: Packet) {
        let realm = self.host_mut(from).realm;
        let journey = self.next_journey();
        self.send(journey, Place::Host(from), realm, packet);
    }

    pub(super) fn send(&mut self, journey: JourneyId, from: Place, realm: RealmId, packet: Packet) {
        let to = self.next_stop(realm, &packet);
        let fate = match to {
            None => Err(What::NoRoute),
            Some(to) => self.carry(from, to, realm, &packet).map(|spans| (to, spans)),
        };
        let (to, spans) = match fate {
            Ok(fate) => fate,
            Err(what) => {
                self.note(journey, realm, from, to, packet, what);
                return;
            }
        };
        let hops = self.realms[realm.0 as usize].hops;
        let mut what: fn(Duration) -> What = What::Sent;
        for span in spans.into_iter().flatten() {
            self.note(journey, realm, from, Some(to), packet.clone(), what(span));
            what = What::Copied;
            let mut copy = packet.clone();
            copy.ttl -= hops;
            let event = Event::Arrive { journey, realm, from, to, packet: copy };
            self.schedule(self.now + span, event);
        }
    }

    /// Who in a realm takes a packet: the machine that has the address, else the realm's NAT unless the
    /// address belongs to the realm's own network.
    fn next_stop(&self, realm: RealmId, packet: &Packet) -> Option<Place> {
        let address = packet.destination.address();
        let realm = &self.realms[realm.0 as usize];
        let local = realm.network.is_some_and(|network| network.contains(address));
        let occupant = realm.occupants.get(&address).copied();
        occupant.or_else(|| realm.gateway.filter(|_| !local).map(Place::Nat))
    }

    /// How long the copies of a packet take, or why none arrives.
    fn carry(
        &mut self,
        from: Place,
        to: Place,
        realm: RealmId,
        packet: &Packet,
    ) -> Result<[Option<Duration>; 2], What> {
        if self.remove_by_fault(realm, packet) {
            return Err(What::Removed);
        }
        if packet.ttl <= self.realms[realm.0 as usize].hops {
            return Err(What::TtlExpired);
        }
        if from == to {
            return Ok([Some(Duration::ZERO), None]);
        }
        let mut spans = [Some(Duration::ZERO), None];
        if let Some(access) = self.access_in(from, realm) {
            if access.cut {
                return Err(What::Cut);
            }
            spans = access.line.up.carry(&mut access.rng);
        }
        if let Some(access) = self.access_in(to, realm) {
            if access.cut {
                return Err(What::Cut);
            }
            let copies: alloc::vec::Vec<Duration> = spans
                .into_iter()
                .flatten()
                .flat_map(|span| {
                    let [first, second] = access.line.down.carry(&mut access.rng);
                    [first.map(|down| span + down), second.map(|down| span + down)]
                })
                .flatten()
                .collect();
            spans = [copies.first().copied(), copies.get(1).copied()];
        }
        if spans == [None; 2] {
            return Err(What::Lost);
        }
        Ok(spans)
    }

    /// A machine's line in a realm; a NAT has none on its inner side.
    fn access_in(&mut self, place: Place, realm: RealmId) -> Option<&mut Access> {
        match place {
            Place::Host(host) => Some(&mut self.hosts[host.0 as usize].access),
            Place::Nat(nat) => {
                let gateway = &mut self.nats[nat.0 as usize];
                (gateway.outside == realm).then_some(&mut gateway.access)
            }
        }
    }

    pub(super) fn on_arrival(&mut self, journey: JourneyId, realm: RealmId, from: Place, to: Place, packet: Packet) {
        self.arrivals += 1;
        match to {
            Place::Host(id) => {
                let now = self.now;
                let host = self.host_mut(id);
                let here = host.interfaces.iter().any(|own| own.address == packet.destination.address());
                let taken = here && host.realm == realm && host.kernel.handle_packet(now, &packet);
                let what = if taken { What::Delivered } else { What::NoSocket };
                self.note(journey, realm, from, Some(to), packet, what);
                self.pump(id);
            }
            Place::Nat(id) => {
                let gateway = &mut self.nats[id.0 as usize];
                let (inside, outside) = (gateway.inside, gateway.outside);
                let side = if realm == inside { Side::Inside } else { Side::Outside };
                let passage = gateway.nat.handle(self.now, side, packet.clone());
                let forwarded = matches!(passage.receipt.decision, Decision::Forwarded { .. });
                let what = What::Decided(alloc::boxed::Box::new(passage.receipt));
                self.note(journey, realm, from, Some(to), packet, what);
                if let Some((side, packet)) = passage.packet {
                    // An answer of the NAT's own is another packet.
                    let journey = if forwarded { journey } else { self.next_journey() };
                    let realm = if side == Side::Inside { inside } else { outside };
                    self.send(journey, to, realm, packet);
                }
            }
        }
    }

    fn note(&mut self, journey: JourneyId, realm: RealmId, from: Place, to: Option<Place>, packet: Packet, what: What) {
        self.trace.push(Record { at: self.now, journey, realm, from, to, packet, what });
    }
}
