//! Packets as octets.

use pinhole_proto::peer::Peer;
use pinhole_proto::server::Server;
use pinhole_proto::wire::Packet;
use pinhole_proto::{Duration, Transport};
use pinhole_sim::packet::Body;
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::trace::What;
use pinhole_sim::worlds::Trio;
use pinhole_viz::bytes::{Field, changed, image, of_packet, of_plaintext, sealed_in};

fn run(transport: Transport) -> Trio {
    let mut trio = Trio::new(3, &Plan::default(), topology::two_nats, |config| {
        config.udp = transport == Transport::Udp;
        config.tcp = transport == Transport::Tcp;
    });
    assert!(trio.register());
    trio.connect(Some(transport)).unwrap();
    trio.world.run_for(Duration::from_secs(5));
    trio
}

/// The parts of a field lie inside it, in order and without overlap; leaves answer for every octet of `field`
/// but those that `gaps` allows.
fn tiles(field: &Field) {
    let mut at = field.at;
    for part in &field.parts {
        assert!(part.at >= at && part.at + part.length <= field.at + field.length, "{part:?} in {field:?}");
        at = part.at + part.length;
        tiles(part);
    }
}

fn leaves(field: &Field) -> usize {
    if field.parts.is_empty() { field.length } else { field.parts.iter().map(leaves).sum() }
}

#[test]
fn the_fields_of_every_packet_lie_one_after_the_other_and_cover_it() {
    let trio = run(Transport::Udp);
    let mut kinds = std::collections::BTreeSet::new();
    for record in trio.world.trace().records() {
        let Body::Udp(octets) = &record.packet.body else { continue };
        let field = of_packet(octets, 0).unwrap();
        tiles(&field);
        assert_eq!(field.length, octets.len(), "{field:?}");
        kinds.insert(field.name.clone());
        // Only the length in front of a list belongs to no field of its own.
        assert!(octets.len() - leaves(&field) <= 8, "{field:?}");
    }
    let wanted = ["Discover", "Discovered", "Punch", "PunchReply", "Register", "Registered", "Relayed", "Sealed"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn what_the_ends_see_is_covered_too() {
    let trio = run(Transport::Udp);
    let engines = (
        trio.world.engine::<Server>(trio.net.server),
        trio.world.engine::<Peer>(trio.net.a),
        trio.world.engine::<Peer>(trio.net.b),
    );
    let mut names = std::collections::BTreeSet::new();
    for record in trio.world.trace().records() {
        let Body::Udp(octets) = &record.packet.body else { continue };
        let Some(sealed) = sealed_in(&Packet::decode(octets).unwrap()) else { continue };
        let views = [engines.0.look_into(&sealed), engines.1.look_into(&sealed), engines.2.look_into(&sealed)];
        let Some(plaintext) = views.into_iter().flatten().next() else { continue };
        let fields = of_plaintext(&plaintext);
        assert_eq!(fields.iter().map(|field| field.length).sum::<usize>(), plaintext.len());
        fields.iter().for_each(tiles);
        names.extend(fields.into_iter().map(|field| field.name));
    }
    for name in ["PathCheck", "PathReply", "Refresh", "Refreshed", "Connect", "Introduce", "Introduced", "Answered"] {
        assert!(names.contains(name), "{name} is missing from {names:?}");
    }
    assert!(!names.contains("?"), "{names:?}");
}

#[test]
fn an_image_has_valid_checksums_and_the_packets_own_endpoints() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for record in run(transport).world.trace().records() {
            let octets = image(&record.packet).octets;
            assert_eq!(ones(&octets[..20]), 0xffff, "the sum over an IP header with its checksum");
            let mut pseudo = octets[12..20].to_vec();
            pseudo.extend([0, octets[9]]);
            pseudo.extend(u16::try_from(octets.len() - 20).unwrap().to_be_bytes());
            pseudo.extend(&octets[20..]);
            let summed = if octets[9] == 1 { &octets[20..] } else { &pseudo };
            assert_eq!(ones(summed), 0xffff, "{record:?}");
        }
    }
}

fn ones(octets: &[u8]) -> u32 {
    let mut sum: u32 =
        octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[test]
fn a_nat_changes_the_source_the_time_to_live_and_the_checksums_and_nothing_else() {
    let trio = run(Transport::Udp);
    let trace = trio.world.trace();
    let inside = trio.world.realm_of(trio.net.a);
    let outbound: Vec<_> =
        trace.sent_in(inside).filter(|record| record.packet.source.address() == topology::A).collect();
    let mut compared = 0;
    for before in outbound {
        let same = |record: &&pinhole_sim::trace::Record| {
            record.journey == before.journey && record.realm != inside && matches!(record.what, What::Sent(_))
        };
        let Some(after) = trace.records().iter().find(same) else { continue };
        let (before, after) = (image(&before.packet), image(&after.packet));
        let ranges = changed(&before.octets, &after.octets);
        assert!(
            ranges
                .iter()
                .flat_map(Clone::clone)
                .all(|at| at == 8 || (10..16).contains(&at) || (20..22).contains(&at) || (26..28).contains(&at)),
            "{ranges:?}"
        );
        assert!(ranges.iter().any(|range| range.contains(&12)), "{ranges:?}");
        compared += 1;
    }
    assert!(compared >= 5);
}
