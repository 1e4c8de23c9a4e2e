//! The table of the fields.

use super::behaviour::Behaviour;
use super::field::{Field, Lens, Value};
use super::habits::{Dependence, FreshPort, Hairpin, OnReset, PermissionScope, Refresh, TimerScope, Unsolicited};

impl Behaviour {
    /// Every field.
    pub const FIELDS: &'static [Field] = &[
        choice("mapping", "RFC 4787 REQ-1", DEPENDENCE, |b| b.mapping as usize, |b, n| b.mapping = Dependence::ALL[n]),
        choice(
            "filtering",
            "RFC 4787 REQ-8",
            DEPENDENCE,
            |b| b.filtering as usize,
            |b, n| b.filtering = Dependence::ALL[n],
        ),
        choice(
            "permission",
            "RFC 4787 5",
            &["mapping", "internal-endpoint"],
            |b| b.permission as usize,
            |b, n| b.permission = PermissionScope::ALL[n],
        ),
        flag("preserve-port", "RFC 4787 4.2.1", |b| &mut b.preserve_port),
        choice(
            "fresh-port",
            "RFC 4787 4.2.1",
            &["sequential", "random"],
            |b| b.fresh_port as usize,
            |b, n| b.fresh_port = FreshPort::ALL[n],
        ),
        Field {
            name: "first-port",
            source: "draft 3.4",
            lens: Lens::Port(|b| &mut b.first_port),
            samples: &[Value::Number(1024), Value::Number(62_000)],
        },
        Field {
            name: "ports",
            source: "RFC 4787 4.2.1",
            lens: Lens::Ports(|b| &mut b.ports),
            samples: &[Value::Ports(1024, 65_535), Value::Ports(1, 65_535), Value::Ports(1024, 62_100)],
        },
        choice(
            "hairpin",
            "RFC 4787 REQ-9",
            &["none", "external-source", "internal-source"],
            |b| b.hairpin as usize,
            |b, n| b.hairpin = Hairpin::ALL[n],
        ),
        flag("hairpin-filtered", "RFC 4787 6", |b| &mut b.hairpin_filtered),
        span("udp-idle-ms", "RFC 4787 REQ-5", |b| &mut b.udp_idle),
        span("tcp-transitory-idle-ms", "RFC 5382 REQ-5", |b| &mut b.tcp_transitory_idle),
        span("tcp-established-idle-ms", "RFC 5382 REQ-5", |b| &mut b.tcp_established_idle),
        choice(
            "refresh",
            "RFC 4787 REQ-6",
            &["outbound", "inbound", "both"],
            |b| b.refresh as usize,
            |b, n| b.refresh = Refresh::ALL[n],
        ),
        choice(
            "timer",
            "RFC 4787 4.3",
            &["mapping", "session"],
            |b| b.timer as usize,
            |b, n| b.timer = TimerScope::ALL[n],
        ),
        choice(
            "unsolicited-syn",
            "RFC 5382 REQ-4",
            &["drop", "reset", "icmp"],
            |b| b.unsolicited_syn as usize,
            |b, n| b.unsolicited_syn = Unsolicited::ALL[n],
        ),
        choice("reset", "RFC 7857 2.2", &["keep", "forget"], |b| b.reset as usize, |b, n| b.reset = OnReset::ALL[n]),
        maybe_span("spoiled-by-early-ms", "RFC 4787 REQ-11", |b| &mut b.spoiled_by_early),
        flag("block-udp", "draft 6.4", |b| &mut b.block_udp),
    ];
}

const DEPENDENCE: &[&str] = &["endpoint-independent", "address-dependent", "address-and-port-dependent"];

const fn flag(name: &'static str, source: &'static str, at: fn(&mut Behaviour) -> &mut bool) -> Field {
    Field { name, source, lens: Lens::Flag(at), samples: &[] }
}

const fn choice(
    name: &'static str,
    source: &'static str,
    names: &'static [&'static str],
    get: fn(&Behaviour) -> usize,
    set: fn(&mut Behaviour, usize),
) -> Field {
    Field { name, source, lens: Lens::Choice { names, get, set }, samples: &[] }
}

const fn span(
    name: &'static str,
    source: &'static str,
    at: fn(&mut Behaviour) -> &mut pinhole_proto::Duration,
) -> Field {
    Field { name, source, lens: Lens::Span(1, at), samples: SPANS }
}

const fn maybe_span(
    name: &'static str,
    source: &'static str,
    at: fn(&mut Behaviour) -> &mut Option<pinhole_proto::Duration>,
) -> Field {
    Field { name, source, lens: Lens::MaybeSpan(at), samples: MAYBE_SPANS }
}

/// The worst timeout that the texts report, the floors and the defaults of the RFCs.
const SPANS: &[Value<'static>] = &[
    Value::Number(20_000),
    Value::Number(120_000),
    Value::Number(240_000),
    Value::Number(300_000),
    Value::Number(7_440_000),
];
const MAYBE_SPANS: &[Value<'static>] = &[Value::Nothing, Value::Number(10_000), Value::Number(30_000)];
