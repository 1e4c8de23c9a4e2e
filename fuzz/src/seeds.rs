//! The seeds: every vector for the decoders, and scripts that reach what engines do.
//!
//! Seeds are kept in one file for each target, `seeds/<target>.hex`, one seed a line, so that they can be
//! read and reviewed; `run.sh` unpacks them, because libFuzzer wants one file each.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bytes::counted;
use crate::dictionary::unhex;
use crate::{pair, peer, server};

/// A target's function.
pub type Run = fn(&[u8]);

/// The targets.
pub const TARGETS: [(&str, Run); 4] =
    [("decode", crate::decode::run), ("server", server::run), ("peer", peer::run), ("pair", pair::run)];

/// The seeds of a target.
///
/// # Panics
/// There is no such target.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let found: Vec<Vec<u8>> = match target {
        "decode" => vectors(),
        "server" => scripts(server::STAGES, &server_scripts()),
        "peer" => scripts(peer::STAGES, &peer_scripts()),
        "pair" => scripts(pair::STAGES, &pair_scripts()),
        _ => panic!("no target {target}"),
    };
    let unique: BTreeSet<_> = found.into_iter().collect();
    unique.into_iter().collect()
}

/// The file of a target's seeds.
#[must_use]
pub fn file(target: &str) -> String {
    let line = |seed: Vec<u8>| seed.iter().map(|octet| format!("{octet:02x}")).collect::<String>() + "\n";
    seeds(target).into_iter().map(line).collect()
}

fn vectors() -> Vec<Vec<u8>> {
    let mut all = vec![];
    for (file, text) in VECTORS {
        let suite: Value = serde_json::from_str(text).expect("vectors are JSON");
        for group in suite["testGroups"].as_array().into_iter().flatten() {
            let mode = match group["type"].as_str().unwrap_or_default() {
                "Packet" => 0,
                "Messages" => 1,
                "Welcome" => 2,
                "Offer" => 3,
                "Acceptance" => 4,
                _ if file == "streams" => 5,
                other => panic!("vectors of a kind that has no mode: {other}"),
            };
            for test in group["tests"].as_array().into_iter().flatten() {
                let octets = unhex(test["hex"].as_str().expect("a vector has octets"));
                let cut = (mode == 5).then_some(7);
                all.push([mode].into_iter().chain(cut).chain(octets).collect());
            }
        }
    }
    all
}

/// Each script from each prologue.
fn scripts(stages: usize, scripts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut all = vec![];
    for stage in 0..stages as u8 {
        all.extend(scripts.iter().map(|script| [&[stage], script.as_slice()].concat()));
    }
    all
}

fn server_scripts() -> Vec<Vec<u8>> {
    let mut all = vec![server::REGISTRATIONS.to_vec(), server::INTRODUCTIONS.to_vec()];
    // Discovery from each port, a registration with the cookie, over both transports.
    for who in 0..5 {
        all.push(vec![8, who, 0, who, 0x11, 0, who, 0x12, 1, who, 1, 2, who, 12, 0, 0x1c]);
    }
    // Every kind of message, over UDP and TCP, and from elsewhere.
    for kind in 0..crate::compose::KINDS {
        for who in [0, 3] {
            all.push([vec![3, who, 0, kind, 0x01, 0x4e, 3, 0, 0, 0, 0], vec![12, 0, 0x1d]].concat());
        }
        all.push([vec![3, 0, 15, kind, 0x81, 0x4e, 3, 0, 0, 0, 0], vec![2, 0, 12, 0, 0x1d]].concat());
    }
    // A move, its check, the old endpoint's answer.
    all.push(vec![14, 0, 9, 3, 0, 0, 4, 0, 0x5e, 2, 0, 12, 0, 0x1e]);
    // Introduced, answered, refused; the relay, and what it holds up.
    all.push([&server::INTRODUCTIONS[..], &[3, 1, 0, 3, 0x80, 2, 12, 0, 0x1f]].concat());
    all.push([&server::INTRODUCTIONS[..], &[13, 0, 0, 0xef, 0, 13, 1, 1, 0xef, 0, 11, 3, 12, 0, 0x1f]].concat());
    all.push(vec![3, 0, 0, 8, 0x03, 1, 3, 3, 3, 0, 11, 0x80, 13, 0, 0, 0xff, 0, 13, 3, 1, 0xff, 0, 11, 3, 12, 0, 0x2f]);
    // Replays, changed and unchanged, and the end of everything.
    all.push(vec![5, 15, 0, 0, 0, 0, 6, 0, 1, 5, 0, 40, 6, 15, 0, 6, 0, 10, 9, 3, 12, 0, 0xff, 12, 1, 0xff]);
    all.push([vec![7, 0], counted(b"\x0a\x01\x00\x00garbage and more of it"), vec![17, 0, 0xa5]].concat());
    // Between two engines: a question that is lost, repeated, late, changed, or comes back.
    let connect = [3, 0, 0, 8, 0x01, 0, 3];
    for between in [&[19, 0][..], &[18, 1, 18, 0, 18, 1], &[19, 1], &[20, 2, 0, 0, 0, 0], &[20, 2, 0, 9, 0, 30]] {
        all.push([&connect[..], between, &[3, 1, 0, 11, 0x80, 12, 0, 0x1e, 20, 0, 1, 0, 0, 0, 12, 0, 0x1f]].concat());
    }
    // The relay over two engines, from datagrams and from streams, with packets lost and in another order.
    all.push(vec![13, 0, 0, 0xef, 0, 13, 1, 1, 0xef, 0, 18, 2, 19, 0, 18, 0, 12, 0, 0x1f]);
    all.push(vec![
        3, 3, 0, 8, 0x02, 1, 3, 12, 0, 0, 3, 2, 0, 11, 0x80, 12, 0, 0, 13, 3, 0, 0xff, 0, 18, 2, 12, 0, 0, 11, 3, 12,
        0, 0x2f,
    ]);
    // A client whose packets reach the other engine, over both transports; and one that registers there.
    all.push(vec![14, 0, 2, 3, 0, 0, 4, 0, 0x5e, 12, 0, 0x1e, 14, 3, 1, 8, 3, 3, 3, 0, 4, 0, 0x5e, 12, 0, 0x1f]);
    all.push(vec![14, 0, 2, 1, 0, 0, 2, 0, 18, 0, 14, 0, 0, 3, 0, 0, 4, 0, 0x5e, 12, 0, 0x1e]);
    all
}

fn peer_scripts() -> Vec<Vec<u8>> {
    let mut all = vec![peer::REGISTERS.to_vec(), peer::CONNECTS.to_vec(), peer::INTRODUCED.to_vec()];
    all.push([&peer::CONNECTS[..], &peer::ANSWERED[..]].concat());
    all.push(peer::STREAMED.to_vec());
    // Every kind of message from the server and from another peer, by each way.
    for kind in 0..crate::compose::KINDS {
        all.push(vec![2, 0, kind, 0x01, 0x31, 0x10, 0, 0, 0, 0, 16, 0, 0x1c]);
        for how in [0, 0xa0, 0xf0] {
            all.push(vec![4, 0, how, kind, 0x81, 0, 0, 0, 0, 0, 0, 16, 0, 0x1c]);
        }
    }
    // Every command.
    for command in 0..16 {
        all.push([vec![18, command, 0], counted(b"hello"), vec![16, 0, 0x1b, 18, command, 0xa5, 4]].concat());
    }
    // Punches early and late, glare, a second session, an accept by a punch.
    all.push(vec![9, 0, 0, 7, 0, 1, 0, 9, 0, 1, 9, 8, 2, 16, 0, 0x2c]);
    all.push(vec![18, 0, 1, 7, 0, 1, 0, 1, 0, 8, 0, 0x20, 16, 0, 0x2c]);
    all.push(vec![7, 0, 3, 0x30, 7, 2, 3, 0x30, 4, 0, 0, 1, 0, 4, 1, 0, 1, 0, 16, 0, 0x2d]);
    // Streams: accepted, failed dials, the server's broken.
    all.push(vec![7, 0, 2, 0x20, 12, 0, 9, 0, 0xa0, 13, 0, 0xb0, 16, 0, 0x1d, 14, 0, 0, 16, 0, 0x1f]);
    // Moved, reset, silent for long.
    all.push(vec![19, 2, 16, 0, 0x1e, 20, 4, 1, 16, 0, 0xff, 16, 0, 0xff, 16, 1, 0xff]);
    // A byte stream both ways, acknowledged; the relay.
    all.push([vec![18, 7, 0], counted(&[7; 90]), vec![4, 0, 0xa0, 21, 0, 0, 0, 0], counted(&[8; 90])].concat());
    all.push(vec![18, 9, 255, 4, 0, 0xa0, 22, 0, 0, 0x10, 0, 4, 0xff, 0xff, 15, 0, 18, 10, 0, 16, 0, 0x1e]);
    all
}

fn pair_scripts() -> Vec<Vec<u8>> {
    let mut all = vec![];
    for command in 0..8 {
        all.push(vec![12, command, 9, 0x3d, 13, 1, 13, 0, 14, 0, 4, 0, 14, 1, 1, 0, 9, 0x3d]);
    }
    // A large stream, finished; the direct way blocked, the streams broken, and everything healed.
    all.push(vec![14, 0, 0xff, 0xff, 15, 0, 0, 9, 0x3c, 8, 1, 7, 0, 9, 0x4f, 8, 0, 9, 0xff]);
    all.push(vec![
        12, 4, 9, 0x3d, 14, 0, 0xff, 0xff, 15, 1, 4, 0, 0xf0, 7, 0, 14, 0, 0x20, 0, 9, 0x5f, 15, 0, 0, 9, 0xef,
    ]);
    // Losses, repetitions, changes, a stranger.
    all.push(vec![
        12, 2, 0, 0x30, 3, 0, 4, 0, 5, 0, 1, 0, 30, 6, 1, 0x80, 0, 0, 1, 0x25, 3, 0, 9, 0x4d, 13, 0, 9, 0x1d,
    ]);
    // Both at once; the end; moving.
    all.push(vec![12, 0, 12, 1, 9, 0x3d, 13, 0, 13, 1, 15, 0, 2, 9, 0x3e, 15, 1, 5, 9, 0x5f]);
    all
}

const VECTORS: [(&str, &str); 4] = [
    ("packets", include_str!("../../spec/vectors/packets.json")),
    ("messages", include_str!("../../spec/vectors/messages.json")),
    ("payloads", include_str!("../../spec/vectors/payloads.json")),
    ("streams", include_str!("../../spec/vectors/streams.json")),
];
