//! Somebody on the way who is faster: every packet arrives first as a copy, from another source.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use pinhole_lab::trial::{Over, Running, is, text};
use pinhole_lab::{Direction, Kind, Lab, Line, NatKind, Topology};

use super::Context;
use super::setting::{START, Setting, end, exchange, silent_about, tail};

/// B's line takes 40 ms, that of A none, and A copies what leaves B's NAT for the server (SEC-10).
pub(crate) fn registration(context: &Context) -> anyhow::Result<String> {
    let setting = Setting::new(context, &topology(NatKind::PortRestrictedOtherPort), Over::Udp)?;
    let copier = Copier::default();
    let server = setting.address("s")?;
    let (lab, a) = (&setting.lab, setting.address("a")?);
    let id = thread::scope(|scope| {
        let work = scope.spawn(|| copier.run(lab, "a", a, &["b"], server));
        let listener = setting.listener("b", &[]);
        // A refresh of the finished registration, and what else goes on, is copied for a while, too.
        thread::sleep(Duration::from_secs(2));
        copier.over.store(true, Ordering::Relaxed);
        work.join().ok().context("the copier panicked")??;
        listener
    });
    let (mut b, id) = id?;
    let copies = copier.copies.load(Ordering::Relaxed);
    ensure!(copies >= 3, "only {copies} copies: nothing was tested");
    let own = format!("{}:", setting.lab.public_address("b")?);
    for online in b.said().iter().filter(|value| is(value, "online")) {
        ensure!(text(online, "public").starts_with(&own), "B is told that it is elsewhere: {online}");
    }
    let mut setting = setting;
    let server = setting.server.as_mut().context("no server")?;
    for registered in server.said().iter().filter(|value| is(value, "registered")) {
        ensure!(text(registered, "public").starts_with(&own), "the server took a copy's source: {registered}");
    }
    let (events, status) = setting.peer("a", "a", &["ping", &id])?.finish(START)?;
    ensure!(status.success(), "nobody reaches it: {}", tail(&events));
    Ok(format!("{copies} copies, all before their originals"))
}

/// A and B behind NATs that let anybody in, 40 ms from everywhere; somebody near the server copies what each
/// sends to the other.
pub(crate) fn session(context: &Context) -> anyhow::Result<String> {
    let mut topology = topology(NatKind::Full);
    topology.line_a = topology.line_b;
    let setting = Setting::new(context, &topology, Over::Udp)?;
    let copier = Copier::default();
    let mimic = setting.lab.addresses("s")?[1];
    let line = |number| format!("line {number}");
    let count = 40;
    let server = setting.address("s")?;
    let peers = [setting.lab.public_address("a")?, setting.lab.public_address("b")?];
    let lab = &setting.lab;
    let met = thread::scope(|scope| {
        let work =
            scope.spawn(|| copier.run_between(lab, "s", mimic, &["a", "b"], |to| to != server && peers.contains(&to)));
        let met = meet(&setting).and_then(|(mut a, b)| {
            for number in 0..count {
                exchange(&mut a, &line(number))?;
            }
            Ok((a, b))
        });
        copier.over.store(true, Ordering::Relaxed);
        work.join().ok().context("the copier panicked")??;
        met
    });
    let (mut a, mut b) = met?;
    let copies = copier.copies.load(Ordering::Relaxed);
    ensure!(copies >= 10, "only {copies} copies: nothing was tested");
    for peer in [&mut a, &mut b] {
        let source = format!("{mimic}:");
        for value in peer.said().iter().filter(|value| text(value, "remote").starts_with(&source)) {
            ensure!(!is(value, "selected") && value["state"] != "proved", "the copier was believed: {value}");
        }
        silent_about(peer, &["closed"], 0)?;
    }
    for number in 0..count {
        let wanted = line(number);
        let times =
            a.said().iter().filter(|value| is(value, "data") && text(value, "text").trim_end() == wanted).count();
        ensure!(times == 1, "{wanted:?} came {times} times");
    }
    let way = a.said().iter().rfind(|value| is(value, "selected")).map(|value| text(value, "kind"));
    end(a)?;
    Ok(format!("{copies} copies, {count} echoes, each once, over a path that is {}", way.unwrap_or_default()))
}

/// A session, over whatever way it gets: while each packet is a copy first, that is the relay.
fn meet(setting: &Setting<'_>) -> anyhow::Result<(Running, Running)> {
    let (b, id) = setting.listener("b", &[])?;
    let mut a = setting.peer("a", "a", &["connect", &id])?;
    a.event("established", START)?;
    Ok((a, b))
}

fn topology(nat: NatKind) -> Topology {
    let line_b = Line::with_delay(Duration::from_millis(40));
    Topology { nat_a: nat, nat_b: nat, line_b, ..Topology::new(Kind::TwoNats) }
}

/// Sends again what it sees leave a site, at once, from an address of its own.
#[derive(Default)]
struct Copier {
    copies: AtomicU64,
    over: AtomicBool,
}

impl Copier {
    /// Copies what goes to one address.
    fn run(&self, lab: &Lab, host: &str, from: IpAddr, sites: &[&str], to: IpAddr) -> anyhow::Result<()> {
        self.run_between(lab, host, from, sites, |destination| destination == to)
    }

    /// Copies what goes to some addresses. What one endpoint sent is copied from one socket.
    fn run_between(
        &self,
        lab: &Lab,
        host: &str,
        from: IpAddr,
        sites: &[&str],
        wanted: impl Fn(IpAddr) -> bool + Send + Sync,
    ) -> anyhow::Result<()> {
        let wires = sites.iter().map(|site| lab.wire(site)).collect::<Result<Vec<_>, _>>()?;
        lab.run_on(host, || {
            let mut sockets: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
            let mut seen = vec![0; wires.len()];
            while !self.over.load(Ordering::Relaxed) {
                for (wire, seen) in wires.iter().zip(&mut seen) {
                    let packets = wire.packets();
                    for packet in packets[*seen..].iter().filter(|packet| packet.direction == Direction::Out) {
                        let Some(datagram) = super::capture::Datagram::read(packet) else { continue };
                        if !wanted(datagram.to.ip()) {
                            continue;
                        }
                        let socket = match sockets.entry(datagram.from) {
                            Entry::Occupied(entry) => entry.into_mut(),
                            Entry::Vacant(entry) => entry.insert(UdpSocket::bind((from, 0))?),
                        };
                        socket.send_to(datagram.payload, datagram.to)?;
                        self.copies.fetch_add(1, Ordering::Relaxed);
                    }
                    *seen = packets.len();
                }
                thread::sleep(Duration::from_micros(500));
            }
            Ok(())
        })?
    }
}
