//! The programs that the lab runs: where they are, and what they say when they fail.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::{LabError, Missing};

/// A program that the lab runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// iproute2: interfaces, addresses, routes.
    Ip,
    /// nftables: the NATs.
    Nft,
    /// util-linux: a command inside a namespace.
    Nsenter,
}

impl Program {
    pub(crate) const ALL: [Self; 3] = [Self::Ip, Self::Nft, Self::Nsenter];

    fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Nft => "nft",
            Self::Nsenter => "nsenter",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Ip => "iproute2",
            Self::Nft => "nftables",
            Self::Nsenter => "util-linux",
        }
    }

    /// Finds the program in `PATH`, and in the directories that ordinary users do not always have there.
    pub(crate) fn path(self) -> Result<PathBuf, Missing> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
            .map(|directory| directory.join(self.name()))
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| {
                Missing::new(
                    format!("the program `{}`", self.name()),
                    format!("install the package `{}`", self.package()),
                )
            })
    }

    /// Runs the program in the calling thread's network namespace with `input` on its standard input.
    pub(crate) fn run<A: AsRef<OsStr>>(self, arguments: &[A], input: &str) -> Result<(), LabError> {
        let doing = || format!("run `{}`", self.name());
        let mut child = Command::new(self.path()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| LabError::io(doing(), error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that fails early closes its input; its own words say more than EPIPE.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(|error| LabError::io(doing(), error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(LabError::Command {
            program: self.name().to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}
