//! What is started inside ends with what started it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pinhole_lab::{Kind, Lab, Topology};

use crate::{Outcome, Test, ensure};

pub(crate) const TESTS: &[Test] = &[
    ("the_exit_code_comes_out", the_exit_code_comes_out),
    ("what_runs_on_a_host_ends_with_the_lab", what_runs_on_a_host_ends_with_the_lab),
    ("whoever_kills_the_outer_process_ends_everything", whoever_kills_the_outer_process_ends_everything),
];

/// Asks a further copy of this program to play a part, inside namespaces of its own.
const ROLE: &str = "PINHOLE_LAB_TEST_ROLE";

/// Plays the part that this process was started for, if it was.
pub(crate) fn role() -> Option<ExitCode> {
    match std::env::var(ROLE).ok()?.as_str() {
        "exit-37" => Some(ExitCode::from(37)),
        "hold" => {
            let lab = Lab::build(&Topology::new(Kind::TwoNats)).ok()?;
            let _sleeper = lab.command("a", "sleep").ok()?.arg(SLEEP).spawn().ok()?;
            println!("ready");
            std::thread::sleep(Duration::from_secs(60));
            Some(ExitCode::FAILURE)
        }
        _ => Some(ExitCode::FAILURE),
    }
}

fn the_exit_code_comes_out() -> Outcome {
    let status = Command::new("/proc/self/exe").env(ROLE, "exit-37").status()?;
    ensure(status.code() == Some(37), || format!("{status}"))
}

fn what_runs_on_a_host_ends_with_the_lab() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::TwoNats))?;
    let mut sleeper = lab.command("a", "sleep")?.arg("60").spawn()?;
    // `nsenter` becomes `sleep`; before that it is not inside yet.
    within(|| fs::read(format!("/proc/{}/cmdline", sleeper.id())).is_ok_and(|line| line.starts_with(b"sleep")))?;
    drop(lab);
    within(|| sleeper.try_wait().is_ok_and(|status| status.is_some()))
}

fn whoever_kills_the_outer_process_ends_everything() -> Outcome {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        // Whoever started the tests may have had SIGINT ignored, as shells do for what runs in the background.
        let mut outer = Command::new("env");
        outer.arg("--default-signal=INT").arg(std::env::current_exe()?).env(ROLE, "hold").stdout(Stdio::piped());
        let mut outer = outer.spawn()?;
        let mut line = String::new();
        if let Some(output) = outer.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        ensure(line == "ready\n", || format!("the copy said {line:?}"))?;
        within(|| sleepers() == 1)?;
        kill(Pid::from_raw(i32::try_from(outer.id())?), signal)?;
        within(|| sleepers() == 0)?;
        outer.wait()?;
    }
    Ok(())
}

/// A time that nobody else sleeps.
const SLEEP: &str = "59.87654321";
const SLEEPER: &[u8] = b"sleep\x0059.87654321\0";

fn sleepers() -> usize {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == SLEEPER))
        .count()
}

fn within(mut holds: impl FnMut() -> bool) -> Outcome {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if holds() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("nothing happened within ten seconds".into())
}
