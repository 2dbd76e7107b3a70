//! Listener and connections of the API, with TLS or without.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use proto::dapr::scheduler::v1::scheduler_server::SchedulerServer;
use security::{Acceptor, SpiffeId};
use service::{Inline, Tasks, net};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::codegen::{BoxFuture, Service as _};

use super::{Caller, Service};

const SCOPE: &str = "dapr.scheduler.server";
/// More connections than these wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 32_768;
/// More calls of one connection than these wait.
const MOST_CALLS: u32 = 1024;
const MOST_HEAD: u32 = 16 << 10;
/// What a client may send of one call before it is read.
const CALL_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// How dead clients are found: upstream's times between and for pings.
const PING: Duration = Duration::from_secs(3);
const PONG: Duration = Duration::from_secs(5);
/// How long calls may take to end when the server does.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

type Server = SchedulerServer<Service>;

/// Accepts until the tasks are told to end; every connection is a task.
pub(crate) fn serve(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    server: Server,
    tasks: &Tasks,
) {
    let end = tasks.token();
    net::each(
        "connection",
        listener,
        MOST_CONNECTIONS,
        tasks,
        move |stream, address| {
            let (acceptor, server, end) = (acceptor.clone(), server.clone(), end.clone());
            async move {
                let Some(acceptor) = acceptor else {
                    return converse(stream, server, None, &end).await;
                };
                match acceptor.accept(stream).await {
                    Ok((stream, id)) => converse(stream, server, Some(id), &end).await,
                    Err(e) => refused(address, &e),
                }
            }
        },
    );
}

fn refused(address: SocketAddr, why: &security::tls::Error) {
    tracing::debug!(target: SCOPE, "refused the connection of {address}: {why}");
}

fn protocol(calls: Inline) -> http2::Builder<Inline> {
    let mut protocol = http2::Builder::new(calls);
    protocol
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(MOST_CALLS)
        .max_header_list_size(MOST_HEAD)
        .initial_stream_window_size(CALL_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    protocol
}

/// Serves one connection to its end.
async fn converse<S>(stream: S, server: Server, id: Option<SpiffeId>, end: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let caller = id.map(|id| Caller(Arc::new(id)));
    let connection = Connection { server, caller };
    let calls = Inline::default();
    let served = protocol(calls.clone()).serve_connection(TokioIo::new(stream), connection);
    let mut driven = calls.drive(served);
    tokio::select! {
        // A client that goes away or speaks no HTTP/2 is its own affair.
        () = &mut driven => {}
        () = end.cancelled() => {
            if let Some(served) = driven.connection() {
                served.graceful_shutdown();
            }
            if timeout(DRAIN, driven).await.is_err() {
                tracing::warn!(
                    target: SCOPE,
                    "Graceful shutdown timed out after 5s, forcing stop"
                );
            }
        }
    }
}

/// The service for one connection, whose other end does not change.
struct Connection {
    server: Server,
    caller: Option<Caller>,
}

impl hyper::service::Service<hyper::Request<Incoming>> for Connection {
    type Response = hyper::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn call(&self, mut request: hyper::Request<Incoming>) -> Self::Future {
        if let Some(caller) = &self.caller {
            request.extensions_mut().insert(caller.clone());
        }
        self.server.clone().call(request)
    }
}
