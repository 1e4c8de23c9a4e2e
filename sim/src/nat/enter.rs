//! Packets from outside, and the second half of a hairpin.

use alloc::boxed::Box;

use pinhole_proto::{Endpoint, Instant, NetError, Transport};

use super::behaviour::Behaviour;
use super::habits::{SimultaneousOpen, Unsolicited, UnsolicitedDatagram};
use super::late::Waiting;
use super::receipt::{Direction, DropRule, Receipt};
use super::row::Session;
use super::rule::{Operand, Rule};
use super::table::Table;
use super::{Nat, Refusal, Side, payload};
use crate::packet::{Flags, Packet};

impl Nat {
    /// The internal endpoint of an incoming packet's destination, if the packet may come in. Of a hairpin
    /// `before` is the packet as the inside sent it, to which answers go.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        packet: &mut Packet,
        receipt: &mut Receipt,
        before: Option<&Packet>,
    ) -> Result<Endpoint, Refusal> {
        let (transport, external, remote) = (packet.transport(), packet.destination, packet.source);
        let opens = packet.flags().is_some_and(Flags::opens);
        let Some(row) = self.table.reached(transport, external, remote) else {
            let nearest = self.table.nearest(transport, external).and_then(|id| self.table.get(id));
            receipt.nearest = nearest.map(|row| row.id);
            let against = nearest.map_or(Operand::Nothing, |row| Operand::Endpoint(row.external));
            receipt.checks.note(Rule::ExternalMapped, Operand::Endpoint(external), against, false);
            return Err(self.refuse(now, behaviour, DropRule::NoMapping, packet, receipt, before));
        };
        let (id, internal) = (row.id, row.internal);
        receipt.checks.note(Rule::ExternalMapped, Operand::Endpoint(external), Operand::Row(id), true);
        let crossing = opens && row.sessions.get(&remote).is_some_and(Session::is_opening);
        let mut refusal = None;
        if receipt.direction == Direction::Inbound || behaviour.hairpin_filtered {
            let filter = self.table.filter(behaviour, row, remote, opens);
            receipt.filter = Some(filter);
            let against = filter.session.or(filter.nearest).map_or(Operand::Nothing, Operand::Endpoint);
            receipt.checks.note(Rule::Filter, Operand::Endpoint(remote), against, filter.passed);
            if !filter.passed {
                refusal = Some(DropRule::Filtered);
            }
        }
        let flags = packet.flags().unwrap_or_default();
        if refusal.is_some() && opens && behaviour.unsolicited_syn == Unsolicited::LetIn {
            receipt.checks.note(Rule::SynLetIn, Operand::Flags(flags), Operand::Field("unsolicited-syn"), true);
            refusal = None;
        }
        if refusal.is_none() && crossing {
            let allowed = behaviour.simultaneous_open != SimultaneousOpen::InboundSynRefused;
            let field = Operand::Field("simultaneous-open");
            if !receipt.checks.note(Rule::CrossingSynAllowed, Operand::Flags(flags), field, allowed) {
                refusal = Some(DropRule::SimultaneousOpen);
            }
        }
        if let Some(rule) = refusal {
            return Err(self.refuse(now, behaviour, rule, packet, receipt, before));
        }
        let answered = flags.rst && self.table.is_answered(id, remote);
        self.table.on_inbound(now, behaviour, id, packet);
        if flags.rst {
            let ended = Table::ended_by_reset(behaviour, Some(flags), answered);
            receipt.checks.note(Rule::ResetSurvived, Operand::Flags(flags), Operand::Field("reset"), !ended);
            if ended && self.table.get(id).is_some_and(|row| row.sessions.contains_key(&remote)) {
                self.table.end_session(now, behaviour, id, remote);
            }
        }
        if behaviour.rewrite_payload {
            payload::rewrite(packet, external.address(), internal.address(), &mut receipt.checks);
        }
        Ok(internal)
    }

    fn refuse(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        rule: DropRule,
        packet: &Packet,
        receipt: &mut Receipt,
        before: Option<&Packet>,
    ) -> Refusal {
        let pair = (packet.destination, packet.source);
        let opens = packet.flags().is_some_and(Flags::opens);
        let trace = match packet.transport() {
            Transport::Udp => behaviour.spoiled_by_early,
            Transport::Tcp => behaviour.spoiled_by_early_syn.filter(|_| opens),
        };
        if let Some(span) = trace {
            self.table.traces.insert((packet.transport(), pair.0, pair.1), now + span);
        }
        let address = self.address();
        let asked = before.unwrap_or(packet);
        let unreachable = || asked.error_from(address, NetError::Refused);
        let (field, answer) = match packet.transport() {
            Transport::Udp if behaviour.unsolicited_datagram == UnsolicitedDatagram::Icmp => {
                ("unsolicited-datagram", unreachable())
            }
            Transport::Udp => ("unsolicited-datagram", None),
            Transport::Tcp if !opens => ("unsolicited-syn", None),
            Transport::Tcp => {
                let answer = match behaviour.unsolicited_syn {
                    Unsolicited::Drop | Unsolicited::LetIn => None,
                    Unsolicited::Reset => asked.reset_for(),
                    Unsolicited::Icmp => unreachable(),
                    Unsolicited::IcmpDelayed => {
                        let side = if before.is_some() { Side::Inside } else { Side::Outside };
                        if let Some(answer) = unreachable() {
                            self.late.insert(pair, Waiting { due: now + behaviour.syn_grace, side, rule, answer });
                        }
                        None
                    }
                };
                ("unsolicited-syn", answer)
            }
        };
        let flags = packet.flags().map_or(Operand::Nothing, Operand::Flags);
        receipt.checks.note(Rule::RefusalAnswered, flags, Operand::Field(field), answer.is_some());
        answer.map_or(Refusal::Silent(rule), |answer| Refusal::Answer(rule, Box::new(answer)))
    }
}
