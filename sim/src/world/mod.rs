//! The world: a clock, a queue of events, and everything that the events move.

mod access;
mod build;
mod fault;
mod route;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use pinhole_proto::sorted::SortedMap;
use pinhole_proto::{Address, Duration, Input, Instant, Interface};
use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;
use crate::link::Line;
use crate::nat::Nat;
use crate::node::Node;
use crate::packet::Packet;
use crate::rng::Rng;
use crate::trace::{Arrived, Trace};
pub use build::NatPlan;
use fault::Held;
pub use fault::{Effect, Fault, MAX_FAULTS, TooManyFaults};

/// A network in which everybody reaches everybody directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RealmId(pub u32);

impl RealmId {
    /// The public network, which every world has.
    pub const INTERNET: Self = Self(0);
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HostId(pub u32);

/// A NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NatId(pub u32);

/// A packet's way from the machine that made it to where it ends, through every NAT; its copies share it.
/// Numbered from 0 in the order in which packets are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JourneyId(pub u64);

/// A machine: where packets start, turn and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A host.
    Host(HostId),
    /// A NAT.
    Nat(NatId),
}

/// A virtual internet. One that is built and treated alike goes the same way: what a world was before is found by
/// doing the same again.
pub struct World {
    now: Instant,
    sequence: u64,
    queue: SortedMap<(Instant, u64), Event>,
    arrivals: u64,
    rng: Rng,
    realms: Vec<Realm>,
    hosts: Vec<Host>,
    nats: Vec<Gateway>,
    faults: Vec<Fault>,
    held: Vec<Held>,
    journeys: u64,
    trace: Trace,
}

#[derive(Debug)]
struct Realm {
    network: Option<Interface>,
    gateway: Option<NatId>,
    occupants: SortedMap<Address, Place>,
    /// How many routers a packet passes between any two machines.
    hops: u8,
}

struct Host {
    realm: RealmId,
    interfaces: Vec<Interface>,
    access: Access,
    kernel: Kernel,
    node: Option<Box<dyn Node>>,
    /// When the engine wants to be woken, and when that was put into the queue.
    deadline: Option<Instant>,
    queued: [Option<Instant>; 2],
}

#[derive(Debug)]
struct Gateway {
    inside: RealmId,
    outside: RealmId,
    access: Access,
    nat: Nat,
    /// When the NAT's deadline is in the queue.
    queued: Option<Instant>,
}

/// A line and its state.
#[derive(Clone, Debug)]
struct Access {
    line: Line,
    cut: bool,
    rng: Rng,
}

#[derive(Clone, Debug)]
enum Event {
    Arrive {
        journey: JourneyId,
        realm: RealmId,
        from: Place,
        to: Place,
        packet: Packet,
    },
    /// A packet that was held back is held no longer.
    Release(u64),
    /// An engine's deadline.
    Wake(HostId),
    /// A deadline of a host's TCP.
    Kernel(HostId),
    /// A deadline of a NAT.
    Nat(NatId),
}

impl World {
    /// An empty internet. Everything that is random in it follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut trace = Trace::new();
        trace.names_mut().realms.push(String::from("internet"));
        Self {
            now: Instant::ZERO,
            sequence: 0,
            queue: SortedMap::new(),
            arrivals: 0,
            rng: Rng::new(seed),
            realms: alloc::vec![Realm { network: None, gateway: None, occupants: SortedMap::new(), hops: 4 }],
            hosts: Vec::new(),
            nats: Vec::new(),
            faults: Vec::new(),
            held: Vec::new(),
            journeys: 0,
            trace,
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How many packets have arrived at a host or a NAT.
    #[must_use]
    pub const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// The machine of a name.
    #[must_use]
    pub fn place_named(&self, name: &str) -> Option<Place> {
        self.host_named(name).map(Place::Host).or_else(|| self.nat_named(name).map(Place::Nat))
    }

    /// The host of a name.
    #[must_use]
    pub fn host_named(&self, name: &str) -> Option<HostId> {
        index(&self.trace.names().hosts, name).map(HostId)
    }

    /// The NAT of a name.
    #[must_use]
    pub fn nat_named(&self, name: &str) -> Option<NatId> {
        index(&self.trace.names().nats, name).map(NatId)
    }

    /// The network of a name: `internet`, or that of the NAT in front of it and ` LAN`.
    #[must_use]
    pub fn realm_named(&self, name: &str) -> Option<RealmId> {
        index(&self.trace.names().realms, name).map(RealmId)
    }

    /// Octets for an engine's seed; different ones at each call.
    pub fn engine_seed(&mut self) -> [u8; 32] {
        self.rng.seed()
    }

    /// What has happened.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What has happened, to be cleared or switched off.
    pub const fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// When the next event happens, if anything is under way or due.
    #[must_use]
    pub fn next_event(&self) -> Option<Instant> {
        self.queue.first().map(|((at, _), _)| *at)
    }

    /// Lets the next event happen; answers whether there was one.
    pub fn step(&mut self) -> bool {
        self.step_until(Instant::from_micros(u64::MAX))
    }

    /// Lets everything happen up to and at `end`, then stands at `end`.
    pub fn run_until(&mut self, end: Instant) {
        while self.step_until(end) {}
        self.now = self.now.max(end);
    }

    /// Lets `span` pass.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// Lets events happen until `done`, for at most `span`; answers whether it came to that.
    pub fn run_while_not(&mut self, span: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + span;
        loop {
            if done(self) {
                return true;
            }
            if !self.step_until(end) {
                self.now = self.now.max(end);
                return false;
            }
        }
    }

    fn step_until(&mut self, end: Instant) -> bool {
        if self.queue.first().is_none_or(|((at, _), _)| *at > end) {
            return false;
        }
        let Some(((at, _), event)) = self.queue.pop_first() else {
            return false;
        };
        self.now = at;
        match event {
            Event::Arrive { journey, realm, from, to, packet } => self.on_arrival(journey, realm, from, to, packet),
            Event::Release(number) => self.on_release(number),
            Event::Wake(host) => self.on_wake(host),
            Event::Kernel(host) => self.on_kernel(host),
            Event::Nat(nat) => self.on_nat(nat),
        }
        true
    }

    fn on_wake(&mut self, id: HostId) {
        let now = self.now;
        let host = self.host_mut(id);
        if host.queued[0] == Some(now) {
            host.queued[0] = None;
        }
        if host.deadline.is_none_or(|deadline| deadline > now) {
            self.arm(id);
            return;
        }
        self.feed(id, Input::Timeout);
        let deadline = self.host_mut(id).deadline;
        assert!(
            deadline.is_none_or(|deadline| deadline > now),
            "an engine asks at {now:?} to be woken at {deadline:?} again (contract, clause 5)"
        );
        self.pump(id);
    }

    fn on_kernel(&mut self, id: HostId) {
        let now = self.now;
        let host = self.host_mut(id);
        if host.queued[1] == Some(now) {
            host.queued[1] = None;
        }
        host.kernel.on_timeout(now);
        self.pump(id);
    }

    /// Hands one input to a host's engine and carries out what it orders.
    fn feed(&mut self, id: HostId, input: Input<'_>) {
        let now = self.now;
        let host = &mut self.hosts[id.0 as usize];
        let Some(node) = &mut host.node else {
            return;
        };
        let arrived = Arrived::of(&input);
        if let Err(discard) = node.handle_input(now, input) {
            self.trace.push_discard(now, id, discard, arrived);
        }
        self.drain(id);
    }

    fn drain(&mut self, id: HostId) {
        let now = self.now;
        let Host { node, kernel, deadline, .. } = &mut self.hosts[id.0 as usize];
        if let Some(node) = node {
            *deadline = node.drain(now, &mut |order| kernel.execute(now, order));
        }
    }

    /// Moves packets and notices out of a host's kernel until there are none, then sets its timers.
    fn pump(&mut self, id: HostId) {
        loop {
            while let Some(packet) = self.host_mut(id).kernel.next_packet() {
                let realm = self.host_mut(id).realm;
                let journey = self.next_journey();
                self.send(journey, Place::Host(id), realm, packet);
            }
            let Some(notice) = self.host_mut(id).kernel.next_notice() else {
                break;
            };
            self.feed(id, notice.input());
        }
        self.arm(id);
    }

    /// Puts a host's deadlines into the queue where they are not there already.
    fn arm(&mut self, id: HostId) {
        let now = self.now;
        let host = &mut self.hosts[id.0 as usize];
        let wanted = [host.deadline, host.kernel.deadline()];
        let events = [Event::Wake(id), Event::Kernel(id)];
        let mut due = [None; 2];
        for slot in 0..2 {
            if let Some(at) = wanted[slot].map(|at| at.max(now))
                && host.queued[slot].is_none_or(|queued| queued > at || queued < now)
            {
                host.queued[slot] = Some(at);
                due[slot] = Some(at);
            }
        }
        for (at, event) in due.into_iter().zip(events) {
            if let Some(at) = at {
                self.schedule(at, event);
            }
        }
    }

    const fn next_journey(&mut self) -> JourneyId {
        let journey = JourneyId(self.journeys);
        self.journeys += 1;
        journey
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.queue.insert((at, self.sequence), event);
        self.sequence += 1;
    }

    fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[id.0 as usize]
    }
}

fn index(names: &[String], name: &str) -> Option<u32> {
    names.iter().position(|known| known == name).and_then(|at| u32::try_from(at).ok())
}
