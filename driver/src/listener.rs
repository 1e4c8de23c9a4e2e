//! Accepting streams.

use std::io;

use nix::errno::Errno;
use pinhole_proto::Endpoint;
use socket2::Socket;

/// What came of one try to accept.
pub(crate) enum Accept {
    Stream(Socket, Endpoint),
    /// Nobody waits, or who waited has gone.
    Nobody,
    /// The process or the system is out of descriptors or memory: not before something is freed.
    NoRoom(io::Error),
}

pub(crate) fn accept(listener: &Socket) -> Accept {
    loop {
        let error = match listener.accept_raw() {
            Ok((socket, remote)) => match remote.as_socket() {
                Some(remote) => return Accept::Stream(socket, remote.into()),
                None => continue,
            },
            Err(error) => error,
        };
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                return Accept::NoRoom(error);
            }
            // A connection that failed before it was accepted reports its own failure here.
            Some(Errno::EINTR | Errno::ECONNABORTED) => {}
            _ => return Accept::Nobody,
        }
    }
}
