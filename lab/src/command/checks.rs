//! `pinhole-lab checks`: what is promised of the programs and is not a cell of the table.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::checks::{Check, Context, checks};

use super::{Binaries, Scratch};

/// Run the end-to-end checks: restarts, refusals, strangers, floods, loss, captures.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only checks whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Full sizes and waits: a million garbage datagrams, a hundred sessions. Takes a quarter of an hour.
    #[arg(long)]
    full: bool,
    /// List the checks and run none.
    #[arg(long)]
    list: bool,
    /// How many run at a time. Those that measure memory or flood a host run alone in any case.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// A directory for the traces and logs of every program, one directory for each check.
    #[arg(long, value_name = "DIRECTORY")]
    traces: Option<PathBuf>,
    #[command(flatten)]
    binaries: Binaries,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let chosen: Vec<Check> = checks().into_iter().filter(|check| check.name.contains(&arguments.only)).collect();
    if arguments.list {
        chosen.iter().for_each(|check| println!("{}", check.name));
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(!chosen.is_empty(), "no check has a name that contains {:?}", arguments.only);
    let programs = arguments.binaries.find()?;
    let scratch = Scratch::new("checks")?;
    let tally = Tally::default();
    let one = |check: &Check| {
        let place = slug(check.name);
        let context = Context {
            programs: programs.clone(),
            directory: scratch.path().join(&place),
            // A trace of a flood is as large as the flood, and makes its target slow.
            traces: arguments.traces.as_ref().filter(|_| !check.alone).map(|traces| traces.join(&place)),
            full: arguments.full,
        };
        tally.run(check, &context);
    };
    let (together, alone): (Vec<Check>, Vec<Check>) = chosen.into_iter().partition(|check| !check.alone);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(check) = together.get(next.fetch_add(1, Ordering::Relaxed)) {
                    one(check);
                }
            });
        }
    });
    alone.iter().for_each(one);
    let (passed, failed) = tally.counts();
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Tally(Mutex<(usize, usize)>);

impl Tally {
    fn run(&self, check: &Check, context: &Context) {
        let begin = Instant::now();
        let result = std::panic::catch_unwind(|| context.prepare().and_then(|()| (check.run)(context)));
        let seconds = begin.elapsed().as_secs_f64();
        // The lock keeps the lines of two checks apart, too.
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match result {
            Ok(Ok(found)) => {
                counts.0 += 1;
                println!("passed  {seconds:>6.1} s  {}: {found}", check.name);
            }
            Ok(Err(why)) => {
                counts.1 += 1;
                println!("FAILED  {seconds:>6.1} s  {}: {why:#}", check.name);
            }
            Err(_) => {
                counts.1 += 1;
                println!("FAILED  {seconds:>6.1} s  {}: it panicked", check.name);
            }
        }
    }

    fn counts(self) -> (usize, usize) {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
