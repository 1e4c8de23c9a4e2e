//! `netcheck`: what is between this machine and the server.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory as _;
use pinhole_driver::{Driver, Options, resolve, seed};
use pinhole_peer::{Certainty, Moment, Transports};
use pinhole_proto::netcheck::{
    Allocation, Dependence, IdleTimeout, NatReport, NetCheck, NetCheckConfig, NetCheckEvent, Property, Report as Found,
};
use pinhole_proto::{Endpoint, Family, Instant};
use pinhole_sim::{Behaviour, profile};
use pinhole_trace::{Engine, Header};
use serde::Serialize;

use super::args::{Cli, Common};
use super::failure::{Exit, Failure};
use super::json::Body;
use super::report::Report;

/// Checks, and tells what was found.
pub(crate) async fn run(
    common: &Common,
    file: Option<&Path>,
    longest_silence: Option<Duration>,
    report: &Report,
) -> Result<(), Failure> {
    let found = check(common, longest_silence, report).await?;
    let halves = [("UDP", &found.udp), ("TCP", &found.tcp)];
    if !halves.iter().any(|(_, half)| half.as_ref().is_some_and(|half| half.reachable)) {
        return Err(Failure::new(Exit::ServerUnreachable, "server-unreachable", "the server does not answer"));
    }
    let behaviour = profile::behaviour(&found);
    if let Some(path) = file {
        write(path, &behaviour)?;
    }
    let names = halves.map(|(_, half)| half.as_ref().and_then(cone));
    if report.is_json() {
        report.line(
            None,
            Moment::now(),
            Body::Netcheck { cone: Cones { udp: names[0], tcp: names[1] }, report: &found },
        );
        return Ok(());
    }
    let mut text = format!("server {}\n", found.server);
    for ((name, half), cone) in halves.into_iter().zip(names) {
        if let Some(half) = half {
            text += &describe(name, half, cone);
        }
    }
    report.out.event(text.into_bytes());
    Ok(())
}

/// The draft's name of what was found for each transport.
#[derive(Debug, Serialize)]
pub(crate) struct Cones {
    udp: Option<&'static str>,
    tcp: Option<&'static str>,
}

async fn check(common: &Common, longest_silence: Option<Duration>, report: &Report) -> Result<Found, Failure> {
    let Some(url) = &common.server else {
        let text = "--server URL is required (or the environment variable PINHOLE_SERVER)";
        Cli::command().error(clap::error::ErrorKind::MissingRequiredArgument, text).exit();
    };
    let unresolved = |error: std::io::Error| {
        Failure::new(Exit::ServerUnreachable, "server-unresolved", format!("cannot resolve {}: {error}", url.host))
    };
    let servers = resolve(url).await.map_err(unresolved)?;
    // NATs are of IPv4 where there is a choice.
    let first = servers.iter().find(|server| server.family() == Family::V4).or_else(|| servers.first());
    let server = *first.ok_or_else(|| unresolved(std::io::ErrorKind::NotFound.into()))?;
    let transports = common.transport.registered();
    if longest_silence.is_some() && transports == Transports::Tcp {
        return Err(Failure::new(Exit::Usage, "usage", "--timeouts is about UDP, which --transport tcp leaves out"));
    }
    let config = NetCheckConfig {
        server,
        udp: transports != Transports::Tcp,
        tcp: transports != Transports::Udp,
        port: common.port,
        longest_silence,
    };
    let system = |error: std::io::Error| Failure::other("system", &error);
    let trace: Option<Box<dyn std::io::Write + Send>> = match &common.trace {
        None => None,
        Some(path) => {
            let mut file = create(path)?;
            let mut header = Header::new(Engine::Netcheck, concat!("pinhole-peer ", env!("CARGO_PKG_VERSION")));
            header.servers.push(server);
            file.write_all(header.to_line().as_bytes()).map_err(system)?;
            Some(Box::new(file))
        }
    };
    let engine = NetCheck::new(&config, seed(), Instant::ZERO);
    let mut driver = Driver::new(engine, Options { trace, ..Options::default() }).map_err(system)?;
    let mut found = None;
    while found.is_none() {
        let mut on_event = |event: NetCheckEvent| match event {
            NetCheckEvent::Observed(observation) => {
                report.line(None, Moment::now(), Body::Probe { observation: &observation });
            }
            NetCheckEvent::Finished(finished) => found = Some(*finished),
        };
        driver.step(&mut on_event).await.map_err(system)?;
    }
    found.ok_or_else(|| Failure::new(Exit::Other, "system", "the check ended without a result"))
}

fn write(path: &Path, behaviour: &Behaviour) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(behaviour).map_err(|error| Failure::other("system", &error))?;
    text.push('\n');
    let failed = |error| Failure::new(Exit::Usage, "usage", format!("cannot write {}: {error}", path.display()));
    create(path)?.write_all(text.as_bytes()).map_err(failed)
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path)
        .map_err(|error| Failure::new(Exit::Usage, "usage", format!("cannot create {}: {error}", path.display())))
}

/// The draft's name of a NAT that maps and filters so.
fn cone(half: &NatReport) -> Option<&'static str> {
    if half.translated.value == Some(false) {
        return Some(match half.filtering.value? {
            Dependence::EndpointIndependent => "no NAT",
            Dependence::AddressDependent | Dependence::AddressAndPortDependent => "firewall",
        });
    }
    match half.mapping.value? {
        Dependence::AddressDependent | Dependence::AddressAndPortDependent => Some("symmetric"),
        Dependence::EndpointIndependent => Some(match half.filtering.value? {
            Dependence::EndpointIndependent => "full cone",
            Dependence::AddressDependent => "restricted cone",
            Dependence::AddressAndPortDependent => "port-restricted cone",
        }),
    }
}

fn describe(transport: &str, half: &NatReport, cone: Option<&str>) -> String {
    if !half.reachable {
        return format!("{transport}: the server does not answer\n");
    }
    let known = |endpoint: Option<Endpoint>| endpoint.map_or_else(|| "?".to_owned(), |endpoint| endpoint.to_string());
    let mut text = format!("{transport}: {} is seen at {}", known(half.private), known(half.public));
    if let Some(cone) = cone {
        text += &format!(" ({cone})");
    }
    text.push('\n');
    let allocation = Property {
        value: half.allocation.value.map(|allocation| match allocation {
            Allocation::Sequential { first, step } => {
                format!("sequential, step {}, from {first} on", step.cast_signed())
            }
            Allocation::Random => "random".to_owned(),
        }),
        certainty: half.allocation.certainty,
        evidence: Vec::new(),
    };
    let mut rows = vec![
        ("translated", say(&half.translated)),
        ("mapping", say(&half.mapping)),
        ("filtering", say(&half.filtering)),
        ("permission of the", say(&half.permission)),
        ("hairpin", say(&half.hairpin)),
        ("hairpin filtered", say(&half.hairpin_filtered)),
        ("port preservation", say(&half.port_preservation)),
        ("port allocation", say(&allocation)),
    ];
    match transport {
        "TCP" => rows.push(("unsolicited SYN", say(&half.unsolicited_syn))),
        _ => {
            rows.push(("look-alikes rewritten", say(&half.look_alikes)));
            rows.push(("idle timeout", say(&bounds(&half.idle_timeout))));
        }
    }
    for (name, value) in rows {
        text += &format!("  {name:<22} {value}\n");
    }
    text
}

/// The bounds of a timeout, in seconds.
fn bounds(found: &Property<IdleTimeout>) -> Property<String> {
    let seconds = |ms: u64| format!("{:.1}", ms as f64 / 1_000.0);
    let value = found.value.map(|idle| match idle.at_most_ms {
        Some(most) => format!("{} to {} s", seconds(idle.at_least_ms), seconds(most)),
        None => format!("more than {} s", seconds(idle.at_least_ms)),
    });
    Property { value, certainty: found.certainty, evidence: Vec::new() }
}

/// A property in words.
fn say<T: Serialize>(property: &Property<T>) -> String {
    let certainty = match property.certainty {
        Certainty::Proved => "proved",
        Certainty::Consistent => "consistent",
        Certainty::Unknown => return "unknown".to_owned(),
    };
    let value = match serde_json::to_value(&property.value) {
        Ok(serde_json::Value::Bool(true)) => "yes".to_owned(),
        Ok(serde_json::Value::Bool(false)) => "no".to_owned(),
        Ok(serde_json::Value::String(name)) => name,
        Ok(_) | Err(_) => return "unknown".to_owned(),
    };
    format!("{value} ({certainty})")
}
