//! Commands and their answers, as lines of the trace.

use pinhole_proto::CommandError;
use pinhole_proto::peer::{PeerCommand, PeerReply, SessionHandle};
use serde::{Serialize, Serializer};

/// A command, in the spelling of the trace.
pub(crate) struct Command<'a>(pub(crate) &'a PeerCommand<'a>);

/// The answer to a command, in the spelling of the trace.
pub(crate) struct Reply<'a>(pub(crate) &'a Result<PeerReply, CommandError>);

impl Serialize for Command<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        enum Line {
            Connect { peer: pinhole_proto::PeerId, transport: Option<pinhole_proto::Transport> },
            Send { session: SessionHandle, datagram: String },
            Write { session: SessionHandle, octets: String },
            Finish { session: SessionHandle },
            Consume { session: SessionHandle, octets: u32 },
            Close { session: SessionHandle },
            Shutdown,
        }
        let line = match *self.0 {
            PeerCommand::Connect { peer, transport } => Line::Connect { peer, transport },
            PeerCommand::Send { session, datagram } => Line::Send { session, datagram: hex(datagram) },
            PeerCommand::Write { session, octets } => Line::Write { session, octets: hex(octets) },
            PeerCommand::Finish { session } => Line::Finish { session },
            PeerCommand::Consume { session, octets } => Line::Consume { session, octets },
            PeerCommand::Close { session } => Line::Close { session },
            PeerCommand::Shutdown => Line::Shutdown,
        };
        line.serialize(serializer)
    }
}

impl Serialize for Reply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        enum Line {
            Done,
            Session(SessionHandle),
            Written(usize),
            Error(CommandError),
        }
        let line = match *self.0 {
            Ok(PeerReply::Done) => Line::Done,
            Ok(PeerReply::Session(session)) => Line::Session(session),
            Ok(PeerReply::Written(octets)) => Line::Written(octets),
            Err(error) => Line::Error(error),
        };
        line.serialize(serializer)
    }
}

fn hex(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(octets)
}
