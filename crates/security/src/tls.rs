//! Handshakes of both sides, each with a deadline.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_util::either::Either;

use crate::leaf::{self, Leaf};
use crate::spiffe::SpiffeId;

/// gRPC insists on it.
pub(crate) const ALPN: &[u8] = b"h2";

const DIAL: Duration = Duration::from_secs(15);
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The one provider of cryptography, given to every configuration by hand.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    &PROVIDER
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no address to connect to")]
    Address,
    #[error("{0}")]
    Dial(io::Error),
    #[error("no connection within {DIAL:?}")]
    DialTimeout,
    #[error("TLS handshake failed: {}", reason(.0))]
    Handshake(io::Error),
    #[error("TLS handshake was not done within {HANDSHAKE:?}")]
    HandshakeTimeout,
    #[error("the client shows no certificate")]
    Anonymous,
    #[error(transparent)]
    Leaf(#[from] leaf::Error),
}

/// rustls prints what our verifier says as a debug text.
fn reason(error: &io::Error) -> String {
    use rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::Other(said))) => said.0.to_string(),
        _ => error.to_string(),
    }
}

/// The server's side; clones share one configuration.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
}

impl Acceptor {
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self { config }
    }

    /// The encrypted stream, and who is at its other end.
    pub async fn accept<S>(&self, stream: S) -> Result<(server::TlsStream<S>, SpiffeId), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.accept_anonymous(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let leaf = certificates.and_then(<[_]>::first);
        let id = Leaf::parse(leaf.ok_or(Error::Anonymous)?)?.id;
        Ok((stream, id))
    }

    /// The encrypted stream of a client that need not say who it is.
    pub async fn accept_anonymous<S>(&self, stream: S) -> Result<server::TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accepting = TlsAcceptor::from(self.config.clone()).accept(stream);
        let accepted = timeout(HANDSHAKE, accepting).await;
        accepted
            .map_err(|_| Error::HandshakeTimeout)?
            .map_err(Error::Handshake)
    }
}

/// The client's side of a handshake over `stream`. The host is sent and not verified.
pub async fn connect<S>(
    config: Arc<ClientConfig>,
    host: &str,
    stream: S,
) -> Result<client::TlsStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // An address of digits is never sent, and neither is what is no name.
    let unnamed = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let name = ServerName::try_from(host.to_owned()).unwrap_or(unnamed);
    let connecting = TlsConnector::from(config).connect(name, stream);
    let connected = timeout(HANDSHAKE, connecting).await;
    connected
        .map_err(|_| Error::HandshakeTimeout)?
        .map_err(Error::Handshake)
}

/// Dials for tonic (`Endpoint::connect_with_connector_lazy`), whose addresses
/// begin with `http://` also where TLS is spoken.
#[derive(Clone)]
pub struct Connector {
    tls: Option<Arc<ClientConfig>>,
}

/// A connection, encrypted or not.
pub type Stream = Either<TcpStream, client::TlsStream<TcpStream>>;

impl Connector {
    /// Connections without encryption.
    pub fn plain() -> Self {
        Self { tls: None }
    }

    /// Connections with TLS.
    pub fn tls(config: Arc<ClientConfig>) -> Self {
        Self { tls: Some(config) }
    }

    /// A connection to the host and port of `uri`.
    pub async fn dial(&self, uri: &Uri) -> Result<Stream, Error> {
        let host = uri.host().ok_or(Error::Address)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default = if self.tls.is_some() { 443 } else { 80 };
        let address = (host, uri.port_u16().unwrap_or(default));
        let stream = timeout(DIAL, TcpStream::connect(address)).await;
        let stream = stream
            .map_err(|_| Error::DialTimeout)?
            .map_err(Error::Dial)?;
        stream.set_nodelay(true).map_err(Error::Dial)?;
        Ok(match &self.tls {
            None => Either::Left(stream),
            Some(config) => Either::Right(connect(config.clone(), host, stream).await?),
        })
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.dial(&uri).await.map(TokioIo::new) })
    }
}
