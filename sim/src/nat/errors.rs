//! ICMP errors about packets that passed.

use pinhole_proto::{Endpoint, Instant};

use super::behaviour::Behaviour;
use super::habits::OnIcmp;
use super::receipt::{DropRule, Receipt};
use super::row::Row;
use super::rule::{Operand, Rule};
use super::{Nat, Refusal, Side};
use crate::packet::{Body, Icmp, Packet};

impl Nat {
    /// ICMP errors pass where the packet that they quote has a row, whoever sends them (RFC 4787, REQ-12).
    pub(super) fn pass_error(
        &mut self,
        now: Instant,
        side: Side,
        behaviour: &Behaviour,
        packet: &mut Packet,
        receipt: &mut Receipt,
    ) -> Result<Side, Refusal> {
        let Body::Icmp(mut icmp) = packet.body else {
            return Err(Refusal::Silent(DropRule::NoMapping));
        };
        let allowed = behaviour.icmp != OnIcmp::Drop;
        if !receipt.checks.note(Rule::IcmpAllowed, Operand::Nothing, Operand::Field("icmp"), allowed) {
            return Err(Refusal::Silent(DropRule::IcmpBlocked));
        }
        let to = match side {
            Side::Outside => self.error_inwards(now, behaviour, &mut icmp, receipt)?,
            Side::Inside => self.error_outwards(now, behaviour, packet, &mut icmp, receipt)?,
        };
        match to {
            Side::Inside => packet.destination = icmp.source,
            Side::Outside => {}
        }
        packet.body = Body::Icmp(icmp);
        Ok(to)
    }

    /// An error about a packet that came from inside: its quoted source is external.
    fn error_inwards(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        icmp: &mut Icmp,
        receipt: &mut Receipt,
    ) -> Result<Side, Refusal> {
        let (external, remote) = (icmp.source, icmp.destination);
        let Some(row) = self.table.reached(icmp.transport, external, remote) else {
            let nearest = self.table.nearest(icmp.transport, external).and_then(|id| self.table.get(id));
            receipt.nearest = nearest.map(|row| row.id);
            return Err(unknown(receipt, external, nearest));
        };
        let (id, internal) = (row.id, row.internal);
        let session = row.sessions.contains_key(&remote);
        receipt.checks.note(Rule::QuoteMapped, Operand::Endpoint(external), Operand::Row(id), true);
        let ended = behaviour.icmp == OnIcmp::Forget && session;
        receipt.checks.note(Rule::IcmpSurvived, Operand::Endpoint(remote), Operand::Field("icmp"), !ended);
        if ended {
            self.table.end_session(now, behaviour, id, remote);
        }
        icmp.source = internal;
        Ok(Side::Inside)
    }

    /// An error about a packet that went in: its quoted destination is internal.
    fn error_outwards(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        packet: &mut Packet,
        icmp: &mut Icmp,
        receipt: &mut Receipt,
    ) -> Result<Side, Refusal> {
        let (transport, internal, remote) = (icmp.transport, icmp.destination, icmp.source);
        let by_session = self.table.session_row(transport, internal, remote).and_then(|id| self.table.get(id));
        let row = by_session.or_else(|| self.table.row_of(transport, internal).filter(|row| row.key.covers(remote)));
        let Some(row) = row else {
            return Err(unknown(receipt, internal, None));
        };
        let (id, external) = (row.id, row.external);
        receipt.checks.note(Rule::QuoteMapped, Operand::Endpoint(internal), Operand::Row(id), true);
        if behaviour.refresh_by_errors {
            self.table.refresh(now, id, remote);
        }
        icmp.destination = external;
        packet.source = match behaviour.translation {
            super::Translation::Firewall => packet.source,
            super::Translation::Napt | super::Translation::Basic => Endpoint::new(external.address(), 0),
        };
        if receipt.direction == super::Direction::Hairpin {
            return self.error_inwards(now, behaviour, icmp, receipt);
        }
        Ok(Side::Outside)
    }
}

fn unknown(receipt: &mut Receipt, quoted: Endpoint, nearest: Option<&Row>) -> Refusal {
    let against = nearest.map_or(Operand::Nothing, |row| Operand::Endpoint(row.external));
    receipt.checks.note(Rule::QuoteMapped, Operand::Endpoint(quoted), against, false);
    Refusal::Silent(DropRule::NoMapping)
}
