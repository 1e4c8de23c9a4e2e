//! Receiving datagrams, a batch at a time and in place.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg, recvmsg};
use pinhole_proto::{Address, Endpoint, Family, NetError};

use crate::error::net_error;

/// How many datagrams one call receives.
pub(crate) const BATCH: usize = 32;

/// Where received octets wait for the engine: room for one batch, or for one read of a stream.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    // The kernel writes the lengths of addresses and control messages into the headers, and nix leaves them
    // there for the next call. They are equal within a family only.
    v4: MultiHeaders<SockaddrStorage>,
    v6: MultiHeaders<SockaddrStorage>,
}

/// A datagram in the buffer.
pub(crate) struct Received<'a> {
    pub(crate) local: Address,
    pub(crate) remote: Endpoint,
    pub(crate) payload: &'a [u8],
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; BATCH * SLOT],
            v4: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(libc::in_pktinfo))),
            v6: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(libc::in6_pktinfo))),
        }
    }

    /// The buffer, for a stream to be read into.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Receives at most [`BATCH`] datagrams, hands each to `each`, and tells how many there were.
    ///
    /// A datagram longer than any packet may be is cut; what is left of it is still too long.
    pub(crate) fn receive(
        &mut self,
        socket: RawFd,
        family: Family,
        mut each: impl FnMut(Received<'_>),
    ) -> io::Result<usize> {
        let headers = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        let mut rest = self.buffer.chunks_exact_mut(SLOT);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(rest.next().expect("the buffer has a slot for each"))]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let mut count = 0;
        for message in recvmmsg(socket, headers, slices.iter_mut(), flags, None)? {
            count += 1;
            let payload = message.iovs().next().unwrap_or_default();
            if let Some(remote) = sender(&message) {
                each(Received { local: destination(&message).unwrap_or_else(|| unspecified(family)), remote, payload });
            }
        }
        Ok(count)
    }
}

/// Takes one ICMP error out of a socket's error queue: where the rejected datagram was sent to, and why it
/// was rejected. `None` when the queue is empty.
pub(crate) fn take_rejection(socket: RawFd) -> Option<(Endpoint, NetError)> {
    let mut octets = [0; 64];
    let mut control = vec![0; 512];
    loop {
        let mut slices = [IoSliceMut::new(&mut octets)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = match recvmsg::<SockaddrStorage>(socket, &mut slices, Some(&mut control), flags) {
            Ok(message) => message,
            Err(Errno::EINTR) => continue,
            Err(_) => return None,
        };
        let Some(remote) = sender(&message) else {
            continue;
        };
        for control in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) = control
                && matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6)
            {
                let errno = i32::try_from(error.ee_errno).unwrap_or_default();
                return Some((remote, net_error(errno)));
            }
        }
    }
}

fn sender(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Endpoint> {
    let address = message.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    let v6 = || {
        let v6 = address.as_sockaddr_in6()?;
        Some(SocketAddr::from((v6.ip(), v6.port())))
    };
    v4.or_else(v6).map(Endpoint::from)
}

fn destination(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Address> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))),
        _ => None,
    })
}

fn unspecified(family: Family) -> Address {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Room for one datagram: more than the longest packet, so that a longer one shows.
const SLOT: usize = 2_048;
