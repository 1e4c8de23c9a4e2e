//! A trace in the shapes of the page: frame, ladder, octets.

use pinhole_proto::Endpoint;
use pinhole_proto::wire::{FRAME_HEADER, Packet};
use pinhole_trace::{Engine, In, Out, StreamIn, What};
use serde::Serialize;

use super::TracePage;
use super::events::sentence;
use super::steps::Step;
use crate::branch::{BranchView, Milestone};
use crate::bytes::{BytesView, CaptureView, Field, hex, of_packet, of_stream, sealed_in};
use crate::frame::{Fate, Frame, Happening, PacketLine};
use crate::knows::{Fact, Knows};
use crate::ladder::{HopRow, Ladder, PacketRow, Row};
use crate::machines::MachineView;
use crate::outcome::Outcome;
use crate::page::{PageView, Refused};
use crate::text::Text;
use crate::words;

/// What a trace is, for the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceView {
    /// The file's name.
    pub file: String,
    /// What it is of, what it lacks.
    pub facts: Vec<Text>,
}

impl TracePage {
    /// Everything that does not change with the cursor.
    #[must_use]
    pub fn view(&self) -> PageView {
        let own = self.lanes.own();
        let outcome = self.outcome();
        PageView {
            scenario: "trace".to_owned(),
            title: Text::of("title.trace").with("file", &self.file),
            story: Text::of("story.trace").with("machine", own),
            source: self.header.program.clone(),
            errata: Vec::new(),
            machines: self.machines(),
            nats: Vec::new(),
            branches: vec![BranchView {
                parent: None,
                edits: Vec::new(),
                outcome,
                length: self.len(),
                digest: self.digest(),
            }],
            branch: 0,
            length: self.len(),
            milestones: self.milestones(),
            cursor: self.cursor,
            view: pinhole_proto::sorted::SortedMap::new(),
            notices: if self.cut {
                vec![Text::of("notice.trace.cut").with("line", self.lines.len() + 2)]
            } else {
                Vec::new()
            },
            trace: Some(TraceView { file: self.file.clone(), facts: self.facts() }),
        }
    }

    /// A digest of the file.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:016x}", self.digest)
    }

    /// Goes to a step, or to the last one where there are fewer.
    pub fn seek(&mut self, index: usize) -> Frame {
        self.cursor = index.min(self.len().saturating_sub(1));
        self.frame(self.cursor)
    }

    fn facts(&self) -> Vec<Text> {
        let engine = match self.header.engine {
            Engine::Peer => "peer",
            Engine::Server => "server",
            Engine::Netcheck => "netcheck",
        };
        let count =
            |fate: &[Fate]| self.steps.iter().filter(|step| step.fate.is_some_and(|f| fate.contains(&f))).count();
        let mut facts = vec![
            Text::of(format!("trace.of.{engine}")).with("id", self.header.id.as_deref().unwrap_or("–")),
            Text::of("trace.counts")
                .with("sent", count(&[Fate::Sent]))
                .with("received", count(&[Fate::Delivered, Fate::Dropped])),
            Text::of("trace.no-keys"),
            Text::of("trace.one-place"),
        ];
        if let Some(shard) = self.header.shard {
            facts.push(Text::of("trace.shard").with("number", u32::from(shard.number) + 1).with("of", shard.of));
        }
        facts
    }

    fn outcome(&self) -> Outcome {
        match (&self.events.selected, self.header.engine) {
            (Some((false, path)), _) => {
                Outcome { kind: "direct", text: Text::of("trace.outcome.direct").with_text("path", path.clone()) }
            }
            (Some((true, _)), _) => Outcome { kind: "relayed", text: Text::of("trace.outcome.relayed") },
            (None, Engine::Peer) => Outcome { kind: "none", text: Text::of("trace.outcome.none") },
            (None, _) => Outcome { kind: "unknown", text: Text::of("trace.outcome.unknown") },
        }
    }

    fn machines(&self) -> Vec<MachineView> {
        let lanes = self.lanes.all().iter();
        lanes
            .map(|lane| {
                let mut addresses: Vec<_> =
                    lane.endpoints.iter().take(MAX_ADDRESSES).map(ToString::to_string).collect();
                if let (Some(first), more @ 1..) = (addresses.first_mut(), lane.endpoints.len().saturating_sub(1)) {
                    *first = format!("{first} +{more}");
                }
                MachineView { id: lane.name.clone(), kind: lane.kind, addresses, realm: String::new(), inside: None }
            })
            .collect()
    }

    fn milestones(&self) -> Vec<Milestone> {
        let marks = self.events.marks().iter().filter_map(|line| {
            let index = self.steps.binary_search_by_key(line, |step| step.line).ok()?;
            Some((index, self.sentence(&self.steps[index])))
        });
        let numbered = marks.zip(1..).map(|((index, text), number)| Milestone {
            index,
            journey: index as u64,
            step: format!("{number}"),
            text,
        });
        numbered.collect()
    }

    fn frame(&self, index: usize) -> Frame {
        let Some(step) = self.steps.get(index) else {
            return Frame {
                index: 0,
                time: 0,
                event: Text::of("event.beginning"),
                happenings: Vec::new(),
                flights: Vec::new(),
                tables: Vec::new(),
                knows: Vec::new(),
                server: None,
            };
        };
        Frame {
            index,
            time: self.at(index).as_micros(),
            event: self.sentence(step),
            happenings: self.happening(index, step).into_iter().collect(),
            flights: Vec::new(),
            tables: Vec::new(),
            knows: self.knows(step),
            server: None,
        }
    }

    fn knows(&self, step: &Step) -> Vec<Knows> {
        let known = self.events.known_at(step.line);
        let skipped = known.len().saturating_sub(MAX_FACTS);
        let facts: Vec<_> = known
            .into_iter()
            .skip(skipped)
            .map(|(line, text)| Fact { text: text.clone(), fresh: line == step.line })
            .collect();
        if facts.is_empty() { Vec::new() } else { vec![Knows { machine: self.lanes.own().to_owned(), facts }] }
    }

    fn happening(&self, index: usize, step: &Step) -> Option<Happening> {
        let verdict = step.fate?;
        let machine = self.lanes.own().to_owned();
        let (here, there) = (shown(step.local), shown(step.remote));
        let (source, destination) = if self.is_out(step) { (here, there) } else { (there, here) };
        let (octets, transport) = self.payload(step);
        let packet = PacketLine {
            name: self.name(step),
            source,
            destination,
            octets: octets.len(),
            transport: transport.to_owned(),
        };
        let text = self.sentence(step);
        let other = || step.remote.map(|remote| self.lanes.all()[self.lanes.of_endpoint(remote)].name.clone());
        let from = if self.is_out(step) { machine.clone() } else { other().unwrap_or_default() };
        Some(Happening {
            id: index,
            journey: index as u64,
            machine,
            from,
            packet,
            verdict,
            text,
            checks: Vec::new(),
            row: None,
            column: None,
        })
    }

    fn is_out(&self, step: &Step) -> bool {
        matches!(self.line(step).what, What::Out(_))
    }

    /// The octets of a packet and its transport.
    fn payload(&self, step: &Step) -> (&[u8], &'static str) {
        match &self.line(step).what {
            What::In(In::Datagram { payload, .. }) | What::Out(Out::Transmit { payload, .. }) => (&payload.0, "udp"),
            What::In(In::Stream { what: StreamIn::Received(octets), .. }) | What::Out(Out::Write { octets, .. }) => {
                (&octets.0, "tcp")
            }
            _ => (&[], "tcp"),
        }
    }

    /// What a packet is.
    fn name(&self, step: &Step) -> Text {
        let (octets, transport) = self.payload(step);
        match &self.line(step).what {
            What::Out(Out::Dial { .. }) => return Text::of("trace.name.dial"),
            What::In(In::Stream { what: StreamIn::Accepted { .. }, .. }) => return Text::of("trace.name.accepted"),
            _ => {}
        }
        if transport == "udp" {
            return words::kind_name(octets).map_or_else(|| Text::of("packet.datagram"), words::literal);
        }
        let frames: Vec<_> = frames(octets.get(step.carried..).unwrap_or_default()).collect();
        match frames.as_slice() {
            [] => Text::of("trace.name.octets").with("count", octets.len()),
            [only] => words::literal(only),
            [first, ..] => Text::of("trace.name.frames").with("name", first).with("more", frames.len() - 1),
        }
    }

    /// A step in one sentence.
    fn sentence(&self, step: &Step) -> Text {
        let text = |key: &str| Text::of(format!("trace.line.{key}"));
        let remote = || shown(step.remote);
        let packet = |key: &str| text(key).with_text("packet", self.name(step)).with("remote", remote());
        let line = self.line(step);
        let said = match &line.what {
            What::Command(command) => text("command").with("command", cut(command)),
            What::Reply(reply) => text("reply").with("reply", cut(reply)),
            What::Out(Out::Event(event)) => return sentence(self.header.engine, event),
            What::Out(Out::Transmit { ttl, .. }) => match (step.fate, ttl) {
                (Some(Fate::Lost), _) => packet("unsent"),
                (_, Some(ttl)) => packet("sent-ttl").with("ttl", ttl),
                (_, None) => packet("sent"),
            },
            What::In(In::Datagram { .. }) => packet("received"),
            What::Out(Out::Write { .. }) => packet("written"),
            What::In(In::Stream { what: StreamIn::Received(_), .. }) => packet("read"),
            What::Out(Out::Dial { .. }) => text("dial").with("remote", remote()),
            What::In(In::Stream { what: StreamIn::Accepted { .. }, .. }) => text("accepted").with("remote", remote()),
            What::In(In::Stream { what: StreamIn::Connected { local }, .. }) => {
                text("connected").with("local", local).with("remote", remote())
            }
            What::In(In::Stream { what: StreamIn::Closed(None), .. }) => text("ended").with("remote", remote()),
            What::In(In::Stream { what: StreamIn::Closed(Some(error)), .. }) => {
                text("broken").with("remote", remote()).with("error", words::key_of(error))
            }
            What::Out(Out::Close { .. }) => text("close").with("remote", remote()),
            What::Out(Out::Shut { .. }) => text("shut").with("local", shown(step.local)),
            What::In(In::Opened { local, .. }) => text("opened").with("local", shown(Some(*local))),
            What::In(In::OpenFailed { error, .. }) => text("open-failed").with("error", words::key_of(error)),
            What::In(In::Rejected { remote, error, .. }) => {
                text("rejected").with("remote", remote).with("error", words::key_of(error))
            }
            What::In(In::Interfaces(list)) => {
                let addresses: Vec<_> = list.iter().take(MAX_ADDRESSES).map(|own| own.address.to_string()).collect();
                text("interfaces").with("addresses", addresses.join(", "))
            }
            // These are no steps.
            What::Discard(_) | What::Unsent(_) | What::In(_) | What::Out(_) => text("other"),
        };
        match &step.discard {
            Some(reason) => text("ignored").with_text("what", said).with("reason", reason),
            None => said,
        }
    }

    /// The ladder without its rows: [`rows`](Self::rows) has them, because there may be very many.
    #[must_use]
    pub fn ladder(&self) -> Ladder {
        Ladder {
            columns: self.lanes.all().iter().map(|lane| lane.name.clone()).collect(),
            rows: Vec::new(),
            length: self.len(),
        }
    }

    /// The ladder with all of its rows.
    #[must_use]
    pub fn whole_ladder(&self) -> Ladder {
        Ladder { rows: self.rows(0, self.len()), ..self.ladder() }
    }

    /// The rows from one to before another: one for each step.
    #[must_use]
    pub fn rows(&self, from: usize, to: usize) -> Vec<Row> {
        let to = to.min(self.len());
        (from.min(to)..to).map(|index| self.row(index, &self.steps[index])).collect()
    }

    fn row(&self, index: usize, step: &Step) -> Row {
        let time = self.at(index).as_micros();
        let (Some(fate), Some(lane)) = (step.fate, step.lane) else {
            return Row::Note { index, time, text: self.sentence(step) };
        };
        let (here, there) = (self.lanes.own().to_owned(), self.lanes.all()[lane].name.clone());
        let (local, remote) = (shown(step.local), shown(step.remote));
        let out = self.is_out(step);
        let (from, to, source, destination) =
            if out { (here, there, local, remote) } else { (there, here, remote, local) };
        let text = Some(match fate {
            Fate::Sent => Text::of("trace.left"),
            _ => self.sentence(step),
        });
        Row::Packet(PacketRow {
            journey: index as u64,
            index,
            ended: Some(index),
            time,
            step: None,
            title: None,
            name: self.name(step),
            transport: self.payload(step).1.to_owned(),
            hops: vec![HopRow {
                from,
                to,
                sent: index,
                arrived: Some(index),
                source,
                destination,
                fate,
                record: index,
                text,
            }],
        })
    }

    /// The octets of a packet.
    ///
    /// # Errors
    /// The step is no packet.
    pub fn bytes(&self, journey: u64) -> Result<BytesView, Refused> {
        let missing = || Refused(Text::of("notice.no-packet").with("packet", journey));
        let index = usize::try_from(journey).map_err(|_| missing())?;
        let step = self.steps.get(index).filter(|step| step.fate.is_some()).ok_or_else(missing)?;
        let (octets, transport) = self.payload(step);
        let layers = match transport {
            _ if octets.is_empty() => Vec::new(),
            "udp" => vec![of_packet(octets, 0).unwrap_or_else(|_| Field::octets(octets, 0))],
            _ => {
                let (carried, rest) = octets.split_at(step.carried.min(octets.len()));
                let before = (!carried.is_empty()).then(|| Field::octets(carried, 0));
                before.into_iter().chain(of_stream(rest, carried.len())).collect()
            }
        };
        let (here, there) = (shown(step.local), shown(step.remote));
        let (from, to) = if self.is_out(step) { (here, there) } else { (there, here) };
        let capture = CaptureView {
            place: Text::of("trace.capture").with("from", from).with("to", to),
            index,
            octets: hex(octets),
            layers,
            changed: Vec::new(),
        };
        let sealed = if transport == "udp" {
            is_sealed(octets)
        } else {
            packets(octets.get(step.carried..).unwrap_or_default()).any(is_sealed)
        };
        let closed = Text::of(if sealed { "closed.trace" } else { "closed.nothing-sealed" });
        Ok(BytesView { journey, name: self.name(step), captures: vec![capture], opened: None, closed: Some(closed) })
    }
}

fn is_sealed(octets: &[u8]) -> bool {
    Packet::decode(octets).is_ok_and(|packet| sealed_in(&packet).is_some())
}

/// The whole frames at the beginning of a piece of a stream, without their lengths.
fn packets(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (header, rest) = octets.split_first_chunk::<FRAME_HEADER>()?;
        let (packet, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*header)))?;
        octets = rest;
        Some(packet)
    })
}

/// Their kinds.
fn frames(octets: &[u8]) -> impl Iterator<Item = &'static str> {
    packets(octets).map_while(words::kind_name)
}

/// An endpoint; a star for an address that the trace does not tell.
fn shown(endpoint: Option<Endpoint>) -> String {
    match endpoint {
        None => "?".to_owned(),
        Some(endpoint) if endpoint.address().is_unspecified() => format!("*:{}", endpoint.port()),
        Some(endpoint) => endpoint.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The most endpoints or addresses that are listed of one machine.
const MAX_ADDRESSES: usize = 8;
/// The most facts in the panel; the latest count.
const MAX_FACTS: usize = 24;
/// The most characters of a command or an answer that are shown.
const MAX_SHOWN: usize = 80;
