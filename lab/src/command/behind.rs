//! `pinhole-lab behind`: any program behind any NAT of the model.

use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::time::Duration;

use anyhow::Context;
use pinhole_lab::{Kind, Lab, Line, NatKind, Topology};
use pinhole_sim::Behaviour;

/// Run a command on a host behind a NAT of the model, and end as it ends.
///
/// The command runs in a network of its own, at 10.0.0.1 behind a NAT with the address 155.99.25.11. What runs
/// `--outside` is at 18.181.0.31 and 18.181.0.32, and nothing else can be reached. The NAT is the
/// simulator's, in front of the real packets: IPv4, UDP, TCP, and ICMP errors about these; what else comes is
/// dropped, and counted in the line that is printed in the end.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The NAT: a name that `list` shows, or a JSON file with the fields of a behaviour.
    #[arg(long, value_parser = pinhole_lab::behaviour)]
    nat: Behaviour,
    /// A shell command for the outside; repeat it for further ones. They start before the command, and are
    /// killed when it ends.
    #[arg(long, value_name = "COMMAND")]
    outside: Vec<String>,
    /// One-way delay between inside and outside, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// Loss in each direction, in percent.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Decides the NAT's random ports and which packets are lost.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// A file for one line about each packet: what the NAT decided and why.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// The command with its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let line =
        Line::with_delay(Duration::from_millis(arguments.delay)).losing(arguments.loss / 100.0, arguments.seed.into());
    let lab = Lab::build(&Topology {
        nat_a: NatKind::Model(arguments.nat),
        line_a: line,
        seed: arguments.seed,
        ..Topology::new(Kind::OneNat { hairpin: false })
    })?;
    let nat = lab.gateway("nat-a")?;
    if let Some(path) = &arguments.trace {
        let file = std::fs::File::create(path).with_context(|| format!("write {}", path.display()))?;
        nat.trace(Box::new(std::io::BufWriter::new(file)));
    }
    let mut outside = Vec::new();
    for command in &arguments.outside {
        let child = lab.command("s", "sh")?.args(["-c", command]).spawn();
        outside.push(Killed(child.with_context(|| format!("run `{command}`"))?));
    }
    let (program, rest) = arguments.command.split_first().context("no command")?;
    let status = lab.command("a", program)?.args(rest).status().with_context(|| format!("run `{program}`"))?;
    drop(outside);
    eprintln!("the NAT: {}", nat.counts());
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// A child that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
