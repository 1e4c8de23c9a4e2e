//! The oracle, the engines and the simulator judge each other.

mod oracle;
mod product;
mod share;
mod worlds;

use std::path::Path;

use pinhole_judge::Oracle;

/// The oracle of the specification.
fn oracle() -> Oracle {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec");
    Oracle::load(&spec).expect("spec/reachability.json is complete")
}
