//! The verbs that run programs.

pub(crate) mod against;
pub(crate) mod behind;
pub(crate) mod bench;
pub(crate) mod cells;
pub(crate) mod checks;
pub(crate) mod demo;
pub(crate) mod shares;

use std::path::PathBuf;

use pinhole_lab::trial::Programs;

/// Where the reference binaries are.
#[derive(clap::Args, Clone)]
pub(crate) struct Binaries {
    /// The server; by default the one beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// The peer; by default the one beside this program.
    #[arg(long)]
    peer: Option<PathBuf>,
}

impl Binaries {
    pub(crate) fn find(&self) -> anyhow::Result<Programs> {
        let beside = |name: &str| -> anyhow::Result<PathBuf> { Ok(std::env::current_exe()?.with_file_name(name)) };
        let programs = Programs {
            server: self.server.clone().map_or_else(|| beside("pinhole-server"), Ok)?,
            peer: self.peer.clone().map_or_else(|| beside("pinhole-peer"), Ok)?,
            options: Vec::new(),
        };
        for program in [&programs.server, &programs.peer] {
            anyhow::ensure!(program.is_file(), "{} is not there: build it first", program.display());
        }
        Ok(programs)
    }
}

/// A directory for keys that nobody needs afterwards; it goes with this value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("pinhole-{name}-{}-{:x}", std::process::id(), stamp()));
        std::fs::create_dir_all(&directory)?;
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in a temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Process ids repeat across namespaces; the clock does not.
fn stamp() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
