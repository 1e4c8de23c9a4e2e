//! What a registered peer costs a server: registers so many peers over UDP, lets each refresh so often, and prints
//! how much the resident memory grew.
//!
//! ```text
//! cargo run --release -p pinhole-proto --example registrations -- 20000 2
//! ```

use std::sync::Arc;

use pinhole_proto::noise::{Dalek, public_key};
use pinhole_proto::peer::{Accept, Peer, PeerConfig, RelayPolicy, StrategySet};
use pinhole_proto::server::{Limits, Server, ServerConfig};
use pinhole_proto::{Address, Duration, Endpoint, Engine, Input, Instant, Interface, Output, SocketId};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("a number"));
    let (peers, refreshes) = (arguments.next().unwrap_or(5_000), arguments.next().unwrap_or(2));
    let mut server = server();
    // What the first ones leave behind is not counted.
    for number in 0..200 {
        register(&mut server, number, refreshes);
    }
    let before = resident();
    for number in 200..200 + peers {
        register(&mut server, number, refreshes);
    }
    let grown = resident() - before;
    let registered = server.snapshot().registrations.len();
    println!("{registered} registered, {refreshes} refreshes each: {} octets a peer", grown / u64::from(peers));
}

const NOW: Instant = Instant::from_micros(1_000_000);
const MAIN: SocketId = SocketId(0);
const SECRET: [u8; 32] = [77; 32];

fn server() -> Server {
    let config = ServerConfig {
        secret: SECRET,
        port: 4653,
        alternate_port: 4654,
        alternates: Vec::new(),
        addresses: None,
        ipv6: false,
        relay: true,
        shard: 0,
        shards: 1,
        boot: 1,
        limits: Limits { cookie_above: u32::MAX, ..Limits::default() },
        x25519: Arc::new(Dalek),
    };
    let mut server = Server::new(config, [1; 32], NOW);
    for (socket, port) in [(0, 4653), (1, 4653), (2, 4654), (3, 4654)] {
        let local = Endpoint::new(Address::from([0, 0, 0, 0]), port);
        server.handle_input(NOW, Input::Opened { socket: SocketId(socket), local }).expect("it was ordered");
    }
    while !matches!(server.poll_output(), Output::Wait(_)) {}
    server
}

/// Registers a peer and lets it refresh. Its clock goes on, the server's stands: nobody lapses.
fn register(server: &mut Server, number: u32, refreshes: u32) {
    let [a, b, c, d] = (number * 7 + 0x0b00_0000).to_be_bytes();
    let (here, there) = (Endpoint::new([a, b, c, d].into(), 4_000), Endpoint::new([192, 0, 2, 1].into(), 4653));
    let mut secret = [9; 32];
    secret[..4].copy_from_slice(&number.to_be_bytes());
    let config = PeerConfig {
        secret,
        server_key: Some(public_key(&Dalek, &SECRET)),
        servers: vec![there],
        udp: true,
        tcp: false,
        port: 4_000,
        relay: RelayPolicy::Allow,
        accept: Accept::Anybody,
        probe_private: false,
        refresh: Duration::from_secs(25),
        keepalive: Duration::from_secs(15),
        adapt_keepalive: false,
        strategies: StrategySet::ALL,
        birthday: false,
        x25519: Arc::new(Dalek),
    };
    let mut now = NOW;
    let mut peer = Peer::new(config, secret, now);
    let interface = Interface { address: [10, 0, 0, 1].into(), prefix: 24 };
    let _ = peer.handle_input(now, Input::Interfaces(&[interface]));
    let mut left = refreshes + 3;
    loop {
        let mut sent = Vec::new();
        let mut opened = Vec::new();
        let deadline = loop {
            match peer.poll_output() {
                Output::Open { socket, .. } => opened.push(socket),
                Output::Transmit { payload, .. } => sent.push(payload.to_vec()),
                Output::Wait(deadline) => break deadline,
                _ => {}
            }
        };
        for socket in &opened {
            let local = Endpoint::new([0, 0, 0, 0].into(), 4_000);
            let _ = peer.handle_input(now, Input::Opened { socket: *socket, local });
        }
        if sent.is_empty() && opened.is_empty() {
            let Some(at) = deadline.filter(|_| left > 0) else { return };
            now = at;
            let _ = peer.handle_input(now, Input::Timeout);
            continue;
        }
        for payload in sent {
            left = left.saturating_sub(1);
            let local = there.address();
            let _ = server.handle_input(NOW, Input::Datagram { socket: MAIN, local, remote: here, payload: &payload });
            loop {
                match server.poll_output() {
                    Output::Transmit { remote, payload, .. } if remote == here => {
                        let local = [10, 0, 0, 1].into();
                        let _ = peer.handle_input(now, Input::Datagram { socket: MAIN, local, remote: there, payload });
                    }
                    Output::Wait(_) => break,
                    _ => {}
                }
            }
        }
    }
}

/// Resident memory in octets.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is there");
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4_096
}
