//! Deadlines, and the trace.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pinhole_driver::Options;
use pinhole_proto::{Family::V4, Instant, SocketId, Transport::Udp};

use crate::toy::{Heard, Node, Order, run};

fn timeout(heard: &Heard) -> Option<Instant> {
    match heard {
        Heard::Timeout(at) => Some(*at),
        _ => None,
    }
}

#[test]
fn a_deadline_is_kept_and_never_early() {
    run(async {
        let mut node = Node::new();
        for wait in [0, 1, 300, 1_500, 20_000] {
            let at = node.driver.now() + Duration::from_micros(wait);
            node.order(Order::WakeAt(at));
            assert!(node.until(timeout).await >= at);
        }
    });
}

#[test]
fn a_deadline_that_comes_nearer_counts() {
    run(async {
        let mut node = Node::new();
        node.step().await;
        let far = node.driver.now() + Duration::from_secs(3_600);
        node.order(Order::WakeAt(far));
        let dropped = tokio::time::timeout(Duration::ZERO, node.step()).await;
        assert!(dropped.is_err(), "there is nothing to do for an hour");
        let near = node.driver.now() + Duration::from_millis(5);
        node.order(Order::WakeAt(near));
        let at = node.until(timeout).await;
        assert!(at >= near && at < far);
    });
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_trace_has_every_input_and_output_in_order() {
    let file = Shared::default();
    run(async {
        let mut node = Node::with(Options {
            bind: vec!["127.0.0.1".parse().unwrap()],
            trace: Some(Box::new(file.clone())),
            ..Options::default()
        });
        let own = node.open(0, Udp, V4).await;
        node.driver.note_command(&"send");
        let octets = vec![0xc0, 0xde];
        node.order(Order::Transmit(SocketId(0), None, own, Some(3), octets));
        node.order(Order::Transmit(SocketId(0), None, own, None, vec![]));
        while node.driver.discards().is_empty() {
            node.step().await;
        }
        let port = own.port();
        drop(node);

        let text = String::from_utf8(file.0.lock().unwrap().clone()).unwrap();
        let mut lines = Vec::new();
        let mut last = 0;
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            let t = value["t"].as_u64().expect("t is a number");
            assert!(t >= last, "time does not go backwards");
            last = t;
            let (_, rest) = line.split_once(',').expect("t is the first field");
            lines.push(rest.replace(&port.to_string(), "PORT"));
        }
        let beginning = lines.iter().position(|line| line.starts_with(r#""out":{"open""#));
        assert!(lines[0].starts_with(r#""in":{"interfaces":[{"address":""#));
        // What other addresses this machine has is not known here.
        lines.retain(|line| !line.starts_with(r#""out":{"event":{"Interfaces""#));
        assert_eq!(
            lines[beginning.unwrap()..].join("\n"),
            [
                r#""out":{"open":{"socket":0,"transport":"udp","family":4,"port":0,"share":null}}}"#,
                r#""out":{"wait":null}}"#,
                r#""in":{"opened":{"socket":0,"local":"127.0.0.1:PORT"}}}"#,
                r#""out":{"event":{"Opened":[0,"127.0.0.1:PORT"]}}}"#,
                r#""out":{"wait":null}}"#,
                r#""command":"send"}"#,
                r#""out":{"transmit":{"socket":0,"local":null,"remote":"127.0.0.1:PORT","ttl":3,"payload":"c0de"}}}"#,
                r#""out":{"transmit":{"socket":0,"local":null,"remote":"127.0.0.1:PORT","ttl":null,"payload":""}}}"#,
                r#""out":{"wait":null}}"#,
                r#""in":{"datagram":{"socket":0,"local":"127.0.0.1","remote":"127.0.0.1:PORT","payload":"c0de"}}}"#,
                r#""out":{"event":{"Datagram":[0,"127.0.0.1","127.0.0.1:PORT",[192,222]]}}}"#,
                r#""out":{"wait":null}}"#,
                r#""in":{"datagram":{"socket":0,"local":"127.0.0.1","remote":"127.0.0.1:PORT","payload":""}}}"#,
                r#""discard":"too-short"}"#,
                r#""out":{"wait":null}}"#,
            ]
            .join("\n"),
        );
    });
}

#[test]
fn the_trace_says_which_datagrams_the_system_did_not_take() {
    let file = Shared::default();
    run(async {
        let mut node = Node::with(Options {
            bind: vec!["127.0.0.1".parse().unwrap()],
            trace: Some(Box::new(file.clone())),
            ..Options::default()
        });
        let own = node.open(0, Udp, V4).await;
        let broadcast = "255.255.255.255:9".parse().unwrap();
        for (socket, remote) in [(0, own), (0, broadcast), (7, own), (0, own)] {
            node.order(Order::Transmit(SocketId(socket), None, remote, None, vec![1]));
        }
        while node.driver.discards().is_empty() && node.driver.unsent() < 2 {
            node.step().await;
        }
        drop(node);
        let text = String::from_utf8(file.0.lock().unwrap().clone()).unwrap();
        let unsent: Vec<u64> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["unsent"].as_u64())
            .collect();
        let mut sorted = unsent.clone();
        sorted.sort_unstable();
        // To the broadcast address a socket must ask first; there is no socket 7.
        assert_eq!(sorted, [1, 2], "{text}");
    });
}
