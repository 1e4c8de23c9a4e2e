//! See `pinhole_fuzz::decode`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: pinhole_fuzz::decode::prepare(), |input: &[u8]| pinhole_fuzz::decode::run(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    pinhole_fuzz::replay(pinhole_fuzz::decode::run)
}
