//! Listener and connections of the API, with TLS or without.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use security::{Acceptor, SpiffeId};
use service::{Tasks, net};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::server::Service;
use crate::stream::Peer;

const SCOPE: &str = "dapr.placement.server";
/// More connections than these wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 32_768;
/// More streams of one connection than these wait.
const MOST_STREAMS: u32 = 1024;
const MOST_HEAD: u32 = 16 << 10;
/// What a client may send before it is read; its reports are small.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// A client that has asked for nothing by then is let go.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long streams may take to read their end when the server ends.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// How dead clients are found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keepalive {
    /// Between pings.
    pub(crate) time: Duration,
    /// Until a ping must be answered.
    pub(crate) timeout: Duration,
}

type Protocol = http2::Builder<TokioExecutor>;

/// Accepts until the tasks are told to end; every connection is a task.
pub(crate) fn serve(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    keepalive: Keepalive,
    hub: Hub,
    tasks: &Tasks,
) {
    let (protocol, connections) = (protocol(keepalive), tasks.clone());
    net::each(
        "connection",
        listener,
        MOST_CONNECTIONS,
        tasks,
        move |stream, address| {
            let (acceptor, protocol) = (acceptor.clone(), protocol.clone());
            let (hub, tasks) = (hub.clone(), connections.clone());
            async move {
                let Some(acceptor) = acceptor else {
                    return converse(&protocol, stream, address, None, hub, tasks).await;
                };
                match acceptor.accept(stream).await {
                    Ok((stream, id)) => {
                        converse(&protocol, stream, address, Some(id), hub, tasks).await;
                    }
                    Err(e) => {
                        tracing::debug!(target: SCOPE, "refused the connection of {address}: {e}");
                    }
                }
            }
        },
    );
}

fn protocol(keepalive: Keepalive) -> Protocol {
    let mut protocol = http2::Builder::new(TokioExecutor::new());
    protocol
        .timer(TokioTimer::new())
        .keep_alive_interval(keepalive.time)
        .keep_alive_timeout(keepalive.timeout)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(MOST_HEAD)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    protocol
}

/// Serves one connection to its end.
async fn converse<S>(
    protocol: &Protocol,
    stream: S,
    address: SocketAddr,
    id: Option<SpiffeId>,
    hub: Hub,
    tasks: Tasks,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (end, connection) = (tasks.token(), CancellationToken::new());
    let opened = Arc::new(Notify::new());
    let service = Service {
        peer: Peer {
            address,
            id: id.map(Arc::new),
            connection: connection.clone(),
        },
        hub,
        tasks,
        opened: opened.clone(),
    };
    let served = protocol.serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let silent = async {
        if timeout(PATIENCE, opened.notified()).await.is_ok() {
            std::future::pending().await
        }
    };
    tokio::select! {
        // A client that goes away or speaks no HTTP/2 is its own affair.
        _ = served.as_mut() => {}
        () = silent => {}
        () = connection.cancelled() => {}
        () = end.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ = timeout(DRAIN, served).await;
        }
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
