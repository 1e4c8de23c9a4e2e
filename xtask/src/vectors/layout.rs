//! A second encoder, written octet by octet from the chapters. It remembers where each field is, so that
//! every field can be spelled wrongly in every way that its type has.

use pinhole_proto::constants::MAX_VERSIONS;
use pinhole_proto::{Address, Discard, Endpoint, PublicKey};

use super::Group;

/// A body and its fields.
#[derive(Clone, Default)]
pub(super) struct Body {
    pub(super) octets: Vec<u8>,
    marks: Vec<Mark>,
}

#[derive(Clone)]
struct Mark {
    name: &'static str,
    at: usize,
    length: usize,
    field: Field,
}

#[derive(Clone, Copy)]
enum Field {
    Integer { bits: u32 },
    Length { max: usize, element: usize },
    Boolean,
    Endpoint { mask: [u8; 16] },
    Key,
}

/// One wrong spelling.
struct Wrong {
    flag: &'static str,
    comment: String,
    octets: Vec<u8>,
}

impl Body {
    pub(super) fn octet(mut self, value: u8) -> Self {
        self.octets.push(value);
        self
    }

    pub(super) fn fixed(mut self, octets: &[u8]) -> Self {
        self.octets.extend(octets);
        self
    }

    pub(super) fn integer(self, name: &'static str, bits: u32, value: u64) -> Self {
        let octets = leb128(value);
        self.marked(name, Field::Integer { bits }, &octets)
    }

    pub(super) fn boolean(self, name: &'static str, value: bool) -> Self {
        self.marked(name, Field::Boolean, &[value.into()])
    }

    pub(super) fn key(self, name: &'static str, key: &PublicKey) -> Self {
        self.marked(name, Field::Key, key.as_octets())
    }

    pub(super) fn endpoint(self, name: &'static str, endpoint: Endpoint) -> Self {
        self.masked(name, endpoint, [0; 16])
    }

    pub(super) fn masked(self, name: &'static str, endpoint: Endpoint, mask: [u8; 16]) -> Self {
        let mut octets = match endpoint.address() {
            Address::V4(v4) => [&[4], v4.octets().as_slice()].concat(),
            Address::V6(v6) => [&[6], v6.octets().as_slice()].concat(),
        };
        for (octet, mask) in octets[1..].iter_mut().zip(mask) {
            *octet ^= mask;
        }
        let port = endpoint.port().to_be_bytes();
        octets.extend([port[0] ^ mask[0], port[1] ^ mask[1]]);
        self.marked(name, Field::Endpoint { mask }, &octets)
    }

    /// The length in front of elements that follow.
    pub(super) fn length(self, name: &'static str, length: usize, max: usize, element: usize) -> Self {
        let octets = leb128(length as u64);
        self.marked(name, Field::Length { max, element }, &octets)
    }

    pub(super) fn octet_list(self, name: &'static str, octets: &[u8], max: usize) -> Self {
        self.length(name, octets.len(), max, 1).fixed(octets)
    }

    pub(super) fn versions(self, versions: &[u8]) -> Self {
        self.octet_list("versions", versions, MAX_VERSIONS)
    }

    pub(super) fn endpoints(self, name: &'static str, list: &[Endpoint], max: usize) -> Self {
        list.iter().fold(self.length(name, list.len(), max, 7), |body, &endpoint| body.endpoint(name, endpoint))
    }

    fn marked(mut self, name: &'static str, field: Field, octets: &[u8]) -> Self {
        self.marks.push(Mark { name, at: self.octets.len(), length: octets.len(), field });
        self.octets.extend(octets);
        self
    }

    /// Adds every wrong spelling of every field to `group`, framed by `frame`.
    pub(super) fn spell_wrongly(&self, group: &mut Group, what: &str, frame: impl Fn(&[u8]) -> Vec<u8>) {
        for mark in &self.marks {
            for wrong in mark.wrong() {
                let octets = [&self.octets[..mark.at], &wrong.octets, &self.octets[mark.at + mark.length..]].concat();
                group.invalid(
                    wrong.flag,
                    format!("{what}: {}: {}", mark.name, wrong.comment),
                    Discard::BodyMalformed,
                    &frame(&octets),
                );
            }
        }
    }

    /// Adds the body cut short at every octet.
    pub(super) fn cut_short(&self, group: &mut Group, what: &str, frame: impl Fn(&[u8]) -> Vec<u8>) {
        for length in 0..self.octets.len() {
            group.invalid(
                "Truncated",
                format!("{what}: {length} of {} octets of the body", self.octets.len()),
                Discard::BodyMalformed,
                &frame(&self.octets[..length]),
            );
        }
    }
}

impl Mark {
    fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = vec![];
        let mut add = |flag, comment: &str, octets: Vec<u8>| {
            wrong.push(Wrong { flag, comment: comment.into(), octets });
        };
        match self.field {
            Field::Integer { bits } => {
                add("OverlongInteger", "zero in two octets", vec![0x80, 0]);
                add("OverlongInteger", "one in three octets", vec![0x81, 0x80, 0]);
                let longest = bits.div_ceil(7) as usize;
                let mut beyond = vec![0xff; longest - 1];
                beyond.push(1 << (bits % 7));
                add("OverlongInteger", "a value beyond the type", beyond);
                add("OverlongInteger", "never ending", vec![0xff; 11]);
            }
            Field::Length { max, element } => {
                let filled = |claimed: usize| {
                    let mut octets = leb128(claimed as u64);
                    let one = if element == 7 { 4 } else { 9 };
                    octets.extend(
                        std::iter::repeat_n([one, 192, 0, 2, 9, 0, 9].as_slice(), claimed)
                            .flat_map(|endpoint| endpoint.iter().take(element)),
                    );
                    octets
                };
                if element <= 7 {
                    add("ListTooLong", "one element more than the maximum", filled(max + 1));
                }
                add("ListTooLong", "268,435,455 elements", vec![0xff, 0xff, 0xff, 0x7f]);
                add("OverlongInteger", "the length zero in two octets", vec![0x80, 0]);
                add("OverlongInteger", "the length one in seven octets", vec![0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0]);
            }
            Field::Boolean => {
                add("BooleanOutOfRange", "2", vec![2]);
                add("BooleanOutOfRange", "255", vec![0xff]);
            }
            Field::Endpoint { mask } => {
                let rest = [9; 18];
                for family in [0, 5, 10] {
                    let octets = [&[family], rest.as_slice()].concat();
                    add("EndpointFamily", &format!("family {family}"), octets);
                }
                let mut mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
                for (octet, mask) in mapped.iter_mut().zip(mask) {
                    *octet ^= mask;
                }
                let octets = [&[6], mapped.as_slice(), &[0x12, 0x2d]].concat();
                add("Mapped", "::ffff:192.0.2.1", octets);
            }
            Field::Key => {
                for (name, octets) in weak() {
                    add("KeyWeak", &format!("small order: {name}"), octets.into());
                }
                for (name, octets) in not_canonical() {
                    add("KeyNotCanonical", name, octets.into());
                }
            }
        }
        wrong
    }
}

/// The rows of `spec/registries/weak-keys.csv`.
pub(super) fn weak() -> Vec<(String, [u8; 32])> {
    let path = crate::root().join("spec/registries/weak-keys.csv");
    let text = std::fs::read_to_string(path).expect("the registry of weak keys is readable");
    text.lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split(',');
            let octets = unhex(cells.next().unwrap_or_default());
            let name = cells.next().unwrap_or_default().to_string();
            (name, octets.try_into().expect("a key has 32 octets"))
        })
        .collect()
}

/// Keys at and above 2^255-19.
pub(super) fn not_canonical() -> [(&'static str, [u8; 32]); 4] {
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    let mut nine = prime;
    nine[0] = 0xf6;
    let mut sign = [9; 32];
    sign[31] = 0x89;
    [("2^255-19", prime), ("2^255-19 plus 9", nine), ("the topmost bit set", sign), ("2^256-1", [0xff; 32])]
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("the registry holds hex"))
        .collect()
}

fn leb128(mut value: u64) -> Vec<u8> {
    let mut octets = vec![];
    while value >= 0x80 {
        octets.push(value as u8 | 0x80);
        value >>= 7;
    }
    octets.push(value as u8);
    octets
}
