//! Looking into packets with a peer's keys: for the page and for transcripts.

use alloc::vec::Vec;

use super::Peer;
use crate::wire::Sealed;

impl Peer {
    /// What a packet to this peer holds, opened with the keys that the peer has at this moment; none without
    /// the right key. Changes nothing: a packet may be looked at again, and before or after it arrives.
    #[must_use]
    pub fn look_into(&self, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        let mut sessions = self.sessions.values();
        let session = sessions.find_map(|session| session.look_into(sealed));
        session.or_else(|| self.leg.look_into(sealed))
    }
}
