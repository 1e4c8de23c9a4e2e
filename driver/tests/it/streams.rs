//! TCP.

use std::sync::Barrier;

use pinhole_proto::engine::MAX_UNWRITTEN;
use pinhole_proto::{Endpoint, Family::V4, NetError, SocketId, StreamId, Transport::Tcp};

use crate::toy::{Heard, Node, Order, beside, run};

const S: SocketId = SocketId(0);
const DIALLED: StreamId = StreamId(2);

async fn pair() -> (Node, Endpoint, Node, Endpoint) {
    let (mut a, mut b) = (Node::at("127.0.0.1"), Node::at("127.0.0.2"));
    let at_a = a.open(0, Tcp, V4).await;
    let at_b = b.open(0, Tcp, V4).await;
    (a, at_a, b, at_b)
}

/// Dials B from A; answers the name of the stream at B.
async fn connect(a: &mut Node, b: &mut Node, to: Endpoint, stream: StreamId) -> StreamId {
    a.order(Order::Dial(stream, S, to, None));
    beside(b, a.until(|heard| matches!(heard, Heard::Connected(id, _) if *id == stream).then_some(()))).await;
    beside(
        a,
        b.until(|heard| match heard {
            Heard::Accepted(id, ..) => Some(*id),
            _ => None,
        }),
    )
    .await
}

fn closed(heard: &Heard) -> Option<(StreamId, Option<NetError>)> {
    match heard {
        Heard::Closed(stream, error) => Some((*stream, *error)),
        _ => None,
    }
}

#[test]
fn a_stream_dialled_from_a_listening_port_carries_octets_both_ways() {
    run(async {
        let (mut a, at_a, mut b, at_b) = pair().await;
        b.order(Order::Echo);
        a.order(Order::Dial(DIALLED, S, at_b, Some(5)));
        a.order(Order::Write(DIALLED, b"dropped: not connected".to_vec()));
        let local = beside(
            &mut b,
            a.until(|heard| match heard {
                Heard::Connected(DIALLED, local) => Some(*local),
                _ => None,
            }),
        )
        .await;
        assert_eq!(local, at_a, "the port is the listener's");
        a.order(Order::Write(DIALLED, b"hello".to_vec()));
        let echoed = beside(
            &mut b,
            a.until(|heard| match heard {
                Heard::Received(DIALLED, octets) => Some(octets.clone()),
                _ => None,
            }),
        )
        .await;
        assert_eq!(echoed, b"hello");
        let accepted = b.take().into_iter().find_map(|heard| match heard {
            Heard::Accepted(id, local, remote) => Some((id.0 % 2, local, remote)),
            _ => None,
        });
        assert_eq!(accepted, Some((1, at_b, at_a)), "odd, with both endpoints");
    });
}

#[test]
fn a_dial_to_nobody_is_refused() {
    run(async {
        let (mut a, _, _, at_b) = pair().await;
        a.order(Order::Dial(DIALLED, S, at_b, None));
        let end = a.until(closed).await;
        assert_eq!(end, (DIALLED, Some(NetError::Refused)));
    });
}

#[test]
fn a_second_dial_of_the_same_tuple_has_its_own_error() {
    run(async {
        let (mut a, _, mut b, at_b) = pair().await;
        connect(&mut a, &mut b, at_b, DIALLED).await;
        a.order(Order::Dial(StreamId(4), S, at_b, None));
        let end = a.until(closed).await;
        assert_eq!(end, (StreamId(4), Some(NetError::AddressNotAvailable)));
    });
}

#[test]
fn a_dial_from_a_port_that_is_not_open_fails() {
    run(async {
        let (mut a, _, _, at_b) = pair().await;
        a.order(Order::Dial(DIALLED, SocketId(9), at_b, None));
        assert_eq!(a.until(closed).await.1, Some(NetError::Other));
    });
}

#[test]
fn an_abort_is_a_reset_for_the_other() {
    run(async {
        let (mut a, _, mut b, at_b) = pair().await;
        let accepted = connect(&mut a, &mut b, at_b, DIALLED).await;
        a.order(Order::Close(DIALLED, true));
        let end = beside(&mut a, b.until(closed)).await;
        assert_eq!(end, (accepted, Some(NetError::Reset)));
        assert_eq!(a.take(), [], "after Close nothing more is said");
    });
}

#[test]
fn an_abort_reaches_a_side_that_does_not_read() {
    run(async {
        let (mut a, _, mut b, at_b) = pair().await;
        let accepted = connect(&mut a, &mut b, at_b, DIALLED).await;
        b.order(Order::Read(accepted, false));
        b.order(Order::Write(accepted, vec![0]));
        beside(&mut b, a.until(|heard| matches!(heard, Heard::Received(..)).then_some(()))).await;
        a.order(Order::Close(DIALLED, true));
        let end = beside(&mut a, b.until(closed)).await;
        assert_eq!(end, (accepted, Some(NetError::Reset)));
    });
}

#[test]
fn an_end_in_order_comes_after_everything_written() {
    run(async {
        let (mut a, _, mut b, at_b) = pair().await;
        let accepted = connect(&mut a, &mut b, at_b, DIALLED).await;
        let octets: Vec<u8> = (0..MAX_UNWRITTEN).map(|i| (i / 7) as u8).collect();
        a.order(Order::Write(DIALLED, octets.clone()));
        a.order(Order::Close(DIALLED, false));
        let mut received = Vec::new();
        let end = beside(
            &mut a,
            b.until(|heard| {
                if let Heard::Received(_, octets) = heard {
                    received.extend_from_slice(octets);
                }
                closed(heard)
            }),
        )
        .await;
        assert_eq!(end, (accepted, None));
        assert!(received == octets, "all of it, in order");
        a.driver.finish(std::time::Duration::from_secs(5)).await.unwrap();
        assert_eq!(a.take(), [], "after Close nothing more is said");
    });
}

#[test]
fn a_side_that_does_not_read_stops_the_other_and_loses_nothing() {
    run(async {
        let (mut a, _, mut b, at_b) = pair().await;
        let blocked = connect(&mut a, &mut b, at_b, DIALLED).await;
        b.order(Order::Read(blocked, false));
        // A second stream shows how far things have come: no clock is needed to see that nothing arrives.
        b.order(Order::Open(SocketId(1), Tcp, V4, 0, None));
        let second = b
            .until(|heard| match heard {
                Heard::Opened(_, local) => Some(*local),
                _ => None,
            })
            .await;
        let other = connect(&mut a, &mut b, second, StreamId(4)).await;

        let mut writer = Writer::default();
        for _ in 0..500 {
            writer.go_on(&mut a);
            b.order(Order::Write(other, vec![1; 64]));
            beside(
                &mut b,
                a.until(|heard| {
                    writer.hear(heard);
                    matches!(heard, Heard::Received(StreamId(4), _)).then_some(())
                }),
            )
            .await;
        }
        assert!(writer.credit < TOTAL - MAX_UNWRITTEN, "the kernel's buffers are full at {}", writer.credit);
        let early = b.take().into_iter();
        assert_eq!(early.filter(|heard| matches!(heard, Heard::Received(id, _) if *id == blocked)).count(), 0);

        b.order(Order::Read(blocked, true));
        let mut received = 0;
        while received < TOTAL {
            writer.go_on(&mut a);
            tokio::select! { () = a.step() => {}, () = b.step() => {} }
            for heard in a.take() {
                writer.hear(&heard);
            }
            for heard in b.take() {
                if let Heard::Received(_, octets) = heard {
                    assert!(octets == pattern(received, octets.len()), "in order");
                    received += octets.len();
                }
            }
        }
        assert_eq!(received, TOTAL);
    });
}

/// Writes [`TOTAL`] octets as credit allows.
#[derive(Default)]
struct Writer {
    written: usize,
    credit: usize,
}

impl Writer {
    fn go_on(&mut self, node: &mut Node) {
        let room = MAX_UNWRITTEN - (self.written - self.credit);
        let count = room.min(TOTAL - self.written);
        if count > 0 {
            node.order(Order::Write(DIALLED, pattern(self.written, count)));
            self.written += count;
        }
    }

    fn hear(&mut self, heard: &Heard) {
        if let Heard::Written(DIALLED, count) = heard {
            self.credit += *count as usize;
        }
    }
}

/// Octets that tell where in the stream they are, to within a few million.
fn pattern(from: usize, count: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(count + 2 * RUN);
    for run in from / RUN..=(from + count) / RUN {
        octets.extend_from_slice(&[(run % 251) as u8; RUN]);
    }
    octets.drain(..from % RUN);
    octets.truncate(count);
    octets
}

const RUN: usize = 8_191;
/// More than the kernel's buffers hold.
const TOTAL: usize = 64 << 20;

/// Both dial the other's listening port at once. Whichever SYN comes first, one connection exists
/// afterwards: it was accepted by one side, whose own dial then finds its tuple in use, or both
/// dials met (a simultaneous open), which needs two processors and some luck here; the lab has NATs for it.
#[test]
fn two_that_dial_each_other_at_once_have_one_connection() {
    let barrier = Barrier::new(2);
    let side = |own: &'static str, other: &'static str, port: u16| {
        let barrier = &barrier;
        move || {
            run(async {
                let mut node = Node::at(own);
                node.order(Order::Open(S, Tcp, V4, port, None));
                node.until(|heard| matches!(heard, Heard::Opened(..)).then_some(())).await;
                let to = Endpoint::new(other.parse().unwrap(), port);
                barrier.wait();
                node.order(Order::Dial(DIALLED, S, to, None));
                let (mut live, mut dialled, mut met) = (None, None, false);
                while live.is_none() || dialled.is_none() {
                    let heard = node.until(|heard| Some(heard.clone())).await;
                    match heard {
                        Heard::Connected(stream, _) => {
                            (live, dialled, met) = (Some(stream), Some(None), true);
                        }
                        Heard::Accepted(stream, ..) => live = Some(stream),
                        Heard::Closed(stream, error) if stream == DIALLED => dialled = Some(error),
                        _ => {}
                    }
                }
                let stream = live.unwrap();
                node.order(Order::Write(stream, own.as_bytes().to_vec()));
                let greeting = node
                    .until(|heard| match heard {
                        Heard::Received(id, octets) if *id == stream => Some(octets.clone()),
                        _ => None,
                    })
                    .await;
                assert_eq!(greeting, other.as_bytes());
                barrier.wait();
                node.order(Order::Close(stream, true));
                node.driver.finish(std::time::Duration::from_secs(1)).await.unwrap();
                (met, dialled.flatten())
            })
        }
    };
    let mut simultaneous = 0;
    for _ in 0..30 {
        let port = free_port();
        let (a, b) = std::thread::scope(|scope| {
            let a = scope.spawn(side("127.0.0.1", "127.0.0.2", port));
            let b = scope.spawn(side("127.0.0.2", "127.0.0.1", port));
            (a.join().unwrap(), b.join().unwrap())
        });
        match (a, b) {
            ((true, _), (true, _)) => simultaneous += 1,
            ((true, _), (false, error)) | ((false, error), (true, _)) => {
                assert_eq!(error, Some(NetError::AddressNotAvailable));
            }
            both => panic!("nobody's dial succeeded: {both:?}"),
        }
    }
    println!("{simultaneous} of 30 were simultaneous opens");
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

#[test]
fn a_stream_moves_to_another_driver_with_all_that_was_read_and_written() {
    run(async {
        let (mut a, _, mut b, at_b) = pair().await;
        let mut c = Node::at("127.0.0.2");
        let stream = connect(&mut a, &mut b, at_b, DIALLED).await;
        // More is written than the kernel takes, so that some of it waits in the first driver.
        let long = vec![7; 8 << 20];
        b.order(Order::Write(stream, long.clone()));
        b.order(Order::Read(stream, false));
        b.step().await;
        a.order(Order::Write(DIALLED, b"unread".to_vec()));
        a.step().await;

        let detached = b.driver.detach(stream).unwrap();
        assert_eq!(detached.moves(), 1);
        assert!(b.driver.detach(stream).is_none());
        b.take();
        let mut heard = vec![];
        c.driver.attach(S, detached, b"read", &mut |event: &Heard| heard.push(event.clone())).unwrap();
        let [Heard::Accepted(moved, local, _), Heard::Received(same, octets)] = &heard[..] else {
            panic!("{heard:?}");
        };
        assert_eq!((moved, *local, &octets[..]), (same, at_b, &b"read"[..]));
        let moved = *moved;
        c.order(Order::Write(moved, b"behind".to_vec()));

        let unread = beside(&mut a, c.until(received)).await;
        assert_eq!(unread, b"unread");
        let mut arrived = vec![];
        while arrived.len() < long.len() + 6 {
            arrived.extend(beside(&mut c, a.until(received)).await);
        }
        assert!(arrived[..long.len()] == long && arrived[long.len()..] == *b"behind");
        // The first driver hears no more of it.
        drop(c);
        beside(&mut b, a.until(closed)).await;
        assert!(b.take().is_empty());
    });
}

fn received(heard: &Heard) -> Option<Vec<u8>> {
    match heard {
        Heard::Received(_, octets) => Some(octets.clone()),
        _ => None,
    }
}
