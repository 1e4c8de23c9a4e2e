//! A NAT: packets and time in, packets and receipts out. It knows nothing of the world around it, so
//! that it can stand in front of real packets as well.
//!
//! A row of the table is a mapping, `internal <=> external {sessions}`; a session is one remote endpoint
//! that the inside sent to. [`Behaviour`] says which rows packets share and whom a row admits.
//!
//! Not modelled: address pools, overloading, parity, port blocks, table limits, delayed answers
//! (RFC 5382, REQ-4), fragments, IPv6.

mod behaviour;
mod field;
mod fields;
mod habits;
mod presets;
mod receipt;
mod table;

pub use behaviour::Behaviour;
pub use field::{Field, FieldError, MAX_SPAN, Senseless, Value, Values};
pub use habits::{Dependence, FreshPort, Hairpin, OnReset, PermissionScope, Refresh, TimerScope, Unsolicited};
pub use receipt::{
    Decision, Direction, DropRule, FilterReceipt, MappingReceipt, MappingRule, PortRule, Receipt, RemoteKey, RowId,
};
pub use table::{Row, Session};

use pinhole_proto::{Address, Endpoint, Instant, NetError, Transport};

use crate::packet::{Body, Packet};
use crate::rng::Rng;
use table::Table;

/// A NAT with one external address.
#[derive(Clone, Debug)]
pub struct Nat {
    behaviour: Behaviour,
    address: Address,
    table: Table,
    rng: Rng,
}

/// A side of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The private one.
    Inside,
    /// The one with the external address.
    Outside,
}

/// What a NAT made of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Why.
    pub receipt: Receipt,
    /// The packet that leaves, the translated one or an answer, and by which side.
    pub packet: Option<(Side, Packet)>,
}

impl Nat {
    /// A NAT with an empty table.
    #[must_use]
    pub const fn new(behaviour: Behaviour, address: Address, rng: Rng) -> Self {
        Self { behaviour, address, table: Table::new(), rng }
    }

    /// Its external address.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// How it behaves.
    #[must_use]
    pub const fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// Changes how it behaves from here on; rows stay.
    pub const fn set_behaviour(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
    }

    /// The rows, oldest first. Those that have timed out since the last packet are among them.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.table.rows()
    }

    /// Forgets every row, as a restart does; sequential ports begin anew.
    pub fn reboot(&mut self) {
        self.table.clear();
    }

    /// Decides about a packet that arrived at one side.
    pub fn handle(&mut self, now: Instant, side: Side, mut packet: Packet) -> Passage {
        self.table.expire(now, &self.behaviour);
        let mut receipt = Receipt {
            direction: match side {
                Side::Outside => Direction::Inbound,
                Side::Inside if packet.destination.address() == self.address => Direction::Hairpin,
                Side::Inside => Direction::Outbound,
            },
            source: packet.source,
            destination: packet.destination,
            mapping: None,
            filter: None,
            decision: Decision::Dropped(DropRule::TtlExpired),
        };
        let outcome = if packet.ttl <= 1 {
            Err(Refusal::Silent(DropRule::TtlExpired))
        } else {
            packet.ttl -= 1;
            self.translate(now, side, &mut packet, &mut receipt)
        };
        let packet = match outcome {
            Ok(to) => {
                receipt.decision = Decision::Forwarded { source: packet.source, destination: packet.destination };
                Some((to, packet))
            }
            Err(Refusal::Silent(rule)) => {
                receipt.decision = Decision::Dropped(rule);
                None
            }
            Err(Refusal::Answer(rule, answer)) => {
                receipt.decision = Decision::Answered(rule);
                Some((side, *answer))
            }
        };
        Passage { receipt, packet }
    }

    fn translate(
        &mut self,
        now: Instant,
        side: Side,
        packet: &mut Packet,
        receipt: &mut Receipt,
    ) -> Result<Side, Refusal> {
        if packet.source.family() != Endpoint::new(self.address, 0).family() {
            return Err(Refusal::Silent(DropRule::FamilyUnknown));
        }
        if self.behaviour.block_udp && packet.transport() == Transport::Udp {
            return Err(Refusal::Silent(DropRule::UdpBlocked));
        }
        if matches!(packet.body, Body::Icmp(_)) {
            return self.translate_error(side, packet);
        }
        match receipt.direction {
            Direction::Outbound => {
                packet.source = self.map(now, packet, receipt)?;
                Ok(Side::Outside)
            }
            Direction::Inbound => {
                packet.destination = self.admit(now, packet, receipt)?;
                Ok(Side::Inside)
            }
            Direction::Hairpin if self.behaviour.hairpin == Hairpin::None => {
                Err(Refusal::Silent(DropRule::HairpinNone))
            }
            Direction::Hairpin => {
                let internal = packet.source;
                packet.source = self.map(now, packet, receipt)?;
                packet.destination = self.admit(now, packet, receipt)?;
                if self.behaviour.hairpin == Hairpin::InternalSource {
                    packet.source = internal;
                }
                Ok(Side::Inside)
            }
        }
    }

    /// The external endpoint of an outgoing packet's source.
    fn map(&mut self, now: Instant, packet: &Packet, receipt: &mut Receipt) -> Result<Endpoint, Refusal> {
        let mapping = self
            .table
            .map(
                now,
                &self.behaviour,
                self.address,
                &mut self.rng,
                (packet.transport(), packet.source, packet.destination),
            )
            .ok_or(Refusal::Silent(DropRule::PortsExhausted))?;
        receipt.mapping = Some(mapping);
        self.table.on_outbound(now, &self.behaviour, mapping.row, packet);
        Ok(mapping.external)
    }

    /// The internal endpoint of an incoming packet's destination, if the packet may come in.
    fn admit(&mut self, now: Instant, packet: &Packet, receipt: &mut Receipt) -> Result<Endpoint, Refusal> {
        let Some(row) = self.table.find(packet.transport(), packet.destination) else {
            return Err(self.refuse(now, packet, DropRule::NoMapping));
        };
        let (row, internal) = (row.id, row.internal);
        let filtered = receipt.direction == Direction::Inbound || self.behaviour.hairpin_filtered;
        if filtered {
            let filter = self.table.filter(&self.behaviour, row, packet.source);
            receipt.filter = Some(filter);
            if !filter.passed {
                return Err(self.refuse(now, packet, DropRule::Filtered));
            }
        }
        self.table.on_inbound(now, &self.behaviour, row, packet);
        Ok(internal)
    }

    fn refuse(&mut self, now: Instant, packet: &Packet, rule: DropRule) -> Refusal {
        if let (Some(span), Transport::Udp) = (self.behaviour.spoiled_by_early, packet.transport()) {
            self.table.spoil(packet.destination, packet.source, now + span);
        }
        let opens = packet.flags().is_some_and(crate::packet::Flags::opens);
        let answer = match self.behaviour.unsolicited_syn {
            Unsolicited::Reset if opens => packet.reset_for(),
            Unsolicited::Icmp if opens => packet.error_from(self.address, NetError::Refused),
            Unsolicited::Drop | Unsolicited::Reset | Unsolicited::Icmp => None,
        };
        answer.map_or(Refusal::Silent(rule), |answer| Refusal::Answer(rule, alloc::boxed::Box::new(answer)))
    }

    /// ICMP errors pass where the packet that they quote has a row, whoever sends them (REQ-12).
    fn translate_error(&self, side: Side, packet: &mut Packet) -> Result<Side, Refusal> {
        let unknown = Refusal::Silent(DropRule::NoMapping);
        let Body::Icmp(icmp) = &mut packet.body else {
            return Err(unknown);
        };
        match side {
            Side::Outside => {
                let row = self.table.find(icmp.transport, icmp.source);
                let internal = row.ok_or(unknown)?.internal;
                icmp.source = internal;
                packet.destination = internal;
                Ok(Side::Inside)
            }
            Side::Inside => {
                let (transport, remote) = (icmp.transport, icmp.source);
                let row = self
                    .table
                    .rows()
                    .find(|row| {
                        row.transport == transport && row.internal == icmp.destination && row.key.covers(remote)
                    })
                    .ok_or(unknown)?;
                icmp.destination = row.external;
                packet.source = Endpoint::new(self.address, 0);
                Ok(Side::Outside)
            }
        }
    }
}

enum Refusal {
    Silent(DropRule),
    Answer(DropRule, alloc::boxed::Box<Packet>),
}
