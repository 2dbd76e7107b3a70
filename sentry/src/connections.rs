//! Listeners and their connections, with TLS or without.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use service::{Gathered, Tasks, net};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A client that has not finished its handshake or its head by then is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long calls under way may take when the server ends.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);
/// More connections than these wait in the kernel's queue.
const CONNECTIONS: usize = 8192;
/// More calls than these wait on their connection.
const CALLS: u32 = 256;
const MOST_HEAD: u32 = 64 << 10;

/// How the connections of a server are spoken to.
#[derive(Clone)]
pub(crate) struct Protocol(Builder<TokioExecutor>);

impl Protocol {
    pub(crate) fn grpc() -> Self {
        let mut builder = Builder::new(TokioExecutor::new()).http2_only();
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(MOST_HEAD)
            .max_concurrent_streams(CALLS)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(PATIENCE);
        Self(builder)
    }

    pub(crate) fn http() -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(MOST_HEAD)
            .max_concurrent_streams(CALLS);
        Self(builder)
    }
}

/// Accepts until the tasks are told to end; every connection is a task.
pub(crate) fn serve<S, B>(
    listener: Arc<TcpListener>,
    tls: Option<Arc<ServerConfig>>,
    protocol: Protocol,
    service: S,
    tasks: &Tasks,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (acceptor, end) = (tls.map(TlsAcceptor::from), tasks.token());
    net::each(
        "connection",
        listener,
        CONNECTIONS,
        tasks,
        move |stream, _| {
            let (acceptor, protocol) = (acceptor.clone(), protocol.clone());
            let (service, end) = (service.clone(), end.clone());
            async move {
                let Some(acceptor) = acceptor else {
                    return connection(protocol, stream, service, end).await;
                };
                let shaken = tokio::time::timeout(PATIENCE, acceptor.accept(stream));
                // A client that does not speak TLS is its own affair.
                if let Ok(Ok(stream)) = shaken.await {
                    connection(protocol, stream, service, end).await;
                }
            }
        },
    );
}

async fn connection<S, B>(
    protocol: Protocol,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    end: tokio_util::sync::CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = Gathered::new(stream);
    let served = TokioIo::new(stream.clone());
    let served = Box::pin(protocol.0.serve_connection(served, service));
    let mut turns = stream.drive(served);
    tokio::select! {
        () = &mut turns => {}
        () = end.cancelled() => {
            turns.work().as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(DRAIN, turns).await;
        }
    }
}
