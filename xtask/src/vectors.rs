//! `cargo xtask vectors`: makes `spec/vectors/*.json` from `proto`.
//!
//! Every test says what is expected of it; a test that `proto` answers otherwise is not written, and the
//! command fails. So the vectors record what the chapters say and not what the code happens to do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use pinhole_proto::Discard;
use serde::Serialize;
use serde_json::{Value, json};

mod crypto;
#[path = "../../proto/tests/it/describe.rs"]
mod describe;
mod flags;
mod layout;
mod messages;
mod packets;
mod payloads;
#[path = "../../proto/tests/it/crypto.rs"]
mod shared;
mod streams;

/// Makes the byte vectors of the specification.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when a file differs from what would be written, and run spec/codec.py and
    /// spec/noise.py over the files where there is a python3.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let directory = crate::root().join("spec/vectors");
    let suites = [
        packets::suite(),
        messages::suite(),
        payloads::suite(),
        streams::suite(),
        packets::keys(),
        crypto::handshakes(),
        crypto::sealing(),
    ];
    let mut census = Census::default();
    let mut stale = vec![];
    for suite in &suites {
        census.count(suite);
        let path = directory.join(format!("{}.json", suite.name));
        let text = suite.text();
        if arguments.check {
            if std::fs::read_to_string(&path).unwrap_or_default() != text {
                stale.push(suite.name);
            }
        } else {
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
    }
    census.judge()?;
    ensure!(stale.is_empty(), "stale, run `cargo xtask vectors`: {}", stale.join(", "));
    println!("{}", census.summary());
    if arguments.check {
        second_opinion()?;
    }
    Ok(())
}

/// Runs the two scripts that were written from the chapters.
fn second_opinion() -> anyhow::Result<()> {
    let spec = crate::root().join("spec");
    for script in ["codec.py", "noise.py"] {
        match Command::new("python3").arg(spec.join(script)).arg(spec.join("vectors")).status() {
            Ok(status) if status.success() => {}
            Ok(status) => bail!("spec/{script} disagrees with the vectors ({status})"),
            Err(error) => println!("spec/{script}: skipped, no python3 ({error})"),
        }
    }
    Ok(())
}

/// One file.
struct Suite {
    name: &'static str,
    groups: Vec<Group>,
}

/// The tests of one kind of input.
struct Group {
    /// What the input is: see `spec/vectors/README.md`.
    kind: &'static str,
    /// What the tests are about.
    subject: &'static str,
    tests: Vec<Test>,
}

/// One test.
#[derive(Serialize)]
struct Test {
    #[serde(rename = "tcId")]
    id: usize,
    comment: String,
    flags: Vec<&'static str>,
    req: Vec<&'static str>,
    /// What the test is made from, where that is not one octet string.
    #[serde(skip_serializing_if = "Value::is_null")]
    given: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    result: &'static str,
    #[serde(skip_serializing_if = "Value::is_null")]
    error: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    decoded: Value,
    /// What an encoder makes of `decoded`, where that differs from `hex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<String>,
    /// What becomes of the input's beginnings: first length, last length, discard or "valid".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prefixes: Vec<(usize, usize, Value)>,
}

impl Group {
    fn new(kind: &'static str, subject: &'static str) -> Self {
        Self { kind, subject, tests: vec![] }
    }

    /// Adds an input that decodes, and says what an encoder makes of it.
    fn valid(&mut self, flag: &'static str, comment: impl Into<String>, octets: &[u8]) -> Vec<u8> {
        let comment = comment.into();
        let (decoded, canonical) = describe::decode(self.kind, octets)
            .unwrap_or_else(|discard| panic!("{}: {comment}: {discard:?}", self.subject));
        let mut test = self.test(flag, comment, octets);
        test.result = "valid";
        test.decoded = decoded;
        test.canonical = (canonical != octets).then(|| describe::hex(&canonical));
        test.prefixes = self.prefixes(octets);
        self.tests.push(test);
        canonical
    }

    /// Adds an input that decodes to itself.
    fn canonical(&mut self, flag: &'static str, comment: impl Into<String>, octets: &[u8]) {
        let comment = comment.into();
        assert_eq!(self.valid(flag, comment.clone(), octets), octets, "{comment}");
    }

    /// Adds an input that is discarded.
    fn invalid(&mut self, flag: &'static str, comment: impl Into<String>, discard: Discard, octets: &[u8]) {
        let comment = comment.into();
        let found = describe::decode(self.kind, octets).map(|(decoded, _)| decoded);
        assert_eq!(found, Err(discard), "{}: {comment}: {}", self.subject, describe::hex(octets));
        let mut test = self.test(flag, comment, octets);
        test.error = json!(discard);
        self.tests.push(test);
    }

    /// Adds a test that is made from several values.
    fn given(&mut self, flag: &'static str, comment: impl Into<String>, given: Value, outcome: Result<Value, Discard>) {
        let mut test = self.test(flag, comment.into(), &[]);
        test.hex = None;
        test.given = given;
        match outcome {
            Ok(decoded) => {
                test.result = "valid";
                test.decoded = decoded;
            }
            Err(discard) => test.error = json!(discard),
        }
        self.tests.push(test);
    }

    fn test(&self, flag: &'static str, comment: String, octets: &[u8]) -> Test {
        Test {
            id: 0,
            comment,
            flags: vec![flag],
            req: flags::requirements(flag).to_vec(),
            given: Value::Null,
            hex: Some(describe::hex(octets)),
            result: "invalid",
            error: Value::Null,
            decoded: Value::Null,
            canonical: None,
            prefixes: vec![],
        }
    }

    fn prefixes(&self, octets: &[u8]) -> Vec<(usize, usize, Value)> {
        let mut runs: Vec<(usize, usize, Value)> = vec![];
        for length in 0..octets.len() {
            let outcome = match describe::decode(self.kind, &octets[..length]) {
                Ok(_) => json!("valid"),
                Err(discard) => json!(discard),
            };
            match runs.last_mut() {
                Some((_, last, before)) if *before == outcome => *last = length,
                _ => runs.push((length, length, outcome)),
            }
        }
        runs
    }
}

impl Suite {
    /// The file: a test a line.
    fn text(&self) -> String {
        let number: usize = self.groups.iter().map(|group| group.tests.len()).sum();
        let used: Vec<&str> =
            self.groups.iter().flat_map(|group| &group.tests).flat_map(|test| &test.flags).copied().collect();
        let mut out = format!(
            "{{\n\"suite\": \"pinhole-{}\",\n\"schema\": \"README.md\",\n\"spec\": \"1\",\n\"numberOfTests\": {number},\n\"notes\": {{\n",
            self.name
        );
        let notes: Vec<String> = flags::FLAGS
            .iter()
            .filter(|flag| used.contains(&flag.name))
            .map(|flag| {
                format!(
                    "\"{}\": {}",
                    flag.name,
                    json!({ "class": flag.class, "description": flag.description, "req": flag.req })
                )
            })
            .collect();
        let _ = write!(out, "{}\n}},\n\"testGroups\": [\n", notes.join(",\n"));
        let mut id = 0;
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|group| {
                let tests: Vec<String> = group
                    .tests
                    .iter()
                    .map(|test| {
                        id += 1;
                        let line = serde_json::to_string(test).expect("a test has a JSON form");
                        line.replacen("\"tcId\":0", &format!("\"tcId\":{id}"), 1)
                    })
                    .collect();
                format!(
                    "{{\"type\": \"{}\", \"subject\": \"{}\", \"source\": \"cargo xtask vectors\", \"tests\": [\n{}\n]}}",
                    group.kind,
                    group.subject,
                    tests.join(",\n")
                )
            })
            .collect();
        let _ = write!(out, "{}\n]\n}}\n", groups.join(",\n"));
        out
    }
}

/// How many tests there are of what.
#[derive(Default)]
struct Census {
    tests: usize,
    negative: usize,
    prefixes: usize,
    errors: BTreeMap<String, usize>,
}

impl Census {
    fn count(&mut self, suite: &Suite) {
        for test in suite.groups.iter().flat_map(|group| &group.tests) {
            self.tests += 1;
            self.prefixes += test.prefixes.iter().map(|(from, to, _)| to - from + 1).sum::<usize>();
            if let Some(error) = test.error.as_str() {
                self.negative += 1;
                *self.errors.entry(error.into()).or_default() += 1;
            }
        }
    }

    /// At least half of the tests are negative, and no discard of a decoder is seen less than three times.
    fn judge(&self) -> anyhow::Result<()> {
        ensure!(self.negative * 2 >= self.tests, "too few negative tests");
        for discard in [
            Discard::BodyMalformed,
            Discard::DecryptFailed,
            Discard::ExtensionMalformed,
            Discard::ExtensionUnknown,
            Discard::HandshakeFailed,
            Discard::KindUnknown,
            Discard::MagicWrong,
            Discard::MessageUnexpected,
            Discard::PaddingNotZero,
            Discard::ReservedNotZero,
            Discard::TooLong,
            Discard::TooShort,
            Discard::VersionUnsupported,
        ] {
            let name = json!(discard);
            let count = name.as_str().and_then(|name| self.errors.get(name));
            ensure!(count.is_some_and(|&count| count >= 3), "too few {name}");
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let errors: Vec<String> = self.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
        format!(
            "{} vectors, {} of them negative ({}); {} prefixes",
            self.tests,
            self.negative,
            errors.join(", "),
            self.prefixes
        )
    }
}
