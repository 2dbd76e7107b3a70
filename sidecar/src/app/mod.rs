//! The user's application: how it is reached, whether it is up and healthy.

mod announce;
mod connect;
mod health;
mod init;
mod metrics;
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tonic::transport::{Channel, Endpoint};

use self::connect::Connector;
pub(crate) use self::health::AppHealth;
pub(crate) use self::metrics::AppMetrics;
use crate::api::auth::HEADER as TOKEN_HEADER;
use crate::api::count::counted;
use crate::api::metrics::{GrpcMetrics, Measured};
use crate::api::pipeline::Pipeline;
use crate::flags::AppConfig;

const IDLE_CONNECTIONS: usize = 64;
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Longer than a new app may take to say what it wants.
const INTRODUCTION: Duration = Duration::from_secs(3);

/// Why the app could not be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("app channel is not initialized")]
    NoApp,
    #[error("app is not in a healthy state")]
    Unhealthy,
    #[error("{0}")]
    Unreachable(String),
}

/// How the app is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
    H2c,
    Grpc,
    Grpcs,
}

impl Protocol {
    /// `text` is one of the words that the flags admit.
    fn new(text: &str) -> Self {
        match text {
            "https" => Self::Https,
            "h2c" => Self::H2c,
            "grpc" => Self::Grpc,
            "grpcs" => Self::Grpcs,
            _ => Self::Http,
        }
    }

    pub(crate) fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }
}

/// The channel to a gRPC app.
pub(crate) type AppChannel = Measured<Channel>;

/// A handle on the app, or on there being none.
#[derive(Clone)]
pub(crate) struct App {
    inner: Option<Arc<Inner>>,
    token: Option<HeaderValue>,
}

struct Inner {
    config: AppConfig,
    protocol: Protocol,
    authority: Authority,
    token: Option<HeaderValue>,
    client: Client<Connector, Body>,
    channel: AppChannel,
    permits: Option<Arc<Semaphore>>,
    health: watch::Sender<AppHealth>,
    /// Its port has accepted a connection.
    found: AtomicBool,
    pipeline: Pipeline,
    metrics: Option<AppMetrics>,
}

impl App {
    /// Connects to nothing yet.
    pub(crate) fn new(
        config: &AppConfig,
        read_buffer: usize,
        pipeline: Pipeline,
        metrics: Option<AppMetrics>,
        calls: Option<GrpcMetrics>,
    ) -> Result<Self, String> {
        let token = HeaderValue::try_from(&config.token).ok();
        let token = token.filter(|t| !t.is_empty());
        let Some(port) = config.port else {
            return Ok(Self { inner: None, token });
        };
        let host = match config.address.as_str() {
            v6 if v6.contains(':') && !v6.starts_with('[') => format!("[{v6}]:{port}"),
            host => format!("{host}:{port}"),
        };
        let authority: Authority = host.parse().map_err(|_| {
            format!(
                "--app-channel-address '{}' is no host; set a name or an address",
                config.address
            )
        })?;
        let protocol = Protocol::new(&config.protocol);
        let connector = Connector::new(protocol);
        let endpoint =
            Endpoint::from_shared(format!("http://{authority}")).map_err(|e| e.to_string())?;
        let inner = Inner {
            client: client(protocol, read_buffer, connector.clone()),
            channel: Measured::new(endpoint.connect_with_connector_lazy(connector), calls),
            token: token.clone(),
            permits: config.max_concurrency.map(|n| Arc::new(Semaphore::new(n))),
            health: watch::channel(AppHealth::Unhealthy).0,
            found: AtomicBool::new(false),
            config: config.clone(),
            protocol,
            authority,
            pipeline,
            metrics,
        };
        Ok(Self {
            inner: Some(Arc::new(inner)),
            token,
        })
    }

    /// Whether an app is configured at all.
    pub(crate) fn exists(&self) -> bool {
        self.inner.is_some()
    }

    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.inner.as_ref().map(|inner| inner.protocol)
    }

    /// `APP_API_TOKEN`, as calls to the app carry it. Calls of URLs do as well,
    /// even of those who have no app.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    /// The current health and its changes; `None` without an app.
    pub(crate) fn health(&self) -> Option<watch::Receiver<AppHealth>> {
        self.inner.as_ref().map(|inner| inner.health.subscribe())
    }

    /// Calls an HTTP app. The address of the request is path and query only; a
    /// place among the concurrent calls is held until the body of the answer has
    /// been read.
    pub(crate) async fn send(&self, req: Request<Body>) -> Result<Response, Error> {
        let inner = self.callable().await?;
        let permit = match &inner.permits {
            Some(permits) => Some(
                permits
                    .clone()
                    .acquire_owned()
                    .await
                    .map_err(|_| Error::NoApp)?,
            ),
            None => None,
        };
        let response = if inner.pipeline.is_empty() {
            inner.send(req).await?
        } else {
            inner
                .pipeline
                .run(req, &|req| Box::pin(inner.send(req)) as _)
                .await?
        };
        Ok(match permit {
            Some(permit) => response.map(|body| Body::new(counted(body, move |_, _| drop(permit)))),
            None => response,
        })
    }

    /// The channel for calls of the app's own gRPC methods, which take no place
    /// among the concurrent calls.
    pub(crate) async fn channel(&self) -> Result<AppChannel, Error> {
        Ok(self.callable().await?.channel.clone())
    }

    /// The app, if it may be called now. One that listens but is still being asked
    /// what it wants is waited for: the sidecar has said that it is ready.
    async fn callable(&self) -> Result<&Inner, Error> {
        let inner = self.inner.as_ref().ok_or(Error::NoApp)?;
        if *inner.health.borrow() == AppHealth::Healthy {
            return Ok(inner);
        }
        if inner.config.health.is_some() || !inner.found.load(Ordering::Acquire) {
            return Err(Error::Unhealthy);
        }
        let mut health = inner.health.subscribe();
        let accepted = health.wait_for(|h| *h == AppHealth::Healthy);
        match tokio::time::timeout(INTRODUCTION, accepted).await {
            Ok(Ok(_)) => Ok(inner),
            _ => Err(Error::Unhealthy),
        }
    }

    /// The channel to a gRPC app, under the same gates as [`App::send`].
    pub(crate) async fn grpc(
        &self,
    ) -> Result<(AppChannel, Option<tokio::sync::OwnedSemaphorePermit>), Error> {
        let inner = self.callable().await?;
        let permit = match &inner.permits {
            Some(permits) => Some(
                permits
                    .clone()
                    .acquire_owned()
                    .await
                    .map_err(|_| Error::NoApp)?,
            ),
            None => None,
        };
        Ok((inner.channel.clone(), permit))
    }
}

impl Inner {
    async fn send(&self, mut req: Request<Body>) -> Result<Response, Error> {
        *req.uri_mut() = self.address(req.uri());
        if let Some(token) = &self.token {
            req.headers_mut().insert(TOKEN_HEADER, token.clone());
        }
        let req = announce::announced(req, self.protocol != Protocol::H2c).await;
        let req = req.map_err(|e| Error::Unreachable(reason(&e)))?;
        let start = Instant::now();
        let seen = self.metrics.as_ref().map(|m| m.request(&req));
        let response = self
            .client
            .request(req)
            .await
            .map_err(|e| Error::Unreachable(reason(&e)))?;
        let response = response.map(Body::new);
        Ok(match (&self.metrics, seen) {
            (Some(metrics), Some(seen)) => metrics.response(seen, response, start),
            _ => response,
        })
    }

    fn address(&self, path: &Uri) -> Uri {
        let mut parts = path.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts
            .path_and_query
            .get_or_insert_with(|| PathAndQuery::from_static("/"));
        Uri::from_parts(parts).unwrap_or_default()
    }
}

fn client(protocol: Protocol, read_buffer: usize, connector: Connector) -> Client<Connector, Body> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(read_buffer.saturating_add(4096).max(8192));
    if protocol == Protocol::H2c {
        builder.http2_only(true);
    }
    builder.build(connector)
}

/// The innermost reason, which is the one that a person can act on.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    if at.is::<http_body_util::LengthLimitError>() {
        return crate::api::body::ReadError::TooLarge.to_string();
    }
    match at.downcast_ref::<std::io::Error>() {
        Some(io) => service::net::reason(io),
        None => at.to_string(),
    }
}
