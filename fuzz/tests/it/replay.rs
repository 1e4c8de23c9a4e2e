use std::fs;
use std::path::Path;

use pinhole_fuzz::seeds::{TARGETS, seeds};

#[test]
fn no_seed_finds_anything() {
    for (target, run) in TARGETS {
        for (number, seed) in seeds(target).iter().enumerate() {
            let found = std::panic::catch_unwind(|| run(seed));
            assert!(found.is_ok(), "{target}: seed {number}: {seed:02x?}");
        }
    }
}

#[test]
fn no_prefix_of_a_seed_finds_anything() {
    for (target, run) in TARGETS.into_iter().filter(|(target, _)| *target != "decode") {
        for seed in seeds(target).iter().step_by(7) {
            for end in 0..seed.len() {
                let found = std::panic::catch_unwind(|| run(&seed[..end]));
                assert!(found.is_ok(), "{target}: {:02x?}", &seed[..end]);
            }
        }
    }
}

#[test]
fn no_regression_is_back() {
    for (target, run) in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target);
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            let found = std::panic::catch_unwind(|| run(&input));
            assert!(found.is_ok(), "{}", path.display());
        }
    }
}
