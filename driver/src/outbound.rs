//! Sending datagrams, a batch at a time.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::RawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, sendmmsg, sendmsg,
};
use pinhole_proto::{Address, Endpoint, NetError, SocketId};

use crate::error::net_error;
use crate::inbox::BATCH;

/// Datagrams that wait for the end of the received batch. All of them leave by one socket and have one
/// source address, because `sendmmsg` of nix takes one set of control messages for all.
pub(crate) struct Outbound {
    arena: Vec<u8>,
    ranges: Vec<Range<usize>>,
    origin: Option<Origin>,
    v4: Lane<SockaddrIn>,
    v6: Lane<SockaddrIn6>,
    /// The numbers of those that wait, and how many there were before.
    numbers: Vec<u64>,
    next: u64,
    /// How many were dropped on this machine, and which of them nobody has asked for.
    unsent: u64,
    untold: Vec<u64>,
}

/// What the datagrams of a batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) socket: SocketId,
    pub(crate) local: Option<Address>,
    pub(crate) ttl: Option<u8>,
}

/// The destinations of one family, and headers with and without room for a source address.
struct Lane<S> {
    remotes: Vec<Option<S>>,
    plain: MultiHeaders<S>,
    sourced: MultiHeaders<S>,
}

impl Outbound {
    pub(crate) fn new() -> Self {
        Self {
            arena: Vec::new(),
            ranges: Vec::new(),
            origin: None,
            v4: Lane::new(cmsg_space!(libc::in_pktinfo)),
            v6: Lane::new(cmsg_space!(libc::in6_pktinfo)),
            numbers: Vec::new(),
            next: 0,
            unsent: 0,
            untold: Vec::new(),
        }
    }

    /// How many datagrams were dropped on this machine.
    pub(crate) const fn unsent(&self) -> u64 {
        self.unsent
    }

    /// Counts a datagram that is dropped instead of being added.
    pub(crate) fn drop_one(&mut self) {
        self.untold.push(self.next);
        self.next += 1;
        self.unsent += 1;
    }

    /// Which datagrams were dropped since this was asked last: the first one that was added or dropped has
    /// number 0.
    pub(crate) fn take_unsent(&mut self) -> Vec<u64> {
        core::mem::take(&mut self.untold)
    }

    /// Which batch waits.
    pub(crate) const fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// Whether one more from `origin` may join before the batch is sent.
    pub(crate) fn accepts(&self, origin: Origin) -> bool {
        self.origin.is_none_or(|batch| batch == origin) && self.ranges.len() < BATCH
    }

    /// Adds a datagram. The remote endpoint's family is the socket's.
    pub(crate) fn push(&mut self, origin: Origin, remote: Endpoint, payload: &[u8]) {
        self.origin = Some(origin);
        let from = self.arena.len();
        self.arena.extend_from_slice(payload);
        self.ranges.push(from..self.arena.len());
        self.numbers.push(self.next);
        self.next += 1;
        match SocketAddr::from(remote) {
            SocketAddr::V4(v4) => self.v4.remotes.push(Some(v4.into())),
            SocketAddr::V6(v6) => self.v6.remotes.push(Some(v6.into())),
        }
    }

    /// Sends the batch through `socket`, or drops it where there is none. What the system rejects at once
    /// is told to `rejected`.
    pub(crate) fn flush(&mut self, socket: Option<RawFd>, mut rejected: impl FnMut(Endpoint, NetError)) {
        let (Some(origin), Some(socket)) = (self.origin.take(), socket) else {
            self.unsent += self.numbers.len() as u64;
            self.untold.append(&mut self.numbers);
            self.clear();
            return;
        };
        let payloads = |index: usize| IoSlice::new(&self.arena[self.ranges[index].clone()]);
        let count = self.ranges.len();
        let dropped = if self.v6.remotes.is_empty() {
            let source = origin.local.and_then(source_v4);
            let source = source.as_ref().map(ControlMessage::Ipv4PacketInfo);
            let ttl = origin.ttl.map(i32::from);
            let ttl = ttl.as_ref().map(ControlMessage::Ipv4Ttl);
            let controls: Vec<_> = source.into_iter().chain(ttl).collect();
            let told = |to: SockaddrIn, error| {
                rejected(SocketAddr::from((to.ip(), to.port())).into(), error);
            };
            self.v4.send(socket, count, payloads, &controls, origin.ttl.is_some(), told)
        } else {
            let source = origin.local.and_then(source_v6);
            let source = source.as_ref().map(ControlMessage::Ipv6PacketInfo);
            let ttl = origin.ttl.map(i32::from);
            let ttl = ttl.as_ref().map(ControlMessage::Ipv6HopLimit);
            let controls: Vec<_> = source.into_iter().chain(ttl).collect();
            let told = |to: SockaddrIn6, error| {
                rejected(SocketAddr::from((to.ip(), to.port())).into(), error);
            };
            self.v6.send(socket, count, payloads, &controls, origin.ttl.is_some(), told)
        };
        self.unsent += dropped.len() as u64;
        self.untold.extend(dropped.into_iter().map(|index| self.numbers[index]));
        self.clear();
    }

    fn clear(&mut self) {
        self.origin = None;
        self.arena.clear();
        self.ranges.clear();
        self.numbers.clear();
        self.v4.remotes.clear();
        self.v6.remotes.clear();
    }
}

impl<S: SockaddrLike + Copy> Lane<S> {
    fn new(room: Vec<u8>) -> Self {
        Self {
            remotes: Vec::with_capacity(BATCH),
            plain: MultiHeaders::preallocate(BATCH, None),
            sourced: MultiHeaders::preallocate(BATCH, Some(room)),
        }
    }

    /// Sends the first `count` payloads; answers which of them were dropped.
    fn send<'p>(
        &mut self,
        socket: RawFd,
        count: usize,
        payload: impl Fn(usize) -> IoSlice<'p>,
        controls: &[ControlMessage<'_>],
        singly: bool,
        mut rejected: impl FnMut(S, NetError),
    ) -> Vec<usize> {
        let mut dropped = Vec::new();
        let mut retried = false;
        let mut from = 0;
        while from < count {
            let sent = if singly {
                let flags = MsgFlags::MSG_DONTWAIT;
                let slices = [payload(from)];
                let remote = self.remotes[from].as_ref();
                sendmsg(socket, &slices, controls, flags, remote).map(|_| 1)
            } else {
                self.send_batch(socket, from..count, &payload, controls)
            };
            match sent {
                Ok(sent) => {
                    from += sent.max(1);
                    retried = false;
                }
                Err(Errno::EINTR) => {}
                // No room. It is UDP: what waits here would only be late.
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    dropped.extend(from..count);
                    return dropped;
                }
                // The error may be an earlier datagram's, reported and cleared by this call.
                Err(_) if !retried => retried = true,
                Err(error) => {
                    if let Some(remote) = self.remotes[from] {
                        rejected(remote, net_error(error as i32));
                    }
                    dropped.push(from);
                    from += 1;
                    retried = false;
                }
            }
        }
        dropped
    }

    fn send_batch<'p>(
        &mut self,
        socket: RawFd,
        range: Range<usize>,
        payload: &impl Fn(usize) -> IoSlice<'p>,
        controls: &[ControlMessage<'_>],
    ) -> Result<usize, Errno> {
        let length = range.len();
        let mut next = range.clone();
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [next.next().map_or_else(|| IoSlice::new(&[]), payload)]);
        let headers = if controls.is_empty() { &mut self.plain } else { &mut self.sourced };
        let slices = slices[..length].iter();
        let remotes = &self.remotes[range];
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmmsg(socket, headers, slices, remotes, controls, flags).map(Iterator::count)
    }
}

fn source_v4(local: Address) -> Option<libc::in_pktinfo> {
    let Address::V4(v4) = local else { return None };
    Some(libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from(v4).to_be() },
        ipi_addr: libc::in_addr { s_addr: 0 },
    })
}

fn source_v6(local: Address) -> Option<libc::in6_pktinfo> {
    let Address::V6(v6) = local else { return None };
    Some(libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: v6.octets() }, ipi6_ifindex: 0 })
}
