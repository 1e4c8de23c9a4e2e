//! Packets from the inside.

use pinhole_proto::{Endpoint, Instant};

use super::behaviour::Behaviour;
use super::habits::{OnFull, Overloading, SimultaneousOpen};
use super::receipt::{DropRule, MappingReceipt, MappingRule, Receipt, RemoteKey};
use super::row::Row;
use super::rule::{Checks, Operand, Rule, Taken};
use super::table::{Flow, Table};
use super::{Nat, Refusal, payload};
use crate::packet::{Body, Flags, Packet, Segment};

/// What is done about the row of an outgoing packet.
enum Plan {
    Reuse(MappingReceipt),
    Make { key: RemoteKey, diverted: bool },
}

impl Nat {
    /// The external endpoint of an outgoing packet's source.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        packet: &mut Packet,
        receipt: &mut Receipt,
    ) -> Result<Endpoint, Refusal> {
        let flow = Flow { transport: packet.transport(), internal: packet.source, remote: packet.destination };
        let mapping = match plan(&self.table, behaviour, flow, packet, &mut receipt.checks)? {
            Plan::Reuse(mapping) => mapping,
            Plan::Make { key, diverted } => self.make(now, behaviour, flow, (key, diverted), &mut receipt.checks)?,
        };
        receipt.mapping = Some(mapping);
        self.table.on_outbound(now, behaviour, mapping.row, packet);
        let opens = packet.flags().is_some_and(Flags::opens);
        if opens && !self.late.is_empty() {
            self.late.cancel((mapping.external, flow.remote));
        }
        if let Some(flags) = packet.flags().filter(|flags| flags.rst) {
            let answered = self.table.is_answered(mapping.row, flow.remote);
            let ended = Table::ended_by_reset(behaviour, Some(flags), answered);
            receipt.checks.note(Rule::ResetSurvived, Operand::Flags(flags), Operand::Field("reset"), !ended);
            if ended {
                self.table.end_session(now, behaviour, mapping.row, flow.remote);
            }
        }
        if behaviour.rewrite_payload {
            payload::rewrite(packet, flow.internal.address(), mapping.external.address(), &mut receipt.checks);
        }
        Ok(mapping.external)
    }

    /// Makes a row.
    fn make(
        &mut self,
        now: Instant,
        behaviour: &Behaviour,
        flow: Flow,
        (key, diverted): (RemoteKey, bool),
        checks: &mut Checks,
    ) -> Result<MappingReceipt, Refusal> {
        let host = flow.internal.address();
        let had = u64::from(self.table.rows_of_host(host));
        let most = u64::from(behaviour.max_mappings_per_host);
        if had >= most {
            checks.note(Rule::HostRoom, Operand::Number(had), Operand::Number(most), false);
            let oldest = self.table.oldest_of_host(host).map(|row| row.id);
            let (OnFull::EvictOldest, Some(oldest)) = (behaviour.full, oldest) else {
                return Err(Refusal::Silent(DropRule::HostFull));
            };
            self.table.remove(now, behaviour, oldest);
        }
        let had = self.table.len() as u64;
        let most = u64::from(behaviour.max_mappings);
        if had >= most {
            checks.note(Rule::TableRoom, Operand::Number(had), Operand::Number(most), false);
            let (OnFull::EvictOldest, Some(oldest)) = (behaviour.full, self.table.oldest()) else {
                return Err(Refusal::Silent(DropRule::TableFull));
            };
            self.table.remove(now, behaviour, oldest);
        }
        let allocated = self.ports.allocate(&self.table, behaviour, &self.pool, &mut self.rng, flow, checks);
        let (external, port) = allocated.ok_or(Refusal::Silent(DropRule::PortsExhausted))?;
        let rule = if diverted { MappingRule::Diverted(port) } else { MappingRule::Created(port) };
        Ok(self.table.insert(now, flow, external, key).receipt(rule))
    }
}

/// Whether the packet's row is there, or else what for one is to be made.
fn plan(
    table: &Table,
    behaviour: &Behaviour,
    flow: Flow,
    packet: &Packet,
    checks: &mut Checks,
) -> Result<Plan, Refusal> {
    let Flow { transport, internal, remote } = flow;
    let kind = behaviour.kind_of(flow);
    let usual = RemoteKey::of(kind, remote);
    let exact = RemoteKey::Endpoint(remote);
    let rival = || if behaviour.turns_symmetric { table.rival(transport, internal) } else { None };
    let Some(row) = table.leaving(flow, kind) else {
        let other = table.row_of(transport, internal).map_or(Operand::Nothing, |row| Operand::Key(row.key));
        checks.note(Rule::MappingCovers, Operand::Endpoint(remote), other, false);
        let key = match rival() {
            Some(rival) if usual != exact => {
                checks.note(Rule::PrivatePortAlone, Operand::Endpoint(internal), Operand::Endpoint(rival), false);
                exact
            }
            Some(_) | None => usual,
        };
        return Ok(Plan::Make { key, diverted: false });
    };
    checks.note(Rule::MappingCovers, Operand::Endpoint(remote), Operand::Key(row.key), true);
    let session = row.sessions.get(&remote);
    if let Body::Tcp(Segment { flags, seq, .. }) = &packet.body {
        if flags.syn && flags.ack && session.is_some_and(|session| session.syn.is_some()) {
            let allowed = behaviour.simultaneous_open != SimultaneousOpen::OutboundSynAckDropped;
            let field = Operand::Field("simultaneous-open");
            if !checks.note(Rule::SynAckAllowed, Operand::Flags(*flags), field, allowed) {
                return Err(Refusal::Silent(DropRule::SimultaneousOpen));
            }
        }
        if let (RemoteKey::Connection(_), true, Some(session)) = (row.key, flags.opens(), session) {
            let began = session.syn.map_or(Operand::Nothing, Operand::Number);
            let same = !session.is_over() && session.syn.is_none_or(|syn| syn == *seq);
            if !checks.note(Rule::SameConnection, Operand::Number(*seq), began, same) {
                return Ok(Plan::Make { key: usual, diverted: false });
            }
        }
    }
    if table.traces.contains((transport, row.external, remote)) {
        checks.note(Rule::NoEarlyTrace, Operand::Endpoint(remote), Operand::Endpoint(row.external), false);
        return Ok(Plan::Make { key: exact, diverted: true });
    }
    if session.is_none() {
        let pair = table.pair(transport, row.external, remote);
        if behaviour.overloading == Overloading::OtherRemotes && pair.is_some_and(|other| other != row.id) {
            let taken = Operand::Taken(Taken::ByMapping);
            checks.note(Rule::PortFree, Operand::Endpoint(row.external), taken, false);
            return Ok(Plan::Make { key: exact, diverted: true });
        }
        if row.key != exact
            && let Some(rival) = rival()
        {
            checks.note(Rule::PrivatePortAlone, Operand::Endpoint(internal), Operand::Endpoint(rival), false);
            return Ok(Plan::Make { key: exact, diverted: false });
        }
        room(row, checks)?;
    }
    Ok(Plan::Reuse(row.receipt(MappingRule::Reused)))
}

/// Whether a row may have a session more.
fn room(row: &Row, checks: &mut Checks) -> Result<(), Refusal> {
    let had = row.sessions.len();
    if had < MAX_SESSIONS {
        return Ok(());
    }
    checks.note(Rule::SessionRoom, Operand::Number(had as u64), Operand::Number(MAX_SESSIONS as u64), false);
    Err(Refusal::Silent(DropRule::TableFull))
}

/// The most remote endpoints of one mapping.
const MAX_SESSIONS: usize = 65_536;
