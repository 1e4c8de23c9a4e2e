//! The table of the fields.

use pinhole_proto::Duration;

use super::behaviour::Behaviour;
use super::field::{Field, Lens, Value};
use super::habits::{
    CounterScope, Dependence, FreshPort, Hairpin, Ipv6, Kind, OnConflict, OnFull, OnIcmp, OnReboot, OnReset,
    Overloading, PermissionScope, Pooling, PortRanges, Refresh, SimultaneousOpen, TimerScope, Translation, Unsolicited,
    UnsolicitedDatagram,
};

impl Behaviour {
    /// Every field.
    pub const FIELDS: &'static [Field] = &[
        choice(
            "translation",
            "draft 2",
            &["napt", "basic", "firewall"],
            |b| b.translation as usize,
            |b, n| b.translation = Translation::ALL[n],
        ),
        choice("ipv6", "draft 2", &["drop", "filter", "pass"], |b| b.ipv6 as usize, |b, n| b.ipv6 = Ipv6::ALL[n]),
        flag("block-udp", "draft 6.4", |b| &mut b.block_udp),
        choice("mapping", "RFC 4787 REQ-1", DEPENDENCE, |b| b.mapping as usize, |b, n| b.mapping = Dependence::ALL[n]),
        choice(
            "tcp-mapping",
            "RFC 5382 REQ-1",
            TCP_KIND,
            |b| b.tcp_mapping.map_or(0, |kind| kind as usize + 1),
            |b, n| b.tcp_mapping = n.checked_sub(1).map(|n| Kind::ALL[n]),
        ),
        choice(
            "filtering",
            "RFC 4787 REQ-8",
            DEPENDENCE,
            |b| b.filtering as usize,
            |b, n| b.filtering = Dependence::ALL[n],
        ),
        choice(
            "tcp-filtering",
            "RFC 5382 REQ-3",
            TCP_KIND,
            |b| b.tcp_filtering.map_or(0, |kind| kind as usize + 1),
            |b, n| b.tcp_filtering = n.checked_sub(1).map(|n| Kind::ALL[n]),
        ),
        choice(
            "permission",
            "RFC 4787 5",
            &["mapping", "internal-endpoint"],
            |b| b.permission as usize,
            |b, n| b.permission = PermissionScope::ALL[n],
        ),
        flag("turns-symmetric", "RFC 4787 REQ-11", |b| &mut b.turns_symmetric),
        flag("preserve-port", "draft 5.3.1", |b| &mut b.preserve_port),
        choice(
            "conflict",
            "RFC 4787 4.2.1",
            &["another-port", "another-address"],
            |b| b.conflict as usize,
            |b, n| b.conflict = OnConflict::ALL[n],
        ),
        choice(
            "overloading",
            "RFC 4787 REQ-3",
            &["never", "other-remotes", "always"],
            |b| b.overloading as usize,
            |b, n| b.overloading = Overloading::ALL[n],
        ),
        flag("preserve-parity", "RFC 4787 REQ-4", |b| &mut b.preserve_parity),
        flag("contiguous", "RFC 4787 4.2.3", |b| &mut b.contiguous),
        choice(
            "port-ranges",
            "RFC 4787 REQ-3a",
            &["one", "two", "three"],
            |b| b.port_ranges as usize,
            |b, n| b.port_ranges = PortRanges::ALL[n],
        ),
        choice(
            "fresh-port",
            "RFC 4787 4.2.1",
            &["sequential", "random"],
            |b| b.fresh_port as usize,
            |b, n| b.fresh_port = FreshPort::ALL[n],
        ),
        other(
            "first-port",
            "draft 3.4",
            Lens::Number16(|b| &mut b.first_port),
            &[Value::Number(1024), Value::Number(62_000)],
        ),
        other(
            "port-step",
            "draft 3.4",
            Lens::Number16(|b| &mut b.port_step),
            &[Value::Number(1), Value::Number(2), Value::Number(7)],
        ),
        choice(
            "counter",
            "draft 3.4",
            &["nat", "host"],
            |b| b.counter as usize,
            |b, n| b.counter = CounterScope::ALL[n],
        ),
        other(
            "ports",
            "RFC 4787 4.2.1",
            Lens::Ports(|b| &mut b.ports),
            &[Value::Ports(1024, 65_535), Value::Ports(1, 65_535), Value::Ports(1024, 62_100)],
        ),
        other(
            "block",
            "draft 5.2",
            Lens::MaybeNumber16(|b| &mut b.block),
            &[Value::Nothing, Value::Number(16), Value::Number(2048)],
        ),
        other(
            "blocks-per-host",
            "RFC 6888",
            Lens::Number16(|b| &mut b.blocks_per_host),
            &[Value::Number(1), Value::Number(4)],
        ),
        other(
            "one-to-many",
            "draft 5.2",
            Lens::MaybePorts(|b| &mut b.one_to_many),
            &[Value::Nothing, Value::Ports(40_000, 49_999)],
        ),
        other(
            "one-to-many-for",
            "draft 5.2",
            Lens::Ports(|b| &mut b.one_to_many_for),
            &[Value::Ports(0, 65_535), Value::Ports(4321, 4653)],
        ),
        span("reuse-delay-ms", "RFC 6888", 0, &[Value::Number(0), Value::Number(120_000)], |b| &mut b.reuse_delay),
        choice(
            "pooling",
            "RFC 4787 REQ-2",
            &["paired", "arbitrary"],
            |b| b.pooling as usize,
            |b, n| b.pooling = Pooling::ALL[n],
        ),
        choice(
            "hairpin",
            "RFC 4787 REQ-9",
            &["none", "external-source", "internal-source"],
            |b| b.hairpin as usize,
            |b, n| b.hairpin = Hairpin::ALL[n],
        ),
        flag("hairpin-filtered", "RFC 4787 REQ-9", |b| &mut b.hairpin_filtered),
        span("udp-idle-ms", "RFC 4787 REQ-5", 1, SPANS, |b| &mut b.udp_idle),
        maybe_span("udp-idle-well-known-ms", "RFC 4787 REQ-5a", MAYBE_SPANS, |b| &mut b.udp_idle_well_known),
        maybe_span("udp-idle-unanswered-ms", "RFC 4787 REQ-5", MAYBE_SPANS, |b| &mut b.udp_idle_unanswered),
        span("tcp-transitory-idle-ms", "RFC 5382 REQ-5", 1, SPANS, |b| &mut b.tcp_transitory_idle),
        maybe_span("tcp-closing-idle-ms", "RFC 7857", MAYBE_SPANS, |b| &mut b.tcp_closing_idle),
        span("tcp-established-idle-ms", "RFC 5382 REQ-5", 1, SPANS, |b| &mut b.tcp_established_idle),
        maybe_span("lifetime-ms", "draft 4.5", MAYBE_SPANS, |b| &mut b.lifetime),
        choice(
            "refresh",
            "RFC 4787 REQ-6",
            &["outbound", "inbound", "both"],
            |b| b.refresh as usize,
            |b, n| b.refresh = Refresh::ALL[n],
        ),
        flag("refresh-by-errors", "RFC 7857", |b| &mut b.refresh_by_errors),
        choice(
            "timer",
            "RFC 4787 4.3",
            &["mapping", "session"],
            |b| b.timer as usize,
            |b, n| b.timer = TimerScope::ALL[n],
        ),
        choice(
            "icmp",
            "RFC 4787 REQ-12",
            &["keep", "forget", "drop"],
            |b| b.icmp as usize,
            |b, n| b.icmp = OnIcmp::ALL[n],
        ),
        choice(
            "reset",
            "RFC 7857",
            &["keep", "forget", "forget-unanswered"],
            |b| b.reset as usize,
            |b, n| b.reset = OnReset::ALL[n],
        ),
        choice(
            "unsolicited-datagram",
            "RFC 4787 5",
            &["drop", "icmp"],
            |b| b.unsolicited_datagram as usize,
            |b, n| b.unsolicited_datagram = UnsolicitedDatagram::ALL[n],
        ),
        choice(
            "unsolicited-syn",
            "RFC 5382 REQ-4",
            &["drop", "reset", "icmp", "icmp-delayed", "let-in"],
            |b| b.unsolicited_syn as usize,
            |b, n| b.unsolicited_syn = Unsolicited::ALL[n],
        ),
        span("syn-grace-ms", "RFC 5382 REQ-4", 1, &[Value::Number(1000), Value::Number(6000)], |b| &mut b.syn_grace),
        maybe_span("spoiled-by-early-ms", "RFC 4787 REQ-11", MAYBE_SPANS, |b| &mut b.spoiled_by_early),
        maybe_span("spoiled-by-early-syn-ms", "RFC 4787 REQ-11", MAYBE_SPANS, |b| &mut b.spoiled_by_early_syn),
        choice(
            "simultaneous-open",
            "RFC 5382 REQ-2a",
            &["supported", "inbound-syn-refused", "outbound-syn-ack-dropped"],
            |b| b.simultaneous_open as usize,
            |b, n| b.simultaneous_open = SimultaneousOpen::ALL[n],
        ),
        other(
            "max-mappings",
            "RFC 6888",
            Lens::Number32(|b| &mut b.max_mappings),
            &[Value::Number(4), Value::Number(65_536)],
        ),
        other(
            "max-mappings-per-host",
            "RFC 6888",
            Lens::Number32(|b| &mut b.max_mappings_per_host),
            &[Value::Number(2), Value::Number(65_536)],
        ),
        choice("full", "RFC 6888", &["refuse", "evict-oldest"], |b| b.full as usize, |b, n| b.full = OnFull::ALL[n]),
        choice(
            "reboot",
            "draft 3.4",
            &["begin-anew", "resume"],
            |b| b.reboot as usize,
            |b, n| b.reboot = OnReboot::ALL[n],
        ),
        flag("rewrite-payload", "RFC 4787 REQ-10", |b| &mut b.rewrite_payload),
    ];
}

const DEPENDENCE: &[&str] = &["endpoint-independent", "address-dependent", "address-and-port-dependent"];
const TCP_KIND: &[&str] =
    &["as-udp", "endpoint-independent", "address-dependent", "address-and-port-dependent", "connection-dependent"];

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
    low: u64,
    samples: &'static [Value<'static>],
    at: fn(&mut Behaviour) -> &mut Duration,
) -> Field {
    Field { name, source, lens: Lens::Span(low, at), samples }
}

const fn maybe_span(
    name: &'static str,
    source: &'static str,
    samples: &'static [Value<'static>],
    at: fn(&mut Behaviour) -> &mut Option<Duration>,
) -> Field {
    Field { name, source, lens: Lens::MaybeSpan(at), samples }
}

const fn other(name: &'static str, source: &'static str, lens: Lens, samples: &'static [Value<'static>]) -> Field {
    Field { name, source, lens, samples }
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
