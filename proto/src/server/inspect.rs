//! Looking into packets with a server's keys: for the page and for transcripts.

use alloc::vec::Vec;

use super::Server;
use crate::wire::Sealed;

impl Server {
    /// What a packet to this server holds, opened with the keys that the server has at this moment; none
    /// without the right key. Changes nothing: a packet may be looked at again, and before or after it arrives.
    #[must_use]
    pub fn look_into(&self, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        self.registry.look_into(sealed).or_else(|| self.admission.pending.look_into(sealed))
    }
}
