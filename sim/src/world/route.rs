//! A packet's way: up a line, through a realm, down a line, and into a machine.

use alloc::boxed::Box;

use pinhole_proto::Duration;

use super::{Access, Effect, Event, JourneyId, NatId, Place, RealmId, World};
use crate::kernel::{HostReceipt, HostRule};
use crate::nat::{Decision, Side};
use crate::packet::Packet;
use crate::trace::{Happened, Sight, What};

impl World {
    /// Puts a packet on the line, as if the machine had sent it: for tests that need a stranger.
    pub fn inject(&mut self, from: super::HostId, packet: Packet) {
        let realm = self.host_mut(from).realm;
        let journey = self.next_journey();
        self.send(journey, Place::Host(from), realm, packet);
    }

    pub(super) fn send(&mut self, journey: JourneyId, from: Place, realm: RealmId, mut packet: Packet) {
        let to = self.next_stop(realm, &packet);
        let effect = self.meet_faults(realm, from, to, journey, &mut packet);
        let now = self.now;
        let seen = Sight { at: now, journey, realm, from, to, packet: &packet, effect };
        let fate = match to {
            Some(_) if effect == Some(Effect::Drop) => Err(What::Removed),
            Some(to) => self.carry(from, to, realm, &packet).map(|spans| (to, spans)),
            None => Err(What::NoRoute),
        };
        let (to, mut spans) = match fate {
            Ok(fate) => fate,
            Err(what) => {
                self.trace.note(seen, what.happened(), || what);
                return;
            }
        };
        if let Some(effect) = effect {
            spans = spans.map(|span| span.map(|span| span + effect.delay()));
        }
        if let (Some(Effect::Duplicate { ms }), [Some(first), None]) = (effect, spans) {
            spans[1] = Some(first + Duration::from_millis(ms));
        }
        if let (Some(Effect::Reorder { ms }), [Some(span), _]) = (effect, spans) {
            self.trace.note(seen, What::Held.happened(), || What::Held);
            packet.ttl -= self.realms[realm.0 as usize].hops;
            self.hold((realm, from, to), journey, packet, now + span + Duration::from_millis(ms));
            return;
        }
        for span in spans.into_iter().flatten().take(1) {
            self.trace.note(seen, Happened::Sent(span), || What::Sent(span));
        }
        if let Some(span) = spans[1] {
            self.trace.note(seen, Happened::Copied(span), || What::Copied(span));
        }
        packet.ttl -= self.realms[realm.0 as usize].hops;
        if let Some(span) = spans[1] {
            let packet = packet.clone();
            self.schedule(now + span, Event::Arrive { journey, realm, from, to, packet });
        }
        if let Some(span) = spans[0] {
            self.schedule(now + span, Event::Arrive { journey, realm, from, to, packet });
            self.overtake((realm, from, to), now + span);
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
            let mut copies = [None; 2];
            let mut free = copies.iter_mut();
            for span in spans.into_iter().flatten() {
                for down in access.line.down.carry(&mut access.rng).into_iter().flatten() {
                    if let Some(copy) = free.next() {
                        *copy = Some(span + down);
                    }
                }
            }
            spans = copies;
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

    /// Puts a NAT's deadline into the queue where it is not there already.
    pub(super) fn arm_nat(&mut self, id: NatId) {
        let gateway = &mut self.nats[id.0 as usize];
        if let Some(deadline) = gateway.nat.deadline()
            && gateway.queued.is_none_or(|queued| queued > deadline)
        {
            gateway.queued = Some(deadline);
            self.schedule(deadline, Event::Nat(id));
        }
    }

    /// Sends the answers that a NAT had put off.
    pub(super) fn on_nat(&mut self, id: NatId) {
        let (now, place) = (self.now, Place::Nat(id));
        let gateway = &mut self.nats[id.0 as usize];
        gateway.queued = None;
        let (inside, outside) = (gateway.inside, gateway.outside);
        for passage in gateway.nat.handle_timeout(now) {
            let Some((side, packet)) = passage.packet else {
                continue;
            };
            let realm = if side == Side::Inside { inside } else { outside };
            let journey = self.next_journey();
            let seen = Sight { at: now, journey, realm, from: place, to: Some(place), packet: &packet, effect: None };
            let happened = Happened::decided(&passage.receipt.decision);
            self.trace.note(seen, happened, || What::Decided(Box::new(passage.receipt)));
            self.send(journey, place, realm, packet);
        }
        self.arm_nat(id);
    }

    pub(super) fn on_arrival(&mut self, journey: JourneyId, realm: RealmId, from: Place, to: Place, packet: Packet) {
        self.arrivals += 1;
        let now = self.now;
        match to {
            Place::Host(id) => {
                let host = &mut self.hosts[id.0 as usize];
                let here = host.interfaces.iter().any(|own| own.address == packet.destination.address());
                let receipt = if here && host.realm == realm {
                    host.kernel.handle_packet(now, &packet)
                } else {
                    HostReceipt::new(HostRule::AddressNotHere, packet.destination, packet.source)
                };
                let seen = Sight { at: now, journey, realm, from, to: Some(to), packet: &packet, effect: None };
                if receipt.rule.is_taken() {
                    self.trace
                        .note(seen, Happened::Stopped(Happened::DELIVERED), || What::Delivered(Box::new(receipt)));
                } else {
                    self.trace.note(seen, Happened::Stopped(Happened::NO_SOCKET), || What::NoSocket(Box::new(receipt)));
                }
                self.pump(id);
            }
            Place::Nat(id) => {
                let gateway = &mut self.nats[id.0 as usize];
                let (inside, outside) = (gateway.inside, gateway.outside);
                let side = if realm == inside { Side::Inside } else { Side::Outside };
                let passage = gateway.nat.handle(now, side, packet.clone());
                let seen = Sight { at: now, journey, realm, from, to: Some(to), packet: &packet, effect: None };
                let forwarded = matches!(passage.receipt.decision, Decision::Forwarded { .. });
                let happened = Happened::decided(&passage.receipt.decision);
                self.trace.note(seen, happened, || What::Decided(Box::new(passage.receipt)));
                if let Some((side, packet)) = passage.packet {
                    // An answer of the NAT's own is another packet.
                    let journey = if forwarded { journey } else { self.next_journey() };
                    let realm = if side == Side::Inside { inside } else { outside };
                    self.send(journey, to, realm, packet);
                }
                self.arm_nat(id);
            }
        }
    }
}
