//! What the driver costs: CPU time for each datagram that a toy engine sends back, beside a plain tokio loop of
//! `recv_from` and `send_to`.
//!
//! `cargo run --release -p pinhole-driver --example echo [octets]`
//!
//! Both run on a thread of their own in turns, under the same load from another thread. Only the ratio means
//! anything, and only on a quiet machine; absolute numbers are the kernel's.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on is to fail")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant as Wall};

use nix::time::{ClockId, clock_gettime};
use pinhole_driver::{Driver, Options};
use pinhole_proto::{
    Address, CommandError, Discard, Endpoint, Engine, Family, Input, Instant, Output, SocketId, Transport,
};

/// Sends every datagram back, out of one buffer.
#[derive(Default)]
struct Echo {
    asked: bool,
    back: Option<(SocketId, Address, Endpoint)>,
    payload: Vec<u8>,
    opened: Option<Endpoint>,
    datagrams: u64,
}

impl Engine for Echo {
    type Command<'a> = ();
    type Reply = ();
    type Event<'a> = Endpoint;

    fn handle_input(&mut self, _: Instant, input: Input<'_>) -> Result<(), Discard> {
        match input {
            Input::Opened { local, .. } => self.opened = Some(local),
            Input::Datagram { socket, local, remote, payload } => {
                self.datagrams += 1;
                self.back = Some((socket, local, remote));
                self.payload.clear();
                self.payload.extend_from_slice(payload);
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_command(&mut self, _: Instant, (): ()) -> Result<(), CommandError> {
        Ok(())
    }

    fn poll_output(&mut self) -> Output<'_, Endpoint> {
        if !self.asked {
            self.asked = true;
            let (transport, family) = (Transport::Udp, Family::V4);
            return Output::Open { socket: SocketId(0), transport, family, port: 0, share: None };
        }
        if let Some(local) = self.opened.take() {
            return Output::Event(local);
        }
        match self.back.take() {
            Some((socket, local, remote)) => {
                Output::Transmit { socket, local: Some(local), remote, ttl: None, payload: &self.payload }
            }
            None => Output::Wait(None),
        }
    }
}

fn main() {
    let octets = std::env::args().nth(1).map_or(100, |text| text.parse().unwrap());
    println!("CPU ns a datagram of {octets} octets, medians of {ROUNDS} rounds");
    println!("{:>9} {:>9} {:>9} {:>6} {:>12}", "in flight", "plain", "driver", "ratio", "driver 1/s");
    for window in [1, 32, 128] {
        let (mut plain, mut driven, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            plain.push(measure(window, octets, |report, total| block_on(plain_loop(report, total))).0);
            let (cost, rate) = measure(window, octets, |report, total| block_on(driven_loop(report, total)));
            driven.push(cost);
            rates.push(rate);
        }
        let (plain, driven) = (median(plain), median(driven));
        println!("{window:>9} {plain:>9.0} {driven:>9.0} {:>6.2} {:>12.0}", driven / plain, median(rates));
    }
}

/// CPU time a datagram in nanoseconds, and datagrams a second.
fn measure(
    window: u64,
    octets: usize,
    serve: impl FnOnce(mpsc::Sender<SocketAddr>, u64) + Send + 'static,
) -> (f64, f64) {
    let total = if window == 1 { 60_000 } else { 400_000 };
    let (report, address) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let before = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
        serve(report, total);
        Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap()) - before
    });
    let mut to = address.recv().unwrap();
    to.set_ip([127, 0, 0, 1].into());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (payload, mut answer) = (vec![7; octets], vec![0; 2_048]);
    let start = Wall::now();
    let (mut sent, mut received) = (0, 0);
    while received < total {
        while sent < total && sent - received < window {
            socket.send(&payload).unwrap();
            sent += 1;
        }
        match socket.recv(&mut answer) {
            Ok(_) => received += 1,
            // Lost in a full buffer: the place in the window is free again.
            Err(_) if server.is_finished() => break,
            Err(_) => sent = received,
        }
    }
    let rate = received as f64 / start.elapsed().as_secs_f64();
    (server.join().unwrap().as_nanos() as f64 / total as f64, rate)
}

async fn plain_loop(report: mpsc::Sender<SocketAddr>, total: u64) {
    let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
    report.send(socket.local_addr().unwrap()).unwrap();
    let mut buffer = vec![0; 2_048];
    for _ in 0..total {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let _ = socket.send_to(&buffer[..length], from).await;
    }
}

async fn driven_loop(report: mpsc::Sender<SocketAddr>, total: u64) {
    let mut driver = Driver::new(Echo::default(), Options::default()).unwrap();
    let mut opened = |local: Endpoint| report.send(local.into()).unwrap();
    while driver.engine().datagrams < total {
        driver.step(&mut opened).await.unwrap();
    }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const ROUNDS: usize = 5;
