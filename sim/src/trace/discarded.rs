//! What an engine ignored, and what it looked like.

use pinhole_proto::{Discard, Endpoint, Input, Instant, SocketId, StreamId};
use serde::Serialize;

use crate::world::HostId;

/// Something that an engine ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Discarded {
    /// When.
    pub at: Instant,
    /// On which host.
    pub host: HostId,
    /// The check that failed.
    pub discard: Discard,
    /// The octets that it was about, if it was about octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Arrived>,
}

/// What the checks of an engine see of octets from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Arrived {
    /// The socket, for a datagram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<SocketId>,
    /// The stream, for a stream's octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// Where a datagram came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Endpoint>,
    /// How many octets.
    pub length: usize,
    /// The first octet: the kind of packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<u8>,
    /// The second octet: the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u8>,
}

impl Arrived {
    pub(crate) fn of(input: &Input<'_>) -> Option<Self> {
        let (socket, stream, remote, octets) = match *input {
            Input::Datagram { socket, remote, payload, .. } => (Some(socket), None, Some(remote), payload),
            Input::Stream { stream, what: pinhole_proto::StreamInput::Received(octets) } => {
                // A frame begins with its length, two octets.
                (None, Some(stream), None, octets.get(2..).unwrap_or_default())
            }
            Input::Timeout
            | Input::Interfaces(_)
            | Input::Opened { .. }
            | Input::OpenFailed { .. }
            | Input::Rejected { .. }
            | Input::Stream { .. } => return None,
        };
        let (kind, version) = (octets.first().copied(), octets.get(1).copied());
        Some(Self { socket, stream, remote, length: octets.len(), kind, version })
    }
}
