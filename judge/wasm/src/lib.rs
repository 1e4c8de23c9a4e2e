//! Digests of the judge's runs as exports of a WebAssembly module that imports nothing: `run.mjs` calls
//! them, and `pinhole-judge wasm` compares them with those of the machine.

use pinhole_judge::product::{self, Part};
use pinhole_proto::Transport;

/// The digest of a part of the product: every `step`th pair from `rest` on, over UDP or TCP.
#[unsafe(no_mangle)]
pub extern "C" fn product(tcp: bool, step: u32, rest: u32) -> u64 {
    let transport = if tcp { Transport::Tcp } else { Transport::Udp };
    product::digest(transport, Part { step: step as usize, rest: rest as usize })
}
