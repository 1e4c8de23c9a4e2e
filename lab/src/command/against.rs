//! `pinhole-lab against`: the model against the kernel.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use pinhole_lab::against::{Report, SUBJECTS, Subject, compare};

/// Send generated packets through NATs of the kernel and through the model, and compare what becomes of them.
///
/// Known differences are counted; `lab/nat/differences.csv` has their reasons. Any other is printed with its whole
/// sequence, and makes the exit code 1.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Sequences for each kind of NAT.
    #[arg(long, default_value_t = 30)]
    sequences: usize,
    /// Decides the sequences.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only kinds whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// How many kinds are compared at once.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let subjects: Vec<_> = SUBJECTS.iter().filter(|subject| subject.name.contains(&arguments.only)).collect();
    anyhow::ensure!(!subjects.is_empty(), "no kind has a name that contains {:?}", arguments.only);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.clamp(1, subjects.len()) {
            scope.spawn(|| {
                while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = compare(subject, arguments.sequences, arguments.seed);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((*subject, report));
                }
            });
        }
    });
    let mut failed = 0;
    println!("{:<28} {:>9} {:>6} {:>9} {:>8}  known differences", "kind", "sequences", "alike", "undecided", "packets");
    for subject in &subjects {
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = done.iter().position(|(other, _)| other.name == subject.name) else { continue };
        failed += print(subject, &done.swap_remove(place).1?, arguments.sequences);
    }
    println!("{failed} unexplained");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a report; how much of it cannot be left as it is.
fn print(subject: &Subject, report: &Report, wanted: usize) -> usize {
    let known: Vec<_> = report.known.iter().map(|(id, count)| format!("{count} {id}")).collect();
    println!(
        "{:<28} {:>9} {:>6} {:>9} {:>8}  {}",
        subject.name,
        report.sequences,
        report.alike,
        report.undecided,
        report.packets,
        known.join(", ")
    );
    for unexplained in &report.unexplained {
        println!("{unexplained}");
    }
    if report.sequences < wanted {
        println!("    only {} of {wanted} sequences could be decided", report.sequences);
    }
    report.unexplained.len() + usize::from(report.sequences < wanted)
}
