//! Stages: named commands, run one after the other, with a closing line.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::root;

/// What happened so far.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<(String, Verdict, Duration)>,
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

impl Stages {
    /// Stages whose table is written to a file each time that one ends.
    pub(crate) fn reporting(path: PathBuf) -> anyhow::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(Self { report: Some(path), ..Self::default() })
    }

    fn push(&mut self, name: &str, verdict: Verdict, time: Duration) {
        self.done.push((name.to_owned(), verdict, time));
        if let Some(path) = &self.report
            && let Err(error) = std::fs::write(path, self.table())
        {
            println!("{}: {error}", path.display());
        }
    }

    fn table(&self) -> String {
        let line = |(name, verdict, time): &(String, Verdict, Duration)| {
            let verdict = match verdict {
                Verdict::Passed => "passed",
                Verdict::Failed => "FAILED",
                Verdict::Skipped => "skipped",
            };
            format!("{verdict:<8} {:>7.1} s  {name}\n", time.as_secs_f64())
        };
        self.done.iter().map(line).collect()
    }

    /// Runs a command; it passes when it exits with 0.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) {
        self.expect(name, command, 0);
    }

    /// Runs a command that is to exit with `code`.
    pub(crate) fn expect(&mut self, name: &str, command: &mut Command, code: i32) {
        println!("== {name}");
        let begin = Instant::now();
        let status = command.current_dir(root()).status();
        let good = match &status {
            Ok(status) => status.code() == Some(code),
            Err(error) => {
                println!("{error}");
                false
            }
        };
        if !good {
            println!("{name} failed: {status:?}, exit code {code} was expected");
        }
        self.push(name, if good { Verdict::Passed } else { Verdict::Failed }, begin.elapsed());
    }

    pub(crate) fn cargo(&mut self, name: &str, arguments: &[&str]) {
        self.run(name, Command::new(env!("CARGO")).args(arguments));
    }

    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("== {name}: skipped, {why}");
        self.push(name, Verdict::Skipped, Duration::ZERO);
    }

    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        println!("== {name}: failed, {why}");
        self.push(name, Verdict::Failed, Duration::ZERO);
    }

    /// Prints the stages with their times and the closing line. A skipped check fails where everything can
    /// be installed (`strict`).
    pub(crate) fn finish(&self, strict: bool) -> ExitCode {
        println!("\n{}", self.table().trim_end());
        let count = |wanted: Verdict| self.done.iter().filter(|(_, verdict, _)| *verdict == wanted).count();
        let (passed, failed, skipped) = (count(Verdict::Passed), count(Verdict::Failed), count(Verdict::Skipped));
        if skipped > 0 {
            println!("{skipped} checks skipped");
        }
        println!("stages: {passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 && !(strict && skipped > 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
