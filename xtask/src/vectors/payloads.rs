//! The payloads of the handshakes.

use pinhole_proto::constants::MAX_PRIVATE;

use super::layout::Body;
use super::messages::{endpoint, surround};
use super::{Group, Suite};

pub(super) fn suite() -> Suite {
    let private = [endpoint("10.0.0.1:1234"), endpoint("[fd00::1]:1234")];
    let full: Vec<_> = (1..=4).map(|n| endpoint(&format!("[fd00::{n}]:1234"))).collect();
    let welcome = Body::default().fixed(&[0, 1, 2, 3]).fixed(&[0x77; 16]);
    let offer = |versions: &[u8], private: &[_], mapping| {
        Body::default()
            .fixed(&[9, 8, 7, 6])
            .versions(versions)
            .endpoints("private", private, MAX_PRIVATE)
            .octet(mapping)
    };
    let acceptance = |private: &[_], mapping| {
        Body::default().fixed(&[9, 8, 7, 6]).endpoints("private", private, MAX_PRIVATE).octet(mapping)
    };
    Suite {
        name: "payloads",
        groups: vec![
            group("Welcome", &[("Ordinary", "an index and a token", welcome)]),
            group(
                "Offer",
                &[
                    ("Ordinary", "two private endpoints", offer(&[1], &private, 1)),
                    ("Minimal", "nothing to tell", offer(&[], &[], 0)),
                    ("BoundaryList", "the most of all", offer(&[1, 2, 3, 4, 5, 6, 7, 8], &full, 2)),
                    ("Grease", "GREASE version and mapping", offer(&[1, 0x0a], &[], 138)),
                ],
            ),
            group(
                "Acceptance",
                &[
                    ("Ordinary", "two private endpoints", acceptance(&private, 2)),
                    ("Minimal", "nothing to tell", acceptance(&[], 0)),
                    ("BoundaryList", "the most private endpoints", acceptance(&full, 1)),
                    ("CodeOpen", "a mapping that no registry assigns", acceptance(&[], 9)),
                ],
            ),
        ],
    }
}

fn group(name: &'static str, bodies: &[(&'static str, &str, Body)]) -> Group {
    let mut group = Group::new(name, name);
    for (flag, comment, body) in bodies {
        group.canonical(flag, *comment, &body.octets);
    }
    let (.., body) = &bodies[0];
    body.cut_short(&mut group, name, <[u8]>::to_vec);
    body.spell_wrongly(&mut group, name, <[u8]>::to_vec);
    surround(&mut group, name, &body.octets, <[u8]>::to_vec);
    group
}
