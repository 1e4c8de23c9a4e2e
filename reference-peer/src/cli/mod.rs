//! The command line: arguments in, exit code out.

mod args;
mod connect;
mod failure;
mod input;
mod json;
mod listen;
mod netcheck;
mod out;
mod paths;
mod ping;
mod pipe;
mod report;

use std::fs::File;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use pinhole_peer::{Accept, Moment, Node, SecretKey, Status};
use tokio::signal::unix::{SignalKind, signal};

use args::{Cli, Command, Common, StrategyArg};
use failure::{Exit, Failure};
use out::Out;
use report::{Feed, Report};

/// Does what the arguments ask.
pub(crate) async fn run() -> ExitCode {
    let started = Moment::now();
    let Cli { common, command } = Cli::parse();
    start_log(common.verbose);
    let out = match Out::start() {
        Ok(out) => out,
        Err(error) => return refuse(&Failure::other("system", &error)),
    };
    if let Command::Netcheck { profile, timeouts } = &command {
        // Nobody registers: the id is nobody's and not told.
        let report = Report::new(common.json, out.clone(), SecretKey::generate().id(), started);
        let result = tokio::select! {
            biased;
            result = stopped(&report.out) => result,
            result = netcheck::run(&common, profile.as_deref(), timeouts.map(Duration::from_secs), &report) => result,
        };
        let code = match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                report.failed(&failure);
                failure.exit.into()
            }
        };
        drop(report);
        out.finish().await;
        return code;
    }
    let key = match key(&common) {
        Ok(key) => key,
        Err(failure) => return refuse(&failure),
    };
    let report = Report::new(common.json, out.clone(), key.id(), started);
    if matches!(command, Command::Id) {
        out.event(format!("{}\n", key.id()).into_bytes());
        drop(report);
        out.finish().await;
        return ExitCode::SUCCESS;
    }
    let code = run_node(&common, command, key, &report).await;
    drop(report);
    out.finish().await;
    code
}

/// Starts a node, runs the command on it, and ends the node.
async fn run_node(common: &Common, command: Command, key: SecretKey, report: &Report) -> ExitCode {
    let result = tokio::select! {
        node = bind(common, &command, key) => node.map(Some),
        result = stopped(&report.out) => result.map(|()| None),
    };
    let node = match result {
        Ok(Some(node)) => node,
        Ok(None) => return ExitCode::SUCCESS,
        Err(failure) => {
            report.failed(&failure);
            return failure.exit.into();
        }
    };
    let mut feed = Feed::new(node.events(), report.clone());
    let result = tokio::select! {
        biased;
        result = stopped(&report.out) => result,
        result = run_command(common, command, &node, &mut feed) => result,
    };
    node.shutdown().await;
    feed.drain();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report.failed(&failure);
            failure.exit.into()
        }
    }
}

async fn run_command(common: &Common, command: Command, node: &Node, feed: &mut Feed) -> Result<(), Failure> {
    let transport = common.transport.connected();
    match command {
        Command::Id | Command::Netcheck { .. } => Ok(()),
        Command::Listen { echo, .. } => listen::run(node, feed, echo).await,
        Command::Connect { peer } => connect::run(node, feed, peer, transport).await,
        Command::Ping(ping) => ping::run(node, feed, &ping, transport, common.relay.into()).await,
    }
}

async fn bind(common: &Common, command: &Command, key: SecretKey) -> Result<Node, Failure> {
    let Some(server) = common.server.clone() else {
        let text = "--server URL is required (or the environment variable PINHOLE_SERVER)";
        let mut cli = Cli::command();
        cli.error(clap::error::ErrorKind::MissingRequiredArgument, text).exit();
    };
    let accept = match command {
        Command::Listen { allow, .. } if allow.is_empty() => Accept::Anybody,
        Command::Listen { allow, .. } => Accept::Only(allow.clone()),
        Command::Id | Command::Netcheck { .. } | Command::Connect { .. } | Command::Ping(_) => Accept::Nobody,
    };
    let key_file = paths::key_file(common)?;
    let mut builder = Node::builder(server)
        .key(key)
        .known_servers(key_file.with_file_name("known-servers"))
        .transports(common.transport.registered())
        .relay(common.relay.into())
        .strategies(StrategyArg::set(&common.strategies))
        .birthday(common.birthday)
        .accept(accept)
        .port(common.port);
    if let Some(path) = &common.trace {
        let file = File::create(path).map_err(|error| {
            Failure::new(Exit::Usage, "usage", format!("cannot create the trace file {}: {error}", path.display()))
        })?;
        builder = builder.trace(file);
    }
    Ok(builder.bind().await?)
}

/// Waits until the node is registered. When it was and comes to an end later, [`ended`] tells.
async fn online(node: &Node, feed: &mut Feed) -> Result<Status, Failure> {
    let result = feed.during(node.online()).await;
    feed.drain();
    Ok(result?)
}

/// Waits for what a node does not recover from.
async fn ended(node: &Node) -> Failure {
    use pinhole_peer::Trouble;
    let mut status = node.watch_status();
    let fatal = |s: &Status| !matches!(s.trouble, None | Some(Trouble::ServerUnreachable));
    match status.wait_for(fatal).await.map(|status| status.trouble.clone()) {
        Ok(Some(trouble)) => trouble.into(),
        Ok(None) | Err(_) => Trouble::Stopped.into(),
    }
}

fn key(common: &Common) -> Result<SecretKey, Failure> {
    let path = paths::key_file(common)?;
    SecretKey::load_or_create(path).map_err(|error| Failure::usage(&error))
}

/// Waits for a reason to end that is none of the command's: SIGINT, SIGTERM, or that nobody reads
/// standard output any more.
async fn stopped(out: &Out) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::other("system", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        kind = out.broken() => match kind {
            io::ErrorKind::BrokenPipe => {}
            kind => return Err(Failure::other("stdout", &io::Error::from(kind))),
        },
    }
    Ok(())
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// Ends before there is anybody to report.
fn refuse(failure: &Failure) -> ExitCode {
    eprintln!("pinhole-peer: {}", failure.message);
    failure.exit.into()
}
