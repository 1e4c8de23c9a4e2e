//! `pinhole-judge`: the cross product and single pairs, from the command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use pinhole_judge::pair::Pair;
use pinhole_judge::product::{self, Part};
use pinhole_judge::scene::Scene;
use pinhole_judge::{Allowed, Oracle, Side, share, worlds};
use pinhole_proto::Transport;

/// Judges Pinhole's engines in simulated networks.
#[derive(Parser)]
struct Arguments {
    /// The directory of the specification.
    #[arg(long, global = true, default_value = "spec")]
    spec: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the cross product of NAT behaviours and compares it with the oracle.
    Product {
        transport: TransportName,
        /// What the peers take part in; every set in turn unless one is named.
        #[arg(long)]
        allowed: Option<String>,
        /// Runs only every so many pairs.
        #[arg(long, default_value_t = 1)]
        step: usize,
        /// Which of them.
        #[arg(long, default_value_t = 0)]
        rest: usize,
    },
    /// Counts how often guesses hit where other clients want ports, too, and compares with the oracle.
    Shares {
        /// Runs of each guess.
        #[arg(long, default_value_t = 300)]
        times: u64,
    },
    /// Runs one pair and draws it.
    Pair {
        transport: TransportName,
        /// The side that asks for the session, such as `ei-ad-mapping-random`.
        a: String,
        /// The other side.
        b: String,
        /// What the peers take part in.
        #[arg(long, default_value = "default")]
        allowed: String,
        /// The seed of the world.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Runs random worlds and says what must not be in them.
    Worlds {
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// How many seeds.
        #[arg(long, default_value_t = 500)]
        count: u64,
        /// Fails, too, when a verdict, a value of a field, a kind of fault or of action is in fewer worlds than
        /// this, or fewer than a quarter end direct, or relayed; 50 for 10,000 worlds and more, else nothing.
        #[arg(long)]
        least: Option<u64>,
    },
    /// Runs one random world, by its seed or from a file, and draws it.
    World(WorldArguments),
    /// Compares the digests of runs on wasm32, in node, with those of this machine.
    Wasm(Module),
}

#[derive(clap::Args)]
struct WorldArguments {
    /// The seed that the world is drawn from.
    #[arg(required_unless_present = "file")]
    seed: Option<u64>,
    /// A world that was kept.
    #[arg(long, conflicts_with = "seed")]
    file: Option<PathBuf>,
    /// Prints the world as JSON, to be kept, and does not run it.
    #[arg(long)]
    json: bool,
}

/// The module for wasm32 that has the same runs.
#[derive(clap::Args)]
struct Module {
    /// The module, as built from `judge/wasm`.
    module: PathBuf,
    /// The program for node that calls it.
    #[arg(long, default_value = "judge/wasm/run.mjs")]
    script: PathBuf,
    /// Runs only every so many pairs over UDP.
    #[arg(long, default_value_t = 1)]
    udp: usize,
    /// Runs only every so many pairs over TCP.
    #[arg(long, default_value_t = 1)]
    tcp: usize,
    /// How many random worlds, from seed 0 on.
    #[arg(long, default_value_t = 1_000)]
    worlds: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum TransportName {
    Udp,
    Tcp,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let good = match arguments.command {
        Command::Product { transport, allowed: name, step, rest } => {
            let transport = transport.into();
            let sets = match name {
                Some(name) => vec![allowed(transport, &name)?],
                None => Allowed::of(transport).to_vec(),
            };
            let oracle = Oracle::load(&arguments.spec)?;
            let part = Part { step: step.max(1), rest };
            // Every set is run, whatever came of those before.
            let wrong = sets.into_iter().filter(|allowed| !compare(&oracle, transport, *allowed, part)).count();
            wrong == 0
        }
        Command::Shares { times } => guesses(&Oracle::load(&arguments.spec)?, times),
        Command::Pair { transport, a, b, allowed: name, seed } => {
            let transport = transport.into();
            let (a, b) = (side(transport, &a)?, side(transport, &b)?);
            let allowed = allowed(transport, &name)?;
            let (found, ladder) = Pair { transport, a, b, allowed, seed }.ladder();
            println!("{ladder}");
            println!("{found:?}");
            found.wrong.is_none()
        }
        Command::Worlds { first, count, least } => random(&Oracle::load(&arguments.spec)?, first, count, least),
        Command::World(world) => one_world(&Oracle::load(&arguments.spec)?, &world)?,
        Command::Wasm(module) => same_on_wasm(&module)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(oracle: &Oracle, transport: Transport, allowed: Allowed, part: Part) -> bool {
    let begin = Instant::now();
    let judgement = product::run(oracle, transport, allowed, part);
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{}: {} pairs, {} direct, {} packets, digest {:016x}, {} differences, {seconds:.1} s",
        allowed.name,
        judgement.pairs,
        judgement.direct,
        judgement.arrivals,
        judgement.digest,
        judgement.differences.len(),
    );
    for difference in &judgement.differences {
        println!("differs: {difference}");
    }
    judgement.differences.is_empty()
}

fn guesses(oracle: &Oracle, times: u64) -> bool {
    let wrong = share::guesses(oracle).into_iter().filter(|guess| {
        let share = share::run(*guess, times);
        println!("{share}");
        !share.agrees()
    });
    wrong.count() == 0
}

fn random(oracle: &Oracle, first: u64, count: u64, least: Option<u64>) -> bool {
    let begin = Instant::now();
    let report = worlds::run(oracle, first, count);
    print!("{}", report.histogram);
    for (seed, wrong) in &report.failures {
        println!("seed {seed}: {}", wrong.join("; "));
        println!("    replay: cargo run --release -p pinhole-judge -- world {seed}");
    }
    for (seen, name) in report.histogram.rarest(10) {
        println!("rarest: {seen} {name}");
    }
    let least = least.or_else(|| (count >= 10_000).then_some(50));
    let gaps = least.map_or_else(Vec::new, |least| report.histogram.gaps(least));
    for gap in &gaps {
        println!("too rare: {gap}");
    }
    let (failures, seconds) = (report.failures.len(), begin.elapsed().as_secs_f64());
    println!("{count} worlds from seed {first}, {failures} wrong, digest {:016x}, {seconds:.1} s", report.digest);
    report.failures.is_empty() && gaps.is_empty()
}

fn one_world(oracle: &Oracle, arguments: &WorldArguments) -> anyhow::Result<bool> {
    let scene = match (&arguments.file, arguments.seed) {
        (Some(file), _) => serde_json::from_str(&std::fs::read_to_string(file)?)?,
        (None, seed) => Scene::draw(seed.unwrap_or_default()),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&scene)?);
        return Ok(true);
    }
    let (outcome, ladder) = scene.ladder(oracle);
    println!("{ladder}");
    for action in &scene.actions {
        println!("{}", serde_json::to_string(action)?);
    }
    for wrong in &outcome.wrong {
        println!("wrong: {wrong}");
    }
    Ok(outcome.wrong.is_empty())
}

fn same_on_wasm(module: &Module) -> anyhow::Result<bool> {
    let mut same = true;
    for (transport, step) in [(Transport::Udp, module.udp), (Transport::Tcp, module.tcp)] {
        for (number, allowed) in Allowed::of(transport).iter().enumerate() {
            let part = Part { step: step.max(1), rest: 1 };
            let begin = Instant::now();
            let here = format!("{:016x}", digest(transport, *allowed, part));
            let native = begin.elapsed();
            let tcp = usize::from(transport == Transport::Tcp);
            let numbers = [tcp, number, part.step, part.rest].map(|number| number.to_string());
            let there = node(module, &[&["product".to_owned()][..], &numbers].concat())?;
            let (native, wasm) = (native.as_secs_f64(), (begin.elapsed() - native).as_secs_f64());
            println!(
                "{transport:?}, {}, every {step}: {here} here in {native:.1} s, {there} on wasm32 in {wasm:.1} s",
                allowed.name
            );
            same &= here == there;
        }
    }
    let here = format!("{:016x}", worlds::digest(0, module.worlds));
    let there = node(module, &["worlds".into(), "0".into(), module.worlds.to_string()])?;
    println!("{} random worlds: {here} here, {there} on wasm32", module.worlds);
    Ok(same && here == there)
}

/// The digest of a part of the product, on as many threads as there are processors.
fn digest(transport: Transport, allowed: Allowed, part: Part) -> u64 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |number| Part { step: part.step * threads, rest: part.rest % part.step + part.step * number };
    std::thread::scope(|scope| {
        let one = |number| scope.spawn(move || product::digest(transport, allowed, share(number)));
        let all: Vec<_> = (0..threads).map(one).collect();
        // A thread that panicked has no digest, and the modules then differ.
        all.into_iter().filter_map(|one| one.join().ok()).fold(0, u64::wrapping_add)
    })
}

/// What an export of the module answers.
fn node(module: &Module, arguments: &[String]) -> anyhow::Result<String> {
    let mut node = std::process::Command::new("node");
    let output = node.arg(&module.script).arg(&module.module).args(arguments).output()?;
    anyhow::ensure!(output.status.success(), "node: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn allowed(transport: Transport, name: &str) -> anyhow::Result<Allowed> {
    let names: Vec<&str> = Allowed::of(transport).iter().map(|allowed| allowed.name).collect();
    let found = Allowed::named(transport, name);
    found.ok_or_else(|| anyhow::anyhow!("{name} is no set of strategies; one is {}", names.join(", ")))
}

fn side(transport: Transport, name: &str) -> anyhow::Result<Side> {
    let all = Side::all(transport);
    let found = all.iter().find(|side| side.name(transport) == name);
    found.copied().ok_or_else(|| anyhow::anyhow!("{name} is no side; one is {}", all[all.len() - 1].name(transport)))
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Udp => Self::Udp,
            TransportName::Tcp => Self::Tcp,
        }
    }
}
