//! Runs a sans-IO engine over real sockets and a real clock.
//!
//! An [`Engine`](pinhole_proto::Engine) decides; this crate carries out. It is the only place of Pinhole
//! that opens a socket, reads a clock, looks up a name or asks the system for random octets.
//!
//! # How a driver works
//!
//! [`Driver::step`] is one turn of a loop: carry out what the engine ordered, wait until a socket is
//! ready or a deadline is due, hand the engine what came, carry out what it answers. It waits in one place
//! and holds nothing while it does, so it may be dropped there: it can stand in a `tokio::select!`.
//!
//! Everything that can wake a step is in one `epoll` set: UDP sockets, listeners, streams, the timer and
//! the socket that tells of changed interfaces. tokio waits on that set as one file descriptor. So there is
//! no task and no channel, neither per datagram nor per stream; what a step does not read stays in
//! the kernel, which is where backpressure belongs.
//!
//! - **Datagrams** are received 32 at a time (`recvmmsg`), handed over in place, and the answers leave
//!   together (`sendmmsg`) when the batch is done. The local address of each is known (`IP_PKTINFO`) and
//!   can be chosen. They are never fragmented. What the kernel has no room for is dropped and counted.
//! - **Streams** share the port of a listener: every socket of the port has `SO_REUSEADDR` and
//!   `SO_REUSEPORT`, and there is one listener per port and family (`spec/punching-tcp.md`).
//! - **Several drivers** of a process can have the same ports, each with an engine of its own on a thread of its
//!   own ([`Sharing`], `SO_REUSEPORT`). What another engine has to see is handed over: a datagram with
//!   [`Driver::apply`], a stream with [`Driver::detach`] and [`Driver::attach`].
//! - **Time** is `CLOCK_BOOTTIME`, from the origin at which the driver was made; it counts through suspend,
//!   and so does the timer.
//! - **ICMP errors** are read from the sockets' error queues and become
//!   [`Input::Rejected`](pinhole_proto::Input::Rejected), a hint.
//!
//! # What is not here
//!
//! Systems other than Linux; segmentation offload (GRO, GSO); link-local IPv6 addresses, which need a scope that
//! endpoints do not have.
#![forbid(unsafe_code)]

mod addresses;
mod clock;
mod driver;
mod error;
mod inbox;
mod interfaces;
mod io;
pub mod key_file;
mod listener;
mod outbound;
mod port;
mod reactor;
mod resolve;
mod stream;
mod streams;
mod trace;

pub use clock::Clock;
pub use driver::{Driver, Options};
pub use port::Sharing;
pub use resolve::resolve;
pub use stream::Detached;

/// The addresses of this machine's interfaces that are up: no loopback, no link-local IPv6.
///
/// # Errors
/// The system does not tell.
pub fn interfaces() -> std::io::Result<Vec<pinhole_proto::Interface>> {
    interfaces::list(&addresses::Addresses::default())
}

/// Thirty-two octets of the system's randomness, for an engine's seed.
///
/// # Panics
/// When the system has no randomness to give; nothing secure can be done then.
#[must_use]
pub fn seed() -> [u8; 32] {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).expect("the system gives random octets");
    octets
}
