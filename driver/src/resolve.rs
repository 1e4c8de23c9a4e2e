//! Host names.

use std::io;

use pinhole_proto::Endpoint;
use pinhole_proto::url::ServerUrl;

/// Looks up a server's endpoints: at most one per address family, in the resolver's order of preference.
///
/// # Errors
/// The name does not resolve, or to nothing.
pub async fn resolve(url: &ServerUrl) -> io::Result<Vec<Endpoint>> {
    let mut found: Vec<Endpoint> = Vec::new();
    for address in tokio::net::lookup_host((url.host.as_str(), url.port)).await? {
        let endpoint = Endpoint::from(address);
        if found.iter().all(|known| known.family() != endpoint.family()) {
            found.push(endpoint);
        }
    }
    if found.is_empty() {
        let text = format!("{} has no address", url.host);
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(found)
}
