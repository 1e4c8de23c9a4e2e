//! Packets on a stream.

use pinhole_proto::Discard;
use pinhole_proto::constants::MAX_PACKET;

use super::{Group, Suite};

pub(super) fn suite() -> Suite {
    let frame = |packet: &[u8]| {
        let length = u16::try_from(packet.len()).expect("the packet fits");
        [length.to_be_bytes().as_slice(), packet].concat()
    };
    let mut group = Group::new("Stream", "frames");
    group.canonical("Frames", "nothing arrived", &[]);
    group.canonical("Frames", "one packet of one octet", &frame(&[0x0a]));
    group.canonical("Frames", "two packets", &[frame(&[1, 2]), frame(&[3])].concat());
    group.canonical("Frames", "the longest packet", &frame(&[0x0a; MAX_PACKET]));
    group.canonical("Frames", "half a length", &[0]);
    group.canonical("Frames", "a packet and half of the next one", &[frame(&[1]), vec![0, 2, 9]].concat());
    for (comment, octets) in [
        ("a length of 0", vec![0, 0]),
        ("a length of 0 behind a packet", [frame(&[1]), vec![0, 0]].concat()),
        ("a length of 0 before a packet", [vec![0, 0], frame(&[1])].concat()),
    ] {
        group.invalid("LengthOutOfRange", comment, Discard::TooShort, &octets);
    }
    for (comment, octets) in [
        ("a length of 1,201", vec![0x04, 0xb1]),
        ("a length of 65,535", vec![0xff, 0xff]),
        ("a length of 1,201 behind a packet", [frame(&[1]), vec![0x04, 0xb1]].concat()),
        ("an HTTP request", b"GET / HTTP/1.1\r\n".to_vec()),
        ("a TLS ClientHello", vec![0x16, 0x03, 0x01, 0x02, 0x00]),
    ] {
        group.invalid("LengthOutOfRange", comment, Discard::TooLong, &octets);
    }
    Suite { name: "streams", groups: vec![group] }
}
