//! What tests are about, and the requirements that they test.

pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    pub(super) description: &'static str,
    pub(super) req: &'static [&'static str],
}

const fn flag(
    name: &'static str,
    class: &'static str,
    req: &'static [&'static str],
    description: &'static str,
) -> Flag {
    Flag { name, class, description, req }
}

pub(super) const FLAGS: [Flag; 39] = [
    flag("AssociatedData", "CRYPTO", &["R-SEC-031", "R-SEC-032"], "The header is authenticated with the ciphertext."),
    flag(
        "BooleanOutOfRange",
        "CANONICAL",
        &["R-WIRE-024"],
        "A boolean or the octet before an optional value is neither 0 nor 1.",
    ),
    flag("DialBack", "NORMAL", &["R-BEH-005", "R-BEH-006"], "What became of a dial that a stream asked for."),
    flag("BoundaryList", "LIMIT", &["R-WIRE-022"], "A list has its greatest length."),
    flag(
        "BoundarySize",
        "LIMIT",
        &["R-WIRE-002", "R-WIRE-007"],
        "A packet has the greatest or the only length of its kind.",
    ),
    flag("CodeOpen", "EXTENSIBILITY", &["R-WIRE-026"], "A code that no registry assigns is decoded."),
    flag("CountedOverrun", "STRUCTURE", &["R-WIRE-009"], "A counted part claims more octets than follow."),
    flag("DuplicateExtension", "CANONICAL", &["R-WIRE-031"], "One type of extension twice."),
    flag("EmptyList", "RANGE", &["R-DISC-003", "R-DISC-008"], "A list that has to name something is empty."),
    flag("EndpointFamily", "RANGE", &["R-WIRE-025"], "An endpoint's family is neither 4 nor 6."),
    flag("ExtensionOverrun", "STRUCTURE", &["R-WIRE-031"], "An extension is cut short."),
    flag("Frames", "STRUCTURE", &["R-WIRE-050"], "Packets on a stream."),
    flag("Grease", "EXTENSIBILITY", &["R-WIRE-040"], "A value that is reserved so that nobody relies on its absence."),
    flag(
        "HandshakeTampered",
        "CRYPTO",
        &["R-SEC-001", "R-SEC-002"],
        "A handshake message was changed or belongs to another handshake.",
    ),
    flag("IgnorableExtension", "EXTENSIBILITY", &["R-WIRE-033"], "An unknown extension that may be ignored."),
    flag(
        "KeyNotCanonical",
        "CRYPTO",
        &["R-TERM-001", "R-WIRE-027"],
        "A public key at or above 2^255-19: a second spelling of another key.",
    ),
    flag("KeyWeak", "CRYPTO", &["R-TERM-002", "R-WIRE-027"], "A public key of small order."),
    flag("KindUnknown", "STRUCTURE", &["R-WIRE-005"], "A kind of packet that version 1 does not have."),
    flag("LengthOutOfRange", "STRUCTURE", &["R-WIRE-052"], "A length on a stream that no packet has."),
    flag("ListTooLong", "LIMIT", &["R-WIRE-022"], "A list claims more elements than its maximum."),
    flag("MagicWrong", "STRUCTURE", &["R-DISC-001"], "The magic is not PNCH."),
    flag("Mapped", "CANONICAL", &["R-WIRE-025"], "An IPv4-mapped IPv6 address: a second spelling of an IPv4 endpoint."),
    flag("MessageTooShort", "STRUCTURE", &["R-WIRE-041", "R-WIRE-042"], "A message is cut short before its body."),
    flag(
        "MessageUnknown",
        "EXTENSIBILITY",
        &["R-WIRE-043", "R-WIRE-044"],
        "A message code that version 1 does not have.",
    ),
    flag("Minimal", "NORMAL", &["R-WIRE-020"], "The shortest of its kind, or close to it."),
    flag("Ordinary", "NORMAL", &["R-WIRE-020"], "What an implementation sends every day."),
    flag(
        "OverlongInteger",
        "CANONICAL",
        &["R-WIRE-020", "R-WIRE-021"],
        "An integer or a length has more octets than it needs, or more value than its type.",
    ),
    flag("PaddingNotZero", "CANONICAL", &["R-WIRE-012"], "Padding that is not zero."),
    flag("Proof", "CRYPTO", &["R-PUNCH-001"], "The proof of a Punch."),
    flag("ReplyFromOutOfRange", "RANGE", &["R-DISC-003"], "A bit of reply from that no version defines."),
    flag("ReservedNotZero", "CANONICAL", &["R-WIRE-008"], "Reserved octets that are not zero."),
    flag(
        "Sealing",
        "CRYPTO",
        &["R-SEC-030", "R-SEC-031"],
        "A sealed packet made from a key, a counter and a plaintext.",
    ),
    flag(
        "SizeWrong",
        "STRUCTURE",
        &["R-WIRE-002", "R-WIRE-004", "R-WIRE-007", "R-WIRE-010"],
        "A packet is longer or shorter than its kind may be.",
    ),
    flag("Trailing", "CANONICAL", &["R-WIRE-030", "R-WIRE-031"], "Octets behind the body that are no extension."),
    flag(
        "Truncated",
        "STRUCTURE",
        &["R-WIRE-020", "R-WIRE-023"],
        "The body is cut short and the lengths around it say so.",
    ),
    flag("UnknownCriticalExtension", "EXTENSIBILITY", &["R-WIRE-032"], "An unknown extension that must be understood."),
    flag("UnsortedExtension", "CANONICAL", &["R-WIRE-031"], "Types of extensions that do not ascend."),
    flag("VersionUnsupported", "EXTENSIBILITY", &["R-WIRE-006"], "A version that this kind of packet does not have."),
    flag("ZeroSecret", "CRYPTO", &["R-SEC-003"], "A Diffie-Hellman result of all zeros."),
];

/// The requirements that a flag stands for.
pub(super) fn requirements(name: &str) -> &'static [&'static str] {
    FLAGS.iter().find(|flag| flag.name == name).unwrap_or_else(|| panic!("no flag {name}")).req
}
