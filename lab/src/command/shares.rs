//! `pinhole-lab shares`: how often guessed ports hit.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use pinhole_judge::interval;
use pinhole_lab::enter;
use pinhole_lab::shares::{Guess, LONGEST, MOST, Share, run as guess, shares};

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
    /// Have somebody else behind A's NAT open so many mappings a second while A guesses ports that follow each other,
    /// and nearly fill the table of the NAT whose ports are random.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    compete: Option<f64>,
    #[command(flatten)]
    binaries: Binaries,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    enter()?;
    let mut good = true;
    for share in shares(arguments.compete).iter().filter(|share| share.name.contains(&arguments.only)) {
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

/// Prints a pair's lines; whether they are as the form says, and within the budget.
fn judge(share: &Share, guesses: &[Guess]) -> bool {
    let longest = guesses.iter().map(|guess| guess.took).max().unwrap_or_default();
    let dearest = guesses.iter().map(|guess| guess.packets).max().unwrap_or_default();
    let direct = guesses.iter().filter(|guess| guess.direct).count();
    println!(
        "{}{}: {direct} of {} direct; at most {:.2} s of {} s, {dearest} of {MOST} packets",
        share.name,
        share.load.map_or_else(|| ", quiet".to_owned(), |load| format!(", {load}")),
        guesses.len(),
        longest.as_secs_f64(),
        LONGEST.as_secs()
    );
    let mut good = longest <= LONGEST && dearest <= MOST && guesses.iter().all(|guess| !guess.tries.is_empty());
    let mut widths: Vec<u64> = guesses.iter().flat_map(|guess| &guess.tries).map(|one| one.width).collect();
    widths.sort_unstable();
    widths.dedup();
    for width in widths {
        let tries = || guesses.iter().flat_map(|guess| &guess.tries).filter(|one| one.width == width);
        let (count, hits) = (tries().count() as u64, tries().filter(|one| one.hit).count() as u64);
        let form = tries().map(|one| one.form).sum::<f64>() / count as f64;
        let (least, most) = interval(count, form);
        println!("    {width:>5} ports: {hits} of {count} attempts hit; {form:.4} are {least} to {most} with 99 %");
        good &= (least..=most).contains(&hits);
    }
    for guess in guesses.iter().filter(|guess| !guess.direct) {
        println!("    {} ({:.2} s, {} packets)", guess.line, guess.took.as_secs_f64(), guess.packets);
    }
    good
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number of mappings a second".to_owned())?;
    if (0.01..=1_000.0).contains(&rate) { Ok(rate) } else { Err("between 0.01 and 1000 mappings a second".to_owned()) }
}
