//! The byte stream of a session over TCP, as tokio's traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use pinhole_proto::peer::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::session::Session;
use crate::shared::{Finish, MAX_OUTBOUND};

/// The receiving direction of a session's byte stream.
///
/// Octets count as taken, and open the other side's window, when they are read from here. It ends
/// (0 octets read) when the other side finished its direction; a session that ended before that is an
/// error of kind [`ConnectionReset`](io::ErrorKind::ConnectionReset).
#[derive(Debug)]
pub struct StreamReader(pub(crate) Session);

/// The sending direction of a session's byte stream.
///
/// `flush` waits until the node's engine has taken everything that was written; the engine keeps it until
/// the other peer's engine has acknowledged it, and sends it again where a path died.
/// `shutdown` ends this direction after what was written. [`all_acknowledged`](Self::all_acknowledged)
/// waits for the other side. Dropping the writer does not end the direction.
#[derive(Debug)]
pub struct StreamWriter(pub(crate) Session);

impl StreamReader {
    /// The session that the stream belongs to.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.0
    }
}

impl StreamWriter {
    /// The session that the stream belongs to.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.0
    }

    /// How many octets were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.0.shared.state().written
    }

    /// Up to which offset the other peer's engine has everything.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        *self.0.0.shared.acknowledged.borrow()
    }

    /// Waits until the other peer's engine has everything that was written so far. Cancel-safe.
    ///
    /// # Errors
    /// The session ended before.
    pub async fn all_acknowledged(&self) -> io::Result<()> {
        let target = self.written();
        let mut acknowledged = self.0.0.shared.acknowledged.subscribe();
        tokio::select! {
            biased;
            reached = acknowledged.wait_for(|offset| *offset >= target) => {
                reached.map(|_| ()).map_err(io::Error::other)
            }
            reason = self.0.closed() => Err(ended(io::ErrorKind::BrokenPipe, reason)),
        }
    }
}

impl AsyncRead for StreamReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let shared = &self.0.0.shared;
        let mut state = shared.state();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if !state.inbound.is_empty() {
            let (front, _) = state.inbound.as_slices();
            let taken = front.len().min(buf.remaining());
            buf.put_slice(&front[..taken]);
            state.inbound.drain(..taken);
            shared.consume(&mut state, taken);
            return Poll::Ready(Ok(()));
        }
        if state.finished {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = shared.closed() {
            return Poll::Ready(Err(ended(io::ErrorKind::ConnectionReset, reason)));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let shared = &self.0.0.shared;
        let mut state = shared.state();
        if let Some(reason) = shared.closed() {
            return Poll::Ready(Err(ended(io::ErrorKind::BrokenPipe, reason)));
        }
        if state.finish != Finish::No {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = octets.len().min(MAX_OUTBOUND - state.outbound.len());
        if taken == 0 && !octets.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.outbound.extend(&octets[..taken]);
        state.written += taken as u64;
        shared.pump(&mut state);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &self.0.0.shared;
        let mut state = shared.state();
        if state.outbound.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = shared.closed() {
            return Poll::Ready(Err(ended(io::ErrorKind::BrokenPipe, reason)));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &self.0.0.shared;
        let mut state = shared.state();
        if state.finish == Finish::Done {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = shared.closed() {
            return Poll::Ready(Err(ended(io::ErrorKind::BrokenPipe, reason)));
        }
        if state.finish == Finish::No {
            state.finish = Finish::Asked;
            shared.pump(&mut state);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn ended(kind: io::ErrorKind, reason: CloseReason) -> io::Error {
    let code = crate::close_code(&reason);
    io::Error::new(kind, format!("the session has ended ({code})"))
}
