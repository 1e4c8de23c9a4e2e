//! What came of a run, beside what was expected.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use pinhole_proto::Endpoint;
use pinhole_proto::peer::{PathKind, Peer, PeerEvent};
use serde::Serialize;

use super::Run;
use super::expect::{Expect, Fate, FateKind, Kind, Mark, PathExpected};
use crate::nat::{Decision, Row};
use crate::plain::PlainSaid;
use crate::trace::{Record, What};
use crate::world::{HostId, JourneyId, Place};
use crate::worlds::PeerSaid;

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mismatch {
    /// What was looked at.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// A peer's path at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PathFound {
    /// The path.
    #[serde(flatten)]
    pub path: PathExpected,
    /// Why it is not direct.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// A packet that the text numbers, found in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// Its number in the text.
    pub step: String,
    /// What it is.
    pub title: String,
    /// Its name in the trace.
    pub journey: JourneyId,
    /// Its endpoints in each network that it crossed.
    pub hops: Vec<String>,
    /// What became of it.
    pub fate: Fate,
}

impl Run {
    /// What is not as the scenario expects. Needs a trace that was kept from the beginning.
    #[must_use]
    pub fn check(&self) -> Vec<Mismatch> {
        self.check_against(&self.scenario.marks, &self.scenario.expect)
    }

    /// What is not as somebody expects.
    #[must_use]
    pub fn check_against(&self, marks: &[Mark], expect: &Expect) -> Vec<Mismatch> {
        let mut out = Vec::new();
        let mut differ = |what: String, expected: String, found: String| {
            if !is_like(&expected, &found) {
                out.push(Mismatch { what, expected, found });
            }
        };
        for mark in marks {
            let (hops, fate) = self.find(mark).map_or_else(Default::default, |found| (found.hops, Some(found.fate)));
            let what = |part| format!("step {}, {part}", mark.step);
            differ(what("hops"), mark.hops.join("; "), hops.join("; "));
            let fate = fate.map(|found| Fate {
                at: found.at.filter(|_| mark.fate.at.is_some()),
                rule: found.rule.filter(|_| mark.fate.rule.is_some()),
                ..found
            });
            differ(what("fate"), say(&mark.fate), fate.as_ref().map_or_else(absent, say));
        }
        for path in &expect.paths {
            let found = self.world.host_named(&path.host).map(|host| self.path(host, path));
            differ(format!("path of {}", path.host), say(path), found.as_ref().map_or_else(absent, say));
        }
        for (name, rows) in &expect.tables {
            let found = self.table(name).map_or_else(absent, |rows| rows.join("; "));
            differ(format!("table of {name}"), rows.join("; "), found);
        }
        for verdict in &expect.verdicts {
            let found = self.world.host_named(&verdict.host).map(|host| self.verdict(host));
            let wanted = verdict.verdict.clone().unwrap_or_else(absent);
            differ(format!("verdict of {}", verdict.host), wanted, found.flatten().unwrap_or_else(absent));
        }
        for heard in &expect.heard {
            let times = self.world.host_named(&heard.host).map(|host| self.heard(host, heard));
            let what = format!("`{}` at {}", heard.text, heard.host);
            differ(what, heard.times.to_string(), times.map_or_else(absent, |times| times.to_string()));
        }
        for discard in &expect.discards {
            let times = self.world.host_named(&discard.host).map(|host| self.discards(host, &discard.reason));
            let what = format!("{} at {}", discard.reason, discard.host);
            differ(what, discard.times.to_string(), times.map_or_else(absent, |times| times.to_string()));
        }
        out
    }

    /// The packets that the text numbers, as far as they were found.
    #[must_use]
    pub fn marks(&self) -> Vec<Found> {
        self.scenario.marks.iter().filter_map(|mark| self.find(mark)).collect()
    }

    /// The rows of a NAT, as scenarios write them.
    #[must_use]
    pub fn table(&self, nat: &str) -> Option<Vec<String>> {
        Some(self.world.nat(self.world.nat_named(nat)?).rows().map(row).collect())
    }

    /// The path that each peer selected last, with its verdict if it is not direct.
    #[must_use]
    pub fn paths(&self) -> Vec<PathFound> {
        let all: Endpoint = Endpoint::new(core::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        let peers = self.cast.peers().map(|(host, _)| {
            let name = self.world.trace().name(Place::Host(host)).to_string();
            let like =
                PathExpected { host: name, kind: Kind::None, local: Some(all), mapped: Some(all), remote: Some(all) };
            let path = self.path(host, &like);
            let direct = matches!(path.kind, Kind::Private | Kind::Public);
            PathFound { path, verdict: self.verdict(host).filter(|_| !direct) }
        });
        peers.collect()
    }

    /// The path that a peer selected last, with as much of it as `like` names.
    fn path(&self, host: HostId, like: &PathExpected) -> PathExpected {
        let log = self.peer_log(host);
        let path = log.iter().rev().find_map(|(_, said)| said.selected());
        let kind = path.map_or(Kind::None, |path| match path.kind {
            PathKind::Relayed => Kind::Relayed,
            PathKind::Private => Kind::Private,
            PathKind::Public => Kind::Public,
        });
        // What the other side sees is told with a later event about the same path.
        let mapped = path.and_then(|path| {
            path.mapped.or_else(|| log.iter().rev().find_map(|(_, said)| said.mapped(path.local, path.remote)))
        });
        // The ends of a relayed path are of no interest.
        let known = |endpoint: &Endpoint| !endpoint.address().is_unspecified();
        PathExpected {
            host: like.host.clone(),
            kind,
            local: like.local.and(path).map(|path| path.local).filter(known),
            mapped: like.mapped.and(mapped).filter(known),
            remote: like.remote.and(path).map(|path| path.remote).filter(known),
        }
    }

    fn verdict(&self, host: HostId) -> Option<String> {
        self.peer_log(host).iter().rev().find_map(|(_, said)| match said.event {
            PeerEvent::NotDirect { verdict, .. } => Some(verdict.name().to_string()),
            _ => None,
        })
    }

    fn heard(&self, host: HostId, like: &super::expect::Heard) -> usize {
        if self.world.engine_if::<Peer>(host).is_some() {
            let is = |said: &PeerSaid| {
                matches!(said.event, PeerEvent::Datagram { .. }) && said.octets == like.text.as_bytes()
            };
            return self.peer_log(host).iter().filter(|(_, said)| is(said)).count();
        }
        let log: &[(_, PlainSaid)] =
            if self.world.engine_if::<crate::plain::Plain>(host).is_some() { self.world.log(host) } else { &[] };
        let is = |said: &PlainSaid| match said {
            PlainSaid::Datagram { from, octets } | PlainSaid::Received { from, octets } => {
                octets == like.text.as_bytes() && like.from.is_none_or(|wanted| wanted == *from)
            }
            _ => false,
        };
        log.iter().filter(|(_, said)| is(said)).count()
    }

    fn discards(&self, host: HostId, reason: &str) -> usize {
        let outer = self.world.trace().discards().iter().filter(|discarded| discarded.host == host);
        let outer = outer.filter(|discarded| kebab(&discarded.discard) == reason).count();
        let inner = self.world.engine_if::<Peer>(host).map_or(0, |peer| {
            let discards = peer.snapshot().discards;
            discards.iter().filter(|(discard, _)| kebab(discard) == reason).map(|(_, times)| *times).sum()
        });
        outer + usize::try_from(inner).unwrap_or(usize::MAX)
    }

    fn peer_log(&self, host: HostId) -> &[(pinhole_proto::Instant, PeerSaid)] {
        if self.world.engine_if::<Peer>(host).is_some() { self.world.log(host) } else { &[] }
    }

    fn find(&self, mark: &Mark) -> Option<Found> {
        let trace = self.world.trace();
        let mut seen: Vec<JourneyId> = Vec::new();
        for record in trace.records() {
            if is_on_line(record) && !seen.contains(&record.journey) && trace.matches(&mark.pick, record) {
                seen.push(record.journey);
                if seen.len() > mark.skip {
                    break;
                }
            }
        }
        let journey = *seen.get(mark.skip)?;
        let way: Vec<&Record> = trace.records().iter().filter(|record| record.journey == journey).collect();
        let hop = |record: &&&Record| is_on_line(record) && !matches!(record.what, What::Copied(_));
        let hops = way.iter().filter(hop).map(|record| {
            let (source, destination) = (record.packet.source, record.packet.destination);
            format!("{}: {source} -> {destination}", trace.realm_name(record.realm))
        });
        let fate = fate(way.last()?, |place| trace.name(place).to_string());
        let (step, title) = (mark.step.clone(), mark.title.clone());
        Some(Found { step, title, journey, hops: hops.collect(), fate })
    }
}

const fn is_on_line(record: &Record) -> bool {
    !matches!(record.what, What::Delivered(_) | What::NoSocket(_) | What::Decided(_))
}

fn fate(record: &Record, name: impl Fn(Place) -> String) -> Fate {
    let (what, rule) = match &record.what {
        What::Sent(_) | What::Copied(_) | What::Held => (FateKind::UnderWay, None),
        What::Lost => (FateKind::Lost, None),
        What::Cut => (FateKind::Cut, None),
        What::Removed => (FateKind::Removed, None),
        What::NoRoute => (FateKind::NoRoute, None),
        What::TtlExpired => (FateKind::TtlExpired, None),
        What::Delivered(receipt) => (FateKind::Delivered, Some(kebab(&receipt.rule))),
        What::NoSocket(receipt) => (FateKind::NoSocket, Some(kebab(&receipt.rule))),
        What::Decided(receipt) => match receipt.decision {
            Decision::Forwarded { .. } => (FateKind::UnderWay, None),
            Decision::Dropped(rule) => (FateKind::Dropped, Some(kebab(&rule))),
            Decision::Answered(rule) => (FateKind::Answered, Some(kebab(&rule))),
        },
    };
    Fate { what, at: record.to.map(name), rule }
}

fn row(row: &Row) -> String {
    let mut sessions: Vec<_> = row.sessions.iter().collect();
    sessions.sort_by_key(|(_, session)| session.since);
    let sessions: Vec<String> = sessions.iter().map(|(remote, _)| remote.to_string()).collect();
    let tcp = if row.transport == pinhole_proto::Transport::Tcp { "tcp " } else { "" };
    format!("{tcp}{} <=> {} {{{}}}", row.internal, row.external, sessions.join(", "))
}

/// The name of a code as JSON has it.
fn kebab(code: &impl core::fmt::Debug) -> String {
    let mut out = String::new();
    for letter in format!("{code:?}").chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

fn say(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("data without maps")
}

/// Whether what was found is what is expected, where an asterisk stands for any number.
fn is_like(expected: &str, found: &str) -> bool {
    let mut parts = expected.split('*');
    let begin = parts.next().and_then(|part| found.strip_prefix(part));
    let number = |letter: char| letter.is_ascii_digit();
    parts.fold(begin, |rest, part| rest?.trim_start_matches(number).strip_prefix(part)) == Some("")
}

fn absent() -> String {
    "none".to_string()
}
