//! Connections that a test holds in its hand: many requests on one, bodies that
//! are sent and read piece by piece.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::DEADLINE;
use crate::server::{Body, full};

/// An HTTP/1.1 connection to 127.0.0.1; dropping it closes it at once.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Body>,
    driver: AbortHandle,
}

impl Connection {
    /// Connects to this port.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        #[allow(clippy::disallowed_methods)] // Drop aborts it; tests have no task tracker.
        let driver = tokio::spawn(async move {
            // Its request reports what went wrong.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            driver: driver.abort_handle(),
        })
    }

    /// GET without a body; answers as soon as the head is there.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Response<Incoming>> {
        self.send(Request::get(path).body(full(""))?).await
    }

    /// One request; answers as soon as the head is there.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(&mut self, mut request: Request<Body>) -> anyhow::Result<Response<Incoming>> {
        let host = http::HeaderValue::from_static("localhost");
        request.headers_mut().entry("host").or_insert(host);
        let exchange = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let answered = tokio::time::timeout(DEADLINE, exchange).await;
        Ok(answered.with_context(|| format!("no answer within {DEADLINE:?}"))??)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// POSTs a body to this path of 127.0.0.1 over HTTP/2 in TLS, as gRPC does, and
/// returns the status.
///
/// # Errors
/// When the handshake fails, or no answer comes.
pub async fn http2_over_tls(
    port: u16,
    tls: Arc<ClientConfig>,
    path: &str,
    body: impl Into<Bytes>,
) -> anyhow::Result<u16> {
    post_over_tls(port, tls, path, body.into(), async |answer| {
        Ok(answer.status().as_u16())
    })
    .await
}

/// The same for one message of gRPC, without its frame; returns gRPC's status.
///
/// # Errors
/// When the handshake fails, or no answer comes.
pub async fn grpc_over_tls(
    port: u16,
    tls: Arc<ClientConfig>,
    path: &str,
    message: &[u8],
) -> anyhow::Result<u16> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len())?.to_be_bytes());
    frame.extend(message);
    post_over_tls(port, tls, path, frame.into(), async |answer| {
        let (head, body) = answer.into_parts();
        let trailers = body.collect().await?.trailers().cloned();
        let status = |headers: &HeaderMap| headers.get("grpc-status").cloned();
        // A refusal may come without a body, in the head.
        let status = status(&head.headers).or_else(|| status(&trailers?));
        let status = status.context("the answer has no grpc-status")?;
        Ok(status.to_str()?.parse()?)
    })
    .await
}

async fn post_over_tls<T>(
    port: u16,
    tls: Arc<ClientConfig>,
    path: &str,
    body: Bytes,
    read: impl AsyncFnOnce(Response<Incoming>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let exchange = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let request = Request::post(format!("http://127.0.0.1:{port}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body))?;
        let driver = async {
            let ended = connection.await;
            // With TLS 1.3 a refusal comes after the client's own handshake.
            Err(ended.err().map_or_else(
                || anyhow::anyhow!("the server closed the connection"),
                anyhow::Error::from,
            ))
        };
        let answer = async { read(sender.send_request(request).await?).await };
        tokio::select! {
            biased;
            answer = answer => answer,
            failed = driver => failed,
        }
    };
    let answered = tokio::time::timeout(DEADLINE, exchange).await;
    answered.with_context(|| format!("no answer within {DEADLINE:?}"))?
}
