//! Somebody else at the private address that B told: on A's LAN, where A looks for B first.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use pinhole_lab::trial::{Over, is, text};
use pinhole_lab::{Kind, NatKind};
use serde_json::Value;

use super::Context;
use super::flood::Dice;
use super::setting::{START, Setting, end, exchange, silent_about, tail, with};

/// A second peer with a key of its own, at the very endpoint that B reported.
pub(crate) fn with_the_program(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in BOTH {
        let setting = setting(context, over)?;
        let (mut stranger, _) = setting.listener("stranger", &[])?;
        let path = meet(&setting)?;
        // A punch for nobody is no event. Whatever it were, its name is here.
        let said: Vec<_> = stranger.said().iter().filter(|value| !is(value, "online")).cloned().collect();
        ensure!(said.is_empty(), "the stranger said {}", tail(&said));
        found.push(format!("{}: {path}", over.name()));
    }
    Ok(found.join("; "))
}

pub(crate) fn echo(context: &Context) -> anyhow::Result<String> {
    dumb(context, |_, octets| octets.to_vec())
}

/// Of the length and kind that might be expected, and else whatever comes out of the dice.
pub(crate) fn garbage(context: &Context) -> anyhow::Result<String> {
    dumb(context, |dice, octets| {
        let kind = [0x08, 0x09, 0x0a][dice.below(3)];
        let mut answer = dice.octets(octets.len());
        let header = octets.len().min(10);
        answer[..header].copy_from_slice(&octets[..header]);
        if let Some(first) = answer.first_mut() {
            *first = kind;
        }
        answer
    })
}

fn dumb(context: &Context, answer: fn(&mut Dice, &[u8]) -> Vec<u8>) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in BOTH {
        let setting = setting(context, over)?;
        let responder = Responder::start(&setting, answer)?;
        let path = meet(&setting)?;
        let heard = responder.heard.load(Ordering::Relaxed);
        ensure!(heard > 0, "A never sent anything to the stranger, so that nothing was tested");
        found.push(format!("{}: {path}, the stranger answered {heard} times", over.name()));
    }
    Ok(found.join("; "))
}

fn setting(context: &Context, over: Over) -> anyhow::Result<Setting<'_>> {
    Setting::new(context, &with(NatKind::PortRestrictedOtherPort, Kind::Stranger), over)
}

/// A session from A to B. No path of it may lead to the stranger, whoever says so.
fn meet(setting: &Setting<'_>) -> anyhow::Result<String> {
    let (mut a, mut b) = setting.direct_session()?;
    exchange(&mut a, "for B only")?;
    thread::sleep(Duration::from_millis(500));
    exchange(&mut a, "still for B only")?;
    silent_about(&mut a, &["closed", "path-lost"], 0)?;
    let (alias, real) =
        (format!("{}:", setting.address("stranger")?), format!("{}:", setting.lab.public_address("b")?));
    let chosen = a.event("selected", START)?;
    let of_paths = |value: &Value| is(value, "selected") || is(value, "path");
    for value in a.said().iter().chain(b.said()).filter(|value| of_paths(value)) {
        ensure!(!text(value, "remote").starts_with(&alias), "the stranger was believed: {value}");
    }
    let direct = a.said().iter().rfind(|value| is(value, "selected")).cloned().unwrap_or(chosen);
    let remote = text(&direct, "remote");
    ensure!(remote.starts_with(&real) && direct["kind"] == "public", "not the path to B: {direct}");
    end(a)?;
    Ok(format!("direct to {remote}"))
}

/// Answers everything on the port that peers use here, UDP and TCP.
struct Responder {
    heard: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Responder {
    fn start(setting: &Setting<'_>, answer: fn(&mut Dice, &[u8]) -> Vec<u8>) -> anyhow::Result<Self> {
        let at = SocketAddr::new(setting.address("stranger")?, PORT);
        let sockets =
            setting.lab.run_on("stranger", || Ok::<_, std::io::Error>((UdpSocket::bind(at)?, TcpListener::bind(at)?)));
        let (udp, tcp) = sockets?.context("open the stranger's sockets")?;
        udp.set_read_timeout(Some(TICK))?;
        tcp.set_nonblocking(true)?;
        let (heard, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut threads = Vec::new();
        let (count, ended) = (Arc::clone(&heard), Arc::clone(&stop));
        threads.push(thread::spawn(move || {
            let (mut dice, mut buffer) = (Dice::new(1), [0; 2_048]);
            while !ended.load(Ordering::Relaxed) {
                if let Ok((length, from)) = udp.recv_from(&mut buffer) {
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = udp.send_to(&answer(&mut dice, &buffer[..length]), from);
                }
            }
        }));
        let (count, ended) = (Arc::clone(&heard), Arc::clone(&stop));
        threads.push(thread::spawn(move || {
            let (mut dice, mut buffer, mut streams) = (Dice::new(2), [0; 2_048], Vec::new());
            while !ended.load(Ordering::Relaxed) {
                if let Ok((stream, _)) = tcp.accept() {
                    let _ = stream.set_nonblocking(true);
                    streams.push(stream);
                }
                for stream in &mut streams {
                    if let Ok(length @ 1..) = stream.read(&mut buffer) {
                        count.fetch_add(1, Ordering::Relaxed);
                        // The length in front stays as it is, so that the answer is read at all.
                        let mut reply = buffer[..length.min(2)].to_vec();
                        reply.extend(answer(&mut dice, &buffer[length.min(2)..length]));
                        let _ = stream.write_all(&reply);
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        }));
        Ok(Self { heard, stop, threads })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

const BOTH: [Over; 2] = [Over::Udp, Over::Tcp];
const PORT: u16 = 4321;
const TICK: Duration = Duration::from_millis(50);
