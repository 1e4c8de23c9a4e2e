//! What ends a command badly: a code for programs, a sentence for people, an exit code.

use std::process::ExitCode;

use pinhole_peer::{BindError, CloseReason, ConnectError, Refusal, Trouble, close_code};

/// The exit codes, as `--help` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Other = 1,
    Usage = 2,
    ServerUnreachable = 3,
    NotRegistered = 4,
    NoPath = 5,
    Authentication = 6,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason: code, message: message.into(), exit }
    }

    pub(crate) fn usage(error: &dyn std::error::Error) -> Self {
        Self::new(Exit::Usage, "usage", chain(error))
    }

    pub(crate) fn other(code: &'static str, error: &dyn std::error::Error) -> Self {
        Self::new(Exit::Other, code, chain(error))
    }

    pub(crate) fn closed(reason: CloseReason) -> Self {
        let (exit, message) = match reason {
            CloseReason::Local => (Exit::Other, "the session was closed here"),
            CloseReason::Remote => (Exit::Other, "the other peer closed the session"),
            CloseReason::Refused(Refusal::NOT_REGISTERED) => {
                (Exit::NotRegistered, "the peer is not registered with this server over a transport in common")
            }
            CloseReason::Refused(Refusal::REFUSED) => (Exit::Other, "the peer refused the session"),
            CloseReason::Refused(Refusal::LIMITED) => (Exit::Other, "too many requests: try later"),
            CloseReason::Refused(Refusal::RELAY_REFUSED) => (Exit::NoPath, "the server does not relay for these peers"),
            CloseReason::Refused(_) => (Exit::Other, "the session was refused"),
            CloseReason::AuthenticationFailed => (Exit::Authentication, "the other peer did not prove its key"),
            CloseReason::NoPath(_) => (Exit::NoPath, "no path to the peer was found"),
            CloseReason::Lost => (Exit::Other, "every path went silent"),
            CloseReason::Superseded => (Exit::Other, "a second session with the same peer took this one's place"),
            CloseReason::KeysWorn => (Exit::Other, "the session's keys had their time"),
            CloseReason::ServerSilent => (Exit::ServerUnreachable, "the server did not answer the request"),
        };
        let code = close_code(&reason);
        Self { code, reason: close_reason(&reason), message: format!("{message} ({code})"), exit }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let (exit, code) = match &trouble {
            Trouble::ServerUnreachable => (Exit::ServerUnreachable, "server-unreachable"),
            Trouble::ServerKeyDiffers => (Exit::Authentication, "server-key-differs"),
            Trouble::UnsupportedVersion => (Exit::Other, "unsupported-version"),
            Trouble::Replaced => (Exit::Authentication, "replaced"),
            Trouble::Stopped => (Exit::Other, "stopped"),
            Trouble::Driver(_) => (Exit::Other, "system"),
        };
        Self::new(exit, code, trouble.to_string())
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        match &error {
            BindError::Resolve { .. } => Self::new(Exit::ServerUnreachable, "server-unresolved", error.to_string()),
            BindError::NoServerKey | BindError::KnownServers(_) | BindError::Trace(_) => Self::usage(&error),
            BindError::System(_) => Self::other("system", &error),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Closed(reason) => Self::closed(reason),
            ConnectError::Command(pinhole_peer::CommandError::OwnId) => {
                Self::new(Exit::Usage, "own-id", "the peer is this peer itself: use another key file")
            }
            ConnectError::Command(_) => Self::other("refused-here", &error),
            ConnectError::Stopped => Self::other("stopped", &error),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The name of the reason itself, without the verdict or refusal in it.
pub(crate) const fn close_reason(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::NoPath(_) => "no-path",
        CloseReason::Refused(_) => "refused",
        other => close_code(other),
    }
}

/// An error and its causes in one line, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
