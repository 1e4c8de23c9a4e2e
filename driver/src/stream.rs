//! One TCP connection.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use nix::sys::epoll::EpollFlags;
use pinhole_proto::{Endpoint, NetError};
use socket2::{SockRef, Socket};

use crate::error::of_io;
use crate::port::stream_socket;

/// A TCP connection with what the kernel has not taken yet.
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    state: State,
    /// What is to be written, from `taken` on.
    unsent: Vec<u8>,
    taken: usize,
    /// Why writing stopped working; reading finds what the other side still said.
    broken: Option<NetError>,
    /// What the `epoll` set was told.
    pub(crate) interest: EpollFlags,
    /// How often it was handed from one driver to another.
    moves: u32,
}

/// A stream between two drivers, with what the kernel has not taken of what was written to it.
#[derive(Debug)]
pub struct Detached {
    pub(crate) socket: TcpStream,
    unsent: Vec<u8>,
    moves: u32,
}

impl Detached {
    /// How often the stream was handed over, this time included.
    #[must_use]
    pub const fn moves(&self) -> u32 {
        self.moves
    }
}

enum State {
    /// Dialled. `ttl` is what the socket had before it was dialled with another.
    Connecting { ttl: Option<u32> },
    /// The engine uses it.
    Open { reading: bool },
    /// The engine has forgotten it; the rest is written out and the other side's end awaited.
    Closing { said_goodbye: bool, heard_goodbye: bool, drained: usize },
}

/// What became of a stream that was ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// Nothing that the engine should know.
    Nothing,
    /// The dial succeeded.
    Connected(Endpoint),
    /// So many octets are in the buffer.
    Received(usize),
    /// It is over; the engine should know.
    Closed(Option<NetError>),
    /// It is over; the engine knows.
    Done,
}

impl Stream {
    /// Dials `remote` from `local`, whose port a listener and other streams share.
    pub(crate) fn dial(local: SocketAddr, remote: Endpoint, ttl: Option<u8>) -> io::Result<Self> {
        let socket = stream_socket(local)?;
        let _ = socket.set_tcp_nodelay(true);
        let ttl = ttl.map(|ttl| swap_ttl(&socket, u32::from(ttl), remote));
        let ttl = ttl.transpose()?;
        match socket.connect(&SocketAddr::from(remote).into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        Ok(Self::new(socket.into(), State::Connecting { ttl }))
    }

    pub(crate) fn accepted(socket: TcpStream) -> Self {
        Self::new(socket, State::Open { reading: true })
    }

    pub(crate) fn attached(Detached { socket, unsent, moves }: Detached) -> Self {
        Self { unsent, moves, ..Self::new(socket, State::Open { reading: true }) }
    }

    /// What another driver needs to go on; `None` when it is not open.
    pub(crate) fn detach(self) -> Option<Detached> {
        let unsent = self.unsent.get(self.taken..).unwrap_or_default().to_vec();
        let is_open = self.is_open() && self.broken.is_none();
        is_open.then(|| Detached { socket: self.socket, unsent, moves: self.moves + 1 })
    }

    /// Appends to what is to be written.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        if matches!(self.state, State::Open { .. }) && self.broken.is_none() {
            self.unsent.extend_from_slice(octets);
        }
    }

    pub(crate) const fn read(&mut self, on: bool) {
        if let State::Open { reading } = &mut self.state {
            *reading = on;
        }
    }

    /// Ends it in order. False when there is nothing to wait for.
    pub(crate) fn close(&mut self, heard_goodbye: bool) -> bool {
        if matches!(self.state, State::Connecting { .. }) || self.broken.is_some() {
            return false;
        }
        if heard_goodbye && self.unsent.is_empty() {
            return false;
        }
        self.state = State::Closing { said_goodbye: false, heard_goodbye, drained: 0 };
        true
    }

    /// Makes dropping it a reset.
    pub(crate) fn abort(&self) {
        let _ = SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO));
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// What it waits for.
    pub(crate) fn wants(&self) -> EpollFlags {
        let read = match self.state {
            State::Connecting { .. } => return EpollFlags::EPOLLOUT,
            State::Open { reading } => reading,
            State::Closing { heard_goodbye, .. } => !heard_goodbye,
        };
        let mut wants = EpollFlags::empty();
        wants.set(EpollFlags::EPOLLIN, read);
        let writes = !self.unsent.is_empty() && self.broken.is_none();
        wants.set(EpollFlags::EPOLLOUT, writes);
        wants
    }

    /// Hands the kernel what it takes; answers how much that was, and whether anything is left to do.
    pub(crate) fn write_out(&mut self) -> (u32, bool) {
        if matches!(self.state, State::Connecting { .. }) {
            return (0, true);
        }
        let before = self.taken;
        while self.taken < self.unsent.len() && self.broken.is_none() {
            match (&self.socket).write(&self.unsent[self.taken..]) {
                Ok(count) => self.taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.broken = Some(of_io(&error)),
            }
        }
        let count = u32::try_from(self.taken - before).unwrap_or(u32::MAX);
        if self.taken == self.unsent.len() || self.broken.is_some() {
            self.unsent.clear();
            self.unsent.shrink_to(KEPT);
            self.taken = 0;
        } else if self.taken > self.unsent.len() / 2 {
            self.unsent.drain(..self.taken);
            self.taken = 0;
        }
        (count, self.go_on_closing())
    }

    /// Looks at a socket that the `epoll` set reported. Reads once, into `buffer`.
    pub(crate) fn on_ready(&mut self, flags: EpollFlags, buffer: &mut [u8]) -> Ready {
        let trouble = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        match &mut self.state {
            State::Connecting { ttl } => {
                let ttl = ttl.take();
                self.on_connected(ttl)
            }
            State::Open { reading: true } if trouble || flags.contains(EpollFlags::EPOLLIN) => {
                match (&self.socket).read(buffer) {
                    Ok(0) => Ready::Closed(self.broken),
                    Ok(count) => Ready::Received(count),
                    Err(error) if retry(&error) => Ready::Nothing,
                    Err(error) => Ready::Closed(Some(self.broken.unwrap_or_else(|| of_io(&error)))),
                }
            }
            State::Open { reading: false } if trouble => {
                let error = self.socket.take_error().ok().flatten();
                match (self.broken, error) {
                    (Some(error), _) => Ready::Closed(Some(error)),
                    (None, Some(error)) => Ready::Closed(Some(of_io(&error))),
                    (None, None) if flags.contains(EpollFlags::EPOLLHUP) => Ready::Closed(Some(NetError::Reset)),
                    (None, None) => Ready::Nothing,
                }
            }
            State::Open { .. } => Ready::Nothing,
            State::Closing { heard_goodbye, drained, .. } => {
                if trouble || flags.contains(EpollFlags::EPOLLIN) {
                    match (&self.socket).read(buffer) {
                        Ok(0) => *heard_goodbye = true,
                        Ok(count) => *drained += count,
                        Err(error) if retry(&error) => {}
                        Err(_) => return Ready::Done,
                    }
                    if *drained > MAX_DRAINED {
                        self.abort();
                        return Ready::Done;
                    }
                }
                if self.go_on_closing() { Ready::Nothing } else { Ready::Done }
            }
        }
    }

    fn new(socket: TcpStream, state: State) -> Self {
        Self { socket, state, unsent: Vec::new(), taken: 0, broken: None, interest: EpollFlags::empty(), moves: 0 }
    }

    fn on_connected(&mut self, ttl: Option<u32>) -> Ready {
        let failed = match self.socket.take_error() {
            Ok(None) => self.socket.peer_addr().err(),
            Ok(Some(error)) | Err(error) => Some(error),
        };
        if let Some(error) = failed {
            return Ready::Closed(Some(of_io(&error)));
        }
        match self.socket.local_addr() {
            Ok(local) => {
                if let Some(ttl) = ttl {
                    let _ = swap_ttl(&SockRef::from(&self.socket), ttl, local.into());
                }
                self.state = State::Open { reading: true };
                Ready::Connected(local.into())
            }
            Err(error) => Ready::Closed(Some(of_io(&error))),
        }
    }

    /// Says goodbye once everything is written. False when nothing is left to do.
    fn go_on_closing(&mut self) -> bool {
        let written = self.unsent.is_empty();
        let State::Closing { said_goodbye, heard_goodbye, .. } = &mut self.state else {
            return true;
        };
        if self.broken.is_some() {
            return false;
        }
        if written && !*said_goodbye {
            *said_goodbye = true;
            if self.socket.shutdown(Shutdown::Write).is_err() {
                return false;
            }
        }
        !(*said_goodbye && *heard_goodbye)
    }
}

fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Sets the time to live and answers the one before.
fn swap_ttl(socket: &Socket, ttl: u32, of: Endpoint) -> io::Result<u32> {
    if of.address().is_ipv4() {
        let before = socket.ttl_v4()?;
        socket.set_ttl_v4(ttl)?;
        Ok(before)
    } else {
        let before = socket.unicast_hops_v6()?;
        socket.set_unicast_hops_v6(ttl)?;
        Ok(before)
    }
}

/// Octets that a closing stream reads away while it waits for the other side's end.
const MAX_DRAINED: usize = 1 << 20;
/// The buffer that an idle stream keeps.
const KEPT: usize = 4_096;
