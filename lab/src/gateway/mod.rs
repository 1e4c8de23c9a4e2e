//! The simulator's NAT in front of real packets.
//!
//! A router of the lab that translates by the model forwards everything between its LAN and a TUN device;
//! behind that device sits a [`Gateway`]: `sim`'s own [`Nat`], on the machine's clock. The packets that it
//! lets through leave as they came, but for the endpoints that the model replaced.
//!
//! The hop limit is counted by the router's namespace, once in each direction, as by a router whose kernel
//! translates. A packet that the model cannot see, see [`Unread`], is dropped and counted.

mod link;
mod presets;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pinhole_proto::{Address, Endpoint, Instant};
use pinhole_sim::nat::{Decision, DropRule, Passage, Side};
use pinhole_sim::packet::{Body, Flags};
use pinhole_sim::{Behaviour, Nat, Packet, Rng};

pub(crate) use link::Link;
pub use presets::{PRESETS, behaviour, preset};
pub use wire::Unread;
pub(crate) use wire::{read, rewrite, write};

use crate::trial::now_us;

/// A NAT of the model that stands in front of real packets. Clones are handles to the same one.
#[derive(Clone)]
pub struct Gateway(Arc<Mutex<State>>);

struct State {
    nat: Nat,
    counts: Counts,
    /// The beginnings of the SYNs that may be answered late: an ICMP error quotes what it is about.
    refused: VecDeque<((Endpoint, Endpoint), Vec<u8>)>,
    trace: Option<Box<dyn Write + Send>>,
}

/// What a gateway did with the packets that it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that went on.
    pub forwarded: u64,
    /// Packets that were dropped silently, by the model's reason.
    pub dropped: BTreeMap<DropRule, u64>,
    /// Packets that were dropped and answered with a reset or an ICMP error.
    pub answered: BTreeMap<DropRule, u64>,
    /// Packets that the model could not see.
    pub unread: BTreeMap<Unread, u64>,
}

/// A packet that leaves a gateway, and the side by which it leaves.
pub(crate) type Leaving = (Side, Vec<u8>);

impl Gateway {
    pub(crate) fn new(behaviour: Behaviour, address: Ipv4Addr, seed: u64) -> Self {
        let nat = Nat::new(behaviour, Address::V4(address), Rng::new(seed));
        Self(Arc::new(Mutex::new(State { nat, counts: Counts::default(), refused: VecDeque::new(), trace: None })))
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.with(|state| state.counts.clone())
    }

    /// How many mappings it has; those that timed out since the last packet are among them.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.with(|state| state.nat.rows().count())
    }

    /// Changes how it behaves; mappings stay.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.with(|state| state.nat.set_behaviour(behaviour));
    }

    /// Forgets every mapping, as a restart does.
    pub fn reboot(&self) {
        self.with(|state| state.nat.reboot());
    }

    /// Writes a line for every packet from here on: when, which side it came from, what it was, and what
    /// became of it.
    pub fn trace(&self, to: Box<dyn Write + Send>) {
        self.with(|state| state.trace = Some(to));
    }

    /// Decides about a packet that arrived at one side; what leaves, if anything does.
    pub(crate) fn handle(&self, side: Side, octets: &[u8]) -> Option<Leaving> {
        self.with(|state| state.handle(Instant::from_micros(now_us()), side, octets))
    }

    /// What it says by itself, without a packet, and is due.
    pub(crate) fn due(&self) -> Vec<Leaving> {
        self.with(|state| state.due(Instant::from_micros(now_us())))
    }

    /// How long it will say nothing by itself.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let deadline = self.with(|state| state.nat.deadline())?;
        Some(deadline.saturating_since(Instant::from_micros(now_us())))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn handle(&mut self, now: Instant, side: Side, octets: &[u8]) -> Option<Leaving> {
        let before = match read(octets) {
            Ok(packet) => packet,
            Err(reason) => {
                *self.counts.unread.entry(reason).or_default() += 1;
                self.note(now, format_args!("{side:?}: {} octets not read: {}", octets.len(), reason.name()));
                return None;
            }
        };
        // The router's namespace counts the hop.
        let counted_elsewhere = Packet { ttl: u8::MAX, ..before.clone() };
        let Passage { receipt, packet } = self.nat.handle(now, side, counted_elsewhere);
        self.note(now, format_args!("{side:?}: {before}: {:?}", receipt.decision));
        match receipt.decision {
            Decision::Forwarded { .. } => self.counts.forwarded += 1,
            Decision::Dropped(rule) => *self.counts.dropped.entry(rule).or_default() += 1,
            Decision::Answered(rule) => *self.counts.answered.entry(rule).or_default() += 1,
        }
        let Some((to, after)) = packet else {
            if before.flags().is_some_and(Flags::opens) && self.nat.deadline().is_some() {
                self.refused.truncate(MAX_REFUSED - 1);
                let beginning = &octets[..octets.len().min(QUOTED)];
                self.refused.push_front(((before.source, before.destination), beginning.to_vec()));
            }
            return None;
        };
        if let Decision::Forwarded { .. } = receipt.decision {
            let mut octets = octets.to_vec();
            rewrite(&mut octets, &before, &after);
            return Some((to, octets));
        }
        Some((to, write(&after, octets)?))
    }

    fn due(&mut self, now: Instant) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        for Passage { receipt, packet } in self.nat.handle_timeout(now) {
            if let Decision::Answered(rule) = receipt.decision {
                *self.counts.answered.entry(rule).or_default() += 1;
            }
            let Some((side, answer)) = packet else { continue };
            self.note(now, format_args!("{side:?} <- {answer}: late"));
            let key = match &answer.body {
                Body::Icmp(icmp) => (icmp.source, icmp.destination),
                Body::Tcp(_) | Body::Udp(_) => (answer.destination, answer.source),
            };
            let about = self.refused.iter().find(|(pair, _)| *pair == key).map(|(_, octets)| &octets[..]);
            leaving.extend(write(&answer, about.unwrap_or_default()).map(|octets| (side, octets)));
            self.refused.retain(|(pair, _)| *pair != key);
        }
        leaving
    }

    fn note(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace
            && writeln!(trace, "{:.6} {what}", now.as_micros() as f64 / 1e6).is_err()
        {
            // Whoever reads it has gone away.
            self.trace = None;
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|state| f.debug_struct("Gateway").field("nat", &state.nat).finish_non_exhaustive())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} forwarded", self.forwarded)?;
        for (rule, count) in &self.dropped {
            write!(f, ", {count} dropped ({rule:?})")?;
        }
        for (rule, count) in &self.answered {
            write!(f, ", {count} answered ({rule:?})")?;
        }
        for (reason, count) in &self.unread {
            write!(f, ", {count} not read ({})", reason.name())?;
        }
        Ok(())
    }
}

/// The outside address of a gateway, which is IPv4 or nothing.
pub(crate) fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// How much of a packet an ICMP error quotes: RFC 1812 asks for as much as fits into 576 octets.
const QUOTED: usize = 576 - 28;

/// The most SYNs that are kept to be answered late; of more the oldest is forgotten.
const MAX_REFUSED: usize = 4096;
