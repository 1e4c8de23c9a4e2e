//! UDP.

use pinhole_driver::Options;
use pinhole_proto::{Address, Discard, Endpoint, Family, NetError, SocketId, Transport::Udp};

use crate::toy::{Heard, Node, Order, beside, loopback, run};

const S: SocketId = SocketId(0);

fn datagram(heard: &Heard) -> Option<(Endpoint, Vec<u8>)> {
    match heard {
        Heard::Datagram(_, _, remote, payload) => Some((*remote, payload.clone())),
        _ => None,
    }
}

fn echo_through(family: Family, server_address: &str) {
    run(async {
        let (mut echo, mut node) = (Node::new(), Node::new());
        let to = echo.open(0, Udp, family).await;
        assert!(to.address().is_unspecified(), "bound to the wildcard");
        node.open(0, Udp, family).await;
        echo.order(Order::Echo);
        let to = Endpoint::new(server_address.parse().unwrap(), to.port());

        node.order(Order::Transmit(S, None, to, None, b"punch".to_vec()));
        let answer = beside(&mut echo, node.until(datagram)).await;
        assert_eq!(answer, (to, b"punch".to_vec()), "it comes from where it was sent to");
        let local = echo.take().into_iter().find_map(|heard| match heard {
            Heard::Datagram(_, local, ..) => Some(local),
            _ => None,
        });
        assert_eq!(local, Some(to.address()), "the local address is known");
    });
}

#[test]
fn a_datagram_is_answered_from_the_address_it_was_sent_to() {
    // Linux answers on all of 127.0.0.0/8, and left alone would choose 127.0.0.1.
    echo_through(Family::V4, "127.0.0.9");
    echo_through(Family::V6, "::1");
}

#[test]
fn a_bound_driver_sends_from_its_address() {
    run(async {
        let (mut a, mut b) = (Node::at("127.0.0.5"), Node::at("127.0.0.6"));
        let from = a.open(0, Udp, Family::V4).await;
        let to = b.open(0, Udp, Family::V4).await;
        assert_eq!(to.address().to_string(), "127.0.0.6");
        a.order(Order::Transmit(S, None, to, None, vec![7]));
        let heard = beside(&mut a, b.until(datagram)).await;
        assert_eq!(heard, (from, vec![7]));
    });
}

#[test]
fn a_driver_of_two_addresses_hears_and_answers_on_both_and_on_no_other() {
    run(async {
        let bind = ["127.0.0.5", "127.0.0.6"].map(|text| text.parse().unwrap()).to_vec();
        let mut two = Node::with(Options { bind, ..Options::default() });
        let mut node = Node::at("127.0.0.7");
        let port = two.open(0, Udp, Family::V4).await.port();
        let here = node.open(0, Udp, Family::V4).await;
        let at = |address: &str| Endpoint::new(address.parse().unwrap(), port);
        for (number, address) in [(1, "127.0.0.9"), (2, "127.0.0.5"), (3, "127.0.0.9"), (4, "127.0.0.6")] {
            node.order(Order::Transmit(S, None, at(address), None, vec![number]));
        }
        for (number, address) in [(2, "127.0.0.5"), (4, "127.0.0.6")] {
            let (local, heard) = beside(&mut node, two.until(with_local)).await;
            assert_eq!((local.to_string(), heard), (address.to_owned(), vec![number]));
        }
        // Asked on one, it answers from the other.
        two.order(Order::Transmit(S, Some(at("127.0.0.5").address()), here, None, vec![9]));
        let heard = beside(&mut two, node.until(datagram)).await;
        assert_eq!(heard, (at("127.0.0.5"), vec![9]));
    });
}

fn with_local(heard: &Heard) -> Option<(Address, Vec<u8>)> {
    match heard {
        Heard::Datagram(_, local, _, payload) => Some((*local, payload.clone())),
        _ => None,
    }
}

#[test]
fn batches_arrive_whole_and_in_order() {
    run(async {
        let (mut a, mut b) = (Node::at("127.0.0.1"), Node::at("127.0.0.1"));
        a.open(0, Udp, Family::V4).await;
        let to = b.open(0, Udp, Family::V4).await;
        for number in 1..=200_u8 {
            // Sources and times to live that differ cut the batch; the order stays.
            let ttl = (number % 7 == 0).then_some(9);
            let local = (number % 3 == 0).then(|| loopback(0).address());
            let payload = vec![number; usize::from(number) * 5];
            a.order(Order::Transmit(S, local, to, ttl, payload));
        }
        for number in 1..=200_u8 {
            let (_, payload) = beside(&mut a, b.until(datagram)).await;
            assert_eq!(payload, vec![number; usize::from(number) * 5]);
        }
        assert_eq!(a.driver.unsent(), 0);
    });
}

#[test]
fn a_rejected_datagram_is_told_with_its_destination_and_ends_nothing() {
    run(async {
        let mut node = Node::at("127.0.0.1");
        let own = node.open(0, Udp, Family::V4).await;
        let nobody = Node::at("127.0.0.1").open(0, Udp, Family::V4).await;
        node.order(Order::Transmit(S, None, nobody, None, vec![1]));
        let (remote, error) = node
            .until(|heard| match heard {
                Heard::Rejected(_, remote, error) => Some((*remote, *error)),
                _ => None,
            })
            .await;
        assert_eq!((remote, error), (nobody, NetError::Refused));

        node.order(Order::Transmit(S, None, nobody, None, vec![2]));
        node.order(Order::Transmit(S, None, own, None, vec![3]));
        assert_eq!(node.until(datagram).await, (own, vec![3]));
    });
}

#[test]
fn what_cannot_be_sent_is_counted() {
    run(async {
        let mut node = Node::at("127.0.0.1");
        let own = node.open(0, Udp, Family::V4).await;
        let six: Endpoint = "[::1]:9".parse().unwrap();
        node.order(Order::Transmit(S, None, six, None, vec![1]));
        node.order(Order::Transmit(SocketId(9), None, own, None, vec![1]));
        node.order(Order::Transmit(S, None, own, None, vec![0; 70_000]));
        node.order(Order::Transmit(S, None, own, None, vec![5]));
        assert_eq!(node.until(datagram).await, (own, vec![5]));
        assert_eq!(node.driver.unsent(), 3);
    });
}

#[test]
fn an_ignored_input_is_counted_by_its_reason() {
    run(async {
        let mut node = Node::at("127.0.0.1");
        let own = node.open(0, Udp, Family::V4).await;
        node.order(Order::Transmit(S, None, own, None, vec![]));
        node.order(Order::Transmit(S, None, own, None, vec![1]));
        node.until(datagram).await;
        assert_eq!(node.driver.discards().get(&Discard::TooShort), Some(&1));
    });
}

#[test]
fn a_step_that_is_dropped_while_it_waits_loses_nothing() {
    run(async {
        let (mut a, mut b) = (Node::at("127.0.0.1"), Node::at("127.0.0.1"));
        a.open(0, Udp, Family::V4).await;
        let to = b.open(0, Udp, Family::V4).await;
        b.order(Order::Echo);
        let mut dropped = 0;
        for number in 0..500_u16 {
            let octets = number.to_be_bytes().to_vec();
            a.order(Order::Transmit(S, None, to, None, octets.clone()));
            loop {
                for node in [&mut a, &mut b] {
                    tokio::select! {
                        biased;
                        () = node.step() => {}
                        () = tokio::task::yield_now() => dropped += 1,
                    }
                }
                if let Some((_, payload)) = a.take().iter().find_map(datagram) {
                    assert_eq!(payload, octets);
                    break;
                }
            }
        }
        assert!(dropped > 100, "only {dropped} steps were dropped");
    });
}
