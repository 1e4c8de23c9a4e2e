//! What the checks need from the machine, and how to get it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Something that a check needs.
pub(crate) struct Need {
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
    found: fn() -> bool,
    /// The commands that install it, one after the other.
    install: &'static [&'static [&'static str]],
}

/// Everything, in the order in which it is installed.
pub(crate) const NEEDS: [Need; 10] = [
    Need {
        what: "iproute2",
        why: "the lab's networks",
        found: || program("ip"),
        install: &[&["apt-get", "update", "-qq"], &["apt-get", "install", "-y", "-qq", "iproute2"]],
    },
    Need {
        what: "nftables",
        why: "the lab's NATs",
        found: || program("nft"),
        install: &[&["apt-get", "update", "-qq"], &["apt-get", "install", "-y", "-qq", "nftables"]],
    },
    Need {
        what: "python3",
        why: "the second implementation of the codec",
        found: || program("python3"),
        install: &[&["apt-get", "update", "-qq"], &["apt-get", "install", "-y", "-qq", "python3"]],
    },
    Need {
        what: "wasm32 target",
        why: "the core builds without an operating system",
        found: wasm_target,
        install: &[&["rustup", "target", "add", "wasm32-unknown-unknown"]],
    },
    Need {
        what: "node",
        why: "the core runs on wasm32 as it does here",
        found: || program("node"),
        install: &[&["apt-get", "update", "-qq"], &["apt-get", "install", "-y", "-qq", "nodejs"]],
    },
    Need {
        what: "npm",
        why: "the page is put together",
        found: || program("npm"),
        install: &[&["apt-get", "update", "-qq"], &["apt-get", "install", "-y", "-qq", "npm"]],
    },
    Need {
        what: "chromium",
        why: "the page is tried in a browser",
        found: || program("chromium"),
        install: &[&["apt-get", "update", "-qq"], &["apt-get", "install", "-y", "-qq", "chromium", "fonts-noto-cjk"]],
    },
    Need {
        what: "tshark",
        why: "capture files are read by Wireshark's dissectors",
        found: || program("tshark"),
        install: &[&["apt-get", "update", "-qq"], &["apt-get", "install", "-y", "-qq", "tshark"]],
    },
    Need {
        what: "nightly toolchain",
        why: "fuzzing",
        found: || quiet(&["rustc", "+nightly", "--version"]),
        install: &[],
    },
    Need {
        what: "cargo-fuzz",
        why: "fuzzing",
        found: || quiet(&["cargo", "fuzz", "--version"]),
        install: &[&["cargo", "install", "--locked", "--quiet", "cargo-fuzz"]],
    },
];

impl Need {
    pub(crate) fn is_met(&self) -> bool {
        (self.found)()
    }

    /// One line that a person can type.
    pub(crate) fn how(&self) -> String {
        match self.install.last() {
            Some(command) => command.join(" "),
            None => format!("install the {}", self.what),
        }
    }

    fn install(&self) -> bool {
        self.install.iter().all(|command| {
            let mut child = Command::new(command[0]);
            child.args(&command[1..]).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
            child.status().is_ok_and(|status| status.success())
        })
    }
}

/// Prints what is needed and found, installs what is missing if that was asked for, and answers what is
/// still missing.
pub(crate) fn meet(install: bool) -> Vec<&'static Need> {
    println!("{:<18} {:<46} found", "needed", "for");
    let mut missing = Vec::new();
    for need in &NEEDS {
        let met = need.is_met() || (install && need.install() && need.is_met());
        println!("{:<18} {:<46} {}", need.what, need.why, if met { "yes" } else { "no" });
        if !met {
            missing.push(need);
        }
    }
    for need in &missing {
        println!("missing: {}; get it with: {}", need.what, need.how());
    }
    println!();
    missing
}

/// Whether a program is in `PATH` or where administrators have theirs.
fn program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin", "/sbin"].map(Into::into));
    places.iter().any(|place| Path::new(place).join(name).is_file())
}

fn wasm_target() -> bool {
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn quiet(command: &[&str]) -> bool {
    let mut child = Command::new(command[0]);
    // Another toolchain is asked for: what this one set for its children is in the way.
    child.args(&command[1..]).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").stdout(Stdio::null());
    child.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
