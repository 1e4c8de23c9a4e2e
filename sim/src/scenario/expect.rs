//! What must come of a scenario.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use pinhole_proto::Endpoint;
use serde::{Deserialize, Serialize};

use crate::pick::Pick;

/// A packet that the text numbers, on its whole way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mark {
    /// The number in the text.
    pub step: String,
    /// What it is.
    pub title: String,
    /// Which packet, in one of the networks that it crosses.
    pub pick: Pick,
    /// How many others that are picked come before it.
    #[serde(default)]
    pub skip: usize,
    /// Its endpoints in each network that it crosses, as `internet: 10.0.0.1:1 -> 10.0.0.2:2`; an asterisk is any
    /// number, for ports that the seed decides.
    pub hops: Vec<String>,
    /// What became of it in the end.
    pub fate: Fate,
}

/// What became of a packet. What is absent is not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fate {
    /// What.
    pub what: FateKind,
    /// At which machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// By which rule of a NAT or host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FateKind {
    /// It is under way.
    UnderWay,
    /// A socket took it.
    Delivered,
    /// A host has no socket for it.
    NoSocket,
    /// A NAT dropped it.
    Dropped,
    /// A NAT dropped and answered it.
    Answered,
    /// The line lost it.
    Lost,
    /// The line is cut.
    Cut,
    /// A fault removed it.
    Removed,
    /// Nobody has the address.
    NoRoute,
    /// Its time to live ended between machines.
    TtlExpired,
}

/// What must be at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Expect {
    /// The paths of sessions.
    pub paths: Vec<PathExpected>,
    /// The rows of NATs, oldest first, as `inside <=> outside {remotes in the order of their first packet}`;
    /// TCP rows begin with `tcp `, and an asterisk is any number.
    pub tables: BTreeMap<String, Vec<String>>,
    /// The verdicts of sessions that are not direct, the last one of each host.
    pub verdicts: Vec<VerdictExpected>,
    /// Datagrams that arrived at applications.
    pub heard: Vec<Heard>,
    /// What engines ignored.
    pub discards: Vec<DiscardExpected>,
}

/// The path that a peer selected last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PathExpected {
    /// The peer.
    pub host: String,
    /// Its kind.
    pub kind: Kind,
    /// Its endpoint here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Endpoint>,
    /// Its endpoint here as the other side sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<Endpoint>,
    /// Its endpoint there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Endpoint>,
}

/// The kind of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// There never was one.
    None,
    /// Through the server.
    Relayed,
    /// Between private endpoints.
    Private,
    /// Between public endpoints.
    Public,
}

/// Why a session is not direct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VerdictExpected {
    /// The peer.
    pub host: String,
    /// The name in `spec/registries/verdicts.csv`; none was given when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// A datagram that arrived, at a plain host or in a peer's session; or octets of a plain host's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Heard {
    /// Where.
    pub host: String,
    /// What it said.
    pub text: String,
    /// Where it came from, for a plain host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Endpoint>,
    /// How often.
    pub times: usize,
}

/// Something that an engine ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiscardExpected {
    /// Which host.
    pub host: String,
    /// The name in `spec/registries/discards.csv`.
    pub reason: String,
    /// How often.
    pub times: usize,
}
