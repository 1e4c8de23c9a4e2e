//! The files.

/// Every scenario: its name and its text.
pub const ALL: &[(&str, &str)] = &[
    ("f1-cone-nat", include_str!("../../scenarios/f1-cone-nat.json")),
    ("f2-symmetric-nat", include_str!("../../scenarios/f2-symmetric-nat.json")),
    ("f3-relaying", include_str!("../../scenarios/f3-relaying.json")),
    ("f3-relaying-tcp", include_str!("../../scenarios/f3-relaying-tcp.json")),
    ("f5-udp-hole-punching", include_str!("../../scenarios/f5-udp-hole-punching.json")),
    ("f5-mirrored", include_str!("../../scenarios/f5-mirrored.json")),
    ("f5-full-cone", include_str!("../../scenarios/f5-full-cone.json")),
];
