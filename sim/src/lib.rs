//! A virtual-time internet for Pinhole's engines.
//!
//! Tests of a NAT-traversal protocol need NATs, and real ones are slow, few and never the same twice. This
//! crate has the internet as a value: hosts that run the real sans-IO engines, NATs in any nesting, lines
//! that delay and lose, one clock that jumps from event to event. A run is a function of the world that was
//! built, its seed and the calls made; its [digest](Trace::digest) is equal wherever it runs, in a
//! browser too, because nothing here sees a clock, a socket, a thread or an operating system.
//!
//! # The model
//!
//! A [`World`] consists of *realms*: networks in which everybody reaches everybody. The internet is the
//! first; each NAT adds one behind it, and a NAT may be attached to any realm, so that levels nest. A packet
//! goes to the machine that has its destination address in the realm, else out through the realm's NAT, else
//! nowhere. On its way between two machines it goes up the sender's [`Line`] and down the receiver's.
//!
//! A [`Nat`] decides about one packet at a time and answers with a [`Receipt`]: the row, the rule, the
//! operands. [`Behaviour`] names every habit in the words of RFC 4787 and RFC 5382; the presets have the
//! draft's names. It needs no world and can stand in front of real packets.
//!
//! A host runs one engine behind the trait [`Node`], which [`EngineNode`] implements for every
//! [`Engine`](pinhole_proto::Engine). Its sockets and its small TCP carry out what the engine orders:
//! handshakes with simultaneous open and both of the outcomes that the texts describe ([`CrossingSyn`]),
//! resets, retransmissions, a bounded window. TCP's packets cross NATs and lines like all others.
//!
//! # The life of a run
//!
//! Build a world, or take one of the draft's from [`topology`]; [start](World::start) engines on its hosts;
//! [command](World::command) them and [let time pass](World::run_for). After each input an engine is
//! drained until it waits; its deadline becomes an event. Things go wrong on purpose through
//! [`World::add_fault`], [`World::cut`], [`World::reboot_nat`], [`World::stop`] and
//! [`World::move_host`]. All of that has one alphabet as data, [`Action`], which a [`Cast`] carries out: a run
//! is a function of what was built, a seed and a list of actions. What happened is in the [`Trace`], and
//! [`Trace::ladder`] draws it: every [`Receipt`] and [`HostReceipt`] says by which rule. A world
//! can be cloned at any moment; the clone goes its own way.
//!
//! ```
//! use pinhole_sim::topology::{self, Plan};
//! use pinhole_sim::{Behaviour, World};
//!
//! let mut world = World::new(7);
//! let plan = Plan { nat_b: Behaviour::symmetric(), ..Plan::default() };
//! let net = topology::two_nats(&mut world, &plan);
//! assert_eq!(world.nat(net.nat_b.unwrap()).rows().count(), 0);
//! ```
//!
//! # What is not here
//!
//! Bandwidth and queues: a line never fills, so TCP has no congestion control. TCP sequence numbers have 64
//! bits and do not wrap; there are no options, no urgent data, and no half-closed streams, because engines
//! see none. No fragments, no path MTU, no ICMP queries. A NAT of IPv4 filters IPv6 but does not translate
//! it. Routers send no ICMP time exceeded.
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

pub mod action;
pub mod cast;
mod kernel;
mod link;
mod memo;
mod millis;
pub mod nat;
mod node;
pub mod packet;
mod pick;
pub mod plain;
pub mod profile;
mod rng;
pub mod scenario;
mod strategies;
pub mod topology;
pub mod trace;
mod world;
pub mod worlds;

pub use action::{Action, ActionError};
pub use cast::{Cast, Role};
pub use kernel::{CrossingSyn, HostOptions, HostReceipt, HostRule, Numbers, Taker, TcpState};
pub use link::{Line, Way};
pub use memo::Memo;
pub use nat::{Behaviour, Dependence, Hairpin, Nat, Receipt};
pub use node::{EngineNode, Node, Order};
pub use packet::Packet;
pub use pick::{Ends, EndsError, PacketKind, Pick};
pub use rng::{AboveCertain, Chance, Rng};
pub use topology::Topology;
pub use trace::Trace;
pub use world::{Effect, Fault, HostId, JourneyId, MAX_FAULTS, NatId, NatPlan, Place, RealmId, TooManyFaults, World};
