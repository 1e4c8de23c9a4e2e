//! Random worlds, and those that once failed.

use std::path::Path;

use pinhole_judge::scene::Scene;
use pinhole_judge::worlds;

use crate::oracle;

#[test]
fn nothing_forbidden_happens_in_random_worlds() {
    let report = worlds::run(&oracle(), 0, 500);
    print!("{}", report.histogram);
    let failures: Vec<String> = report
        .failures
        .iter()
        .map(|(seed, wrong)| format!("{}\n    cargo run -p pinhole-judge -- world {seed}", wrong.join("; ")))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let ends = ["direct", "relayed"].map(|end| report.histogram.count("end", end));
    assert!(ends.iter().all(|count| *count >= report.histogram.worlds() / 4), "direct, relayed: {ends:?}");
}

#[test]
fn worlds_that_once_failed_do_not_any_more() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be read").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let scene: Scene = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcome = worlds::judge(&scene, &oracle());
        assert!(outcome.wrong.is_empty(), "{}: {:?}", path.display(), outcome.wrong);
        count += 1;
    }
    assert!(count >= 5);
}

#[test]
fn a_world_is_the_same_for_the_same_seed_and_after_a_way_through_json() {
    for seed in 0..20 {
        let scene = Scene::draw(seed);
        let text = serde_json::to_string(&scene).expect("a scene is data");
        let read: Scene = serde_json::from_str(&text).expect("a scene is data");
        assert_eq!(read, scene);
        assert_eq!(read.run(&oracle()).digest, scene.run(&oracle()).digest);
        assert_ne!(Scene::draw(seed + 1), scene);
    }
}

/// The same world, judged by an oracle that is wrong about it, and with a budget that is not kept.
#[test]
fn a_wrong_oracle_is_noticed_in_random_worlds() {
    use pinhole_judge::{Allowed, Oracle, Side};
    use pinhole_proto::Transport;
    let mut wrong = oracle();
    for transport in [Transport::Udp, Transport::Tcp] {
        let sides = Side::all(transport);
        for side in &sides {
            for other in 0..sides.len() {
                let plain = |oracle: &Oracle| oracle.outcome(transport, *side, other, Allowed::PLAIN).is_some();
                let before = plain(&wrong);
                while plain(&wrong) == before {
                    wrong = wrong.mutated(transport, *side, other);
                }
            }
        }
    }
    let noticed = worlds::run(&wrong, 0, 60).failures.len();
    assert!(noticed >= 8, "{noticed}");
}
