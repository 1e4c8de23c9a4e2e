//! What passed at one point of the network, with times, for counting and for capture files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Which way a packet went, seen from the site or host where it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards the site.
    In,
    /// Away from the site.
    Out,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It went on.
    Passed,
    /// The line lost it. An outgoing packet was on the wire before that; an incoming one never arrived.
    Lost,
    /// It left the site for an address that belongs to nobody, a private one for instance.
    Unroutable,
}

/// One recorded IP packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it left, or when it arrived.
    pub at: Instant,
    /// Which way it went.
    pub direction: Direction,
    /// What became of it.
    pub fate: Fate,
    /// Its length with all headers, in octets.
    pub length: usize,
    /// The packet from its IP header on; empty once the recording holds [`KEPT_OCTETS`].
    pub octets: Arc<[u8]>,
}

/// Packets and octets, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets that arrived.
    pub packets_in: u64,
    /// Packets that left.
    pub packets_out: u64,
    /// Octets of IP packets that arrived.
    pub octets_in: u64,
    /// Octets of IP packets that left.
    pub octets_out: u64,
}

impl Totals {
    /// Octets in both directions, what a design document calls bytes on the wire.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets_in + self.octets_out
    }

    /// Packets in both directions.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets_in + self.packets_out
    }
}

/// A handle to what is being recorded. It may be read at any time; clones see the same packets.
#[derive(Clone, Debug)]
pub struct Recording {
    packets: Arc<Mutex<Packets>>,
    started: (Instant, SystemTime),
}

#[derive(Debug, Default)]
struct Packets {
    list: Vec<Packet>,
    kept_octets: usize,
}

impl Recording {
    pub(crate) fn new() -> Self {
        Self { packets: Arc::default(), started: (Instant::now(), SystemTime::now()) }
    }

    pub(crate) fn add(&self, at: Instant, direction: Direction, fate: Fate, octets: &[u8]) {
        self.add_as_it_goes(at, direction, octets, || fate);
    }

    /// Hands a packet on and records it in one step, so that nobody who has received it finds it missing
    /// here.
    pub(crate) fn add_as_it_goes(
        &self,
        at: Instant,
        direction: Direction,
        octets: &[u8],
        hand_on: impl FnOnce() -> Fate,
    ) {
        let mut packets = self.lock();
        let fate = hand_on();
        let kept = if packets.kept_octets < KEPT_OCTETS { octets } else { &[] };
        packets.kept_octets += kept.len();
        packets.list.push(Packet { at, direction, fate, length: octets.len(), octets: kept.into() });
    }

    /// Every packet up to this moment, in the order in which they were seen.
    #[must_use]
    pub fn packets(&self) -> Vec<Packet> {
        self.lock().list.clone()
    }

    /// What was on the wire up to this moment.
    #[must_use]
    pub fn totals(&self) -> Totals {
        total(self.lock().list.iter())
    }

    /// What was on the wire from `from` on and before `to`.
    ///
    /// A lost outgoing packet counts, a lost incoming one does not: it never reached this wire.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> Totals {
        total(self.lock().list.iter().filter(|packet| (from..to).contains(&packet.at)))
    }

    /// Forgets everything, so that a longer run does not carry the packets of a shorter one along.
    pub fn clear(&self) {
        *self.lock() = Packets::default();
    }

    /// Writes a capture file that Wireshark and tcpdump read, without the packets that the line lost on
    /// their way in.
    ///
    /// # Errors
    ///
    /// Whatever the file system answers.
    pub fn write_pcap(&self, path: &Path) -> io::Result<()> {
        let packets = self.packets();
        let mut file = BufWriter::new(File::create(path)?);
        // The header of the classic format with nanoseconds, in this machine's byte order, and the link
        // type RAW: each record begins with an IP header.
        const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
        const LINKTYPE_RAW: u32 = 101;
        file.write_all(&NANOSECOND_MAGIC.to_ne_bytes())?;
        file.write_all(&2u16.to_ne_bytes())?;
        file.write_all(&4u16.to_ne_bytes())?;
        for field in [0, 0, 65_535, LINKTYPE_RAW] {
            file.write_all(&field.to_ne_bytes())?;
        }
        for packet in packets.iter().filter(|packet| on_the_wire(packet)) {
            let at = self.wall_clock(packet.at);
            for field in [at.as_secs() as u32, at.subsec_nanos(), packet.octets.len() as u32, packet.length as u32] {
                file.write_all(&field.to_ne_bytes())?;
            }
            file.write_all(&packet.octets)?;
        }
        file.flush()
    }

    fn wall_clock(&self, at: Instant) -> Duration {
        let (monotonic, wall) = self.started;
        wall.duration_since(UNIX_EPOCH).unwrap_or_default() + at.saturating_duration_since(monotonic)
    }

    fn lock(&self) -> MutexGuard<'_, Packets> {
        // A reader that panicked left the list whole: nobody changes a packet once it is in.
        self.packets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn on_the_wire(packet: &Packet) -> bool {
    packet.direction == Direction::Out || packet.fate == Fate::Passed
}

fn total<'a>(packets: impl Iterator<Item = &'a Packet>) -> Totals {
    packets.filter(|packet| on_the_wire(packet)).fold(Totals::default(), |mut totals, packet| {
        let (packets, octets) = match packet.direction {
            Direction::In => (&mut totals.packets_in, &mut totals.octets_in),
            Direction::Out => (&mut totals.packets_out, &mut totals.octets_out),
        };
        *packets += 1;
        *octets += packet.length as u64;
        totals
    })
}

/// How many octets of packets one recording keeps, so that a bulk transfer does not fill the memory.
/// Times and lengths are kept for every packet.
pub const KEPT_OCTETS: usize = 64 << 20;
