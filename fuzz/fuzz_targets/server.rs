//! See `pinhole_fuzz::server`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: pinhole_fuzz::server::prepare(), |input: &[u8]| pinhole_fuzz::server::run(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    pinhole_fuzz::replay(pinhole_fuzz::server::run)
}
