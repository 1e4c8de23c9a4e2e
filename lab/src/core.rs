//! The core of the network: one thread that carries packets between the sites' access lines.
//!
//! Each site ends in a TUN device, and this thread holds all of them. A packet that leaves a site spends
//! the delays of two lines, of the site it leaves and of the site its destination belongs to, and
//! is then handed to the other device as it was. There is no namespace in the middle: one wakeup on
//! the way instead of three is what keeps the times within a fraction of a millisecond.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use pinhole_sim::nat::Side;
use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use thread_priority::{ThreadPriority, ThreadPriorityValue};
use tun_rs::SyncDevice;

use crate::error::LabError;
use crate::gateway::{Gateway, Leaving};
use crate::line::{Line, Losses};
use crate::namespace::Net;
use crate::recording::{Direction, Fate, Recording};

/// Where one site meets the core.
pub(crate) struct Port {
    pub(crate) device: SyncDevice,
    /// The networks that lie behind it.
    pub(crate) networks: Vec<Net>,
    pub(crate) recording: Recording,
    pub(crate) line: SharedLine,
    /// The NAT of the model between the device and the line, if there is one.
    pub(crate) gateway: Option<Gateway>,
}

/// A line whose properties may change while packets are on it.
#[derive(Clone)]
pub(crate) struct SharedLine(Arc<Mutex<LineState>>);

struct LineState {
    line: Line,
    up: Losses,
    down: Losses,
}

impl SharedLine {
    pub(crate) fn new(line: Line) -> Self {
        Self(Arc::new(Mutex::new(LineState::new(line))))
    }

    /// Replaces the line; its losses begin anew with the seeds. Packets under way keep their time.
    pub(crate) fn set(&self, line: Line) {
        self.with(|state| *state = LineState::new(line));
    }

    fn with<T>(&self, work: impl FnOnce(&mut LineState) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LineState {
    fn new(line: Line) -> Self {
        Self { line, up: Losses::new(line.up), down: Losses::new(line.down) }
    }
}

/// The running core. Dropping it stops the thread and removes the devices.
pub(crate) struct Core {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Core {
    pub(crate) fn start(ports: Vec<Port>) -> Result<Self, LabError> {
        for port in &ports {
            port.device.set_nonblocking(true).map_err(|error| LabError::io("prepare a TUN device", error))?;
        }
        let stop = Arc::new(EventFd::new().map_err(|errno| LabError::io("make an event", errno))?);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("lab-core".into())
            .spawn(move || {
                be_punctual();
                Carrier { ports, under_way: BinaryHeap::new(), count: 0 }.run(&stopped);
            })
            .map_err(|error| LabError::io("start the core", error))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks for the timers and the scheduling of a real-time task. Inside a user namespace the second is
/// refused; on a machine with an idle core that costs little.
fn be_punctual() {
    let _ = set_timerslack(1);
    if let Ok(lowest) = ThreadPriorityValue::try_from(1) {
        let _ = set_thread_priority_and_policy(
            thread_native_id(),
            ThreadPriority::Crossplatform(lowest),
            ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin),
        );
    }
}

struct Carrier {
    ports: Vec<Port>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    count: u64,
}

/// A packet between two sites. The order is that of arrival, and among equals that of departure, so a
/// line never reorders.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due: Instant,
    number: u64,
    to: usize,
    packet: Vec<u8>,
}

impl Carrier {
    fn run(&mut self, stop: &EventFd) {
        let mut buffer = vec![0; 65_536];
        loop {
            self.deliver();
            let next = self.under_way.peek().map(|Reverse(next)| next.due.saturating_duration_since(Instant::now()));
            let wait = self.speak().into_iter().chain(next).min();
            let mut ready: Vec<_> =
                self.ports.iter().map(|port| PollFd::new(port.device.as_fd(), PollFlags::POLLIN)).collect();
            ready.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
            // An interrupted wait shows nothing ready, and the next round waits again.
            let _ = ppoll(&mut ready, wait.map(TimeSpec::from), None);
            let ready: Vec<bool> = ready.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            if ready.last() == Some(&true) {
                return;
            }
            for from in (0..self.ports.len()).filter(|port| ready[*port]) {
                self.accept(from, &mut buffer);
            }
        }
    }

    /// Takes what a site has sent.
    fn accept(&mut self, from: usize, buffer: &mut [u8]) {
        // A bound, so that a flood from one site does not keep due packets of others waiting.
        for _ in 0..64 {
            let length = match self.ports[from].device.recv(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let packet = &buffer[..length];
            match &self.ports[from].gateway {
                None => self.depart(from, packet),
                Some(gateway) => {
                    if let Some(leaving) = gateway.handle(Side::Inside, packet) {
                        self.hand_on(from, &leaving);
                    }
                }
            }
        }
    }

    /// Sends a packet up a site's line.
    fn depart(&mut self, from: usize, packet: &[u8]) {
        let at = Instant::now();
        let Some(destination) = destination(packet) else {
            return;
        };
        if is_multicast(destination) {
            return;
        }
        let port = &self.ports[from];
        let (delay, lost) = port.line.with(|state| (state.line.up.delay, state.up.draw()));
        let to = self.ports.iter().position(|port| port.networks.iter().any(|net| net.contains(destination)));
        let fate = match to {
            _ if lost => Fate::Lost,
            None => Fate::Unroutable,
            Some(_) => Fate::Passed,
        };
        port.recording.add(at, Direction::Out, fate, packet);
        if let (Some(to), Fate::Passed) = (to, fate) {
            let rest = self.ports[to].line.with(|state| state.line.down.delay);
            self.count += 1;
            self.under_way.push(Reverse(UnderWay {
                due: at + delay + rest,
                number: self.count,
                to,
                packet: packet.to_vec(),
            }));
        }
    }

    /// Takes what a gateway makes of a packet to where it goes.
    fn hand_on(&mut self, port: usize, (side, packet): &Leaving) {
        match side {
            Side::Outside => self.depart(port, packet),
            Side::Inside => {
                // A device that takes no packet is one whose interface is down.
                let _ = self.ports[port].device.send(packet);
            }
        }
    }

    /// Hands on what gateways say by themselves; how long they will then be silent.
    fn speak(&mut self) -> Option<Duration> {
        for port in 0..self.ports.len() {
            let due = self.ports[port].gateway.as_ref().map(Gateway::due).unwrap_or_default();
            for leaving in &due {
                self.hand_on(port, leaving);
            }
        }
        self.ports.iter().filter_map(|port| port.gateway.as_ref()?.wait()).min()
    }

    /// Hands over what is due.
    fn deliver(&mut self) {
        while self.under_way.peek().is_some_and(|Reverse(next)| next.due <= Instant::now()) {
            let Some(Reverse(arrived)) = self.under_way.pop() else {
                return;
            };
            let port = &self.ports[arrived.to];
            let lost = port.line.with(|state| state.down.draw());
            let at = Instant::now();
            port.recording.add_as_it_goes(at, Direction::In, &arrived.packet, || {
                // A device that takes no packet is one whose interface is down: a line that is cut.
                let gone = lost || (port.gateway.is_none() && port.device.send(&arrived.packet).is_err());
                if gone { Fate::Lost } else { Fate::Passed }
            });
            if let (Some(gateway), false) = (&port.gateway, lost)
                && let Some(leaving) = gateway.handle(Side::Outside, &arrived.packet)
            {
                self.hand_on(arrived.to, &leaving);
            }
        }
    }
}

/// The destination of an IP packet, if it is one.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?).into()),
        6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?).into()),
        _ => None,
    }
}

/// Group membership reports and the like stay on their link; they are not traffic of the site.
fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}
