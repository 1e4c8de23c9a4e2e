//! Actions from JSON.
//!
//! An action is read as one object that may have the fields of any action; what it does not need must not be
//! there, and what it needs must. An enum that is told apart by a tag would be kept in memory as it came and read
//! from there: a second reader for everything that an action contains, and no line and column in what it says.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::{AddrParseError, Ipv4Addr};

use pinhole_proto::peer::StrategySet;
use pinhole_proto::{Address, Duration, Endpoint, Transport};
use serde::de::{self, Error as _};
use serde::{Deserialize, Deserializer};

use super::Action;
use crate::link::Line;
use crate::nat::Behaviour;
use crate::pick::Pick;
use crate::world::{Effect, Fault};
use crate::{CrossingSyn, millis, strategies};

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
    strategies: Option<Names>,
    taker: Option<CrossingSyn>,
    text: Option<String>,
    to: Option<String>,
    transport: Option<Transport>,
    ttl: Option<u8>,
    value: Option<String>,
    /// The first that the action needs and that is not there.
    #[serde(skip)]
    missing: Option<&'static str>,
    /// What is wrong with one that is there.
    #[serde(skip)]
    wrong: Option<String>,
}

/// Strategies by their names.
#[derive(Default, Deserialize)]
struct Names(#[serde(with = "strategies")] StrategySet);

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields::deserialize(deserializer)?;
        let kind = fields.kind.take().ok_or_else(|| D::Error::missing_field("do"))?;
        let action = fields.action(&kind).ok_or_else(|| D::Error::unknown_variant(&kind, KINDS))?;
        match (fields.missing, fields.wrong.take(), fields.left()) {
            (Some(name), ..) => Err(D::Error::missing_field(name)),
            (None, Some(why), _) => Err(D::Error::custom(why)),
            (None, None, Some(name)) => Err(D::Error::custom(format_args!("`{kind}` has no field `{name}`"))),
            (None, None, None) => Ok(action),
        }
    }
}

impl Fields {
    /// The action of a name, if there is one. What it needs and is not there is noted, and the action is of no use:
    /// to leave at each field by itself would be half of this code.
    fn action(&mut self, kind: &str) -> Option<Action> {
        Some(match kind {
            "wait" => Action::Wait { ms: self.need(|fields| &mut fields.ms, "ms") },
            "connect" => Action::Connect { host: self.host(), to: self.to(), transport: self.transport.take() },
            "send" => Action::Send { host: self.host(), to: self.to(), text: self.text() },
            "write" => Action::Write {
                host: self.host(),
                to: self.to(),
                octets: self.need(|fields| &mut fields.octets, "octets"),
            },
            "finish" => Action::Finish { host: self.host(), to: self.to() },
            "take" => Action::Take { host: self.host(), to: self.to() },
            "close" => Action::Close { host: self.host(), to: self.to() },
            "shutdown" => Action::Shutdown { host: self.host() },
            "stop" => Action::Stop { host: self.host() },
            "start" => Action::Start { host: self.host() },
            "move" => Action::Move {
                host: self.host(),
                realm: self.need(|fields| &mut fields.realm, "realm"),
                addresses: self.need(|fields| &mut fields.addresses, "addresses"),
            },
            "set-crossing" => {
                let taker = self.taker.take();
                self.note(taker.is_none(), "taker");
                Action::SetCrossing { host: self.host(), taker: taker.unwrap_or(CrossingSyn::Listener) }
            }
            "set-strategies" => Action::SetStrategies {
                host: self.host(),
                strategies: self.need(|fields| &mut fields.strategies, "strategies").0,
            },
            "set-nat" => {
                Action::SetNat { nat: self.nat(), behaviour: self.need(|fields| &mut fields.behaviour, "behaviour") }
            }
            "set-field" => Action::SetField {
                nat: self.nat(),
                field: self.need(|fields| &mut fields.field, "field"),
                value: self.need(|fields| &mut fields.value, "value"),
            },
            "reboot" => Action::Reboot { nat: self.nat() },
            "cut" => Action::Cut { machine: self.machine() },
            "restore" => Action::Restore { machine: self.machine() },
            "set-line" => {
                Action::SetLine { machine: self.machine(), line: self.need(|fields| &mut fields.line, "line") }
            }
            "fault" => {
                let effect = self.effect.take();
                self.note(effect.is_none(), "effect");
                Action::Fault(Fault {
                    pick: self.pick.take().unwrap_or_default(),
                    skip: self.skip.take().unwrap_or(0),
                    count: self.count.take().unwrap_or(1),
                    effect: effect.unwrap_or(Effect::Drop),
                })
            }
            "datagram" => Action::Datagram {
                host: self.host(),
                port: self.port(),
                to: self.endpoint(),
                ttl: self.ttl.take(),
                text: self.text(),
            },
            "dial" => Action::Dial { host: self.host(), port: self.port(), to: self.endpoint() },
            "say" => Action::Say { host: self.host(), port: self.port(), to: self.endpoint(), text: self.text() },
            "hang-up" => Action::HangUp { host: self.host(), port: self.port(), to: self.endpoint() },
            "compete" => Action::Compete {
                host: self.host(),
                to: self.endpoint(),
                count: self.need(|fields| &mut fields.count, "count"),
                every: self.every(),
            },
            _ => return None,
        })
    }

    fn host(&mut self) -> String {
        self.need(|fields| &mut fields.host, "host")
    }

    fn machine(&mut self) -> String {
        self.need(|fields| &mut fields.machine, "machine")
    }

    fn nat(&mut self) -> String {
        self.need(|fields| &mut fields.nat, "nat")
    }

    fn port(&mut self) -> u16 {
        self.need(|fields| &mut fields.port, "port")
    }

    fn text(&mut self) -> String {
        self.need(|fields| &mut fields.text, "text")
    }

    fn to(&mut self) -> String {
        self.need(|fields| &mut fields.to, "to")
    }

    fn endpoint(&mut self) -> Endpoint {
        let to = self.to();
        to.parse().unwrap_or_else(|error: AddrParseError| {
            self.wrong.get_or_insert_with(|| error.to_string());
            Endpoint::new(Address::V4(Ipv4Addr::UNSPECIFIED), 0)
        })
    }

    fn every(&mut self) -> Duration {
        let millis = self.need(|fields| &mut fields.every_ms, "every-ms");
        millis::span(millis).unwrap_or_else(|error: de::value::Error| {
            self.wrong.get_or_insert_with(|| error.to_string());
            Duration::ZERO
        })
    }

    fn need<T: Default>(&mut self, field: fn(&mut Self) -> &mut Option<T>, name: &'static str) -> T {
        let value = field(self).take();
        self.note(value.is_none(), name);
        value.unwrap_or_default()
    }

    fn note(&mut self, missing: bool, name: &'static str) {
        if missing {
            self.missing.get_or_insert(name);
        }
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
            ("strategies", self.strategies.is_some()),
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
    "set-strategies",
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
