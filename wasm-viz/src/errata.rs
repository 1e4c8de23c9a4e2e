//! Slips of the texts and what differs between them, where a student meets them with the text open beside the
//! page.

use crate::text::Text;
use crate::words::literal;

/// A slip: its template, what is printed and what is meant where that is the same in every language, and the
/// scenarios in which one stumbles over it.
struct Slip(&'static str, &'static str, &'static str, &'static [&'static str]);

const F5: &[&str] = &["f5-udp-hole-punching", "f5-mirrored", "f5-full-cone"];
const F6: &[&str] = &["f6-same-nat", "f6-no-loopback"];
const F7: &[&str] = &["f7-multi-level-nat", "f7-no-loopback"];
const F10: &[&str] =
    &["f10-simultaneous-open", "crossing-syns", "f10-inbound-syn-refused", "f10-outbound-syn-ack-dropped"];
const F11: &[&str] = &["f11-connect-succeeds", "f11-accept-succeeds"];

/// Every slip that a scenario meets.
const SLIPS: [Slip; 20] = [
    Slip("server-port", "1235", "1234", &["f1-cone-nat", "f2-symmetric-nat", "f4-connection-reversal"]),
    Slip("three-hosts", "138.76.29.7", "", &["f1-cone-nat", "f2-symmetric-nat", "f4-connection-reversal"]),
    Slip("reversal-port", "192.0.2.254:31000", "192.0.2.254:1234", &["f4-connection-reversal"]),
    Slip("two-scenarios", "2", "3", F5),
    Slip("preset", "1234", "4321", F5),
    Slip("digit", "10.0.0.1:124", "10.0.0.1:1234", F6),
    Slip("one-network", "10.0.0.1, 10.1.1.3", "10.0.0.0/8", F6),
    Slip("preset", "1234, 62001", "4321, 62005", F6),
    Slip("wrong-nat", "NAT B", "NAT A", F7),
    Slip("preset", "30000, 31000, 62001", "45000, 55000, 62005", F7),
    Slip("preset-draft", "4321", "1234", &["f12-same-nat", "f12-different-nats", "f12-two-levels"]),
    Slip("tutorial-digit", "155.99.25.11:6200", "155.99.25.11:62000", &["f12-different-nats"]),
    Slip("prefer-private", "", "", &["f12-same-nat"]),
    Slip("wrong-nat", "NAT B", "NAT A", &["f12-two-levels", "f12-two-levels-tcp"]),
    Slip("ports", "310000, 620000", "31000, 62000", F10),
    Slip("crossed-syn", "ACK", "SYN-ACK", F10),
    Slip("reuse", "SetReuseAddress", "SO_REUSEADDR, SO_REUSEPORT", F11),
    Slip("handshake", "SYN, ACK, RST", "SYN, SYN-ACK, ACK", &["early-syn-reset"]),
    Slip("hole-nat", "NAT A", "NAT B", &["f13-sequential-tcp"]),
    Slip("keepalive", "10 s", "60 s", &["twenty-second-timeouts", "one-sided-keepalives"]),
];

/// What to know about the texts that show a scenario.
#[must_use]
pub fn of(scenario: &str) -> Vec<Text> {
    let met = SLIPS.iter().filter(|Slip(.., scenarios)| scenarios.contains(&scenario));
    met.map(|Slip(key, printed, meant, _)| {
        let listed = |list: &str| list.split(", ").map(literal).collect();
        Text::of(format!("erratum.{key}")).with_list("printed", listed(printed)).with_list("meant", listed(meant))
    })
    .collect()
}
