//! A NAT: packets and time in, packets and receipts out. It knows nothing of the world around it, so
//! that it can stand in front of real packets as well.
//!
//! A row of the table is a mapping, `internal <=> external {sessions}`; a session is one remote endpoint
//! that the inside sent to. [`Behaviour`] says which rows packets share and whom a row admits. Each
//! decision comes with a [`Receipt`]: the [rules](Rule) applied in order, with the operands compared.
//!
//! Not modelled: fragments (RFC 4787, REQ-13 and REQ-14), ICMP queries (RFC 5508), application gateways
//! beyond addresses in payloads, changes of the external address.

mod behaviour;
mod competitor;
mod enter;
mod errors;
mod fading;
mod field;
mod fields;
mod guidance;
mod habits;
mod late;
mod leave;
mod payload;
mod ports;
mod presets;
mod receipt;
mod row;
mod rule;
mod table;

pub use behaviour::Behaviour;
pub use competitor::{Competitor, CompetitorPlan};
pub use field::{Field, FieldError, MAX_SPAN, Senseless, Value, Values};
pub use guidance::{Guidance, Standing};
pub use habits::{
    CounterScope, Dependence, FreshPort, Hairpin, Ipv6, Kind, OnConflict, OnFull, OnIcmp, OnReboot, OnReset,
    Overloading, PermissionScope, Pooling, PortRanges, Refresh, SimultaneousOpen, TimerScope, Translation, Unsolicited,
    UnsolicitedDatagram,
};
pub use receipt::{
    Decision, Direction, DropRule, FilterReceipt, MappingReceipt, MappingRule, PortRule, Receipt, RemoteKey, RowId,
};
pub use row::{Row, Session};
pub use rule::{Check, Checks, Operand, Rule, Taken};

use alloc::boxed::Box;
use alloc::vec::Vec;

use pinhole_proto::{Address, Endpoint, Family, Instant, Transport};
use serde::Serialize;

use crate::packet::{Body, Packet};
use crate::rng::Rng;
use late::Late;
use ports::Ports;
use table::Table;

/// A NAT.
#[derive(Clone, Debug)]
pub struct Nat {
    behaviour: Behaviour,
    /// The external addresses, never none.
    pool: Vec<Address>,
    table: Table,
    ports: Ports,
    late: Late,
    rng: Rng,
}

/// A side of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
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
    /// A NAT with an empty table and one external address.
    #[must_use]
    pub fn new(behaviour: Behaviour, address: Address, rng: Rng) -> Self {
        Self { behaviour, pool: alloc::vec![address], table: Table::new(), ports: Ports::new(), late: Late::new(), rng }
    }

    /// Adds an external address to the pool. One that is there, or of the other family, changes nothing.
    pub fn add_address(&mut self, address: Address) {
        if !self.pool.contains(&address) && address.is_ipv4() == self.address().is_ipv4() {
            self.pool.push(address);
        }
    }

    /// Its first external address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.pool[0]
    }

    /// All its external addresses.
    #[must_use]
    pub fn pool(&self) -> &[Address] {
        &self.pool
    }

    /// How it behaves.
    #[must_use]
    pub const fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// Changes how it behaves from here on; rows stay, and their timers are set anew.
    pub fn set_behaviour(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
        self.table.watch_all(&behaviour);
    }

    /// The rows, oldest first. Those that have timed out since the last packet are among them.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.table.rows()
    }

    /// A row by its name.
    #[must_use]
    pub fn row(&self, id: RowId) -> Option<&Row> {
        self.table.get(id)
    }

    /// When a row, or one session of it, ends without further traffic.
    #[must_use]
    pub fn ends_at(&self, row: &Row, session: Option<Endpoint>) -> Instant {
        row.due(&self.behaviour, session)
    }

    /// Forgets every row, as a restart does.
    pub fn reboot(&mut self) {
        self.table.clear();
        self.ports.clear(&self.behaviour);
        self.late = Late::new();
    }

    /// When it has something to do without a packet: an answer that was put off.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.late.deadline()
    }

    /// Answers what was put off and is due. Before the [deadline](Self::deadline) it does nothing.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Passage> {
        let mut passages = Vec::new();
        while let Some(((external, remote), waiting)) = self.late.pop(now) {
            let direction = match waiting.side {
                Side::Inside => Direction::Hairpin,
                Side::Outside => Direction::Inbound,
            };
            let mut receipt = Receipt::new(direction, remote, external);
            receipt.checks.note(Rule::GraceUnused, Operand::Moment(waiting.due), Operand::Field("syn-grace-ms"), true);
            receipt.decision = Decision::Answered(waiting.rule);
            passages.push(Passage { receipt, packet: Some((waiting.side, waiting.answer)) });
        }
        passages
    }

    /// Decides about a packet that arrived at one side.
    pub fn handle(&mut self, now: Instant, side: Side, mut packet: Packet) -> Passage {
        let mut behaviour = self.behaviour;
        self.table.expire(now, &behaviour);
        for host in core::mem::take(&mut self.table.vacated) {
            if self.table.rows_of_host(host) == 0 {
                self.ports.release(host);
            }
        }
        let mut receipt = Receipt::new(Direction::Inbound, packet.source, packet.destination);
        let outcome = if receipt.checks.note(
            Rule::TimeToLive,
            Operand::Number(u64::from(packet.ttl)),
            Operand::Number(1),
            packet.ttl > 1,
        ) {
            packet.ttl -= 1;
            self.pass(now, side, &mut behaviour, &mut packet, &mut receipt)
        } else {
            receipt.direction = self.direction(&behaviour, side, &packet);
            Err(Refusal::Silent(DropRule::TtlExpired))
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

    fn direction(&self, behaviour: &Behaviour, side: Side, packet: &Packet) -> Direction {
        match side {
            Side::Outside => Direction::Inbound,
            Side::Inside
                if behaviour.translation != Translation::Firewall
                    && self.pool.contains(&packet.destination.address()) =>
            {
                Direction::Hairpin
            }
            Side::Inside => Direction::Outbound,
        }
    }

    fn pass(
        &mut self,
        now: Instant,
        side: Side,
        behaviour: &mut Behaviour,
        packet: &mut Packet,
        receipt: &mut Receipt,
    ) -> Result<Side, Refusal> {
        let ours = Endpoint::new(self.address(), 0).family();
        let family = packet.source.family();
        if family != ours {
            let treatment = if family == Family::V6 { behaviour.ipv6 } else { Ipv6::Drop };
            let source = Operand::Endpoint(packet.source);
            let known = treatment != Ipv6::Drop;
            receipt.direction = self.direction(behaviour, side, packet);
            if !receipt.checks.note(Rule::AddressFamily, source, Operand::Field("ipv6"), known) {
                return Err(Refusal::Silent(DropRule::FamilyUnknown));
            }
            behaviour.translation = Translation::Firewall;
            if treatment == Ipv6::Pass {
                return Ok(side.other());
            }
        }
        receipt.direction = self.direction(behaviour, side, packet);
        if behaviour.block_udp && packet.transport() == Transport::Udp {
            receipt.checks.note(Rule::UdpAllowed, Operand::Nothing, Operand::Field("block-udp"), false);
            return Err(Refusal::Silent(DropRule::UdpBlocked));
        }
        if matches!(packet.body, Body::Icmp(_)) {
            return self.pass_error(now, side, behaviour, packet, receipt);
        }
        match receipt.direction {
            Direction::Outbound => {
                packet.source = self.leave(now, behaviour, packet, receipt)?;
                Ok(Side::Outside)
            }
            Direction::Inbound => {
                packet.destination = self.enter(now, behaviour, packet, receipt, None)?;
                Ok(Side::Inside)
            }
            Direction::Hairpin => {
                let supported = behaviour.hairpin != Hairpin::None;
                let destination = Operand::Endpoint(packet.destination);
                if !receipt.checks.note(Rule::Hairpin, destination, Operand::Field("hairpin"), supported) {
                    return Err(Refusal::Silent(DropRule::HairpinNone));
                }
                let before = packet.clone();
                packet.source = self.leave(now, behaviour, packet, receipt)?;
                packet.destination = self.enter(now, behaviour, packet, receipt, Some(&before))?;
                if behaviour.hairpin == Hairpin::InternalSource {
                    packet.source = before.source;
                }
                Ok(Side::Inside)
            }
        }
    }
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Inside => Self::Outside,
            Self::Outside => Self::Inside,
        }
    }
}

/// Why a packet does not go on, and what is sent back.
enum Refusal {
    Silent(DropRule),
    Answer(DropRule, Box<Packet>),
}
