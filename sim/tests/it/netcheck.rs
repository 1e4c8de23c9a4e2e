//! What a check says of a NAT, against the NAT's own configuration.

use pinhole_proto::constants::MAX_SILENCE;
use pinhole_proto::netcheck::{self, NatReport, NetCheck, NetCheckConfig, NetCheckEvent, Property, Report};
use pinhole_proto::peer::{Certainty, PathKind};
use pinhole_proto::{Duration, Endpoint, Transport};
use pinhole_sim::nat::{Dependence, FreshPort, Hairpin, Kind, PermissionScope, Translation, Unsolicited};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::{PeerSaid, Trio};
use pinhole_sim::{Behaviour, Chance, Effect, EngineNode, Fault, HostId, Line, Pick, Topology, World, profile, worlds};

/// The report of a check from A, behind a NAT that behaves so.
fn check(seed: u64, behaviour: Behaviour, (udp, tcp): (bool, bool)) -> Report {
    let (mut world, host) = world(seed, behaviour, (udp, tcp));
    report(&mut world, host)
}

fn world(seed: u64, behaviour: Behaviour, transports: (bool, bool)) -> (World, HostId) {
    planned(seed, &Plan { nat_a: behaviour, ..Plan::default() }, transports)
}

fn planned(seed: u64, plan: &Plan, transports: (bool, bool)) -> (World, HostId) {
    let mut world = World::new(seed);
    let net = topology::two_nats(&mut world, plan);
    let host = begin(&mut world, net, transports);
    (world, host)
}

fn begin(world: &mut World, net: Topology, (udp, tcp): (bool, bool)) -> HostId {
    let config =
        NetCheckConfig { server: Endpoint::new(topology::SERVER, 1234), udp, tcp, port: 0, longest_silence: None };
    begin_as(world, net, &config)
}

/// Starts a check of this kind at A, and a server.
pub(crate) fn begin_as(world: &mut World, net: Topology, config: &NetCheckConfig) -> HostId {
    worlds::start_server(world, net.server);
    let engine = NetCheck::new(config, world.engine_seed(), world.now());
    world.start(net.a, EngineNode::new(engine, |event: NetCheckEvent| Some(event)));
    net.a
}

/// What a check finds in the end.
pub(crate) fn report(world: &mut World, host: HostId) -> Report {
    let over = world.run_while_not(LONGEST, |world| world.engine::<NetCheck>(host).is_over());
    assert!(over, "it ends");
    world
        .log::<NetCheckEvent>(host)
        .iter()
        .find_map(|(_, event)| match event {
            NetCheckEvent::Finished(report) => Some((**report).clone()),
            NetCheckEvent::Observed(_) => None,
        })
        .expect("it tells what it found")
}

/// The longest silence of a check, and time for the rest.
const LONGEST: Duration = Duration::from_secs(MAX_SILENCE.as_secs() + 60);

/// Every combination of what a check is about.
fn combinations() -> impl Iterator<Item = Behaviour> {
    let base = Behaviour::default().with_ports_from(20_000);
    let all = Dependence::ALL.into_iter().flat_map(move |mapping| {
        Dependence::ALL.into_iter().map(move |filtering| base.with_mapping(mapping).with_filtering(filtering))
    });
    let all = all.flat_map(|b| Hairpin::ALL.into_iter().map(move |hairpin| b.with_hairpin(hairpin)));
    let all = all.flat_map(|b| FreshPort::ALL.into_iter().map(move |fresh_port| Behaviour { fresh_port, ..b }));
    let all = all.flat_map(|b| [false, true].map(|preserve_port| Behaviour { preserve_port, ..b }));
    let all = all.flat_map(|b| [false, true].map(|hairpin_filtered| Behaviour { hairpin_filtered, ..b }));
    all.flat_map(|b| PermissionScope::ALL.into_iter().map(move |permission| Behaviour { permission, ..b }))
}

/// What of a NAT shows on the outside.
struct Visible {
    permission: bool,
    /// A packet to the own public endpoint arrives as it is, or after the other port has sent.
    plain: bool,
    prepared: bool,
    /// That none arrives has one reason only.
    no_hairpin: bool,
    allocation: bool,
}

fn visible(b: &Behaviour) -> Visible {
    let independent = b.mapping == Dependence::EndpointIndependent;
    let open = b.filtering == Dependence::EndpointIndependent;
    let plain = b.hairpin != Hairpin::None && (!b.hairpin_filtered || open);
    // Behind several mappings the one packet that arrives is admitted for the address that both share.
    let shared = b.permission == PermissionScope::InternalEndpoint && b.filtering == Dependence::AddressDependent;
    Visible {
        permission: !independent && !open,
        plain,
        prepared: b.hairpin != Hairpin::None && !plain && (independent || shared),
        no_hairpin: independent || open,
        allocation: !b.preserve_port || !independent,
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, b: &Behaviour, found: &Property<T>, true_value: Option<T>) {
    assert_eq!(found.value, true_value, "{what} of {b:?}");
    assert_eq!(found.value.is_none(), found.certainty == Certainty::Unknown, "{what} of {b:?}");
}

fn dependence(value: Dependence) -> netcheck::Dependence {
    match value {
        Dependence::EndpointIndependent => netcheck::Dependence::EndpointIndependent,
        Dependence::AddressDependent => netcheck::Dependence::AddressDependent,
        Dependence::AddressAndPortDependent => netcheck::Dependence::AddressAndPortDependent,
    }
}

fn compare(b: &Behaviour, found: &NatReport) {
    assert!(found.reachable);
    let visible = visible(b);
    same("filtering", b, &found.filtering, Some(dependence(b.filtering)));
    let permission = match b.permission {
        PermissionScope::Mapping => netcheck::PermissionScope::Mapping,
        PermissionScope::InternalEndpoint => netcheck::PermissionScope::InternalEndpoint,
    };
    same("permission", b, &found.permission, visible.permission.then_some(permission));
    let hairpin = match b.hairpin {
        Hairpin::None => visible.no_hairpin.then_some(netcheck::Hairpin::None),
        Hairpin::ExternalSource => Some(netcheck::Hairpin::ExternalSource),
        Hairpin::InternalSource => Some(netcheck::Hairpin::InternalSource),
    };
    let arrives = visible.plain || visible.prepared || b.hairpin == Hairpin::None;
    same("hairpin", b, &found.hairpin, hairpin.filter(|_| arrives));
    if found.hairpin.value == Some(netcheck::Hairpin::None) {
        assert_eq!(found.hairpin.certainty, Certainty::Consistent);
    }
    let open = b.filtering == Dependence::EndpointIndependent;
    let filtered = (visible.plain && !open).then_some(false).or_else(|| visible.prepared.then_some(true));
    same("hairpin filter", b, &found.hairpin_filtered, filtered);
    same("look-alikes", b, &found.look_alikes, Some(false));
    same("unsolicited SYN", b, &found.unsolicited_syn, None);
    alike(b, found);
}

/// What shows over both transports alike.
fn alike(b: &Behaviour, found: &NatReport) {
    same("translation", b, &found.translated, Some(true));
    same("mapping", b, &found.mapping, Some(dependence(b.mapping)));
    same("preservation", b, &found.port_preservation, Some(b.preserve_port));
    let allocation = match b.fresh_port {
        FreshPort::Sequential => netcheck::Allocation::Sequential { first: b.first_port, step: 1 },
        FreshPort::Random => netcheck::Allocation::Random,
    };
    same("allocation", b, &found.allocation, visible(b).allocation.then_some(allocation));
}

fn compare_tcp(b: &Behaviour, found: &NatReport) {
    assert!(found.reachable);
    alike(b, found);
    let independent = b.mapping == Dependence::EndpointIndependent;
    let open = b.filtering == Dependence::EndpointIndependent;
    let refuses = b.unsolicited_syn != Unsolicited::Drop;
    // Behind several mappings the answer to a SYN leaves by another one than the SYN came by.
    let filtering = match (b.mapping, b.filtering) {
        (Dependence::EndpointIndependent, _) => true,
        (Dependence::AddressDependent, Dependence::AddressAndPortDependent) => true,
        (Dependence::AddressDependent, Dependence::AddressDependent) => refuses,
        (Dependence::AddressAndPortDependent, Dependence::AddressAndPortDependent) => refuses,
        (_, _) => false,
    };
    same("filtering", b, &found.filtering, filtering.then_some(dependence(b.filtering)));
    same("permission", b, &found.permission, None);
    let answer = if refuses { netcheck::Unsolicited::Refused } else { netcheck::Unsolicited::Dropped };
    // Where one of the two dials is refused or known to be dropped.
    let met = match b.mapping {
        Dependence::EndpointIndependent => !open,
        Dependence::AddressDependent => !open && (refuses || b.filtering == Dependence::AddressAndPortDependent),
        Dependence::AddressAndPortDependent => !open && refuses,
    };
    same("unsolicited SYN", b, &found.unsolicited_syn, met.then_some(answer));
    let hairpin = match b.hairpin {
        // The answer of the one that was called goes past the NAT.
        Hairpin::None | Hairpin::InternalSource => netcheck::Hairpin::None,
        Hairpin::ExternalSource => netcheck::Hairpin::ExternalSource,
    };
    same("hairpin", b, &found.hairpin, independent.then_some(hairpin));
    if found.hairpin.value == Some(netcheck::Hairpin::None) {
        assert_eq!(found.hairpin.certainty, Certainty::Consistent);
    }
    let arrives = independent && b.hairpin == Hairpin::ExternalSource;
    let filtered = if !arrives {
        None
    } else if visible(b).plain {
        (!open).then_some(false)
    } else {
        Some(true)
    };
    same("hairpin filter", b, &found.hairpin_filtered, filtered);
    same("look-alikes", b, &found.look_alikes, None);
}

#[test]
fn over_udp_a_check_says_of_every_nat_what_it_is_or_that_it_cannot_be_seen() {
    let mut count = 0;
    for (seed, behaviour) in (1..).zip(combinations()) {
        let found = check(seed, behaviour, (true, false));
        compare(&behaviour, found.udp.as_ref().unwrap());
        assert!(found.tcp.is_none());
        count += 1;
    }
    assert_eq!(count, 3 * 3 * 3 * 2 * 2 * 2 * 2);
}

#[test]
fn over_tcp_a_check_says_of_every_nat_what_it_is_or_that_it_cannot_be_seen() {
    for (seed, behaviour) in (1..).zip(combinations().filter(|b| b.permission == PermissionScope::Mapping)) {
        for answer in [Unsolicited::Drop, Unsolicited::Reset, Unsolicited::Icmp] {
            let behaviour = behaviour.with_unsolicited_syn(answer);
            let found = check(seed, behaviour, (false, true));
            compare_tcp(&behaviour, found.tcp.as_ref().unwrap());
            assert!(found.udp.is_none());
        }
    }
}

#[test]
fn the_profile_of_a_nat_behaves_as_the_nat_did() {
    let round_trip = |seed, behaviour, transports| {
        let first = profile::behaviour(&check(seed, behaviour, transports));
        let again = profile::behaviour(&check(seed + 1_000, first, transports));
        assert_eq!(first, again, "of {behaviour:?}");
        let json = serde_json::to_string(&first).unwrap();
        assert_eq!(serde_json::from_str::<Behaviour>(&json).unwrap(), first);
        first
    };
    for (seed, behaviour) in (1..).zip(combinations()) {
        let behaviour = behaviour.with_unsolicited_syn([Unsolicited::Drop, Unsolicited::Reset][seed as usize % 2]);
        round_trip(seed, behaviour, (true, seed % 5 == 0));
    }
    let both = |seed, behaviour| round_trip(seed, behaviour, (true, true));
    // What shows completely comes back as it was.
    let plain = Behaviour {
        tcp_filtering: Some(Kind::AddressAndPortDependent),
        rewrite_payload: true,
        port_step: 3,
        hairpin_filtered: false,
        ..Behaviour::address_restricted().with_ports_from(31_000).with_hairpin(Hairpin::ExternalSource)
    };
    assert_eq!(both(7, plain.with_unsolicited_syn(Unsolicited::Reset)), plain.with_unsolicited_syn(Unsolicited::Reset));
    let differs = Behaviour { tcp_mapping: Some(Kind::AddressDependent), rewrite_payload: false, ..plain };
    assert_eq!(both(8, differs), differs);
    // Ports that go down are ports that go up nearly all the way round.
    let down = Behaviour { port_step: 64_511, ..plain.with_unsolicited_syn(Unsolicited::Reset) };
    assert_eq!(down.ports, (1_024, 65_535));
    assert_eq!(both(9, down), down);
}

#[test]
fn look_alikes_that_are_rewritten_are_found() {
    for (seed, rewrite_payload) in [(1, true), (2, false)] {
        let report = check(seed, Behaviour { rewrite_payload, ..Behaviour::default() }, (true, false));
        let found = report.udp.unwrap().look_alikes;
        assert_eq!((found.value, found.certainty), (Some(rewrite_payload), Certainty::Proved));
    }
}

/// Another public port is no rewriting, and what was seen at two public endpoints tells nothing of mappings.
#[test]
fn a_nat_that_forgets_in_the_course_of_a_check_is_not_said_to_be_what_it_is_not() {
    let behaviour = Behaviour { udp_idle: Duration::from_millis(500), ..Behaviour::port_restricted() };
    let report = check(1, behaviour, (true, false)).udp.unwrap();
    assert_eq!((report.look_alikes.value, report.mapping.value), (Some(false), None));
}

#[test]
fn without_a_nat_nothing_is_translated_or_filtered_and_no_hairpin_is_tried() {
    let mut world = World::new(1);
    let net = topology::both_public(&mut world, &Plan::default());
    let host = begin(&mut world, net, (true, true));
    let report = report(&mut world, host);
    for found in [report.udp.as_ref().unwrap(), report.tcp.as_ref().unwrap()] {
        let b = Behaviour::default();
        same("translation", &b, &found.translated, Some(false));
        same("mapping", &b, &found.mapping, Some(netcheck::Dependence::EndpointIndependent));
        same("filtering", &b, &found.filtering, Some(netcheck::Dependence::EndpointIndependent));
        same("hairpin", &b, &found.hairpin, None);
        same("allocation", &b, &found.allocation, None);
        same("look-alikes", &b, &found.look_alikes, None);
        assert_eq!(found.public, found.private);
    }
    assert_eq!(profile::behaviour(&report).translation, Translation::Firewall);
}

#[test]
fn where_udp_is_blocked_tcp_tells_the_rest() {
    let blocked = Behaviour { block_udp: true, ..Behaviour::address_restricted() };
    let report = check(1, blocked, (true, true));
    let (udp, tcp) = (report.udp.as_ref().unwrap(), report.tcp.as_ref().unwrap());
    assert!(!udp.reachable && tcp.reachable);
    assert_eq!((udp.mapping.certainty, udp.public), (Certainty::Unknown, None));
    assert_eq!(profile::behaviour(&report), blocked);
}

/// Loss makes a check slower and at worst less sure.
#[test]
fn on_a_bad_line_nothing_is_proved_that_is_not_so() {
    let mut proved = 0;
    for seed in 0..60 {
        let behaviour = combinations().nth((seed * 7) as usize).unwrap();
        let line = Line::with_delay(Duration::from_millis(25)).with_loss(Chance::percent(10));
        let plan = Plan { nat_a: behaviour, line_a: line, ..Plan::default() };
        let (mut world, host) = planned(seed, &plan, (true, false));
        let found = report(&mut world, host).udp.unwrap();
        let right = |what: &str, wrong: bool, certainty: Certainty| {
            assert!(!(wrong && certainty == Certainty::Proved), "{what} of {behaviour:?}\n{:?}", found.observations);
        };
        let mapping = dependence(behaviour.mapping);
        right("mapping", found.mapping.value != Some(mapping), found.mapping.certainty);
        proved += u32::from(found.mapping.certainty == Certainty::Proved);
        right(
            "hairpin",
            matches!(
                (found.hairpin.value, behaviour.hairpin),
                (Some(netcheck::Hairpin::ExternalSource | netcheck::Hairpin::InternalSource), Hairpin::None)
            ),
            found.hairpin.certainty,
        );
        right(
            "preservation",
            found.port_preservation.value != Some(behaviour.preserve_port),
            found.port_preservation.certainty,
        );
    }
    assert!(proved > 50, "{proved}");
}

// [R-BEH-001]
#[test]
fn no_first_attempt_waits_for_a_measurement() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let after = |silent: bool| {
            let mut trio = Trio::new(5, &Plan::default(), topology::two_nats, |_| ());
            if silent {
                for alternate in
                    [Endpoint::new(topology::SERVER, 1235), Endpoint::new(topology::SERVER_ALTERNATE, 1234)]
                {
                    let pick = Pick::to(alternate);
                    let drop = Fault { pick, skip: 0, count: u32::MAX, effect: Effect::Drop };
                    trio.world.add_fault(drop).unwrap();
                }
            }
            assert!(trio.register());
            let begin = trio.world.now();
            trio.connect(Some(transport)).unwrap();
            let a = trio.net.a;
            let direct = |said: &PeerSaid| said.selected().is_some_and(|path| path.kind == PathKind::Public);
            assert!(trio.world.run_while_not(Duration::from_secs(5), |world| {
                world.log::<PeerSaid>(a).iter().any(|(_, said)| direct(said))
            }));
            trio.world.now() - begin
        };
        assert_eq!(after(true), after(false), "{transport:?}");
    }
}
