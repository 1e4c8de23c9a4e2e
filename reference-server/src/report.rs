//! Standard output: the URL, and with `--json` every event as one object a line.

use std::io::{self, Write as _};

use pinhole_proto::server::{RateTables, ServerEvent, ServerSnapshot};
use pinhole_proto::url::ServerUrl;
use serde::Serialize;
use serde_json::{Map, Value};

/// Writes to standard output until nobody reads it any more; the server goes on without.
pub(crate) struct Report {
    json: bool,
    gone: bool,
}

impl Report {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json, gone: false }
    }

    pub(crate) fn url(&mut self, url: &ServerUrl) {
        if self.json {
            self.line(&named("url", [("url".to_owned(), url.to_string().into())]));
        } else {
            self.line(url);
        }
    }

    pub(crate) fn event(&mut self, shard: u8, event: &ServerEvent<'_>) {
        if self.json
            && let Some(line) = object(shard, event)
        {
            self.line(&line);
        }
    }

    pub(crate) fn tables(&mut self, shard: u8, tables: &Tables) {
        if self.json {
            if let Some(line) = object(shard, &Said::Tables(tables)) {
                self.line(&line);
            }
        } else {
            tracing::info!(shard, ?tables, "tables");
        }
    }

    /// The last line: every engine has ended.
    pub(crate) fn stopped(&mut self) {
        if self.json {
            self.line(&named("stopped", []));
        }
    }

    fn line(&mut self, line: &impl std::fmt::Display) {
        if self.gone {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
            tracing::warn!(%error, "nobody reads standard output");
            self.gone = true;
        }
    }
}

/// How full an engine's tables are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Tables {
    registrations: usize,
    pending: usize,
    channels: usize,
    streams: usize,
    rates: RateTables,
    asked: usize,
    told: usize,
}

impl Tables {
    pub(crate) fn of(snapshot: &ServerSnapshot) -> Self {
        Self {
            registrations: snapshot.registrations.len(),
            pending: snapshot.pending.len(),
            channels: snapshot.channels.len(),
            streams: snapshot.streams.len(),
            rates: snapshot.rates,
            asked: snapshot.asked,
            told: snapshot.told,
        }
    }
}

/// What this program says beside the engine's events.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Said<'a> {
    Tables(&'a Tables),
}

/// `{"event":name,fields...}` with the engine's number, out of serde's `{name:{fields...}}`.
fn object(shard: u8, event: &impl Serialize) -> Option<String> {
    let Value::Object(outer) = serde_json::to_value(event).ok()? else {
        return None;
    };
    let (name, Value::Object(mut fields)) = outer.into_iter().next()? else {
        return None;
    };
    fields.insert("shard".to_owned(), shard.into());
    Some(named(&name, fields))
}

/// An object whose first field is the event's name.
fn named(name: &str, fields: impl IntoIterator<Item = (String, Value)>) -> String {
    let head = Value::from(name);
    let fields = Value::Object(fields.into_iter().collect::<Map<_, _>>()).to_string();
    match fields.as_str() {
        "{}" => format!("{{\"event\":{head}}}"),
        fields => format!("{{\"event\":{head},{}", &fields[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinhole_proto::{SocketId, Transport};

    #[test]
    fn an_event_is_one_flat_object_with_its_name_first() {
        let listening = ServerEvent::Listening {
            transport: Transport::Udp,
            socket: SocketId(3),
            local: "0.0.0.0:7".parse().unwrap(),
        };
        assert_eq!(
            object(2, &listening).unwrap(),
            r#"{"event":"listening","local":"0.0.0.0:7","shard":2,"socket":3,"transport":"udp"}"#
        );
        assert_eq!(named("stopped", []), r#"{"event":"stopped"}"#);
    }
}
