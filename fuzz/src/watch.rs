//! What is watched over a whole run: what a peer tells its application, and that no counter is used twice.

use std::collections::BTreeMap;

use pinhole_proto::peer::SessionHandle;

use crate::checked::PeerTold;

/// How far the application believes that sessions are.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    known: BTreeMap<SessionHandle, Known>,
    stopped: bool,
}

/// What the application knows of a session.
#[derive(Clone, Debug, Default)]
pub struct Known {
    established: bool,
    finished: bool,
    closed: bool,
    acknowledged: u64,
    /// The byte stream as it arrived.
    pub stream: Vec<u8>,
    /// Octets of the byte stream that the application wrote.
    pub written: Vec<u8>,
    /// The datagrams as they arrived.
    pub datagrams: Vec<Vec<u8>>,
}

impl Sessions {
    /// An event: data comes after `Established` and before `Finished`, and nothing after `Closed` and `Stopped`.
    pub fn on(&mut self, told: &PeerTold) {
        assert!(!self.stopped, "{told:?} after Stopped");
        let (PeerTold::Introduced(session)
        | PeerTold::Established(session, _)
        | PeerTold::Path(session, ..)
        | PeerTold::Datagram(session, _)
        | PeerTold::Stream(session, _)
        | PeerTold::Finished(session)
        | PeerTold::Acknowledged(session, _)
        | PeerTold::Session(session, _)
        | PeerTold::Closed(session)) = told
        else {
            self.stopped |= *told == PeerTold::Stopped;
            return;
        };
        let known = self.known.entry(*session).or_default();
        assert!(!known.closed, "{told:?} after Closed");
        match told {
            PeerTold::Established(..) => {
                assert!(!known.established, "{told:?} twice");
                known.established = true;
            }
            PeerTold::Datagram(_, octets) => {
                assert!(known.established, "{told:?} before Established");
                known.datagrams.push(octets.clone());
            }
            PeerTold::Stream(_, octets) => {
                assert!(known.established && !known.finished, "{told:?} out of order");
                assert!(!octets.is_empty());
                known.stream.extend(octets);
            }
            PeerTold::Finished(_) => {
                assert!(known.established && !known.finished, "{told:?} out of order");
                known.finished = true;
            }
            PeerTold::Acknowledged(_, offset) => {
                assert!(*offset > known.acknowledged, "{told:?} goes forward");
                assert!(*offset <= known.written.len() as u64, "{told:?} of octets that were written");
                known.acknowledged = *offset;
            }
            PeerTold::Closed(_) => known.closed = true,
            _ => {}
        }
    }

    /// The application wrote to a byte stream.
    pub fn wrote(&mut self, session: SessionHandle, octets: &[u8]) {
        self.known.entry(session).or_default().written.extend(octets);
    }

    /// The application opened a session.
    pub fn opened(&mut self, session: SessionHandle) {
        assert!(self.known.insert(session, Known::default()).is_none(), "{session:?} is fresh");
    }

    /// Every session, in the order of handles.
    pub fn iter(&self) -> impl Iterator<Item = (SessionHandle, &Known)> {
        self.known.iter().map(|(handle, known)| (*handle, known))
    }

    /// The handle at this place, of those that the application knows; one that it does not know for a
    /// place far away.
    #[must_use]
    pub fn pick(&self, at: u8) -> SessionHandle {
        let count = self.known.len();
        if at >= 0xf0 || count == 0 {
            return SessionHandle(u32::from(at));
        }
        // The latest first.
        self.known.keys().rev().nth(usize::from(at) % count).copied().unwrap_or(SessionHandle(0))
    }
}

/// What was sealed under each key and counter: the same octets or nothing.
#[derive(Clone, Debug, Default)]
pub struct Counters(BTreeMap<([u8; 32], u64), Vec<u8>>);

impl Counters {
    /// A packet was opened with `key`.
    pub fn on(&mut self, key: [u8; 32], counter: u64, packet: &[u8]) {
        let before = self.0.entry((key, counter)).or_insert_with(|| packet.to_vec());
        assert_eq!(before, packet, "counter {counter:#x} was used twice under one key");
    }
}
