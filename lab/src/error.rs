//! What can go wrong while a lab is set up.

use std::io;

/// A program or a permission that the lab needs and this machine does not give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is missing; {how_to_get}")]
pub struct Missing {
    /// The thing, as a person would call it.
    pub what: String,
    /// One sentence that says how to get it.
    pub how_to_get: String,
}

impl Missing {
    pub(crate) fn new(what: impl Into<String>, how_to_get: impl Into<String>) -> Self {
        Self { what: what.into(), how_to_get: how_to_get.into() }
    }
}

/// Why a lab could not be entered, built or used.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program ran and did not succeed.
    #[error("`{program}` failed: {stderr}")]
    Command {
        /// The program with its arguments.
        program: String,
        /// What it said.
        stderr: String,
    },
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, as in "open the TUN device".
        doing: String,
        /// What the system answered.
        source: io::Error,
    },
    /// The machine lacks something that no lab can do without.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// There is no host, interface, network or kind of that name.
    #[error("there is no `{0}`")]
    NoSuch(String),
    /// A NAT does not behave as its kind declares.
    #[error("the NAT `{kind}` is not what it claims to be: declared {declared}, measured {measured}")]
    NotAsDeclared {
        /// The kind's name.
        kind: String,
        /// What the kind declares.
        declared: String,
        /// What the probe saw.
        measured: String,
    },
    /// [`enter`](crate::enter) has not been called.
    #[error("a lab can only be built inside namespaces of its own; call `enter` first")]
    Outside,
    /// A program ended, or let its time pass, before it said what was waited for.
    #[error("{program} did not say {what:?}; it said:\n  {said}")]
    Silent {
        /// The program.
        program: &'static str,
        /// What was waited for.
        what: String,
        /// Its lines.
        said: String,
    },
    /// [`enter`](crate::enter) was called when the process already had threads.
    #[error("`enter` must be the first thing that `main` does: this process has {0} threads")]
    Threads(usize),
    /// The kind of NAT cannot be combined with what is asked of it.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl LabError {
    pub(crate) fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { doing: doing.into(), source: source.into() }
    }
}
