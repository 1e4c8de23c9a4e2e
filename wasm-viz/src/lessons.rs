//! The lessons: scenarios in the order in which one learns from them.

use pinhole_sim::scenario;
use serde::Serialize;

use crate::text::Text;

/// A lesson.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lesson {
    /// Its number; none for scenarios that belong to no lesson.
    pub number: Option<usize>,
    /// What one learns.
    pub title: Text,
    /// Its scenarios, the main one first.
    pub scenarios: Vec<&'static str>,
}

/// The lessons with their scenarios.
const LESSONS: [(&str, &[&str]); 18] = [
    ("relaying", &["f3-relaying", "f3-relaying-tcp"]),
    ("reversal", &["f4-connection-reversal"]),
    ("punching", &["f5-udp-hole-punching", "f5-mirrored", "f5-full-cone", "f12-different-nats"]),
    ("same-nat", &["f6-same-nat", "f6-no-loopback", "f12-same-nat"]),
    (
        "levels",
        &["f7-multi-level-nat", "f7-no-loopback", "internal-source-hairpin", "f12-two-levels", "f12-two-levels-tcp"],
    ),
    ("kinds", &["symmetric-pair"]),
    ("views", &["f1-cone-nat", "f2-symmetric-nat", "f14-nat-check-good", "f14-nat-check-bad"]),
    ("prediction", &["f9-port-prediction", "f9-peers"]),
    (
        "brittle",
        &[
            "stolen-predicted-port",
            "stolen-port-peers",
            "random-allocation",
            "random-ports-peers",
            "prediction-two-levels",
            "two-levels-peers",
        ],
    ),
    (
        "crossing",
        &["f10-simultaneous-open", "crossing-syns", "f10-inbound-syn-refused", "f10-outbound-syn-ack-dropped"],
    ),
    ("early", &["early-syn-reset"]),
    ("endings", &["f11-connect-succeeds", "f11-accept-succeeds"]),
    ("sequential", &["f13-sequential-tcp", "f13-peers"]),
    ("timeouts", &["twenty-second-timeouts", "one-sided-keepalives", "lapse-and-punch-again"]),
    ("stranger", &["aliased-stranger"]),
    ("stable", &["f8-consistent-bindings", "rebooted-nat"]),
    ("ladder", &["whole-ladder"]),
    ("sandbox", &["sandbox"]),
];

/// The lessons in their order; at the end, without a number, the scenarios that belong to none.
#[must_use]
pub fn lessons() -> Vec<Lesson> {
    let title = |key: &str| Text::of(format!("lesson.{key}"));
    let mut lessons: Vec<_> = LESSONS
        .iter()
        .zip(1..)
        .map(|((key, names), number)| Lesson { number: Some(number), title: title(key), scenarios: names.to_vec() })
        .collect();
    let taught: Vec<&str> = LESSONS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let rest: Vec<_> = scenario::NAMES.into_iter().filter(|name| !taught.contains(name)).collect();
    if !rest.is_empty() {
        lessons.push(Lesson { number: None, title: title("more"), scenarios: rest });
    }
    lessons
}
