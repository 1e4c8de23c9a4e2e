//! The three tiers: `check` before every commit, `test` for everything once, `soak` for figures.

use std::process::{Command, ExitCode};

use crate::lab::{Profile, build};
use crate::needs;
use crate::root;
use crate::stage::Stages;

#[derive(clap::Args)]
pub(crate) struct TestArguments {
    /// Install what is missing, as root.
    #[arg(long)]
    setup: bool,
}

/// Format, lints, documentation, unit tests, vectors.
pub(crate) fn check() -> anyhow::Result<ExitCode> {
    let mut stages = Stages::default();
    checks(&mut stages, &[]);
    Ok(stages.finish(false))
}

/// Every check, once.
pub(crate) fn test(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    let missing: Vec<_> = needs::meet(arguments.setup || strict).into_iter().map(|need| need.what).collect();
    let mut stages = Stages::default();
    checks(&mut stages, &missing);
    stages.cargo("every pair of NATs, random worlds", &["test", "--quiet", "-p", "pinhole-judge"]);
    wasm(&mut stages, &missing, "dev", &["--udp", "10", "--tcp", "100", "--worlds", "50"]);
    page(&mut stages, &missing);
    network(&mut stages, &missing);
    fuzz(&mut stages, &missing, 5);
    Ok(stages.finish(strict))
}

/// The figures that need many runs. A stage that fails does not stop the others.
pub(crate) fn soak(arguments: &SoakArguments) -> anyhow::Result<ExitCode> {
    let less = |times: u32| (times / arguments.divide.max(1)).max(1);
    let wanted = |stage: SoakStage| arguments.stages.is_empty() || arguments.stages.contains(&stage);
    let mut stages = Stages::reporting(root().join("lab-report/soak.txt"))?;
    let judge = |stages: &mut Stages, name: &str, rest: &[&str]| {
        stages.cargo(name, &[&["run", "--quiet", "--release", "-p", "pinhole-judge", "--"][..], rest].concat());
    };
    let times = |times: u32| less(times).to_string();
    let step = arguments.divide.max(1).to_string();
    let worlds = times(10_000);
    if wanted(SoakStage::Worlds) {
        judge(&mut stages, &format!("{worlds} random worlds"), &["worlds", "--count", &worlds]);
    }
    if wanted(SoakStage::Products) {
        for transport in ["udp", "tcp"] {
            let name = format!("every pair of NATs over {transport}");
            judge(&mut stages, &name, &["product", transport, "--step", &step]);
        }
    }
    if wanted(SoakStage::Guesses) {
        judge(&mut stages, "guesses of each kind in virtual time", &["shares", "--times", &times(1_000)]);
    }
    if wanted(SoakStage::Wasm) {
        wasm(&mut stages, &[], "release", &["--udp", &step, "--tcp", &step, "--worlds", &times(1_000)]);
    }
    let of_lab = SoakStage::LAB.into_iter().filter(|(stage, _)| wanted(*stage));
    let lab = if of_lab.clone().next().is_some() { Some(build(Profile::Release)) } else { None };
    for (stage, name) in of_lab {
        let lab = match &lab {
            Some(Ok(lab)) => lab,
            Some(Err(error)) => {
                stages.fail(name, &error.to_string());
                continue;
            }
            None => continue,
        };
        let mut command = Command::new(lab);
        match stage {
            SoakStage::Cells => {
                command.args(["cells", "--jobs", "6", "--report", "lab-report/soak-cells.json", "--times", &times(20)])
            }
            SoakStage::ModelCells => command
                .args(["cells", "--model", "--jobs", "6", "--report", "lab-report/soak-cells-model.json"])
                .args(["--times", &times(5)]),
            SoakStage::Against => command.args(["against", "--sequences", &times(300)]),
            SoakStage::Shares => command.args(["shares", "--jobs", "12", "--times", &times(300)]),
            SoakStage::Competing => command.args(["shares", "--jobs", "6", "--compete", "2.5", "--times", &times(300)]),
            SoakStage::Checks => command.args(["checks", "--full"]),
            _ => command.args(["bench", "--times", &times(20), "--lossy", &times(100)]),
        };
        stages.run(name, &mut command);
    }
    if wanted(SoakStage::Fuzz) {
        fuzz(&mut stages, &[], less(600));
    }
    Ok(stages.finish(true))
}

#[derive(clap::Args)]
pub(crate) struct SoakArguments {
    /// Only these, in the usual order; all of them when none is named.
    stages: Vec<SoakStage>,
    /// Divides every count and every time, to see whether all stages run; the figures then mean nothing.
    #[arg(long, default_value_t = 1)]
    divide: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SoakStage {
    /// 10,000 random worlds.
    Worlds,
    /// Every pair of NAT behaviours over UDP and TCP, beside the oracle.
    Products,
    /// How often guesses of ports hit, in virtual time.
    Guesses,
    /// The same runs on wasm32.
    Wasm,
    /// 20 runs of every cell of the lab.
    Cells,
    /// 5 runs of every cell behind NATs of the model.
    ModelCells,
    /// 300 sequences of packets through the model and through the kernel's NATs.
    Against,
    /// How often guesses of ports hit, with real packets.
    Shares,
    /// The same while other clients take ports.
    Competing,
    /// What is promised beside the cells.
    Checks,
    /// Connecting, beside its bars.
    Bench,
    /// Ten minutes for each fuzz target.
    Fuzz,
}

impl SoakStage {
    /// Those that need the lab, with their names.
    const LAB: [(Self, &'static str); 7] = [
        (Self::Cells, "every cell, many times"),
        (Self::ModelCells, "every cell of the model, many times"),
        (Self::Against, "the model against the kernel"),
        (Self::Shares, "guesses of each kind with real packets"),
        (Self::Competing, "guesses while others take ports"),
        (Self::Checks, "what is promised, in full"),
        (Self::Bench, "connecting beside its bars"),
    ];
}

fn checks(stages: &mut Stages, missing: &[&str]) {
    stages.cargo("format", &["fmt", "--all", "--check"]);
    stages.cargo("lints", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let mut docs = Command::new(env!("CARGO"));
    docs.args(["doc", "--quiet", "--workspace", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings");
    stages.run("documentation", &mut docs);
    stages.cargo("tests of the core", &["test", "--quiet", "-p", "pinhole-proto", "-p", "pinhole-sim"]);
    if missing.contains(&"wasm32 target") {
        stages.skip("the core on wasm32", "the target is not installed");
    } else {
        let wasm =
            ["check", "--quiet", "--target", "wasm32-unknown-unknown", "-p", "pinhole-proto", "-p", "pinhole-sim"];
        stages.cargo("the core on wasm32", &wasm);
    }
    stages.cargo("vectors", &["xtask", "vectors", "--check"]);
    stages.cargo("requirements", &["xtask", "requirements"]);
}

/// The same runs here and on wasm32.
fn wasm(stages: &mut Stages, missing: &[&str], profile: &str, part: &[&str]) {
    let name = "pairs of NATs on wasm32";
    if missing.contains(&"wasm32 target") || missing.contains(&"node") {
        return stages.skip(name, "node or the wasm32 target is not installed");
    }
    let target = "wasm32-unknown-unknown";
    stages.cargo("the judge for wasm32", &["build", "--quiet", "--release", "--target", target, "-p", JUDGE_WASM]);
    let Some(directory) = std::env::current_exe().ok().and_then(|exe| Some(exe.ancestors().nth(2)?.to_owned())) else {
        return stages.fail(name, "where cargo builds is not known");
    };
    let module = directory.join(target).join("release").join(JUDGE_WASM.replace('-', "_")).with_extension("wasm");
    let module = module.to_string_lossy();
    let judge = ["run", "--quiet", "--profile", profile, "-p", "pinhole-judge", "--", "wasm", &module];
    stages.cargo(name, &[&judge[..], part].concat());
}

/// The page, natively and in a browser.
fn page(stages: &mut Stages, missing: &[&str]) {
    stages.cargo("tests of the page's core", &["test", "--quiet", "-p", "pinhole-viz"]);
    let name = "the page in Chromium";
    match ["wasm32 target", "npm", "node", "chromium"].into_iter().find(|need| missing.contains(need)) {
        Some(need) => stages.skip(name, &format!("{need} is not installed")),
        None => stages.cargo(name, &["xtask", "viz", "test"]),
    }
}

const JUDGE_WASM: &str = "pinhole-judge-wasm";

fn network(stages: &mut Stages, missing: &[&str]) {
    let programs = ["-p", "pinhole-driver", "-p", "pinhole-server", "-p", "pinhole-peer", "-p", "xtask"];
    stages.cargo("tests of driver, server and peer", &[&["test", "--quiet"][..], &programs].concat());
    if missing.contains(&"iproute2") || missing.contains(&"nftables") {
        for name in [
            "tests of the lab",
            "the demo",
            "the demo without a NAT",
            "the model against the kernel",
            "what is promised beside the cells",
            "every cell",
            "guessed ports",
            "every cell of the model",
        ] {
            stages.skip(name, "the lab cannot be built");
        }
        return;
    }
    stages.cargo("tests of the lab", &["test", "--quiet", "-p", "pinhole-lab"]);
    match build(Profile::Dev) {
        Ok(lab) => {
            stages.run("the demo", Command::new(&lab).args(["demo", "--rows", "0"]));
            stages.expect(
                "the demo without a NAT",
                Command::new(&lab).args(["demo", "--rows", "0", "--without-nat", "a"]),
                1,
            );
            stages.run("the model against the kernel", Command::new(&lab).args(["against", "--sequences", "30"]));
            stages.run("what is promised beside the cells", Command::new(&lab).arg("checks"));
            stages.run(
                "every cell",
                Command::new(&lab).args(["cells", "--jobs", "3", "--report", "lab-report/cells.json"]),
            );
            stages.run("guessed ports", Command::new(&lab).args(["shares", "--times", "6", "--jobs", "6"]));
            stages.run(
                "every cell of the model",
                Command::new(&lab).args(["cells", "--model", "--jobs", "3", "--report", "lab-report/cells-model.json"]),
            );
        }
        Err(error) => stages.fail("the lab's binaries", &error.to_string()),
    }
}

fn fuzz(stages: &mut Stages, missing: &[&str], seconds: u32) {
    stages.cargo("fuzz seeds and regressions", &["test", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]);
    let script = root().join("fuzz/run.sh");
    if missing.contains(&"nightly toolchain") || missing.contains(&"cargo-fuzz") {
        stages.skip("fuzz targets", "cargo-fuzz or the nightly toolchain is not installed");
    } else {
        stages.run(
            "fuzz targets",
            Command::new("bash")
                .arg(script)
                .args(["all", &seconds.to_string()])
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("CARGO"),
        );
    }
}
