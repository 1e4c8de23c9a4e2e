//! `ping`: how long until the first echo and until the direct path, and which path that is.

use std::collections::BTreeMap;
use std::time::Duration;

use pinhole_peer::{
    CloseReason, Event, Moment, Node, PathInfo, PathKind, PathState, RelayPolicy, Session, Stamped, StreamWriter,
    Transport, Verdict,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::args::Ping;
use super::failure::{Exit, Failure};
use super::input::{self, Cut};
use super::json::{Body, millis};
use super::report::{Feed, Report, path_text, transport_name};
use super::{ended, online};

pub(crate) async fn run(
    node: &Node,
    feed: &mut Feed,
    ping: &Ping,
    transport: Option<Transport>,
    relay: RelayPolicy,
) -> Result<(), Failure> {
    online(node, feed).await?;
    if ping.hold {
        hold(node, feed).await?;
    }
    let session = node.open(ping.peer, transport).await?;
    feed.report.begin(&session);
    let mut measurement = Measurement::new(session.clone(), feed.report.clone(), ping, relay);
    let result = tokio::select! {
        result = tokio::time::timeout(ping.timeout, measurement.take(feed)) => result,
        failure = ended(node) => Ok(Err(failure)),
    };
    let result = result.unwrap_or_else(|_| measurement.out_of_time());
    measurement.tell();
    session.close();
    result
}

/// Waits for a line on standard input.
async fn hold(node: &Node, feed: &mut Feed) -> Result<(), Failure> {
    if !feed.report.json {
        feed.report.out.event(b"online\n".to_vec());
    }
    let mut lines = input::read(Cut::Lines);
    let line = async {
        tokio::select! {
            line = lines.recv() => {
                line.ok_or_else(|| Failure::new(Exit::Other, "no-line", "standard input ended before a line came"))
            }
            failure = ended(node) => Err(failure),
        }
    };
    feed.during(line).await.map(|_| ())
}

struct Measurement {
    session: Session,
    report: Report,
    relay: RelayPolicy,
    count: u64,
    interval: Duration,
    introduced: bool,
    sent: u64,
    /// When each number left that has not come back.
    flying: BTreeMap<u64, Moment>,
    echoes: u64,
    first_echo: Option<Moment>,
    /// When the direct path was heard first.
    heard: Option<Moment>,
    /// The direct path that data takes.
    direct: Option<PathInfo>,
    verdict: Option<Verdict>,
}

impl Measurement {
    fn new(session: Session, report: Report, ping: &Ping, relay: RelayPolicy) -> Self {
        Self {
            session,
            report,
            relay,
            count: ping.count,
            interval: Duration::from_millis(ping.interval),
            introduced: false,
            sent: 0,
            flying: BTreeMap::new(),
            echoes: 0,
            first_echo: None,
            heard: None,
            direct: None,
            verdict: None,
        }
    }

    async fn take(&mut self, feed: &mut Feed) -> Result<(), Failure> {
        let session = self.session.clone();
        let ready = async {
            session.established().await?;
            session.ready().await
        };
        tokio::pin!(ready);
        loop {
            tokio::select! {
                biased;
                stamped = feed.next() => self.on_event(&stamped)?,
                result = &mut ready => break result.map_err(Failure::closed)?,
            }
        }
        let mut link = Link::open(&session)?;
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.is_done() {
            tokio::select! {
                biased;
                stamped = feed.next() => self.on_event(&stamped)?,
                Some((sequence, at)) = link.echoes.recv() => self.on_echo(sequence, at),
                _ = ticks.tick(), if self.echoes < self.count => {
                    self.flying.insert(self.sent, Moment::now());
                    link.send(self.sent).await.map_err(Failure::closed)?;
                    self.sent += 1;
                }
            }
        }
        Ok(())
    }

    fn on_event(&mut self, Stamped { at, event }: &Stamped) -> Result<(), Failure> {
        if event.session() != Some(self.session.handle()) {
            return Ok(());
        }
        match *event {
            Event::Introduced { .. } => self.introduced = true,
            Event::Path { state: PathState::Heard | PathState::Proved, path, .. } if path.kind != PathKind::Relayed => {
                self.heard.get_or_insert(*at);
            }
            Event::Selected { path, .. } => {
                self.direct = (path.kind != PathKind::Relayed).then_some(path);
            }
            Event::NotDirect { verdict, .. } => self.verdict = Some(verdict),
            Event::Withdrawn { .. } => self.verdict = None,
            Event::Closed { reason, .. } => {
                if let CloseReason::NoPath(verdict) = reason {
                    self.verdict = Some(verdict);
                }
                return Err(Failure::closed(reason));
            }
            _ => {}
        }
        Ok(())
    }

    fn on_echo(&mut self, sequence: u64, at: Moment) {
        let Some(sent_at) = self.flying.remove(&sequence) else {
            return;
        };
        self.echoes += 1;
        self.first_echo.get_or_insert(at);
        let rtt_ms = millis(at.since(sent_at));
        let session = self.session.handle();
        self.report.line(Some(session), at, Body::Echo { session, seq: sequence, rtt_ms });
        if !self.report.json {
            self.report.out.event(format!("echo {sequence}: {rtt_ms:.1} ms\n").into_bytes());
        }
    }

    /// Whether there is nothing left to wait for.
    fn is_done(&self) -> bool {
        self.echoes >= self.count && (self.direct.is_some() || self.is_hopeless())
    }

    /// Whether no later attempt can give a direct path. After verdicts that a later attempt, or another
    /// strategy, may overcome, that is waited for.
    fn is_hopeless(&self) -> bool {
        let guesses = self.session.transport() == Some(Transport::Udp);
        let later = |verdict| match verdict {
            Verdict::UNKNOWN | Verdict::FILTERED => true,
            Verdict::ENDPOINT_DEPENDENT | Verdict::BOTH_ENDPOINT_DEPENDENT => guesses,
            _ => false,
        };
        self.relay == RelayPolicy::Only || self.verdict.is_some_and(|verdict| !later(verdict))
    }

    fn out_of_time(&self) -> Result<(), Failure> {
        if !self.introduced {
            return Err(Failure::closed(CloseReason::ServerSilent));
        }
        if self.session.paths().selected.is_none() || (self.relay == RelayPolicy::Never && self.direct.is_none()) {
            let code = self.verdict.map_or("timeout", |verdict| verdict.name());
            let failure = Failure::new(Exit::NoPath, code, format!("no path within the time limit ({code})"));
            return Err(Failure { reason: "no-path", ..failure });
        }
        if self.echoes < self.count {
            let message = format!("{} of {} echoes within the time limit", self.echoes, self.count);
            return Err(Failure::new(Exit::Other, "no-echo", message));
        }
        Ok(())
    }

    /// Tells the result.
    fn tell(&self) {
        let session = self.session.handle();
        let selected = self.session.paths().selected;
        let since = |at: Option<Moment>| at.map(|at| self.report.since(Some(session), at));
        let (direct_ms, echo_ms) = (since(self.heard), since(self.first_echo));
        let verdict = self.verdict.filter(|_| self.direct.is_none());
        let transport = self.session.transport();
        let body = Body::Result {
            session,
            transport,
            direct_ms,
            echo_ms,
            path: self.direct.or(selected),
            verdict,
            echoes: self.echoes,
            sent: self.sent,
        };
        self.report.line(Some(session), Moment::now(), body);
        if self.report.json {
            return;
        }
        let mut parts = Vec::new();
        match (self.direct, direct_ms, selected) {
            (Some(path), Some(ms), _) => parts.push(format!("{} after {ms:.1} ms", path_text(&path))),
            (_, _, Some(_)) => parts.push("relayed".to_owned()),
            (_, _, None) => parts.push("no path".to_owned()),
        }
        parts.extend(verdict.map(|verdict| format!("not direct: {}", verdict.name())));
        parts.extend(echo_ms.map(|ms| format!("first echo after {ms:.1} ms")));
        let name = transport.map_or("no session", transport_name);
        self.report.out.event(format!("{name}: {}\n", parts.join(", ")).into_bytes());
    }
}

/// Sequence numbers out and back.
struct Link {
    echoes: mpsc::UnboundedReceiver<(u64, Moment)>,
    service: Service,
    /// Ends the reader with the link.
    _reader: JoinSet<()>,
}

enum Service {
    Datagrams(Session),
    Stream(StreamWriter),
}

impl Link {
    fn open(session: &Session) -> Result<Self, Failure> {
        let (sender, echoes) = mpsc::unbounded_channel();
        let mut reader = JoinSet::new();
        let service = if session.transport() == Some(Transport::Tcp) {
            let (mut octets, writer) = session.split_stream().map_err(|error| Failure::other("no-stream", &error))?;
            reader.spawn(async move {
                while let Ok(sequence) = octets.read_u64().await {
                    // The link is gone, and the answer of no use.
                    let _ = sender.send((sequence, Moment::now()));
                }
            });
            Service::Stream(writer)
        } else {
            let session = session.clone();
            let datagrams = session.clone();
            reader.spawn(async move {
                while let Some(datagram) = datagrams.recv().await {
                    if let Ok(octets) = <[u8; 8]>::try_from(&datagram[..]) {
                        // The link is gone, and the answer of no use.
                        let _ = sender.send((u64::from_be_bytes(octets), Moment::now()));
                    }
                }
            });
            Service::Datagrams(session)
        };
        Ok(Self { echoes, service, _reader: reader })
    }

    async fn send(&mut self, sequence: u64) -> Result<(), CloseReason> {
        match &mut self.service {
            Service::Datagrams(session) => super::pipe::send_line(session, &sequence.to_be_bytes()).await,
            Service::Stream(writer) => match writer.write_u64(sequence).await {
                Ok(()) => Ok(()),
                Err(_) => Err(writer.session().closed().await),
            },
        }
    }
}
