//! Sequences through a NAT of the kernel.
//!
//! The router is a namespace with a TUN device on either side, and this process holds the other ends of both:
//! it writes what hosts would send, with a number in the identification field of each packet, and reads what
//! the kernel lets through. Many sequences pass one router at once, each with addresses of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use pinhole_proto::Address;
use pinhole_sim::packet::Body;
use pinhole_sim::{Packet, Rng};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::script::{Endpoints, Script, Shot, Way};
use super::subject::{ESTABLISHED, FLOW, Subject, TIMEOUT};
use crate::error::LabError;
use crate::gateway::{read, write};
use crate::namespace::Namespace;
use crate::nat::{Gate, NatKind};
use crate::program::Program;

/// The router's outside address.
pub(super) const PUBLIC: Ipv4Addr = Ipv4Addr::new(155, 99, 25, 11);

/// What was sent, and what the kernel made of it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) sequences: Vec<Sequence>,
}

#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) endpoints: Endpoints,
    pub(super) steps: Vec<Step>,
}

/// One packet and its fate.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) shot: Shot,
    /// When it was sent, from the start of the run.
    pub(super) at: Duration,
    /// The public port that it was sent to, if it was sent to one.
    pub(super) port: Option<u16>,
    pub(super) fate: Fate,
    /// Whether the kernel's connection tracking called it invalid.
    pub(super) invalid: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing came of it.
    Dropped,
    /// A reset came back.
    Reset,
    /// An ICMP error came back.
    Icmp,
    /// It left with these endpoints, inside or outside.
    Passed { inside: bool, source: SocketAddrV4, destination: SocketAddrV4 },
}

/// Runs so many sequences at once.
pub(super) fn run(subject: &Subject, count: u16, rng: &Rng) -> Result<Run, LabError> {
    let namespace = Namespace::new(false, true)?;
    let device = |name: &str| -> Result<SyncDevice, LabError> {
        let device = namespace
            .run(|| DeviceBuilder::new().name(name).enable(false).build_sync())?
            .map_err(|error| LabError::io("make a TUN device", error))?;
        device.set_nonblocking(true).map_err(|error| LabError::io("prepare a TUN device", error))?;
        Ok(device)
    };
    let mut router = Router { inside: device("lan")?, outside: device("wan")?, numbers: BTreeMap::new(), count: 0 };
    namespace.run(|| settle(subject))??;
    namespace.nft(&rules(subject, rng.clone().number() as u32))?;
    namespace.ip(&format!(
        "addr add 10.255.255.254/8 dev lan\nlink set dev lan up\n\
         addr add {PUBLIC}/32 dev wan\nlink set dev wan up\nroute add 0.0.0.0/0 dev wan\n"
    ))?;
    let start = Instant::now();
    let mut running: Vec<_> = (0..count)
        .map(|number| {
            let mut own = rng.fork(u64::from(number) + 1);
            // Seldom, since what becomes of two hosts with one port is a story of its own.
            let endpoints = Endpoints::new(number, own.below(100) < 10);
            let due = start + GAP * u32::from(number) / u32::from(count.max(1));
            Running {
                script: Script::new(own),
                sequence: Sequence { endpoints, steps: Vec::new() },
                due,
                ports: BTreeMap::new(),
            }
        })
        .collect();
    loop {
        router.collect(&mut running);
        let unfinished = running.iter_mut().filter(|one| one.sequence.steps.len() < one.script.length);
        let Some(next) = unfinished.min_by_key(|one| one.due) else {
            break;
        };
        let rest = next.due.saturating_duration_since(Instant::now());
        if rest > Duration::ZERO {
            std::thread::sleep(rest.min(Duration::from_millis(2)));
            continue;
        }
        router.shoot(subject, next, start)?;
        next.due = Instant::now() + GAP + next.script.wait(TIMEOUT);
    }
    // What is still in the kernel's queues.
    let end = Instant::now() + GAP * 4;
    while Instant::now() < end {
        router.collect(&mut running);
        std::thread::sleep(Duration::from_millis(2));
    }
    let invalid = namespace.run(invalid)??;
    let mut sequences: Vec<_> = running.into_iter().map(|one| one.sequence).collect();
    for (id, (number, step)) in &router.numbers {
        sequences[usize::from(*number)].steps[*step].invalid = invalid.contains(id);
    }
    Ok(Run { sequences })
}

struct Running {
    script: Script,
    sequence: Sequence,
    due: Instant,
    /// Where inside endpoints were last seen: by transport, inside endpoint, and the outside endpoint where
    /// that matters.
    ports: BTreeMap<(bool, usize, usize), u16>,
}

struct Router {
    inside: SyncDevice,
    outside: SyncDevice,
    /// The sequence and step of each number.
    numbers: BTreeMap<u16, (u16, usize)>,
    count: u16,
}

impl Router {
    fn shoot(&mut self, subject: &Subject, one: &mut Running, start: Instant) -> Result<(), LabError> {
        let shot = one.script.next();
        let endpoints = one.sequence.endpoints;
        let seen = |inside: usize, via: usize| {
            let port = one.ports.get(&(shot.is_udp(), inside, view(subject, via)));
            port.copied().unwrap_or_else(|| endpoints.inside(inside).port())
        };
        let (device, packet, port) = match shot.way {
            Way::Out { from, to } => (&self.inside, shot.packet(endpoints.inside(from), endpoints.outside(to)), None),
            Way::In { from, to, via } => {
                let port = seen(to, via);
                let packet = shot.packet(endpoints.outside(from), SocketAddrV4::new(PUBLIC, port));
                (&self.outside, packet, Some(port))
            }
            Way::Turn { from, to } => {
                let port = seen(to, 0);
                (&self.inside, shot.packet(endpoints.inside(from), SocketAddrV4::new(PUBLIC, port)), Some(port))
            }
        };
        self.count += 1;
        let step = one.sequence.steps.len();
        let number = endpoints.number();
        self.numbers.insert(self.count, (number, step));
        let octets = numbered(write(&packet, &[]).unwrap_or_default(), self.count);
        one.sequence.steps.push(Step { shot, at: start.elapsed(), port, fate: Fate::Dropped, invalid: false });
        device.send(&octets).map_err(|error| LabError::io("send a probe", error))?;
        Ok(())
    }

    /// Reads what the kernel let through.
    fn collect(&self, running: &mut [Running]) {
        let mut buffer = [0; 2048];
        for (inside, device) in [(true, &self.inside), (false, &self.outside)] {
            while let Ok(length) = device.recv(&mut buffer) {
                self.note(running, inside, &buffer[..length]);
            }
        }
    }

    fn note(&self, running: &mut [Running], inside: bool, octets: &[u8]) {
        let Ok(packet) = read(octets) else {
            return;
        };
        let (Some(source), Some(destination)) = (socket(&packet, true), socket(&packet, false)) else {
            return;
        };
        let own = u16::from_be_bytes([octets[4], octets[5]]);
        match &packet.body {
            // The error quotes the packet with its number.
            Body::Icmp(_) => {
                let quoted = octets.get(32..34).map(|id| u16::from_be_bytes([id[0], id[1]]));
                if let Some((number, step)) = quoted.and_then(|id| self.numbers.get(&id)) {
                    running[usize::from(*number)].sequence.steps[*step].fate = Fate::Icmp;
                }
            }
            Body::Tcp(segment) if segment.flags.rst && !self.numbers.contains_key(&own) => {
                // The kernel's own, to who has just sent.
                let number = Endpoints::number_of(*destination.ip()).map(usize::from);
                if let Some(last) = number.and_then(|n| running.get_mut(n)?.sequence.steps.last_mut()) {
                    last.fate = Fate::Reset;
                }
            }
            Body::Tcp(_) | Body::Udp(_) => {
                let Some((number, step)) = self.numbers.get(&own) else {
                    return;
                };
                let one = &mut running[usize::from(*number)];
                let shot = one.sequence.steps[*step].shot;
                one.sequence.steps[*step].fate = Fate::Passed { inside, source, destination };
                one.script.on_arrived(&shot);
                if let (Way::Out { from, to }, false) = (shot.way, inside) {
                    for view in [to, EVERYBODY] {
                        one.ports.insert((shot.is_udp(), from, view), source.port());
                    }
                }
            }
        }
    }
}

/// By whose view of an inside endpoint others send to it: where that has one public endpoint, anybody's.
pub(super) fn view(subject: &Subject, via: usize) -> usize {
    if subject.kind == NatKind::Symmetric { via } else { EVERYBODY }
}

pub(super) const EVERYBODY: usize = usize::MAX;

fn socket(packet: &Packet, source: bool) -> Option<SocketAddrV4> {
    let endpoint = if source { packet.source } else { packet.destination };
    match endpoint.address() {
        Address::V4(address) => Some(SocketAddrV4::new(address, endpoint.port())),
        Address::V6(_) => None,
    }
}

/// Writes a number into the identification field, and the checksum that it asks for.
fn numbered(mut octets: Vec<u8>, number: u16) -> Vec<u8> {
    octets[4..6].copy_from_slice(&number.to_be_bytes());
    octets[10..12].fill(0);
    let sum: u32 = octets[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    octets[10..12].copy_from_slice(&checksum.to_be_bytes());
    octets
}

/// The rules of the kind with the timeouts of the comparison, and a witness that notes which packets connection
/// tracking calls invalid.
fn rules(subject: &Subject, seed: u32) -> String {
    let Subject { kind, hairpin, udp_blocked, syn, .. } = *subject;
    let rules = Gate::Nat { kind, hairpin, udp_blocked, syn }.rules(PUBLIC.into(), seed);
    rules.replace("timeout 300s", &format!("timeout {}ms", TIMEOUT.as_millis())) + WITNESS
}

const WITNESS: &str = "
table inet witness {
	set invalid {
		typeof ip id
		size 65536
		flags dynamic
	}

	chain see {
		type filter hook prerouting priority mangle; policy accept;
		ct state invalid add @invalid { ip id }
	}
}
";

/// The numbers of the packets that connection tracking called invalid.
fn invalid() -> Result<BTreeSet<u16>, LabError> {
    let output = std::process::Command::new(Program::Nft.path()?)
        .args(["--json", "list", "set", "inet", "witness", "invalid"])
        .output()
        .map_err(|error| LabError::io("run `nft`", error))?;
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| LabError::io("read what `nft` lists", std::io::Error::other(error)))?;
    let sets = listed["nftables"].as_array().into_iter().flatten();
    let elements = sets.filter_map(|object| object["set"]["elem"].as_array()).flatten();
    Ok(elements.filter_map(|id| u16::try_from(id.as_u64()?).ok()).collect())
}

/// Gives the namespace's connection tracking the timeouts of the comparison. Where mappings are rows of maps,
/// flows are to be gone before them.
fn settle(subject: &Subject) -> Result<(), LabError> {
    let seconds = |span: Duration| span.as_secs().to_string();
    let (flow, established) = if subject.has_maps() { (FLOW, FLOW) } else { (TIMEOUT, ESTABLISHED) };
    let write = |name: &str, value: Duration| {
        let file = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        fs::write(&file, seconds(value)).map_err(|error| LabError::io(format!("write {file}"), error))
    };
    for name in ["udp_timeout", "udp_timeout_stream"] {
        write(name, flow)?;
    }
    for name in ["syn_sent", "syn_recv", "last_ack", "time_wait", "close"] {
        write(&format!("tcp_timeout_{name}"), flow)?;
    }
    // No ICMP error is held back.
    fs::write("/proc/sys/net/ipv4/icmp_ratemask", "0").map_err(|error| LabError::io("write icmp_ratemask", error))?;
    // RFC 5382 calls a connection established until both sides have finished, whatever is repeated or
    // unacknowledged meanwhile.
    for name in ["established", "fin_wait", "close_wait", "max_retrans", "unacknowledged"] {
        write(&format!("tcp_timeout_{name}"), established)?;
    }
    Ok(())
}

/// Between two packets of a sequence.
const GAP: Duration = Duration::from_millis(25);
