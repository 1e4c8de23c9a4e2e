//! Dials that a stream asked for.

use super::*;
use crate::constants::{DIAL_BACK_PATIENCE, DIAL_BACKS_BURST, MAX_DIAL_BACKS};
use crate::engine::NetError;
use crate::wire::code::DialBack;

const A: &str = "155.99.25.11:62000";
const MAIN_ADDRESS: &str = "203.0.113.1:0";
const SECOND_ADDRESS: &str = "203.0.113.2:0";
const ALTERNATE_TCP: SocketId = SocketId(3);

/// The stream, socket, own address and target of each dial.
fn dials(world: &mut World) -> Vec<(StreamId, SocketId, Option<Address>, Endpoint)> {
    world.take(|sent| match *sent {
        Sent::Dial(stream, socket, local, remote) => Some((stream, socket, local, remote)),
        _ => None,
    })
}

/// A world in which a stream from A asked for a dial, and that dial.
fn asked(reply_from: u8) -> (World, StreamId, (SocketId, Option<Address>, Endpoint)) {
    let mut world = World::new();
    world.accept(1, endpoint(A)).unwrap();
    world.frame(1, &discover(reply_from)).unwrap();
    assert!(world.on(1).is_empty(), "it is answered when the dial is over");
    let (stream, socket, local, remote) = only(dials(&mut world));
    (world, stream, (socket, local, remote))
}

// [R-BEH-002]
#[test]
fn a_stream_that_asks_is_dialled_at_its_own_source_from_where_it_asked_for() {
    for (reply_from, socket, local) in
        [(1, ALTERNATE_TCP, MAIN_ADDRESS), (2, MAIN_TCP, SECOND_ADDRESS), (3, ALTERNATE_TCP, SECOND_ADDRESS)]
    {
        let (_, stream, dial) = asked(reply_from);
        assert_eq!(stream.0 % 2, 0, "the engine names what it dials");
        assert_eq!(dial, (socket, Some(endpoint(local).address()), endpoint(A)));
    }
}

// [R-BEH-005]
#[test]
fn what_came_of_the_dial_is_told_on_the_stream_that_asked() {
    for (what, code) in [
        (StreamInput::Connected { local: endpoint("203.0.113.1:4654") }, DialBack::CONNECTED),
        (StreamInput::Closed(Some(NetError::Refused)), DialBack::REFUSED),
        (StreamInput::Closed(Some(NetError::Reset)), DialBack::REFUSED),
        (StreamInput::Closed(Some(NetError::TimedOut)), DialBack::PENDING),
        (StreamInput::Closed(Some(NetError::AddressNotAvailable)), DialBack::FAILED),
        (StreamInput::Closed(None), DialBack::FAILED),
    ] {
        let (mut world, stream, _) = asked(1);
        world.stream(stream.0, what).unwrap();
        let there = world.on(stream.0);
        let answer = discovered(&only(world.on(1)));
        assert_eq!(answer.dial_back, Some(code));
        assert_eq!(answer.observed, endpoint(A));
        if code == DialBack::CONNECTED {
            let said = discovered(&only(there));
            assert_eq!((said.dial_back, said.transaction), (None, answer.transaction));
            assert!(world.sent.contains(&Sent::Close(stream, false)), "the stream has served");
        } else {
            assert!(there.is_empty());
        }
        // The dial is forgotten.
        assert_eq!(world.stream(stream.0, StreamInput::Closed(None)), Err(Discard::StreamUnknown));
        assert_eq!(world.server.snapshot().dial_backs, 0);
    }
}

// [R-BEH-004]
#[test]
fn a_dial_that_nothing_answers_is_given_up_in_time() {
    let (mut world, stream, _) = asked(1);
    world.pass(DIAL_BACK_PATIENCE - Duration::from_micros(1));
    assert!(world.sent.is_empty());
    world.pass(Duration::from_micros(1));
    assert!(world.sent.contains(&Sent::Close(stream, true)));
    assert_eq!(discovered(&only(world.on(1))).dial_back, Some(DialBack::PENDING));
}

#[test]
fn nobody_is_told_when_the_stream_that_asked_is_gone() {
    let (mut world, stream, _) = asked(1);
    world.stream(1, StreamInput::Closed(None)).unwrap();
    world.stream(stream.0, StreamInput::Closed(Some(NetError::Refused))).unwrap();
    assert!(world.sent.is_empty());
}

// [R-BEH-003]
#[test]
fn a_source_gets_a_few_dials_and_all_of_them_no_more_than_the_table_holds() {
    let mut world = World::new();
    world.accept(1, endpoint(A)).unwrap();
    for _ in 0..DIAL_BACKS_BURST {
        world.frame(1, &discover(1)).unwrap();
    }
    assert_eq!(dials(&mut world).len(), DIAL_BACKS_BURST as usize);
    assert!(world.on(1).is_empty());
    world.frame(1, &discover(1)).unwrap();
    assert!(dials(&mut world).is_empty());
    assert_eq!(discovered(&only(world.on(1))).dial_back, Some(DialBack::FAILED));
    let mut asked = DIAL_BACKS_BURST as usize;
    for source in 0..MAX_DIAL_BACKS {
        let stream = 3 + 2 * source as u64;
        world.accept(stream, endpoint(&format!("198.51.100.{source}:7"))).unwrap();
        world.frame(stream, &discover(1)).unwrap();
        asked += dials(&mut world).len();
        assert!(world.server.snapshot().dial_backs <= MAX_DIAL_BACKS);
    }
    assert_eq!(asked, MAX_DIAL_BACKS);
}

#[test]
fn a_stop_gives_every_dial_up() {
    let (mut world, stream, _) = asked(1);
    world.server.handle_command(world.now, ServerCommand::Shutdown).unwrap();
    world.drain();
    assert!(world.sent.contains(&Sent::Close(stream, true)));
    assert_eq!(world.server.snapshot().dial_backs, 0);
}
