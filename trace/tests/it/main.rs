//! Tests of the trace, by its public interface.
#![allow(clippy::unwrap_used)]

mod damage;
mod roundtrip;
mod sample;
