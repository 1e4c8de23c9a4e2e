//! The files.

/// The names of every scenario, in the order of [`ALL`]. Who uses them alone does not have the texts in its program.
pub static NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ALL[at].0;
        at += 1;
    }
    names
};

/// Every scenario: its name and its text. One place in memory, and so in a program: a constant is there once for each
/// crate that reads it.
pub static ALL: &[(&str, &str)] = &[
    ("f1-cone-nat", include_str!("../../scenarios/f1-cone-nat.json")),
    ("f2-symmetric-nat", include_str!("../../scenarios/f2-symmetric-nat.json")),
    ("f3-relaying", include_str!("../../scenarios/f3-relaying.json")),
    ("f3-relaying-tcp", include_str!("../../scenarios/f3-relaying-tcp.json")),
    ("f5-udp-hole-punching", include_str!("../../scenarios/f5-udp-hole-punching.json")),
    ("f5-mirrored", include_str!("../../scenarios/f5-mirrored.json")),
    ("f5-full-cone", include_str!("../../scenarios/f5-full-cone.json")),
    ("f4-connection-reversal", include_str!("../../scenarios/f4-connection-reversal.json")),
    ("f6-same-nat", include_str!("../../scenarios/f6-same-nat.json")),
    ("f6-no-loopback", include_str!("../../scenarios/f6-no-loopback.json")),
    ("f7-multi-level-nat", include_str!("../../scenarios/f7-multi-level-nat.json")),
    ("internal-source-hairpin", include_str!("../../scenarios/internal-source-hairpin.json")),
    ("f7-no-loopback", include_str!("../../scenarios/f7-no-loopback.json")),
    ("f8-consistent-bindings", include_str!("../../scenarios/f8-consistent-bindings.json")),
    ("f9-port-prediction", include_str!("../../scenarios/f9-port-prediction.json")),
    ("f9-peers", include_str!("../../scenarios/f9-peers.json")),
    ("stolen-predicted-port", include_str!("../../scenarios/stolen-predicted-port.json")),
    ("stolen-port-peers", include_str!("../../scenarios/stolen-port-peers.json")),
    ("random-allocation", include_str!("../../scenarios/random-allocation.json")),
    ("random-ports-peers", include_str!("../../scenarios/random-ports-peers.json")),
    ("prediction-two-levels", include_str!("../../scenarios/prediction-two-levels.json")),
    ("two-levels-peers", include_str!("../../scenarios/two-levels-peers.json")),
    ("f10-simultaneous-open", include_str!("../../scenarios/f10-simultaneous-open.json")),
    ("f10-peers", include_str!("../../scenarios/f10-peers.json")),
    ("f11-connect-succeeds", include_str!("../../scenarios/f11-connect-succeeds.json")),
    ("f11-accept-succeeds", include_str!("../../scenarios/f11-accept-succeeds.json")),
    ("early-syn-reset", include_str!("../../scenarios/early-syn-reset.json")),
    ("f12-same-nat", include_str!("../../scenarios/f12-same-nat.json")),
    ("f12-different-nats", include_str!("../../scenarios/f12-different-nats.json")),
    ("f12-two-levels", include_str!("../../scenarios/f12-two-levels.json")),
    ("f12-two-levels-tcp", include_str!("../../scenarios/f12-two-levels-tcp.json")),
    ("twenty-second-timeouts", include_str!("../../scenarios/twenty-second-timeouts.json")),
    ("one-sided-keepalives", include_str!("../../scenarios/one-sided-keepalives.json")),
    ("lapse-and-punch-again", include_str!("../../scenarios/lapse-and-punch-again.json")),
    ("aliased-stranger", include_str!("../../scenarios/aliased-stranger.json")),
    ("rebooted-nat", include_str!("../../scenarios/rebooted-nat.json")),
    ("f13-sequential-tcp", include_str!("../../scenarios/f13-sequential-tcp.json")),
    ("f13-peers", include_str!("../../scenarios/f13-peers.json")),
    ("f13-close-peers", include_str!("../../scenarios/f13-close-peers.json")),
    ("f14-nat-check-good", include_str!("../../scenarios/f14-nat-check-good.json")),
    ("f14-nat-check-bad", include_str!("../../scenarios/f14-nat-check-bad.json")),
    ("f10-inbound-syn-refused", include_str!("../../scenarios/f10-inbound-syn-refused.json")),
    ("f10-outbound-syn-ack-dropped", include_str!("../../scenarios/f10-outbound-syn-ack-dropped.json")),
    ("crossing-syns", include_str!("../../scenarios/crossing-syns.json")),
    ("symmetric-pair", include_str!("../../scenarios/symmetric-pair.json")),
    ("whole-ladder", include_str!("../../scenarios/whole-ladder.json")),
    ("sandbox", include_str!("../../scenarios/sandbox.json")),
];
