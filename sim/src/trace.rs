//! What happened to every packet, its digest, and the ladder drawn from it.

mod discarded;
mod ladder;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use pinhole_proto::sorted::SortedMap;
use pinhole_proto::{Address, Discard, Duration, Endpoint, Instant};
use serde::{Serialize, Serializer};

use crate::kernel::HostReceipt;
use crate::nat::{Decision, Receipt};
use crate::packet::{Body, Packet};
use crate::pick::{Pick, Seen};
use crate::world::{Effect, HostId, JourneyId, Place, RealmId};
pub use discarded::{Arrived, Discarded};

/// Everything that happened in a world, in order.
#[derive(Clone, Debug)]
pub struct Trace {
    records: Vec<Record>,
    discards: Vec<Discarded>,
    names: Names,
    keeps: bool,
    digest: u64,
    count: u64,
}

/// One thing that happened to one packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// When.
    pub at: Instant,
    /// The packet's name, the same on both sides of every NAT.
    pub journey: JourneyId,
    /// In which network.
    pub realm: RealmId,
    /// Who sent it into that network.
    pub from: Place,
    /// To whom it goes in that network; none where nobody has the address.
    pub to: Option<Place>,
    /// The packet as it is in that network.
    pub packet: Packet,
    /// The fault that it met on the line.
    pub effect: Option<Effect>,
    /// What happened.
    pub what: What,
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was put on the line and takes so long.
    Sent(#[serde(serialize_with = "micros")] Duration),
    /// A second copy of it was made on the line and takes so long.
    Copied(#[serde(serialize_with = "micros")] Duration),
    /// The line lost it.
    Lost,
    /// The line of one of the two is cut.
    Cut,
    /// A fault removed it.
    Removed,
    /// A fault holds it back until another packet has overtaken it.
    Held,
    /// Nobody in the network has the address and no gateway leads on.
    NoRoute,
    /// Its time to live ended in the network.
    TtlExpired,
    /// A socket of the host took it.
    Delivered(Box<HostReceipt>),
    /// The host has no socket for it.
    NoSocket(Box<HostReceipt>),
    /// A NAT decided about it.
    Decided(Box<Receipt>),
}

/// The names of places and networks, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) hosts: Vec<String>,
    pub(crate) nats: Vec<String>,
    pub(crate) realms: Vec<String>,
}

/// A packet at a place, on its way into the trace.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) at: Instant,
    pub(crate) journey: JourneyId,
    pub(crate) realm: RealmId,
    pub(crate) from: Place,
    pub(crate) to: Option<Place>,
    pub(crate) packet: &'a Packet,
    pub(crate) effect: Option<Effect>,
}

/// What happened, as far as the digest is concerned.
#[derive(Clone, Copy)]
pub(crate) enum Happened {
    Sent(Duration),
    Copied(Duration),
    /// Something else, by a code above 0.
    Stopped(u64),
}

impl What {
    /// The short form, for the digest.
    pub(crate) const fn happened(&self) -> Happened {
        Happened::Stopped(match self {
            Self::Sent(span) => return Happened::Sent(*span),
            Self::Copied(span) => return Happened::Copied(*span),
            Self::Lost => 1,
            Self::Cut => 2,
            Self::Removed => 3,
            Self::NoRoute => 4,
            Self::TtlExpired => 5,
            Self::Delivered(_) => Happened::DELIVERED,
            Self::NoSocket(_) => Happened::NO_SOCKET,
            Self::Decided(receipt) => return Happened::decided(&receipt.decision),
            Self::Held => 11,
        })
    }
}

impl Happened {
    pub(crate) const DELIVERED: u64 = 6;
    pub(crate) const NO_SOCKET: u64 = 7;

    pub(crate) const fn decided(decision: &Decision) -> Self {
        Self::Stopped(match decision {
            Decision::Forwarded { .. } => 8,
            Decision::Dropped(_) => 9,
            Decision::Answered(_) => 10,
        })
    }
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self {
            records: Vec::new(),
            discards: Vec::new(),
            names: Names { hosts: Vec::new(), nats: Vec::new(), realms: Vec::new() },
            keeps: true,
            digest: 0xcbf2_9ce4_8422_2325,
            count: 0,
        }
    }

    /// The records kept, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What the engines ignored, and why.
    #[must_use]
    pub fn discards(&self) -> &[Discarded] {
        &self.discards
    }

    /// How many records there were, kept or not.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// A digest of every record and every octet: equal runs have equal digests.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Forgets the records, not the digest.
    pub fn clear(&mut self) {
        self.records.clear();
        self.discards.clear();
    }

    /// Whether records are kept (the default) or only counted into the digest.
    pub const fn keep(&mut self, on: bool) {
        self.keeps = on;
    }

    /// The packets put on the line of a network, as they were there.
    pub fn sent_in(&self, realm: RealmId) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |r| r.realm == realm && matches!(r.what, What::Sent(_)))
    }

    /// The decisions of NATs, oldest first.
    pub fn receipts(&self) -> impl Iterator<Item = (&Record, &Receipt)> {
        self.records.iter().filter_map(|record| match &record.what {
            What::Decided(receipt) => Some((record, &**receipt)),
            What::Sent(_)
            | What::Copied(_)
            | What::Lost
            | What::Cut
            | What::Removed
            | What::Held
            | What::NoRoute
            | What::TtlExpired
            | What::Delivered(_)
            | What::NoSocket(_) => None,
        })
    }

    /// The receipts of hosts, oldest first.
    pub fn host_receipts(&self) -> impl Iterator<Item = (&Record, &HostReceipt)> {
        self.records.iter().filter_map(|record| match &record.what {
            What::Delivered(receipt) | What::NoSocket(receipt) => Some((record, &**receipt)),
            What::Sent(_)
            | What::Copied(_)
            | What::Lost
            | What::Cut
            | What::Removed
            | What::Held
            | What::NoRoute
            | What::TtlExpired
            | What::Decided(_) => None,
        })
    }

    /// Whether a record is about a packet that is picked.
    #[must_use]
    pub fn matches(&self, pick: &Pick, record: &Record) -> bool {
        pick.matches(&Seen {
            realm: self.names.realm(record.realm),
            from: self.names.place(record.from),
            to: record.to.map(|to| self.names.place(to)),
            journey: record.journey,
            packet: &record.packet,
        })
    }

    /// The name of a machine.
    #[must_use]
    pub fn name(&self, place: Place) -> &str {
        self.names.place(place)
    }

    /// The name of a network.
    #[must_use]
    pub fn realm_name(&self, realm: RealmId) -> &str {
        self.names.realm(realm)
    }

    /// IP packets and octets on a host's own line, in both directions.
    #[must_use]
    pub fn wire(&self, host: HostId) -> (usize, usize) {
        let place = Place::Host(host);
        let passing = self.records.iter().filter(|record| match record.what {
            What::Sent(_) | What::Held | What::Lost => record.from == place,
            What::Delivered(_) | What::NoSocket(_) => record.to == Some(place),
            What::Copied(_) | What::Cut | What::Removed | What::NoRoute | What::TtlExpired | What::Decided(_) => false,
        });
        passing.fold((0, 0), |(packets, octets), record| (packets + 1, octets + record.packet.wire_length()))
    }

    /// The ladder of the records as plain text: a column for each machine, a row for each packet on a
    /// line and for each that went no further.
    #[must_use]
    pub fn ladder(&self) -> String {
        ladder::draw(&self.records, &self.names, &SortedMap::new())
    }

    /// The ladder with words beside the packets of these names.
    #[must_use]
    pub fn ladder_with(&self, words: &SortedMap<JourneyId, String>) -> String {
        ladder::draw(&self.records, &self.names, words)
    }

    pub(crate) const fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// Notes what happened to a packet; the receipt is made only where records are kept.
    pub(crate) fn note(&mut self, seen: Sight<'_>, happened: Happened, what: impl FnOnce() -> What) {
        self.count += 1;
        self.mix(seen.at.as_micros());
        self.mix(u64::from(seen.realm.0));
        self.mix_endpoint(seen.packet.source);
        self.mix_endpoint(seen.packet.destination);
        self.mix(happened.code());
        if let Body::Tcp(segment) = &seen.packet.body {
            self.mix(segment.seq);
            self.mix(segment.ack);
        }
        if let Happened::Sent(_) = happened {
            self.mix_octets(seen.packet.octets());
        }
        if self.keeps {
            let Sight { at, journey, realm, from, to, packet, effect } = seen;
            self.records.push(Record { at, journey, realm, from, to, packet: packet.clone(), effect, what: what() });
        }
    }

    pub(crate) fn push_discard(&mut self, at: Instant, host: HostId, discard: Discard, arrived: Option<Arrived>) {
        self.mix(at.as_micros());
        if self.keeps {
            self.discards.push(Discarded { at, host, discard, arrived });
        }
    }

    fn mix_endpoint(&mut self, endpoint: Endpoint) {
        match endpoint.address() {
            Address::V4(v4) => self.mix(u64::from(v4.to_bits())),
            Address::V6(v6) => {
                for part in v6.segments() {
                    self.mix(u64::from(part));
                }
            }
        }
        self.mix(u64::from(endpoint.port()));
    }

    const fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(FNV_PRIME);
        self.digest ^= self.digest >> 29;
    }

    fn mix_octets(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        for octet in rest {
            self.mix(u64::from(*octet));
        }
    }
}

impl Happened {
    fn code(self) -> u64 {
        match self {
            Self::Sent(span) | Self::Copied(span) => u64::try_from(span.as_micros()).unwrap_or(u64::MAX),
            Self::Stopped(code) => code << 56,
        }
    }
}

impl Names {
    pub(crate) fn place(&self, place: Place) -> &str {
        match place {
            Place::Host(host) => self.hosts.get(host.0 as usize),
            Place::Nat(nat) => self.nats.get(nat.0 as usize),
        }
        .map_or("?", String::as_str)
    }

    pub(crate) fn realm(&self, realm: RealmId) -> &str {
        self.realms.get(realm.0 as usize).map_or("?", String::as_str)
    }
}

/// Spans as moments: microseconds.
fn micros<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

const FNV_PRIME: u64 = 0x0100_0000_01b3;
