//! The first line of a trace.

use pinhole_proto::Endpoint;
use serde::Serialize;

use crate::line::Octets;

/// What a trace says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which engine it is of.
    pub engine: Engine,
    /// The program that wrote it, and its version.
    pub program: String,
    /// The peer's id, or the server's key; none of an engine that has no key.
    pub id: Option<String>,
    /// The endpoints of servers that the engine was told.
    pub servers: Vec<Endpoint>,
    /// Which of several engines of one process it is.
    pub shard: Option<Shard>,
    /// The engine's seed, where the run is to be repeated. It makes the engine's secrets known to whoever reads
    /// the file.
    pub seed: Option<Octets<'a>>,
}

/// Whose inputs and outputs a trace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// `pinhole_proto::peer::Peer`.
    Peer,
    /// `pinhole_proto::server::Server`.
    Server,
    /// `pinhole_proto::netcheck::NetCheck`.
    Netcheck,
}

/// One engine of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// Which one, from 0.
    pub number: u8,
    /// How many there are.
    pub of: u8,
}

impl Engine {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("peer", Self::Peer), ("server", Self::Server), ("netcheck", Self::Netcheck)];
}

impl<'a> Header<'a> {
    /// The header of an engine without key, servers and seed.
    #[must_use]
    pub fn new(engine: Engine, program: impl Into<String>) -> Self {
        Self { engine, program: program.into(), id: None, servers: Vec::new(), shard: None, seed: None }
    }

    /// The line, with its end.
    ///
    /// # Panics
    /// Never: a header is plain data.
    #[must_use]
    pub fn to_line(&self) -> String {
        #[derive(Serialize)]
        struct Form<'a> {
            trace: &'static str,
            engine: Engine,
            program: &'a str,
            id: Option<&'a str>,
            servers: &'a [Endpoint],
            shard: Option<Shard>,
            seed: Option<&'a Octets<'a>>,
        }
        let form = Form {
            trace: VERSION,
            engine: self.engine,
            program: &self.program,
            id: self.id.as_deref(),
            servers: &self.servers,
            shard: self.shard,
            seed: self.seed.as_ref(),
        };
        serde_json::to_string(&form).expect("a header is plain data") + "\n"
    }
}

/// The version of the format.
pub const VERSION: &str = "pinhole/1";
