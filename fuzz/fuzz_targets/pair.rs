//! See `pinhole_fuzz::pair`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: pinhole_fuzz::pair::prepare(), |input: &[u8]| pinhole_fuzz::pair::run(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    pinhole_fuzz::replay(pinhole_fuzz::pair::run)
}
