//! The lab's tests. They run inside namespaces of their own, one after the other, since several measure times.

mod against;
mod gateway;
mod life;
mod line;
mod nat;
mod punch;
mod topology;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use pinhole_lab::LabError;

type Outcome = Result<(), Failed>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let skipped = match pinhole_lab::enter() {
        Ok(()) => false,
        Err(LabError::Missing(missing)) => {
            eprintln!("skipped: {missing}");
            true
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(code) = life::role() {
        return code;
    }
    let trials = [against::TESTS, gateway::TESTS, life::TESTS, line::TESTS, nat::TESTS, punch::TESTS, topology::TESTS]
        .concat()
        .into_iter()
        .map(|(name, test)| Trial::test(name, test).with_ignored_flag(skipped))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test with the sentence it proves.
type Test = (&'static str, fn() -> Outcome);

/// Fails with a message unless a condition holds.
fn ensure(condition: bool, message: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(message().into()) }
}
