//! What an introduction has to know of a peer, registered with this engine or with another.

use serde::{Deserialize, Serialize};

use super::link::Slot;
use super::registration::Registration;
use crate::constants::{MAX_BINDINGS, MAX_PRIVATE};
use crate::endpoint::Endpoint;
use crate::engine::Transport;
use crate::key::PeerId;
use crate::wire::List;
use crate::wire::code::Transports;

/// One of the two peers of an introduction.
pub(super) trait Party {
    /// Whether its endpoints may be told.
    fn discloses(&self) -> bool;
    /// Whether its sessions may use the relay.
    fn relays(&self) -> bool;
    /// The round trip to it in microseconds, 0 when it was not measured.
    fn round_trip(&self) -> u32;
    /// Where it is bound.
    fn places(&self) -> impl Iterator<Item = Place<'_>>;

    fn transports(&self) -> Transports {
        self.places().fold(Transports::default(), |all, place| all.or(Transports::of(place.slot.0)))
    }

    /// The place of a transport and family.
    fn place(&self, slot: Slot) -> Option<Place<'_>> {
        self.places().find(|place| place.slot == slot)
    }

    /// The first slot of a transport.
    fn slot_of(&self, transport: Transport) -> Option<Slot> {
        self.places().map(|place| place.slot).find(|slot| slot.0 == transport)
    }
}

/// A binding, as far as others may be told of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) slot: Slot,
    pub(super) public: Endpoint,
    pub(super) private: &'a [Endpoint],
}

impl Party for Registration {
    fn discloses(&self) -> bool {
        self.terms.disclose
    }

    fn relays(&self) -> bool {
        self.terms.relay
    }

    fn round_trip(&self) -> u32 {
        self.smoothed_round_trip()
    }

    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.bindings().iter().map(|binding| Place {
            slot: binding.link.slot(),
            public: binding.link.remote(),
            private: &binding.private,
        })
    }
}

/// A peer that is registered with another engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Guest {
    pub(super) peer: PeerId,
    disclose: bool,
    relay: bool,
    round_trip: u32,
    places: List<GuestPlace, MAX_BINDINGS>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct GuestPlace {
    transport: Transport,
    public: Endpoint,
    private: List<Endpoint, MAX_PRIVATE>,
}

impl From<&Registration> for Guest {
    fn from(registration: &Registration) -> Self {
        let places = registration.places().map(|place| GuestPlace {
            transport: place.slot.0,
            public: place.public,
            private: List::from_first(place.private.iter().copied()),
        });
        Self {
            peer: registration.peer,
            disclose: registration.discloses(),
            relay: registration.relays(),
            round_trip: registration.smoothed_round_trip(),
            places: List::from_first(places),
        }
    }
}

impl Party for Guest {
    fn discloses(&self) -> bool {
        self.disclose
    }

    fn relays(&self) -> bool {
        self.relay
    }

    fn round_trip(&self) -> u32 {
        self.round_trip
    }

    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.places.iter().map(|place| Place {
            slot: (place.transport, place.public.family()),
            public: place.public,
            private: &place.private,
        })
    }
}
