//! The integration tests of `proto`: one binary.

mod contract;
mod crypto;
mod describe;
mod registries;
mod sessions;
mod vectors;
mod world;
