//! A server of several engines, with real peers.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use pinhole_peer::{Accept, Event, Node, PeerId, RelayPolicy, SecretKey, Session, Transport, Transports};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;

/// A server of four engines whose events are read as they come.
struct Engines {
    process: Guarded,
    url: String,
    events: Receiver<Value>,
    /// Where each peer is registered, over which transports.
    places: BTreeMap<PeerId, Vec<(u64, String)>>,
    replaced: usize,
}

impl Engines {
    fn start(folder: &Path, port: &str, more: &[&str]) -> Self {
        let arguments = [&["--engines", "4", "--port", port, "--listen", "127.0.0.1"], more].concat();
        let Running { mut process, mut lines, url } = Running::start_at(folder, &arguments, "0");
        let (sender, events) = channel();
        thread::spawn(move || {
            let mut text = String::new();
            while std::io::BufRead::read_line(&mut lines, &mut text).is_ok_and(|length| length > 0) {
                if sender.send(serde_json::from_str(&text).expect("one object a line")).is_err() {
                    return;
                }
                text.clear();
            }
        });
        assert!(process.0.try_wait().unwrap().is_none());
        Self { process, url: url.to_string(), events, places: BTreeMap::new(), replaced: 0 }
    }

    /// Takes in every event until the one that is wanted.
    fn until(&mut self, mut wanted: impl FnMut(&Self, &Value) -> bool) -> Value {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("it is told in time");
            let peer = || event["peer"].as_str().unwrap().parse::<PeerId>().unwrap();
            let shard = event["shard"].as_u64();
            match event["event"].as_str().unwrap() {
                "registered" => {
                    let place = (shard.unwrap(), event["transport"].as_str().unwrap().to_owned());
                    self.places.entry(peer()).or_default().push(place);
                }
                "unregistered" if event["reason"] == "replaced" => self.replaced += 1,
                _ => {}
            }
            if wanted(self, &event) {
                return event;
            }
        }
    }

    /// Waits until a peer is registered over so many transports; its engine.
    fn shard_of(&mut self, peer: PeerId, bindings: usize) -> u64 {
        if self.places.get(&peer).is_none_or(|places| places.len() < bindings) {
            self.until(|all, _| all.places.get(&peer).is_some_and(|places| places.len() >= bindings));
        }
        let places = &self.places[&peer];
        assert!(places.iter().all(|place| place.0 == places[0].0), "one registration is at one engine: {places:?}");
        places[0].0
    }

    fn kill(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.process.0.id().try_into().unwrap()), signal).unwrap();
        self.process.0.wait().unwrap();
    }

    async fn node(&self, transports: Transports, relay: RelayPolicy) -> Node {
        let node = Node::builder(self.url.parse().unwrap())
            .transports(transports)
            .relay(relay)
            .accept(Accept::Anybody)
            .bind()
            .await
            .unwrap();
        timeout(PATIENCE, node.online()).await.unwrap().unwrap();
        node
    }

    /// Two nodes that are registered with different engines.
    async fn apart(&mut self, transports: Transports, relay: RelayPolicy) -> (Node, Node) {
        let first = self.node(transports, relay).await;
        let at = self.shard_of(first.id(), 1);
        loop {
            let other = self.node(transports, relay).await;
            if self.shard_of(other.id(), 1) != at {
                return (first, other);
            }
        }
    }
}

async fn session(a: &Node, b: &Node, transport: Transport) -> (Session, Session) {
    let near = timeout(PATIENCE, a.connect_over(b.id(), transport)).await.unwrap().unwrap();
    let far = timeout(PATIENCE, b.accept()).await.unwrap().unwrap();
    timeout(PATIENCE, near.ready()).await.unwrap().unwrap();
    (near, far)
}

async fn datagrams(near: &Session, far: &Session) {
    near.send(b"there").await.unwrap();
    assert_eq!(timeout(PATIENCE, far.recv()).await.unwrap().unwrap(), b"there");
    far.send(b"back").await.unwrap();
    assert_eq!(timeout(PATIENCE, near.recv()).await.unwrap().unwrap(), b"back");
}

async fn octets(near: &Session, far: &Session, count: usize) {
    let (_, mut writer) = near.split_stream().unwrap();
    let (mut reader, _) = far.split_stream().unwrap();
    let sent: Vec<u8> = (0..count).map(|number| (number % 251) as u8).collect();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&copy).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut received)).await.unwrap().unwrap();
    assert!(received == sent, "{} of {count}", received.len());
    writing.await.unwrap();
}

// [R-INTRO-020]
#[tokio::test]
async fn peers_of_different_engines_become_direct_over_both_transports() {
    let mut server = Engines::start(&folder("direct"), "0", &[]);
    let (a, b) = server.apart(Transports::Udp, RelayPolicy::Allow).await;
    let (near, far) = session(&a, &b, Transport::Udp).await;
    assert!(timeout(PATIENCE, near.direct()).await.unwrap().is_some());
    datagrams(&near, &far).await;

    let (a, b) = server.apart(Transports::Tcp, RelayPolicy::Allow).await;
    let (near, far) = session(&a, &b, Transport::Tcp).await;
    assert!(timeout(PATIENCE, near.direct()).await.unwrap().is_some());
    octets(&near, &far, 300_000).await;
}

// [R-INTRO-020] [R-RELAY-009] [R-RELAY-018]
#[tokio::test]
async fn the_relay_carries_between_engines_over_both_transports() {
    let mut server = Engines::start(&folder("relayed"), "0", &[]);
    let (a, b) = server.apart(Transports::Udp, RelayPolicy::Only).await;
    let (near, far) = session(&a, &b, Transport::Udp).await;
    datagrams(&near, &far).await;
    let opened = server.until(|_, event| event["event"] == "relay-opened");
    assert_eq!(opened["a"], a.id().to_string());

    let (a, b) = server.apart(Transports::Tcp, RelayPolicy::Only).await;
    let (near, far) = session(&a, &b, Transport::Tcp).await;
    octets(&near, &far, 3_000_000).await;
}

// [R-REG-012] [R-REG-030]
#[tokio::test]
async fn a_stream_joins_its_peers_registration_whichever_engine_accepts_it() {
    let mut server = Engines::start(&folder("joins"), "0", &[]);
    // With four engines one of twelve streams is as good as certain to be accepted by another one.
    let mut shards = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..12 {
        let node = server.node(Transports::Auto, RelayPolicy::Allow).await;
        shards.push(server.shard_of(node.id(), 2));
        nodes.push(node);
    }
    shards.sort_unstable();
    shards.dedup();
    assert!(shards.len() > 1, "twelve peers at one engine");
    for node in nodes {
        node.shutdown().await;
    }
    server.until(|all, event| event["event"] == "unregistered" && all.replaced == 0);
}

// [R-REG-010] [R-REG-011]
#[tokio::test]
async fn of_two_machines_with_one_key_the_newer_one_wins_whichever_engine_it_reaches() {
    let mut server = Engines::start(&folder("twins"), "0", &[]);
    let key = folder("twins-key").join("peer.key");
    let twin = async |server: &Engines| {
        let key = SecretKey::load_or_create(&key).unwrap();
        let builder = Node::builder(server.url.parse().unwrap()).transports(Transports::Udp).key(key);
        let node = builder.bind().await.unwrap();
        timeout(PATIENCE, node.online()).await.unwrap().unwrap();
        node
    };
    let mut newest = twin(&server).await;
    let mut across = 0;
    let mut last = server.shard_of(newest.id(), 1);
    while across < 3 {
        let mut events = newest.events();
        let (before, id) = (server.replaced, newest.id());
        server.places.clear();
        let newer = twin(&server).await;
        let told = async { while !matches!(events.next().await.unwrap().event, Event::Replaced) {} };
        timeout(PATIENCE, told).await.expect("the older one is told");
        let at = server.shard_of(id, 1);
        across += usize::from(at != last);
        last = at;
        if server.replaced == before {
            server.until(|all, _| all.replaced > before);
        }
        newest = newer;
    }
    // The newest one is reached.
    let other = server.node(Transports::Udp, RelayPolicy::Allow).await;
    let refused = timeout(PATIENCE, other.connect_over(newest.id(), Transport::Udp)).await.unwrap();
    assert!(format!("{refused:?}").contains("Refused"), "it accepts nobody, but it is there: {refused:?}");
}

#[tokio::test]
async fn peers_are_back_after_the_server_was_killed_and_a_direct_session_goes_on() {
    let place = folder("killed");
    let mut server = Engines::start(&place, "0", &[]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let (a, b) = server.apart(Transports::Auto, RelayPolicy::Allow).await;
    let (near, far) = session(&a, &b, Transport::Udp).await;
    assert!(timeout(PATIENCE, near.direct()).await.unwrap().is_some());
    server.kill(Signal::SIGKILL);
    datagrams(&near, &far).await;
    let mut server = Engines::start(&place, &port, &[]);
    for node in [&a, &b] {
        server.shard_of(node.id(), 1);
    }
    datagrams(&near, &far).await;
    let (near, far) = session(&a, &b, Transport::Tcp).await;
    octets(&near, &far, 1_000).await;
}

#[test]
fn each_engine_tells_its_tables_and_writes_its_trace() {
    let folder = folder("tables");
    let trace = folder.join("trace.jsonl");
    let mut server = Engines::start(&folder, "0", &["--trace", trace.to_str().unwrap()]);
    kill(Pid::from_raw(server.process.0.id().try_into().unwrap()), Signal::SIGUSR1).unwrap();
    let mut shards: Vec<_> = (0..4)
        .map(|_| {
            let tables = server.until(|_, event| event["event"] == "tables");
            assert_eq!((tables["registrations"].as_u64(), tables["rates"]["resets"].as_u64()), (Some(0), Some(0)));
            tables["shard"].as_u64().unwrap()
        })
        .collect();
    shards.sort_unstable();
    assert_eq!(shards, [0, 1, 2, 3]);
    kill(Pid::from_raw(server.process.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(server.until(|_, event| event["event"] == "stopped"), serde_json::json!({"event": "stopped"}));
    assert_eq!(server.process.0.wait().unwrap().code(), Some(0));
    for shard in 0..4 {
        let text = fs::read_to_string(format!("{}.{shard}", trace.display())).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["engine"], "server");
        assert!(lines.iter().any(|line| line["command"] == "shutdown"));
    }
}

/// How long anything may take on a busy machine before a test calls it lost.
const PATIENCE: Duration = Duration::from_secs(30);
