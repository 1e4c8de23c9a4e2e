//! From start to stop.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, anyhow, bail};
use pinhole_driver::{Clock, Sharing, key_file, resolve};
use pinhole_proto::server::{Limits, ServerConfig};
use pinhole_proto::url::ServerUrl;
use pinhole_proto::{Endpoint, ServerKey, noise};
use pinhole_trace::{Engine, Header};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::carrier::{Carrier, Order};
use crate::options::Options;
use crate::report::Report;
use crate::shard::{Shard, Word};
use crate::state::{boot_number, default_key_file};

/// Serves until a signal says to stop.
pub(crate) async fn serve(options: &Options, addresses: Option<[IpAddr; 2]>) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let key_path = options.key_file.clone().map_or_else(default_key_file, Ok)?;
    let secret = key_file::load_or_create(&key_path)?;
    let host = options.host.clone().map_or_else(|| default_host(options.listen), Ok)?;
    let x25519 = Arc::new(noise::Dalek);
    let key = noise::public_key(&*x25519, &secret);
    let engines = options.engines();
    let mut config = ServerConfig {
        secret,
        port: options.port,
        alternate_port: options.alternate_port,
        alternates: alternates(options).await,
        addresses,
        ipv6: options.ipv6(),
        relay: !options.no_relay,
        shard: 0,
        shards: engines,
        boot: boot_number(&key_path),
        limits: Limits::from(&options.limits).share(engines),
        x25519,
    };
    let (carrier, inboxes) = Carrier::new(engines);
    let carrier = Arc::new(carrier);
    let report = Arc::new(Mutex::new(Report::new(options.json)));
    let clock = Clock::start();
    let (ended, mut endings) = mpsc::unbounded_channel();

    let mut threads = Vec::new();
    let mut early = Vec::new();
    for (shard, inbox) in (0..).zip(inboxes) {
        config.shard = shard;
        let seed = pinhole_driver::seed();
        let trace = match &options.trace {
            Some(path) => Some(open_trace(path, key, (shard, engines), options.trace_seed.then_some(&seed))?),
            None => None,
        };
        let sharing = match (engines, shard) {
            (1, _) => Sharing::Alone,
            (_, 0) => Sharing::First,
            _ => Sharing::Further,
        };
        let bind = options.listen.into_iter().chain(options.alternate_listen).collect();
        let driver = pinhole_driver::Options { bind, sharing, clock: Some(clock), trace, watch_interfaces: false };
        let (config_here, carrier, report) = (config.clone(), Arc::clone(&carrier), Arc::clone(&report));
        let engine = Shard { config: config_here, seed, options: driver, inbox, carrier, report };
        let (words, said) = std::sync::mpsc::channel();
        let ended = ended.clone();
        let thread =
            thread::Builder::new().name(format!("engine-{shard}")).spawn(move || engine.run(&words, &ended))?;
        // The first one finds the numbers of the ports where any will do; the others have the same.
        match said.recv()? {
            Word::Ports(listening, events) => {
                (config.port, config.alternate_port) = listening.ports()?;
                if shard == 0 {
                    early = events;
                }
            }
            Word::Ended(result) => {
                result?;
                bail!("an engine ended before it had its ports");
            }
        }
        threads.push((thread, said));
    }

    let said = || report.lock().unwrap_or_else(PoisonError::into_inner);
    // The URL is the first line, and it is printed when it works.
    let url = ServerUrl { key: Some(key), host, port: config.port };
    said().url(&url);
    tracing::info!(%url, engines, "serving");
    for event in early {
        said().event(0, &event);
    }
    loop {
        tokio::select! {
            () = signals.stop.next() => break,
            _ = signals.tables.recv() => {
                for shard in 0..engines {
                    carrier.order(shard, Order::Tables);
                }
            }
            // No engine ends by itself: what it failed of is told below.
            _ = endings.recv() => break,
        }
    }
    tracing::info!("stopping");
    for shard in 0..engines {
        carrier.order(shard, Order::Stop);
    }
    drop(ended);
    let all_ended = async { while endings.recv().await.is_some() {} };
    tokio::select! {
        () = signals.stop.next() => {
            tracing::warn!("stopped at once");
            return Ok(());
        }
        () = all_ended => {}
    }
    for (thread, said) in threads {
        let result = said.into_iter().find_map(|word| match word {
            Word::Ended(result) => Some(result),
            Word::Ports(..) => None,
        });
        result.unwrap_or_else(|| Err(anyhow!("an engine died")))?;
        let _ = thread.join();
    }
    tracing::info!(dropped = carrier.dropped(), "stopped");
    said().stopped();
    Ok(())
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

/// The trace of an engine; where there are several each has a file of its own, `FILE.0` and so on, because a
/// transcript is one engine's.
fn open_trace(
    path: &Path,
    key: ServerKey,
    (shard, engines): (u8, u8),
    seed: Option<&[u8; 32]>,
) -> anyhow::Result<Box<dyn Write + Send>> {
    let mut name = path.as_os_str().to_owned();
    if engines > 1 {
        name.push(format!(".{shard}"));
    }
    let path = Path::new(&name);
    let mut header = Header::new(Engine::Server, concat!("pinhole-server ", env!("CARGO_PKG_VERSION")));
    header.id = Some(key.to_string());
    header.shard = (engines > 1).then_some(pinhole_trace::Shard { number: shard, of: engines });
    header.seed = seed.map(|seed| seed.as_slice().into());
    let open = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(header.to_line().as_bytes())?;
        Ok::<_, std::io::Error>(file)
    };
    let file = open().with_context(|| format!("cannot write the trace to {}", path.display()))?;
    Ok(Box::new(file))
}

/// What this program listens to: SIGINT and SIGTERM end it, SIGUSR1 asks for the tables.
struct Signals {
    stop: Stop,
    tables: Signal,
}

/// SIGINT and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let stop = Stop { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? };
        Ok(Self { stop, tables: signal(SignalKind::user_defined1())? })
    }
}

impl Stop {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
