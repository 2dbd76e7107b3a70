//! Connections to schedulers.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, InvalidUri};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use security::tls::Connector;
use service::{Inline, Tasks};
use tonic::transport::{Channel, Endpoint};
use tonic::{ConnectError, Status};

use super::line::Line;
use crate::api::metrics::{GrpcMetrics, Measured};

const PING: Duration = Duration::from_secs(3);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// What a scheduler may send of one answer, and of all, before it is read.
const ANSWER: u32 = 1 << 20;
const ANSWERS: u32 = 2 << 20;

/// Dials with this sidecar's identity, and accepts that of a scheduler only.
#[derive(Clone)]
pub(super) struct Dialer {
    connector: Connector,
    metrics: Option<GrpcMetrics>,
}

type Sender = SendRequest<tonic::body::Body>;

/// One scheduler, and the connection for calls to it.
pub(super) struct Host {
    pub(super) address: Arc<str>,
    authority: Authority,
    dialer: Dialer,
    /// None before the first call.
    open: Arc<Mutex<Option<Sender>>>,
    /// Held by whoever connects.
    dialing: tokio::sync::Mutex<()>,
    tasks: Tasks,
}

impl Dialer {
    pub(super) fn new(connector: Connector, metrics: Option<GrpcMetrics>) -> Self {
        Self { connector, metrics }
    }

    /// Connects when the first call is made, and again after a break.
    pub(super) fn host(&self, address: &str, tasks: &Tasks) -> Result<Host, InvalidUri> {
        Ok(Host {
            address: address.into(),
            authority: address.parse()?,
            dialer: self.clone(),
            open: Arc::default(),
            dialing: tokio::sync::Mutex::default(),
            tasks: tasks.clone(),
        })
    }

    /// A connection of its own, for one stream.
    pub(super) async fn connect(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING_TIMEOUT);
        endpoint
            .connect_with_connector(self.connector.clone())
            .await
    }
}

impl Host {
    /// The connection, a new one if need be.
    pub(super) async fn line(&self) -> Result<Measured<Line>, Status> {
        if let Some(line) = self.working() {
            return Ok(line);
        }
        let _turn = self.dialing.lock().await;
        if let Some(line) = self.working() {
            return Ok(line);
        }
        // Boxed, since each call would carry its size along.
        let dialed = Box::pin(self.dial()).await;
        let sender = dialed.map_err(|e| Status::from_error(Box::new(ConnectError(e.into()))))?;
        Ok(self.measured(sender))
    }

    fn working(&self) -> Option<Measured<Line>> {
        let open = self.open.lock();
        let sender = open.as_ref().filter(|sender| !sender.is_closed())?;
        Some(self.measured(sender.clone()))
    }

    fn measured(&self, sender: Sender) -> Measured<Line> {
        let authority = self.authority.clone();
        let line = Line { authority, sender };
        Measured::new(line, self.dialer.metrics.clone())
    }

    async fn dial(&self) -> io::Result<Sender> {
        let uri = format!("http://{}", self.authority);
        let uri: Uri = uri.parse().map_err(io::Error::other)?;
        let dialed = self.dialer.connector.dial(&uri).await;
        let stream = dialed.map_err(|e| match e {
            security::tls::Error::Dial(e) => e,
            other => io::Error::other(other),
        })?;
        let inline = Inline::default();
        let (sender, connection) = Builder::new(inline.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(ANSWER)
            .initial_connection_window_size(ANSWERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        *self.open.lock() = Some(sender.clone());
        let (open, end) = (self.open.clone(), self.tasks.token());
        let mut driven = gathered(inline.drive(connection));
        self.tasks.spawn("scheduler connection", async move {
            // It ends when it breaks, or when the last sender is gone.
            tokio::select! {
                () = &mut driven => return,
                () = end.cancelled() => {}
            }
            open.lock().take();
            driven.await;
        });
        Ok(sender)
    }
}

/// Lets whoever is ready as well go first, so that their calls leave together.
fn gathered(mut driven: impl Future<Output = ()> + Unpin) -> impl Future<Output = ()> + Unpin {
    let mut woken = false;
    poll_fn(move |ctx| {
        woken = !woken;
        if woken {
            ctx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut driven).poll(ctx)
    })
}
