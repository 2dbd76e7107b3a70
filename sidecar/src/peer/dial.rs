//! The one place where connections to other sidecars are made.

use std::io;

use http::Uri;
use security::Security;
use security::tls::Stream;

use super::pool::Peer;

/// Dials with this sidecar's identity; without one, in plain text.
#[derive(Clone)]
pub(crate) struct Dialer {
    security: Security,
}

impl Dialer {
    pub(crate) fn new(security: Security) -> Self {
        Self { security }
    }

    /// The certificate at the other end has to be the one of the peer's app.
    pub(super) async fn dial(&self, peer: Peer<'_>) -> io::Result<Stream> {
        let uri = format!("http://{}", peer.address);
        let uri: Uri = uri.parse().map_err(|_| {
            let text = format!("'{}' is no address of the form host:port", peer.address);
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let connector = self.security.peer_connector(peer.namespace, peer.app_id);
        connector.dial(&uri).await.map_err(|e| match e {
            security::tls::Error::Dial(e) => e,
            other => io::Error::other(other),
        })
    }
}
