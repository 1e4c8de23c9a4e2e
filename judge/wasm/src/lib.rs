//! Digests of the judge's runs as exports of a WebAssembly module that imports nothing: `run.mjs` calls
//! them, and `pinhole-judge wasm` compares them with those of the machine.

use pinhole_judge::product::{self, Part};
use pinhole_judge::{Allowed, worlds as random};
use pinhole_proto::Transport;

/// The digest of a part of the product: every `step`th pair from `rest` on, over UDP or TCP, with the set of
/// strategies of that number; 0 where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn product(tcp: bool, set: u32, step: u32, rest: u32) -> u64 {
    let transport = if tcp { Transport::Tcp } else { Transport::Udp };
    let Some(allowed) = Allowed::of(transport).get(set as usize) else {
        return 0;
    };
    product::digest(transport, *allowed, Part { step: step as usize, rest: rest as usize })
}

/// The digests of random worlds, combined.
#[unsafe(no_mangle)]
pub extern "C" fn worlds(first: u32, count: u32) -> u64 {
    random::digest(u64::from(first), u64::from(count))
}
