//! A registered peer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pinhole_proto::peer::CloseReason;
use pinhole_proto::url::ServerUrl;
use pinhole_proto::{CommandError, PeerId, Transport};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::actor::Request;
use crate::builder::{Builder, Transports};
use crate::event::{Events, Stamped};
use crate::moment::Moment;
use crate::session::Session;
use crate::status::{Status, Trouble};

/// A peer that keeps itself registered with a server, and opens and accepts sessions.
///
/// Clones are handles of the same node. The node ends when [`shutdown`](Self::shutdown) is called or the
/// last handle of it and of its sessions is dropped.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: PeerId,
    pub(crate) transports: Transports,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) incoming: tokio::sync::Mutex<mpsc::Receiver<Session>>,
    pub(crate) events: broadcast::WeakSender<Stamped>,
    /// The receiver that was made before the node started.
    pub(crate) first_events: Mutex<Option<broadcast::Receiver<Stamped>>>,
    pub(crate) status: watch::Receiver<Status>,
}

/// Why a session did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The node's engine did not take the request.
    #[error("the request was refused here: {0}")]
    Command(CommandError),
    /// The session ended before the other peer proved that it holds its key.
    #[error("no session ({})", crate::close_code(.0))]
    Closed(CloseReason),
    /// The node has ended.
    #[error("the node was shut down")]
    Stopped,
}

impl Node {
    /// Describes a node that registers with this server.
    #[must_use]
    pub fn builder(server: ServerUrl) -> Builder {
        Builder::new(server)
    }

    /// This peer's name, which others connect to.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.0.id
    }

    /// Whether the node is registered at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status.borrow().clone()
    }

    /// The status as it changes.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// Waits until the node is registered. With [`Transports::Auto`] the second transport has half a
    /// second longer than the first. Cancel-safe.
    ///
    /// # Errors
    /// What stands in the way. The node goes on trying after [`Trouble::ServerUnreachable`].
    pub async fn online(&self) -> Result<Status, Trouble> {
        let mut status = self.0.status.clone();
        let settled = |s: &Status| !s.online.is_empty() || s.trouble.is_some();
        let first = status.wait_for(settled).await;
        match first.map(|status| status.clone()) {
            Ok(Status { online, trouble }) if online.is_empty() => {
                return Err(trouble.unwrap_or(Trouble::Stopped));
            }
            Ok(_) => {}
            Err(_) => return Err(Trouble::Stopped),
        }
        if self.0.transports == Transports::Auto {
            let both = |s: &Status| s.has(Transport::Udp) && s.has(Transport::Tcp);
            // One transport is enough, so running out of time is no error.
            let _ = tokio::time::timeout(SECOND_TRANSPORT, status.wait_for(both)).await;
        }
        Ok(self.status())
    }

    /// Opens a session to a peer and waits until that has proved who it is. The transport is UDP where both
    /// sides have it, else TCP. The session is usable at once, over the relay if the server's is allowed;
    /// [`Session::direct`] waits for the direct path. A node that is not online yet asks once it is.
    /// Cancel-safe: dropping the future closes the session.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self, peer: PeerId) -> Result<Session, ConnectError> {
        self.connect_over(peer, None).await
    }

    /// Like [`connect`](Self::connect), over one transport only.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_over(
        &self,
        peer: PeerId,
        transport: impl Into<Option<Transport>>,
    ) -> Result<Session, ConnectError> {
        let session = self.open(peer, transport).await?;
        session.established().await.map_err(ConnectError::Closed)?;
        Ok(session)
    }

    /// Like [`connect_over`](Self::connect_over), but does not wait for the other peer:
    /// [`Session::established`] does.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn open(&self, peer: PeerId, transport: impl Into<Option<Transport>>) -> Result<Session, ConnectError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Open { peer, transport: transport.into(), asked_at: Moment::now(), reply };
        let sent = self.0.requests.send(request).await;
        sent.map_err(|_| ConnectError::Stopped)?;
        let opened = answer.await.map_err(|_| ConnectError::Stopped)?;
        opened.map_err(ConnectError::Command)
    }

    /// The next session that another peer opened and proved to be the one it says; `None` when the node
    /// has ended. Sessions wait in a queue of 64; those on top are closed. Cancel-safe.
    pub async fn accept(&self) -> Option<Session> {
        self.0.incoming.lock().await.recv().await
    }

    /// The node's events. The first call's stream begins with the first event of the node, later ones'
    /// with the next event; a reader that is 1,024 events behind misses some
    /// ([`Event::Missed`](crate::Event::Missed)).
    #[must_use]
    pub fn events(&self) -> Events {
        let mut first = self.0.first_events.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = first.take().or_else(|| {
            let sender = self.0.events.upgrade()?;
            Some(sender.subscribe())
        });
        // A node that has ended has nothing to tell: the stream of a channel without a sender.
        Events(receiver.unwrap_or_else(|| broadcast::channel(1).1))
    }

    /// Ends every session and the registration, and waits until that is done, at most two seconds.
    pub async fn shutdown(&self) {
        // A node that has ended does not take the request and has nothing left to do.
        let _ = self.0.requests.send(Request::Shutdown).await;
        let mut status = self.0.status.clone();
        let ended = |s: &Status| matches!(s.trouble, Some(Trouble::Stopped | Trouble::Driver(_)));
        // An error says that the node's thread is gone, which is what is waited for.
        let _ = status.wait_for(ended).await;
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.0.id).field("status", &*self.0.status.borrow()).finish_non_exhaustive()
    }
}

/// How much longer than the first transport the second may take.
const SECOND_TRANSPORT: Duration = Duration::from_millis(500);
