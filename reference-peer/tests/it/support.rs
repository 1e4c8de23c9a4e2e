//! A server, command lines as children that end with their test, and places for files.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pinhole_driver::{Driver, Options};
use pinhole_proto::Endpoint;
use pinhole_proto::noise::{Dalek, public_key};
use pinhole_proto::server::{Limits, Server, ServerCommand, ServerConfig, ServerEvent};
use serde_json::Value;

/// How long anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server on loopback that ends with its test.
pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) port: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::start_with([7; 32], free_port())
    }

    pub(crate) fn start_with(secret: [u8; 32], port: u16) -> Self {
        Self::start_at(secret, port, false)
    }

    /// With two ports and, on loopback, two addresses that it tells of.
    pub(crate) fn start_for_checks() -> Self {
        Self::start_at([7; 32], free_port(), true)
    }

    fn start_at(secret: [u8; 32], port: u16, tells: bool) -> Self {
        let alternate_port = free_port();
        let [main, second] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(std::net::IpAddr::from);
        let alternates = [Endpoint::new(main, alternate_port), Endpoint::new(second, port)];
        let config = ServerConfig {
            secret,
            port,
            alternate_port,
            alternates: alternates.into_iter().filter(|_| tells).collect(),
            addresses: tells.then_some([main, second]),
            ipv6: false,
            relay: true,
            shard: 0,
            shards: 1,
            boot: 1,
            limits: Limits::default(),
            x25519: Arc::new(Dalek),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, listening) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(config, stopped, &ready));
        });
        listening.recv_timeout(PATIENCE).unwrap();
        let key = public_key(&Dalek, &secret);
        Self { url: format!("pinhole://{key}@127.0.0.1:{port}"), port, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url_without_key(&self) -> String {
        format!("pinhole://127.0.0.1:{}", self.port)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(config: ServerConfig, mut stopped: tokio::sync::oneshot::Receiver<()>, ready: &mpsc::Sender<()>) {
    let engine = Server::new(config, [3; 32], pinhole_proto::Instant::ZERO);
    let mut driver = Driver::new(engine, Options::default()).unwrap();
    let mut listeners = 0;
    let mut on_event = |event: ServerEvent<'_>| match event {
        ServerEvent::Listening { .. } => {
            listeners += 1;
            // UDP and TCP, on the main and on the alternate port.
            if listeners == 4 {
                ready.send(()).unwrap();
            }
        }
        ServerEvent::ListenFailed { port, error, .. } => panic!("port {port}: {error:?}"),
        _ => {}
    };
    loop {
        tokio::select! {
            stepped = driver.step(&mut on_event) => stepped.unwrap(),
            _ = &mut stopped => break,
        }
    }
    driver.command(ServerCommand::Shutdown).unwrap();
    driver.finish(Duration::from_millis(200)).await.unwrap();
}

/// A port that nobody has, UDP and TCP.
pub(crate) fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// A directory that goes with its test.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pinhole-peer-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command line with nothing of the environment that matters.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinhole-peer"));
    command.args(arguments).env_remove("PINHOLE_SERVER").env_remove("RUST_LOG");
    command
}

/// The exit code and both outputs of a command that ends by itself.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    finish(&mut command(arguments))
}

pub(crate) fn finish(command: &mut Command) -> (i32, String, String) {
    let mut running = Running::spawn(command);
    drop(running.stdin.take());
    let status = running.wait();
    let stdout = running.lines.iter().fold(String::new(), |text, line| text + &line + "\n");
    (status.code().unwrap_or(-1), stdout, running.errors.take().map(|thread| thread.join().unwrap()).unwrap())
}

/// A child that is killed with its test.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    errors: Option<thread::JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self { stdin: child.stdin.take(), child, lines, errors: Some(errors) }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// Reads JSON lines up to the next event of this name.
    pub(crate) fn event(&self, name: &str) -> Value {
        loop {
            let event: Value = serde_json::from_str(&self.line()).unwrap();
            if event["event"] == name {
                return event;
            }
            assert_ne!(event["event"], "failed", "{event}");
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the command does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The exit code of a command that ends by itself.
    pub(crate) fn code(&mut self) -> i32 {
        self.wait().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The JSON events of an output.
pub(crate) fn events(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last event of this name.
pub(crate) fn last<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().rev().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name} in {events:#?}"))
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
