//! `pinhole-lab shares`: how often guessed ports hit.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use pinhole_lab::enter;
use pinhole_lab::shares::{Guess, LONGEST, MOST, Share, interval, run as guess, shares};

use super::{Binaries, Scratch};

/// Measure how often guessed ports hit, beside the closed form, and what each guess costs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Runs for each pair of NATs.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// How many networks exist at once.
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Only pairs whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    #[command(flatten)]
    binaries: Binaries,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    enter()?;
    let mut good = true;
    for share in shares().iter().filter(|share| share.name.contains(&arguments.only)) {
        good &= judge(share, &runs(share, arguments)?);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runs(share: &Share, arguments: &Arguments) -> anyhow::Result<Vec<Guess>> {
    let programs = arguments.binaries.find()?;
    let scratch = Scratch::new("shares")?;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.times {
                        return;
                    }
                    let result = guess(share, number, &programs, scratch.path());
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(done.into_iter().collect::<Result<_, _>>()?)
}

/// Prints a pair's line; whether it is as the form says, and within the budget.
fn judge(share: &Share, guesses: &[Guess]) -> bool {
    let hits = guesses.iter().filter(|guess| guess.direct).count();
    let (least, most) = interval(guesses.len(), share.form);
    let longest = guesses.iter().map(|guess| guess.took).max().unwrap_or_default();
    let dearest = guesses.iter().map(|guess| guess.packets).max().unwrap_or_default();
    println!(
        "{}: {hits} of {} direct; {:.4} are {least} to {most} with 99 %; at most {:.2} s of {} s, {dearest} of {MOST} packets",
        share.name,
        guesses.len(),
        share.form,
        longest.as_secs_f64(),
        LONGEST.as_secs()
    );
    for guess in guesses.iter().filter(|guess| !guess.direct) {
        println!("    {} ({:.2} s, {} packets)", guess.line, guess.took.as_secs_f64(), guess.packets);
    }
    (least..=most).contains(&hits) && longest <= LONGEST && dearest <= MOST
}
