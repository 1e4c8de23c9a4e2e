//! Decoding: whatever decodes is canonical.
//!
//! The first octet selects what the rest is:
//!
//! | mode | the rest | what holds |
//! |---|---|---|
//! | 0 | a packet | encoding what was decoded gives the same octets, but for `Discovered`'s extensions |
//! | 1 | messages, as inside `Sealed` | the same, but for extensions and what a message of unknown kind holds |
//! | 2, 3, 4 | the payload `Welcome`, `Offer`, `Acceptance` | the same, but for what follows |
//! | 5 | how to cut, then a stream | the frames do not depend on the cuts |
//!
//! A discard is one of those that a decoder may give; that each has a name in the registry is tested in
//! `proto`. How much memory decoding takes is tested in `tests/heap.rs`.

use pinhole_proto::Discard;
use pinhole_proto::constants::MAX_PACKET;
use pinhole_proto::wire::codec::{decode, decode_prefix, encode};
use pinhole_proto::wire::message::Message;
use pinhole_proto::wire::punch::{Acceptance, Offer};
use pinhole_proto::wire::register::Welcome;
use pinhole_proto::wire::{Deframer, Packet, extension, frame_header};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The number of modes.
pub const MODES: u8 = 6;

/// Nothing has to be prepared.
pub const fn prepare() {}

/// Decodes one input and looks at what came out.
pub fn run(input: &[u8]) {
    let Some((mode, octets)) = input.split_first() else { return };
    match mode % MODES {
        0 => packet(octets),
        1 => messages(octets),
        2 => payload::<Welcome>(octets),
        3 => payload::<Offer>(octets),
        4 => payload::<Acceptance>(octets),
        _ => stream(octets),
    }
}

fn packet(octets: &[u8]) {
    match Packet::decode(octets) {
        Ok(packet) => {
            let again = packet.encode();
            if matches!(packet, Packet::Discovered(_)) {
                let behind = octets.strip_prefix(again.as_slice()).expect("encodes to the octets before its extensions");
                assert_eq!(extension::check(behind), Ok(()));
                assert_eq!(Packet::decode(&again), Ok(packet));
            } else {
                assert_eq!(again, octets, "{packet:?} has one encoding");
            }
            assert!(octets.len() <= MAX_PACKET);
        }
        Err(discard) => assert!(of_decoder(discard), "{discard:?}"),
    }
}

fn messages(octets: &[u8]) {
    let mut rest = octets;
    while !rest.is_empty() {
        let before = rest;
        match Message::decode(&mut rest) {
            Ok(message) => {
                let taken = &before[..before.len() - rest.len()];
                assert!(taken.len() >= 3 && before.ends_with(rest));
                one_message(&message, taken);
            }
            Err(discard) => {
                assert!(of_decoder(discard) || discard == Discard::MessageUnexpected, "{discard:?}");
                return;
            }
        }
    }
}

fn one_message(message: &Message<'_>, taken: &[u8]) {
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(again[0], taken[0]);
    if let Message::Unknown(_) = message {
        return;
    }
    let behind = taken[3..].strip_prefix(&again[3..]).expect("encodes to the octets before its extensions");
    if matches!(message, Message::Datagram(_) | Message::Data { .. }) {
        assert!(behind.is_empty());
    } else {
        assert_eq!(extension::check(behind), Ok(()));
    }
    let mut rest = again.as_slice();
    assert_eq!(Message::decode(&mut rest).as_ref(), Ok(message));
    assert!(rest.is_empty());
}

fn payload<T: DeserializeOwned + Serialize>(octets: &[u8]) {
    match decode_prefix::<T>(octets) {
        Ok((value, rest)) => {
            let mut again = Vec::new();
            encode(&value, &mut again);
            assert_eq!([&again, rest].concat(), octets);
            assert_eq!(decode::<T>(octets).is_ok(), extension::check(rest).is_ok());
        }
        Err(discard) => assert_eq!(discard, Discard::BodyMalformed),
    }
}

fn stream(octets: &[u8]) {
    let Some((&cut, octets)) = octets.split_first() else { return };
    let whole = frames(octets.len(), octets);
    let cut = frames(usize::from(cut), octets);
    assert_eq!(whole, cut, "frames do not depend on how the stream is cut");
    let mut rest = octets;
    for frame in &whole.0 {
        rest = rest.strip_prefix(&frame_header(frame)).expect("each frame has its header");
        rest = rest.strip_prefix(frame.as_slice()).expect("each frame is in the stream");
    }
}

fn frames(size: usize, octets: &[u8]) -> (Vec<Vec<u8>>, Option<Discard>) {
    let (mut deframer, mut found) = (Deframer::default(), Vec::new());
    for mut chunk in octets.chunks(size.max(1)) {
        loop {
            match deframer.next(&mut chunk) {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(discard) => return (found, Some(discard)),
            }
        }
        assert!(chunk.is_empty());
    }
    (found, None)
}

/// Whether a decoder may give this discard.
const fn of_decoder(discard: Discard) -> bool {
    matches!(
        discard,
        Discard::BodyMalformed
            | Discard::ExtensionMalformed
            | Discard::ExtensionUnknown
            | Discard::KindUnknown
            | Discard::MagicWrong
            | Discard::PaddingNotZero
            | Discard::ReservedNotZero
            | Discard::TooLong
            | Discard::TooShort
            | Discard::VersionUnsupported
    )
}
