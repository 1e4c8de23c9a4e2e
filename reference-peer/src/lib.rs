//! A peer of the Pinhole protocol: reach another peer by its key, through NATs on both sides.
//!
//! A [`Node`] has a private key and keeps itself registered with a server. Its public key is its name,
//! the [`PeerId`]. [`Node::connect`] opens a [`Session`] to another peer by that name; the other one gets
//! it from [`Node::accept`]. The session starts through the server's relay, if that is allowed, while both
//! sides punch; as soon as a direct path is proved, data takes it and the server carries nothing any more.
//! Everything is sealed between the two peers: the server sees who talks to whom, not what.
//!
//! ```no_run
//! use pinhole_peer::{Accept, Node, SecretKey};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server: pinhole_peer::ServerUrl = "pinhole://rendezvous.example.org".parse()?;
//! let node = Node::builder(server)
//!     .key(SecretKey::load_or_create("state/peer.key")?)
//!     .known_servers("state/known-servers")
//!     .accept(Accept::Anybody)
//!     .bind()
//!     .await?;
//! node.online().await?;
//! println!("others reach me as {}", node.id());
//!
//! let other: pinhole_peer::PeerId = std::env::args().nth(1).ok_or("whom?")?.parse()?;
//! let session = node.connect_over(other, pinhole_peer::Transport::Udp).await?;
//! session.send(b"hello").await?;
//! if let Some(answer) = session.recv().await {
//!     println!("{}", String::from_utf8_lossy(&answer));
//! }
//! if let Some(path) = session.direct().await {
//!     println!("direct: {} to {}", path.local, path.remote);
//! }
//! session.close();
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Two services
//!
//! Every session carries **datagrams**: at most [`MAX_DATAGRAM`] octets, each arriving once or not at all.
//! A session over TCP carries besides a **byte stream** in each direction, [`StreamReader`] and
//! [`StreamWriter`], which loses and reorders nothing when a path dies or a better one takes over. With
//! [`Transports::Auto`] a session runs over UDP where both peers have it.
//!
//! # Threads and backpressure
//!
//! A node has one thread of its own, which runs the sans-IO engine
//! [`pinhole_proto::peer::Peer`] on `pinhole_driver`; every method here talks to it, from any tokio
//! runtime. The window of a byte stream opens when the application reads, so a slow reader slows the
//! other side down. Datagrams for a slow application are dropped, newest first, and counted
//! ([`Session::dropped`]).
//!
//! # What is not here
//!
//! A reliable transport over UDP sessions: applications bring one. Early data. Several servers for one node.
#![forbid(unsafe_code)]

mod actor;
mod builder;
mod event;
mod key;
mod known_servers;
mod moment;
mod node;
mod paths;
mod session;
mod shared;
mod status;
mod stream;
mod trace;

pub use builder::{BindError, Builder, Transports};
pub use event::{Event, Events, Stamped};
pub use key::SecretKey;
pub use known_servers::{KnownServers, KnownServersError};
pub use moment::Moment;
pub use node::{ConnectError, Node};
pub use paths::{KnownPath, Paths};
pub use pinhole_proto::constants::MAX_DATAGRAM;
pub use pinhole_proto::peer::{
    Accept, Certainty, CloseReason, Evidence, OfflineReason, PathInfo, PathKind, PathState, RelayPolicy, ServerRefusal,
    SessionHandle, StrategySet,
};
pub use pinhole_proto::url::ServerUrl;
pub use pinhole_proto::wire::code::{Refusal, Strategy, Verdict};
pub use pinhole_proto::{CommandError, Endpoint, PeerId, ServerKey, Transport};
pub use session::{Dropped, SendError, Session, StreamError};
pub use status::{Binding, Status, Trouble};
pub use stream::{StreamReader, StreamWriter};

/// The code of a reason, as the command line's JSON events spell it: the refusal's or the verdict's
/// name where there is one, else the reason's own.
#[must_use]
pub const fn close_code(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Local => "local",
        CloseReason::Remote => "remote",
        CloseReason::Refused(refusal) => refusal.name(),
        CloseReason::AuthenticationFailed => "authentication-failed",
        CloseReason::NoPath(verdict) => verdict.name(),
        CloseReason::Lost => "lost",
        CloseReason::Superseded => "superseded",
        CloseReason::KeysWorn => "keys-worn",
        CloseReason::ServerSilent => "server-silent",
    }
}
