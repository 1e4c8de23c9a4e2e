//! From start to stop.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pinhole_driver::{Driver, key_file, resolve, trace};
use pinhole_proto::server::{Server, ServerCommand, ServerConfig, ServerEvent};
use pinhole_proto::url::ServerUrl;
use pinhole_proto::{Endpoint, Instant, noise};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::listening::Listening;
use crate::options::Options;
use crate::report::Report;
use crate::state::{boot_number, default_key_file};

/// Serves until a signal says to stop.
pub(crate) async fn serve(options: &Options, addresses: Option<[IpAddr; 2]>) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let key_path = options.key_file.clone().map_or_else(default_key_file, Ok)?;
    let secret = key_file::load_or_create(&key_path)?;
    let host = options.host.clone().map_or_else(|| default_host(options.listen), Ok)?;
    let seed = pinhole_driver::seed();
    let x25519 = Arc::new(noise::Dalek);
    let key = noise::public_key(&*x25519, &secret);
    let config = ServerConfig {
        secret,
        port: options.port,
        alternate_port: options.alternate_port,
        alternates: alternates(options).await,
        addresses,
        ipv6: options.ipv6(),
        relay: !options.no_relay,
        shard: 0,
        shards: 1,
        boot: boot_number(&key_path),
        limits: (&options.limits).into(),
        x25519,
    };
    let trace = match &options.trace {
        Some(path) => Some(open_trace(path, options.trace_seed.then_some(&seed))?),
        None => None,
    };
    let driver_options = pinhole_driver::Options {
        bind: options.listen.into_iter().chain(options.alternate_listen).collect(),
        trace,
        watch_interfaces: false,
    };
    let mut driver = Driver::new(Server::new(config, seed, Instant::ZERO), driver_options)?;
    let mut report = Report::new(options.json);

    // The URL is the first line, and it is printed when it works.
    let mut listening = Listening::new(options.port, options.alternate_port, options.ipv6());
    let mut early = Vec::new();
    while !listening.is_decided() {
        driver
            .step(&mut |event| match event {
                ServerEvent::Listening { transport, socket, local } => {
                    listening.on_open(transport, local);
                    early.push(ServerEvent::Listening { transport, socket, local });
                }
                ServerEvent::ListenFailed { transport, port, error } => {
                    listening.on_failed(transport, port, error);
                    early.push(ServerEvent::ListenFailed { transport, port, error });
                }
                other => tracing::debug!(?other, "an event before the ports are open"),
            })
            .await?;
    }
    let url = ServerUrl { key: Some(key), host, port: listening.main_port()? };
    report.url(&url);
    tracing::info!(%url, "serving");
    for event in early {
        report.event(&event);
    }

    let mut told = |event: ServerEvent<'_>| tell(&mut report, &event);
    loop {
        tokio::select! {
            () = signals.next() => break,
            result = driver.step(&mut told) => result?,
        }
    }
    tracing::info!("stopping");
    driver.note("command", &"shutdown");
    driver.command(ServerCommand::Shutdown)?;
    tokio::select! {
        () = signals.next() => tracing::warn!("stopped at once"),
        result = stop(&mut driver, &mut report) => result?,
    }
    tracing::info!(discards = ?driver.discards(), unsent = driver.unsent(), "stopped");
    Ok(())
}

/// Lets the engine end, and writes out what it still had to say.
async fn stop(driver: &mut Driver<Server>, report: &mut Report) -> anyhow::Result<()> {
    let mut stopped = false;
    while !stopped {
        driver
            .step(&mut |event| {
                stopped |= event == ServerEvent::Stopped;
                tell(report, &event);
            })
            .await?;
    }
    Ok(driver.finish(GRACE).await?)
}

fn tell(report: &mut Report, event: &ServerEvent<'_>) {
    if let ServerEvent::Misdirected { shard, remote, .. } = event {
        tracing::debug!(shard, %remote, "a datagram for an engine that is not here");
        return;
    }
    tracing::debug!(?event);
    report.event(event);
}

/// The server's other endpoints, where it is known under which address each is reached: the other port, then
/// the second address with either port.
async fn alternates(options: &Options) -> Vec<Endpoint> {
    let name = |host: Option<&String>, address: Option<IpAddr>| host.cloned().or_else(|| Some(address?.to_string()));
    let main = name(options.host.as_ref(), options.listen);
    let second = name(options.alternate_host.as_ref(), options.alternate_listen);
    let (main_port, alternate_port) = (options.port, options.alternate_port);
    let mut found = Vec::new();
    for (host, port) in [(main, alternate_port), (second.clone(), main_port), (second, alternate_port)] {
        let (Some(host), 1..) = (host, port) else {
            continue;
        };
        match resolve(&ServerUrl { key: None, host, port }).await {
            Ok(endpoints) => found.extend(endpoints),
            Err(error) => tracing::warn!(%error, "an alternate endpoint is not told: its name does not resolve here"),
        }
    }
    found
}

/// The address listened on; else the first of this machine, a global one if there is one.
fn default_host(listen: Option<IpAddr>) -> anyhow::Result<String> {
    if let Some(listen) = listen.filter(|address| !address.is_unspecified()) {
        return Ok(listen.to_string());
    }
    let found = pinhole_driver::interfaces().context("cannot list the interfaces: name this server with --host")?;
    let addresses = || found.iter().map(|interface| interface.address);
    let best = addresses().find(|address| is_global(*address)).or_else(|| addresses().next());
    Ok(best.unwrap_or_else(|| Ipv4Addr::LOCALHOST.into()).to_string())
}

fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private() || v4.is_link_local() || v4.is_loopback() || shared)
        }
        IpAddr::V6(v6) => !(v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback()),
    }
}

fn open_trace(path: &Path, seed: Option<&[u8; 32]>) -> anyhow::Result<Box<dyn Write + Send>> {
    let open = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(trace::header("server", seed).as_bytes())?;
        Ok::<_, std::io::Error>(file)
    };
    let file = open().with_context(|| format!("cannot write the trace to {}", path.display()))?;
    Ok(Box::new(file))
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// How long closed streams may take to write out what they hold.
const GRACE: Duration = Duration::from_secs(1);
