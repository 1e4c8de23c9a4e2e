//! What other engines ask, tell and pass on (`forward.rs`).

use super::Server;
use super::api::Recipient;
use super::forward::{Ask, Errand, Forward, Told};
use super::introduction::{self, Parts};
use super::registration::Introduction;
use crate::discard::Discard;
use crate::time::Instant;
use crate::wire::code::Refusal;

impl Server {
    /// What another engine asks, tells or passes on.
    pub(super) fn on_forwarded(&mut self, now: Instant, payload: &[u8]) -> Result<(), Discard> {
        let (forward, rest) = Forward::decode(payload)?;
        let (registry, relay, common) = (&mut self.registry, &mut self.relay, &mut self.common);
        match forward {
            Forward::Ask(id, shard, ask) => {
                let told = match common.forwards.answered(id) {
                    Some(told) => told.clone(),
                    None => {
                        let told = self.on_ask(now, ask);
                        self.common.forwards.remember(now, id, told.clone());
                        told
                    }
                };
                Forward::Told(id, told).send(Recipient::Shard(shard), &[], &mut self.common.out);
            }
            Forward::Told(id, told) => {
                let errand = common.forwards.settle(id, &mut common.timers).ok_or(Discard::RequestUnknown)?;
                self.on_told(now, errand, told);
            }
            Forward::Packet(leg, count) => relay.on_passed_on(now, (leg, count), rest, registry, common)?,
            Forward::Credit(leg, octets) => relay.on_credit(leg, octets, common),
        }
        Ok(())
    }

    fn on_ask(&mut self, now: Instant, ask: Ask) -> Told {
        let (registry, relay, common) = (&mut self.registry, &mut self.relay, &mut self.common);
        match ask {
            Ask::Introduce(guest, connect, may_relay) => {
                let mut parts = Parts { registry, relay, common };
                return self.introductions.on_guest(now, &guest, &connect, may_relay, &mut parts);
            }
            Ask::Answered(to, responder, session, transport, message_2) => {
                let session = (session, transport);
                introduction::on_guest_answer(now, (to, &responder), session, message_2, registry, common);
            }
            Ask::Rejected(initiator, session, transport, code) => {
                if registry.by_peer(initiator).is_some() {
                    registry.reject(now, &Introduction { initiator, session, transport }, code, common);
                }
            }
        }
        Told::Done
    }

    /// Answers the peer that waits for what another engine was asked.
    fn on_told(&mut self, now: Instant, errand: Errand, told: Told) {
        let Errand::Connect { initiator, index, slot, id, target, session } = errand else {
            return;
        };
        // It may have left or registered anew in the meantime.
        if self.registry.name(index) != Some(initiator) {
            return;
        }
        let reply = introduction::on_told(now, (initiator, target, session), told, &mut self.relay, &mut self.common);
        if let Ok(registration) = self.registry.get(index) {
            registration.answer(slot, id, reply, &mut self.common);
        }
    }

    /// A message that reached no engine.
    pub(super) fn on_undeliverable(&mut self, now: Instant, payload: &[u8]) -> Result<(), Discard> {
        let (forward, rest) = Forward::decode(payload)?;
        match forward {
            Forward::Ask(id, ..) => {
                let errand = self.common.forwards.settle(id, &mut self.common.timers);
                self.give_up(now, errand);
            }
            Forward::Packet(leg, _) => {
                let octets = u32::try_from(rest.len()).unwrap_or(u32::MAX);
                self.relay.on_credit(leg, octets, &mut self.common);
                return Err(Discard::ChannelUnknown);
            }
            Forward::Told(..) | Forward::Credit(..) => {}
        }
        Ok(())
    }

    pub(super) fn give_up(&mut self, now: Instant, errand: Option<Errand>) {
        if let Some(errand) = errand {
            // [R-INTRO-005]
            self.on_told(now, errand, Told::Refused(Refusal::NOT_REGISTERED));
        }
    }
}
