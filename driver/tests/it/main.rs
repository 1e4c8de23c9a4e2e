//! The driver against the kernel, with a toy engine over loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]

mod datagrams;
mod files;
mod ports;
mod streams;
mod time_and_trace;
mod toy;
