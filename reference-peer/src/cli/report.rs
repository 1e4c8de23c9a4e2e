//! Tells what happens: JSON lines on standard output, or sentences for people on standard error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinhole_peer::{
    Certainty, Event, Events, Evidence, Moment, PathInfo, PathKind, PathState, PeerId, Session, SessionHandle, Stamped,
    Verdict, close_code,
};

use super::failure::{Failure, close_reason};
use super::json::{Body, Data, Line, millis};
use super::out::Out;

/// A handle of the one who reports.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) json: bool,
    pub(crate) out: Out,
    id: PeerId,
    started: Moment,
    sessions: Arc<Mutex<HashMap<SessionHandle, (Moment, PeerId)>>>,
}

/// The events of the node, reported as they are read.
pub(crate) struct Feed {
    events: Events,
    pub(crate) report: Report,
}

impl Feed {
    pub(crate) const fn new(events: Events, report: Report) -> Self {
        Self { events, report }
    }

    /// The next event; after the node's end it waits for ever. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Stamped {
        match self.events.next().await {
            Some(stamped) => {
                self.report.event(&stamped);
                stamped
            }
            None => std::future::pending().await,
        }
    }

    /// Reports what is left.
    pub(crate) fn drain(&mut self) {
        while let Some(stamped) = self.events.try_next() {
            self.report.event(&stamped);
        }
    }

    /// Waits for something while events are reported.
    pub(crate) async fn during<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        tokio::pin!(wanted);
        loop {
            tokio::select! {
                biased;
                value = &mut wanted => return value,
                _ = self.next() => {}
            }
        }
    }
}

impl Report {
    pub(crate) fn new(json: bool, out: Out, id: PeerId, started: Moment) -> Self {
        Self { json, out, id, started, sessions: Arc::default() }
    }

    /// Whether events are JSON.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// From here on the session's times count from when it was asked for.
    pub(crate) fn begin(&self, session: &Session) {
        self.sessions().insert(session.handle(), (session.opened_at(), session.peer()));
    }

    /// Milliseconds from when the session was asked for.
    pub(crate) fn since(&self, session: Option<SessionHandle>, at: Moment) -> f64 {
        let base = session.and_then(|session| self.sessions().get(&session).map(|(base, _)| *base));
        millis(at.since(base.unwrap_or(self.started)))
    }

    /// Writes a JSON event.
    pub(crate) fn line(&self, session: Option<SessionHandle>, at: Moment, body: Body<'_>) {
        if self.json {
            self.out.event(self.octets(session, at, body));
        }
    }

    /// Writes data that arrived: as it is, or as an event.
    pub(crate) async fn data(&self, session: &Session, octets: &[u8], line_end: &[u8]) {
        if self.json {
            let (session, peer) = (session.handle(), session.peer());
            let body = Body::Data { session, peer, data: Data::from(octets) };
            self.out.data(self.octets(Some(session), Moment::now(), body)).await;
        } else {
            self.out.data([octets, line_end].concat()).await;
        }
    }

    /// Tells why the command failed.
    pub(crate) fn failed(&self, failure: &Failure) {
        let Failure { code, reason, message, exit } = failure;
        self.line(None, Moment::now(), Body::Failed { code, reason, message, exit: *exit as u8 });
        eprintln!("pinhole-peer: {message}");
    }

    fn octets(&self, session: Option<SessionHandle>, at: Moment, body: Body<'_>) -> Vec<u8> {
        let line = Line { body, ms: self.since(session, at), t_us: at.as_micros() };
        // Plain data with text keys always becomes JSON.
        let mut octets = serde_json::to_vec(&line).unwrap_or_default();
        octets.push(b'\n');
        octets
    }

    fn event(&self, Stamped { at, event }: &Stamped) {
        let session = event.session();
        if let Event::Introduced { session, peer, .. } | Event::Established { session, peer, .. } = *event {
            self.sessions().entry(session).or_insert((*at, peer));
        }
        if self.json {
            if let Some(body) = self.body(event) {
                self.line(session, *at, body);
            }
        } else if let Some(text) = self.text(event) {
            match session {
                Some(_) => eprintln!("{text} after {:.1} ms", self.since(session, *at)),
                None => eprintln!("{text}"),
            }
        }
        if let Event::Closed { session, .. } = event {
            self.sessions().remove(session);
        }
    }

    fn body(&self, event: &Event) -> Option<Body<'static>> {
        Some(match *event {
            Event::ServerKey(key) => Body::ServerKey { key },
            Event::Online { transport, private, public } => Body::Online { id: self.id, transport, private, public },
            Event::Offline { transport, reason } => Body::Offline { transport, reason },
            Event::Introduced { session, peer, transport, initiator } => {
                Body::Introduced { session, peer, transport, initiator }
            }
            Event::Established { session, peer, initiator } => Body::Established { session, peer, initiator },
            Event::Path { session, state, path } => Body::Path { session, kind: path.kind, state, path: path.into() },
            Event::Selected { session, path } => Body::Selected { session, kind: path.kind, path: path.into() },
            Event::PathLost { session, path } => Body::PathLost { session, kind: path.kind, path: path.into() },
            Event::Attempt { session, number, strategy, width } => {
                Body::Attempt { session, number, strategy: strategy.name(), width }
            }
            Event::NotDirect { session, verdict, certainty, evidence } => {
                Body::Verdict { session, code: verdict, certainty, evidence }
            }
            Event::Withdrawn { session, verdict } => Body::Withdrawn { session, code: verdict },
            Event::Closed { session, reason } => Body::Closed {
                session,
                peer: self.sessions().get(&session).map(|(_, peer)| *peer),
                code: close_code(&reason),
                reason: close_reason(&reason),
            },
            Event::Missed(count) => Body::Missed { count },
            // They end the command, and `failed` tells.
            Event::ServerUnreachable | Event::Replaced | Event::ServerRefused(_) | Event::Stopped => return None,
        })
    }

    fn text(&self, event: &Event) -> Option<String> {
        Some(match *event {
            Event::ServerKey(key) => format!("the server's key is {key}"),
            Event::Online { transport, public, .. } => {
                format!("online as {} over {}, public endpoint {public}", self.id, transport_name(transport))
            }
            Event::Offline { transport, .. } => format!("offline over {}", transport_name(transport)),
            Event::Established { peer, initiator: true, .. } => format!("connected to {peer}"),
            Event::Established { peer, initiator: false, .. } => format!("connected by {peer}"),
            Event::Path { path, state: PathState::Proved, .. } if path.kind != PathKind::Relayed => {
                format!("path {}", path_text(&path))
            }
            Event::Attempt { number, strategy, .. } => format!("attempt {number} ({})", strategy.name()),
            Event::NotDirect { verdict, certainty, evidence, .. } => not_direct(verdict, certainty, &evidence),
            Event::Withdrawn { verdict, .. } => format!("direct after all: not {}", verdict.name()),
            Event::Closed { reason, .. } => format!("session ended ({})", close_code(&reason)),
            Event::Missed(count) => format!("{count} events missed"),
            _ => return None,
        })
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionHandle, (Moment, PeerId)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A verdict in one line, with what it rests on.
fn not_direct(verdict: Verdict, certainty: Certainty, evidence: &Evidence) -> String {
    let sure = match certainty {
        Certainty::Proved => "proved",
        Certainty::Consistent => "consistent",
        Certainty::Unknown => "no evidence",
    };
    let mut why = format!("mapping {} here, {} there", evidence.own_mapping.name(), evidence.other_mapping.name());
    if (evidence.own_allocation, evidence.other_allocation) != Default::default() {
        let (own, other) = (evidence.own_allocation.name(), evidence.other_allocation.name());
        why += &format!("; ports {own} here, {other} there");
    }
    for (holds, words) in [
        (!evidence.answered, "no answer"),
        (evidence.answered && evidence.candidates == 0, "no endpoint to try"),
        (evidence.same_address, "one public address"),
        (evidence.heard, "something arrived directly"),
        (evidence.udp_silent, "no UDP from the server"),
    ] {
        if holds {
            why += &format!("; {words}");
        }
    }
    format!("not direct: {} ({sure}): {why}", verdict.name())
}

pub(crate) const fn transport_name(transport: pinhole_peer::Transport) -> &'static str {
    match transport {
        pinhole_peer::Transport::Udp => "udp",
        pinhole_peer::Transport::Tcp => "tcp",
    }
}

/// A path in one line: the two public ends where they are known.
pub(crate) fn path_text(path: &PathInfo) -> String {
    match path.kind {
        PathKind::Relayed => "relayed".to_owned(),
        PathKind::Private => format!("private {} <-> {}", path.mapped.unwrap_or(path.local), path.remote),
        PathKind::Public => format!("direct {} <-> {}", path.mapped.unwrap_or(path.local), path.remote),
    }
}
