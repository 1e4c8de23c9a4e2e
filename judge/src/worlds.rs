//! Many random worlds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Oracle;
use crate::scene::{Histogram, Outcome, Scene};

/// What came of many worlds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was seen.
    pub histogram: Histogram,
    /// The seeds of worlds in which something was wrong, and what.
    pub failures: Vec<(u64, Vec<String>)>,
    /// The digests of all runs, combined; the order does not matter.
    pub digest: u64,
}

/// Runs the worlds of `count` seeds from `first` on, on as many threads as there are processors.
#[must_use]
pub fn run(oracle: &Oracle, first: u64, count: u64) -> Report {
    let next = AtomicU64::new(first);
    let whole = Mutex::new(Report::default());
    let work = || {
        let mut own = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let outcome = judge(&Scene::draw(seed), oracle);
            own.digest = own.digest.wrapping_add(outcome.digest);
            own.histogram.join(outcome.histogram);
            if !outcome.wrong.is_empty() {
                own.failures.push((seed, outcome.wrong));
            }
        }
        if let Ok(mut whole) = whole.lock() {
            whole.digest = whole.digest.wrapping_add(own.digest);
            whole.histogram.join(own.histogram);
            whole.failures.extend(own.failures);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut report = whole.into_inner().unwrap_or_default();
    report.failures.sort();
    report
}

/// The digests of the worlds of `count` seeds from `first` on, combined as in [`Report::digest`].
#[must_use]
pub fn digest(first: u64, count: u64) -> u64 {
    (first..first + count).map(|seed| Scene::draw(seed).digest()).fold(0, u64::wrapping_add)
}

/// Runs one world; a panic in it is what is wrong with it.
#[must_use]
pub fn judge(scene: &Scene, oracle: &Oracle) -> Outcome {
    guarded(|| scene.run(oracle))
}

fn guarded(run: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome { wrong: vec![format!("panic: {}", text.unwrap_or_default())], ..Outcome::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_what_is_wrong_with_a_world() {
        let outcome = guarded(|| panic!("an invariant of an engine"));
        assert_eq!(outcome.wrong, ["panic: an invariant of an engine"]);
        assert!(guarded(Outcome::default).wrong.is_empty());
    }
}
