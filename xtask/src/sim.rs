//! `cargo xtask sim`: a scenario of `sim/scenarios/`, run in virtual time and shown.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use pinhole_proto::sorted::SortedMap;
use pinhole_sim::Place;
use pinhole_sim::nat::Behaviour;
use pinhole_sim::scenario::{self, Found, Mismatch, Run, Scenario};
use pinhole_sim::trace::Discarded;
use serde_json::{Value, json};

/// A scenario in virtual time: its packets as a ladder, and what came of it.
///
/// Exits with 0 when the scenario came out as it must (or a NAT was changed), with 1 when not, and with 2
/// when there is no such scenario, NAT or field.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The scenario; `--list` names them all.
    #[arg(required_unless_present = "list")]
    scenario: Option<String>,
    /// Name every scenario, one a line.
    #[arg(long)]
    list: bool,
    /// What is random in the run follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Change NAT A, or the only NAT: FIELD=VALUE, or the name of a preset such as full-cone,
    /// port-restricted or symmetric. May be repeated.
    #[arg(long, value_name = "FIELD=VALUE|PRESET")]
    nat_a: Vec<String>,
    /// Change NAT B in the same way.
    #[arg(long, value_name = "FIELD=VALUE|PRESET")]
    nat_b: Vec<String>,
    /// Print one JSON object instead: packets, marks, tables, and what is not as expected.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    if arguments.list {
        for (name, _) in scenario::ALL {
            out += &format!("{name}\n");
        }
        say(&out)?;
        return Ok(ExitCode::SUCCESS);
    }
    match shown(arguments, &mut out) {
        Ok(met) => {
            say(&out)?;
            Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            eprintln!("{error:#}");
            Ok(ExitCode::from(2))
        }
    }
}

/// Prints; a reader that has gone is no error.
fn say(text: &str) -> std::io::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn shown(arguments: &Arguments, out: &mut String) -> anyhow::Result<bool> {
    let name = arguments.scenario.as_deref().unwrap_or_default();
    let Some(mut scenario) = scenario::named(name) else {
        bail!("there is no scenario `{name}`; `cargo xtask sim --list` names them");
    };
    change(&mut scenario, "NAT A", &arguments.nat_a)?;
    change(&mut scenario, "NAT B", &arguments.nat_b)?;
    let changed = !(arguments.nat_a.is_empty() && arguments.nat_b.is_empty());
    let mut run = Run::new(&scenario, arguments.seed).with_context(|| format!("{name} cannot be built"))?;
    run.play().with_context(|| format!("{name} cannot be played"))?;
    let marks = run.marks();
    let mismatches = run.check();
    let met = mismatches.is_empty();
    if arguments.json {
        *out = serde_json::to_string(&object(&run, arguments.seed, &marks, &mismatches))?;
        out.push('\n');
    } else {
        *out = text(&run, &marks);
        *out += match (met, changed) {
            (true, _) => "\nas expected\n",
            (false, true) => "\nnot as with the scenario's own NATs:\n",
            (false, false) => "\nNOT AS EXPECTED:\n",
        };
        for Mismatch { what, expected, found } in &mismatches {
            *out += &format!("  {what}:\n    expected {expected}\n    found    {found}\n");
        }
    }
    Ok(met || changed)
}

/// Changes a NAT of the scenario: the one of this name, or the only one.
fn change(scenario: &mut Scenario, name: &str, changes: &[String]) -> anyhow::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let alone = scenario.nats.len() == 1;
    let nat = scenario.nats.iter_mut().find(|nat| nat.name == name || alone && name == "NAT A");
    let Some(nat) = nat else {
        bail!("{} has no {name}", scenario.name);
    };
    for change in changes {
        match change.split_once('=') {
            Some((field, value)) => {
                nat.behaviour.set(field, value).map_err(|error| anyhow::anyhow!("{change}: {error}"))?
            }
            None => {
                let preset = Behaviour::preset(change);
                nat.behaviour = preset.with_context(|| format!("`{change}` is neither FIELD=VALUE nor a preset"))?;
            }
        }
    }
    nat.behaviour.check().map_err(|error| anyhow::anyhow!("{name}: {error}"))
}

fn text(run: &Run, marks: &[Found]) -> String {
    let scenario = run.scenario();
    let mut out = format!("{}: {}\n{}\n\n", scenario.name, scenario.title, scenario.source);
    let words: SortedMap<_, _> =
        marks.iter().map(|mark| (mark.journey, format!("{}. {}", mark.step, mark.title))).collect();
    out += &run.world.trace().ladder_with(&words);
    for Discarded { at, host, discard, arrived } in run.world.trace().discards() {
        let (name, micros) = (run.world.trace().name(Place::Host(*host)), at.as_micros());
        out += &format!("{:>6}.{:03}  {name} ignored: {discard:?}", micros / 1000, micros % 1000);
        out += &arrived.map(|arrived| format!(" {}", json!(arrived))).unwrap_or_default();
        out += "\n";
    }
    out += "\n";
    for nat in &scenario.nats {
        for row in run.table(&nat.name).unwrap_or_default() {
            out += &format!("{}: {row}\n", nat.name);
        }
    }
    for path in run.paths() {
        out += &format!("{}\n", json!(path));
    }
    out
}

fn object(run: &Run, seed: u64, marks: &[Found], mismatches: &[Mismatch]) -> Value {
    let trace = run.world.trace();
    let tables = run.scenario().nats.iter().map(|nat| (nat.name.clone(), json!(run.table(&nat.name))));
    json!({
        "scenario": run.scenario().name,
        "seed": seed,
        "hosts": run.scenario().hosts.iter().map(|host| &host.name).collect::<Vec<_>>(),
        "nats": run.scenario().nats.iter().map(|nat| &nat.name).collect::<Vec<_>>(),
        "digest": format!("{:016x}", trace.digest()),
        "records": trace.records(),
        "discards": trace.discards(),
        "marks": marks,
        "tables": tables.collect::<serde_json::Map<_, _>>(),
        "paths": run.paths(),
        "met": mismatches.is_empty(),
        "mismatches": mismatches,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn shown_by(line: &str) -> anyhow::Result<(bool, String)> {
        let words = std::iter::once("sim").chain(line.split_whitespace());
        let mut out = String::new();
        let met = shown(&Line::try_parse_from(words)?.arguments, &mut out)?;
        Ok((met, out))
    }

    #[test]
    fn a_scenario_is_shown_with_its_ladder_its_tables_and_its_end() {
        let (met, out) = shown_by("f2-symmetric-nat").expect("it is in the list");
        assert!(met);
        for part in ["NAT LAN] 10.0.0.1:1234", "dropped: Filtered", "<=> 155.99.25.11:62001 {", "\nas expected\n"] {
            assert!(out.contains(part), "{part}\n{out}");
        }
    }

    #[test]
    fn another_nat_gives_another_end_which_is_told_and_not_judged() {
        let (met, out) = shown_by("f2-symmetric-nat --nat-a full-cone").expect("there is such a preset");
        assert!(met);
        assert!(out.contains("not as with the scenario's own NATs"), "{out}");
        let (_, json) = shown_by("f2-symmetric-nat --nat-a mapping=endpoint-independent --json").expect("a field");
        let json: Value = serde_json::from_str(&json).expect("an object");
        assert_eq!(json["met"], false);
        assert_eq!(json["tables"]["NAT"].as_array().map(Vec::len), Some(1));
        assert!(json["records"][0]["packet"]["source"].is_string());
    }

    #[test]
    fn what_does_not_exist_is_an_error_that_names_it() {
        for (line, word) in [
            ("f0", "`f0`"),
            ("f2-symmetric-nat --nat-a colour=red", "colour"),
            ("f2-symmetric-nat --nat-a mapping=square", "endpoint-independent"),
            ("f2-symmetric-nat --nat-a soft", "`soft`"),
            ("f2-symmetric-nat --nat-b symmetric", "no NAT B"),
            ("f2-symmetric-nat --nat-a ports=9-1", "ports"),
        ] {
            let error = shown_by(line).expect_err(line);
            assert!(format!("{error:#}").contains(word), "{line}: {error:#}");
        }
    }
}
