//! What the application says: datagrams and the byte stream (`spec/sessions.md`).

use super::{FULL_MESSAGE, PeerEvent, Session, Stage, Way};
use crate::constants::{MAX_DATA, MAX_DATAGRAM, SEAL_OVERHEAD};
use crate::discard::Discard;
use crate::engine::{CommandError, Transport};
use crate::peer::core::{Core, Timer};
use crate::peer::leg::Leg;
use crate::peer::path::Link;
use crate::wire::FRAME_HEADER;
use crate::wire::control::{Ack, Finish};
use crate::wire::message::{MESSAGE_HEADER, Message, Request};
use crate::wire::sealed::RELAYED_HEADER;

impl Session {
    /// Sends a datagram.
    pub(in crate::peer) fn send(&mut self, core: &mut Core, leg: &mut Leg, octets: &[u8]) -> Result<(), CommandError> {
        // [R-WIRE-001] [R-RELAY-007] [R-SESS-008]
        if octets.len() > MAX_DATAGRAM {
            return Err(CommandError::TooLong);
        }
        if self.stage != Stage::Established {
            return Err(CommandError::WrongState);
        }
        let size = octets.len() + MESSAGE_HEADER + SEAL_OVERHEAD + RELAYED_HEADER + FRAME_HEADER;
        let way = self.way(size).ok_or(CommandError::WouldBlock)?;
        if self.room(core, leg, way) < size {
            return Err(CommandError::WouldBlock);
        }
        self.send_way(core, leg, way, &[Message::Datagram(octets)]);
        Ok(())
    }

    /// Appends to the byte stream; answers how many octets were taken.
    pub(in crate::peer) fn write(
        &mut self,
        core: &mut Core,
        leg: &mut Leg,
        octets: &[u8],
    ) -> Result<usize, CommandError> {
        self.expect_stream()?;
        let taken = self.sender.write(octets);
        self.pump(core, leg);
        Ok(taken)
    }

    /// Ends this side's byte stream.
    pub(in crate::peer) fn finish(&mut self, core: &mut Core, leg: &mut Leg) -> Result<(), CommandError> {
        self.expect_stream()?;
        self.sender.finish();
        self.pump(core, leg);
        Ok(())
    }

    /// The application took octets of the byte stream.
    pub(in crate::peer) fn consume(&mut self, core: &mut Core, leg: &mut Leg, octets: u32) -> Result<(), CommandError> {
        self.expect_stream()?;
        if self.receiver.consume(octets) {
            self.flush(core, leg);
        }
        Ok(())
    }

    fn expect_stream(&self) -> Result<(), CommandError> {
        let streams = self.transport == Some(Transport::Tcp);
        if streams && self.stage != Stage::Ended { Ok(()) } else { Err(CommandError::WrongState) }
    }

    /// Sends as much of the byte stream as windows and the way allow.
    pub(in crate::peer) fn pump(&mut self, core: &mut Core, leg: &mut Leg) {
        if self.stage != Stage::Established || self.transport != Some(Transport::Tcp) {
            return;
        }
        let size = MAX_DATA + 8 + MESSAGE_HEADER + SEAL_OVERHEAD + RELAYED_HEADER + FRAME_HEADER;
        while let Some(way) = self.way(size) {
            if self.room(core, leg, way) < size {
                break;
            }
            // [R-RELAY-007]
            let Some((offset, octets)) = self.sender.next() else {
                break;
            };
            self.send_way(core, leg, way, &[Message::Data { offset, octets: &octets }]);
        }
        if !self.sender.finish_sent
            && let Some(offset) = self.sender.final_offset()
            && self.way(FULL_MESSAGE).is_some()
        {
            self.sender.finish_sent = true;
            self.request(core, leg, None, Request::Finish(Finish { offset }));
        }
        // A direct stream loses nothing while it lives; the relay may.
        if self.sender.waits() && self.way(size) == Some(Way::Relay) {
            core.timers.set_earlier(Timer::Resend(self.handle), core.now + self.sender.patience());
        } else {
            core.timers.clear(Timer::Resend(self.handle));
        }
    }

    /// The way changed: send again what was not acknowledged.
    pub(super) fn rewind(&mut self, core: &mut Core, leg: &mut Leg) {
        core.timers.clear(Timer::Resend(self.handle));
        // [R-SESS-011]
        self.sender.rewind(self.way(FULL_MESSAGE) == Some(Way::Relay));
        self.pump(core, leg);
    }

    /// What was sent through the relay, or the `Ack` for it, is lost.
    pub(super) fn on_resend_due(&mut self, core: &mut Core, leg: &mut Leg) {
        if let Some(offset) = self.sender.on_overdue() {
            self.send_best(core, leg, &[Message::Data { offset, octets: &[] }]);
        }
        self.rewind(core, leg);
    }

    pub(super) fn on_data(&mut self, core: &mut Core, offset: u64, octets: &[u8]) {
        // [R-SESS-019] A session over UDP has no byte stream.
        if self.transport != Some(Transport::Tcp) {
            return core.note(Discard::MessageUnexpected);
        }
        if let Some(fresh) = self.receiver.receive(offset, octets) {
            core.outbox.event_with(PeerEvent::Stream { session: self.handle, octets: &[] }, fresh);
        }
        self.tell_end(core);
    }

    pub(super) fn on_finish(&mut self, core: &mut Core, offset: u64) {
        if self.transport != Some(Transport::Tcp) || !self.receiver.finish(offset) {
            return core.note(Discard::MessageUnexpected);
        }
        self.tell_end(core);
    }

    fn tell_end(&mut self, core: &mut Core) {
        if self.stage == Stage::Established && self.receiver.take_end() {
            core.event(PeerEvent::Finished { session: self.handle });
        }
    }

    pub(super) fn on_ack(&mut self, core: &mut Core, leg: &mut Leg, ack: Ack) {
        if self.transport != Some(Transport::Tcp) {
            return core.note(Discard::MessageUnexpected);
        }
        if let Some(progress) = self.sender.acknowledge(ack.next, ack.window) {
            let session = self.handle;
            core.event(PeerEvent::Acknowledged { session, offset: progress.acknowledged });
            core.timers.clear(Timer::Resend(session));
            if progress.writable && !self.sender.is_finished() {
                core.event(PeerEvent::Writable { session });
            }
        }
        self.pump(core, leg);
    }

    /// Acknowledges what arrived.
    pub(super) fn flush(&mut self, core: &mut Core, leg: &mut Leg) {
        // [R-SESS-014]
        if self.receiver.ack_due && self.stage == Stage::Established {
            let (next, window) = self.receiver.ack();
            self.send_best(core, leg, &[Message::Ack(Ack { next, window })]);
        }
    }

    fn send_way(&mut self, core: &mut Core, leg: &mut Leg, way: Way, messages: &[Message<'_>]) {
        match way {
            Way::Relay => self.send_relay(core, leg, messages),
            Way::Path(at) => {
                self.send_on(core, at, messages);
                self.on_data_sent(core, at);
            }
        }
    }

    /// How many octets a way takes at this moment.
    fn room(&self, core: &Core, leg: &Leg, way: Way) -> usize {
        match way {
            Way::Relay => self.slot.map_or(0, |slot| leg.room(core, slot)),
            Way::Path(at) => match self.paths[at].link {
                Link::Stream { stream, .. } => core.room(stream),
                Link::Udp { .. } | Link::Relay => usize::MAX,
            },
        }
    }
}
