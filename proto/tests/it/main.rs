//! The integration tests of `proto`: one binary.

mod crypto;
mod describe;
mod registries;
mod vectors;
