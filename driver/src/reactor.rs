//! What a step waits for: one `epoll` set with every socket and the timer in it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use pinhole_proto::{Instant, SocketId, StreamId};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::clock::Clock;

/// Who woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Timer,
    Interfaces,
    Port(SocketId),
    Stream(StreamId),
}

/// The `epoll` set. All members are level-triggered: nothing is lost when a step is dropped, and
/// what is not read now is reported again.
pub(crate) struct Reactor {
    set: AsyncFd<Set>,
    timer: TimerFd,
    /// When the timer fires; it may be earlier than anybody needs, never later.
    armed: Option<Instant>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let set = Set(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; what it asks for holds, `Set` has one descriptor for life"
        )]
        let set = AsyncFd::with_interest(set, Interest::READABLE)?;
        let reactor = Self { set, timer, armed: None };
        reactor.add(&reactor.timer, Token::Timer, EpollFlags::EPOLLIN)?;
        Ok(reactor)
    }

    /// A member leaves by being closed.
    pub(crate) fn add(&self, member: impl AsFd, token: Token, flags: EpollFlags) -> io::Result<()> {
        let event = EpollEvent::new(flags, token.pack());
        Ok(self.set.get_ref().0.add(member, event)?)
    }

    pub(crate) fn modify(&self, member: impl AsFd, token: Token, flags: EpollFlags) -> io::Result<()> {
        let mut event = EpollEvent::new(flags, token.pack());
        Ok(self.set.get_ref().0.modify(member, &mut event)?)
    }

    /// Lets go of a member that lives on elsewhere.
    pub(crate) fn remove(&self, member: impl AsFd) -> io::Result<()> {
        Ok(self.set.get_ref().0.delete(member)?)
    }

    /// Sees to it that [`Reactor::ready`] returns at `deadline`. Deadlines mostly move away, so the
    /// timer is set only when one comes nearer; a timer that fires too early costs one turn.
    pub(crate) fn wake_at(&mut self, clock: Clock, deadline: Option<Instant>) -> io::Result<()> {
        let Some(deadline) = deadline else {
            return Ok(());
        };
        if self.armed.is_none_or(|armed| deadline < armed) {
            let at = Expiration::OneShot(clock.absolute(deadline));
            self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.armed = Some(deadline);
        }
        Ok(())
    }

    /// Waits for members to become ready and writes them to `events`. Cancel-safe.
    pub(crate) async fn ready(&mut self, events: &mut Vec<(Token, EpollFlags)>) -> io::Result<()> {
        loop {
            let mut guard = self.set.readable().await?;
            poll_set(&self.set.get_ref().0, events)?;
            if events.is_empty() {
                guard.clear_ready_matching(Ready::READABLE);
                continue;
            }
            if events.iter().any(|(token, _)| *token == Token::Timer) {
                // A timer that was set anew in the meantime has nothing to read, which is no failure.
                let _ = self.timer.wait();
                self.armed = None;
            }
            return Ok(());
        }
    }
}

fn poll_set(set: &Epoll, events: &mut Vec<(Token, EpollFlags)>) -> io::Result<()> {
    events.clear();
    let mut raw = [EpollEvent::empty(); MAX_EVENTS];
    let count = match set.wait(&mut raw, EpollTimeout::ZERO) {
        Ok(count) => count,
        Err(nix::errno::Errno::EINTR) => 0,
        Err(error) => return Err(error.into()),
    };
    events.extend(raw[..count].iter().map(|event| (Token::unpack(event.data()), event.events())));
    Ok(())
}

struct Set(Epoll);

impl AsRawFd for Set {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Token {
    const fn pack(self) -> u64 {
        match self {
            Self::Timer => u64::MAX,
            Self::Interfaces => u64::MAX - 2,
            Self::Port(SocketId(id)) => (id as u64) << 1,
            Self::Stream(StreamId(id)) => id << 1 | 1,
        }
    }

    const fn unpack(packed: u64) -> Self {
        match packed {
            u64::MAX => Self::Timer,
            INTERFACES => Self::Interfaces,
            port if port & 1 == 0 => Self::Port(SocketId((port >> 1) as u32)),
            stream => Self::Stream(StreamId(stream >> 1)),
        }
    }
}

const INTERFACES: u64 = Token::Interfaces.pack();

/// The most members that one turn serves.
const MAX_EVENTS: usize = 64;
