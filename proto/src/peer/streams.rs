//! What happens to streams, by what they are for.

use super::core::{Purpose, Timer};
use super::path::{Link, PathId};
use super::session::Source;
use super::{Discard, Endpoint, Packet, Peer, SessionHandle, SessionId, StreamId, StreamInput};
use crate::wire::code::packet;

impl Peer {
    pub(super) fn on_stream(&mut self, stream: StreamId, what: StreamInput<'_>) -> Result<(), Discard> {
        if let StreamInput::Accepted { socket, local, remote } = what {
            self.core.port(socket).ok_or(Discard::SocketUnknown)?;
            self.core.accept(stream, local, remote)?;
            // [R-TCP-007] Of crossing SYNs both listeners may take the stream, and neither dial succeed: a
            // stream from where this side dials to is spoken on at once, too.
            let dialled = self.sessions.values().find(|session| session.is_dialling(remote));
            if let Some(handle) = dialled.map(|session| session.handle) {
                self.with_known(handle, |session, core, _| session.on_dialled(core, stream));
            }
            return Ok(());
        }
        let purpose = self.core.streams.get(&stream).map(|entry| entry.purpose).ok_or(Discard::StreamUnknown)?;
        match what {
            StreamInput::Accepted { .. } => {}
            StreamInput::Connected { local } => self.on_connected(stream, purpose, local),
            StreamInput::Received(octets) => self.on_received(stream, octets),
            StreamInput::Written(octets) => {
                self.core.written(stream, octets);
                self.pump(purpose);
            }
            StreamInput::Closed(error) => {
                self.core.streams.remove(&stream);
                self.core.timers.clear(Timer::FirstFrame(stream));
                self.core.timers.clear(Timer::Full(stream));
                match purpose {
                    Purpose::Server(slot) => {
                        let news = self.leg.on_closed(&mut self.core, slot, stream);
                        self.on_news(news);
                    }
                    Purpose::Alternate(slot) => self.leg.on_alternate_closed(slot, stream),
                    Purpose::Sample(handle) => {
                        self.with_known(handle, |session, core, leg| session.on_sample_closed(core, leg, stream));
                    }
                    Purpose::Dial(handle) => {
                        self.with_known(handle, |session, core, _| session.on_dial_failed(core, stream, error));
                    }
                    Purpose::Path(handle, path) => {
                        self.with_known(handle, |session, core, leg| session.on_stream_closed(core, leg, path, error));
                    }
                    Purpose::Unproved => self.early.forget(stream),
                }
            }
        }
        Ok(())
    }

    fn on_connected(&mut self, stream: StreamId, purpose: Purpose, local: Endpoint) {
        if let Some(entry) = self.core.streams.get_mut(&stream) {
            entry.local = Some(local);
            // [R-TCP-002] A connection to oneself.
            if entry.remote == local {
                return self.core.close(stream, true);
            }
        }
        match purpose {
            Purpose::Server(slot) => self.leg.on_connected(&mut self.core, slot, stream),
            Purpose::Alternate(slot) => self.leg.on_alternate_connected(&mut self.core, slot, stream),
            Purpose::Sample(handle) => {
                self.with_known(handle, |session, core, _| session.on_sample_connected(core, stream));
            }
            Purpose::Dial(handle) => {
                if self.sessions.contains_key(&handle) {
                    self.with_known(handle, |session, core, _| session.on_dialled(core, stream));
                } else {
                    self.core.close(stream, true);
                }
            }
            Purpose::Path(..) | Purpose::Unproved => {}
        }
    }

    /// What arrives on a stream is taken frame by frame; a frame that is discarded is counted, and one
    /// that breaks the stream's rules ends it.
    fn on_received(&mut self, stream: StreamId, mut octets: &[u8]) {
        while let Some(entry) = self.core.streams.get_mut(&stream) {
            let (purpose, remote) = (entry.purpose, entry.remote);
            let frame = match entry.deframer.next(&mut octets) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(discard) => {
                    self.core.note(discard);
                    return self.break_stream(stream);
                }
            };
            if let Err(discard) = self.on_frame(stream, purpose, remote, &frame) {
                self.core.note(discard);
                if breaks_stream(purpose, &frame, discard) {
                    return self.break_stream(stream);
                }
            }
        }
    }

    pub(super) fn break_stream(&mut self, stream: StreamId) {
        self.core.outbox.close(stream, true);
        // A broken stream is a stream that ended.
        let _ = self.on_stream(stream, StreamInput::Closed(None));
    }

    fn on_frame(&mut self, stream: StreamId, purpose: Purpose, remote: Endpoint, frame: &[u8]) -> Result<(), Discard> {
        let packet = Packet::decode(frame)?;
        let source = Source { link: Link::Stream { stream, remote }, local: None, octets: frame.len() };
        match purpose {
            Purpose::Server(slot) => match packet {
                Packet::Discovered(found) => self.leg.on_discovered(&mut self.core, slot, None, found),
                Packet::Registered(registered) => {
                    let news = self.leg.on_registered(&mut self.core, slot, &registered)?;
                    self.on_news(news);
                    Ok(())
                }
                Packet::Reset(reset) => {
                    let news = self.leg.on_reset(&mut self.core, slot, &reset)?;
                    self.on_news(news);
                    Ok(())
                }
                Packet::Sealed(sealed) if self.leg.index() == Some(sealed.index) => {
                    let news = self.leg.on_sealed(&mut self.core, slot, &sealed)?;
                    self.on_news(news);
                    Ok(())
                }
                Packet::Relayed(relayed) => self.on_relayed(relayed.channel, relayed.packet),
                Packet::Sealed(_) => Err(Discard::IndexUnknown),
                Packet::Discover(_) | Packet::Register(_) | Packet::Punch(_) | Packet::PunchReply(_) => {
                    Err(Discard::WrongRole)
                }
            },
            Purpose::Alternate(slot) => match packet {
                Packet::Discovered(found) => self.leg.on_discovered(&mut self.core, slot, Some(stream), found),
                _ => Err(Discard::WrongRole),
            },
            Purpose::Sample(handle) => match packet {
                Packet::Discovered(found) => self.with(handle, |session, core, leg| {
                    session.on_stream_sample(core, leg, stream, &found);
                    Ok(())
                }),
                _ => Err(Discard::WrongRole),
            },
            Purpose::Dial(_) => Err(Discard::MessageUnexpected),
            // Only the first frame names the session.
            Purpose::Unproved => match packet {
                Packet::Punch(punch) => match self.on_punch(source, &punch) {
                    // It may be early; the stream has until its timer to be claimed.
                    Err(Discard::SessionUnknown) => Ok(()),
                    other => other,
                },
                Packet::PunchReply(reply) => {
                    let handle = self.by_id(&reply.session).ok_or(Discard::SessionUnknown)?;
                    self.with(handle, |session, core, leg| session.on_punch_reply(core, leg, source, &reply))
                }
                _ => Err(Discard::MessageUnexpected),
            },
            Purpose::Path(handle, path) => match packet {
                Packet::Punch(punch) if self.by_id(&punch.session) == Some(handle) => self.on_punch(source, &punch),
                Packet::PunchReply(reply) if self.by_id(&reply.session) == Some(handle) => {
                    self.with(handle, |session, core, leg| session.on_punch_reply(core, leg, source, &reply))
                }
                // [R-TCP-015] What opens a path of a later session takes the stream from the one before.
                Packet::Punch(punch) if self.is_later(handle, &punch.session) => {
                    self.on_punch(source, &punch)?;
                    self.take_stream(stream, handle, path);
                    Ok(())
                }
                Packet::PunchReply(reply) if self.is_later(handle, &reply.session) => {
                    let later = self.by_id(&reply.session).ok_or(Discard::SessionUnknown)?;
                    self.with(later, |session, core, leg| session.on_punch_reply(core, leg, source, &reply))?;
                    self.take_stream(stream, handle, path);
                    Ok(())
                }
                Packet::Sealed(sealed) if self.by_index(sealed.index) == Some(handle) => {
                    self.with(handle, |session, core, leg| session.on_sealed(core, leg, source, &sealed))
                }
                Packet::Punch(_) | Packet::PunchReply(_) => Err(Discard::SessionUnknown),
                Packet::Sealed(_) => Err(Discard::IndexUnknown),
                Packet::Discover(_)
                | Packet::Discovered(_)
                | Packet::Register(_)
                | Packet::Registered(_)
                | Packet::Relayed(_)
                | Packet::Reset(_) => Err(Discard::WrongRole),
            },
        }
    }

    /// Tells a session that its path is another one's, if it is.
    fn take_stream(&mut self, stream: StreamId, handle: SessionHandle, path: PathId) {
        let taken = self.core.streams.get(&stream).is_none_or(|entry| entry.purpose != Purpose::Path(handle, path));
        if taken {
            self.with_known(handle, |session, core, leg| session.on_stream_taken(core, leg, path));
        }
    }

    /// Whether an id is that of a session with the same peer that began after this one.
    fn is_later(&self, than: SessionHandle, id: &SessionId) -> bool {
        let with = |handle| self.sessions.get(&handle).map(|session| session.peer);
        self.by_id(id).is_some_and(|later| later > than && with(later) == with(than))
    }

    /// Room on a stream: whoever waits for it goes on.
    fn pump(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Path(handle, _) => self.with_known(handle, |session, core, leg| session.pump(core, leg)),
            Purpose::Server(slot) => {
                for session in self.sessions.values_mut().filter(|session| session.slot() == Some(slot)) {
                    session.pump(&mut self.core, &mut self.leg);
                }
            }
            Purpose::Alternate(_) | Purpose::Sample(_) | Purpose::Dial(_) | Purpose::Unproved => {}
        }
    }
}

/// Whether a frame that was discarded ends its stream. What the server relays is another peer's, and says
/// nothing of the stream that it came by.
fn breaks_stream(purpose: Purpose, frame: &[u8], discard: Discard) -> bool {
    let relayed = frame.first() == Some(&packet::RELAYED);
    // [R-TCP-009] On a stream nothing is lost or reordered, so none of this heals.
    let broken = matches!(discard, Discard::DecryptFailed | Discard::PathNumberRetired | Discard::StreamOutOfOrder);
    let stranger = matches!(discard, Discard::HandshakeFailed | Discard::ProofWrong);
    match purpose {
        // An accepted stream has one chance to name its session.
        Purpose::Unproved | Purpose::Dial(_) | Purpose::Sample(_) | Purpose::Alternate(_) => true,
        Purpose::Path(..) => broken || stranger,
        Purpose::Server(_) => broken && !relayed,
    }
}
