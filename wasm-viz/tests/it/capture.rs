//! The capture file of every scenario, read by Wireshark's own dissectors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use pinhole_sim::scenario;
use pinhole_viz::hops::Hops;
use pinhole_viz::page::Page;

/// What `tshark` finds out about a packet.
struct Seen {
    interface: String,
    comment: String,
    /// The sums of the IP, UDP and TCP header that it found wrong.
    bad_sums: usize,
    malformed: bool,
}

const FIELDS: [&str; 6] = [
    "frame.interface_name",
    "frame.comment",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "_ws.malformed",
];

/// Reads a capture file; none where there is no `tshark`, which is an error where everything is to be checked.
fn read(name: &str, octets: &[u8]) -> Option<Vec<Seen>> {
    let path: PathBuf = std::env::temp_dir().join(format!("pinhole-{}-{name}.pcapng", std::process::id()));
    std::fs::write(&path, octets).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "fields", "-E", "separator=\u{1f}", "-r"]).arg(&path);
    for check in ["ip.check_checksum", "udp.check_checksum", "tcp.check_checksum"] {
        tshark.args(["-o", &format!("{check}:TRUE")]);
    }
    tshark.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = tshark.output();
    std::fs::remove_file(&path).unwrap();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var("CI").is_err(), "tshark: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(seen).collect())
}

fn seen(line: &str) -> Seen {
    let fields: Vec<&str> = line.split('\u{1f}').collect();
    assert_eq!(fields.len(), FIELDS.len(), "{line}");
    // An ICMP error quotes a packet with the sums of the packet's own path: 1 is good, 2 is not looked at.
    let bad = |field: &&&str| field.split(',').next() == Some("0");
    Seen {
        interface: fields[0].to_owned(),
        comment: fields[1].to_owned(),
        bad_sums: fields[2..5].iter().filter(bad).count(),
        malformed: !fields[5].is_empty(),
    }
}

#[test]
fn wireshark_reads_every_scenario_without_a_complaint() {
    let mut tcp = 0;
    for (name, _) in scenario::ALL {
        let page = Page::open(&format!("#v=1&s={name}&i=0"));
        let Some(packets) = read(name, &page.capture().unwrap()) else { return };
        assert!(!packets.is_empty(), "{name}");
        for packet in &packets {
            assert_eq!((packet.bad_sums, packet.malformed), (0, false), "{name} {}", packet.interface);
        }
        assert!(packets.iter().any(|packet| packet.comment.contains("time-to-live held: ")), "{name} has no receipts");
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for packet in packets {
            *found.entry(packet.interface).or_default() += 1;
        }
        assert_eq!(found, hops(&page), "{name}");
        tcp += usize::from(name.starts_with("f10"));
    }
    assert!(tcp > 0);
}

/// What passes each place of capture: the hops that begin there and those that end there.
fn hops(page: &Page) -> BTreeMap<String, usize> {
    let run = page.current().run();
    let world = page.current().world();
    let mut counts = BTreeMap::new();
    for hop in Hops::of(run).all() {
        let realm = world.trace().realm_name(run.records()[hop.record].realm);
        let ends = [Some(hop.from), hop.to.filter(|_| hop.arrival.is_some())];
        for place in ends.into_iter().flatten() {
            *counts.entry(format!("{} ({realm})", world.trace().name(place))).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_sum_that_is_wrong_is_noticed() {
    let page = Page::open("#v=1&s=f1-cone-nat&i=0");
    let mut octets = page.capture().unwrap();
    // The first source address: the sum over its header is another one then.
    let at = octets.windows(4).position(|window| window == [10, 0, 0, 1]).unwrap();
    octets[at + 3] ^= 1;
    if let Some(packets) = read("broken", &octets) {
        assert!(packets.iter().any(|packet| packet.bad_sums > 0));
    }
}
