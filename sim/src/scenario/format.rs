//! The file format.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use pinhole_proto::peer::StrategySet;
use pinhole_proto::{Address, Duration, Endpoint, Interface, Transport};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ScenarioError;
use super::expect::{Expect, Mark};
use crate::action::Action;
use crate::link::Line;
use crate::nat::Behaviour;
use crate::plain::PlainConfig;
use crate::{CrossingSyn, millis, strategies};

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: String,
    /// What it shows, in one line.
    pub title: String,
    /// The text that it is from, with the section.
    pub source: String,
    /// The NATs, outer ones before those behind them.
    #[serde(default)]
    pub nats: Vec<NatSpec>,
    /// The hosts.
    pub hosts: Vec<HostSpec>,
    /// What is done, in order.
    pub actions: Vec<Action>,
    /// The packets that the text numbers.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// What must come of it.
    pub expect: Expect,
}

/// A NAT with the network behind it, which is called as the NAT and ` LAN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NatSpec {
    /// Its name.
    pub name: String,
    /// The network that it is attached to.
    #[serde(default = "internet")]
    pub outside: String,
    /// Its address there.
    pub address: Address,
    /// The network behind it.
    pub network: Network,
    /// How it behaves.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// Its line to the outer network.
    #[serde(default)]
    pub line: Line,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostSpec {
    /// Its name.
    pub name: String,
    /// The network that it is in.
    #[serde(default = "internet")]
    pub realm: String,
    /// Its addresses there.
    pub addresses: Vec<Address>,
    /// Its line.
    #[serde(default)]
    pub line: Line,
    /// Who takes a SYN that matches a dial and a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<CrossingSyn>,
    /// What runs on it; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Runs>,
}

/// What runs on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Runs {
    /// A rendezvous server.
    Server(ServerSpec),
    /// A peer.
    Peer(PeerSpec),
    /// A host without Pinhole.
    Plain(PlainConfig),
}

/// A rendezvous server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServerSpec {
    /// Its main port.
    pub port: u16,
    /// Its alternate port.
    pub alternate_port: u16,
    /// The endpoints that it names for measuring NATs; without any, peers do not measure.
    pub alternates: Vec<Endpoint>,
    /// Whether it relays.
    pub relay: bool,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PeerSpec {
    /// The server's endpoint.
    pub server: Endpoint,
    /// The transports that it uses.
    pub transports: Vec<Transport>,
    /// Its local port.
    #[serde(default = "draft_port")]
    pub port: u16,
    /// Whether its sessions use the relay.
    #[serde(default)]
    pub relay: RelaySpec,
    /// Whether it probes private endpoints without evidence of a shared network.
    #[serde(default)]
    pub probe_private: bool,
    /// The interval of refreshes.
    #[serde(default = "refresh", rename = "refresh-ms", with = "millis")]
    pub refresh: Duration,
    /// Whether that of keepalives adapts to the NAT.
    #[serde(default)]
    pub adapt_keepalive: bool,
    /// The interval of keepalives.
    #[serde(default = "keepalive", rename = "keepalive-ms", with = "millis")]
    pub keepalive: Duration,
    /// The strategies that its attempts may have, by their names in `spec/registries/strategies.csv`; every one
    /// when absent. Those that a peer would not choose by itself are shown by leaving it no other.
    #[serde(default = "strategies::all", with = "strategies")]
    pub strategies: StrategySet,
    /// Whether it takes part in the birthday method, too.
    #[serde(default)]
    pub birthday: bool,
}

/// Whether sessions use the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelaySpec {
    /// Until there is a direct path.
    #[default]
    Allow,
    /// Always.
    Only,
    /// Never.
    Never,
}

/// A network: an address in it and the length of its prefix, as `10.0.0.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(pub Interface);

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError::Format`]: not JSON, an unknown field, a missing one, a value of the wrong kind.
    pub fn from_json(text: &str) -> Result<Self, ScenarioError> {
        Ok(serde_json::from_str(text)?)
    }
}

impl Default for ServerSpec {
    fn default() -> Self {
        Self { port: draft_port(), alternate_port: 1235, alternates: Vec::new(), relay: true }
    }
}

/// A text is no `address/prefix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkError;

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address, a slash and a prefix length")
    }
}

impl core::error::Error for NetworkError {}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').ok_or(NetworkError)?;
        let address: Address = address.parse().map_err(|_| NetworkError)?;
        let prefix: u8 = prefix.parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if prefix > most { Err(NetworkError) } else { Ok(Self(Interface { address, prefix })) }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.0.address, self.0.prefix))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn internet() -> String {
    "internet".to_string()
}

const fn draft_port() -> u16 {
    1234
}

const fn refresh() -> Duration {
    Duration::from_secs(25)
}

const fn keepalive() -> Duration {
    Duration::from_secs(15)
}
