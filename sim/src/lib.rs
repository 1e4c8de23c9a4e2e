//! A virtual-time internet for Pinhole's engines.
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod kernel;
mod link;
pub mod nat;
mod node;
pub mod packet;
mod rng;
pub mod topology;
pub mod trace;
mod world;

pub use kernel::{CrossingSyn, HostOptions};
pub use link::{Line, Way};
pub use nat::{Behaviour, Dependence, Hairpin, Nat, Receipt};
pub use node::{EngineNode, Node, Order};
pub use packet::Packet;
pub use rng::{Chance, Rng};
pub use topology::Topology;
pub use trace::Trace;
pub use world::{HostId, NatId, NatPlan, Place, RealmId, World};
