//! Answers `Discover`: versions, observed endpoint, cookie (`spec/discovery.md`).

use super::common::Common;
use super::link::Link;
use crate::constants::{COOKIE_ROTATION, DISCOVER_SIZE, VERSION};
use crate::discard::Discard;
use crate::endpoint::Address;
use crate::engine::SocketId;
use crate::key::ServerKey;
use crate::rng::keyed;
use crate::time::Instant;
use crate::wire::code::DialBack;
use crate::wire::discover::{Cookie, Discover, Discovered, ReplyFrom};
use crate::wire::message::body;
use crate::wire::{List, Packet, Versions};

/// Makes cookies and answers `Discover`. Nothing is remembered of who asked.
#[derive(Clone)]
pub(super) struct Discovery {
    key: ServerKey,
    secret: [u8; 32],
}

/// The versions that this server speaks.
pub(super) fn versions() -> Versions {
    List::from_first([VERSION])
}

impl Discovery {
    pub(super) const fn new(key: ServerKey, secret: [u8; 32]) -> Self {
        Self { key, secret }
    }

    pub(super) fn on_discover(
        &self,
        now: Instant,
        link: Link,
        port: u16,
        discover: &Discover,
        common: &mut Common,
    ) -> Result<(), Discard> {
        let family = link.remote().family();
        // [R-DISC-018]
        let alternates = common.config.alternates.iter().copied().filter(|alternate| alternate.family() == family);
        // [R-DISC-004] [R-DISC-007]
        let mut answer = Discovered {
            transaction: discover.transaction,
            versions: versions(),
            // [R-DISC-006]
            observed: link.remote(),
            alternates: List::from_first(alternates),
            keys: List::from_first([self.key]),
            cookie: self.cookie(period(now), link, port),
            dial_back: None,
        };
        let from = match (link, discover.reply_from.0) {
            (_, 0) => link,
            (Link::Datagram { socket, local, remote }, _) => {
                let (socket, local) = other(socket, local, discover.reply_from, common)?;
                Link::Datagram { socket, local, remote }
            }
            (Link::Stream { stream, remote }, _) => {
                let (socket, local) = common.streams.local(stream).ok_or(Discard::StreamUnknown)?;
                let from = other(socket, Some(local), discover.reply_from, common)?;
                let Common { dial_backs, timers, out, .. } = common;
                if dial_backs.dial(now, (stream, remote), from, answer.clone(), timers, out) {
                    return Ok(());
                }
                answer.dial_back = Some(DialBack::FAILED);
                link
            }
        };
        let discovered = Packet::Discovered(answer).encode();
        // Three alternates of IPv6 leave 50 octets, so this holds; a reflector must not depend on it.
        if discovered.len() > DISCOVER_SIZE {
            return Err(Discard::OverLimit);
        }
        common.send(from, &discovered);
        Ok(())
    }

    /// Whether the sender has shown that it receives where it sends from: by a cookie, or with a stream.
    pub(super) fn has_shown(&self, now: Instant, link: Link, port: u16, cookie: &Cookie) -> bool {
        if link.stream().is_some() {
            return true;
        }
        let current = period(now);
        [Some(current), current.checked_sub(1)]
            .into_iter()
            .flatten()
            // [R-DISC-013]
            .any(|period| self.cookie(period, link, port) == *cookie)
    }

    fn cookie(&self, period: u64, link: Link, port: u16) -> Cookie {
        let secret = keyed(&self.secret, &[&period.to_be_bytes()]);
        // [R-DISC-012]
        let whole = keyed(&secret, &[&body(&link.remote()), &port.to_be_bytes()]);
        *whole.first_chunk().expect("32 octets have 16 in front of them")
    }
}

/// The socket and the own address that an answer leaves from, or a dial.
fn other(
    mut socket: SocketId,
    mut local: Option<Address>,
    ReplyFrom(bits): ReplyFrom,
    common: &Common,
) -> Result<(SocketId, Option<Address>), Discard> {
    // [R-DISC-005]
    if bits & OTHER_PORT != 0 {
        socket = common.sockets.other_port(socket).ok_or(Discard::MessageUnexpected)?;
    }
    if bits & OTHER_ADDRESS != 0 {
        local = Some(other_address(local, common.config.addresses).ok_or(Discard::MessageUnexpected)?);
    }
    Ok((socket, local))
}

fn other_address(local: Option<Address>, addresses: Option<[Address; 2]>) -> Option<Address> {
    let [main, alternate] = addresses?;
    match local? {
        local if local == main => Some(alternate),
        local if local == alternate => Some(main),
        _ => None,
    }
}

fn period(now: Instant) -> u64 {
    let rotation = u64::try_from(COOKIE_ROTATION.as_micros()).unwrap_or(u64::MAX);
    now.as_micros() / rotation
}

/// The bits of `reply_from`.
const OTHER_PORT: u8 = 1;
const OTHER_ADDRESS: u8 = 2;
