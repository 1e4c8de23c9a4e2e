//! `pinhole-peer netcheck` behind every NAT of the lab: what it tells is so, and its profile is that NAT.

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use pinhole_lab::trial::{Over, is};
use pinhole_lab::{Kind, Lab, Line, NatKind, PRESETS, Topology};
use pinhole_proto::Transport;
use pinhole_sim::Behaviour;
use pinhole_sim::nat::{FreshPort, Unsolicited};
use serde_json::{Value, json};

use super::Context;
use super::setting::Setting;

/// Every NAT of the model that has a name.
pub(crate) fn model(context: &Context) -> anyhow::Result<String> {
    let nats = PRESETS.iter().map(|&(name, _, behaviour)| (name, NatKind::Model(behaviour)));
    all(context, nats.collect())
}

/// Every kind of the kernel.
pub(crate) fn kernel(context: &Context) -> anyhow::Result<String> {
    all(context, NatKind::ALL.into_iter().map(|kind| (kind.name(), kind)).collect())
}

/// How long mappings live, of one NAT that takes its time and one that does not.
pub(crate) fn timeout(context: &Context) -> anyhow::Result<String> {
    let idle = Duration::from_secs(5);
    let nats = [("port-restricted", Behaviour::port_restricted()), ("symmetric", Behaviour::symmetric())];
    let bounds = at_once(&nats, |(name, nat)| {
        let behaviour = Behaviour { udp_idle: idle, ..*nat };
        let options = ["--timeouts", "10"];
        let (report, profile) = netcheck(context, name, NatKind::Model(behaviour), Over::Udp, &options)?;
        let found = &report["udp"]["idle_timeout"];
        let bound = |name: &str| found["value"][name].as_u64().with_context(|| format!("{name} of {found}"));
        let (least, most) = (bound("at_least_ms")?, bound("at_most_ms")?);
        ensure!(found["certainty"] == "proved", "{name}: {found}");
        for timeout in [idle, profile.udp_idle].map(|timeout| timeout.as_millis() as u64) {
            ensure!((least..=most).contains(&timeout), "{name}: {timeout} ms lies not between {least} and {most} ms");
        }
        Ok(format!("{name}: {least} to {most} ms"))
    })?;
    Ok(bounds.join("; "))
}

fn all(context: &Context, nats: Vec<(&'static str, NatKind)>) -> anyhow::Result<String> {
    let counts = at_once(&nats, |&(name, kind)| {
        let (report, profile) = netcheck(context, name, kind, Over::Auto, &[])?;
        compare(kind.model(), &report, profile).with_context(|| name.to_owned())
    })?;
    let told: usize = counts.iter().sum();
    Ok(format!("{} NATs, {told} properties told, all of them right, in the profiles, too", nats.len()))
}

/// Does the same with each at once: nearly all of a check is waiting.
fn at_once<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> anyhow::Result<R> + Sync) -> anyhow::Result<Vec<R>> {
    std::thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> = all.iter().map(|one| scope.spawn(move || work(one))).collect();
        started.into_iter().map(|one| one.join().map_err(|_| anyhow!("it panicked"))?).collect()
    })
}

/// The report and the profile of a check behind such a NAT.
fn netcheck(
    context: &Context,
    name: &str,
    nat_a: NatKind,
    over: Over,
    options: &[&str],
) -> anyhow::Result<(Value, Behaviour)> {
    let context = context.within(name);
    context.prepare()?;
    let line_a = Line::with_delay(Duration::from_millis(5));
    let lab = Lab::build(&Topology { nat_a, line_a, ..Topology::new(Kind::OneNat { hairpin: false }) })?;
    let setting = Setting::with_alternates(&context, lab, over)?;
    let file = context.directory.join("profile.json");
    let file = file.to_str().context("a directory whose name is text")?;
    let peer = setting.peer("a", "a", &[&["netcheck", "--profile", file], options].concat())?;
    let (events, status) = peer.finish(PATIENCE)?;
    let report = events.into_iter().find(|event| is(event, "netcheck"));
    let report = report.with_context(|| format!("{name}: no report, {status}"))?;
    Ok((report, serde_json::from_str(&std::fs::read_to_string(file)?)?))
}

/// How many properties are told, of which every one has to be the NAT's own, in the profile, too.
fn compare(nat: Behaviour, report: &Value, profile: Behaviour) -> anyhow::Result<usize> {
    let mut count = 0;
    for (half, transport) in [("udp", Transport::Udp), ("tcp", Transport::Tcp)] {
        let truths = properties(&nat, transport).into_iter().zip(properties(&profile, transport));
        for ((name, truth), (_, profiled)) in truths {
            let property = &report[half][name];
            let found = match &property["value"]["sequential"]["step"] {
                Value::Null => &property["value"],
                step => step,
            };
            // What comes from the internal source has A's own address, and Linux drops it for that.
            let unheard = name == "hairpin" && truth == "internal-source" && *found == "none";
            let told = match property["certainty"].as_str() {
                Some("proved") => true,
                Some("consistent") => transport == Transport::Udp && !unheard,
                _ => false,
            };
            if !told {
                // What no check leaves open, but behind a NAT that forgets in the course of it.
                let must = transport == Transport::Udp && ALWAYS.contains(&name) && nat.udp_idle > PATIENCE;
                ensure!(!must, "{half}: {name} is not told: {property}");
                continue;
            }
            count += 1;
            ensure!(*found == truth, "{half}: {name} is {truth}, not {found}");
            ensure!(profiled == truth, "{half}: {name} is {truth}, not {profiled} as in the profile");
        }
    }
    Ok(count)
}

/// What a report says of such a NAT, if it says it.
fn properties(nat: &Behaviour, transport: Transport) -> Vec<(&'static str, Value)> {
    let refuses = matches!(nat.unsolicited_syn, Unsolicited::Reset | Unsolicited::Icmp);
    vec![
        ("translated", json!(true)),
        ("mapping", json!(nat.mapping_of(transport))),
        ("filtering", json!(nat.filtering_of(transport))),
        ("permission", json!(nat.permission)),
        ("hairpin", json!(nat.hairpin)),
        ("hairpin_filtered", json!(nat.hairpin_filtered)),
        ("port_preservation", json!(nat.preserve_port)),
        (
            "allocation",
            match nat.fresh_port {
                FreshPort::Sequential => json!(nat.port_step),
                FreshPort::Random => json!("random"),
            },
        ),
        ("unsolicited_syn", json!(if refuses { "refused" } else { "dropped" })),
        ("look_alikes", json!(nat.rewrite_payload)),
    ]
}

/// What every check over UDP tells.
const ALWAYS: [&str; 5] = ["translated", "mapping", "filtering", "port_preservation", "look_alikes"];

/// How long a check may take. Long, since two cores may be busy.
const PATIENCE: Duration = Duration::from_secs(90);
