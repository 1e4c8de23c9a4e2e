//! The library and the command line, over loopback and against the server's engine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod known_servers;
mod library;
mod loopback;
mod netcheck;
mod support;
mod usage;
