//! `pinhole-lab bench`: how fast two peers meet, beside the bars of the design.

use std::process::ExitCode;

use pinhole_lab::cells::{SETTLE, median, with_lines};
use pinhole_lab::trial::{Meeting, Outcome, Over, Programs};
use pinhole_lab::{Kind, NatKind, Topology, UnsolicitedSyn};

use super::{Binaries, Scratch};

/// Measure connecting and print each figure beside its bar.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Trials for each figure.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Sessions at 5 % loss; 0 leaves them out.
    #[arg(long, default_value_t = 0)]
    lossy: usize,
    #[command(flatten)]
    binaries: Binaries,
}

/// One-way delays of the lines of A and B, in milliseconds.
const LINES: [(u64, u64); 3] = [(25, 25), (100, 10), (20, 80)];

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = arguments.binaries.find()?;
    let scratch = Scratch::new("bench")?;
    let mut board = Board::default();
    println!("{:<58} {:>9} {:>9} {:>9}", "figure", "median", "worst", "bar");
    for (a, b) in LINES {
        // A to S, S to B, B to A: A's line, B's line, both.
        let (hops, round_trip) = ((2 * (a + b)) as f64, (2 * (a + b)) as f64);
        let udp_bar = 1.1 * hops + 5.0;
        // A stream cannot be as quick as 1.2 times the bar for UDP. B's SYN leaves when B is introduced, after A
        // to S to B; it takes the way to A, A's SYN-ACK the way to B, and B's first octets the way to A: four
        // times the way between the peers, of which the introduction is one. The bar allows what that of UDP
        // allows above its floor.
        let tcp_bar = 1.1 * 2.0 * round_trip + 5.0;
        let at = format!("lines {a}/{b}/0 ms");
        let topology = topology(UnsolicitedSyn::Drop);
        let udp = trials(&topology, Over::Udp, (a, b), arguments.times, &programs, &scratch)?;
        board.add(&format!("direct path over UDP, {at}"), &udp, |outcome| outcome.direct_ms, udp_bar);
        board.add(&format!("first echo over UDP, {at}"), &udp, |outcome| outcome.echo_ms, 2.1 * round_trip);
        board.add(
            &format!("octets on A's wire until then, {at}"),
            &udp,
            |outcome| Some(outcome.wire?.1 as f64),
            3_200.0,
        );
        let tcp = trials(&topology, Over::Tcp, (a, b), arguments.times, &programs, &scratch)?;
        board.add(&format!("direct path over TCP, {at}"), &tcp, |outcome| outcome.direct_ms, tcp_bar);
        let rst = self::topology(UnsolicitedSyn::Rst);
        let tcp = trials(&rst, Over::Tcp, (a, b), arguments.times, &programs, &scratch)?;
        board.add(
            &format!("direct path over TCP, RST, {at}"),
            &tcp,
            |outcome| outcome.direct_ms,
            1.2 * udp_bar + 200.0,
        );
    }
    if arguments.lossy > 0 {
        lossy(arguments.lossy, &programs, &scratch, &mut board)?;
    }
    println!("{} passed, {} failed", board.passed, board.failed);
    Ok(if board.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Board {
    passed: usize,
    failed: usize,
}

impl Board {
    fn add(&mut self, figure: &str, outcomes: &[Outcome], of: fn(&Outcome) -> Option<f64>, bar: f64) {
        let numbers: Vec<f64> = outcomes.iter().filter_map(of).collect();
        let worst = numbers.iter().copied().fold(f64::NAN, f64::max);
        let missing = outcomes.len() - numbers.len();
        let middle = median(numbers).unwrap_or(f64::INFINITY);
        let good = middle <= bar && missing == 0;
        *(if good { &mut self.passed } else { &mut self.failed }) += 1;
        let mark = match (good, missing) {
            (true, _) => String::new(),
            (false, 0) => "  above the bar".to_owned(),
            (false, missing) => format!("  {missing} missing"),
        };
        println!("{figure:<58} {middle:>9.1} {worst:>9.1} {bar:>9.1}{mark}");
    }
}

fn topology(syn: UnsolicitedSyn) -> Topology {
    let nat = NatKind::PortRestrictedOtherPort;
    Topology { nat_a: nat, nat_b: nat, syn, ..Topology::new(Kind::TwoNats) }
}

fn trials(
    topology: &Topology,
    over: Over,
    lines: (u64, u64),
    times: usize,
    programs: &Programs,
    scratch: &Scratch,
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for time in 0..times {
        let mut topology = with_lines(*topology, lines.0, lines.1, 0.0, 1);
        topology.seed = topology.seed.wrapping_add(time as u32);
        let meeting = Meeting::new(&topology, over, programs, &scratch.path().join(format!("{}-{time}", over.name())))?;
        outcomes.push(meeting.ping(SETTLE)?);
    }
    Ok(outcomes)
}

/// Sessions with 5 % loss on every line: all of them become direct within ten seconds.
fn lossy(times: usize, programs: &Programs, scratch: &Scratch, board: &mut Board) -> anyhow::Result<()> {
    let mut outcomes = Vec::new();
    for time in 0..times {
        let mut topology = with_lines(topology(UnsolicitedSyn::Drop), 25, 25, 0.05, time as u64 * 7 + 1);
        topology.seed = topology.seed.wrapping_add(time as u32);
        let meeting = Meeting::new(&topology, Over::Udp, programs, &scratch.path().join(format!("lossy-{time}")))?;
        outcomes.push(meeting.ping(SETTLE)?);
    }
    let direct = outcomes.iter().filter(|outcome| outcome.direct_ms.is_some_and(|ms| ms <= 10_000.0)).count();
    println!("{:<58} {direct:>9} {:>9} {times:>9}", "sessions direct within 10 s at 5 % loss", "");
    *(if direct == times { &mut board.passed } else { &mut board.failed }) += 1;
    board.add(
        "direct path over UDP at 5 % loss, lines 25/25/0 ms",
        &outcomes,
        |outcome| outcome.direct_ms,
        1.5 * 115.0,
    );
    Ok(())
}
