//! The floors of calls: between two apps two bare hops with nothing but the same
//! transport, HTTP/1 in, HTTP/2 over mutual TLS between them, HTTP/1 out; to the own
//! app one, HTTP/1 in and out.

use std::net::SocketAddr;

use anyhow::Context;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use security::{Options, Security};
use service::Tasks;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The variable with Sentry's address; the anchors are where daprd has them.
pub(super) const SENTRY: &str = "BENCH_SENTRY_ADDRESS";

const FAR: &str = "bench-far";
const NAMESPACE: &str = "default";
// As the sidecars have it.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 21;

/// Calls are sent on over one connection, as from a sidecar.
pub(super) async fn near(port: u16, far: u16) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    let connector = identity("bench-near", &tasks)
        .await?
        .peer_connector(NAMESPACE, FAR);
    let there = Authority::try_from(format!("127.0.0.1:{far}"))?;
    let stream = testkit::eventually(testkit::DEADLINE, async || {
        Ok(connector.dial(&at(&there, None)?).await?)
    });
    let (sender, connection) = client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(stream.await))
        .await?;
    let mut connections = JoinSet::new();
    connections.spawn(async move {
        // Its end shows as an error of the calls that are under way.
        let _ = connection.await;
    });
    let listener = listener(port).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (sender, there) = (sender.clone(), there.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (mut sender, there) = (sender.clone(), there.clone());
                async move {
                    let request = addressed(request, &there)?;
                    Ok::<_, anyhow::Error>(sender.send_request(request).await?)
                }
            });
            let connection = server::conn::http1::Builder::new();
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Calls of the other hop, which shows its certificate, go to the app.
pub(super) async fn far(port: u16, app: u16) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    let acceptor = identity(FAR, &tasks).await?.peer_acceptor();
    let acceptor = acceptor.context("without mutual TLS this is no floor")?;
    let there = Authority::try_from(format!("127.0.0.1:{app}"))?;
    let client = client();
    let listener = listener(port).await?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, client, there) = (acceptor.clone(), client.clone(), there.clone());
        connections.spawn(async move {
            let Ok((stream, _)) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| pass(request, client.clone(), there.clone()));
            let _ = server::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Calls go to the app as they come: the floor of a sidecar that calls its own app.
pub(super) async fn plain(port: u16, app: u16) -> anyhow::Result<()> {
    let there = Authority::try_from(format!("127.0.0.1:{app}"))?;
    let client = client();
    let listener = listener(port).await?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, there) = (client.clone(), there.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| pass(request, client.clone(), there.clone()));
            let connection = server::conn::http1::Builder::new();
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type App = Client<HttpConnector, Incoming>;

fn client() -> App {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Calls the app over HTTP/1.
async fn pass(
    request: Request<Incoming>,
    client: App,
    there: Authority,
) -> anyhow::Result<Response<Incoming>> {
    let mut request = addressed(request, &there)?;
    *request.version_mut() = http::Version::HTTP_11;
    Ok(client.request(request).await?)
}

async fn listener(port: u16) -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?)
}

async fn identity(app_id: &str, tasks: &Tasks) -> anyhow::Result<Security> {
    let env = |name: &str| std::env::var(name).ok();
    let options = Options::from_env(app_id, NAMESPACE, env).map_err(anyhow::Error::msg)?;
    let options = Options {
        sentry_address: std::env::var(SENTRY).with_context(|| format!("{SENTRY} is not set"))?,
        mtls: true,
        ..options
    };
    Ok(Security::start(options, tasks).await?)
}

fn addressed<B>(mut request: Request<B>, there: &Authority) -> anyhow::Result<Request<B>> {
    let path = std::mem::take(request.uri_mut())
        .into_parts()
        .path_and_query;
    *request.uri_mut() = at(there, path)?;
    Ok(request)
}

fn at(there: &Authority, path: Option<PathAndQuery>) -> anyhow::Result<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(there.clone());
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Ok(Uri::from_parts(parts)?)
}
