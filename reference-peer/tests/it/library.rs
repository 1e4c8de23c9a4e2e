//! The library, as an application uses it.

use std::time::Duration;

use pinhole_peer::{
    Accept, BindError, CloseReason, ConnectError, Event, MAX_DATAGRAM, Node, PeerId, Refusal, SendError, Session,
    StreamError, Transport,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::support::{PATIENCE, TestServer};

async fn node(server: &TestServer, accept: Accept) -> Node {
    let node = Node::builder(server.url.parse().unwrap()).accept(accept).bind().await.unwrap();
    node.online().await.unwrap();
    node
}

/// Two nodes and both ends of a session between them.
async fn pair(server: &TestServer, transport: Transport) -> (Node, Node, Session, Session) {
    let (a, b) = (node(server, Accept::Nobody).await, node(server, Accept::Anybody).await);
    let near = timeout(PATIENCE, a.connect_over(b.id(), transport)).await.unwrap().unwrap();
    let far = timeout(PATIENCE, b.accept()).await.unwrap().unwrap();
    assert_eq!((near.peer(), far.peer()), (b.id(), a.id()));
    assert!(near.is_initiator() && !far.is_initiator());
    (a, b, near, far)
}

#[tokio::test]
async fn datagrams_go_both_ways_and_have_a_greatest_length() {
    let server = TestServer::start();
    let (_a, _b, near, far) = pair(&server, Transport::Udp).await;
    near.ready().await.unwrap();
    let longest = vec![7; MAX_DATAGRAM];
    near.send(&longest).await.unwrap();
    assert_eq!(timeout(PATIENCE, far.recv()).await.unwrap().unwrap(), longest);
    far.send(b"").await.unwrap();
    assert_eq!(timeout(PATIENCE, near.recv()).await.unwrap().unwrap(), b"");
    assert_eq!(near.send(&[0; MAX_DATAGRAM + 1]).await, Err(SendError::TooLong(MAX_DATAGRAM + 1)));
    assert_eq!(near.split_stream().unwrap_err(), StreamError::NotAStream);
    assert!(timeout(PATIENCE, near.direct()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back_and_nothing_is_lost() {
    let server = TestServer::start();
    let (_a, _b, near, far) = pair(&server, Transport::Tcp).await;
    let (mut reader, mut answer) = far.split_stream().unwrap();
    assert_eq!(far.split_stream().unwrap_err(), StreamError::Taken);
    let (mut end, mut writer) = near.split_stream().unwrap();
    let sent: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&copy).await.unwrap();
        writer.shutdown().await.unwrap();
        writer.all_acknowledged().await.unwrap();
        writer
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!writing.is_finished(), "nobody reads, so nobody writes on");
    let mut received = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut received)).await.unwrap().unwrap();
    assert!(received == sent);
    let writer = timeout(PATIENCE, writing).await.unwrap().unwrap();
    assert_eq!(writer.acknowledged(), sent.len() as u64);
    answer.write_all(b"done").await.unwrap();
    answer.shutdown().await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, end.read_to_string(&mut text)).await.unwrap().unwrap();
    assert_eq!(text, "done");
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_session_for_both() {
    let server = TestServer::start();
    let (_a, _b, near, far) = pair(&server, Transport::Udp).await;
    near.ready().await.unwrap();
    drop(near);
    assert_eq!(timeout(PATIENCE, far.closed()).await.unwrap(), CloseReason::Remote);
    assert_eq!(far.recv().await, None);
    assert_eq!(far.send(b"late").await, Err(SendError::Closed(CloseReason::Remote)));
}

#[tokio::test]
async fn a_stream_whose_session_ends_early_is_an_error_at_the_reader() {
    let server = TestServer::start();
    let (_a, _b, near, far) = pair(&server, Transport::Tcp).await;
    let (mut reader, _writer) = far.split_stream().unwrap();
    near.ready().await.unwrap();
    near.close();
    let error = timeout(PATIENCE, reader.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn datagrams_for_a_slow_application_are_dropped_newest_first_and_counted() {
    let server = TestServer::start();
    let (_a, _b, near, far) = pair(&server, Transport::Udp).await;
    timeout(PATIENCE, near.direct()).await.unwrap().unwrap();
    for number in 0..1_300u32 {
        near.send(&number.to_be_bytes()).await.unwrap();
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(far.dropped().received > 0, "{:?}", far.dropped());
    assert_eq!(far.recv().await.unwrap(), 0u32.to_be_bytes());
}

#[tokio::test]
async fn a_connect_to_nobody_says_so() {
    let server = TestServer::start();
    let node = node(&server, Accept::Nobody).await;
    let nobody: PeerId = PeerId::new([9; 32]).unwrap();
    let error = timeout(PATIENCE, node.connect(nobody)).await.unwrap().unwrap_err();
    assert_eq!(error, ConnectError::Closed(CloseReason::Refused(Refusal::NOT_REGISTERED)));
    let own = node.connect(node.id()).await.unwrap_err();
    assert_eq!(own, ConnectError::Command(pinhole_peer::CommandError::OwnId));
}

#[tokio::test]
async fn a_node_that_was_shut_down_ends_everything() {
    let server = TestServer::start();
    let (a, b, near, _far) = pair(&server, Transport::Udp).await;
    let mut events = a.events();
    assert!(matches!(events.next().await.unwrap().event, Event::Online { .. }), "from the first event on");
    timeout(PATIENCE, a.shutdown()).await.unwrap();
    assert_eq!(near.closed().await, CloseReason::Local);
    assert_eq!(a.connect(b.id()).await.unwrap_err(), ConnectError::Stopped);
    assert!(a.accept().await.is_none());
    assert!(a.online().await.is_err());
    let mut last = None;
    while let Some(stamped) = events.next().await {
        last = Some(stamped.event);
    }
    assert_eq!(last, Some(Event::Stopped));
    a.shutdown().await;
}

#[tokio::test]
async fn a_server_without_a_key_needs_a_place_to_remember_it() {
    let url = "pinhole://127.0.0.1".parse().unwrap();
    assert!(matches!(Node::builder(url).bind().await, Err(BindError::NoServerKey)));
}
