//! The steps of a trace: the lines that tell something, with the endpoints that earlier lines gave their sockets and
//! streams.

use pinhole_proto::sorted::SortedMap;
use pinhole_proto::wire::{FRAME_HEADER, Packet};
use pinhole_proto::{Endpoint, SocketId, StreamId};
use pinhole_trace::{In, Out, StreamIn, Trace, What};

use crate::frame::Fate;

/// A line that is shown.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The line, from 0 for the first after the header.
    pub(super) line: usize,
    /// The endpoint here; the address is unspecified where a trace does not tell it.
    pub(super) local: Option<Endpoint>,
    /// The endpoint there.
    pub(super) remote: Option<Endpoint>,
    /// The remote endpoint's column.
    pub(super) lane: Option<usize>,
    /// What became of the packet, as far as it is known here; none of what is no packet.
    pub(super) fate: Option<Fate>,
    /// Why the engine ignored it.
    pub(super) discard: Option<String>,
    /// The octets at the beginning that belong to a frame that began before.
    pub(super) carried: usize,
}

/// What a packet tells about the endpoint at its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clue {
    /// Servers alone send this.
    Server,
    /// It is asked as a server is.
    Asked,
    /// A peer of this session, or where it was looked for.
    Session([u8; 8]),
    /// Nothing.
    None,
}

/// One direction of a stream: how many octets of a frame are still to come, and what of a frame's length is there.
#[derive(Clone, Copy, Debug, Default)]
struct Framing {
    to_come: usize,
    high: Option<u8>,
}

#[derive(Default)]
struct Walk {
    steps: Vec<Step>,
    clues: Vec<(Endpoint, Clue)>,
    ports: SortedMap<SocketId, Endpoint>,
    streams: SortedMap<StreamId, (Option<Endpoint>, Endpoint)>,
    framing: SortedMap<(StreamId, bool), Framing>,
    /// The steps of the transmits that no later line may name, by their numbers.
    transmits: Vec<usize>,
}

/// The steps, and what is known about each endpoint, in the order in which it was seen.
pub(super) fn of(trace: &Trace) -> (Vec<Step>, Vec<(Endpoint, Clue)>) {
    let mut walk = Walk::default();
    for (line, what) in trace.lines.iter().map(|line| &line.what).enumerate() {
        match what {
            What::In(input) => walk.input(line, input),
            What::Out(output) => walk.output(line, output),
            What::Discard(reason) => walk.discard(reason),
            What::Unsent(number) => walk.unsent(*number),
            What::Command(_) | What::Reply(_) => walk.note(line, None),
        }
    }
    (walk.steps, walk.clues)
}

impl Walk {
    fn note(&mut self, line: usize, remote: Option<Endpoint>) {
        self.push(line, None, remote, None);
    }

    fn push(&mut self, line: usize, local: Option<Endpoint>, remote: Option<Endpoint>, fate: Option<Fate>) {
        self.steps.push(Step { line, local, remote, lane: None, fate, discard: None, carried: 0 });
    }

    fn packet(&mut self, remote: Endpoint, octets: &[u8], out: bool) {
        let clue = match Packet::decode(octets) {
            Ok(Packet::Discovered(_) | Packet::Registered(_)) if !out => Clue::Server,
            Ok(Packet::Discover(_) | Packet::Register(_)) if out => Clue::Asked,
            Ok(Packet::Punch(punch)) => Clue::Session(punch.session),
            Ok(Packet::PunchReply(reply)) => Clue::Session(reply.session),
            _ => Clue::None,
        };
        self.clues.push((remote, clue));
    }

    fn input(&mut self, line: usize, input: &In<'_>) {
        match input {
            In::Timeout => {}
            In::Interfaces(_) | In::OpenFailed { .. } => self.note(line, None),
            In::Opened { socket, local } => {
                self.ports.insert(*socket, *local);
                self.push(line, Some(*local), None, None);
            }
            In::Rejected { remote, .. } => self.note(line, Some(*remote)),
            In::Datagram { socket, local, remote, payload } => {
                let port = self.ports.get(socket).map_or(0, |open| open.port());
                self.packet(*remote, &payload.0, false);
                self.push(line, Some(Endpoint::new(*local, port)), Some(*remote), Some(Fate::Delivered));
            }
            In::Stream { stream, what } => self.stream(line, *stream, what),
        }
    }

    fn stream(&mut self, line: usize, stream: StreamId, what: &StreamIn<'_>) {
        let known = self.streams.get(&stream).copied();
        let (local, remote) = (known.and_then(|(local, _)| local), known.map(|(_, remote)| remote));
        match what {
            StreamIn::Written(_) => {}
            StreamIn::Accepted { local, remote, .. } => {
                self.streams.insert(stream, (Some(*local), *remote));
                self.clues.push((*remote, Clue::None));
                self.push(line, Some(*local), Some(*remote), Some(Fate::Delivered));
            }
            StreamIn::Connected { local } => {
                if let Some((known, _)) = self.streams.get_mut(&stream) {
                    *known = Some(*local);
                }
                self.push(line, Some(*local), remote, None);
            }
            StreamIn::Closed(_) => self.push(line, local, remote, None),
            StreamIn::Received(octets) => self.octets(line, stream, &octets.0, false),
        }
    }

    fn octets(&mut self, line: usize, stream: StreamId, octets: &[u8], out: bool) {
        let known = self.streams.get(&stream).copied();
        let framing = self.framing.or_insert_with((stream, out), Default::default);
        let carried = framing.take(octets);
        if let Some((_, remote)) = known {
            let frame = octets.get(carried + FRAME_HEADER..);
            let length = octets
                .get(carried..carried + FRAME_HEADER)
                .map_or(0, |header| usize::from(u16::from_be_bytes([header[0], header[1]])));
            self.packet(remote, frame.and_then(|frame| frame.get(..length)).unwrap_or_default(), out);
        }
        let (local, remote) = (known.and_then(|(local, _)| local), known.map(|(_, remote)| remote));
        let fate = if out { Fate::Sent } else { Fate::Delivered };
        self.push(line, local, remote, Some(fate));
        if let Some(step) = self.steps.last_mut() {
            step.carried = carried;
        }
    }

    fn output(&mut self, line: usize, output: &Out<'_, String>) {
        match output {
            Out::Open { .. } | Out::Read { .. } | Out::Wait(_) => {}
            Out::Shut { socket } => {
                let local = self.ports.remove(socket);
                self.push(line, local, None, None);
            }
            Out::Transmit { socket, local, remote, payload, .. } => {
                let open = self.ports.get(socket).copied();
                let own = open.map(|open| local.map_or(open, |local| Endpoint::new(local, open.port())));
                self.transmits.push(self.steps.len());
                self.packet(*remote, &payload.0, true);
                self.push(line, own, Some(*remote), Some(Fate::Sent));
            }
            Out::Dial { stream, from, local, remote, .. } => {
                let open = self.ports.get(from).copied();
                let own = open.map(|open| local.map_or(open, |local| Endpoint::new(local, open.port())));
                self.streams.insert(*stream, (own, *remote));
                self.clues.push((*remote, Clue::None));
                self.push(line, own, Some(*remote), Some(Fate::Sent));
            }
            Out::Write { stream, octets } => self.octets(line, *stream, &octets.0, true),
            Out::Close { stream, .. } => {
                let known = self.streams.get(stream).copied();
                self.push(line, known.and_then(|(local, _)| local), known.map(|(_, remote)| remote), None);
            }
            Out::Event(_) => self.note(line, None),
        }
    }

    /// The input of the line before was ignored.
    fn discard(&mut self, reason: &str) {
        if let Some(step) = self.steps.last_mut() {
            step.discard = Some(reason.to_owned());
            if step.fate == Some(Fate::Delivered) {
                step.fate = Some(Fate::Dropped);
            }
        }
    }

    fn unsent(&mut self, number: u64) {
        let step = usize::try_from(number).ok().and_then(|number| self.transmits.get(number));
        if let Some(step) = step.and_then(|step| self.steps.get_mut(*step)) {
            step.fate = Some(Fate::Lost);
        }
    }
}

impl Framing {
    /// Goes on by these octets; tells how many of them belong to a frame that began before.
    fn take(&mut self, octets: &[u8]) -> usize {
        let mut at = 0;
        let mut carried = None;
        let fresh = self.to_come == 0 && self.high.is_none();
        while at < octets.len() {
            if self.to_come > 0 {
                let step = self.to_come.min(octets.len() - at);
                self.to_come -= step;
                at += step;
            } else if let Some(high) = self.high.take() {
                self.to_come = usize::from(u16::from_be_bytes([high, octets[at]]));
                at += 1;
            } else {
                carried.get_or_insert(at);
                self.high = Some(octets[at]);
                at += 1;
            }
        }
        if fresh { 0 } else { carried.unwrap_or(octets.len()) }
    }
}
