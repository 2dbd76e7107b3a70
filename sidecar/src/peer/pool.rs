//! Connections to other sidecars: kept warm, shared by calls, replaced when they
//! break.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Uri;
use http::uri::{Authority, Scheme};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use service::Tasks;
use tonic::Status;

use super::dial::Dialer;
use crate::api::count::counted;
use crate::api::metrics::{GrpcMetrics, Measured};

const DIAL: Duration = Duration::from_secs(30);
const PING: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const MOST_IDLE: Duration = Duration::from_secs(180);
const SWEEP: Duration = Duration::from_secs(45);
/// Calls that share a connection before the next one is opened.
const SHARED: usize = 100;
/// Beyond this many connections to one peer, calls share what there is.
const MOST: usize = 64;

/// Whom a connection leads to: the address, and whose certificate is expected
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer<'a> {
    /// `host:port`
    pub(crate) address: &'a str,
    pub(crate) app_id: &'a str,
    pub(crate) namespace: &'a str,
}

/// Connections by address.
#[derive(Clone)]
pub(crate) struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    peers: Mutex<HashMap<String, Arc<Connections>>>,
    dialer: Dialer,
    metrics: Option<GrpcMetrics>,
    tasks: Tasks,
}

struct Connections {
    app_id: String,
    namespace: String,
    open: Mutex<Vec<Connection>>,
    /// Held by whoever opens another one.
    dialing: tokio::sync::Mutex<()>,
}

struct Connection {
    authority: Authority,
    sender: SendRequest<tonic::body::Body>,
    calls: Arc<AtomicUsize>,
    used: Instant,
}

/// A place for one call on a connection.
#[derive(Clone)]
pub(crate) struct Line {
    authority: Authority,
    sender: SendRequest<tonic::body::Body>,
    place: Arc<Place>,
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(crate) fn new(dialer: Dialer, metrics: Option<GrpcMetrics>, tasks: &Tasks) -> Self {
        let inner = Arc::new(Inner {
            peers: Mutex::default(),
            dialer,
            metrics,
            tasks: tasks.clone(),
        });
        tasks.spawn(
            "peer connections",
            sweep(Arc::downgrade(&inner), tasks.clone()),
        );
        Self { inner }
    }

    /// A connection to the peer, a new one if need be. A peer that cannot be
    /// reached is `Unavailable`.
    pub(crate) async fn line(&self, peer: Peer<'_>) -> Result<Measured<Line>, Status> {
        let connections = self.inner.connections(peer);
        match self.free(&connections, SHARED) {
            Some(line) => Ok(line),
            // Dialing takes kilobytes of state, which each call would carry along.
            None => Box::pin(self.dialed(&connections, peer)).await,
        }
    }

    /// Whoever comes first dials; the others wait for that.
    async fn dialed(
        &self,
        connections: &Connections,
        peer: Peer<'_>,
    ) -> Result<Measured<Line>, Status> {
        let _turn = connections.dialing.lock().await;
        if let Some(line) = self.free(connections, SHARED) {
            return Ok(line);
        }
        if connections.open.lock().len() >= MOST
            && let Some(line) = self.free(connections, usize::MAX)
        {
            return Ok(line);
        }
        let authority = peer.address.parse();
        let authority: Authority =
            authority.map_err(|_| unreachable(peer, "the address is not of the form host:port"))?;
        let dialed = tokio::time::timeout(DIAL, self.inner.dial(peer)).await;
        let sender = match dialed {
            Ok(Ok(sender)) => sender,
            Ok(Err(e)) => return Err(unreachable(peer, &service::net::reason(&e))),
            Err(_) => return Err(unreachable(peer, "no answer in 30 s")),
        };
        connections.open.lock().push(Connection {
            authority,
            sender: sender.clone(),
            calls: Arc::default(),
            used: Instant::now(),
        });
        self.free(connections, usize::MAX)
            .ok_or_else(|| unreachable(peer, "the connection broke at once"))
    }

    fn free(&self, connections: &Connections, most: usize) -> Option<Measured<Line>> {
        let metrics = self.inner.metrics.clone();
        Some(Measured::new(connections.free(most)?, metrics))
    }

    /// The next call to this address gets a fresh connection; calls under way
    /// keep the one that they have.
    pub(crate) fn forget(&self, address: &str) {
        self.inner.peers.lock().remove(address);
    }
}

fn unreachable(peer: Peer<'_>, cause: &str) -> Status {
    let Peer {
        address, app_id, ..
    } = peer;
    Status::unavailable(format!(
        "connection error: cannot reach the sidecar of {app_id} at {address}: {cause}"
    ))
}

impl Inner {
    fn connections(&self, peer: Peer<'_>) -> Arc<Connections> {
        let mut peers = self.peers.lock();
        if let Some(found) = peers.get(peer.address)
            && found.app_id == peer.app_id
            && found.namespace == peer.namespace
        {
            return found.clone();
        }
        // An address may have gone over to another app.
        let fresh = Arc::new(Connections {
            app_id: peer.app_id.to_owned(),
            namespace: peer.namespace.to_owned(),
            open: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
        });
        peers.insert(peer.address.to_owned(), fresh.clone());
        fresh
    }

    async fn dial(&self, peer: Peer<'_>) -> io::Result<SendRequest<tonic::body::Body>> {
        let stream = self.dialer.dial(peer).await?;
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 21)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // It ends when the last sender is gone, or when it breaks: then its calls
        // are told.
        self.tasks.spawn("peer connection", async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

impl Connections {
    /// A place on the first connection that has one, and that works.
    fn free(&self, most: usize) -> Option<Line> {
        let mut open = self.open.lock();
        open.retain(|c| !c.sender.is_closed());
        let found = open
            .iter_mut()
            .min_by_key(|c| c.calls.load(Ordering::Relaxed))?;
        if found.calls.load(Ordering::Relaxed) >= most {
            return None;
        }
        found.used = Instant::now();
        found.calls.fetch_add(1, Ordering::Relaxed);
        Some(Line {
            authority: found.authority.clone(),
            sender: found.sender.clone(),
            place: Arc::new(Place(found.calls.clone())),
        })
    }

    /// Closes what has been idle for long; whether anything is left.
    fn sweep(&self) -> bool {
        let mut open = self.open.lock();
        open.retain(|c| c.calls.load(Ordering::Relaxed) > 0 || c.used.elapsed() < MOST_IDLE);
        !open.is_empty() || self.dialing.try_lock().is_err()
    }
}

/// Until the end, when no connection takes another call.
async fn sweep(pool: Weak<Inner>, tasks: Tasks) {
    let end = tasks.token();
    loop {
        let ended = tokio::select! {
            () = tokio::time::sleep(SWEEP) => false,
            () = end.cancelled() => true,
        };
        let Some(pool) = pool.upgrade() else { return };
        let mut peers = pool.peers.lock();
        if ended {
            return peers.clear();
        }
        peers.retain(|_, connections| connections.sweep());
    }
}

type Sending = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Status>> + Send>>;

/// The body of an answer holds the place of its call until it has been read.
impl tower::Service<http::Request<tonic::body::Body>> for Line {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Sending;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.sender.poll_ready(cx).map_err(|e| broken(&e))
    }

    fn call(&mut self, mut req: http::Request<tonic::body::Body>) -> Sending {
        // HTTP/2 wants the whole address; the scheme says nothing about TLS here.
        let mut uri = std::mem::take(req.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        *req.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        let place = self.place.clone();
        let sending = self.sender.send_request(req);
        Box::pin(async move {
            let response: http::Response<Incoming> = sending.await.map_err(|e| broken(&e))?;
            let done = move |_, _: Option<&http::HeaderMap>| drop(place);
            Ok(response.map(|body| Body::new(counted(Body::new(body), done))))
        })
    }
}

fn broken(error: &hyper::Error) -> Status {
    Status::unavailable(format!("connection error: {}", crate::app::reason(error)))
}
