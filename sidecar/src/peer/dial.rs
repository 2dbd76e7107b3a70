//! The one place where connections to other sidecars are made.

use std::io;

use tokio::net::TcpStream;

use super::pool::Peer;

#[derive(Clone, Default)]
pub(crate) struct Dialer {}

impl Dialer {
    pub(super) async fn dial(&self, peer: Peer<'_>) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(peer.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
