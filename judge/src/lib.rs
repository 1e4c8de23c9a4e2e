//! Judges: the real engines in simulated networks, compared with what the specification says must come
//! of it.
//!
//! `spec/reachability.json` is the [`Oracle`]: for every pair of NAT behaviours and each transport the
//! techniques that make it direct. A program that shares no code with the simulator derives it. [`pair`]
//! runs one pair of [`Side`]s in virtual time, [`product`] all of them, and lists where the two differ.
//!
//! [`scene`] draws whole worlds from a seed, NATs, faults, actions and all, and [`worlds`] runs many of them.
//!
//! The judges have no say: a difference is a bug of the oracle, of the model of NATs, or of the engines, and
//! is settled there.
#![forbid(unsafe_code)]

pub mod oracle;
pub mod pair;
pub mod product;
pub mod scene;
mod side;
pub mod worlds;

pub use oracle::Oracle;
pub use side::{Allocation, Reaction, Side};
