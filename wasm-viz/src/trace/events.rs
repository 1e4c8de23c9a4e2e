//! What an engine told in a trace: as sentences, and as what is known after each of them.

use pinhole_proto::Endpoint;
use pinhole_proto::sorted::SortedMap;
use pinhole_trace::{Engine, Out, Trace, What};
use serde_json::{Map, Value};

use crate::text::Text;

/// The events that have a sentence of their own, with what goes into it.
pub const EVENTS: [(&str, &[&str]); 18] = [
    ("peer.online", &["transport", "private", "public"]),
    ("peer.offline", &["transport", "reason"]),
    ("peer.introduced", &["session", "peer", "transport"]),
    ("peer.established", &["session", "peer"]),
    ("peer.path", &["session", "state", "path"]),
    ("peer.selected", &["session", "path"]),
    ("peer.path-lost", &["session", "path"]),
    ("peer.datagram", &["session", "octets"]),
    ("peer.stream", &["session", "octets"]),
    ("peer.attempt", &["session", "number", "strategy"]),
    ("peer.not-direct", &["session", "verdict"]),
    ("peer.withdrawn", &["session", "verdict"]),
    ("peer.closed", &["session", "reason"]),
    ("server.listening", &["transport", "local"]),
    ("server.registered", &["peer", "transport", "public"]),
    ("server.introduced", &["initiator", "responder", "transport"]),
    ("server.relay-opened", &["a", "b"]),
    ("server.relay-closed", &["a", "b", "octets"]),
];

/// The keys of the sentences for events.
pub fn event_keys() -> impl Iterator<Item = String> {
    let own = EVENTS.iter().map(|(name, _)| format!("trace.event.{name}"));
    own.chain([OTHER.to_owned(), "trace.event.stopped".to_owned()])
}

/// What events tell, for the panels.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    /// What is known from a line on, by what it is about; none where it does not hold any more.
    facts: Vec<(usize, String, Option<Text>)>,
    /// Lines that are worth a stop.
    marks: Vec<usize>,
    /// Peers' endpoints.
    peers: SortedMap<Endpoint, String>,
    /// The last path that was selected: whether it is relayed, and the path.
    pub(super) selected: Option<(bool, Text)>,
}

impl Events {
    pub(super) fn of(trace: &Trace) -> Self {
        let mut events = Self::default();
        let mut sessions: SortedMap<u64, String> = SortedMap::new();
        for (line, what) in trace.lines.iter().map(|line| &line.what).enumerate() {
            if let What::Out(Out::Event(event)) = what {
                events.take(trace.header.engine, line, event, &mut sessions);
            }
        }
        events
    }

    /// The lines that are worth a stop.
    pub(super) fn marks(&self) -> &[usize] {
        &self.marks
    }

    /// The endpoints of which the engine said that they are a peer's, and its id.
    pub(super) fn peers(&self) -> impl Iterator<Item = (Endpoint, &str)> {
        self.peers.iter().map(|(endpoint, id)| (*endpoint, id.as_str()))
    }

    /// What is known after a line, and the line that told it.
    pub(super) fn known_at(&self, line: usize) -> Vec<(usize, &Text)> {
        let mut known: SortedMap<&str, (usize, &Text)> = SortedMap::new();
        for (at, about, text) in self.facts.iter().take_while(|(at, ..)| *at <= line) {
            match text {
                Some(text) => known.insert(about, (*at, text)),
                None => known.remove(&about.as_str()),
            };
        }
        known.values().copied().collect()
    }

    fn take(&mut self, engine: Engine, line: usize, event: &str, sessions: &mut SortedMap<u64, String>) {
        let (name, fields) = parts(event);
        let text = || sentence(engine, event);
        let get = |field: &str| fields.get(field);
        let session = get("session").and_then(Value::as_u64);
        let about = |what: &str| format!("session {:010} {what}", session.unwrap_or(0));
        if let (Some(session), Some(Value::String(peer))) = (session, get("peer")) {
            sessions.insert(session, peer.clone());
        }
        let fact: Option<(String, Option<Text>)> = match (engine, name.as_str()) {
            (Engine::Peer, "online") => Some((format!("online {}", plain(get("transport"))), Some(text()))),
            (Engine::Peer, "offline") => Some((format!("online {}", plain(get("transport"))), None)),
            (Engine::Peer, "introduced") => Some((about("1"), Some(text()))),
            (Engine::Peer, "established") => Some((about("2"), Some(text()))),
            (Engine::Peer, "attempt") => Some((about("3"), Some(text()))),
            (Engine::Peer, "selected") => Some((about("4"), Some(text()))),
            (Engine::Peer, "not-direct") => Some((about("5"), Some(text()))),
            (Engine::Peer, "withdrawn") => Some((about("5"), None)),
            (Engine::Peer, "closed") => Some((about("6"), Some(text()))),
            (Engine::Server, "registered") => {
                let key = format!("peer {} {}", plain(get("peer")), plain(get("transport")));
                Some((key, Some(text())))
            }
            _ => None,
        };
        if let Some((about, text)) = fact {
            self.facts.push((line, about, text));
            if self.marks.len() < MAX_MARKS {
                self.marks.push(line);
            }
        }
        match (engine, name.as_str()) {
            (Engine::Peer, "path" | "selected") => {
                let path = get("path").and_then(Value::as_object);
                let relayed = path.and_then(|path| path.get("kind")).and_then(Value::as_str) == Some("relayed");
                let remote = path.and_then(|path| path.get("remote")).and_then(endpoint);
                if let (false, Some(remote), Some(id)) = (relayed, remote, session.and_then(|s| sessions.get(&s))) {
                    self.peers.insert(remote, id.clone());
                }
                if let ("selected", Some(path)) = (name.as_str(), path) {
                    self.selected = Some((relayed, path_text(path)));
                }
            }
            (Engine::Server, "registered") => {
                if let (Some(Value::String(peer)), Some(public)) = (get("peer"), get("public").and_then(endpoint)) {
                    self.peers.insert(public, peer.clone());
                }
            }
            _ => {}
        }
    }
}

/// An event as a sentence.
pub(super) fn sentence(engine: Engine, event: &str) -> Text {
    let (name, fields) = parts(event);
    if name == "stopped" {
        return Text::of("trace.event.stopped");
    }
    let engine = match engine {
        Engine::Peer => "peer",
        Engine::Server => "server",
        Engine::Netcheck => "netcheck",
    };
    let wanted = format!("{engine}.{name}");
    let Some((_, operands)) = EVENTS.iter().find(|(known, _)| *known == wanted) else {
        let said = if fields.is_empty() { name } else { format!("{name}, {}", plain(Some(&Value::Object(fields)))) };
        return Text::of(OTHER).with("event", said);
    };
    operands.iter().fold(Text::of(format!("trace.event.{wanted}")), |text, operand| {
        let value = fields.get(*operand);
        match (*operand, value) {
            ("path", Some(Value::Object(path))) => text.with_text("path", path_text(path)),
            ("verdict", Some(Value::String(verdict))) => {
                text.with_text("verdict", Text::of(format!("verdict.{verdict}")))
            }
            ("state", Some(Value::String(state))) => text.with_text("state", Text::of(format!("path-state.{state}"))),
            ("transport", Some(Value::String(name))) => text.with("transport", name.to_ascii_uppercase()),
            ("octets", Some(Value::String(hex))) => text.with("octets", hex.len() / 2),
            ("peer" | "initiator" | "responder" | "a" | "b", Some(Value::String(id))) => text.with(operand, short(id)),
            _ => text.with(operand, plain(value)),
        }
    })
}

/// The name of an event and its fields; a single value is called `value`.
fn parts(event: &str) -> (String, Map<String, Value>) {
    match serde_json::from_slice(event.as_bytes()) {
        Ok(Value::String(name)) => (name, Map::new()),
        Ok(Value::Object(map)) => match map.into_iter().next() {
            Some((name, Value::Object(fields))) => (name, fields),
            Some((name, value)) => (name, Map::from_iter([("value".to_owned(), value)])),
            None => ("?".to_owned(), Map::new()),
        },
        _ => ("?".to_owned(), Map::new()),
    }
}

fn path_text(path: &Map<String, Value>) -> Text {
    let remote = plain(path.get("remote"));
    match path.get("kind").and_then(Value::as_str) {
        Some("relayed") => Text::of("path.relayed"),
        Some("private") => Text::of("path.private").with("remote", remote),
        _ => {
            let local = path.get("mapped").filter(|mapped| !mapped.is_null()).or_else(|| path.get("local"));
            Text::of("path.public").with("local", plain(local)).with("remote", remote)
        }
    }
}

/// A value as it is said: text without its marks, a reason by its name.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(map)) => {
            let parts: Vec<_> = map.iter().map(|(name, value)| format!("{name}: {}", plain(Some(value)))).collect();
            parts.join(", ")
        }
        Some(other) => other.to_string(),
    }
}

fn endpoint(value: &Value) -> Option<Endpoint> {
    value.as_str()?.parse().ok()
}

/// The beginning of a peer's id.
pub(super) fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// The sentence for any other event.
const OTHER: &str = "trace.event.other";
/// The most lines that are worth a stop.
const MAX_MARKS: usize = 200;
