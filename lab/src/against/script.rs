//! Probe sequences: what inside hosts and outside endpoints send, chosen packet by packet.
//!
//! Each end of a TCP conversation does what an end in its place could do, given what reached it; now and
//! then it sends something out of turn. So the choice depends on what the NAT lets through, and what was
//! chosen is written down to be sent again to the other NAT.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use pinhole_proto::{Address, Endpoint};
use pinhole_sim::packet::{Body, Flags};
use pinhole_sim::{Packet, Rng};

/// How many inside endpoints there are: two ports of one host, and one of another.
pub(super) const INSIDE: usize = 3;
/// How many outside endpoints there are: two ports of one address, and one of another.
pub(super) const OUTSIDE: usize = 3;

/// The endpoints of one sequence, which no other sequence has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints {
    number: u16,
    /// Whether the second host uses the same private port as the first.
    pub(super) twins: bool,
}

impl Endpoints {
    pub(super) const fn new(number: u16, twins: bool) -> Self {
        Self { number, twins }
    }

    pub(super) const fn number(self) -> u16 {
        self.number
    }

    pub(super) fn inside(self, index: usize) -> SocketAddrV4 {
        let [high, low] = self.number.to_be_bytes();
        let base = 2048 + 8 * self.number;
        match index {
            0 => SocketAddrV4::new(Ipv4Addr::new(10, high, low, 1), base),
            1 => SocketAddrV4::new(Ipv4Addr::new(10, high, low, 1), base + 1),
            _ => SocketAddrV4::new(Ipv4Addr::new(10, high, low, 2), if self.twins { base } else { base + 2 }),
        }
    }

    pub(super) fn outside(self, index: usize) -> SocketAddrV4 {
        let [high, low] = self.number.to_be_bytes();
        match index {
            0 => SocketAddrV4::new(Ipv4Addr::new(20, high, low, 1), 3478),
            1 => SocketAddrV4::new(Ipv4Addr::new(20, high, low, 1), 3479),
            _ => SocketAddrV4::new(Ipv4Addr::new(20, high, low, 2), 3478),
        }
    }

    /// The sequence that an address belongs to, on either side.
    pub(super) fn number_of(address: Ipv4Addr) -> Option<u16> {
        let [net, high, low, _] = address.octets();
        matches!(net, 10 | 20).then(|| u16::from_be_bytes([high, low]))
    }
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// An inside endpoint to an outside one.
    Out { from: usize, to: usize },
    /// An outside endpoint to where an inside one appears, at the endpoint that `via` saw if that differs.
    In { from: usize, to: usize, via: usize },
    /// An inside endpoint to where another appears.
    Turn { from: usize, to: usize },
}

/// One packet of a sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shot {
    pub(super) way: Way,
    /// The flags and numbers of a segment; nothing for a datagram.
    pub(super) tcp: Option<(Flags, u32, u32)>,
}

impl Shot {
    pub(super) fn packet(&self, source: SocketAddrV4, destination: SocketAddrV4) -> Packet {
        let endpoint = |socket: SocketAddrV4| Endpoint::new(Address::V4(*socket.ip()), socket.port());
        let (source, destination) = (endpoint(source), endpoint(destination));
        match self.tcp {
            None => Packet::udp(source, destination, b"probe"),
            Some((flags, seq, ack)) => {
                let mut packet = Packet::tcp(source, destination, flags, seq.into(), ack.into());
                if let Body::Tcp(segment) = &mut packet.body {
                    // Connection tracking has a timeout of its own for those who close theirs.
                    segment.window = WINDOW;
                }
                packet
            }
        }
    }

    pub(super) const fn is_udp(&self) -> bool {
        self.tcp.is_none()
    }
}

impl std::fmt::Display for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.way {
            Way::Out { from, to } => write!(f, "i{from} -> o{to} ")?,
            Way::In { from, to, via } => write!(f, "o{from} -> i{to} as o{via} sees it ")?,
            Way::Turn { from, to } => write!(f, "i{from} -> i{to} by its public endpoint ")?,
        }
        match self.tcp {
            None => f.write_str("UDP"),
            Some((flags, seq, ack)) => write!(f, "{flags} {seq} {ack}"),
        }
    }
}

/// A sequence that is being made.
#[derive(Debug)]
pub(super) struct Script {
    rng: Rng,
    /// How many packets it will have.
    pub(super) length: usize,
    waits: u32,
    /// In percent.
    udp: u64,
    insides: usize,
    conversations: [[Conversation; OUTSIDE]; INSIDE],
}

/// The TCP between an inside and an outside endpoint, as its two ends see it.
#[derive(Clone, Copy, Debug, Default)]
struct Conversation {
    inner: End,
    outer: End,
}

/// What an end has sent and received.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// How often it has begun anew; its initial sequence number follows from that.
    generation: u32,
    /// The other end's generation when its SYN arrived.
    heard: u32,
    syn_sent: bool,
    syn_received: bool,
    /// It has answered the SYN, or acknowledged the answer to its own.
    answered: bool,
    /// What it sent was acknowledged.
    open: bool,
    fin_sent: bool,
    fin_received: bool,
    over: bool,
}

impl Script {
    pub(super) fn new(mut rng: Rng) -> Self {
        let length = 6 + rng.below(15) as usize;
        let udp = [100, 0, 50, 20][rng.below(4) as usize];
        let insides = 1 + rng.below(3) as usize;
        Self { rng, length, waits: 3, udp, insides, conversations: Default::default() }
    }

    /// How long to wait before the next packet, beyond the usual gap: not at all, less than the shorter
    /// timeout, or more.
    pub(super) fn wait(&mut self, timeout: Duration) -> Duration {
        let wait = match self.rng.below(100) {
            _ if self.waits == 0 => return Duration::ZERO,
            0..12 => timeout.mul_f64(0.6),
            12..22 => timeout.mul_f64(1.5),
            _ => return Duration::ZERO,
        };
        self.waits -= 1;
        wait
    }

    /// The next packet.
    pub(super) fn next(&mut self) -> Shot {
        if self.rng.below(100) < self.udp {
            return Shot { way: self.datagram(), tcp: None };
        }
        let (mut from, mut to) = (self.any_inside(), self.rng.below(OUTSIDE as u64) as usize);
        // Mostly a conversation goes on, instead of another beginning.
        for _ in 0..3 {
            let conversation = &self.conversations[from][to];
            if conversation.inner.syn_sent || conversation.outer.syn_sent {
                break;
            }
            (from, to) = (self.any_inside(), self.rng.below(OUTSIDE as u64) as usize);
        }
        let outward = self.rng.below(2) == 0;
        if self.insides > 1 && self.rng.below(100) < 6 {
            let to = (from + 1) % self.insides;
            return Shot { way: Way::Turn { from, to }, tcp: Some((Flags::SYN, 77_000, 0)) };
        }
        let way = if outward { Way::Out { from, to } } else { Way::In { from: to, to: from, via: to } };
        let conversation = &mut self.conversations[from][to];
        let (end, mine, others) =
            if outward { (&mut conversation.inner, 1, 5) } else { (&mut conversation.outer, 5, 1) };
        let flags = if self.rng.below(100) < 5 {
            Some(ANY[self.rng.below(ANY.len() as u64) as usize])
        } else {
            end.choose(&mut self.rng, outward)
        };
        let Some(flags) = flags else {
            return self.next();
        };
        if end.over && flags == Flags::SYN {
            end.begin_anew();
        }
        let base = |side: u32, generation: u32| side * 1_000_000 + generation * 50_000;
        let seq = base(mine, end.generation) + u32::from(!flags.syn) + u32::from(end.fin_sent && !flags.fin);
        let ack = if flags.ack { base(others, end.heard) + 1 + u32::from(end.fin_received) } else { 0 };
        end.on_sent(flags);
        Shot { way, tcp: Some((flags, seq, ack)) }
    }

    /// Tells the receiving end that a packet arrived.
    pub(super) fn on_arrived(&mut self, shot: &Shot) {
        let Some((flags, _, _)) = shot.tcp else {
            return;
        };
        match shot.way {
            Way::Out { from, to } => {
                let Conversation { inner, outer } = &mut self.conversations[from][to];
                outer.on_received(flags, inner.generation);
            }
            Way::In { from, to, .. } => {
                let Conversation { inner, outer } = &mut self.conversations[to][from];
                inner.on_received(flags, outer.generation);
            }
            Way::Turn { .. } => {}
        }
    }

    fn datagram(&mut self) -> Way {
        let (inside, outside) = (self.any_inside(), self.rng.below(OUTSIDE as u64) as usize);
        match self.rng.below(10) {
            0..5 => Way::Out { from: inside, to: outside },
            5..9 => Way::In { from: outside, to: inside, via: self.rng.below(OUTSIDE as u64) as usize },
            _ if self.insides > 1 => Way::Turn { from: inside, to: (inside + 1) % self.insides },
            _ => Way::In { from: outside, to: inside, via: outside },
        }
    }

    fn any_inside(&mut self) -> usize {
        // The one on the other host comes second.
        [0, 2, 1][self.rng.below(self.insides as u64) as usize]
    }
}

impl End {
    /// What it may send next; nothing if it has nothing to say.
    fn choose(self, rng: &mut Rng, inside: bool) -> Option<Flags> {
        let dice = rng.below(10);
        Some(match self {
            Self { over: true, .. } if dice < if inside { 4 } else { 1 } => Flags::SYN,
            Self { over: true, .. } => return None,
            Self { open: true, fin_received: true, fin_sent: true, .. } => Flags::ACK,
            Self { open: true, fin_received: true, .. } if dice < 6 => Flags::FIN,
            Self { open: true, .. } => match dice {
                0..6 => Flags::ACK,
                6..9 if !self.fin_sent => Flags::FIN,
                6..9 => Flags::ACK,
                _ => Flags::RST,
            },
            Self { syn_sent: true, syn_received: true, answered: false, .. } => Flags::SYN_ACK,
            Self { syn_sent: true, .. } => Flags::SYN,
            // Nobody listens, or somebody does.
            Self { syn_received: true, answered: false, .. } if dice < 2 => Flags::RST,
            Self { syn_received: true, .. } => Flags::SYN_ACK,
            _ if inside || dice < 2 => Flags::SYN,
            _ => return None,
        })
    }

    fn on_sent(&mut self, flags: Flags) {
        if flags.rst {
            self.over = true;
        } else if flags == Flags::SYN {
            self.syn_sent = true;
        } else if flags == Flags::SYN_ACK {
            self.answered = true;
        } else if flags.fin {
            self.fin_sent = true;
        }
        self.over |= self.fin_sent && self.fin_received && flags == Flags::ACK;
    }

    /// Forgets everything; the next connection has other numbers.
    fn begin_anew(&mut self) {
        *self = Self { generation: self.generation + 1, heard: self.heard, ..Self::default() };
    }

    fn on_received(&mut self, flags: Flags, generation: u32) {
        if self.over && flags == Flags::SYN {
            self.begin_anew();
        }
        if flags.syn {
            self.heard = generation;
        }
        if flags.rst {
            self.over = true;
        } else if flags == Flags::SYN {
            self.syn_received = true;
        } else if flags == Flags::SYN_ACK {
            self.open |= self.syn_sent;
        } else if flags.ack {
            self.open |= self.answered;
            self.fin_received |= flags.fin;
        }
    }
}

const ANY: [Flags; 5] = [Flags::SYN, Flags::SYN_ACK, Flags::ACK, Flags::FIN, Flags::RST];

const WINDOW: u32 = 60_000;
