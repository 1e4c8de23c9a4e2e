//! Pinhole's developer commands: `cargo xtask help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod lab;
mod needs;
mod requirements;
mod sim;
mod stage;
mod tiers;
mod vectors;
mod viz;

/// Pinhole's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The main job, shown: two peers behind two NATs connect, over UDP and over TCP.
    ///
    /// Exits with 0 when both connections were direct, with 1 when not, and with 3 where this machine cannot
    /// have NATs and something less was shown.
    Demo(lab::Passed),
    /// Format, lints, documentation, unit tests, vectors: before every commit.
    Check,
    /// Every check, once.
    Test(tiers::TestArguments),
    /// The figures that need many runs; writes a report to `lab-report/`.
    Soak(tiers::SoakArguments),
    /// Every network, kind of NAT and transport, with real packets: `--times N`, `--only NAME`.
    Lab(lab::Passed),
    /// Measurements beside their bars.
    Bench(lab::BenchArguments),
    Sim(sim::Arguments),
    Requirements(requirements::Arguments),
    Vectors(vectors::Arguments),
    Viz(viz::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Demo(passed) => lab::demo(&passed),
        Command::Check => tiers::check(),
        Command::Test(arguments) => tiers::test(&arguments),
        Command::Soak(arguments) => tiers::soak(&arguments),
        Command::Lab(passed) => lab::cells(&passed),
        Command::Bench(arguments) => lab::bench(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Requirements(arguments) => requirements::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Vectors(arguments) => vectors::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Viz(arguments) => viz::run(&arguments),
    }
}

/// The root of the repository.
fn root() -> std::path::PathBuf {
    let mut path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
