//! `spec/reachability.json`, read.

use std::collections::BTreeMap;
use std::path::Path;

use pinhole_proto::Transport;
use serde::Deserialize;

use crate::{Allowed, Side};

/// What the specification says of every pair of sides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oracle {
    #[allow(dead_code, reason = "for people who open the file")]
    about: String,
    techniques: BTreeMap<String, Technique>,
    outcomes: BTreeMap<char, Vec<String>>,
    loads: Loads,
    transports: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(skip)]
    exceptions: BTreeMap<(Transport, String, String), Vec<String>>,
}

/// What an oracle says of a technique wherever it applies.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Technique {
    /// Whether peers use it unless their users say otherwise.
    pub default: bool,
    /// How probable it is that it makes a pair direct, on quiet NATs.
    pub probability: f64,
    /// A technique that comes before it, and rules it out where it does not make the pair direct.
    #[serde(default)]
    pub unless: Option<String>,
}

/// What competing clients do to the techniques that guess.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loads {
    /// Prediction, by how many ports are taken between the samples and the shots.
    pub predicted: Vec<Taken>,
    /// The same over TCP.
    #[serde(rename = "tcp-predicted")]
    pub tcp_predicted: Vec<Taken>,
    /// The birthday method, by how many of its sockets have a port.
    pub birthday: Vec<Sockets>,
}

/// How probable it is that an attempt with prediction meets, where others take ports at equal intervals.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// The window.
    pub width: u16,
    /// How many ports they take between the samples and the shots, on average.
    pub taken: f64,
    /// How probable it is.
    pub probability: f64,
}

/// How probable it is that a birthday attempt meets.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// How many sockets the NAT has a port for.
    pub sockets: u16,
    /// How probable it is.
    pub probability: f64,
}

/// Why an oracle is none.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// It cannot be read.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// It is not JSON of its form.
    #[error("not an oracle: {0}")]
    Form(#[from] serde_json::Error),
    /// Its sides are not the sides of this crate.
    #[error("{0:?} over {1:?} is missing, or has not one outcome for each other side")]
    Row(String, Transport),
    /// A row of the exceptions names no pair or lacks its sentence, or there are too many.
    #[error("reachability-exceptions.csv, row {0}: at most {MAX_EXCEPTIONS} of transport,a,b,techniques,sentence")]
    Exception(usize),
    /// An outcome names a technique that is not described.
    #[error("{0:?} is no technique of the oracle")]
    Technique(String),
    /// A row names an outcome that is not listed.
    #[error("{0:?} over {1:?} names an outcome that is not listed")]
    Outcome(String, Transport),
}

impl Oracle {
    /// Reads the oracle of a specification's directory.
    ///
    /// # Errors
    /// It cannot be read, or is not complete.
    pub fn load(spec: &Path) -> Result<Self, OracleError> {
        let read = |name| {
            let path = spec.join(name);
            std::fs::read_to_string(&path).map_err(|error| OracleError::File(path.display().to_string(), error))
        };
        Self::parse(&read("reachability.json")?)?.with_exceptions(&read("reachability-exceptions.csv")?)
    }

    /// The same with the pairs that an RFC excepts: rows of transport, sides, techniques with spaces between,
    /// and the RFC's sentence.
    ///
    /// # Errors
    /// A row that is none, or more than ten.
    pub fn with_exceptions(mut self, csv: &str) -> Result<Self, OracleError> {
        for (number, row) in csv.lines().enumerate().skip(1) {
            let fields: Vec<&str> = row.splitn(5, ',').collect();
            let [transport, a, b, techniques, sentence] = fields[..] else {
                return Err(OracleError::Exception(number));
            };
            let transport = match transport {
                "udp" => Transport::Udp,
                "tcp" => Transport::Tcp,
                _ => return Err(OracleError::Exception(number)),
            };
            let sides = Side::all(transport);
            let known = |name: &str| sides.iter().any(|side| side.name(transport) == name);
            if number > MAX_EXCEPTIONS || sentence.trim().is_empty() || !known(a) || !known(b) {
                return Err(OracleError::Exception(number));
            }
            let techniques = techniques.split_whitespace().map(str::to_owned).collect();
            self.exceptions.insert((transport, a.to_owned(), b.to_owned()), techniques);
        }
        Ok(self)
    }

    /// Reads an oracle.
    ///
    /// # Errors
    /// It is not complete.
    pub fn parse(text: &str) -> Result<Self, OracleError> {
        let oracle: Self = serde_json::from_str(text)?;
        let strange = |name: &&String| !oracle.techniques.contains_key(*name);
        if let Some(name) = oracle.outcomes.values().flatten().find(strange) {
            return Err(OracleError::Technique(name.clone()));
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            let sides = Side::all(transport);
            for side in &sides {
                let name = side.name(transport);
                let row = oracle.rows(transport).and_then(|rows| rows.get(&name));
                match row {
                    Some(row) if row.chars().count() == sides.len() => {
                        if row.chars().any(|letter| !oracle.outcomes.contains_key(&letter)) {
                            return Err(OracleError::Outcome(name, transport));
                        }
                    }
                    _ => return Err(OracleError::Row(name, transport)),
                }
            }
        }
        Ok(oracle)
    }

    /// The techniques of which each by itself makes a pair direct, in the order in which they are tried; A is the one that asks for the session. `b` counts the sides
    /// of [`Side::all`].
    #[must_use]
    pub fn techniques(&self, transport: Transport, a: Side, b: usize) -> &[String] {
        if !self.exceptions.is_empty()
            && let Some(b) = Side::all(transport).get(b)
            && let Some(techniques) = self.exceptions.get(&(transport, a.name(transport), b.name(transport)))
        {
            return techniques;
        }
        let row = self.rows(transport).and_then(|rows| rows.get(&a.name(transport)));
        let letter = row.and_then(|row| row.chars().nth(b));
        letter.and_then(|letter| self.outcomes.get(&letter)).map_or(&[], Vec::as_slice)
    }

    /// What comes of a pair whose peers take part in some strategies: the technique that makes it direct, which is
    /// the first one that they try of those that can, and how probable it is; none where it is relayed.
    #[must_use]
    pub fn outcome(&self, transport: Transport, a: Side, b: usize, allowed: Allowed) -> Option<(&str, f64)> {
        let mut techniques = self.techniques(transport, a, b).iter().filter(|name| allowed.has(name));
        techniques.find_map(|name| {
            let technique = self.techniques.get(name)?;
            let ruled_out = technique.unless.as_deref().is_some_and(|other| allowed.has(other));
            (!ruled_out).then_some((name.as_str(), technique.probability))
        })
    }

    /// What it says of competing clients.
    #[must_use]
    pub const fn loads(&self) -> &Loads {
        &self.loads
    }

    /// What it says of a technique.
    #[must_use]
    pub fn technique(&self, name: &str) -> Option<&Technique> {
        self.techniques.get(name)
    }

    /// The same oracle with another outcome for one pair, one that its transport knows: a wrong one, to see that
    /// it is noticed.
    #[must_use]
    pub fn mutated(mut self, transport: Transport, a: Side, b: usize) -> Self {
        let Some(rows) = self.transports.get_mut(name(transport)) else { return self };
        let letters: Vec<char> =
            self.outcomes.keys().copied().filter(|letter| rows.values().any(|row| row.contains(*letter))).collect();
        if let Some(row) = rows.get_mut(&a.name(transport)) {
            let next = |letter| {
                let at = letters.iter().position(|known| *known == letter).map_or(0, |at| at + 1);
                letters[at % letters.len()]
            };
            *row = row.chars().enumerate().map(|(at, letter)| if at == b { next(letter) } else { letter }).collect();
        }
        self
    }

    fn rows(&self, transport: Transport) -> Option<&BTreeMap<String, String>> {
        self.transports.get(name(transport))
    }
}

/// More exceptions than this are a mistake in the oracle.
const MAX_EXCEPTIONS: usize = 10;

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}
