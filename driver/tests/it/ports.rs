//! Local ports.

use pinhole_driver::{Options, Sharing};
use pinhole_proto::{Family, NetError, SocketId, Transport};

use crate::toy::{Heard, Node, Order, run};

async fn opened(node: &mut Node, order: Order) -> Result<u16, NetError> {
    node.order(order);
    node.until(|heard| match heard {
        Heard::Opened(_, local) => Some(Ok(local.port())),
        Heard::OpenFailed(_, error) => Some(Err(*error)),
        _ => None,
    })
    .await
}

// [R-TCP-001]
#[test]
fn both_transports_and_families_share_a_port() {
    use {Family::*, Transport::*};
    run(async {
        let mut node = Node::new();
        let first = SocketId(0);
        let port = opened(&mut node, Order::Open(first, Udp, V4, 0, None)).await;
        assert!(port.is_ok());
        for (id, transport, family) in [(1, Tcp, V4), (2, Udp, V6), (3, Tcp, V6)] {
            let order = Order::Open(SocketId(id), transport, family, 0, Some(first));
            assert_eq!(opened(&mut node, order).await, port);
        }
    });
}

// [R-TCP-001]
#[test]
fn a_port_in_use_is_refused_even_where_reuse_would_allow_it() {
    use {Family::*, Transport::*};
    for transport in [Udp, Tcp] {
        run(async {
            let (mut a, mut b) = (Node::new(), Node::new());
            let order = |port| Order::Open(SocketId(0), transport, V4, port, None);
            let port = opened(&mut a, order(0)).await.unwrap();
            let second = opened(&mut b, order(port)).await;
            assert_eq!(second, Err(NetError::AddressInUse), "{transport:?}");

            a.order(Order::Shut(SocketId(0)));
            let again = Order::Open(SocketId(1), transport, V4, port, None);
            assert_eq!(opened(&mut a, again).await, Ok(port));
        });
    }
}

fn sharing(sharing: Sharing) -> Node {
    Node::with(Options { sharing, ..Options::default() })
}

#[test]
fn drivers_of_one_process_share_ports_and_nobody_elses() {
    use {Family::*, Transport::*};
    for transport in [Udp, Tcp] {
        run(async {
            let order = |port| Order::Open(SocketId(0), transport, V4, port, None);
            let (mut first, mut further) = (sharing(Sharing::First), sharing(Sharing::Further));
            let port = opened(&mut first, order(0)).await.unwrap();
            assert_eq!(opened(&mut further, order(port)).await, Ok(port), "{transport:?}");
            // Another process is refused, whether it shares its ports or not.
            for stranger in [Sharing::Alone, Sharing::First] {
                let refused = opened(&mut sharing(stranger), order(port)).await;
                assert_eq!(refused, Err(NetError::AddressInUse), "{transport:?} {stranger:?}");
            }
        });
    }
}

#[test]
fn sharing_with_a_port_that_is_not_open_fails() {
    use {Family::*, Transport::*};
    run(async {
        let mut node = Node::new();
        let order = Order::Open(SocketId(0), Tcp, V4, 0, Some(SocketId(7)));
        assert_eq!(opened(&mut node, order).await, Err(NetError::Other));
    });
}

#[test]
fn an_address_that_is_not_here_is_refused() {
    use {Family::*, Transport::*};
    run(async {
        let mut node = Node::at("192.0.2.1");
        for transport in [Udp, Tcp] {
            let order = Order::Open(SocketId(0), transport, V4, 0, None);
            let result = opened(&mut node, order).await;
            assert_eq!(result, Err(NetError::AddressNotAvailable));
        }
    });
}

#[test]
fn the_interfaces_are_the_first_thing_heard() {
    run(async {
        let mut node = Node::at("127.0.0.3");
        node.open(0, Transport::Udp, Family::V4).await;
        let mut node = Node::at("127.0.0.3");
        node.order(Order::Open(SocketId(0), Transport::Udp, Family::V4, 0, None));
        let first = node.until(|heard| Some(heard.clone())).await;
        let Heard::Interfaces(list) = first else {
            panic!("{first:?}");
        };
        let of_family: Vec<_> = list.iter().filter(|i| i.address.is_ipv4()).collect();
        assert_eq!(of_family.len(), 1, "the bound address stands for its family");
        assert_eq!(of_family[0].address.to_string(), "127.0.0.3");

        let mut anywhere = Node::new();
        let Heard::Interfaces(list) = anywhere.until(|heard| Some(heard.clone())).await else {
            panic!("interfaces come first");
        };
        assert!(list.iter().all(|i| !i.address.is_loopback()));
    });
}
