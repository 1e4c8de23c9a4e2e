//! Judges: the real engines in simulated networks, compared with what the specification says must come
//! of it.
//!
//! `spec/reachability.json` is the [`Oracle`]: for every pair of NAT behaviours and each transport the
//! techniques that make it direct, and how probable that is. A program that shares no code with the simulator
//! derives it. [`pair`] runs one pair of [`Side`]s in virtual time, with the strategies that are [`Allowed`],
//! [`product`] all of them, and lists where the two differ. [`share`] counts how often a guess hits while others
//! take ports.
//!
//! [`scene`] draws whole worlds from a seed, NATs, faults, actions and all, and [`worlds`] runs many of them.
//!
//! The judges have no say: a difference is a bug of the oracle, of the model of NATs, or of the engines, and
//! is settled there.
#![forbid(unsafe_code)]

mod allowed;
mod binomial;
pub mod oracle;
pub mod pair;
pub mod product;
pub mod scene;
pub mod share;
mod side;
pub mod worlds;

pub use allowed::Allowed;
pub use binomial::interval;
pub use oracle::Oracle;
pub use side::{Allocation, Reaction, Side};
