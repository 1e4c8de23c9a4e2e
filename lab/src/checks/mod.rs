//! The end-to-end checks: real programs behind real NATs, and what must be true of them whatever happens.
//!
//! Each check has a network of its own and judges by what the programs say, by captures and by `/proc`.
//! A check that passes says what it measured.

mod capture;
mod client;
mod codes;
mod copies;
mod flood;
mod floods;
mod loss;
mod netcheck;
mod restart;
mod roaming;
mod setting;
mod stranger;
mod traces;

use std::path::PathBuf;

use anyhow::Context as _;
use pinhole_lab::trial::Programs;

/// One check.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    /// What is true when it passes.
    pub(crate) name: &'static str,
    /// Finds out, and says what was measured.
    pub(crate) run: fn(&Context) -> anyhow::Result<String>,
    /// Whether others would disturb it, or it others.
    pub(crate) alone: bool,
}

/// What a check is given.
pub(crate) struct Context {
    pub(crate) programs: Programs,
    /// For keys; empty at the start.
    pub(crate) directory: PathBuf,
    /// For traces and logs, when they are wanted.
    pub(crate) traces: Option<PathBuf>,
    /// Whether sizes and waits are those of the promise, or smaller.
    pub(crate) full: bool,
}

impl Context {
    /// The same in a directory of its own, for one of several that run beside each other.
    pub(crate) fn within(&self, name: &str) -> Self {
        Self {
            programs: self.programs.clone(),
            directory: self.directory.join(name),
            traces: self.traces.as_ref().map(|traces| traces.join(name)),
            full: self.full,
        }
    }

    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        for directory in [Some(&self.directory), self.traces.as_ref()].into_iter().flatten() {
            std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        }
        Ok(())
    }

    /// A size or a wait: a smaller one, or the full one.
    pub(crate) fn size<T>(&self, smaller: T, full: T) -> T {
        if self.full { full } else { smaller }
    }
}

/// Every check, the longest first, so that those which run beside each other end together.
pub(crate) fn checks() -> Vec<Check> {
    let check = |name, run| Check { name, run, alone: false };
    let alone = |name, run| Check { name, run, alone: true };
    vec![
        check("netcheck says what each NAT of the model is", netcheck::model),
        check("netcheck says what each NAT of the kernel is", netcheck::kernel),
        check("netcheck says how long mappings live", netcheck::timeout),
        check("a registration over UDP comes back within a refresh interval", restart::registration_udp),
        check("a relayed session over UDP resumes after the server's restart", restart::relayed_udp),
        check("a direct session over UDP goes on when the server is killed", restart::direct_udp),
        check("a direct session over TCP goes on when the server is killed", restart::direct_tcp),
        check("a relayed session over TCP resumes and nothing acknowledged is lost", restart::relayed_tcp),
        check("sessions become direct within ten seconds at 5 % loss", loss::sessions),
        check("a peer that moves to another address keeps its session over UDP", roaming::session),
        check("a peer that moves to another address registers from there", roaming::registration),
        check("a registration over TCP comes back within a second", restart::registration_tcp),
        check("a stranger with the program at B's private address is never believed", stranger::with_the_program),
        check("a stranger who echoes at B's private address is never believed", stranger::echo),
        check("a stranger who sends garbage at B's private address is never believed", stranger::garbage),
        check("copies of a registration from another source leave it the owner's", copies::registration),
        check("copies of a session's packets from another source are not believed", copies::session),
        check("captures over UDP show no long datagram, no amplification and no private endpoint", capture::udp),
        check("captures over TCP show no long frame and no private endpoint", capture::tcp),
        check("traces over UDP have every datagram that was on the wire, and no other", traces::udp),
        check("traces over TCP have every octet that was on the wire, and no other", traces::tcp),
        check("without a server a peer says so and exits with 3", codes::no_server),
        check("an unregistered target is said to be one, with exit code 4", codes::not_registered),
        check("symmetric NATs without the relay leave no path, with exit code 5", codes::no_path),
        check("a server with another key is not believed, with exit code 6", codes::wrong_key),
        check("the older one of two peers with one key is replaced and exits with 6", codes::one_key),
        check("wrong usage exits with 2", codes::usage),
        alone("a server that is flooded stays small and answers", floods::server),
        alone("a session goes on while the peer's port over UDP is flooded", floods::peer_udp),
        alone("a session goes on while the peer's port over TCP is flooded", floods::peer_tcp),
    ]
}
