//! What a program's trace has is what was on the wire at its host.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use pinhole_lab::trial::{Over, Running};
use pinhole_lab::{Capture, Direction, Lab, Packet};
use pinhole_proto::constants::MAX_DATAGRAM;
use pinhole_proto::{Endpoint, SocketId, StreamId};
use pinhole_trace::{In, Out, StreamIn, Trace, What};

use super::Context;
use super::capture::{Datagram, streams_of};
use super::setting::{START, Setting, end, exchange, two_nats};

pub(crate) fn udp(context: &Context) -> anyhow::Result<String> {
    let observed = observe(context, Over::Udp)?;
    let (mut sent, mut received, mut late) = (0, 0, 0);
    for host in &observed {
        let (wire, trace) = (wire_datagrams(&host.packets), trace_datagrams(&host.trace)?);
        for key in wire.keys().chain(trace.keys()) {
            let (direction, port) = key;
            let none = Vec::new();
            let (seen, told) = (wire.get(key).unwrap_or(&none), trace.get(key).unwrap_or(&none));
            let differs = (0..seen.len().min(told.len())).find(|at| seen[*at] != told[*at]);
            ensure!(differs.is_none(), "{}: {direction:?} at port {port}: datagram {differs:?} differs", host.name);
            let more = seen.len().abs_diff(told.len());
            // What arrives after the port was shut is on the wire and nowhere else.
            let fine = more == 0 || (*direction == Way::In && seen.len() > told.len() && host.is_shut(*port));
            let counts = format!("{} on the wire, {} in the trace", seen.len(), told.len());
            ensure!(fine, "{}: {direction:?} at port {port}: {counts}", host.name);
        }
        let count = |way| trace.iter().filter(|((key, _), _)| *key == way).map(|(_, list)| list.len()).sum::<usize>();
        let on_wire = wire.values().map(Vec::len).sum::<usize>();
        (sent, received) = (sent + count(Way::Out), received + count(Way::In));
        late += on_wire - count(Way::Out) - count(Way::In);
        ensure!(count(Way::Out) > 3 && count(Way::In) > 3, "{}: hardly anything was on the wire", host.name);
    }
    Ok(format!(
        "{sent} datagrams sent and {received} received at three hosts, each with its octets; {late} came too late"
    ))
}

pub(crate) fn tcp(context: &Context) -> anyhow::Result<String> {
    let observed = observe(context, Over::Tcp)?;
    let (mut directions, mut octets) = (0, 0);
    for host in &observed {
        let wire = streams_of(&host.packets);
        let mut told: BTreeMap<(SocketAddr, SocketAddr), Stream> = BTreeMap::new();
        for (ends, stream) in trace_streams(&host.trace) {
            // A pair of endpoints may serve several streams; the capture has the first that carried something.
            told.entry(ends).or_insert(stream);
        }
        for (ends, seen) in &wire {
            let stream = told.get(ends).with_context(|| format!("{}: {ends:?} is not in the trace", host.name))?;
            let fine = if stream.out { stream.octets.starts_with(seen) } else { seen.starts_with(&stream.octets) };
            ensure!(fine, "{}: the octets of {ends:?} differ", host.name);
            let whole = stream.octets.len() == seen.len() || stream.broken;
            ensure!(
                whole,
                "{}: {ends:?}: {} octets on the wire, {} in the trace",
                host.name,
                seen.len(),
                stream.octets.len()
            );
            directions += 1;
            octets += stream.octets.len();
        }
        ensure!(wire.len() >= 2, "{}: hardly anything was on the wire", host.name);
    }
    Ok(format!("{octets} octets in {directions} directions of streams at three hosts"))
}

/// A host with one program: what was on its wire, and what the program's trace has.
struct Host {
    name: &'static str,
    packets: Vec<Packet>,
    trace: Trace,
}

/// A session that becomes direct, some data, and the end of all three programs.
fn observe(context: &Context, over: Over) -> anyhow::Result<Vec<Host>> {
    let traces = context.traces.clone().unwrap_or_else(|| context.directory.join("traces"));
    let context = Context {
        programs: context.programs.clone(),
        directory: context.directory.clone(),
        traces: Some(traces.clone()),
        full: context.full,
    };
    context.prepare()?;
    let lab = Lab::build(&two_nats())?;
    let hosts = ["s", "b", "a"];
    let taps = hosts.map(|host| lab.capture(host, "eth0"));
    let mut setting = Setting::with_server(&context, lab, over, &["--engines", "1"])?;
    let (mut a, b) = setting.direct_session()?;
    exchange(&mut a, "short")?;
    exchange(&mut a, &"long ".repeat(300)[..MAX_DATAGRAM])?;
    end(a)?;
    let server = setting.server.take().context("no server")?;
    for program in [b, server] {
        stop(program)?;
    }
    let files = ["0-server.jsonl", "1-b.jsonl", "2-a.jsonl"].map(|name| traces.join(name));
    let host = |((name, tap), file): ((&'static str, Result<Capture, _>), PathBuf)| {
        Ok(Host { name, packets: tap.map_err(anyhow::Error::from)?.finish().packets(), trace: import(&file)? })
    };
    hosts.into_iter().zip(taps).zip(files).map(host).collect()
}

fn stop(program: Running) -> anyhow::Result<()> {
    program.signal(Signal::SIGTERM);
    let (_, status) = program.finish(START)?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

fn import(file: &Path) -> anyhow::Result<Trace> {
    let octets = std::fs::read(file).with_context(|| file.display().to_string())?;
    let trace = pinhole_trace::read(&octets).with_context(|| file.display().to_string())?;
    ensure!(!trace.cut, "{} ends in the middle of a line", file.display());
    Ok(trace)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    In,
    Out,
}

/// Datagrams by their direction and the port here, each in its order: the endpoint there and the octets.
type Datagrams = BTreeMap<(Way, u16), Vec<(SocketAddr, Vec<u8>)>>;

fn wire_datagrams(packets: &[Packet]) -> Datagrams {
    let mut all = Datagrams::new();
    for packet in packets {
        let Some(datagram) = Datagram::read(packet) else { continue };
        let (way, here, there) = match packet.direction {
            Direction::In => (Way::In, datagram.to, datagram.from),
            Direction::Out => (Way::Out, datagram.from, datagram.to),
        };
        all.entry((way, here.port())).or_default().push((there, datagram.payload.to_vec()));
    }
    all
}

fn trace_datagrams(trace: &Trace) -> anyhow::Result<Datagrams> {
    let unsent: Vec<u64> = trace
        .lines
        .iter()
        .filter_map(|line| if let What::Unsent(number) = line.what { Some(number) } else { None })
        .collect();
    let mut all = Datagrams::new();
    let mut ports: BTreeMap<SocketId, u16> = BTreeMap::new();
    let mut number = 0;
    for line in &trace.lines {
        let (way, socket, remote, payload) = match &line.what {
            What::In(In::Opened { socket, local }) => {
                ports.insert(*socket, local.port());
                continue;
            }
            What::In(In::Datagram { socket, remote, payload, .. }) => (Way::In, socket, remote, payload),
            What::Out(Out::Transmit { socket, remote, payload, .. }) => {
                number += 1;
                if unsent.contains(&(number - 1)) {
                    continue;
                }
                (Way::Out, socket, remote, payload)
            }
            _ => continue,
        };
        let port = *ports.get(socket).context("a datagram on a socket that was not opened")?;
        all.entry((way, port)).or_default().push(((*remote).into(), payload.0.to_vec()));
    }
    Ok(all)
}

impl Host {
    /// Whether the program shut the port at last, or ended.
    fn is_shut(&self, port: u16) -> bool {
        let mut open: BTreeMap<SocketId, Endpoint> = BTreeMap::new();
        for line in &self.trace.lines {
            match &line.what {
                What::In(In::Opened { socket, local }) => drop(open.insert(*socket, *local)),
                What::Out(Out::Shut { socket }) => drop(open.remove(socket)),
                _ => {}
            }
        }
        let stopped = |what: &What<'_, String>| matches!(what, What::Out(Out::Event(event)) if event == "\"stopped\"");
        !open.values().any(|local| local.port() == port) || self.trace.lines.iter().any(|line| stopped(&line.what))
    }
}

/// One direction of a stream.
struct Stream {
    out: bool,
    octets: Vec<u8>,
    /// Whether it ended otherwise than in order: then the wire may have less, or more.
    broken: bool,
}

/// The directions that carried something, by source and destination.
fn trace_streams(trace: &Trace) -> Vec<((SocketAddr, SocketAddr), Stream)> {
    #[derive(Default)]
    struct Known {
        local: Option<Endpoint>,
        remote: Option<Endpoint>,
        sent: Vec<u8>,
        received: Vec<u8>,
        broken: bool,
    }
    let mut all: BTreeMap<StreamId, Known> = BTreeMap::new();
    for line in &trace.lines {
        match &line.what {
            What::Out(Out::Dial { stream, remote, .. }) => all.entry(*stream).or_default().remote = Some(*remote),
            What::Out(Out::Write { stream, octets }) => {
                all.entry(*stream).or_default().sent.extend_from_slice(&octets.0);
            }
            What::Out(Out::Close { stream, .. }) => all.entry(*stream).or_default().broken = true,
            What::In(In::Stream { stream, what }) => {
                let known = all.entry(*stream).or_default();
                match what {
                    StreamIn::Accepted { local, remote, .. } => {
                        (known.local, known.remote) = (Some(*local), Some(*remote));
                    }
                    StreamIn::Connected { local } => known.local = Some(*local),
                    StreamIn::Received(octets) => known.received.extend_from_slice(&octets.0),
                    StreamIn::Closed(error) => known.broken |= error.is_some(),
                    StreamIn::Written(_) => {}
                }
            }
            _ => {}
        }
    }
    let directions = all.into_values().filter_map(|known| {
        let (local, remote) = (known.local?.into(), known.remote?.into());
        let sent = Stream { out: true, octets: known.sent, broken: known.broken };
        let received = Stream { out: false, octets: known.received, broken: known.broken };
        Some([((local, remote), sent), ((remote, local), received)])
    });
    directions.flatten().filter(|(_, stream)| !stream.octets.is_empty()).collect()
}
