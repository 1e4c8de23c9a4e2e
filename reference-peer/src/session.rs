//! A session with another peer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pinhole_proto::constants::MAX_DATAGRAM;
use pinhole_proto::peer::{CloseReason, PathInfo, SessionHandle};
use pinhole_proto::{PeerId, Transport};
use tokio::sync::{mpsc, watch};

use crate::actor::{Request, Signal};
use crate::moment::Moment;
use crate::paths::Paths;
use crate::shared::{Finish, Phase, Shared};
use crate::stream::{StreamReader, StreamWriter};

/// A session with another peer.
///
/// Every session carries **datagrams** ([`send`](Self::send), [`recv`](Self::recv)); one over TCP also
/// carries a **byte stream** in each direction ([`split_stream`](Self::split_stream)). Both go on while
/// paths come and go.
///
/// Clones are handles of the same session. When the last handle, reader and writer are dropped the
/// session is closed; octets that the other peer has not acknowledged by then may be lost.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Handle>);

pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The datagram is longer than one packet carries.
    #[error("a datagram has at most {MAX_DATAGRAM} octets, this one has {0}")]
    TooLong(usize),
    /// The session has ended.
    #[error("the session has ended ({})", crate::close_code(.0))]
    Closed(CloseReason),
}

/// Why a session has no byte stream to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The session runs over UDP and carries datagrams only.
    #[error("the session runs over UDP and carries datagrams only")]
    NotAStream,
    /// The stream was taken before.
    #[error("the byte stream was taken already")]
    Taken,
}

/// What a session did not carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Datagrams that arrived while the application had not read the earlier ones.
    pub received: u64,
    /// Datagrams that the engine had no room or no path for.
    pub sent: u64,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, requests: mpsc::Sender<Request>) -> Self {
        Self(Arc::new(Handle { shared, requests }))
    }

    /// The other peer.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.0.shared.peer
    }

    /// The session's number in this node's [`Event`](crate::Event)s.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        self.0.shared.handle
    }

    /// Whether this side asked for the session.
    #[must_use]
    pub fn is_initiator(&self) -> bool {
        self.0.shared.initiator
    }

    /// When this side asked for it, or was introduced.
    #[must_use]
    pub fn opened_at(&self) -> Moment {
        self.0.shared.opened_at
    }

    /// The transport, which decides the service. `None` until the server has introduced the peers, which
    /// it has for every session that [`connect`](crate::Node::connect) or [`accept`](crate::Node::accept)
    /// returned.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.0.shared.transport.get().copied()
    }

    /// Waits until the other peer has proved that it holds its key, and the transport is known. Cancel-safe.
    ///
    /// # Errors
    /// The session ended before.
    pub async fn established(&self) -> Result<(), CloseReason> {
        match self.wait_for(|phase| !matches!(phase, Phase::Opening)).await {
            Phase::Opening | Phase::Established => Ok(()),
            Phase::Closed(reason) => Err(reason),
        }
    }

    /// Waits until data has a way to the other peer, be it the relay or a direct path. Cancel-safe.
    ///
    /// # Errors
    /// The session ended before.
    pub async fn ready(&self) -> Result<(), CloseReason> {
        let mut paths = self.watch_paths();
        tokio::select! {
            biased;
            reason = self.closed() => Err(reason),
            _ = paths.wait_for(|paths| paths.selected.is_some()) => Ok(()),
        }
    }

    /// The paths at this moment.
    #[must_use]
    pub fn paths(&self) -> Paths {
        self.0.shared.paths.borrow().clone()
    }

    /// The paths as they change.
    #[must_use]
    pub fn watch_paths(&self) -> watch::Receiver<Paths> {
        self.0.shared.paths.subscribe()
    }

    /// Waits until data takes a direct path, and returns it; `None` when the session ended before.
    /// Cancel-safe.
    pub async fn direct(&self) -> Option<PathInfo> {
        let mut paths = self.watch_paths();
        let found = async { paths.wait_for(|paths| paths.direct().is_some()).await.ok()?.direct() };
        tokio::select! {
            path = found => path,
            _ = self.closed() => None,
        }
    }

    /// Sends one datagram, at most [`MAX_DATAGRAM`] octets. It arrives once or not at all; one that the
    /// engine cannot send at this moment is dropped and counted ([`dropped`](Self::dropped)).
    /// Waits only while the node's thread is busy. Cancel-safe: the datagram is taken or not.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, datagram: &[u8]) -> Result<(), SendError> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(SendError::TooLong(datagram.len()));
        }
        if let Some(reason) = self.0.shared.closed() {
            return Err(SendError::Closed(reason));
        }
        let request = Request::Send { session: self.handle(), datagram: datagram.to_vec() };
        let sent = self.0.requests.send(request).await;
        sent.map_err(|_| SendError::Closed(CloseReason::Local))
    }

    /// The next datagram; `None` when the session has ended and everything was read. Cancel-safe.
    pub async fn recv(&self) -> Option<Vec<u8>> {
        let shared = &self.0.shared;
        loop {
            let ready = shared.inbox_ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            if let Some(datagram) = shared.state().inbox.pop_front() {
                return Some(datagram);
            }
            if shared.closed().is_some() {
                return None;
            }
            ready.await;
        }
    }

    /// The byte stream of a session over TCP: once, and each direction on its own.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn split_stream(&self) -> Result<(StreamReader, StreamWriter), StreamError> {
        if self.transport() != Some(Transport::Tcp) {
            return Err(StreamError::NotAStream);
        }
        if std::mem::replace(&mut self.0.shared.state().split, true) {
            return Err(StreamError::Taken);
        }
        Ok((StreamReader(self.clone()), StreamWriter(self.clone())))
    }

    /// Ends this side's byte stream after what was written, without waiting; `shutdown` of the
    /// [`StreamWriter`] does the same and waits until the engine has taken everything.
    pub fn finish(&self) {
        let shared = &self.0.shared;
        let mut state = shared.state();
        if state.finish == Finish::No {
            state.finish = Finish::Asked;
            shared.pump(&mut state);
        }
    }

    /// What this session did not carry.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        let state = self.0.shared.state();
        Dropped { received: state.inbox_dropped, sent: state.send_dropped }
    }

    /// Ends the session; the other side is told. See [`closed`](Self::closed) for when that is done.
    /// Octets of the byte stream that are not
    /// [acknowledged](StreamWriter::all_acknowledged) may be lost.
    pub fn close(&self) {
        self.0.close();
    }

    /// Waits for the end of the session and says why it ended. Cancel-safe.
    pub async fn closed(&self) -> CloseReason {
        let ended = |phase: &Phase| matches!(phase, Phase::Closed(_));
        match self.wait_for(ended).await {
            Phase::Closed(reason) => reason,
            Phase::Opening | Phase::Established => CloseReason::Local,
        }
    }

    /// Like [`closed`](Self::closed), but waits no longer than `limit`.
    pub async fn closed_within(&self, limit: Duration) -> Option<CloseReason> {
        tokio::time::timeout(limit, self.closed()).await.ok()
    }

    async fn wait_for(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.0.shared.phase.subscribe();
        // The sender lives in `shared`, which this handle holds.
        phase.wait_for(wanted).await.map_or(Phase::Closed(CloseReason::Local), |phase| *phase)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("handle", &self.handle())
            .field("peer", &self.peer())
            .field("transport", &self.transport())
            .field("closed", &self.0.shared.closed())
            .finish_non_exhaustive()
    }
}

impl Handle {
    fn close(&self) {
        if self.shared.closed().is_none() {
            // The receiver is gone only when the node is, and its sessions with it.
            let _ = self.shared.signals.send(Signal::Close(self.shared.handle));
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
