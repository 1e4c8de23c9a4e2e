//! The driver against the kernel, with a toy engine over loopback.

mod datagrams;
mod files;
mod ports;
mod streams;
mod time_and_trace;
mod toy;
