//! One question in a datagram, its repetitions and its answer.

use super::core::{Core, MAIN, Ports, Servers};
use super::course::Ask;
use super::report::{Outcome, Place, Probe};
use crate::constants::VERSION;
use crate::discard::Discard;
use crate::endpoint::{Address, Endpoint};
use crate::time::Instant;
use crate::wire::discover::{ReplyFrom, TransactionId};
use crate::wire::{Discover, Discovered, List, Packet};

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) transaction: TransactionId,
    /// What the transaction becomes if its look-alike is rewritten.
    rewritten: Option<TransactionId>,
    pub(super) ask: Ask,
    pub(super) first_sent: Instant,
    pub(super) sent: u8,
    pub(super) outcome: Option<Outcome>,
}

impl Exchange {
    pub(super) fn new(core: &mut Core, ports: &Ports, ask: Ask) -> Self {
        // [R-DISC-002] [R-BEH-007]
        let mut transaction: TransactionId = core.rng.octets();
        let mut rewritten = None;
        if let (Probe::LookAlike(alike), Some((private, public))) = (ask.probe, ports.known(MAIN))
            && let (Address::V4(own), Address::V4(outer)) = (private.address(), public.address())
        {
            // In front, where the mask of the observed endpoint is: a rewriting on the way out shows even where
            // it is undone on the way back.
            let (shown, other) = if alike == private { (own, outer) } else { (outer, own) };
            transaction[..4].copy_from_slice(&shown.octets());
            let mut changed = transaction;
            changed[..4].copy_from_slice(&other.octets());
            rewritten = Some(changed);
        }
        Self { transaction, rewritten, ask, first_sent: core.now, sent: 0, outcome: None }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    pub(super) fn send(&mut self, core: &mut Core, ports: &Ports) {
        let Some(port) = ports.get(self.ask.port) else {
            return;
        };
        self.sent += 1;
        core.outbox.transmit(port.socket, None, self.ask.to, &question(self.transaction, self.ask.probe));
    }

    /// Sends the question once more, or gives it up.
    pub(super) fn repeat(&mut self, core: &mut Core, ports: &Ports) {
        if !self.is_open() {
            return;
        }
        if self.sent >= tries(self.ask.probe) {
            self.outcome = Some(Outcome::Silent);
        } else {
            self.send(core, ports);
        }
    }

    /// Whether `found` says that it answers this question.
    pub(super) fn is_named_by(&self, found: &Discovered) -> bool {
        self.is_open() && (self.transaction == found.transaction || self.rewritten == Some(found.transaction))
    }

    /// Takes the answer, if it comes from where it is to come from. `public`: where the port was seen before.
    pub(super) fn on_answer(
        &mut self,
        servers: &Servers,
        public: Option<Endpoint>,
        remote: Endpoint,
        found: &Discovered,
    ) -> Result<(), Discard> {
        let expected = match self.ask.probe {
            Probe::Reply(place) => servers.place(place),
            Probe::Observe | Probe::LookAlike(_) => Some(self.ask.to),
            // A server at the public endpoint of this very machine.
            Probe::Hairpin { .. } | Probe::Silence { .. } => return Err(Discard::TransactionUnknown),
        };
        if expected != Some(remote) {
            return Err(Discard::SourceWrong);
        }
        self.outcome = Some(match self.ask.probe {
            Probe::Observe => Outcome::Observed(found.observed),
            Probe::Reply(_) | Probe::Hairpin { .. } | Probe::Silence { .. } => Outcome::Arrived(remote),
            // Another port is another mapping.
            Probe::LookAlike(_)
                if self.transaction == found.transaction
                    && public.is_some_and(|public| public.address() == found.observed.address()) =>
            {
                Outcome::Observed(found.observed)
            }
            Probe::LookAlike(_) => Outcome::Rewritten,
        });
        Ok(())
    }
}

/// The octets of a question.
pub(super) fn question(transaction: TransactionId, probe: Probe) -> alloc::vec::Vec<u8> {
    let reply_from = match probe {
        Probe::Reply(Place::OtherPort) => ReplyFrom(1),
        Probe::Reply(Place::OtherAddress) => ReplyFrom(2),
        Probe::Reply(Place::Asked)
        | Probe::Observe
        | Probe::Hairpin { .. }
        | Probe::LookAlike(_)
        | Probe::Silence { .. } => ReplyFrom(0),
    };
    Packet::Discover(Discover { transaction, versions: List::from_first([VERSION]), reply_from }).encode()
}

/// How often a question is sent: seldom to an endpoint that may be somebody else's, often where silence would mean
/// that nothing works.
const fn tries(probe: Probe) -> u8 {
    match probe {
        // [R-BEH-008] Nine in all.
        Probe::Hairpin { .. } => 3,
        Probe::Reply(Place::OtherPort | Place::OtherAddress) => 4,
        Probe::Observe | Probe::LookAlike(_) | Probe::Reply(Place::Asked) | Probe::Silence { .. } => 6,
    }
}
