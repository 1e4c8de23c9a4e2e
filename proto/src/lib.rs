//! Pinhole's sans-IO core.
//!
//! Two machines behind two NATs cannot simply connect: each NAT drops what its own inside did not ask
//! for. They can if both send at about the same time to the endpoint that the other's NAT shows to the
//! world, because each outgoing packet makes the other's incoming one an answer. This crate is the
//! protocol that brings that about: a *server* that both can reach tells them about each other, and two
//! *peers* punch.
//!
//! # The life of a connection
//!
//! 1. **Discover.** A peer asks the server for the versions it speaks and for a cookie ([`wire::discover`]).
//! 2. **Register.** One Noise IK round trip gives peer and server a key; the registration takes effect when
//!    the peer answers, sealed, a nonce sent to the endpoint that the server observed ([`wire::register`]).
//! 3. **Connect.** Peer A asks the server for peer B and encloses the first message of a Noise KK
//!    handshake. The server tells both about each other ([`wire::control`]).
//! 4. **Punch.** B's answer to the handshake *is* B's punch. Each side sends to each endpoint that the other
//!    may have; the first packet through creates a path ([`wire::punch`]). The server relays meanwhile.
//! 5. **Prove.** A path carries data when a nonce that was sent only on it came back, sealed.
//! 6. **Keep.** Both sides probe the path; when it dies the session goes back to the relay and punches again.
//!
//! # Where things are
//!
//! [`Peer`](peer::Peer) and [`Server`](server::Server) are the two engines. They have no socket, no clock and no dice:
//! the [`engine`] module has the contract. [`wire`] has one file per family of messages, whose comment
//! shows the layout. The words are defined in `spec/terms.md`; numbers are in [`constants`], each with the
//! chapter of `spec/` that explains it.
//!
//! # What is not here
//!
//! Reliable transport over UDP paths (applications bring one), port prediction, the birthday method,
//! explicit mapping control (PCP, NAT-PMP, UPnP), sequential TCP punching.
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod alternates;
mod association;
pub mod constants;
pub mod discard;
pub mod endpoint;
pub mod engine;
pub mod key;
pub mod netcheck;
pub mod noise;
mod outbox;
pub mod peer;
mod replay;
mod request;
mod rng;
pub mod seal;
mod sequence;
pub mod server;
pub mod sorted;
pub mod time;
mod timers;
pub mod url;
pub mod wire;

pub use discard::Discard;
pub use endpoint::{Address, Endpoint, Family};
pub use engine::{
    CommandError, Engine, Input, Interface, NetError, Output, SocketId, StreamId, StreamInput, Transport,
};
pub use key::{PeerId, PublicKey, ServerKey};
pub use time::{Duration, Instant};
