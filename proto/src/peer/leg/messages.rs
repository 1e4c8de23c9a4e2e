//! What the server says under the registration's keys.

use alloc::vec::Vec;

use super::binding::{Behaviour, Stage};
use super::{Leg, News, Slot, arrival, decode_all, jitter};
use crate::constants::{MAX_REFRESH, MIN_REFRESH};
use crate::discard::Discard;
use crate::engine::Transport;
use crate::peer::api::PeerEvent;
use crate::peer::core::{Core, Timer};
use crate::replay::Arrival;
use crate::request::Seen;
use crate::time::Duration;
use crate::wire::control::{Acknowledge, PathCheck, PathReply, Refreshed};
use crate::wire::message::{Message, Reply, Request, RequestId};
use crate::wire::sealed::Sealed;

impl Leg {
    /// A sealed packet under this leg's keys.
    pub(in crate::peer) fn on_sealed(
        &mut self,
        core: &mut Core,
        slot: Slot,
        sealed: &Sealed<'_>,
    ) -> Result<Vec<News>, Discard> {
        let arrival = arrival(self.bindings[slot].transport == Transport::Tcp);
        let Some(registration) = &mut self.registration else {
            return Err(Discard::IndexUnknown);
        };
        let plaintext = registration.association.open(sealed, arrival)?;
        let messages = decode_all(&plaintext);
        // [R-SEC-040] A stream counts whatever opened.
        if messages.is_ok() || arrival == Arrival::Stream {
            registration.association.enter(sealed, arrival);
        }
        let messages = messages?;
        let mut news = Vec::new();
        for message in messages {
            match message {
                Message::Request(id, request) => self.on_request(core, slot, id, request, &mut news),
                Message::Answer(id, reply) => self.on_answer(core, slot, id, reply, &mut news),
                // [R-WIRE-046]
                Message::Datagram(_) | Message::Data { .. } | Message::Ack(_) => core.note(Discard::MessageUnexpected),
                Message::Unknown(_) => {}
            }
        }
        self.schedule_requests(core);
        Ok(news)
    }

    fn on_request(&mut self, core: &mut Core, slot: Slot, id: RequestId, request: Request, news: &mut Vec<News>) {
        let server = self.bindings[slot].server;
        // [R-SESS-004]
        match self.answers.enter(id) {
            Seen::New => {}
            Seen::Pending => return,
            Seen::Answered(reply) => return self.send(core, slot, &[Message::Answer(id, reply)]),
        }
        let reply = match request {
            Request::PathCheck(PathCheck { nonce, .. }) => Reply::PathReply(PathReply { nonce, observed: server }),
            Request::Introduce(introduce) => {
                news.push(News::Introduce(slot, id, introduce));
                return;
            }
            Request::Answered(answered) => {
                news.push(News::Answered(answered));
                Reply::Acknowledge(Acknowledge {})
            }
            Request::Rejected(rejected) => {
                news.push(News::Rejected(rejected));
                Reply::Acknowledge(Acknowledge {})
            }
            Request::Replaced(_) => {
                // [R-REG-011]
                self.ended = true;
                core.event(PeerEvent::Replaced);
                self.send(core, slot, &[Message::Answer(id, Reply::Acknowledge(Acknowledge {}))]);
                for slot in 0..self.bindings.len() {
                    core.timers.clear(Timer::Binding(slot));
                    self.bindings[slot].stage = Stage::Down;
                    news.push(News::Offline(slot));
                }
                return;
            }
            Request::Refresh(_)
            | Request::Unregister(_)
            | Request::Echo(_)
            | Request::Connect(_)
            | Request::RelayOpen(_)
            | Request::Select(_)
            | Request::Attempt(_)
            | Request::Close(_)
            | Request::Finish(_) => return core.note(Discard::WrongRole),
        };
        self.answer(core, slot, id, reply);
    }

    fn on_answer(&mut self, core: &mut Core, slot: Slot, id: RequestId, reply: Reply, news: &mut Vec<News>) {
        let Some(asked) = self.requests.get(id) else {
            // [R-SESS-006]
            return core.note(Discard::RequestUnknown);
        };
        let fits = matches!(
            (&asked.request, &reply),
            (Request::Refresh(_), Reply::Refreshed(_))
                | (Request::Connect(_), Reply::Introduced(_) | Reply::Refuse(_))
                | (Request::RelayOpen(_), Reply::RelayOpened(_) | Reply::Refuse(_))
                | (Request::Unregister(_), Reply::Acknowledge(_))
        );
        if !fits {
            // [R-SESS-006]
            return core.note(Discard::MessageUnexpected);
        }
        let Some(asked) = self.requests.answered(core.now, id) else {
            return;
        };
        match (reply, asked.tag.session) {
            (Reply::Refreshed(refreshed), None) => self.on_refreshed(core, asked.tag.slot, refreshed, news),
            (Reply::Introduced(introduced), Some(session)) => news.push(News::Introduced(session, slot, introduced)),
            (Reply::RelayOpened(opened), Some(session)) => news.push(News::Channel(session, opened)),
            (Reply::Refuse(refuse), Some(session)) => news.push(News::Refused(session, refuse.code)),
            _ => {}
        }
    }

    fn on_refreshed(&mut self, core: &mut Core, slot: Slot, refreshed: Refreshed, news: &mut Vec<News>) {
        let interval = interval(refreshed.interval);
        let binding = &mut self.bindings[slot];
        let first = !binding.is_online();
        let changed = binding.public != Some(refreshed.observed);
        binding.interval = interval.min(core.config.refresh.max(Duration::from_secs(1)));
        // A NAT that forgets sooner than the server wants to be told.
        if let Some(safe) = binding.idle.proved() {
            binding.interval = binding.interval.min(safe);
        }
        // [R-DISC-010]
        binding.public = Some(refreshed.observed);
        binding.stage = Stage::Online;
        binding.tries = 0;
        // Nine tenths, and up to a tenth less: a lost registration is noticed and made again within one interval.
        let wait = binding.interval * 9 / 10 - jitter(&mut core.visible, binding.interval / 10);
        core.timers.set(Timer::Binding(slot), core.now + wait);
        if first || changed {
            let private = core.private_endpoints(binding.socket).first().copied().unwrap_or(refreshed.observed);
            let (transport, public) = (binding.transport, refreshed.observed);
            core.event(PeerEvent::Online { transport, private, public });
            self.bindings[slot].behaviour = Behaviour::Idle;
            self.ask_behaviour(core, slot);
        }
        if changed && !first && self.bindings[slot].transport == Transport::Udp {
            news.push(News::Changed(self.bindings[slot].family));
        }
        if first {
            self.start_trials(core, slot);
            news.push(News::Online);
        }
    }
}

/// The interval that a server asked for, in seconds, within its bounds.
fn interval(asked: u16) -> Duration {
    // [R-REG-019]
    Duration::from_secs(u64::from(asked)).clamp(MIN_REFRESH, MAX_REFRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    // [R-REG-019]
    #[test]
    fn an_interval_out_of_bounds_is_the_nearer_bound() {
        assert_eq!(
            [0, 14, 15, 40, 60, 61, u16::MAX].map(|asked| interval(asked).as_secs()),
            [15, 15, 15, 40, 60, 60, 60]
        );
    }
}
