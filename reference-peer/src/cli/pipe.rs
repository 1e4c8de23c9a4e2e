//! Connects a session with standard input and output.

use std::time::Duration;

use pinhole_peer::{CloseReason, MAX_DATAGRAM, SendError, Session, StreamReader, StreamWriter};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::report::Report;

/// Writes what arrives on a session's byte stream until it ends.
pub(crate) async fn print_stream(reader: &mut StreamReader, report: &Report) -> std::io::Result<()> {
    let mut buffer = vec![0; 16_384];
    loop {
        let length = reader.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        report.data(reader.session(), &buffer[..length], b"").await;
    }
}

/// Writes each datagram as a line until the session ends.
pub(crate) async fn print_datagrams(session: &Session, report: &Report) {
    while let Some(datagram) = session.recv().await {
        report.data(session, &datagram, b"\n").await;
    }
}

/// Sends a line as a datagram; a line that is too long is left out, with a warning.
pub(crate) async fn send_line(session: &Session, line: &[u8]) -> Result<(), CloseReason> {
    match session.send(line).await {
        Ok(()) => Ok(()),
        Err(SendError::TooLong(length)) => {
            tracing::warn!("a line of {length} octets is not sent: a datagram has at most {MAX_DATAGRAM}");
            Ok(())
        }
        Err(SendError::Closed(reason)) => Err(reason),
    }
}

/// Standard input and output as the two ends of a byte stream, until both directions have ended.
pub(crate) async fn streams(
    session: &Session,
    mut input: mpsc::Receiver<Vec<u8>>,
    report: &Report,
) -> Result<(), Failure> {
    let (mut reader, mut writer) = session.split_stream().map_err(|error| Failure::other("no-stream", &error))?;
    let up = async {
        tokio::select! {
            sent = send_all(&mut writer, &mut input) => sent,
            // Whoever waits for input does not notice that the session ended.
            reason = session.closed() => Err(std::io::Error::other(pinhole_peer::close_code(&reason))),
        }
    };
    let (sent, received) = tokio::join!(up, print_stream(&mut reader, report));
    if sent.is_ok() && received.is_ok() {
        return Ok(());
    }
    match session.closed().await {
        // The other side ended the session, and nothing is lost: what was written has arrived.
        CloseReason::Remote if writer.acknowledged() == writer.written() => Ok(()),
        reason => Err(Failure::closed(reason)),
    }
}

async fn send_all(writer: &mut StreamWriter, input: &mut mpsc::Receiver<Vec<u8>>) -> std::io::Result<()> {
    while let Some(chunk) = input.recv().await {
        writer.write_all(&chunk).await?;
    }
    writer.shutdown().await?;
    writer.all_acknowledged().await
}

/// Lines of standard input as datagrams and the other way round, until a while after the end of input.
pub(crate) async fn lines(
    session: &Session,
    mut input: mpsc::Receiver<Vec<u8>>,
    report: &Report,
) -> Result<(), Failure> {
    session.ready().await.map_err(Failure::closed)?;
    let up = async {
        while let Some(line) = input.recv().await {
            send_line(session, &line).await?;
        }
        tokio::time::sleep(LINGER).await;
        Ok(())
    };
    let reason = tokio::select! {
        sent = up => match sent {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        },
        () = print_datagrams(session, report) => session.closed().await,
    };
    match reason {
        CloseReason::Remote => Ok(()),
        reason => Err(Failure::closed(reason)),
    }
}

/// How long answers are waited for after the end of input.
const LINGER: Duration = Duration::from_secs(1);
