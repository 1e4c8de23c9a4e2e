//! A lab with a server that can be killed, and peers.

use std::cell::Cell;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use pinhole_lab::trial::{Over, Running, is, now_us, text};
use pinhole_lab::{Lab, Line, NatKind, Topology};
use pinhole_proto::constants::DEFAULT_PORT;
use pinhole_proto::url::ServerUrl;
use serde_json::Value;

use super::Context;

/// A network, its server while there is one, and what peers are told.
pub(crate) struct Setting<'a> {
    pub(crate) server: Option<Running>,
    pub(crate) url: String,
    context: &'a Context,
    over: Over,
    /// What the server is started with, beside what every check needs.
    server_options: Vec<String>,
    programs_started: Cell<u32>,
    // Last: whoever runs in it ends before.
    pub(crate) lab: Lab,
}

impl<'a> Setting<'a> {
    /// Builds the network and starts the server.
    pub(crate) fn new(context: &'a Context, topology: &Topology, over: Over) -> anyhow::Result<Self> {
        Self::in_lab(context, Lab::build(topology)?, over)
    }

    /// As [`new`](Self::new), in a lab that is there.
    pub(crate) fn in_lab(context: &'a Context, lab: Lab, over: Over) -> anyhow::Result<Self> {
        Self::with_server(context, lab, over, &[])
    }

    /// As [`in_lab`](Self::in_lab), with a server that listens at its second address, too.
    pub(crate) fn with_alternates(context: &'a Context, lab: Lab, over: Over) -> anyhow::Result<Self> {
        let second = lab.addresses("s")?.get(1).context("the server has one address")?.to_string();
        Self::with_server(context, lab, over, &["--alternate-listen", &second])
    }

    /// As [`in_lab`](Self::in_lab), with more options for the server.
    pub(crate) fn with_server(
        context: &'a Context,
        lab: Lab,
        over: Over,
        server_options: &[&str],
    ) -> anyhow::Result<Self> {
        let mut setting = Self {
            lab,
            context,
            over,
            server: None,
            url: String::new(),
            server_options: server_options.iter().map(ToString::to_string).collect(),
            programs_started: Cell::new(0),
        };
        setting.start_server()?;
        Ok(setting)
    }

    /// Starts the server, and returns the moment at which it had said that it listens.
    pub(crate) fn start_server(&mut self) -> anyhow::Result<u64> {
        let address = self.address("s")?.to_string();
        let mut command = self.lab.command("s", &self.context.programs.server)?;
        command.args(["--json", "--listen", &address, "--host", &address, "--key-file"]);
        command.arg(self.context.directory.join("server.key")).args(&self.server_options);
        self.observe(&mut command, "server")?;
        let mut server = Running::start("pinhole-server", command)?;
        server.wait_for("listening", START, |value| {
            let ours = text(value, "local").ends_with(&format!(":{DEFAULT_PORT}"));
            (is(value, "listening") && value["transport"] == self.listening().name() && ours).then_some(())
        })?;
        let listening = now_us();
        self.url = text(&server.event("url", START)?, "url");
        self.server = Some(server);
        Ok(listening)
    }

    /// SIGKILL, and nothing left of it when this returns.
    pub(crate) fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts a peer on a host.
    pub(crate) fn peer(&self, host: &str, key: &str, arguments: &[&str]) -> anyhow::Result<Running> {
        self.peer_of(&self.url, host, key, arguments)
    }

    /// Starts a peer of another server.
    pub(crate) fn peer_of(&self, url: &str, host: &str, key: &str, arguments: &[&str]) -> anyhow::Result<Running> {
        let mut command = self.lab.command(host, &self.context.programs.peer)?;
        command.args(arguments);
        command.args(["--json", "--server", url, "--transport", self.over.name(), "--port", PORT, "--key-file"]);
        command.arg(self.context.directory.join(format!("{key}.key")));
        self.observe(&mut command, host)?;
        Ok(Running::start("pinhole-peer", command)?)
    }

    /// Starts a peer that listens, and waits until it is registered; it and its id.
    pub(crate) fn listener(&self, host: &str, arguments: &[&str]) -> anyhow::Result<(Running, String)> {
        let mut peer = self.peer(host, host, &[&["listen", "--echo"], arguments].concat())?;
        let id = text(&peer.event("online", START)?, "id");
        Ok((peer, id))
    }

    /// A listener on B and a session from A to it that uses a direct path on both sides; A, B.
    pub(crate) fn direct_session(&self) -> anyhow::Result<(Running, Running)> {
        let (mut b, id) = self.listener("b", &[])?;
        let mut a = self.peer("a", "a", &["connect", &id])?;
        for peer in [&mut a, &mut b] {
            peer.wait_for("a direct path", START, |value| {
                (is(value, "selected") && value["kind"] != "relayed").then_some(())
            })?;
        }
        Ok((a, b))
    }

    pub(crate) fn address(&self, host: &str) -> anyhow::Result<IpAddr> {
        Ok(self.lab.address(host)?)
    }

    /// The server's main endpoint.
    pub(crate) fn server_endpoint(&self) -> anyhow::Result<SocketAddr> {
        Ok(SocketAddr::new(self.address("s")?, DEFAULT_PORT))
    }

    /// The server's key, out of its URL.
    pub(crate) fn server_key(&self) -> anyhow::Result<pinhole_proto::ServerKey> {
        self.url.parse::<ServerUrl>().map_err(anyhow::Error::msg)?.key.context("the server's URL has no key")
    }

    fn listening(&self) -> Over {
        if self.over == Over::Tcp { Over::Tcp } else { Over::Udp }
    }

    /// Sends logs, and traces if wanted, to files.
    fn observe(&self, command: &mut Command, host: &str) -> anyhow::Result<()> {
        let number = self.programs_started.replace(self.programs_started.get() + 1);
        let Some(traces) = &self.context.traces else {
            command.stderr(Stdio::null());
            return Ok(());
        };
        command.stderr(File::create(traces.join(format!("{number}-{host}.log")))?);
        command.arg("-v").arg("--trace").arg(traces.join(format!("{number}-{host}.jsonl")));
        Ok(())
    }
}

/// Sends a line and waits until it has come back; milliseconds.
pub(crate) fn exchange(peer: &mut Running, line: &str) -> anyhow::Result<f64> {
    let begin = now_us();
    peer.write_line(line)?;
    let mut received = String::new();
    peer.wait_for(&format!("the echo of {line:?}"), START, |value| {
        if is(value, "data") {
            received.push_str(&text(value, "text"));
        }
        received.contains(line).then_some(())
    })?;
    Ok((now_us() - begin) as f64 / 1_000.0)
}

/// That nothing of these names was said after a moment.
pub(crate) fn silent_about(peer: &mut Running, names: &[&str], moment: u64) -> anyhow::Result<()> {
    let said = peer
        .said()
        .iter()
        .find(|value| value["t_us"].as_u64().is_some_and(|at| at > moment) && names.iter().any(|name| is(value, name)));
    said.map_or(Ok(()), |value| bail!("it said {value}"))
}

/// Ends a peer by the end of its input, and wants the exit code 0.
pub(crate) fn end(mut peer: Running) -> anyhow::Result<Vec<Value>> {
    peer.close_input();
    let (events, status) = peer.finish(START)?;
    ensure!(status.code() == Some(0), "exit {status}, after {}", tail(&events));
    Ok(events)
}

/// The last things that a program said.
pub(crate) fn tail(events: &[Value]) -> String {
    let from = events.len().saturating_sub(3);
    events[from..].iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
}

/// Milliseconds between two moments.
pub(crate) fn millis(from: u64, to: &Value) -> f64 {
    to["t_us"].as_u64().unwrap_or(u64::MAX).saturating_sub(from) as f64 / 1_000.0
}

/// Two NATs that give another port than the private one, and lines of 5 ms.
pub(crate) fn two_nats() -> Topology {
    with(NatKind::PortRestrictedOtherPort, pinhole_lab::Kind::TwoNats)
}

/// A network whose NATs are of one kind, and lines of 5 ms.
pub(crate) fn with(nat: NatKind, kind: pinhole_lab::Kind) -> Topology {
    let line = Line::with_delay(Duration::from_millis(5));
    Topology { nat_a: nat, nat_b: nat, nat_isp: nat, line_a: line, line_b: line, ..Topology::new(kind) }
}

/// How long a program may take to say what it is to say at once. Long, since two cores may be busy.
pub(crate) const START: Duration = Duration::from_secs(15);

const PORT: &str = "4321";
