//! The integration tests of `proto`: one binary.

mod crypto;
mod describe;
mod registries;
mod sessions;
mod vectors;
mod world;
