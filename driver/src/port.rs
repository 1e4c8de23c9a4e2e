//! Local ports: how their sockets are made.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use nix::{libc, setsockopt_impl, sockopt_impl};
use pinhole_proto::{Family, Transport};
use socket2::{Domain, Socket, Type};

/// An open local port.
pub(crate) struct Port {
    pub(crate) transport: Transport,
    pub(crate) family: Family,
    pub(crate) local: SocketAddr,
    /// The datagram socket, or the listener.
    pub(crate) socket: Socket,
}

impl Port {
    /// Opens `port`, or any where it is 0, on `address`.
    pub(crate) fn open(transport: Transport, address: IpAddr, port: u16, sharing: Sharing) -> io::Result<Self> {
        let family = match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        };
        let at = SocketAddr::new(address, port);
        let socket = match transport {
            Transport::Udp => datagrams(at, sharing)?,
            Transport::Tcp => listener(at, sharing)?,
        };
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { transport, family, local, socket })
    }
}

/// Whether several drivers of a process have the same ports. The kernel deals what arrives out among them by the
/// endpoints that it comes from and goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// A port is this driver's alone.
    #[default]
    Alone,
    /// Other drivers will open the same ports. A port that somebody else has is refused as ever.
    First,
    /// The first driver has the ports.
    Further,
}

/// A stream socket of a port that others use too, bound and not connected.
pub(crate) fn stream_socket(at: SocketAddr) -> io::Result<Socket> {
    let socket = new(at, Type::STREAM)?;
    // [R-TCP-001]
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

fn listener(at: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    if at.port() != 0 && sharing != Sharing::Further {
        // With SO_REUSEPORT two listeners of one user share a port, and the kernel deals the streams out
        // among them. Without it the same bind fails, as it should.
        let probe = new(at, Type::STREAM)?;
        // [R-TCP-001]
        probe.set_reuse_address(true)?;
        probe.bind(&at.into())?;
    }
    let socket = stream_socket(at)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// No reuse options unless the port is shared: whoever opened it again would take a part of what arrives.
fn datagrams(at: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    if at.port() != 0 && sharing == Sharing::First {
        // With SO_REUSEPORT another program of this user could have the port, and would go on having it.
        new(at, Type::DGRAM)?.bind(&at.into())?;
    }
    let socket = new(at, Type::DGRAM)?;
    socket.set_reuse_port(sharing != Sharing::Alone)?;
    // PROBE sets "don't fragment" and believes no ICMP about the path's size, which anybody can send.
    match at {
        SocketAddr::V4(_) => {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            // [R-PUNCH-026]
            setsockopt(&socket, MtuDiscoverV4, &libc::IP_PMTUDISC_PROBE)?;
        }
        SocketAddr::V6(_) => {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            // [R-PUNCH-026]
            setsockopt(&socket, MtuDiscoverV6, &libc::IPV6_PMTUDISC_PROBE)?;
        }
    }
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

fn new(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind.nonblocking().cloexec(), None)?;
    if at.is_ipv6() {
        // [R-TCP-001]
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

sockopt_impl!(
    /// How datagrams that are too long for the path are treated.
    MtuDiscoverV4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);

sockopt_impl!(
    /// The same for IPv6.
    MtuDiscoverV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);

/// What is asked for as socket buffers; the system gives what its limits allow.
const BUFFER: usize = 4 << 20;
/// Streams that wait for being accepted.
const BACKLOG: i32 = 1_024;
