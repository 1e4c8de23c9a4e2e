//! Packet events a second: arrivals at a host or a NAT, in established sessions through two NATs with real
//! sealing. The bar is 200,000 on one core.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion, Throughput};
use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};
use pinhole_proto::peer::{PeerCommand, SessionHandle};
use pinhole_proto::{Duration, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, HostId};

/// The time that this thread had the processor, in nanoseconds: what else the machine does is not counted.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = i64;
    type Value = i64;

    fn start(&self) -> i64 {
        let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
        clock_gettime(clock).expect("every system has this clock").num_nanoseconds()
    }

    fn end(&self, start: i64) -> i64 {
        self.start() - start
    }

    fn add(&self, first: &i64, second: &i64) -> i64 {
        first + second
    }

    fn zero(&self) -> i64 {
        0
    }

    fn to_f64(&self, nanoseconds: &i64) -> f64 {
        *nanoseconds as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Datagrams of this many octets, each 3 arrivals.
const OCTETS: usize = 200;
const ROUNDS: usize = 200;
const STREAM: usize = 64 * 1_024;

/// Two peers behind port-restricted cones with a direct path, and their handles of the session.
fn established(transport: Transport, keep_trace: bool) -> (Trio, [(HostId, SessionHandle); 2]) {
    let plan = Plan {
        nat_a: Behaviour::port_restricted().with_ports_from(62_000),
        nat_b: Behaviour::port_restricted().with_ports_from(31_000),
        ..Plan::default()
    };
    let mut trio = Trio::new(1, &plan, topology::two_nats, |_| {});
    assert!(trio.register());
    trio.connect(Some(transport)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(5));
    let (a, b) = (trio.net.a, trio.net.b);
    assert!(trio.is_direct(a) && trio.is_direct(b));
    let handle = |host, peer| (host, trio.cast.session(&trio.world, host, peer).expect("it is established"));
    let ends = [handle(a, trio.b), handle(b, trio.a)];
    trio.world.trace_mut().clear();
    trio.world.trace_mut().keep(keep_trace);
    (trio, ends)
}

/// Both sides send a datagram every millisecond.
fn datagrams(trio: &mut Trio, ends: [(HostId, SessionHandle); 2]) -> u64 {
    let before = trio.world.arrivals();
    for _ in 0..ROUNDS {
        for (host, session) in ends {
            let send = PeerCommand::Send { session, datagram: &[7; OCTETS] };
            trio.command(host, send).expect("the session is established");
        }
        trio.world.run_for(Duration::from_millis(1));
    }
    trio.world.run_for(Duration::from_millis(50));
    trio.world.arrivals() - before
}

/// A writes a piece of the byte stream, which B takes.
fn stream(trio: &mut Trio, [(a, at_a), (b, at_b)]: [(HostId, SessionHandle); 2]) -> u64 {
    let before = trio.world.arrivals();
    let write = PeerCommand::Write { session: at_a, octets: &[7; STREAM] };
    trio.command(a, write).expect("the session is established");
    trio.world.run_for(Duration::from_millis(500));
    let octets = u32::try_from(STREAM).expect("it fits");
    trio.command(b, PeerCommand::Consume { session: at_b, octets }).expect("they arrived");
    trio.world.run_for(Duration::from_millis(500));
    trio.world.arrivals() - before
}

fn events(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("events");
    for (name, transport, keep, run) in [
        ("datagrams", Transport::Udp, false, datagrams as fn(&mut Trio, _) -> u64),
        ("datagrams, traced", Transport::Udp, true, datagrams),
        ("byte stream", Transport::Tcp, false, stream),
    ] {
        let (mut trio, ends) = established(transport, keep);
        let events = run(&mut trio, ends);
        group.throughput(Throughput::Elements(events));
        group.bench_function(name, |bencher| {
            let start = || established(transport, keep);
            bencher.iter_batched_ref(start, |(trio, ends)| run(trio, *ends), BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().with_measurement(ProcessorTime).configure_from_args();
    events(&mut criterion);
    criterion.final_summary();
}
