//! The session's way through the server (`spec/relay.md`, `spec/keepalive.md`).

use super::{PeerEvent, RelayPolicy, Selection, Session, Stage, relay_info};
use crate::association::Association;
use crate::peer::core::{Core, Timer};
use crate::peer::leg::{Leg, Slot};
use crate::time::Instant;
use crate::wire::Nonce;
use crate::wire::code::Transports;
use crate::wire::control::{RelayOpen, RelayOpened};
use crate::wire::message::Request;

/// Whether the other side answers through the relay.
#[derive(Clone, Debug, Default)]
pub(super) struct RelayWatch {
    pub(super) last_received: Instant,
    /// Checks since the last authentic packet that came through it.
    pub(super) unanswered: u8,
    nonce: Option<Nonce>,
}

impl RelayWatch {
    pub(super) const fn on_heard(&mut self, now: Instant) {
        self.last_received = now;
        self.unanswered = 0;
    }

    pub(super) const fn on_asked(&mut self, nonce: Nonce) {
        self.nonce = Some(nonce);
        self.unanswered += 1;
    }

    pub(super) fn awaits(&self, nonce: &Nonce) -> bool {
        self.nonce.as_ref() == Some(nonce)
    }
}

impl Session {
    /// The binding of this session is gone, and with it the server's memory of the channel.
    pub(in crate::peer) fn on_offline(&mut self, core: &mut Core, slot: Slot) {
        if self.slot == Some(slot) {
            self.drop_channel(core);
        }
    }

    /// Nobody answers through the channel: ask for another one.
    pub(super) fn lose_relay(&mut self, core: &mut Core, leg: &mut Leg) {
        self.drop_channel(core);
        self.open_relay(core, leg);
    }

    fn drop_channel(&mut self, core: &mut Core) {
        self.channel = None;
        self.relay_lane = None;
        if self.selected == Selection::Relay {
            self.selected = Selection::Nothing;
            if self.stage == Stage::Ended {
                return;
            }
            core.event(PeerEvent::PathLost { session: self.handle, path: relay_info(self.transport) });
            self.on_nothing_left(core);
        }
    }

    /// The server opened a relay channel again.
    pub(in crate::peer) fn on_channel(&mut self, core: &mut Core, leg: &mut Leg, opened: RelayOpened) {
        if self.stage == Stage::Ended {
            return;
        }
        self.channel = Some(opened.channel);
        self.relay_lane = self.association.as_mut().map(Association::lane);
        if self.selected == Selection::Nothing {
            self.select(core, leg, Selection::Relay);
            // The other side has to answer before this one believes in the channel.
            self.relay.unanswered = 1;
            core.timers.set(Timer::Keepalive(self.handle), core.now + crate::constants::KEEPALIVE_RETRY);
        }
        self.propose_anew(core, leg);
    }

    pub(super) fn open_relay(&mut self, core: &mut Core, leg: &mut Leg) {
        if core.config.relay == RelayPolicy::Never || leg.is_asking(self.handle) {
            return;
        }
        let Some(transport) = self.transport else { return };
        let Some(slot) = leg.slot_of(transport) else { return };
        self.slot = Some(slot);
        let open = RelayOpen { session: self.id, peer: self.peer, transport: Transports::of(transport) };
        leg.request(core, slot, self.handle, Request::RelayOpen(open));
    }
}
