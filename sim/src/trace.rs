//! What happened to every packet, its digest, and the ladder drawn from it.

mod ladder;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use pinhole_proto::{Address, Discard, Duration, Endpoint, Instant};

use crate::nat::{Decision, Receipt};
use crate::packet::{Body, Packet};
use crate::world::{HostId, JourneyId, Place, RealmId};

/// Everything that happened in a world, in order.
#[derive(Clone, Debug)]
pub struct Trace {
    records: Vec<Record>,
    discards: Vec<(Instant, HostId, Discard)>,
    names: Names,
    keeps: bool,
    digest: u64,
    count: u64,
}

/// One thing that happened to one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What happened.
    pub what: What,
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was put on the line and takes so long.
    Sent(Duration),
    /// A second copy of it was made on the line and takes so long.
    Copied(Duration),
    /// The line lost it.
    Lost,
    /// The line of one of the two is cut.
    Cut,
    /// A fault action removed it.
    Removed,
    /// Nobody in the network has the address and no gateway leads on.
    NoRoute,
    /// Its time to live ended in the network.
    TtlExpired,
    /// A socket of the host took it.
    Delivered,
    /// The host has no socket for it.
    NoSocket,
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
    pub fn discards(&self) -> &[(Instant, HostId, Discard)] {
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
            | What::NoRoute
            | What::TtlExpired
            | What::Delivered
            | What::NoSocket => None,
        })
    }

    /// IP packets and octets on a host's own line, in both directions.
    #[must_use]
    pub fn wire(&self, host: HostId) -> (usize, usize) {
        let place = Place::Host(host);
        let passing = self.records.iter().filter(|record| match record.what {
            What::Sent(_) | What::Lost => record.from == place,
            What::Delivered | What::NoSocket => record.to == Some(place),
            What::Copied(_) | What::Cut | What::Removed | What::NoRoute | What::TtlExpired | What::Decided(_) => false,
        });
        passing.fold((0, 0), |(packets, octets), record| (packets + 1, octets + record.packet.wire_length()))
    }

    /// The ladder of the records as plain text: a column for each machine, a row for each packet on a
    /// line and for each that went no further.
    #[must_use]
    pub fn ladder(&self) -> String {
        ladder::draw(&self.records, &self.names)
    }

    pub(crate) const fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.count += 1;
        self.mix_record(&record);
        if self.keeps {
            self.records.push(record);
        }
    }

    pub(crate) fn push_discard(&mut self, at: Instant, host: HostId, discard: Discard) {
        self.mix(at.as_micros());
        if self.keeps {
            self.discards.push((at, host, discard));
        }
    }

    fn mix_record(&mut self, record: &Record) {
        self.mix(record.at.as_micros());
        self.mix(u64::from(record.realm.0));
        self.mix_endpoint(record.packet.source);
        self.mix_endpoint(record.packet.destination);
        self.mix(match &record.what {
            What::Sent(span) | What::Copied(span) => u64::try_from(span.as_micros()).unwrap_or(u64::MAX),
            What::Lost => 1 << 56,
            What::Cut => 2 << 56,
            What::Removed => 3 << 56,
            What::NoRoute => 4 << 56,
            What::TtlExpired => 5 << 56,
            What::Delivered => 6 << 56,
            What::NoSocket => 7 << 56,
            What::Decided(receipt) => match receipt.decision {
                Decision::Forwarded { .. } => 8 << 56,
                Decision::Dropped(_) => 9 << 56,
                Decision::Answered(_) => 10 << 56,
            },
        });
        if let Body::Tcp(segment) = &record.packet.body {
            self.mix(segment.seq);
            self.mix(segment.ack);
        }
        if matches!(record.what, What::Sent(_)) {
            for octet in record.packet.octets() {
                self.mix_octet(*octet);
            }
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

    const fn mix_octet(&mut self, octet: u8) {
        self.digest = (self.digest ^ octet as u64).wrapping_mul(FNV_PRIME);
    }
}

const FNV_PRIME: u64 = 0x0100_0000_01b3;
