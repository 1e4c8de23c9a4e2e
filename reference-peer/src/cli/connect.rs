//! `connect`: one session, connected with standard input and output.

use pinhole_peer::{Node, PeerId, Transport};

use super::failure::Failure;
use super::input::{self, Cut};
use super::report::Feed;
use super::{ended, online, pipe};

pub(crate) async fn run(
    node: &Node,
    feed: &mut Feed,
    peer: PeerId,
    transport: Option<Transport>,
) -> Result<(), Failure> {
    online(node, feed).await?;
    let session = node.open(peer, transport).await?;
    feed.report.begin(&session);
    feed.during(session.established()).await.map_err(Failure::closed)?;
    let report = feed.report.clone();
    let piped = async {
        if session.transport() == Some(Transport::Tcp) {
            pipe::streams(&session, input::read(Cut::Chunks), &report).await
        } else {
            pipe::lines(&session, input::read(Cut::Lines), &report).await
        }
    };
    let result = feed.during(async {
        tokio::select! {
            result = piped => result,
            failure = ended(node) => Err(failure),
        }
    });
    let result = result.await;
    session.close();
    result
}
