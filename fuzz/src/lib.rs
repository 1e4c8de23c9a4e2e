//! What the fuzz targets do, as a library: `fuzz_targets/` only names these functions, and `cargo test`
//! in this directory replays seeds and regressions through them with a stable compiler.
//!
//! | target | module | input |
//! |---|---|---|
//! | `decode` | [`decode`] | octets of a packet, of messages, of a payload or of a stream |
//! | `server` | [`server`] | operations of scripted clients with valid keys against the server engine |
//! | `peer` | [`peer`] | operations of a scripted server and other peers, all with valid keys, against the peer engine |
//! | `pair` | [`pair`] | operations of a network, with three honest engines on it |
//!
//! An engine target begins where a fixed prologue ended (the first octet says which), so that an execution
//! costs no more than its own operations. [`checked`] holds what is asserted of every engine after every
//! operation; each target's module says what it asserts besides.
//!
//! X25519 is replaced by [`curve`], everything else is what runs in production.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod checked;
pub mod compose;
pub mod curve;
pub mod decode;
pub mod dictionary;
pub mod pair;
pub mod peer;
pub mod seeds;
pub mod server;
pub mod watch;

/// Runs the files that the command line names.
///
/// # Errors
/// A file cannot be read.
pub fn replay(run: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        run(&std::fs::read(&path)?);
        println!("{}: nothing found", path.display());
    }
    Ok(())
}
