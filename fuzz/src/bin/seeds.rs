//! `cargo run --bin seeds` writes `seeds/*.hex` and `dict/pinhole.dict`; with a target and a directory it
//! writes the target's seeds into the directory, one file each, as libFuzzer wants them.

use std::path::Path;
use std::{env, fs, io};

use pinhole_fuzz::dictionary::dictionary;
use pinhole_fuzz::seeds::{TARGETS, file, seeds};

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            for (target, _) in TARGETS {
                fs::write(here.join("seeds").join(format!("{target}.hex")), file(target))?;
            }
            fs::write(here.join("dict/pinhole.dict"), dictionary())
        }
        [target, directory] => {
            fs::create_dir_all(directory)?;
            for (number, seed) in seeds(target).iter().enumerate() {
                fs::write(Path::new(directory).join(format!("{number:04}")), seed)?;
            }
            Ok(())
        }
        _ => Err(io::Error::other("usage: seeds [TARGET DIRECTORY]")),
    }
}
