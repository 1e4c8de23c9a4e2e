//! Pinhole's developer commands: `cargo xtask help`.

use clap::{Parser, Subcommand};

mod requirements;
mod vectors;

/// Pinhole's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Requirements(requirements::Arguments),
    Vectors(vectors::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Requirements(arguments) => requirements::run(&arguments),
        Command::Vectors(arguments) => vectors::run(&arguments),
    }
}

/// The root of the repository.
fn root() -> std::path::PathBuf {
    let mut path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
