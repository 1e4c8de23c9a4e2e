//! Standard output: the URL, and with `--json` every event as one object a line.

use std::io::{self, Write as _};

use pinhole_proto::server::ServerEvent;
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

    pub(crate) fn event(&mut self, event: &ServerEvent<'_>) {
        if self.json
            && let Some(line) = object(event)
        {
            self.line(&line);
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

/// `{"event":name,fields...}` out of serde's `{name:{fields...}}` or `name`.
fn object(event: &impl Serialize) -> Option<String> {
    match serde_json::to_value(event).ok()? {
        Value::String(name) => Some(named(&name, [])),
        Value::Object(outer) => match outer.into_iter().next()? {
            (name, Value::Object(fields)) => Some(named(&name, fields)),
            _ => None,
        },
        _ => None,
    }
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
            object(&listening).unwrap(),
            r#"{"event":"listening","local":"0.0.0.0:7","socket":3,"transport":"udp"}"#
        );
        assert_eq!(object(&ServerEvent::Stopped).unwrap(), r#"{"event":"stopped"}"#);
    }
}
