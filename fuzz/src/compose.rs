//! Messages out of a script: any kind, with fields that mean something, or with any body at all.

use pinhole_proto::wire::code::{Allocation, Mapping, Policy, Refusal, Strategy, Transports};
use pinhole_proto::wire::control::{
    Ack, Acknowledge, Answer, Answered, Attempt, Attempted, Close, Connect, Echo, Finish, Forecast, Introduce,
    Introduced, PathCheck, PathReply, Refresh, Refreshed, Refuse, Rejected, RelayOpen, RelayOpened, Replaced, Select,
    Unregister,
};
use pinhole_proto::wire::message::{Message, Reply, Request, RequestId};
use pinhole_proto::wire::{ChannelId, List, Nonce, SessionId};
use pinhole_proto::{Endpoint, PeerId};

use crate::bytes::Script;

/// What messages speak of.
#[derive(Debug, Default)]
pub struct Context {
    /// Peers.
    pub peers: Vec<PeerId>,
    /// Sessions.
    pub sessions: Vec<SessionId>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Relay channels.
    pub channels: Vec<ChannelId>,
    /// Nonces that were heard.
    pub nonces: Vec<Nonce>,
    /// Requests that were heard.
    pub asked: Vec<RequestId>,
    /// The next request of its own.
    pub next: RequestId,
    /// A Noise message 1 and a message 2.
    pub noise: [Vec<u8>; 2],
}

/// The number of kinds that [`message`] tells apart.
pub const KINDS: u8 = 28;

/// The plaintext of a packet: up to four messages. `None` at the end of the script.
pub fn plaintext(script: &mut Script<'_>, context: &mut Context) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for _ in 0..4 {
        let kind = script.octet()?;
        message(kind & 0x7f, script, context, &mut out)?;
        if kind < 0x80 {
            break;
        }
    }
    // What does not fit into a packet is not sent.
    out.truncate(1_100);
    Some(out)
}

fn message(kind: u8, script: &mut Script<'_>, context: &mut Context, out: &mut Vec<u8>) -> Option<()> {
    let choice = script.octet()?;
    let at = usize::from(choice & 0x0f);
    let id = request_id(choice >> 4, context);
    let endpoint = pick(&context.endpoints, at)?;
    let endpoints = |count: usize| context.endpoints.iter().cycle().skip(at).take(count).copied();
    let session = pick(&context.sessions, at)?;
    let channel = pick(&context.channels, at);
    let peer = pick(&context.peers, at)?;
    let nonce = pick(&context.nonces, at).unwrap_or_default();
    let request = |request| Message::Request(id, request);
    let answer = |reply| Message::Answer(id, reply);
    let message = match kind % KINDS {
        0 => request(Request::PathCheck(PathCheck { nonce: [choice; 8], observed: endpoint })),
        1 => answer(Reply::PathReply(PathReply { nonce, observed: endpoint })),
        2 => answer(Reply::Acknowledge(Acknowledge {})),
        3 => answer(Reply::Refuse(Refuse { code: Refusal(script.octet()?) })),
        4 => {
            let flags = script.octet()?;
            let bit = |bit: u8| flags >> bit & 1 == 1;
            request(Request::Refresh(Refresh {
                private: List::from_first(endpoints(usize::from(flags >> 5))),
                policy: Policy(flags & 3),
                disclose: bit(2),
                relay: bit(3),
                moved: bit(4),
            }))
        }
        5 => {
            let (lifetime, interval) = (script.word()?, script.word()?);
            answer(Reply::Refreshed(Refreshed { lifetime, interval, observed: endpoint }))
        }
        6 => request(Request::Unregister(Unregister {})),
        7 => request(Request::Replaced(Replaced {})),
        8 => request(Request::Connect(Connect {
            target: peer,
            session: pick(&context.sessions, usize::from(script.octet()?))?,
            transports: Transports(script.octet()?),
            versions: List::from_first([1]),
            message_1: List::from_first(context.noise[0].iter().copied()),
        })),
        9 => {
            let flags = script.octet()?;
            answer(Reply::Introduced(Introduced {
                transport: Transports(flags & 3),
                candidates: List::from_first(endpoints(usize::from(flags >> 4))),
                channel: channel.filter(|_| flags & 4 != 0),
                own_round_trip: u32::from(choice) << (flags & 0x1f),
                other_round_trip: u32::from(choice),
            }))
        }
        10 => {
            let flags = script.octet()?;
            request(Request::Introduce(Introduce {
                initiator: peer,
                session: pick(&context.sessions, usize::from(script.octet()?))?,
                transport: Transports(flags & 3),
                versions: List::from_first([1 + (flags >> 3 & 1)]),
                candidates: List::from_first(endpoints(usize::from(flags >> 4))),
                channel: channel.filter(|_| flags & 4 != 0),
                own_round_trip: u32::from(choice) << (flags & 0x1f),
                other_round_trip: u32::from(choice),
                message_1: List::from_first(context.noise[0].iter().copied()),
            }))
        }
        11 => answer(Reply::Answer(Answer { message_2: List::from_first(context.noise[1].iter().copied()) })),
        12 => request(Request::Answered(Answered {
            session,
            candidates: List::from_first(endpoints(usize::from(script.octet()? >> 4))),
            message_2: List::from_first(context.noise[1].iter().copied()),
        })),
        13 => request(Request::Rejected(Rejected { session, code: Refusal(script.octet()?) })),
        14 => {
            let session = pick(&context.sessions, usize::from(script.octet()?))?;
            request(Request::RelayOpen(RelayOpen { session, peer, transport: Transports(script.octet()?) }))
        }
        15 => answer(Reply::RelayOpened(RelayOpened { channel: channel.unwrap_or_default() })),
        16 => request(Request::Select(Select {})),
        17 => {
            let (number, strategy, flags) = (u16::from(script.octet()?), Strategy(script.octet()?), script.octet()?);
            request(Request::Attempt(Attempt {
                number,
                strategy,
                delay: u16::from(flags & 0x0f) * 100,
                width: script.word()?,
                mapping: Mapping(flags & 3),
                candidates: List::from_first(endpoints(usize::from(flags >> 4))),
                forecast: forecast(script, endpoint)?,
            }))
        }
        18 => request(Request::Close(Close {})),
        19 => request(Request::Finish(Finish { offset: number(script)? })),
        20 => Message::Datagram(script.counted()?),
        21 => Message::Data { offset: number(script)?, octets: script.counted()? },
        22 => Message::Ack(Ack { next: number(script)?, window: number(script)? as u32 }),
        23 => Message::Unknown(0x80 | choice),
        25 => {
            let flags = script.octet()?;
            answer(Reply::Attempted(Attempted {
                accepted: flags & 1 == 1,
                width: script.word()?,
                mapping: Mapping(flags >> 1 & 3),
                candidates: List::from_first(endpoints(usize::from(flags >> 4))),
                forecast: forecast(script, endpoint)?,
            }))
        }
        24 => {
            // A known kind with any body.
            let body = script.counted()?;
            let length = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
            out.push(choice);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(body);
            return Some(());
        }
        26 => request(Request::Echo(Echo { after: script.octet()? })),
        _ => {
            out.extend_from_slice(script.counted()?);
            return Some(());
        }
    };
    message.encode(out);
    Some(())
}

/// A forecast or none.
fn forecast(script: &mut Script<'_>, endpoint: Endpoint) -> Option<Option<Forecast>> {
    let choice = script.octet()?;
    let forecast = Forecast { allocation: Allocation(choice & 3), endpoint, step: u16::from(choice >> 2) };
    Some((choice != 0).then_some(forecast))
}

/// Fresh, one that was heard, one of its own again, or any.
fn request_id(choice: u8, context: &mut Context) -> RequestId {
    match choice {
        0..=7 => {
            context.next = context.next.wrapping_add(1);
            context.next
        }
        8..=11 => context.asked.iter().rev().nth(usize::from(choice - 8)).copied().unwrap_or_default(),
        12 => context.next,
        13 => context.next.wrapping_sub(1),
        14 => 0,
        _ => RequestId::MAX,
    }
}

/// A number: small, large or at a border.
fn number(script: &mut Script<'_>) -> Option<u64> {
    let (shift, value) = (script.octet()?, u64::from(script.word()?));
    Some(match shift {
        0x00..=0x7f => value << (shift & 0x1f),
        0x80..=0xbf => value + 262_144,
        0xc0..=0xfe => u64::MAX - value,
        0xff => u64::MAX,
    })
}

fn pick<T: Copy>(items: &[T], at: usize) -> Option<T> {
    items.get(at % items.len().max(1)).copied()
}

/// The nonces that the `PathReply`s of a plaintext carry.
#[must_use]
pub fn nonces(mut plaintext: &[u8]) -> Vec<Nonce> {
    let mut found = Vec::new();
    while let Ok(message) = Message::decode(&mut plaintext) {
        if let Message::Answer(_, Reply::PathReply(reply)) = message {
            found.push(reply.nonce);
        }
    }
    found
}
