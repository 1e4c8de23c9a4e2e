//! The model against the kernel: the same packets through a NAT of each, and what became of them.
//!
//! A [`Subject`] is a kind of NAT that `nat/*.nft` makes, with the behaviour of the model that claims to be the
//! same. Generated sequences of packets (`script.rs`) pass the kernel first, by the two ends of TUN devices, so
//! that every flag is ours (`kernel.rs`); then, at the same times, the model (`judge.rs`). Decisions must agree,
//! and so must ports: a kept port is kept, a port that is drawn is some port that no other mapping has, and
//! a mapping keeps the port that it has.
//!
//! Where the two are known to differ, `nat/differences.csv` says so, with the kernel's rule. A difference that is
//! none of these is reported with the whole sequence.
//!
//! The model follows TCP's flags alone. A segment that the kernel's connection tracking calls invalid, by its
//! state table or its windows, is counted and withheld from the model, so that both go on from the same state.

mod judge;
mod kernel;
mod script;
mod subject;

use std::collections::BTreeMap;

use pinhole_sim::{Behaviour, Rng};

use crate::error::LabError;
pub use judge::{DIFFERENCES, Difference};
pub use subject::{SUBJECTS, Subject};

/// What a comparison brought.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Sequences that were sent through both.
    pub sequences: usize,
    /// Sequences of which every packet fared alike.
    pub alike: usize,
    /// Sequences left out because a packet came too near to a timeout to say on which side of it, or because
    /// the kernel's hash gave two inside endpoints one port.
    pub undecided: usize,
    /// Packets that were compared; a sequence is compared up to its first difference, or on, where the
    /// two NATs are in the same state after it.
    pub packets: usize,
    /// How often each known difference was met.
    pub known: BTreeMap<&'static str, usize>,
    /// The others, each with its sequence.
    pub unexplained: Vec<String>,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.sequences += other.sequences;
        self.alike += other.alike;
        self.undecided += other.undecided;
        self.packets += other.packets;
        for (id, count) in other.known {
            *self.known.entry(id).or_default() += count;
        }
        self.unexplained.extend(other.unexplained);
    }
}

/// Sends at least so many sequences through the kernel's NAT and the model.
///
/// # Errors
///
/// What building a network answers.
pub fn compare(subject: &Subject, sequences: usize, seed: u64) -> Result<Report, LabError> {
    compare_with(subject, subject.claim(), sequences, seed)
}

/// As [`compare`], with another behaviour of the model than the one that claims to be the same.
///
/// # Errors
///
/// As [`compare`].
pub fn compare_with(subject: &Subject, claim: Behaviour, sequences: usize, seed: u64) -> Result<Report, LabError> {
    let mut report = Report::default();
    let seed = subject.name.bytes().fold(seed, |seed, octet| seed.wrapping_mul(31).wrapping_add(octet.into()));
    let mut round = 0;
    // Those that are left out are made up for, within reason.
    while report.sequences < sequences && round < 3 {
        let batches = (sequences - report.sequences).div_ceil(BATCH);
        let results = std::thread::scope(|scope| {
            let running: Vec<_> = (0..batches)
                .map(|batch| {
                    let rng = Rng::new(seed).fork(round << 32 | batch as u64);
                    let count = (sequences - report.sequences).div_ceil(batches);
                    scope.spawn(move || -> Result<Report, LabError> {
                        let run = kernel::run(subject, count as u16, &rng)?;
                        Ok(judge::judge(subject, claim, &run, &rng))
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        for result in results {
            report.add(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        round += 1;
    }
    Ok(report)
}

/// How many sequences share a NAT: few enough that hashed ports seldom collide.
const BATCH: usize = 40;
