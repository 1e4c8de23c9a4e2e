//! Standard output, written by a thread of its own, so that a slow reader stops nothing else.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// A handle of standard output.
#[derive(Clone)]
pub(crate) struct Out {
    pieces: mpsc::UnboundedSender<Piece>,
    room: Arc<Semaphore>,
    ended: watch::Receiver<Option<io::ErrorKind>>,
}

/// Octets to write. Data holds a permit until it is written; events are few and need none.
struct Piece {
    octets: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Out {
    pub(crate) fn start() -> io::Result<Self> {
        let (pieces, mut queue) = mpsc::unbounded_channel::<Piece>();
        let (end, ended) = watch::channel(None);
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            let mut stdout = io::stdout().lock();
            while let Some(piece) = queue.blocking_recv() {
                if let Err(error) = stdout.write_all(&piece.octets).and_then(|()| stdout.flush()) {
                    end.send_replace(Some(error.kind()));
                    return;
                }
            }
        })?;
        Ok(Self { pieces, room: Arc::new(Semaphore::new(MAX_PENDING)), ended })
    }

    /// Writes an event.
    pub(crate) fn event(&self, octets: Vec<u8>) {
        // When nobody reads any more, `broken` says so.
        let _ = self.pieces.send(Piece { octets, _permit: None });
    }

    /// Writes data, after waiting for room.
    pub(crate) async fn data(&self, octets: Vec<u8>) {
        let permit = Arc::clone(&self.room).acquire_owned().await.ok();
        // When nobody reads any more, `broken` says so.
        let _ = self.pieces.send(Piece { octets, _permit: permit });
    }

    /// Waits until standard output cannot be written any more, and says why.
    pub(crate) async fn broken(&self) -> io::ErrorKind {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|kind| *kind) {
            Ok(Some(kind)) => kind,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until everything is written, at most a second. To be called on the last handle.
    pub(crate) async fn finish(self) {
        let Self { pieces, mut ended, .. } = self;
        drop(pieces);
        // The thread drops its end when the queue is empty and has no senders.
        let written = async { while ended.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(FINISH, written).await;
    }
}

/// Pieces of data that wait to be written.
const MAX_PENDING: usize = 64;
/// How long a slow reader is waited for at the end.
const FINISH: Duration = Duration::from_secs(1);
