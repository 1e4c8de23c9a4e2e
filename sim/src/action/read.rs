//! Actions from JSON.
//!
//! An action is read as one object that may have the fields of any action; what it does not need must not be
//! there, and what it needs must. An enum that is told apart by a tag would be kept in memory as it came and read
//! from there: a second reader for everything that an action contains, and no line and column in what it says.

use alloc::string::String;
use alloc::vec::Vec;

use pinhole_proto::{Address, Endpoint, Transport};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Action;
use crate::link::Line;
use crate::nat::Behaviour;
use crate::pick::Pick;
use crate::world::{Effect, Fault};
use crate::{CrossingSyn, millis};

/// The fields of all actions.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Fields {
    #[serde(rename = "do")]
    kind: Option<String>,
    addresses: Option<Vec<Address>>,
    behaviour: Option<Behaviour>,
    count: Option<u32>,
    effect: Option<Effect>,
    every_ms: Option<u64>,
    field: Option<String>,
    host: Option<String>,
    line: Option<Line>,
    machine: Option<String>,
    ms: Option<u64>,
    nat: Option<String>,
    octets: Option<u32>,
    pick: Option<Pick>,
    port: Option<u16>,
    realm: Option<String>,
    skip: Option<u32>,
    taker: Option<CrossingSyn>,
    text: Option<String>,
    to: Option<String>,
    transport: Option<Transport>,
    ttl: Option<u8>,
    value: Option<String>,
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields::deserialize(deserializer)?;
        let kind = need(&mut fields.kind, "do")?;
        let action = fields.action(&kind)?;
        match fields.left() {
            Some(name) => Err(D::Error::custom(format_args!("`{kind}` has no field `{name}`"))),
            None => Ok(action),
        }
    }
}

impl Fields {
    fn action<E: Error>(&mut self, kind: &str) -> Result<Action, E> {
        Ok(match kind {
            "wait" => Action::Wait { ms: need(&mut self.ms, "ms")? },
            "connect" => Action::Connect { host: self.host()?, to: self.to()?, transport: self.transport.take() },
            "send" => Action::Send { host: self.host()?, to: self.to()?, text: need(&mut self.text, "text")? },
            "write" => Action::Write { host: self.host()?, to: self.to()?, octets: need(&mut self.octets, "octets")? },
            "finish" => Action::Finish { host: self.host()?, to: self.to()? },
            "take" => Action::Take { host: self.host()?, to: self.to()? },
            "close" => Action::Close { host: self.host()?, to: self.to()? },
            "shutdown" => Action::Shutdown { host: self.host()? },
            "stop" => Action::Stop { host: self.host()? },
            "start" => Action::Start { host: self.host()? },
            "move" => Action::Move {
                host: self.host()?,
                realm: need(&mut self.realm, "realm")?,
                addresses: need(&mut self.addresses, "addresses")?,
            },
            "set-crossing" => Action::SetCrossing { host: self.host()?, taker: need(&mut self.taker, "taker")? },
            "set-nat" => Action::SetNat { nat: self.nat()?, behaviour: need(&mut self.behaviour, "behaviour")? },
            "set-field" => Action::SetField {
                nat: self.nat()?,
                field: need(&mut self.field, "field")?,
                value: need(&mut self.value, "value")?,
            },
            "reboot" => Action::Reboot { nat: self.nat()? },
            "cut" => Action::Cut { machine: self.machine()? },
            "restore" => Action::Restore { machine: self.machine()? },
            "set-line" => Action::SetLine { machine: self.machine()?, line: need(&mut self.line, "line")? },
            "fault" => Action::Fault(Fault {
                pick: self.pick.take().unwrap_or_default(),
                skip: self.skip.take().unwrap_or(0),
                count: self.count.take().unwrap_or(1),
                effect: need(&mut self.effect, "effect")?,
            }),
            "datagram" => Action::Datagram {
                host: self.host()?,
                port: self.port()?,
                to: self.endpoint()?,
                ttl: self.ttl.take(),
                text: need(&mut self.text, "text")?,
            },
            "dial" => Action::Dial { host: self.host()?, port: self.port()?, to: self.endpoint()? },
            "say" => Action::Say {
                host: self.host()?,
                port: self.port()?,
                to: self.endpoint()?,
                text: need(&mut self.text, "text")?,
            },
            "hang-up" => Action::HangUp { host: self.host()?, port: self.port()?, to: self.endpoint()? },
            "compete" => Action::Compete {
                host: self.host()?,
                to: self.endpoint()?,
                count: need(&mut self.count, "count")?,
                every: millis::span(need(&mut self.every_ms, "every-ms")?)?,
            },
            _ => return Err(E::unknown_variant(kind, KINDS)),
        })
    }

    fn host<E: Error>(&mut self) -> Result<String, E> {
        need(&mut self.host, "host")
    }

    fn machine<E: Error>(&mut self) -> Result<String, E> {
        need(&mut self.machine, "machine")
    }

    fn nat<E: Error>(&mut self) -> Result<String, E> {
        need(&mut self.nat, "nat")
    }

    fn port<E: Error>(&mut self) -> Result<u16, E> {
        need(&mut self.port, "port")
    }

    fn to<E: Error>(&mut self) -> Result<String, E> {
        need(&mut self.to, "to")
    }

    fn endpoint<E: Error>(&mut self) -> Result<Endpoint, E> {
        self.to::<E>()?.parse().map_err(E::custom)
    }

    /// A field that is there and that the action did not take.
    fn left(&self) -> Option<&'static str> {
        let fields = [
            ("addresses", self.addresses.is_some()),
            ("behaviour", self.behaviour.is_some()),
            ("count", self.count.is_some()),
            ("effect", self.effect.is_some()),
            ("every-ms", self.every_ms.is_some()),
            ("field", self.field.is_some()),
            ("host", self.host.is_some()),
            ("line", self.line.is_some()),
            ("machine", self.machine.is_some()),
            ("ms", self.ms.is_some()),
            ("nat", self.nat.is_some()),
            ("octets", self.octets.is_some()),
            ("pick", self.pick.is_some()),
            ("port", self.port.is_some()),
            ("realm", self.realm.is_some()),
            ("skip", self.skip.is_some()),
            ("taker", self.taker.is_some()),
            ("text", self.text.is_some()),
            ("to", self.to.is_some()),
            ("transport", self.transport.is_some()),
            ("ttl", self.ttl.is_some()),
            ("value", self.value.is_some()),
        ];
        fields.iter().find(|(_, there)| *there).map(|(name, _)| *name)
    }
}

fn need<T, E: Error>(field: &mut Option<T>, name: &'static str) -> Result<T, E> {
    field.take().ok_or_else(|| E::missing_field(name))
}

/// What an action may be called.
const KINDS: &[&str] = &[
    "wait",
    "connect",
    "send",
    "write",
    "finish",
    "take",
    "close",
    "shutdown",
    "stop",
    "start",
    "move",
    "set-crossing",
    "set-nat",
    "set-field",
    "reboot",
    "cut",
    "restore",
    "set-line",
    "fault",
    "datagram",
    "dial",
    "say",
    "hang-up",
    "compete",
];
