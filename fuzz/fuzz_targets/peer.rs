//! See `pinhole_fuzz::peer`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: pinhole_fuzz::peer::prepare(), |input: &[u8]| pinhole_fuzz::peer::run(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    pinhole_fuzz::replay(pinhole_fuzz::peer::run)
}
