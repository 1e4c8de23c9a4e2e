//! `pinhole-lab`: a network of the lab around any program.

mod checks;
mod command;

use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use pinhole_lab::{Kind, Lab, Line, NatKind, PRESETS, Topology, UnsolicitedSyn, enter, prove};

/// Programs behind real NATs, without root and without touching the network of this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the networks and the kinds of NAT.
    List,
    /// Measure kinds of NAT and compare them with what they declare.
    Probe {
        /// Which kinds; all of the kernel's if none is named.
        kinds: Vec<NatKind>,
    },
    Against(command::against::Arguments),
    Behind(Box<command::behind::Arguments>),
    Cells(command::cells::Arguments),
    Bench(command::bench::Arguments),
    Checks(command::checks::Arguments),
    Demo(command::demo::Arguments),
    Shares(command::shares::Arguments),
    /// Run shell commands on the hosts of a network, and end when the last one given ends.
    Run(Box<Run>),
}

#[derive(clap::Args)]
struct Run {
    /// A network that `list` shows.
    network: Kind,
    /// A command for a host, such as `a='nc -u 18.181.0.31 7'`; repeat it for further hosts.
    #[arg(long = "on", value_name = "HOST=COMMAND", required = true, value_parser = host_and_command)]
    commands: Vec<(String, String)>,
    /// The kind of the NAT in front of A.
    #[arg(long, default_value = "port-restricted")]
    nat_a: NatKind,
    /// The kind of the NAT in front of B.
    #[arg(long, default_value = "port-restricted")]
    nat_b: NatKind,
    /// The kind of the provider's NAT.
    #[arg(long, default_value = "port-restricted")]
    nat_isp: NatKind,
    /// What NATs do with unsolicited SYNs: `drop` or `rst`.
    #[arg(long, default_value = "drop")]
    syn: UnsolicitedSyn,
    /// One-way delay of the lines of A and B, in milliseconds.
    #[arg(long, default_value_t = 25)]
    delay: u64,
    /// Loss in each direction of the lines of A and B, in percent.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Which packets are lost.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A directory for capture files: one for each access line, one for each host with a command.
    #[arg(long)]
    pcap: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Verb::List => {
            for kind in Kind::ALL {
                println!("network {kind}");
            }
            for kind in NatKind::ALL {
                println!("NAT     {kind}");
            }
            for (name, what, _) in PRESETS {
                println!("model   model:{name}: {what}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Probe { kinds } => {
            enter()?;
            probe(if kinds.is_empty() { &NatKind::ALL } else { &kinds })
        }
        Verb::Against(arguments) => {
            enter()?;
            command::against::run(&arguments)
        }
        Verb::Behind(arguments) => {
            enter()?;
            command::behind::run(&arguments)
        }
        Verb::Cells(arguments) => {
            enter()?;
            command::cells::run(&arguments)
        }
        Verb::Bench(arguments) => {
            enter()?;
            command::bench::run(&arguments)
        }
        Verb::Checks(arguments) => {
            enter()?;
            command::checks::run(&arguments)
        }
        Verb::Shares(arguments) => command::shares::run(&arguments),
        Verb::Demo(arguments) => command::demo::run(&arguments),
        Verb::Run(run) => {
            enter()?;
            run_commands(&run)
        }
    }
}

fn probe(kinds: &[NatKind]) -> anyhow::Result<ExitCode> {
    for kind in kinds {
        let measured = prove(*kind, UnsolicitedSyn::Drop, false)?;
        println!("{kind}: {measured:?}");
    }
    Ok(ExitCode::SUCCESS)
}

fn run_commands(run: &Run) -> anyhow::Result<ExitCode> {
    let line = Line::with_delay(Duration::from_millis(run.delay)).losing(run.loss / 100.0, run.seed);
    let lab = Lab::build(&Topology {
        nat_a: run.nat_a,
        nat_b: run.nat_b,
        nat_isp: run.nat_isp,
        syn: run.syn,
        line_a: line,
        line_b: line,
        ..Topology::new(run.network)
    })?;
    let mut captures = Vec::new();
    let mut running: Vec<Child> = Vec::new();
    for (host, command) in &run.commands {
        if run.pcap.is_some() {
            captures.push((host, lab.capture(host, "eth0")?));
        }
        let child = lab.command(host, "sh")?.args(["-c", command]).spawn();
        running.push(child.with_context(|| format!("run `{command}` on {host}"))?);
    }
    let status = running.pop().context("no command")?.wait()?;
    if let Some(directory) = &run.pcap {
        std::fs::create_dir_all(directory)?;
        for (host, capture) in captures {
            capture.finish().write_pcap(&directory.join(format!("{host}.pcap")))?;
        }
    }
    for site in ["s", "a", "b"] {
        let Ok(wire) = lab.wire(site) else { continue };
        eprintln!("line of {site}: {:?}", wire.totals());
        if let Some(directory) = &run.pcap {
            wire.write_pcap(&line_file(directory, site))?;
        }
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

fn line_file(directory: &Path, site: &str) -> PathBuf {
    directory.join(format!("line-{site}.pcap"))
}

fn host_and_command(argument: &str) -> Result<(String, String), String> {
    let (host, command) = argument.split_once('=').ok_or("there is no `=` between host and command")?;
    Ok((host.to_owned(), command.to_owned()))
}
