//! How a node is set up and started.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use pinhole_driver::{Driver, Options, resolve, seed};
use pinhole_proto::constants::{KEEPALIVE, REFRESH};
use pinhole_proto::noise::Dalek;
use pinhole_proto::peer::{Accept, Peer, PeerConfig, RelayPolicy, StrategySet};
use pinhole_proto::url::ServerUrl;
use pinhole_proto::{Duration, Instant, PeerId, ServerKey};
use pinhole_trace::{Engine, Header};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::actor::{self, Ports, Remember};
use crate::key::SecretKey;
use crate::known_servers::{KnownServers, KnownServersError};
use crate::node::{Inner, Node};
use crate::status::Status;

/// The transports that a node registers and connects over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transports {
    /// UDP only: sessions carry datagrams.
    Udp,
    /// TCP only: sessions carry byte streams.
    Tcp,
    /// Both; a session takes UDP where the other peer has it, else TCP.
    #[default]
    Auto,
}

/// Describes a [`Node`]; made by [`Node::builder`].
#[derive(Debug)]
pub struct Builder {
    server: ServerUrl,
    key: Option<SecretKey>,
    known_servers: Option<PathBuf>,
    transports: Transports,
    relay: RelayPolicy,
    accept: Accept,
    address: Option<IpAddr>,
    port: u16,
    probe_private: bool,
    keepalive: Option<Duration>,
    strategies: StrategySet,
    birthday: bool,
    trace: Option<Trace>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The server's host name has no address.
    #[error("cannot resolve {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The URL names no key, and there is no file to look it up in.
    #[error("the server URL names no key, and no file of known servers is set")]
    NoServerKey,
    /// The file of known servers cannot be used.
    #[error(transparent)]
    KnownServers(#[from] KnownServersError),
    /// The trace cannot be written.
    #[error("cannot write the trace: {0}")]
    Trace(#[source] io::Error),
    /// The system gave no thread, clock or sockets.
    #[error("cannot start: {0}")]
    System(#[source] io::Error),
}

impl Builder {
    pub(crate) const fn new(server: ServerUrl) -> Self {
        Self {
            server,
            key: None,
            known_servers: None,
            transports: Transports::Auto,
            relay: RelayPolicy::Allow,
            accept: Accept::Nobody,
            address: None,
            port: 0,
            probe_private: false,
            keepalive: None,
            strategies: StrategySet::ALL,
            birthday: false,
            trace: None,
        }
    }

    /// The peer's private key; without one the node has a key, and so a name, for this time only.
    #[must_use]
    pub fn key(mut self, key: SecretKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The file that remembers the key of a server whose URL names none: see [`KnownServers`].
    #[must_use]
    pub fn known_servers(mut self, path: impl Into<PathBuf>) -> Self {
        self.known_servers = Some(path.into());
        self
    }

    /// The transports; both if nothing is said.
    #[must_use]
    pub const fn transports(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// Whether sessions may use the server's relay; they may if nothing is said.
    #[must_use]
    pub const fn relay(mut self, policy: RelayPolicy) -> Self {
        self.relay = policy;
        self
    }

    /// Whose sessions are accepted; nobody's if nothing is said.
    #[must_use]
    pub fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }

    /// The local address to bind to; all if nothing is said.
    #[must_use]
    pub const fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The local port of UDP and TCP; any if nothing is said.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Probes private endpoints of other peers even without evidence of a shared network.
    #[must_use]
    pub const fn probe_private(mut self, probe: bool) -> Self {
        self.probe_private = probe;
        self
    }

    /// A fixed interval of keepalives on a path that nobody uses, at most 120 s. If nothing is said it is 15 s
    /// at first, and then as long as the NAT on the way is found to wait.
    #[must_use]
    pub const fn keepalive(mut self, interval: Duration) -> Self {
        self.keepalive = Some(interval);
        self
    }

    /// The strategies that attempts may have; all if nothing is said.
    #[must_use]
    pub const fn strategies(mut self, strategies: StrategySet) -> Self {
        self.strategies = strategies;
        self
    }

    /// Takes part in the birthday method against NATs with random ports: some hundred sockets and a thousand
    /// packets, with peers that do so, too.
    #[must_use]
    pub const fn birthday(mut self, birthday: bool) -> Self {
        self.birthday = birthday;
        self
    }

    /// Writes the engine's inputs, outputs and commands there, as JSON lines: see
    /// `spec/trace.md`. Everything that the application sends is in it, in clear.
    #[must_use]
    pub fn trace(mut self, sink: impl io::Write + Send + 'static) -> Self {
        self.trace = Some(Trace(Box::new(sink)));
        self
    }

    /// Looks up the server and starts the node. It registers in the background; see [`Node::online`].
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(self) -> Result<Node, BindError> {
        let (server_key, remember) = self.server_key()?;
        let servers = resolve(&self.server)
            .await
            .map_err(|error| BindError::Resolve { host: self.server.host.clone(), error })?;
        let key = self.key.unwrap_or_else(SecretKey::generate);
        let config = PeerConfig {
            secret: *key.as_octets(),
            server_key,
            servers,
            udp: self.transports != Transports::Tcp,
            tcp: self.transports != Transports::Udp,
            port: self.port,
            relay: self.relay,
            accept: self.accept,
            probe_private: self.probe_private,
            refresh: REFRESH,
            keepalive: self.keepalive.unwrap_or(KEEPALIVE),
            adapt_keepalive: self.keepalive.is_none(),
            strategies: self.strategies,
            birthday: self.birthday,
            x25519: Arc::new(Dalek),
        };
        let mut trace = self.trace.map(|trace| trace.0);
        if let Some(sink) = &mut trace {
            let mut header = Header::new(Engine::Peer, concat!("pinhole-peer ", env!("CARGO_PKG_VERSION")));
            header.id = Some(key.id().to_string());
            header.servers.clone_from(&config.servers);
            sink.write_all(header.to_line().as_bytes()).map_err(BindError::Trace)?;
        }
        let bind = self.address.into_iter().collect();
        let options = Options { bind, trace, watch_interfaces: true, ..Options::default() };
        start(key.id(), self.transports, config, options, remember).await
    }

    /// The key that the server must have, or else where to remember the one that it turns out to have.
    fn server_key(&self) -> Result<(Option<ServerKey>, Remember), BindError> {
        if self.server.key.is_some() {
            return Ok((self.server.key, None));
        }
        let path = self.known_servers.as_ref().ok_or(BindError::NoServerKey)?;
        let known = KnownServers::new(path);
        Ok(match known.find(&self.server)? {
            Some(key) => (Some(key), None),
            None => (None, Some((known, self.server.clone()))),
        })
    }
}

async fn start(
    id: PeerId,
    transports: Transports,
    config: PeerConfig,
    options: Options,
    remember: Remember,
) -> Result<Node, BindError> {
    let (requests, request_receiver) = mpsc::channel(REQUESTS);
    let (signal_sender, signals) = mpsc::unbounded_channel();
    let (incoming_sender, incoming) = mpsc::channel(INCOMING);
    let (events, first_events) = broadcast::channel(EVENTS);
    let (status_sender, status) = watch::channel(Status::default());
    let inner = Inner {
        id,
        transports,
        requests: requests.clone(),
        incoming: tokio::sync::Mutex::new(incoming),
        events: events.downgrade(),
        first_events: Mutex::new(Some(first_events)),
        status,
    };
    let ports = Ports {
        requests: request_receiver,
        weak_requests: requests.downgrade(),
        signals,
        signal_sender,
        incoming: incoming_sender,
        events,
        status: status_sender,
    };
    let (ready, started) = oneshot::channel();
    let body = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            let engine = Peer::new(config, seed(), Instant::ZERO);
            match Driver::new(engine, options) {
                Ok(driver) => {
                    drop(ready.send(Ok(())));
                    actor::run(driver, ports, remember).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    };
    thread::Builder::new().name("pinhole-peer".to_owned()).spawn(body).map_err(BindError::System)?;
    let started = started.await;
    started.unwrap_or_else(|_| Err(io::Error::other("the node's thread ended"))).map_err(BindError::System)?;
    Ok(Node(Arc::new(inner)))
}

/// Where the trace goes.
struct Trace(Box<dyn io::Write + Send>);

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trace")
    }
}

/// Requests on their way to the node's thread.
const REQUESTS: usize = 256;
/// Sessions that wait to be accepted.
const INCOMING: usize = 64;
/// Events that wait for the slowest reader.
const EVENTS: usize = 1_024;
