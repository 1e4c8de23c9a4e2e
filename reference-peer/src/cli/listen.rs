//! `listen`: sessions that others open, echoed or connected with standard input and output.

use pinhole_peer::{CloseReason, Node, Session, StreamWriter, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::input::{self, Cut};
use super::report::{Feed, Report};
use super::{ended, online, pipe};

pub(crate) async fn run(node: &Node, feed: &mut Feed, echo: bool) -> Result<(), Failure> {
    online(node, feed).await?;
    let report = feed.report.clone();
    let serve = async {
        tokio::select! {
            () = accept(node, echo, &report) => Ok(()),
            failure = ended(node) => Err(failure),
        }
    };
    feed.during(serve).await
}

async fn accept(node: &Node, echo: bool, report: &Report) {
    let (latest, sessions) = mpsc::channel(16);
    if !echo {
        tokio::spawn(feed_latest(sessions));
    }
    while let Some(session) = node.accept().await {
        let (report, latest) = (report.clone(), latest.clone());
        tokio::spawn(async move {
            let peer = session.peer();
            let result = if echo { echo_back(&session).await } else { print(session, &report, &latest).await };
            if let Err(error) = result {
                tracing::info!(%peer, %error, "session ended");
            }
        });
    }
}

/// Sends back what arrives.
async fn echo_back(session: &Session) -> std::io::Result<()> {
    if session.transport() == Some(Transport::Tcp) {
        let (mut reader, mut writer) = session.split_stream().map_err(std::io::Error::other)?;
        let mut buffer = vec![0; 16_384];
        loop {
            let length = reader.read(&mut buffer).await?;
            if length == 0 {
                break;
            }
            writer.write_all(&buffer[..length]).await?;
        }
        writer.shutdown().await?;
        session.closed().await;
    } else {
        while let Some(datagram) = session.recv().await {
            session.send(&datagram).await.map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}

/// A session that standard input can go to.
enum Sink {
    Lines(Session),
    Stream(StreamWriter),
}

/// Writes what arrives to standard output, and offers the session to standard input.
async fn print(session: Session, report: &Report, latest: &mpsc::Sender<Sink>) -> std::io::Result<()> {
    if session.transport() == Some(Transport::Tcp) {
        let (mut reader, writer) = session.split_stream().map_err(std::io::Error::other)?;
        // The one who reads standard input has ended only when the program ends.
        let _ = latest.send(Sink::Stream(writer)).await;
        pipe::print_stream(&mut reader, report).await?;
        // What the other side ended is ended here too, or both would wait for each other.
        session.finish();
        session.closed().await;
    } else {
        let _ = latest.send(Sink::Lines(session.clone())).await;
        pipe::print_datagrams(&session, report).await;
    }
    Ok(())
}

/// Sends standard input to the session that was opened last.
async fn feed_latest(mut sessions: mpsc::Receiver<Sink>) {
    let Some(mut sink) = sessions.recv().await else {
        return;
    };
    let cut = match sink {
        Sink::Lines(_) => Cut::Lines,
        Sink::Stream(_) => Cut::Chunks,
    };
    let mut input = input::read(cut);
    while let Some(piece) = input.recv().await {
        // Those that came since the last piece; a stalled session does not keep a later one waiting.
        while let Ok(next) = sessions.try_recv() {
            sink = next;
        }
        tokio::select! {
            sent = send(&mut sink, piece, cut) => {
                if let Err(error) = sent {
                    tracing::warn!(%error, "standard input is not sent");
                }
            }
            Some(next) = sessions.recv() => sink = next,
        }
    }
    // Input has ended: so do the byte streams of this session and of later ones.
    loop {
        if let Sink::Stream(writer) = &mut sink
            && let Err(error) = writer.shutdown().await
        {
            tracing::debug!(%error, "shutdown");
        }
        match sessions.recv().await {
            Some(next) => sink = next,
            None => return,
        }
    }
}

/// Sends a piece of input. It was cut for the first session; a later one may run over the other transport.
async fn send(sink: &mut Sink, mut piece: Vec<u8>, cut: Cut) -> std::io::Result<()> {
    let closed = |reason: CloseReason| std::io::Error::other(pinhole_peer::close_code(&reason));
    match sink {
        Sink::Lines(session) => {
            for line in piece.strip_suffix(b"\n").unwrap_or(&piece).split(|octet| *octet == b'\n') {
                pipe::send_line(session, line).await.map_err(closed)?;
            }
            Ok(())
        }
        Sink::Stream(writer) => {
            if cut == Cut::Lines {
                piece.push(b'\n');
            }
            writer.write_all(&piece).await
        }
    }
}
