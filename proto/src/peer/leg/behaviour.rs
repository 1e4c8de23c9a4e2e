//! How the NAT on the way maps: a `Discover` to the server's other port, and one to its other address
//! (`spec/behaviour.md`, "In passing").

use super::binding::{Alternate, Behaviour};
use super::{Leg, Slot, discover, offered};
use crate::constants::REGISTER_RETRY;
use crate::endpoint::Endpoint;
use crate::engine::{StreamId, Transport};
use crate::peer::core::{Core, Purpose, Timer};
use crate::wire::code::Mapping;

impl Leg {
    /// The connection to the server's other endpoint is there: ask what it sees.
    pub(in crate::peer) fn on_alternate_connected(&mut self, core: &mut Core, slot: Slot, stream: StreamId) {
        if let Behaviour::Asked { transaction, stream: Some(known), .. } = self.bindings[slot].behaviour
            && known == stream
        {
            core.write(stream, &discover(transaction, offered()).encode());
        }
    }

    /// It was not answered.
    pub(in crate::peer) fn on_alternate_closed(&mut self, slot: Slot, stream: StreamId) {
        if let Behaviour::Asked { stream: Some(known), .. } = self.bindings[slot].behaviour
            && known == stream
        {
            self.bindings[slot].behaviour = Behaviour::Done;
        }
    }

    pub(in crate::peer) fn on_behaviour_due(&mut self, core: &mut Core, slot: Slot) {
        match self.bindings[slot].behaviour {
            Behaviour::Asked { tries, .. } if tries >= MAX_BEHAVIOUR_TRIES => {
                self.bindings[slot].behaviour = Behaviour::Done;
            }
            Behaviour::Asked { what, tries, .. } => self.ask(core, slot, what, tries),
            Behaviour::Idle | Behaviour::Done => {}
        }
    }

    /// What one of the server's other endpoints sees.
    // [R-DISC-017]
    pub(super) fn on_behaviour(&mut self, core: &mut Core, slot: Slot, what: Alternate, observed: Endpoint) {
        core.timers.clear(Timer::Behaviour(slot));
        let binding = &mut self.bindings[slot];
        let equal = binding.public == Some(observed);
        // The address is asked after the port made no difference, or where there is no other port.
        let port_is_known = binding.alternates.other_port.is_some();
        binding.behaviour = Behaviour::Done;
        binding.mapping = match (what, equal) {
            (Alternate::Port, false) => Mapping::ADDRESS_AND_PORT_DEPENDENT,
            (Alternate::Port | Alternate::Address, true) => Mapping::ENDPOINT_INDEPENDENT,
            (Alternate::Address, false) if port_is_known => Mapping::ADDRESS_DEPENDENT,
            (Alternate::Address, false) => Mapping::ENDPOINT_DEPENDENT,
        };
        if what == Alternate::Port && equal {
            self.ask(core, slot, Alternate::Address, 0);
        }
    }

    /// Begins the measurement. Nothing waits for it.
    // [R-BEH-001]
    pub(super) fn ask_behaviour(&mut self, core: &mut Core, slot: Slot) {
        let first =
            if self.bindings[slot].alternates.other_port.is_some() { Alternate::Port } else { Alternate::Address };
        self.ask(core, slot, first, 0);
    }

    fn ask(&mut self, core: &mut Core, slot: Slot, what: Alternate, tries: u8) {
        let binding = &mut self.bindings[slot];
        let alternate = match what {
            Alternate::Port => binding.alternates.other_port,
            Alternate::Address => binding.alternates.other_address,
        };
        let Some(alternate) = alternate else {
            return;
        };
        // [R-DISC-002]
        let transaction = core.visible.octets();
        let stream = match binding.transport {
            Transport::Udp => {
                if core.is_open(binding.socket) {
                    core.outbox.transmit(binding.socket, None, alternate, &discover(transaction, offered()).encode());
                }
                core.timers.set(Timer::Behaviour(slot), core.now + REGISTER_RETRY * (1 << tries));
                None
            }
            Transport::Tcp => Some(core.dial(binding.socket, alternate, Purpose::Alternate(slot))),
        };
        binding.behaviour = Behaviour::Asked { what, transaction, tries: tries + 1, stream };
    }
}

/// How often each of the server's other endpoints is asked.
const MAX_BEHAVIOUR_TRIES: u8 = 4;
