//! The system's errors in the engine's words.

use std::io;

use nix::errno::Errno;
use pinhole_proto::NetError;

/// What an error number means to an engine.
pub(crate) fn net_error(errno: i32) -> NetError {
    match Errno::from_raw(errno) {
        Errno::EADDRINUSE => NetError::AddressInUse,
        Errno::EADDRNOTAVAIL => NetError::AddressNotAvailable,
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EHOSTDOWN => NetError::Unreachable,
        Errno::EACCES | Errno::EPERM => NetError::NotPermitted,
        Errno::ECONNREFUSED => NetError::Refused,
        Errno::ECONNRESET | Errno::ECONNABORTED | Errno::EPIPE => NetError::Reset,
        Errno::ETIMEDOUT => NetError::TimedOut,
        _ => NetError::Other,
    }
}

/// The same of a failed call.
pub(crate) fn of_io(error: &io::Error) -> NetError {
    error.raw_os_error().map_or(NetError::Other, net_error)
}
