//! Listeners and connections of the API servers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use security::{Acceptor, SpiffeId};
use service::{Gathered, Tasks};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// hyper reads the head of a request into a buffer of at least this size. Go's
/// limit, which upstream's default of 4 KiB sets, has as much slack above it.
const LEAST_HEAD: usize = 8 * 1024;

/// Upstream sets no limit to the calls on one gRPC connection; streams that stay
/// open must not keep others out.
const MOST_STREAMS: u32 = 10_000;

pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// For log lines: an address or a path.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Tcp(l) => l
                .local_addr()
                .map_or_else(|e| e.to_string(), |a| a.to_string()),
            Self::Unix(l) => match l
                .local_addr()
                .ok()
                .and_then(|a| a.as_pathname().map(Path::to_owned))
            {
                Some(path) => path.display().to_string(),
                None => "unnamed".into(),
            },
        }
    }
}

/// How connections of one server are spoken to.
#[derive(Clone)]
pub(crate) struct Protocol {
    builder: Builder<TokioExecutor>,
    /// Whether an answer is many small writes.
    gathered: bool,
}

impl Protocol {
    /// HTTP/1.1, and HTTP/2 in clear text where `h2c` is set. `max_head` is the
    /// size of a request's head in bytes.
    pub(crate) fn http(max_head: usize, h2c: bool) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        let max_head = max_head.saturating_add(4096).max(LEAST_HEAD);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .max_buf_size(max_head);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX));
        Self {
            builder: if h2c { builder } else { builder.http1_only() },
            gathered: false,
        }
    }

    /// HTTP/2 only, with the limits and the keepalive of upstream's gRPC servers.
    pub(crate) fn grpc(max_head: usize) -> Self {
        let mut builder = Builder::new(TokioExecutor::new()).http2_only();
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .max_concurrent_streams(MOST_STREAMS)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 21);
        Self {
            builder,
            gathered: true,
        }
    }
}

/// What answers the requests of a connection.
pub(crate) trait Serves:
    hyper::service::Service<
        hyper::Request<Incoming>,
        Response = Response,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + Sync
    + 'static
{
}

impl<S> Serves for S where
    S: hyper::service::Service<
            hyper::Request<Incoming>,
            Response = Response,
            Error = Infallible,
            Future: Send + 'static,
        > + Send
        + Sync
        + 'static
{
}

/// Accepts until the tasks are told to end; every connection is a task of its
/// own, so that a slow one holds up nobody.
pub(crate) fn serve<S>(
    listener: Listener,
    protocol: Protocol,
    tasks: &Tasks,
    service: impl Fn(Option<SocketAddr>) -> S + Send + Sync + 'static,
) where
    S: Serves,
{
    let connections = tasks.clone();
    tasks.spawn("listener", async move {
        let end = connections.token();
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                accepted = accept(&listener) => match accepted {
                    Accepted::Tcp(stream, peer) => connection(&connections, &protocol, stream, service(Some(peer))),
                    Accepted::Unix(stream) => connection(&connections, &protocol, stream, service(None)),
                },
            }
        }
    });
}

/// Like [`serve`], for clients that have to show a certificate. A handshake takes
/// place in its connection's task; one that fails is told to whoever debugs.
pub(crate) fn serve_identified<S>(
    listener: TcpListener,
    acceptor: Acceptor,
    protocol: Protocol,
    tasks: &Tasks,
    service: impl Fn(SpiffeId) -> S + Clone + Send + Sync + 'static,
) where
    S: Serves,
{
    let connections = tasks.clone();
    tasks.spawn("listener", async move {
        let end = connections.token();
        loop {
            let (stream, address) = tokio::select! {
                () = end.cancelled() => break,
                accepted = service::net::accept(&listener) => accepted,
            };
            let (acceptor, protocol) = (acceptor.clone(), protocol.clone());
            let (service, end) = (service.clone(), end.clone());
            connections.spawn("connection", async move {
                match acceptor.accept(stream).await {
                    Ok((stream, id)) => converse(&protocol, stream, service(id), &end).await,
                    Err(e) => tracing::debug!(
                        target: "dapr.runtime.grpc.internal",
                        "refused the connection of {address}: {e}"
                    ),
                }
            });
        }
    });
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

async fn accept(listener: &Listener) -> Accepted {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = service::net::accept(listener).await;
            Accepted::Tcp(stream, peer)
        }
        Listener::Unix(listener) => Accepted::Unix(service::net::accept_unix(listener).await),
    }
}

fn connection<S, IO>(tasks: &Tasks, protocol: &Protocol, stream: IO, service: S)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Serves,
{
    let (protocol, end) = (protocol.clone(), tasks.token());
    tasks.spawn("connection", async move {
        converse(&protocol, stream, service, &end).await;
    });
}

/// Serves one connection to its end. A client that goes away or speaks no HTTP is its own
/// affair.
async fn converse<S, IO>(protocol: &Protocol, stream: IO, service: S, end: &CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Serves,
{
    if protocol.gathered {
        let stream = Gathered::new(stream);
        let io = TokioIo::new(stream.clone());
        let served = Box::pin(protocol.builder.serve_connection(io, service));
        let mut turns = stream.drive(served);
        tokio::select! {
            () = &mut turns => {}
            () = end.cancelled() => {
                turns.work().as_mut().graceful_shutdown();
                turns.await;
            }
        }
        return;
    }
    let io = TokioIo::new(stream);
    let mut served = std::pin::pin!(protocol.builder.serve_connection(io, service));
    tokio::select! {
        _ = served.as_mut() => {}
        () = end.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}
