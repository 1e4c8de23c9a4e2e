//! Standard input, read by a thread of its own: a blocked read must not keep the program from ending.

use std::io::{self, BufRead, Read as _};
use std::thread;

use tokio::sync::mpsc;

/// How standard input is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// As it arrives.
    Chunks,
    /// Into lines, without their ends. A line beyond 16 KiB, which fits into no datagram, comes in pieces.
    Lines,
}

/// Starts to read. The channel is closed at the end of input; an error counts as the end.
pub(crate) fn read(cut: Cut) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(PENDING);
    let body = move || {
        let mut stdin = io::stdin().lock();
        loop {
            let piece = match cut {
                Cut::Chunks => chunk(&mut stdin),
                Cut::Lines => line(&mut stdin),
            };
            match piece {
                Ok(Some(piece)) => {
                    if sender.blocking_send(piece).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "standard input");
                    return;
                }
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("stdin".to_owned()).spawn(body) {
        tracing::error!(%error, "standard input is not read");
    }
    receiver
}

fn chunk(stdin: &mut io::StdinLock<'_>) -> io::Result<Option<Vec<u8>>> {
    let mut piece = vec![0; CHUNK];
    let length = stdin.read(&mut piece)?;
    piece.truncate(length);
    Ok((length > 0).then_some(piece))
}

fn line(stdin: &mut io::StdinLock<'_>) -> io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::new();
    // A line without end must not fill the memory.
    let limit = u64::try_from(CHUNK).unwrap_or(u64::MAX);
    if stdin.by_ref().take(limit).read_until(b'\n', &mut piece)? == 0 {
        return Ok(None);
    }
    if piece.last() == Some(&b'\n') {
        piece.pop();
        if piece.last() == Some(&b'\r') {
            piece.pop();
        }
    }
    Ok(Some(piece))
}

const CHUNK: usize = 16_384;
const PENDING: usize = 4;
