//! How the NAT on the way maps: a `Discover` to the server's other port (`spec/discovery.md`, "Behaviour").

use super::binding::Behaviour;
use super::{Leg, Slot, discover, offered};
use crate::constants::REGISTER_RETRY;
use crate::endpoint::Endpoint;
use crate::engine::{StreamId, Transport};
use crate::peer::core::{Core, Purpose, Timer};
use crate::wire::code::Mapping;

impl Leg {
    /// The connection to the server's other port is there: ask what it sees.
    pub(in crate::peer) fn on_alternate_connected(&mut self, core: &mut Core, slot: Slot, stream: StreamId) {
        if let Behaviour::Asked { transaction, stream: Some(known), .. } = self.bindings[slot].behaviour
            && known == stream
        {
            core.write(stream, &discover(transaction, offered()).encode());
        }
    }

    pub(in crate::peer) fn on_alternate_closed(&mut self, slot: Slot, stream: StreamId) {
        if let Behaviour::Asked { stream: Some(known), .. } = self.bindings[slot].behaviour
            && known == stream
        {
            self.bindings[slot].behaviour = Behaviour::Done;
        }
    }

    pub(in crate::peer) fn on_behaviour_due(&mut self, core: &mut Core, slot: Slot) {
        self.ask_behaviour(core, slot);
    }

    pub(super) fn on_behaviour(&mut self, core: &mut Core, slot: Slot, observed: Endpoint) {
        core.timers.clear(Timer::Behaviour(slot));
        let binding = &mut self.bindings[slot];
        binding.behaviour = Behaviour::Done;
        binding.mapping =
            // [R-DISC-017]
            if binding.public == Some(observed) { Mapping::ENDPOINT_INDEPENDENT } else { Mapping::ENDPOINT_DEPENDENT };
    }

    pub(super) fn ask_behaviour(&mut self, core: &mut Core, slot: Slot) {
        let binding = &mut self.bindings[slot];
        let Some(alternate) = binding.alternate else {
            return;
        };
        let tries = match binding.behaviour {
            Behaviour::Idle => 0,
            Behaviour::Asked { tries, .. } => tries,
            Behaviour::Done => return,
        };
        if tries >= MAX_BEHAVIOUR_TRIES {
            binding.behaviour = Behaviour::Done;
            return;
        }
        // [R-DISC-002]
        let transaction = core.visible.octets();
        let stream = match binding.transport {
            Transport::Udp => {
                // [R-DISC-017]
                core.outbox.transmit(binding.socket, None, alternate, &discover(transaction, offered()).encode());
                core.timers.set(Timer::Behaviour(slot), core.now + REGISTER_RETRY * (1 << tries));
                None
            }
            Transport::Tcp => Some(core.dial(binding.socket, alternate, Purpose::Alternate(slot))),
        };
        binding.behaviour = Behaviour::Asked { transaction, tries: tries + 1, stream };
    }
}

/// How often the server's other port is asked.
const MAX_BEHAVIOUR_TRIES: u8 = 4;
