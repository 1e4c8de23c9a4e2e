//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory as _, Parser};
use pinhole_proto::constants::{DEFAULT_ALTERNATE_PORT, DEFAULT_PORT};
use pinhole_proto::server::Limits;
use pinhole_proto::url::ServerUrl;

/// Introduces peers behind NATs to each other, and relays for those who cannot connect.
///
/// Prints the pinhole:// URL that peers need on standard output and serves until SIGINT or SIGTERM, which
/// end it in order; a second one ends it at once. Logs go to standard error.
#[derive(Debug, Parser)]
#[command(
    version,
    after_long_help = "Exit codes:\n  0  ended by a signal\n  1  a port is in use, a file cannot be used, or another failure\n  2  wrong usage"
)]
pub(crate) struct Options {
    /// Listen on this address only.
    ///
    /// An IPv4 address turns IPv6 off. With an IPv6 address IPv4 is still served, on every address.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<IpAddr>,

    /// Listen on this second address too, through which peers learn how their NATs behave.
    ///
    /// Another address of this machine, of the same family; what arrives at neither of the two is ignored.
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub(crate) alternate_listen: Option<IpAddr>,

    /// The main port, for UDP and TCP; 0 for any.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,

    /// The second port, for UDP and TCP, through which peers learn how their NATs behave; 0 for any.
    #[arg(long, default_value_t = DEFAULT_ALTERNATE_PORT)]
    pub(crate) alternate_port: u16,

    /// The name or address under which peers reach this server, for the URL.
    ///
    /// Default: the address listened on, else the first address of this machine, a global one if there is one.
    #[arg(long, value_name = "NAME-OR-ADDRESS", value_parser = parse_host)]
    pub(crate) host: Option<String>,

    /// The name or address under which peers reach the second address.
    ///
    /// Default: --alternate-listen.
    #[arg(long, value_name = "NAME-OR-ADDRESS", value_parser = parse_host, requires = "alternate_listen")]
    pub(crate) alternate_host: Option<String>,

    /// The file with the server's secret key; made at the first start, readable for its owner only.
    ///
    /// Default: $XDG_STATE_HOME/pinhole/server.key, or ~/.local/state/pinhole/server.key. A counter of the
    /// starts is kept beside it, in a file that ends in `.boot`.
    #[arg(long, value_name = "PATH")]
    pub(crate) key_file: Option<PathBuf>,

    /// How many engines share the work, each on a thread of its own with its own sockets.
    ///
    /// Default: one for each processor. What peers see does not depend on it. Limits "in all" are divided by it; a
    /// limit per source has room for the chance by which the kernel deals a source's ports out, so that a source
    /// which chooses its ports may reach more: with two engines at most half as much again for the default of 64.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    engines: Option<u8>,

    /// Serve IPv4 only.
    #[arg(long)]
    pub(crate) no_ipv6: bool,

    /// Do not relay: peers connect directly or not at all.
    #[arg(long)]
    pub(crate) no_relay: bool,

    #[command(flatten)]
    pub(crate) limits: LimitOptions,

    /// Print one JSON object a line on standard output: first `url`, then every event.
    ///
    /// Each has the field `event`: url, listening, listen-failed, registered, unregistered, introduced,
    /// relay-opened, relay-closed, tables, stopped. All but the first and the last say which engine's they are, in the
    /// field `shard`. A relay channel between peers of two engines is told by both, each with what its own peer sent.
    /// After SIGUSR1 each engine tells how many entries its `tables` have (without --json, on standard error).
    #[arg(long)]
    pub(crate) json: bool,

    /// Write every input and output of the protocol engine to this file, as JSON lines.
    ///
    /// With several engines each has a file of its own: FILE.0, FILE.1 and so on.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Write the engine's seed to the trace too, so that the run can be repeated.
    ///
    /// Who reads the file can then compute the secrets that this run drew from it.
    #[arg(long, requires = "trace")]
    pub(crate) trace_seed: bool,

    /// Log more; twice for everything. RUST_LOG, where it is set, decides instead.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Bounds on what peers may occupy.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    /// Registrations in all.
    #[arg(long, value_name = "N", default_value_t = Limits::default().registrations)]
    max_registrations: usize,

    /// Registrations per source address (IPv6: /64).
    #[arg(long, value_name = "N", default_value_t = Limits::default().registrations_per_source)]
    max_per_source: usize,

    /// Tries to register a second per source address (IPv6: /64).
    #[arg(long, value_name = "N", default_value_t = Limits::default().registers_per_second)]
    max_registers_per_second: u32,

    /// Registrations that have not proved their source address yet.
    #[arg(long, value_name = "N", default_value_t = Limits::default().pending)]
    max_pending: usize,

    /// Relay channels in all.
    #[arg(long, value_name = "N", default_value_t = Limits::default().channels)]
    max_channels: usize,

    /// Relay channels per peer.
    #[arg(long, value_name = "N", default_value_t = Limits::default().channels_per_peer)]
    max_channels_per_peer: usize,

    /// TCP connections in all.
    #[arg(long, value_name = "N", default_value_t = Limits::default().streams)]
    max_streams: usize,

    /// TCP connections per source address (IPv6: /64).
    #[arg(long, value_name = "N", default_value_t = Limits::default().streams_per_source)]
    max_streams_per_source: usize,

    /// Handshakes a second above which newcomers must prove their source address first.
    #[arg(long, value_name = "N", default_value_t = Limits::default().cookie_above)]
    cookie_above: u32,
}

impl Options {
    /// What is logged when RUST_LOG does not say.
    pub(crate) const fn log_level(&self) -> &'static str {
        match self.verbose {
            0 => "info",
            1 => "debug",
            _ => "trace",
        }
    }

    /// The two addresses listened on, where there are two.
    ///
    /// # Errors
    /// They are not two addresses of one family.
    pub(crate) fn addresses(&self) -> Result<Option<[IpAddr; 2]>, clap::Error> {
        let (Some(main), Some(second)) = (self.listen, self.alternate_listen) else {
            return Ok(None);
        };
        if main == second || main.is_ipv4() != second.is_ipv4() || main.is_unspecified() || second.is_unspecified() {
            let text = "--listen and --alternate-listen are to be two addresses of one family";
            return Err(Self::command().error(ErrorKind::ValueValidation, text));
        }
        Ok(Some([main, second]))
    }

    /// How many engines there are.
    pub(crate) fn engines(&self) -> u8 {
        let processors = || std::thread::available_parallelism().map_or(1, |count| count.get());
        self.engines.unwrap_or_else(|| u8::try_from(processors()).unwrap_or(u8::MAX))
    }

    /// Whether IPv6 is served.
    pub(crate) fn ipv6(&self) -> bool {
        !self.no_ipv6 && !self.listen.is_some_and(|address| address.is_ipv4())
    }
}

impl From<&LimitOptions> for Limits {
    fn from(options: &LimitOptions) -> Self {
        Self {
            registrations: options.max_registrations,
            registrations_per_source: options.max_per_source,
            registers_per_second: options.max_registers_per_second,
            pending: options.max_pending,
            channels: options.max_channels,
            channels_per_peer: options.max_channels_per_peer,
            streams: options.max_streams,
            streams_per_source: options.max_streams_per_source,
            cookie_above: options.cookie_above,
        }
    }
}

/// A host that can stand in a URL; an IPv6 address with or without brackets.
fn parse_host(text: &str) -> Result<String, String> {
    let host = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let url = ServerUrl { key: None, host: host.to_owned(), port: DEFAULT_PORT };
    match url.to_string().parse::<ServerUrl>() {
        Ok(parsed) if parsed == url => Ok(host.to_owned()),
        _ => Err("a host name or an address, without a port".to_owned()),
    }
}
