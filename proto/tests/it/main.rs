//! The integration tests of `proto`: one binary.

mod registries;
