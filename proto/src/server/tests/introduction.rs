use super::*;
use crate::wire::code::Refusal;
use crate::wire::control::{Answer, Introduce, Refuse};

const SESSION: SessionId = [5; 8];

fn introduce_of(heard: &[Heard]) -> (RequestId, Introduce) {
    match heard {
        [Heard::Request(id, Request::Introduce(introduce))] => (*id, introduce.clone()),
        other => panic!("{other:?}"),
    }
}

fn refusal_of(heard: &[Heard]) -> Refusal {
    match heard {
        [Heard::Answer(_, Reply::Refuse(refuse))] => refuse.code,
        other => panic!("{other:?}"),
    }
}

/// Sends a `Refresh` with other terms.
fn agree(world: &mut World, client: &mut Client, change: impl Fn(&mut Refresh)) {
    change(&mut client.refresh);
    client.ask(world, Request::Refresh(client.refresh.clone())).unwrap();
    assert_eq!(client.hear(world).len(), 1);
}

// [R-INTRO-001] [R-INTRO-004] [R-RELAY-001] [R-SESS-006]
#[test]
fn both_are_told_at_once_and_the_answer_follows() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
    let mut b = Client::registered(&mut world, 2, "192.0.2.9:900");
    let introduced = a.introduced(&mut world, b.id, SESSION);
    assert_eq!(introduced.transport, Transports::UDP);
    assert_eq!(introduced.candidates[..], [endpoint("192.0.2.9:900")]);
    let (id, introduce) = introduce_of(&b.hear(&mut world));
    assert_eq!((introduce.initiator, introduce.session, &introduce.versions[..]), (a.id, SESSION, &[1][..]));
    assert_eq!(introduce.candidates[..], [endpoint("198.51.100.7:7000")]);
    assert_eq!(introduce.message_1[..], [6; 96]);
    assert_ne!(introduced.channel.unwrap(), introduce.channel.unwrap());
    let message_2 = List::from_first([8; 48]);
    b.answer(&mut world, id, Reply::Answer(Answer { message_2 })).unwrap();
    let heard = a.hear(&mut world);
    let [Heard::Request(_, Request::Answered(answered))] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!((answered.session, &answered.message_2[..]), (SESSION, &[8; 48][..]));
    // The answer counts once.
    let again = Reply::Answer(Answer { message_2: List::default() });
    assert_eq!(b.answer(&mut world, id, again), Err(Discard::RequestUnknown));
}

// [R-INTRO-006]
#[test]
fn private_endpoints_are_told_only_behind_one_public_address() {
    for (other, told) in [("198.51.100.7:8000", true), ("198.51.100.8:8000", false), ("[2001:db8:0:1::7]:1", false)] {
        let mut world = World::new();
        let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
        let mut b = Client::registered(&mut world, 2, other);
        let introduced = a.introduced(&mut world, b.id, SESSION);
        let (_, introduce) = introduce_of(&b.hear(&mut world));
        for candidates in [introduced.candidates, introduce.candidates] {
            assert_eq!(candidates.contains(&endpoint("10.0.0.1:4000")), told, "{candidates:?}");
        }
    }
    // In IPv6 a /64 is one place.
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, "[2001:db8:0:1::7]:1");
    let b = Client::registered(&mut world, 2, "[2001:db8:0:1::9]:1");
    let introduced = a.introduced(&mut world, b.id, SESSION);
    assert!(introduced.candidates.contains(&endpoint("10.0.0.1:4000")));
}

// [R-INTRO-006] [R-RELAY-002]
#[test]
fn a_peer_that_discloses_nothing_is_told_nothing_either() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
    let mut b = Client::registered(&mut world, 2, "198.51.100.7:8000");
    agree(&mut world, &mut b, |terms| terms.disclose = false);
    let introduced = a.introduced(&mut world, b.id, SESSION);
    assert!(introduced.candidates.is_empty());
    let (_, introduce) = introduce_of(&b.hear(&mut world));
    assert!(introduce.candidates.is_empty());
    assert!(introduced.channel.is_some());
    agree(&mut world, &mut b, |terms| terms.relay = false);
    assert_eq!(a.introduced(&mut world, b.id, [6; 8]).channel, None);
}

// [R-INTRO-006]
#[test]
fn a_peer_that_asks_first_is_disclosed_with_its_answer() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
    let mut b = Client::registered(&mut world, 2, "192.0.2.9:900");
    agree(&mut world, &mut b, |terms| terms.policy = Policy::ASK);
    let introduced = a.introduced(&mut world, b.id, SESSION);
    assert!(introduced.candidates.is_empty());
    let (id, introduce) = introduce_of(&b.hear(&mut world));
    assert_eq!(introduce.candidates.len(), 1);
    let message_2 = List::from_first([8; 48]);
    b.answer(&mut world, id, Reply::Answer(Answer { message_2 })).unwrap();
    let heard = a.hear(&mut world);
    let [Heard::Request(_, Request::Answered(answered))] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(answered.candidates[..], [endpoint("192.0.2.9:900")]);
}

// [R-INTRO-005] [R-INTRO-019]
#[test]
fn each_refusal_has_its_code() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
    let mut b = Client::registered(&mut world, 2, "192.0.2.9:900");
    let stranger = Client::udp(3, "192.0.2.10:900");
    a.connect(&mut world, stranger.id, SESSION);
    assert_eq!(refusal_of(&a.hear(&mut world)), Refusal::NOT_REGISTERED);
    a.connect(&mut world, a.id, SESSION);
    assert_eq!(refusal_of(&a.hear(&mut world)), Refusal::REFUSED);
    // [R-INTRO-008] A policy that nobody knows is closed.
    for policy in [Policy::CLOSED, Policy(9)] {
        agree(&mut world, &mut b, |terms| terms.policy = policy);
        a.connect(&mut world, b.id, SESSION);
        assert_eq!(refusal_of(&a.hear(&mut world)), Refusal::REFUSED);
    }
    agree(&mut world, &mut b, |terms| terms.policy = Policy::OPEN);
    let mut connect = Connect {
        target: b.id,
        session: SESSION,
        transports: Transports::TCP,
        versions: List::from_first([1]),
        message_1: List::from_first([6; 96]),
    };
    a.ask(&mut world, Request::Connect(connect.clone())).unwrap();
    assert_eq!(refusal_of(&a.hear(&mut world)), Refusal::NOT_REGISTERED);
    connect.transports = Transports::UDP;
    connect.versions = List::from_first([2]);
    a.ask(&mut world, Request::Connect(connect)).unwrap();
    assert_eq!(refusal_of(&a.hear(&mut world)), Refusal::UNSUPPORTED_VERSION);
    assert!(b.received(&mut world).is_empty());
}

// [R-INTRO-018]
#[test]
fn introductions_are_limited_by_pair_and_by_target() {
    let mut world = World::new();
    let mut b = Client::registered(&mut world, 2, "192.0.2.9:900");
    let mut granted = 0;
    for number in 10..30 {
        let mut a = Client::registered(&mut world, number, &format!("192.0.2.{number}:900"));
        for attempt in 0..3 {
            a.connect(&mut world, b.id, [number, attempt, 0, 0, 0, 0, 0, 0]);
            match &a.hear(&mut world)[..] {
                [Heard::Answer(_, Reply::Introduced(_))] => {
                    assert!(attempt < 2);
                    granted += 1;
                }
                heard => assert_eq!(refusal_of(heard), Refusal::LIMITED),
            }
        }
    }
    assert_eq!(granted, 10);
    assert_eq!(b.hear(&mut world).len(), 10);
}

// [R-INTRO-015]
#[test]
fn a_responder_that_refuses_or_stays_silent_is_reported() {
    for silent in [false, true] {
        let mut world = World::new();
        let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
        let mut b = Client::registered(&mut world, 2, "192.0.2.9:900");
        a.introduced(&mut world, b.id, SESSION);
        let (id, _) = introduce_of(&b.hear(&mut world));
        let code = if silent {
            world.pass(Duration::from_secs(30));
            // The first one was taken above; it is repeated six times and then given up.
            assert_eq!(b.hear(&mut world).len(), 6);
            Refusal::NOT_REGISTERED
        } else {
            let code = Refusal::REFUSED;
            b.answer(&mut world, id, Reply::Refuse(Refuse { code })).unwrap();
            code
        };
        match &a.hear(&mut world)[..] {
            [Heard::Request(_, Request::Rejected(rejected)), ..] => {
                assert_eq!((rejected.session, rejected.code), (SESSION, code));
            }
            heard => panic!("{heard:?}"),
        }
    }
}

// [R-INTRO-004] [R-INTRO-015]
#[test]
fn a_responder_that_leaves_is_reported_at_once() {
    let mut world = World::new();
    let mut a = Client::registered_tcp(&mut world, 1, 1, "198.51.100.7:7000");
    let mut b = Client::registered_tcp(&mut world, 2, 3, "192.0.2.9:900");
    let introduced = a.introduced(&mut world, b.id, SESSION);
    assert_eq!(introduced.transport, Transports::TCP);
    introduce_of(&b.hear(&mut world));
    world.stream(3, StreamInput::Closed(None)).unwrap();
    assert!(matches!(a.hear(&mut world)[..], [Heard::Request(_, Request::Rejected(_))]));
}

#[test]
fn round_trips_are_told_from_both_points_of_view() {
    let mut world = World::new();
    let mut clients = vec![];
    for (number, millis) in [(1, 40), (2, 90)] {
        let mut client = Client::udp(number, &format!("192.0.2.{number}:1"));
        let register = client.register_packet([0; 16]);
        client.send(&mut world, &register).unwrap();
        let registered = only(client.received(&mut world));
        let (id, check) = client.on_registered(&registered);
        world.pass(Duration::from_millis(millis));
        client.prove(&mut world, id, check).unwrap();
        client.hear(&mut world);
        clients.push(client);
    }
    let mut b = clients.pop().unwrap();
    let mut a = clients.pop().unwrap();
    let introduced = a.introduced(&mut world, b.id, SESSION);
    assert_eq!((introduced.own_round_trip, introduced.other_round_trip), (40_000, 90_000));
    let (_, introduce) = introduce_of(&b.hear(&mut world));
    assert_eq!((introduce.own_round_trip, introduce.other_round_trip), (90_000, 40_000));
}

// [R-INTRO-007]
#[test]
fn a_private_endpoint_that_can_be_no_candidate_is_told_to_nobody() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, "198.51.100.7:7000");
    let mut b = Client::registered(&mut world, 2, "198.51.100.7:8000");
    let private = ["10.0.0.9:0", "127.0.0.1:4000", "224.0.0.1:4000", "10.0.0.9:4000"].map(endpoint);
    agree(&mut world, &mut b, |terms| terms.private = List::from_first(private));
    let introduced = a.introduced(&mut world, b.id, SESSION);
    assert_eq!(introduced.candidates[..], [endpoint("198.51.100.7:8000"), endpoint("10.0.0.9:4000")]);
}
