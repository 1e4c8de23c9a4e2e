//! A client behind the same NAT that takes mappings while others count on the next one.

use alloc::collections::VecDeque;
use core::any::Any;

use pinhole_proto::{Discard, Duration, Endpoint, Input, Instant, Output, SocketId, StreamId, Transport};

use crate::node::{Node, Order};
use crate::rng::Rng;

/// A host that sends one datagram or SYN after another, each from a port of its own, so that each takes a
/// mapping. It runs on a host like an engine; when it sends follows from its seed.
#[derive(Clone, Debug)]
pub struct Competitor {
    plan: CompetitorPlan,
    rng: Rng,
    next: Option<Instant>,
    taken: u32,
    orders: VecDeque<Step>,
}

/// What a competitor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompetitorPlan {
    /// Whether it sends datagrams or dials. It hangs up at once.
    pub transport: Transport,
    /// Where it sends.
    pub target: Endpoint,
    /// When it begins.
    pub start: Instant,
    /// How long it waits between two mappings.
    pub every: Duration,
    /// Whether it waits exactly so long, or anything up to twice as long, evenly drawn.
    pub jitter: bool,
    /// How many mappings it takes.
    pub count: u32,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open(SocketId),
    Send(SocketId),
}

impl Competitor {
    /// A competitor that waits for its start.
    #[must_use]
    pub fn new(plan: CompetitorPlan, rng: Rng) -> Self {
        let next = (plan.count > 0).then_some(plan.start);
        Self { plan, rng, next, taken: 0, orders: VecDeque::new() }
    }

    /// How many mappings it has taken.
    #[must_use]
    pub const fn taken(&self) -> u32 {
        self.taken
    }

    fn fire(&mut self, now: Instant) {
        while let Some(at) = self.next.filter(|at| *at <= now) {
            self.orders.push_back(Step::Open(SocketId(self.taken)));
            self.taken += 1;
            let span =
                if self.plan.jitter { self.rng.up_to(self.plan.every.saturating_mul(2)) } else { self.plan.every };
            // At least a microsecond, so that it never asks to be woken at once.
            let span = span.max(Duration::from_micros(1));
            self.next = (self.taken < self.plan.count).then_some(at + span);
        }
    }
}

impl Node for Competitor {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Discard> {
        self.fire(now);
        if let Input::Opened { socket, .. } = input {
            self.orders.push_back(Step::Send(socket));
        }
        Ok(())
    }

    fn drain(&mut self, _now: Instant, sink: &mut dyn FnMut(Order<'_>)) -> Option<Instant> {
        let CompetitorPlan { transport, target, .. } = self.plan;
        while let Some(step) = self.orders.pop_front() {
            match step {
                Step::Open(socket) => {
                    let family = target.family();
                    sink(Output::Open { socket, transport, family, port: 0, share: None });
                }
                Step::Send(socket) => {
                    let stream = StreamId(u64::from(socket.0));
                    match transport {
                        Transport::Udp => {
                            sink(Output::Transmit { socket, local: None, remote: target, ttl: None, payload: b"mine" });
                        }
                        Transport::Tcp => {
                            sink(Output::Dial { stream, from: socket, local: None, remote: target, ttl: None });
                            sink(Output::Close { stream, abort: true });
                        }
                    }
                    sink(Output::Shut { socket });
                }
            }
        }
        self.next
    }

    fn engine(&self) -> &dyn Any {
        self
    }

    fn engine_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn log(&self) -> &dyn Any {
        &()
    }
}
