//! The arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pinhole_peer::{PeerId, RelayPolicy, ServerUrl, Strategy, StrategySet, Transport, Transports};
use pinhole_proto::constants::MAX_SILENCE;

/// Reaches another peer by its key, through NATs on both sides.
///
/// The transport decides the service. Over TCP a session carries a byte stream: standard input and output are
/// the two ends of it. Over UDP each line is a datagram, sent without its line end, unreliably, at most 1,133
/// octets. `auto` takes UDP where both peers have it, else TCP.
#[derive(Debug, Parser)]
#[command(name = "pinhole-peer", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The server, pinhole://KEY@HOST:PORT. Without KEY the first key seen is remembered in
    /// `known-servers` beside the key file, and another one later is refused.
    #[arg(long, global = true, env = "PINHOLE_SERVER", value_name = "URL")]
    pub(crate) server: Option<ServerUrl>,
    /// The transports to register and connect over.
    #[arg(long, global = true, value_enum, default_value_t = TransportArg::Auto)]
    pub(crate) transport: TransportArg,
    /// The file of the private key, made when it is missing
    /// [default: $XDG_STATE_HOME/pinhole/peer.key or ~/.local/state/pinhole/peer.key].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The local port of UDP and TCP, or 0 for any.
    #[arg(long, global = true, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
    /// Whether sessions may use the server's relay.
    #[arg(long, global = true, value_enum, default_value_t = RelayArg::Allow)]
    pub(crate) relay: RelayArg,
    /// The ways to find a direct path that are tried, separated by commas; all if nothing is said.
    #[arg(long, global = true, value_name = "LIST", value_delimiter = ',', value_enum)]
    pub(crate) strategies: Vec<StrategyArg>,
    /// Meet random ports with many sockets: up to 1,500 packets in 5 seconds, if the other peer wants it, too.
    #[arg(long, global = true)]
    pub(crate) birthday: bool,
    /// Write the engine's inputs and outputs there, as JSON lines. What is sent is in it, in clear.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write one JSON object a line to standard output, for each event (see below).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log to standard error; twice for more. `RUST_LOG` decides in detail.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print this peer's id, which others connect to.
    Id,
    /// Accept sessions until interrupted.
    ///
    /// What arrives goes to standard output. Standard input goes to the session that was opened last; it
    /// is read once there is one, and its end ends the byte stream of that session and of later ones. A byte
    /// stream that the other side ended is ended here too.
    Listen {
        /// Send back what arrives instead; standard input is not read.
        #[arg(long)]
        echo: bool,
        /// Accept these peers only; all others learn nothing about this one.
        #[arg(long, value_name = "PEER", num_args = 1..)]
        allow: Vec<PeerId>,
    },
    /// Open a session to a peer and connect it with standard input and output.
    ///
    /// Over TCP the command ends when both directions have ended and the other side has everything, over
    /// UDP one second after the end of standard input, and over both when the other side closes.
    Connect {
        /// The id of the peer.
        peer: PeerId,
    },
    /// Measure a session to a peer that runs `listen --echo`.
    ///
    /// Sends sequence numbers of 8 octets and waits for their echo and for the direct path. It ends when it has
    /// both, or has the echo and a verdict that rules a direct path out, or with the time limit.
    Ping(Ping),
    /// Find out how the NATs between this machine and the server behave.
    ///
    /// Asks from several ports where the server sees them, has the server answer from its other port and its other
    /// address, and sends to its own public endpoint; over TCP the server dials back. Nothing is registered and no key
    /// is needed. It takes up to 10 seconds a transport. Each property is proved, consistent with what was seen, or
    /// unknown; the words are those of RFC 4787, the draft's name stands in parentheses.
    Netcheck {
        /// Write the NAT there, as JSON that the simulator and the lab's model NAT read.
        #[arg(long, value_name = "FILE")]
        profile: Option<PathBuf>,
        /// Measure, too, how long a UDP mapping lives when nothing passes: with silences of up to so many seconds at
        /// once, so that it takes that and ten seconds more, or less where shorter ones tell enough.
        #[arg(
            long,
            value_name = "SECONDS",
            num_args = 0..=1,
            default_missing_value = "150",
            value_parser = clap::value_parser!(u64).range(1..=MAX_SILENCE.as_secs())
        )]
        timeouts: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// The id of the peer.
    pub(crate) peer: PeerId,
    /// Register first, and connect when a line arrives on standard input.
    #[arg(long)]
    pub(crate) hold: bool,
    /// How many echoes to wait for; 0 measures the path only.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) count: u64,
    /// The time from one sequence number to the next, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) interval: u64,
    /// The time limit, in seconds from the connect on.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TransportArg {
    Udp,
    Tcp,
    Auto,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RelayArg {
    /// Relay at once, and leave it for a direct path.
    Allow,
    /// Relay only: no endpoint is told to the other peer.
    Only,
    /// Direct or nothing.
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StrategyArg {
    /// Both sides send to the endpoints that are known.
    Plain,
    /// Ports that follow each other are predicted.
    Predicted,
    /// Many ports meet many sockets; needs --birthday.
    Birthday,
    /// The first packets die on the way, for NATs that mind early packets.
    LowTtl,
    /// TCP: one side after the other, the connection to the server's other port stays.
    TcpSequentialKeep,
    /// TCP: one side after the other, the connection to the server's other port is closed first.
    TcpSequentialClose,
    /// TCP: ports that follow each other are predicted.
    TcpPredicted,
}

impl StrategyArg {
    const fn strategy(self) -> Strategy {
        match self {
            Self::Plain => Strategy::PLAIN,
            Self::Predicted => Strategy::PREDICTED,
            Self::Birthday => Strategy::BIRTHDAY,
            Self::LowTtl => Strategy::LOW_TTL,
            Self::TcpSequentialKeep => Strategy::TCP_SEQUENTIAL_KEEP,
            Self::TcpSequentialClose => Strategy::TCP_SEQUENTIAL_CLOSE,
            Self::TcpPredicted => Strategy::TCP_PREDICTED,
        }
    }

    /// The set of a list; an empty one leaves everything allowed.
    pub(crate) fn set(list: &[Self]) -> StrategySet {
        if list.is_empty() {
            return StrategySet::ALL;
        }
        list.iter().fold(StrategySet::NONE, |set, strategy| set.with(strategy.strategy()))
    }
}

impl TransportArg {
    pub(crate) const fn registered(self) -> Transports {
        match self {
            Self::Udp => Transports::Udp,
            Self::Tcp => Transports::Tcp,
            Self::Auto => Transports::Auto,
        }
    }

    pub(crate) const fn connected(self) -> Option<Transport> {
        match self {
            Self::Udp => Some(Transport::Udp),
            Self::Tcp => Some(Transport::Tcp),
            Self::Auto => None,
        }
    }
}

impl From<RelayArg> for RelayPolicy {
    fn from(relay: RelayArg) -> Self {
        match relay {
            RelayArg::Allow => Self::Allow,
            RelayArg::Only => Self::Only,
            RelayArg::Never => Self::Never,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|limit| !limit.is_zero() && *limit <= MAX_TIMEOUT)
        .ok_or_else(|| "not between 0 and 86400 seconds".to_owned())
}

const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);

const AFTER_HELP: &str = "\
Exit codes:
  0  done, or interrupted (SIGINT, SIGTERM)
  1  anything else
  2  usage: arguments, key file, known-servers, trace file
  3  server unreachable: its name does not resolve, or it did not answer before the first registration
  4  peer not registered
  5  no path: none was found, or none but the relay where --relay never forbids it
  6  authentication: the server's key differs, the other peer did not prove its key, or another
     peer registered with this key (replaced)

JSON events (--json). Each has `t_us`, CLOCK_MONOTONIC in microseconds, and `ms`, milliseconds since the
session was asked for (on the accepting side: since it was introduced; without a session: since the start).
  online       id, transport, private, public: registered; again when the public endpoint changes
  offline      transport, reason
  server-key   key, of a server whose URL names none
  introduced   session, peer, transport, initiator
  established  session, peer, initiator: the other peer has proved its key
  path         session, kind (relayed, private, public), state (heard, proved), transport, local, mapped
               (local as the other side sees it, or null), remote
  selected     session, and the same about the path that data takes from here on
  path-lost    session, and the same about a path that died
  attempt      session, number, strategy, width (ports that are tried, or the TTL): from the second one on
  verdict      session, code, certainty (proved, consistent, unknown), evidence (what it rests on): why there
               is no direct path
  withdrawn    session, code of a verdict that does not hold: a direct path was proved
  data         session, peer, and text, or hex where it is no UTF-8; only listen and connect
  echo         session, seq, rtt_ms; only ping
  result       of ping: session, transport, direct_ms (heard) and echo_ms or null, path (the one in use at
               the end) or null, verdict or null, echoes, sent
  probe        of netcheck: transport, port (counted from 0), from, to, probe, sent, outcome
  netcheck     cone (udp, tcp: the draft's name or null), server, udp and tcp: each null or an object of properties,
               each with value or null, certainty, and evidence (places in observations)
  closed       session, peer, code (verdict, refusal or reason), reason
  failed       code, reason, message, exit: the last line of a command that does not exit with 0
  missed       count of events that are missing here, because this output was read too slowly

Example: PEER=$(pinhole-peer id --key-file b.key); pinhole-peer ping \"$PEER\" --server pinhole://host";
