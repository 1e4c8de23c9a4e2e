//! Builds the binaries and hands over to `pinhole-lab`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};

use crate::root;

/// Arguments for `pinhole-lab`, as they are.
#[derive(clap::Args)]
pub(crate) struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    what: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// How fast two peers meet: `--times N`, `--lossy N`.
    Connect(Passed),
}

pub(crate) fn demo(passed: &Passed) -> anyhow::Result<ExitCode> {
    run(Profile::Dev, "demo", &passed.arguments)
}

pub(crate) fn cells(passed: &Passed) -> anyhow::Result<ExitCode> {
    if let Some(place) = passed.arguments.iter().position(|argument| argument == "--shares") {
        let mut rest = passed.arguments.clone();
        rest.remove(place);
        return run(Profile::Dev, "shares", &rest);
    }
    let model = passed.arguments.iter().any(|argument| argument == "--model");
    let report = if model { "cells-model.json" } else { "cells.json" };
    run(Profile::Dev, "cells", &with_report(&passed.arguments, report))
}

pub(crate) fn bench(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let Bench::Connect(passed) = &arguments.what;
    run(Profile::Release, "bench", &passed.arguments)
}

/// How the binaries are built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Builds the binaries; answers where `pinhole-lab` is. The others are beside it.
pub(crate) fn build(profile: Profile) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--bins", "--message-format=json-render-diagnostics"]);
    cargo.args(["-p", "pinhole-server", "-p", "pinhole-peer", "-p", "pinhole-lab"]);
    if matches!(profile, Profile::Release) {
        cargo.arg("--release");
    }
    let output = cargo.current_dir(root()).stderr(std::process::Stdio::inherit()).output().context("run cargo")?;
    ensure!(output.status.success(), "the build failed");
    let lab = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "pinhole-lab")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    lab.context("cargo did not say where pinhole-lab is")
}

/// Runs a verb of `pinhole-lab` and passes its exit code on.
fn run(profile: Profile, verb: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let status = Command::new(build(profile)?).arg(verb).args(arguments).current_dir(root()).status()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

fn with_report(arguments: &[String], name: &str) -> Vec<String> {
    let mut arguments = arguments.to_vec();
    if !arguments.iter().any(|argument| argument.starts_with("--report") || argument == "--help") {
        arguments.extend(["--report".to_owned(), format!("lab-report/{name}")]);
    }
    arguments
}
