//! The table of streams.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpStream};

use nix::sys::epoll::EpollFlags;
use pinhole_proto::{Duration, Endpoint, Input, Instant, NetError, StreamId, StreamInput};

use crate::reactor::{Reactor, Token};
use crate::stream::{Detached, Ready, Stream};

/// Every stream that is dialled, open or closing.
pub(crate) struct Streams {
    table: HashMap<StreamId, Stream>,
    /// Those with something to write or to end.
    dirty: Vec<StreamId>,
    /// Those that the engine closed, and until when they may linger.
    closing: VecDeque<(Instant, StreamId)>,
    accepted: u64,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self { table: HashMap::new(), dirty: Vec::new(), closing: VecDeque::new(), accepted: 0 }
    }

    pub(crate) fn dial(
        &mut self,
        reactor: &Reactor,
        id: StreamId,
        local: SocketAddr,
        remote: Endpoint,
        ttl: Option<u8>,
    ) -> io::Result<()> {
        let stream = Stream::dial(local, remote, ttl)?;
        self.insert(reactor, id, stream)
    }

    /// Takes an accepted connection in and names it.
    pub(crate) fn accept(&mut self, reactor: &Reactor, socket: TcpStream) -> io::Result<(StreamId, Endpoint)> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let local = socket.local_addr()?.into();
        let id = StreamId(self.accepted * 2 + 1);
        self.accepted += 1;
        self.insert(reactor, id, Stream::accepted(socket))?;
        Ok((id, local))
    }

    /// Takes a stream out that the engine does not read; `None` when it is gone or ending.
    pub(crate) fn detach(&mut self, reactor: &Reactor, id: StreamId) -> Option<Detached> {
        let stream = self.table.remove(&id)?;
        reactor.remove(&stream.socket).ok()?;
        stream.detach()
    }

    /// Takes a detached stream in and names it.
    pub(crate) fn attach(
        &mut self,
        reactor: &Reactor,
        detached: Detached,
    ) -> io::Result<(StreamId, Endpoint, Endpoint)> {
        let (local, remote) = (detached.socket.local_addr()?.into(), detached.socket.peer_addr()?.into());
        let id = StreamId(self.accepted * 2 + 1);
        self.accepted += 1;
        self.insert(reactor, id, Stream::attached(detached))?;
        self.dirty.push(id);
        Ok((id, local, remote))
    }

    pub(crate) fn contains(&self, id: StreamId) -> bool {
        self.table.contains_key(&id)
    }

    pub(crate) fn write(&mut self, id: StreamId, octets: &[u8]) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.write(octets);
            self.dirty.push(id);
        }
    }

    pub(crate) fn read(&mut self, reactor: &Reactor, id: StreamId, on: bool) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.read(on);
            update(reactor, id, stream);
        }
    }

    pub(crate) fn close(&mut self, id: StreamId, abort: bool, now: Instant) {
        if let Some(stream) = self.table.get_mut(&id) {
            if abort {
                stream.abort();
                self.table.remove(&id);
            } else {
                self.linger(id, false, now);
            }
        }
    }

    /// Looks at a stream that is ready. Reads into `buffer`. A stream that is over leaves the table.
    pub(crate) fn on_ready(
        &mut self,
        reactor: &Reactor,
        id: StreamId,
        flags: EpollFlags,
        buffer: &mut [u8],
        now: Instant,
    ) -> Ready {
        let Some(stream) = self.table.get_mut(&id) else {
            return Ready::Nothing;
        };
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.dirty.push(id);
        }
        let ready = stream.on_ready(flags, buffer);
        match ready {
            Ready::Nothing | Ready::Connected(_) | Ready::Received(_) => {
                update(reactor, id, stream);
            }
            Ready::Closed(None) => self.linger(id, true, now),
            Ready::Closed(Some(_)) | Ready::Done => {
                self.table.remove(&id);
            }
        }
        ready
    }

    /// Writes what the kernel takes; the credit goes to `feedback`.
    pub(crate) fn flush(&mut self, reactor: &Reactor, feedback: &mut VecDeque<Input<'static>>) {
        for id in self.dirty.drain(..) {
            let Some(stream) = self.table.get_mut(&id) else {
                continue;
            };
            let (count, goes_on) = stream.write_out();
            if count > 0 && stream.is_open() {
                feedback.push_back(Input::Stream { stream: id, what: StreamInput::Written(count) });
            }
            if goes_on {
                update(reactor, id, stream);
            } else {
                self.table.remove(&id);
            }
        }
    }

    /// Drops those that lingered for too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(until, id)) = self.closing.front() {
            let lingers = self.table.contains_key(&id);
            if lingers && until > now {
                return;
            }
            self.closing.pop_front();
            if let Some(stream) = self.table.remove(&id) {
                stream.abort();
            }
        }
    }

    /// When [`Streams::expire`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.closing.front().map(|(until, _)| *until)
    }

    /// Whether a closed stream is still being ended.
    pub(crate) fn is_lingering(&self) -> bool {
        self.closing.iter().any(|(_, id)| self.table.contains_key(id))
    }

    fn linger(&mut self, id: StreamId, heard_goodbye: bool, now: Instant) {
        let Some(stream) = self.table.get_mut(&id) else {
            return;
        };
        if !stream.close(heard_goodbye) {
            self.table.remove(&id);
            return;
        }
        self.dirty.push(id);
        self.closing.push_back((now + LINGER, id));
        if self.closing.len() > MAX_LINGERING
            && let Some((_, oldest)) = self.closing.pop_front()
        {
            self.table.remove(&oldest);
        }
    }

    fn insert(&mut self, reactor: &Reactor, id: StreamId, mut stream: Stream) -> io::Result<()> {
        stream.interest = stream.wants();
        reactor.add(&stream.socket, Token::Stream(id), stream.interest)?;
        self.table.insert(id, stream);
        Ok(())
    }
}

/// The feedback for a dial that failed at once.
pub(crate) const fn closed(stream: StreamId, error: NetError) -> Input<'static> {
    Input::Stream { stream, what: StreamInput::Closed(Some(error)) }
}

fn update(reactor: &Reactor, id: StreamId, stream: &mut Stream) {
    let wants = stream.wants();
    if wants != stream.interest {
        stream.interest = wants;
        if let Err(error) = reactor.modify(&stream.socket, Token::Stream(id), wants) {
            tracing::warn!(%error, stream = id.0, "cannot change what a stream waits for");
        }
    }
}

/// How long a closed stream may take to write its rest out and to hear the other side's end.
const LINGER: Duration = Duration::from_secs(10);
/// The most streams that do so at once; the oldest gives way.
const MAX_LINGERING: usize = 1_024;
