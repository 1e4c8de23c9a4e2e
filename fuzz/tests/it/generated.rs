use std::fs;
use std::path::Path;

use pinhole_fuzz::dictionary::dictionary;
use pinhole_fuzz::seeds::{TARGETS, file};

const HOW: &str = "run `cargo run --bin seeds` in fuzz/";

#[test]
fn the_dictionary_is_that_of_the_registries() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dict/pinhole.dict");
    assert_eq!(fs::read_to_string(path).unwrap(), dictionary(), "{HOW}");
}

#[test]
fn the_seeds_are_those_of_the_vectors_and_scripts() {
    for (target, _) in TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("seeds/{target}.hex"));
        assert!(fs::read_to_string(path).unwrap() == file(target), "{target}: {HOW}");
    }
}
