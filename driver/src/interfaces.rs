//! The addresses of this machine, and word of their change.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv, socket,
};
use pinhole_proto::{Endpoint, Family, Interface};

use crate::addresses::Addresses;

/// The addresses of the interfaces that are up, in the system's order: no loopback, no link-local IPv6.
///
/// Of a family of which only some addresses are served those are listed, whatever they are.
pub(crate) fn list(addresses: &Addresses) -> io::Result<Vec<Interface>> {
    let mut found: Vec<Interface> = Vec::new();
    for entry in getifaddrs()? {
        let (Some(address), Some(mask)) = (ip(entry.address), ip(entry.netmask)) else {
            continue;
        };
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let wanted = match addresses.of(family).next() {
            Some(_) => addresses.serves(address),
            None => usable(address),
        };
        let interface = Interface { address, prefix: prefix(mask) };
        if wanted && entry.flags.contains(InterfaceFlags::IFF_UP) && !found.contains(&interface) {
            found.push(interface);
        }
    }
    // Loopback answers on all of 127.0.0.0/8, though only one address of it is listed.
    for (family, prefix) in [(Family::V4, 32), (Family::V6, 128)] {
        for address in addresses.of(family) {
            if found.iter().all(|interface| interface.address != address) {
                found.push(Interface { address, prefix });
            }
        }
    }
    Ok(found)
}

/// A netlink socket that becomes readable when an address comes or goes.
pub(crate) struct Changes(OwnedFd);

impl Changes {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let protocol = SockProtocol::NetlinkRoute;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, ADDRESS_GROUPS))?;
        Ok(Self(fd))
    }

    /// Reads the word away. What it says is not looked at: the list is made anew.
    pub(crate) fn clear(&self) {
        let mut word = [0; 4096];
        loop {
            match recv(self.0.as_raw_fd(), &mut word, MsgFlags::empty()) {
                // ENOBUFS: so much changed that word was lost, which is word enough.
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn usable(address: IpAddr) -> bool {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !address.is_loopback() && !address.is_unspecified() && !link_local
}

fn ip(address: Option<SockaddrStorage>) -> Option<IpAddr> {
    let address = address?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
    Some(Endpoint::new(ip, 0).address())
}

fn prefix(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(v4) => u32::from(v4).leading_ones(),
        IpAddr::V6(v6) => u128::from(v6).leading_ones(),
    };
    u8::try_from(ones).expect("an address has at most 128 bits")
}

/// `RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR`.
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;
