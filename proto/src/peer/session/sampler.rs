//! Samples of the NAT's port allocation from throw-away ports (`spec/prediction.md`, "Samples", "Over TCP").

use alloc::vec::Vec;

use crate::constants::{MAX_SAMPLE_TRIES, SAMPLE_RETRY, SAMPLES};
use crate::endpoint::Endpoint;
use crate::engine::{SocketId, StreamId, Transport};
use crate::peer::api::SessionHandle;
use crate::peer::core::{Core, Purpose, Timer};
use crate::peer::leg::discovery;
use crate::sequence::{distances, step};
use crate::wire::code::Allocation;
use crate::wire::control::Forecast;
use crate::wire::discover::TransactionId;

/// A measurement under way.
#[derive(Clone, Debug)]
pub(in crate::peer) struct Sampler {
    handle: SessionHandle,
    transport: Transport,
    server: Endpoint,
    samples: Vec<Sample>,
    /// A socket that has sent nothing, for the attempt that follows.
    spare: Option<SocketId>,
    tries: u8,
}

#[derive(Clone, Debug)]
struct Sample {
    socket: SocketId,
    transaction: TransactionId,
    /// Over TCP, the connection to the server.
    stream: Option<StreamId>,
    failed: bool,
    observed: Option<Endpoint>,
}

impl Sampler {
    /// Opens the sockets. What follows comes with [`on_opened`](Self::on_opened).
    pub(super) fn begin(core: &mut Core, handle: SessionHandle, transport: Transport, server: Endpoint) -> Self {
        let samples = (0..SAMPLES).map(|_| Sample::begin(core, handle, transport, server)).collect();
        let spare = Some(core.open_for(handle, transport, server.family()));
        Self::wait(core, handle);
        Self { handle, transport, server, samples, spare, tries: 0 }
    }

    /// The same with one port, which is then used.
    pub(super) fn of_one(core: &mut Core, handle: SessionHandle, transport: Transport, server: Endpoint) -> Self {
        let samples = alloc::vec![Sample::begin(core, handle, transport, server)];
        Self::wait(core, handle);
        Self { handle, transport, server, samples, spare: None, tries: 0 }
    }

    /// How many sockets it opened.
    pub(super) fn sockets(&self) -> u32 {
        u32::try_from(self.samples.len()).unwrap_or(u32::MAX) + u32::from(self.spare.is_some())
    }

    /// A driver that opens nothing ends the measurement, too.
    fn wait(core: &mut Core, handle: SessionHandle) {
        core.timers.set(Timer::Attempt(handle), core.now + SAMPLE_RETRY);
    }

    /// The connection of a sample is there: the question leaves.
    pub(super) fn on_connected(&self, core: &mut Core, stream: StreamId) {
        if let Some(sample) = self.samples.iter().find(|sample| sample.stream == Some(stream)) {
            core.write(stream, &discovery(sample.transaction));
        }
    }

    /// The connection of a sample ended. `true` when no other answer is waited for.
    pub(super) fn on_closed(&mut self, stream: StreamId) -> bool {
        if let Some(sample) = self.samples.iter_mut().find(|sample| sample.stream == Some(stream)) {
            sample.failed |= sample.observed.is_none();
            sample.stream = None;
        }
        self.is_over()
    }

    /// Takes an answer that came by a connection. `true` when it was the last one.
    pub(super) fn on_stream_discovered(&mut self, stream: StreamId, found: &TransactionId, observed: Endpoint) -> bool {
        let fits = |sample: &&mut Sample| sample.stream == Some(stream) && sample.transaction == *found;
        if let Some(sample) = self.samples.iter_mut().find(fits) {
            sample.observed.get_or_insert(observed);
        }
        self.is_over()
    }

    /// Ends the connections. With a reset: NATs forget a connection that was reset sooner than one that was closed in
    /// order.
    // [R-TCP-014]
    pub(super) fn hang_up(&mut self, core: &mut Core) {
        for stream in self.samples.iter_mut().filter_map(|sample| sample.stream.take()) {
            core.close(stream, true);
        }
    }

    fn is_over(&self) -> bool {
        self.samples.iter().all(|sample| sample.failed || sample.observed.is_some())
    }

    /// One of the sockets is open: when all are, the questions leave, one behind the other.
    pub(super) fn on_opened(&mut self, core: &mut Core) {
        let settled = |sample: &Sample| sample.failed || is_open(core, sample.socket);
        if self.tries == 0 && self.samples.iter().all(settled) {
            self.ask(core);
        }
    }

    pub(super) fn on_open_failed(&mut self, core: &mut Core, socket: SocketId) {
        if let Some(sample) = self.samples.iter_mut().find(|sample| sample.socket == socket) {
            sample.failed = true;
        }
        self.on_opened(core);
    }

    /// Takes an answer. `true` when it was the last one.
    pub(super) fn on_discovered(&mut self, socket: SocketId, transaction: &TransactionId, observed: Endpoint) -> bool {
        let fits = |sample: &&mut Sample| sample.socket == socket && sample.transaction == *transaction;
        if let Some(sample) = self.samples.iter_mut().find(fits) {
            sample.observed.get_or_insert(observed);
        }
        self.is_over()
    }

    /// Asks again. `true` when it was asked often enough.
    pub(super) fn on_due(&mut self, core: &mut Core) -> bool {
        if self.tries >= MAX_SAMPLE_TRIES {
            return true;
        }
        self.ask(core);
        false
    }

    /// What the samples say, and the sockets for the attempt, those that sent nothing first.
    pub(super) fn finish(mut self, core: &mut Core) -> Outcome {
        self.hang_up(core);
        let core = &*core;
        let answered = || self.samples.iter().filter_map(|sample| Some((sample.socket, sample.observed?)));
        let ports: Vec<u16> = answered().map(|(_, observed)| observed.port()).collect();
        let locals: Vec<Option<u16>> =
            answered().map(|(socket, _)| core.port(socket)?.local.map(Endpoint::port)).collect();
        let (allocation, step) = classify(&ports, &locals);
        let last = answered().next_back().map(|(_, observed)| observed);
        let spare = self.spare.and_then(|spare| core.port(spare)).and_then(|port| port.local).map(Endpoint::port);
        let endpoint = match (allocation, spare) {
            (Allocation::PRESERVING, Some(port)) => last.map(|last| last.with_port(port)),
            _ => last.map(|last| last.with_port(last.port().wrapping_add(step))),
        };
        let forecast = endpoint.map(|endpoint| Forecast { allocation, endpoint, step });
        let mut sockets: Vec<SocketId> = self.spare.into_iter().collect();
        sockets.extend(self.samples.iter().filter(|sample| !sample.failed).map(|sample| sample.socket));
        Outcome { forecast, sockets, last: answered().next_back() }
    }

    fn ask(&mut self, core: &mut Core) {
        self.tries += 1;
        let first = self.tries == 1;
        for sample in self.samples.iter_mut().filter(|sample| sample.observed.is_none() && !sample.failed) {
            if !is_open(core, sample.socket) {
                continue;
            }
            match self.transport {
                // A repeated question leaves by the mapping of the first one.
                Transport::Udp => {
                    core.outbox.transmit(sample.socket, None, self.server, &discovery(sample.transaction));
                }
                Transport::Tcp if first => {
                    sample.stream = Some(core.dial(sample.socket, self.server, Purpose::Sample(self.handle)));
                }
                // What is lost is repeated below.
                Transport::Tcp => {}
            }
        }
        Self::wait(core, self.handle);
    }
}

impl Sample {
    fn begin(core: &mut Core, handle: SessionHandle, transport: Transport, server: Endpoint) -> Self {
        let socket = core.open_for(handle, transport, server.family());
        // [R-DISC-002]
        let transaction = core.visible.octets();
        Self { socket, transaction, stream: None, failed: false, observed: None }
    }
}

/// What came of the samples.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The forecast; none when nothing was answered.
    pub(super) forecast: Option<Forecast>,
    /// The sockets.
    pub(super) sockets: Vec<SocketId>,
    /// The last sample: where a NAT whose mapping is stable shows that socket.
    pub(super) last: Option<(SocketId, Endpoint)>,
}

fn is_open(core: &Core, socket: SocketId) -> bool {
    core.port(socket).is_some_and(|port| port.local.is_some())
}

/// How ports that were given out one after the other follow each other, and the step; `locals` are the
/// local ports that they stand for.
// [R-PRED-002]
fn classify(ports: &[u16], locals: &[Option<u16>]) -> (Allocation, u16) {
    if ports.len() < 2 {
        return (Allocation::UNKNOWN, 0);
    }
    if ports.iter().zip(locals).all(|(port, local)| Some(*port) == *local) {
        return (Allocation::PRESERVING, 0);
    }
    match step(&distances(ports)) {
        Some(step) => (Allocation::SEQUENTIAL, step),
        None => (Allocation::RANDOM, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(ports: &[u16]) -> (Allocation, u16) {
        classify(ports, &alloc::vec![None; ports.len()])
    }

    // [R-PRED-002]
    #[test]
    fn ports_that_follow_each_other_are_sequential_and_others_random() {
        assert_eq!(class(&[62_001, 62_002, 62_003]), (Allocation::SEQUENTIAL, 1));
        assert_eq!(class(&[62_002, 62_004, 62_006]), (Allocation::SEQUENTIAL, 2));
        // One port was given to somebody else between the samples.
        assert_eq!(class(&[62_001, 62_002, 62_004]), (Allocation::SEQUENTIAL, 1));
        assert_eq!(class(&[62_004, 62_002, 62_000]), (Allocation::SEQUENTIAL, 0xfffe));
        assert_eq!(class(&[65_535, 0, 1]), (Allocation::SEQUENTIAL, 1));
        assert_eq!(class(&[62_001, 62_002]), (Allocation::SEQUENTIAL, 1));
        for random in [
            [62_001, 62_018, 62_019].as_slice(),
            &[62_001, 62_003, 62_002],
            &[40_000, 2_000, 61_000],
            &[62_000, 62_002, 62_005],
            &[62_000, 62_000, 62_000],
        ] {
            assert_eq!(class(random), (Allocation::RANDOM, 0), "{random:?}");
        }
        assert_eq!(class(&[62_001]), (Allocation::UNKNOWN, 0));
        assert_eq!(class(&[]), (Allocation::UNKNOWN, 0));
    }

    #[test]
    fn ports_that_are_the_local_ones_are_preserved() {
        let ports = [40_000, 40_001, 50_000];
        assert_eq!(classify(&ports, &ports.map(Some)), (Allocation::PRESERVING, 0));
        assert_eq!(classify(&ports, &[Some(40_000), Some(1), Some(50_000)]), (Allocation::RANDOM, 0));
    }
}
