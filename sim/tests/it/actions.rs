//! The alphabet of a run: a run is a function of what was built, a seed and a list of actions.

use pinhole_proto::peer::PeerEvent;
use pinhole_proto::{CommandError, Duration, Transport};
use pinhole_sim::action::{MAX_WAIT, MAX_WRITE};
use pinhole_sim::cast::octet_at;
use pinhole_sim::plain::{PlainConfig, PlainSaid};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Action, ActionError, Line, Role, World};

/// Every action once, in an order in which each succeeds.
const RUN: &str = r#"[
    {"do": "wait", "ms": 2000},
    {"do": "connect", "host": "A", "to": "B", "transport": "udp"},
    {"do": "fault", "pick": {"realm": "internet", "kind": "punch"}, "count": 2, "effect": {"delay": {"ms": 30}}},
    {"do": "wait", "ms": 3000},
    {"do": "send", "host": "A", "to": "B", "text": "hello"},
    {"do": "wait", "ms": 100},
    {"do": "set-field", "nat": "NAT A", "field": "udp-idle-ms", "value": "20000"},
    {"do": "set-nat", "nat": "NAT B", "behaviour": {"mapping": "address-dependent"}},
    {"do": "datagram", "host": "C", "port": 7, "to": "18.181.0.31:1234", "text": "stray"},
    {"do": "compete", "host": "C", "to": "18.181.0.31:9", "count": 5, "every-ms": 10},
    {"do": "dial", "host": "C", "port": 8, "to": "18.181.0.31:1234"},
    {"do": "wait", "ms": 200},
    {"do": "say", "host": "C", "port": 8, "to": "18.181.0.31:1234", "text": "no frame"},
    {"do": "hang-up", "host": "C", "port": 8, "to": "18.181.0.31:1234"},
    {"do": "cut", "machine": "B"},
    {"do": "wait", "ms": 500},
    {"do": "restore", "machine": "B"},
    {"do": "set-line", "machine": "NAT A", "line": {"up": {"delay-ms": 5, "loss-ppm": 1000}, "down": {"jitter-ms": 2}}},
    {"do": "reboot", "nat": "NAT A"},
    {"do": "set-crossing", "host": "A", "taker": "listener"},
    {"do": "set-strategies", "host": "A", "strategies": ["plain", "low-ttl"]},
    {"do": "stop", "host": "S"},
    {"do": "wait", "ms": 1000},
    {"do": "start", "host": "S"},
    {"do": "wait", "ms": 40000},
    {"do": "connect", "host": "A", "to": "B", "transport": "tcp"},
    {"do": "wait", "ms": 5000},
    {"do": "write", "host": "A", "to": "B", "octets": 1000},
    {"do": "finish", "host": "A", "to": "B"},
    {"do": "wait", "ms": 1000},
    {"do": "take", "host": "B", "to": "A"},
    {"do": "close", "host": "A", "to": "B"},
    {"do": "move", "host": "A", "realm": "internet", "addresses": ["192.0.2.9"]},
    {"do": "wait", "ms": 5000},
    {"do": "shutdown", "host": "A"},
    {"do": "wait", "ms": 1000}
]"#;

/// S, A and B, and C beside A.
fn four(seed: u64) -> Trio {
    let build = |world: &mut World, plan: &Plan| {
        let net = topology::two_nats(world, plan);
        let beside_a = world.inside(net.nat_a.expect("there are two"));
        world.add_host("C", beside_a, &["10.0.0.9".parse().expect("an address")], Line::default());
        net
    };
    let mut trio = Trio::new(seed, &Plan::default(), build, |_| {});
    let c = trio.world.host_named("C").expect("it was added");
    let config = PlainConfig { udp: vec![7], tcp: vec![8], echo: false };
    trio.cast.start(&mut trio.world, c, Role::Plain(config));
    trio
}

fn run(seed: u64, actions: &[Action]) -> Trio {
    let mut trio = four(seed);
    for action in actions {
        let done = trio.apply(action);
        assert_eq!(done, Ok(()), "{action:?}");
    }
    trio
}

#[test]
fn a_run_read_from_its_serialised_form_is_the_same_run() {
    let actions: Vec<Action> = serde_json::from_str(RUN).expect("every action reads");
    let first = run(7, &actions);
    let text = serde_json::to_string(&actions).expect("every action is data");
    let again: Vec<Action> = serde_json::from_str(&text).expect("what was written reads");
    assert_eq!(again, actions);
    assert_eq!(run(7, &again).world.trace().digest(), first.world.trace().digest());
    assert_ne!(run(8, &again).world.trace().digest(), first.world.trace().digest());
    let mut shorter = again;
    shorter.remove(2);
    assert_ne!(run(7, &shorter).world.trace().digest(), first.world.trace().digest());
}

#[test]
fn the_actions_of_applications_reach_the_other_side() {
    let actions: Vec<Action> = serde_json::from_str(RUN).expect("every action reads");
    let trio = run(7, &actions);
    let at_b = trio.said(trio.net.b);
    let is_hello = |said: &pinhole_sim::worlds::PeerSaid| {
        matches!(said.event, PeerEvent::Datagram { .. }) && said.octets == b"hello"
    };
    assert!(at_b.iter().any(|(_, said)| is_hello(said)));
    let stream: Vec<u8> = at_b
        .iter()
        .filter(|(_, said)| matches!(said.event, PeerEvent::Stream { .. }))
        .flat_map(|(_, said)| said.octets.clone())
        .collect();
    let written: Vec<u8> = (0..1_000).map(octet_at).collect();
    assert_eq!(stream, written);
    assert!(at_b.iter().any(|(_, said)| matches!(said.event, PeerEvent::Finished { .. })));
    assert!(trio.said(trio.net.a).iter().any(|(_, said)| said.event == PeerEvent::Stopped));
    let c = trio.world.host_named("C").expect("it was added");
    let at_c = trio.world.log::<PlainSaid>(c);
    assert!(at_c.iter().any(|(_, said)| matches!(said, PlainSaid::Connected { .. })), "{at_c:?}");
    let flows = trio
        .world
        .trace()
        .records()
        .iter()
        .filter(|record| record.packet.octets() == b"flow" && record.realm == pinhole_sim::RealmId::INTERNET);
    let ports: std::collections::BTreeSet<u16> = flows.map(|record| record.packet.source.port()).collect();
    assert_eq!(ports.len(), 5, "each flow takes a mapping of its own");
}

#[test]
fn an_action_that_cannot_be_done_says_why_and_does_nothing() {
    let name = |name: &str| String::from(name);
    let (a, b, c, nobody) = (name("A"), name("B"), name("C"), name("nobody"));
    let s = "18.181.0.31".parse().expect("an address");
    let lan = name("NAT A LAN");
    let connect = |host: &str, to: &str| Action::Connect { host: name(host), to: name(to), transport: None };
    let wrong = [
        (Action::Wait { ms: MAX_WAIT + 1 }, ActionError::WaitTooLong),
        (connect("A", "nobody"), ActionError::UnknownMachine(nobody.clone())),
        (connect("A", "C"), ActionError::WrongRole(c.clone())),
        (connect("A", "A"), ActionError::Refused(CommandError::OwnId)),
        (Action::Stop { host: nobody.clone() }, ActionError::UnknownMachine(nobody.clone())),
        (Action::Reboot { nat: a.clone() }, ActionError::UnknownMachine(a.clone())),
        (Action::Cut { machine: nobody.clone() }, ActionError::UnknownMachine(nobody.clone())),
        (Action::Finish { host: a.clone(), to: b.clone() }, ActionError::NoSession(a.clone(), b.clone())),
        (Action::Move { host: a.clone(), realm: nobody.clone(), addresses: vec![] }, ActionError::UnknownRealm(nobody)),
        (Action::Move { host: a.clone(), realm: name("internet"), addresses: vec![s] }, ActionError::AddressTaken(s)),
        (Action::Move { host: a.clone(), realm: lan, addresses: vec![s, s] }, ActionError::AddressTaken(s)),
        (
            Action::Dial { host: c, port: 99, to: "18.181.0.31:1".parse().expect("an endpoint") },
            ActionError::Refused(CommandError::Unknown),
        ),
        (
            Action::Dial { host: a.clone(), port: 1, to: "18.181.0.31:1".parse().expect("an endpoint") },
            ActionError::WrongRole(a),
        ),
    ];
    let second = || {
        let mut trio = four(1);
        trio.world.run_for(Duration::from_secs(1));
        trio
    };
    let (mut trio, mut untouched) = (second(), second());
    for (action, error) in wrong {
        assert_eq!(trio.apply(&action), Err(error), "{action:?}");
    }
    let field =
        |field: &str, value: &str| Action::SetField { nat: name("NAT A"), field: name(field), value: name(value) };
    assert!(matches!(trio.apply(&field("mapping", "round")), Err(ActionError::Field(_))));
    assert!(matches!(trio.apply(&field("colour", "red")), Err(ActionError::Field(_))));
    for world in [&mut untouched.world, &mut trio.world] {
        world.run_for(Duration::from_secs(60));
    }
    assert_eq!(trio.world.trace().digest(), untouched.world.trace().digest(), "nothing was done");
    trio.connect(Some(Transport::Tcp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(1));
    let too_long = Action::Write { host: name("A"), to: name("B"), octets: MAX_WRITE + 1 };
    assert_eq!(trio.apply(&too_long), Err(ActionError::Refused(CommandError::TooLong)));
    assert_eq!(trio.apply(&Action::Stop { host: name("A") }), Ok(()));
    assert_eq!(trio.apply(&connect("A", "B")), Err(ActionError::NotRunning(name("A"))));
    for text in [r#"{"do": "explode"}"#, r#"{"do": "wait"}"#, r#"{"do": "wait", "ms": 1, "s": 2}"#] {
        assert!(serde_json::from_str::<Action>(text).is_err(), "{text}");
    }
}
