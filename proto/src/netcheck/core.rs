//! What the two halves of a check share: queue, timers, dice, local ports, the server's endpoints.

use alloc::vec::Vec;

use super::api::NetCheckEvent;
use super::report::{Dependence, NatReport, Observation, Place};
use crate::alternates::Alternates;
use crate::endpoint::{Address, Endpoint, Family};
use crate::engine::{Interface, NetError, SocketId, StreamId, Transport};
use crate::outbox::Outbox;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::timers::Timers;

/// What becomes due in a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Unanswered datagrams are sent again, or given up.
    Repeat,
    /// A stream took too long.
    Stream(StreamId),
    /// The answers that a server gives by dialling are waited for no longer.
    DialBack,
    /// A port has talked, been silent, or waited for an answer, long enough.
    Lane(usize),
}

/// What the halves share.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) server: Endpoint,
    pub(super) port: u16,
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) outbox: Outbox<NetCheckEvent>,
    pub(super) timers: Timers<Timer>,
    pub(super) interfaces: Vec<Interface>,
    /// The wait for an answer to a datagram.
    pub(super) pace: Duration,
    next_socket: u32,
    next_stream: u64,
}

impl Core {
    pub(super) fn new(server: Endpoint, port: u16, seed: [u8; 32], now: Instant) -> Self {
        Self {
            server,
            port,
            now,
            rng: Rng::pair(seed).0,
            outbox: Outbox::new(),
            timers: Timers::new(),
            interfaces: Vec::new(),
            pace: FIRST_PACE,
            next_socket: 0,
            next_stream: 0,
        }
    }

    pub(super) fn open(&mut self, transport: Transport, port: u16) -> SocketId {
        let socket = SocketId(self.next_socket);
        self.next_socket += 1;
        self.outbox.open(socket, transport, self.family(), port, None);
        socket
    }

    pub(super) fn next_stream(&mut self) -> StreamId {
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        stream
    }

    /// An answer came after this time.
    pub(super) fn on_round_trip(&mut self, round_trip: Duration) {
        self.pace = (round_trip * 2).clamp(MIN_PACE, MAX_PACE);
    }

    pub(super) fn family(&self) -> Family {
        self.server.family()
    }
}

/// The local ports of one transport, in the order in which they were asked for.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    table: Vec<Port>,
}

/// A local port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) socket: SocketId,
    state: State,
    /// Its endpoint on this machine, and the one that the server's main endpoint saw.
    pub(super) private: Option<Endpoint>,
    pub(super) public: Option<Endpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ordered { fixed: bool },
    Open { port: u16 },
    Failed,
}

impl Ports {
    /// Orders ports, of which the first may have a `number`.
    pub(super) fn open(core: &mut Core, transport: Transport, count: usize, number: u16) -> Self {
        let ordered = |index: usize| {
            let fixed = index == MAIN && number != 0;
            let socket = core.open(transport, if fixed { number } else { 0 });
            Port { socket, state: State::Ordered { fixed }, private: None, public: None }
        };
        Self { table: (0..count).map(ordered).collect() }
    }

    pub(super) fn find(&self, socket: SocketId) -> Option<usize> {
        self.table.iter().position(|port| port.socket == socket)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Port> {
        self.table.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Port> {
        self.table.get_mut(index)
    }

    /// The endpoints on this machine and at the server.
    pub(super) fn known(&self, index: usize) -> Option<(Endpoint, Endpoint)> {
        let port = self.table.get(index)?;
        Some((port.private?, port.public?))
    }

    /// Whether every port was opened or could not be.
    pub(super) fn are_settled(&self) -> bool {
        !self.table.iter().any(|port| matches!(port.state, State::Ordered { .. }))
    }

    pub(super) fn is_open(&self, index: usize) -> bool {
        self.table.get(index).is_some_and(|port| matches!(port.state, State::Open { .. }))
    }

    /// `false`: it was not waited for.
    pub(super) fn on_opened(&mut self, index: usize, local: Endpoint) -> bool {
        let Some(port) = self.table.get_mut(index) else { return false };
        let waited = matches!(port.state, State::Ordered { .. });
        if waited {
            port.state = State::Open { port: local.port() };
        }
        waited
    }

    /// A port that could not be had by its number is replaced by any.
    pub(super) fn on_open_failed(&mut self, core: &mut Core, transport: Transport, index: usize, _: NetError) -> bool {
        let Some(port) = self.table.get_mut(index) else { return false };
        match port.state {
            State::Ordered { fixed: true } => {
                port.socket = core.open(transport, 0);
                port.state = State::Ordered { fixed: false };
                true
            }
            State::Ordered { fixed: false } => {
                port.state = State::Failed;
                true
            }
            State::Open { .. } | State::Failed => false,
        }
    }

    /// Notes the local address of a packet or a stream.
    pub(super) fn on_local(&mut self, index: usize, local: Address) {
        if let Some(port) = self.table.get_mut(index)
            && let State::Open { port: number } = port.state
        {
            port.private.get_or_insert_with(|| Endpoint::new(local, number));
        }
    }

    pub(super) fn shut(&mut self, core: &mut Core) {
        for port in self.table.drain(..).filter(|port| port.state != State::Failed) {
            core.outbox.shut(port.socket);
        }
    }
}

/// The server's endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Servers {
    pub(super) main: Endpoint,
    pub(super) alternates: Alternates,
}

impl Servers {
    pub(super) const fn new(main: Endpoint) -> Self {
        Self { main, alternates: Alternates { other_port: None, other_address: None } }
    }

    /// Learns the others from the first answer.
    pub(super) fn learn(&mut self, listed: &[Endpoint]) {
        self.alternates = Alternates::of(self.main, listed);
    }

    pub(super) const fn place(&self, place: Place) -> Option<Endpoint> {
        match place {
            Place::Asked => Some(self.main),
            Place::OtherPort => self.alternates.other_port,
            Place::OtherAddress => self.alternates.other_address,
        }
    }
}

/// What a half of a check has collected.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub(super) transport: Transport,
    pub(super) observations: Vec<Observation>,
    /// Where the report's own words come from.
    pub(super) main: Option<(Endpoint, Endpoint)>,
    pub(super) own: Vec<Address>,
    pub(super) servers: Servers,
}

impl Findings {
    pub(super) fn report(&self) -> NatReport {
        super::infer::report(self)
    }

    /// Whether the main port was seen at one endpoint only, as far as that is known.
    pub(super) fn looks_independent(&self) -> bool {
        super::infer::mapping(self).value == Some(Dependence::EndpointIndependent)
    }
}

/// The main port; its mapping towards each of the server's endpoints is compared.
pub(super) const MAIN: usize = 0;
/// The port that sends to the server's main endpoint only, until the filter is known.
pub(super) const FILTER: usize = 1;
/// The port that sends to the main port's public endpoint.
pub(super) const HAIRPIN: usize = 2;
/// How many ports a check opens for a transport; those not named above only show which port they are given.
pub(super) const PORTS: usize = 7;

/// The wait for an answer before a round trip was measured.
const FIRST_PACE: Duration = Duration::from_millis(MAX_PACE.as_millis() as u64 / 4);
/// The shortest.
const MIN_PACE: Duration = Duration::from_millis(300);
/// The longest.
const MAX_PACE: Duration = Duration::from_secs(2);
