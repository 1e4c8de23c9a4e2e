//! One connection in a lab: the reference server, a peer that listens, a peer that connects, and what
//! they say about it as JSON lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::Value;

use crate::error::LabError;
use crate::lab::Lab;
use crate::topology::Topology;

/// The reference binaries.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `pinhole-server`.
    pub server: PathBuf,
    /// `pinhole-peer`.
    pub peer: PathBuf,
    /// Further options of every peer.
    pub options: Vec<String>,
}

/// What `--transport` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Over {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// Whatever works.
    Auto,
}

impl Over {
    /// The word for the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Auto => "auto",
        }
    }
}

/// A program that was started in a lab and speaks JSON lines. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    child: Child,
    lines: Receiver<Value>,
    /// Everything that it said so far.
    said: Vec<Value>,
}

impl Running {
    /// Starts a command whose standard output is JSON lines.
    ///
    /// # Errors
    ///
    /// Whatever the system answers.
    pub fn start(name: &'static str, mut command: Command) -> Result<Self, LabError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| LabError::io(format!("start {name}"), error))?;
        let output = child.stdout.take().ok_or_else(|| LabError::NoSuch(format!("output of {name}")))?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name, child, lines, said: Vec::new() })
    }

    /// Waits until the program says something of which `wanted` makes a value.
    ///
    /// # Errors
    ///
    /// [`LabError::Silent`] with all that it said, when it ended or time is over before that.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T, LabError> {
        if let Some(found) = self.said.iter().find_map(&mut wanted) {
            return Ok(found);
        }
        let end = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(value) => {
                    let found = wanted(&value);
                    self.said.push(value);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let said = self.said.iter().map(Value::to_string).collect::<Vec<_>>().join("\n  ");
                    return Err(LabError::Silent { program: self.name, what: what.to_owned(), said });
                }
            }
        }
    }

    /// Waits for an event of this name.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Self::wait_for).
    pub fn event(&mut self, name: &str, patience: Duration) -> Result<Value, LabError> {
        self.wait_for(name, patience, |value| is(value, name).then(|| value.clone()))
    }

    /// Waits for an event of this name that happened after a moment, which [`now_us`] counts.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Self::wait_for).
    pub fn event_after(&mut self, name: &str, moment: u64, patience: Duration) -> Result<Value, LabError> {
        let later = |value: &Value| value["t_us"].as_u64().is_some_and(|at| at > moment);
        self.wait_for(name, patience, |value| (is(value, name) && later(value)).then(|| value.clone()))
    }

    /// Everything that it said so far.
    pub fn said(&mut self) -> &[Value] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Takes its standard input, for a thread that writes more than the program reads at once.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    ///
    /// Whatever the system answers.
    pub fn write_line(&mut self, line: &str) -> Result<(), LabError> {
        let doing = || format!("write to {}", self.name);
        let input = self.child.stdin.as_mut().ok_or_else(|| LabError::NoSuch(format!("input of {}", self.name)))?;
        writeln!(input, "{line}").and_then(|()| input.flush()).map_err(|error| LabError::io(doing(), error))
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// Reads until the program closes its output; then everything that it said, and how it ended.
    ///
    /// # Errors
    ///
    /// [`LabError::Silent`] when it does not end in time.
    pub fn finish(mut self, patience: Duration) -> Result<(Vec<Value>, ExitStatus), LabError> {
        let end = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(value) => self.said.push(value),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.wait_for("the end", Duration::ZERO, |_| None::<()>)?;
                }
            }
        }
        let name = self.name;
        loop {
            let status = self.child.try_wait().map_err(|error| LabError::io(format!("wait for {name}"), error))?;
            if let Some(status) = status {
                return Ok((std::mem::take(&mut self.said), status));
            }
            if Instant::now() >= end {
                self.wait_for("its exit, after its output has ended", Duration::ZERO, |_| None::<()>)?;
            }
            std::thread::sleep(MOMENT);
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server and a listening peer in a lab; peers that connect come and go.
#[derive(Debug)]
pub struct Meeting {
    /// The network.
    pub lab: Lab,
    /// The server.
    pub server: Running,
    /// The peer that listens, with its id.
    pub b: Running,
    id: String,
    url: String,
    over: Over,
    programs: Programs,
    directory: PathBuf,
}

impl Meeting {
    /// Builds the network, starts server and listening peer, and waits until both are there.
    ///
    /// # Errors
    ///
    /// What building a lab answers, and [`LabError::Silent`].
    pub fn new(topology: &Topology, over: Over, programs: &Programs, directory: &Path) -> Result<Self, LabError> {
        Self::with_echo(topology, over, programs, directory, true)
    }

    /// As [`new`](Self::new), with a listening peer that echoes or does not.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_echo(
        topology: &Topology,
        over: Over,
        programs: &Programs,
        directory: &Path,
        echo: bool,
    ) -> Result<Self, LabError> {
        Self::start(Lab::build(topology)?, over, programs, directory, echo)
    }

    /// As [`new`](Self::new), in a lab that is there.
    ///
    /// # Errors
    ///
    /// [`LabError::Silent`].
    pub fn in_lab(lab: Lab, over: Over, programs: &Programs, directory: &Path) -> Result<Self, LabError> {
        Self::start(lab, over, programs, directory, true)
    }

    fn start(lab: Lab, over: Over, programs: &Programs, directory: &Path, echo: bool) -> Result<Self, LabError> {
        std::fs::create_dir_all(directory).map_err(|error| LabError::io("make a directory for keys", error))?;
        let (server, url) = start_server(&lab, programs, directory)?;
        let mut command = lab.command("b", &programs.peer)?;
        command.arg("listen");
        if echo {
            command.arg("--echo");
        }
        // The far end of an automatic choice takes both, so that the near end's network decides.
        command.args(&programs.options);
        common(&mut command, &url, over, directory, "b");
        let mut b = Running::start("pinhole-peer listen", command)?;
        let online = b.event("online", START)?;
        if over == Over::Auto {
            b.wait_for("online over TCP", START, |value| {
                (is(value, "online") && value["transport"] == "tcp").then_some(())
            })?;
        }
        let id = text(&online, "id");
        Ok(Self { lab, server, b, id, url, over, programs: programs.clone(), directory: directory.to_path_buf() })
    }

    /// The listening peer's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts the server again after it was killed.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn restart_server(&mut self) -> Result<(), LabError> {
        self.server = start_server(&self.lab, &self.programs, &self.directory)?.0;
        Ok(())
    }

    /// Starts a peer on a host with these arguments in front of the common ones.
    ///
    /// # Errors
    ///
    /// Whatever the system answers.
    pub fn peer(&self, host: &str, key: &str, arguments: &[&str]) -> Result<Running, LabError> {
        let mut command = self.lab.command(host, &self.programs.peer)?;
        command.args(arguments).args(&self.programs.options);
        common(&mut command, &self.url, self.over, &self.directory, key);
        Running::start("pinhole-peer", command)
    }

    /// Has A measure its way to B.
    ///
    /// # Errors
    ///
    /// [`LabError::Silent`].
    pub fn ping(&self, settle: Duration) -> Result<Outcome, LabError> {
        let mut a = self.peer("a", "a", &["ping", &self.id, "--hold", "--timeout", PING_TIMEOUT])?;
        a.event("online", START)?;
        // The bars count from a moment at which both have been registered for a while.
        std::thread::sleep(settle);
        self.lab.wire("a")?.clear();
        a.write_line("go")?;
        self.outcome(a, PING)
    }

    /// Waits for the end of a peer on A, and makes an outcome of what it said.
    ///
    /// # Errors
    ///
    /// [`LabError::Silent`].
    pub fn outcome(&self, a: Running, patience: Duration) -> Result<Outcome, LabError> {
        let (events, status) = a.finish(patience)?;
        let mut outcome = Outcome::from_events(events);
        outcome.code = status.code();
        outcome.wire = outcome.direct.as_ref().zip(outcome.direct_ms).and_then(|(path, ms)| {
            let to = at(path["t_us"].as_u64()?);
            let from = to.checked_sub(Duration::from_secs_f64(ms / 1_000.0))?;
            let totals = self.lab.wire("a").ok()?.between(from, to);
            Some((totals.packets(), totals.octets()))
        });
        Ok(outcome)
    }
}

fn start_server(lab: &Lab, programs: &Programs, directory: &Path) -> Result<(Running, String), LabError> {
    let address = lab.address("s")?.to_string();
    let mut command = lab.command("s", &programs.server)?;
    command.env("RUST_LOG", "warn");
    command.args(["--json", "--listen", &address, "--host", &address, "--key-file"]).arg(directory.join("server.key"));
    // By a second address peers tell address-dependent mappings from endpoint-independent ones.
    if let [_, second, ..] = lab.addresses("s")?[..] {
        command.arg("--alternate-listen").arg(second.to_string());
    }
    let mut server = Running::start("pinhole-server", command)?;
    let url = text(&server.event("url", START)?, "url");
    Ok((server, url))
}

fn common(command: &mut Command, url: &str, over: Over, directory: &Path, key: &str) {
    command.args(["--json", "--server", url, "--transport", over.name(), "--port", "4321", "--key-file"]);
    command.arg(directory.join(format!("{key}.key")));
}

/// What A's measurement brought.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first direct path that was heard at A: its event.
    pub direct: Option<Value>,
    /// Milliseconds from the command to that.
    pub direct_ms: Option<f64>,
    /// The transport of the session.
    pub transport: String,
    /// Milliseconds from the command to the first echo.
    pub echo_ms: Option<f64>,
    /// Why there was no direct path.
    pub verdict: Option<String>,
    /// IP packets and octets on A's wire between the command and the direct path.
    pub wire: Option<(u64, u64)>,
    /// The exit code.
    pub code: Option<i32>,
    /// Everything that A said.
    pub events: Vec<Value>,
}

impl Outcome {
    /// Reads the events of a peer that connected.
    #[must_use]
    pub fn from_events(events: Vec<Value>) -> Self {
        let find = |name: &str| events.iter().find(|value| is(value, name));
        let verdict = find("verdict").or_else(|| find("failed")).map(|value| text(value, "code"));
        let direct = |value: &&Value| is(value, "path") && value["kind"] != "relayed" && value["state"] != "untried";
        let proved = events.iter().filter(direct).any(|value| value["state"] == "proved");
        // What was heard on a path that goes one way only is not a direct session; its verdict says so.
        let direct = events.iter().find(direct).filter(|_| proved || verdict.is_none()).cloned();
        Self {
            direct_ms: direct.as_ref().and_then(|path| path["ms"].as_f64()),
            transport: find("introduced").map(|value| text(value, "transport")).unwrap_or_default(),
            echo_ms: find("echo").and_then(|value| value["ms"].as_f64()),
            verdict,
            wire: None,
            code: None,
            direct,
            events,
        }
    }

    /// The line that people read, such as `direct 155.99.25.11:62000 <-> 138.76.29.7:31000 after 101 ms`.
    #[must_use]
    pub fn line(&self) -> String {
        match (&self.direct, self.direct_ms) {
            (Some(path), Some(ms)) => {
                let near = if path["mapped"].is_string() { text(path, "mapped") } else { text(path, "local") };
                format!("direct {near} <-> {} after {ms:.0} ms", text(path, "remote"))
            }
            _ => match (&self.verdict, self.echo_ms) {
                (Some(verdict), Some(ms)) => format!("relayed ({verdict}), first echo after {ms:.0} ms"),
                (Some(verdict), None) => format!("failed ({verdict})"),
                (None, _) => "nothing was reached".to_owned(),
            },
        }
    }
}

/// Whether a line is an event of this name.
#[must_use]
pub fn is(value: &Value, name: &str) -> bool {
    value["event"] == name
}

/// A field's text, or nothing.
#[must_use]
pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// `CLOCK_MONOTONIC` in microseconds, which is what programs call `t_us`.
#[must_use]
pub fn now_us() -> u64 {
    let reading = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(reading.as_micros()).unwrap_or(u64::MAX)
}

/// The moment of a reading of CLOCK_MONOTONIC in microseconds, which is what this system's `Instant` counts.
pub(crate) fn at(micros: u64) -> Instant {
    let now = Instant::now();
    let reading = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    now.checked_sub(reading.saturating_sub(Duration::from_micros(micros))).unwrap_or(now)
}

/// From one look at a program that is about to end to the next.
const MOMENT: Duration = Duration::from_millis(2);
/// How long a program may take to say that it is there.
const START: Duration = Duration::from_secs(15);
/// How long A tries, in seconds: attempts that guess come after plain ones.
const PING_TIMEOUT: &str = "25";
/// How long a measurement may take.
const PING: Duration = Duration::from_secs(40);
