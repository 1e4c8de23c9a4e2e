//! The binary, from outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]

mod engines;

use std::fs;
use std::io::{BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinhole_proto::url::ServerUrl;
use pinhole_proto::wire::discover::{Discover, Discovered, ReplyFrom};
use pinhole_proto::wire::{List, Packet};

/// A server on ports of the system's choice.
struct Running {
    process: Guarded,
    lines: BufReader<ChildStdout>,
    url: ServerUrl,
}

impl Running {
    fn start(folder: &Path, more: &[&str]) -> Self {
        Self::start_at(folder, &[&["--port", "0", "--listen", "127.0.0.1"], more].concat(), "0")
    }

    fn start_at(folder: &Path, more: &[&str], alternate_port: &str) -> Self {
        let mut process = command(folder)
            .args(["--json", "--alternate-port", alternate_port])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let first = line(&mut lines);
        assert_eq!(first["event"], "url", "the URL comes first: {first}");
        let url = first["url"].as_str().unwrap().parse().unwrap();
        Self { process: Guarded(process), lines, url }
    }

    fn main_address(&self) -> SocketAddr {
        SocketAddr::new(self.url.host.parse().unwrap(), self.url.port)
    }

    /// Ends it by `signal`; answers its exit code and what it still said.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        let id = Pid::from_raw(self.process.0.id().try_into().unwrap());
        kill(id, signal).unwrap();
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.process.0.wait().unwrap().code(), rest)
    }
}

/// A process that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinhole-server"));
    command.env("XDG_STATE_HOME", folder).env_remove("RUST_LOG");
    command
}

fn line(lines: &mut impl std::io::BufRead) -> serde_json::Value {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).expect("one object a line")
}

fn fails(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(folder).args(arguments).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_url_names_a_server_that_listens_on_both_transports() {
    let mut server = Running::start(&folder("url"), &[]);
    assert!(server.url.key.is_some());
    let mut heard = Vec::new();
    for _ in 0..4 {
        let event = line(&mut server.lines);
        assert_eq!(event["event"], "listening", "{event}");
        heard.push((event["transport"].as_str().unwrap().to_owned(), event["local"].as_str().unwrap().to_owned()));
    }
    let main = server.main_address().to_string();
    assert!(heard.contains(&("udp".into(), main.clone())) && heard.contains(&("tcp".into(), main)));
    TcpStream::connect(server.main_address()).unwrap();
}

#[test]
fn with_two_addresses_it_answers_from_the_one_that_is_asked_for() {
    let [main, alternate] = [(); 2].map(|()| UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port());
    let (port, other) = (main.to_string(), alternate.to_string());
    let addresses = ["--listen", "127.0.0.2", "--alternate-listen", "127.0.0.3"];
    let server = Running::start_at(&folder("two-addresses"), &[&addresses[..], &["--port", &port]].concat(), &other);
    let at = |address: &str, port: u16| SocketAddr::new(address.parse().unwrap(), port);
    assert_eq!(server.main_address(), at("127.0.0.2", main));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let ask = |to, bits| {
        let (from, discovered) = ask(&socket, to, bits);
        assert_eq!(SocketAddr::from(discovered.observed), socket.local_addr().unwrap());
        let alternates: Vec<_> = discovered.alternates.iter().map(|&endpoint| SocketAddr::from(endpoint)).collect();
        assert_eq!(alternates, [at("127.0.0.2", alternate), at("127.0.0.3", main), at("127.0.0.3", alternate)]);
        from
    };
    assert_eq!(ask(at("127.0.0.2", main), 1), at("127.0.0.2", alternate));
    assert_eq!(ask(at("127.0.0.2", main), 2), at("127.0.0.3", main));
    assert_eq!(ask(at("127.0.0.2", main), 3), at("127.0.0.3", alternate));
    assert_eq!(ask(at("127.0.0.3", alternate), 3), at("127.0.0.2", main));
    for [address, port] in [["127.0.0.3", &port], ["127.0.0.3", &other], ["127.0.0.2", &other]] {
        TcpStream::connect((address, port.parse().unwrap())).unwrap();
    }
    // Nobody listens at a third address, as far as anybody can tell.
    let mut stranger = TcpStream::connect(at("127.0.0.4", main)).unwrap();
    assert!(matches!(stranger.read(&mut [0; 1]), Ok(0) | Err(_)));
}

/// Asks for the endpoint of `socket`; answers where the answer came from.
fn ask(socket: &UdpSocket, to: SocketAddr, bits: u8) -> (SocketAddr, Discovered) {
    let versions = List::from_first([1]);
    let question = Packet::Discover(Discover { transaction: [7; 16], versions, reply_from: ReplyFrom(bits) });
    socket.send_to(&question.encode(), to).unwrap();
    let mut answer = [0; 2_048];
    let (length, from) = socket.recv_from(&mut answer).unwrap();
    match Packet::decode(&answer[..length]) {
        Ok(Packet::Discovered(discovered)) => (from, discovered),
        _ => panic!("{:?}", &answer[..length]),
    }
}

#[test]
fn the_key_outlives_the_server_and_the_boot_number_does_not() {
    let folder = folder("key");
    let first = Running::start(&folder, &[]);
    let key = first.url.key;
    first.stop(Signal::SIGTERM);
    let second = Running::start(&folder, &[]);
    assert_eq!(second.url.key, key);
    let mode = fs::metadata(folder.join("pinhole/server.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_to_string(folder.join("pinhole/server.key.boot")).unwrap(), "2\n");
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = Running::start(&folder("signal"), &[]);
        // A stream that stays open must not keep the server from ending.
        let _open = TcpStream::connect(server.main_address()).unwrap();
        let (code, rest) = server.stop(signal);
        assert_eq!(code, Some(0));
        assert_eq!(rest.lines().last(), Some(r#"{"event":"stopped"}"#));
    }
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let folder = folder("in-use");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    let (code, text) = fails(&folder, &["--listen", "127.0.0.1", "--port", &port, "--alternate-port", "0"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("port {port}/tcp is in use")) && text.contains("with --port"), "{text}");

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port().to_string();
    let (code, text) = fails(&folder, &["--listen", "127.0.0.1", "--alternate-port", &port, "--port", "0"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("port {port}/udp is in use")) && text.contains("--alternate-port"), "{text}");

    let server = Running::start(&folder, &[]);
    let port = server.url.port.to_string();
    let (code, text) = fails(&folder, &["--listen", "127.0.0.1", "--port", &port, "--alternate-port", "0"]);
    assert_eq!(code, Some(1), "a second server does not share the first one's port: {text}");
}

#[test]
fn wrong_usage_and_other_failures_have_their_codes() {
    let folder = folder("codes");
    let twice = ["--listen", "127.0.0.1", "--alternate-listen", "127.0.0.1"];
    let alone = ["--alternate-listen", "127.0.0.1"];
    for usage in [&["--port", "70000"][..], &["--host", "a b"], &["--trace-seed"], &["--nonsense"], &twice, &alone] {
        assert_eq!(fails(&folder, usage).0, Some(2), "{usage:?}");
    }
    fs::write(folder.join("no-key"), "hello").unwrap();
    let path = folder.join("no-key");
    let (code, text) = fails(&folder, &["--key-file", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("is not a key file"), "{text}");
    let (code, text) = fails(&folder, &["--listen", "192.0.2.1"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no interface has the address"), "{text}");
}

#[test]
fn it_answers_over_udp_and_the_trace_shows_it() {
    let folder = folder("trace");
    let trace = folder.join("trace.jsonl");
    let server = Running::start(&folder, &["--engines", "1", "--trace", trace.to_str().unwrap()]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.send_to(b"garbage", server.main_address()).unwrap();
    let (from, discovered) = ask(&socket, server.main_address(), 0);
    assert_eq!(from, server.main_address());
    assert_eq!(SocketAddr::from(discovered.observed), socket.local_addr().unwrap());
    assert_eq!(discovered.keys.first(), server.url.key.as_ref());
    server.stop(Signal::SIGTERM);

    let text = fs::read_to_string(trace).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["trace"].as_str(), lines[0]["engine"].as_str()), (Some("pinhole/1"), Some("server")));
    assert!(lines[0]["seed"].is_null());
    assert!(lines.iter().any(|line| line["in"]["datagram"]["payload"] == "67617262616765"));
    assert!(lines.iter().any(|line| line["discard"].is_string()));
    assert!(lines.iter().any(|line| line["command"] == "shutdown"));
    assert_eq!(lines.last().unwrap()["out"]["wait"], serde_json::Value::Null);
}
