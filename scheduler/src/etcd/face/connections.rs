//! Listener and connections of the face: plain text.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use service::{Tasks, net};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::service::Routes;

/// More connections than these wait in the kernel's queue: tools have few.
const MOST_CONNECTIONS: usize = 256;
const MOST_CALLS: u32 = 64;
const MOST_HEAD: u32 = 16 << 10;
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// How long calls may take to end when the server does.
const DRAIN: Duration = Duration::from_secs(5);

/// Who is at the other end of the connection of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Accepts until the tasks are told to end; every connection is a task.
pub(super) fn serve(listener: TcpListener, routes: Routes, tasks: &Tasks) {
    let end = tasks.token();
    net::each(
        "etcd connection",
        listener,
        MOST_CONNECTIONS,
        tasks,
        move |stream, address| converse(stream, Peer(address), routes.clone(), end.clone()),
    );
}

async fn converse(stream: TcpStream, peer: Peer, routes: Routes, end: CancellationToken) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let mut routes = routes.clone();
        async move { routes.call(request.map(Body::new)).await }
    });
    let mut protocol = http2::Builder::new(TokioExecutor::new());
    protocol
        .timer(TokioTimer::new())
        .max_header_list_size(MOST_HEAD)
        .max_concurrent_streams(MOST_CALLS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    let served = protocol.serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        // A client that goes away is its own affair.
        _ = served.as_mut() => {}
        () = end.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ = timeout(DRAIN, served).await;
        }
    }
}
