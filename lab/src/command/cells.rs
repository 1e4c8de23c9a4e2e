//! `pinhole-lab cells`: every cell, so many times.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use pinhole_lab::cells::{self, Cell, Row};
use pinhole_lab::{NatKind, UnsolicitedSyn, prove};

use super::{Binaries, Scratch};

/// Run every cell and print the table.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Trials for each cell and transport.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// How many networks exist at once. More than one is quicker, and blurs the times.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Only cells whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The cells with NATs of the model instead of the kernel's.
    #[arg(long)]
    model: bool,
    /// A file for the table as JSON; the text goes beside it.
    #[arg(long)]
    report: Option<PathBuf>,
    #[command(flatten)]
    binaries: Binaries,
}

/// The kinds of the kernel.
fn kernels() -> Vec<(NatKind, UnsolicitedSyn)> {
    let both = |kind| [(kind, UnsolicitedSyn::Drop), (kind, UnsolicitedSyn::Rst)];
    NatKind::ALL.into_iter().flat_map(both).collect()
}

/// Each NAT of the model that a cell has, once.
fn models(cells: &[Cell]) -> Vec<(NatKind, UnsolicitedSyn)> {
    let mut all = Vec::new();
    for Cell { topology, .. } in cells {
        for nat in [topology.nat_a, topology.nat_b, topology.nat_isp] {
            if !all.contains(&(nat, topology.syn)) {
                all.push((nat, topology.syn));
            }
        }
    }
    all
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = arguments.binaries.find()?;
    let scratch = Scratch::new("cells")?;
    let cells = if arguments.model { cells::model_cells() } else { cells::cells() };
    let wanted: Vec<_> = cells.into_iter().filter(|cell| cell.name.contains(&arguments.only)).collect();
    // A result behind a NAT means something only where the NAT is what it claims to be.
    let kinds = if arguments.model { models(&wanted) } else { kernels() };
    let proved = std::thread::scope(|scope| {
        let each = kinds.iter().map(|&(kind, syn)| scope.spawn(move || prove(kind, syn, false)));
        let each: Vec<_> = each.collect();
        each.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for result in proved {
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    }
    eprintln!("every kind of NAT was probed and behaves as it declares");
    let queue: Vec<_> = wanted.into_iter().flat_map(|cell| cell.over.iter().map(move |&over| (cell, over))).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.clamp(1, queue.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(cell, over)) = queue.get(place) else { return };
                    let row = cells::run(cell, over, arguments.times, &programs, scratch.path());
                    if let Ok(row) = &row {
                        eprint!("{}", cells::rows(std::slice::from_ref(row)));
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((place, row));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    let rows: Vec<Row> = done.into_iter().map(|(_, row)| row).collect::<Result<_, _>>()?;
    let table = cells::table(&rows);
    println!("{table}");
    if let Some(path) = &arguments.report {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(&cells::report(&rows))?)?;
        std::fs::write(path.with_extension("txt"), &table)?;
    }
    let trials: usize = rows.iter().map(|row| row.outcomes.len()).sum();
    let failed: usize = rows.iter().map(|row| row.faults.len()).sum();
    println!("{} passed, {failed} failed", trials - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
