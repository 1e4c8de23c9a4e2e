//! The integration tests of `proto`: one binary.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod contract;
mod crypto;
mod describe;
mod hostile;
mod paths;
mod registration;
mod registries;
mod sessions;
mod sorted;
mod streams;
mod vectors;
mod world;
