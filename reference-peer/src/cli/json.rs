//! The JSON events, one object a line; `args.rs` documents them in `--help`.

use pinhole_peer::{
    Certainty, Endpoint, Evidence, OfflineReason, PathInfo, PathKind, PathState, PeerId, ServerKey, SessionHandle,
    Transport, Verdict,
};
use pinhole_proto::netcheck::{Observation, Report};
use serde::Serialize;

use super::netcheck::Cones;

#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(flatten)]
    pub(crate) body: Body<'a>,
    /// Milliseconds since the session was asked for, or since the start.
    pub(crate) ms: f64,
    /// `CLOCK_MONOTONIC` in microseconds.
    pub(crate) t_us: u64,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Body<'a> {
    ServerKey {
        key: ServerKey,
    },
    Probe {
        #[serde(flatten)]
        observation: &'a Observation,
    },
    Netcheck {
        cone: Cones,
        #[serde(flatten)]
        report: &'a Report,
    },
    Online {
        id: PeerId,
        transport: Transport,
        private: Endpoint,
        public: Endpoint,
    },
    Offline {
        transport: Transport,
        reason: OfflineReason,
    },
    Introduced {
        session: SessionHandle,
        peer: PeerId,
        transport: Transport,
        initiator: bool,
    },
    Established {
        session: SessionHandle,
        peer: PeerId,
        initiator: bool,
    },
    Path {
        session: SessionHandle,
        kind: PathKind,
        state: PathState,
        #[serde(flatten)]
        path: Path,
    },
    Selected {
        session: SessionHandle,
        kind: PathKind,
        #[serde(flatten)]
        path: Path,
    },
    PathLost {
        session: SessionHandle,
        kind: PathKind,
        #[serde(flatten)]
        path: Path,
    },
    Attempt {
        session: SessionHandle,
        number: u16,
        strategy: &'a str,
        width: u16,
    },
    Verdict {
        session: SessionHandle,
        code: Verdict,
        certainty: Certainty,
        evidence: Evidence,
    },
    Withdrawn {
        session: SessionHandle,
        code: Verdict,
    },
    Data {
        session: SessionHandle,
        peer: PeerId,
        #[serde(flatten)]
        data: Data<'a>,
    },
    Echo {
        session: SessionHandle,
        seq: u64,
        rtt_ms: f64,
    },
    Result {
        session: SessionHandle,
        transport: Option<Transport>,
        direct_ms: Option<f64>,
        echo_ms: Option<f64>,
        path: Option<PathInfo>,
        verdict: Option<Verdict>,
        echoes: u64,
        sent: u64,
    },
    Closed {
        session: SessionHandle,
        peer: Option<PeerId>,
        code: &'a str,
        reason: &'a str,
    },
    Failed {
        code: &'a str,
        reason: &'a str,
        message: &'a str,
        exit: u8,
    },
    Missed {
        count: u64,
    },
}

/// The endpoints of a path.
#[derive(Debug, Serialize)]
pub(crate) struct Path {
    transport: Transport,
    local: Endpoint,
    mapped: Option<Endpoint>,
    remote: Endpoint,
}

impl From<PathInfo> for Path {
    fn from(path: PathInfo) -> Self {
        Self { transport: path.transport, local: path.local, mapped: path.mapped, remote: path.remote }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Data<'a> {
    Text(&'a str),
    Hex(String),
}

impl<'a> From<&'a [u8]> for Data<'a> {
    fn from(octets: &'a [u8]) -> Self {
        std::str::from_utf8(octets).map_or_else(|_| Self::Hex(data_encoding::HEXLOWER.encode(octets)), Self::Text)
    }
}

/// Milliseconds with three decimals.
pub(crate) fn millis(span: std::time::Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    let micros = span.as_micros() as f64;
    micros / 1_000.0
}
