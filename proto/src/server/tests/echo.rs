use super::*;
use crate::constants::MAX_ECHOES;
use crate::wire::control::Echo;

const A: &str = "198.51.100.7:7000";
const SPARE: &str = "198.51.100.7:40000";
const VICTIM: &str = "192.0.2.66:6666";

fn echo(client: &mut Client, after: u8) -> Vec<u8> {
    let request = client.request(Request::Echo(Echo { after }));
    client.seal(&[request])
}

// [R-KEEP-007] [R-SESS-005]
#[test]
fn an_echo_is_answered_once_later_where_it_came_from_and_with_fewer_octets() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let packet = echo(&mut a, 28);
    world.datagram(endpoint(SPARE), &packet).unwrap();
    world.pass(Duration::from_millis(27_999));
    assert!(world.sent.is_empty(), "nothing before its time");
    world.pass(Duration::from_millis(1));
    let answer = only(world.to(endpoint(SPARE)));
    assert!(answer.len() <= packet.len());
    assert!(matches!(a.open(&answer)[..], [Heard::Answer(_, Reply::Acknowledge(_))]));
    assert_eq!(world.datagram(endpoint(SPARE), &packet), Err(Discard::Replayed));
    world.pass(Duration::from_secs(60));
    assert!(world.sent.is_empty(), "{:?}", world.sent);
    // The spare port is no binding: the registration stays where it was.
    assert_eq!(world.server.snapshot().registrations[0].bindings.len(), 1);
    // At once is at once.
    let packet = echo(&mut a, 0);
    world.datagram(endpoint(A), &packet).unwrap();
    assert_eq!(world.to(endpoint(A)).len(), 1);
}

// [R-KEEP-008]
#[test]
fn an_echo_sends_nothing_to_an_address_that_is_not_its_senders_own() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    let packet = echo(&mut a, 1);
    let before = world.state();
    assert_eq!(world.datagram(endpoint(VICTIM), &packet), Err(Discard::SourceWrong));
    assert_eq!(world.state(), before);
    world.pass(Duration::from_secs(5));
    assert!(world.sent.is_empty());
    // It was not used up by that: whoever copied it and came first took nothing away.
    world.datagram(endpoint(SPARE), &packet).unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.to(endpoint(SPARE)).len(), 1);

    let mut streamed = Client::registered_tcp(&mut world, 2, 1, "198.51.100.8:8000");
    let packet = echo(&mut streamed, 0);
    streamed.send(&mut world, &packet).unwrap();
    assert_eq!(world.discarded(Discard::SourceWrong), 2);
    assert!(streamed.hear(&mut world).is_empty());
}

// [R-KEEP-009]
#[test]
fn only_so_many_echoes_of_a_registration_wait_and_none_outlives_it() {
    let mut world = World::new();
    let mut a = Client::registered(&mut world, 1, A);
    for _ in 0..MAX_ECHOES {
        let packet = echo(&mut a, 10);
        world.datagram(endpoint(SPARE), &packet).unwrap();
    }
    let packet = echo(&mut a, 10);
    assert_eq!(world.datagram(endpoint(SPARE), &packet), Err(Discard::OverLimit));
    world.pass(Duration::from_secs(10));
    assert_eq!(world.to(endpoint(SPARE)).len(), MAX_ECHOES);
    let packet = echo(&mut a, 10);
    world.datagram(endpoint(SPARE), &packet).unwrap();
    a.ask(&mut world, Request::Unregister(crate::wire::control::Unregister {})).unwrap();
    world.to(endpoint(A));
    world.pass(Duration::from_secs(20));
    assert!(world.sent.is_empty());
}
