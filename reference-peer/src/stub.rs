//! Stands in for the driver and the engine until both are merged.
#![allow(missing_docs, clippy::unused_async, clippy::unused_self)]
use std::io;
use std::net::IpAddr;

use pinhole_proto::peer::{PeerCommand, PeerConfig, PeerEvent, PeerReply};
use pinhole_proto::url::ServerUrl;
use pinhole_proto::{CommandError, Endpoint, Instant};

pub(crate) struct Peer;
impl Peer {
    pub(crate) fn new(_: PeerConfig, _: [u8; 32], _: Instant) -> Self {
        Self
    }
}
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) bind: Option<IpAddr>,
    pub(crate) trace: Option<Box<dyn io::Write + Send>>,
    pub(crate) watch_interfaces: bool,
}
pub(crate) struct Driver<E>(E);
impl Driver<Peer> {
    pub(crate) fn new(engine: Peer, _: Options) -> io::Result<Self> {
        Ok(Self(engine))
    }
    pub(crate) fn command(&mut self, _: PeerCommand<'_>) -> Result<PeerReply, CommandError> {
        Err(CommandError::NotOnline)
    }
    pub(crate) async fn step(&mut self, _: &mut dyn FnMut(PeerEvent<'_>)) -> io::Result<()> {
        std::future::pending().await
    }
}
pub(crate) fn seed() -> [u8; 32] {
    [7; 32]
}
pub(crate) async fn resolve(url: &ServerUrl) -> io::Result<Vec<Endpoint>> {
    Ok(tokio::net::lookup_host((&url.host[..], url.port))
        .await?
        .map(Into::into)
        .collect())
}
pub(crate) mod key_file {
    #[derive(Debug, thiserror::Error)]
    #[error("stub")]
    pub struct KeyFileError;
    pub(crate) fn load_or_create(_: &std::path::Path) -> Result<[u8; 32], KeyFileError> {
        Err(KeyFileError)
    }
}
