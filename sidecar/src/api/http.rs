//! The HTTP API: routes of all blocks behind one chain of layers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use http::{StatusCode, Uri, header};
use hyper::body::Incoming;
use telemetry::Tracer;
use tower::Service;

use super::access::Access;
use super::auth::Token;
use super::cors::Cors;
use super::error::plain_error;
use super::log::ApiLog;
use super::metrics::HttpMetrics;
use super::path;
use super::pipeline::Pipeline;
use super::router::{Answer, Fallback, Router, Verbs};
use super::trace;

/// The name under which `spec.api` allows or denies a set of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Group {
    pub(crate) const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version }
    }
}

/// The routes of a block. Wrong verbs on them fall through to invocation.
#[derive(Default)]
pub(crate) struct Routes(Vec<(Group, String, Verbs)>);

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(
        mut self,
        group: Group,
        path: impl Into<String>,
        verbs: impl Into<Verbs>,
    ) -> Self {
        self.0.push((group, path.into(), verbs.into()));
        self
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Routes whose group is not allowed are not there at all.
    pub(crate) fn router(self, access: &Access, fallback: Option<Fallback>) -> Router {
        let mut router = Router::new(fallback);
        for (group, path, verbs) in self.0 {
            if access.http(group, &path) {
                router.add(&path, verbs);
            }
        }
        router
    }
}

/// What stands in front of the routes, outermost first.
pub(crate) struct Layers {
    /// Largest body in bytes, `None` without a limit.
    pub(crate) max_body: Option<usize>,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) metrics: Option<HttpMetrics>,
    pub(crate) cors: Option<Cors>,
    pub(crate) token: Option<Token>,
    pub(crate) pipeline: Pipeline,
    pub(crate) log: Option<ApiLog>,
}

/// The service of one HTTP listener.
#[derive(Clone)]
pub(crate) struct HttpApi {
    inner: Arc<(Layers, Router)>,
}

impl HttpApi {
    pub(crate) fn new(layers: Layers, router: Router) -> Self {
        Self {
            inner: Arc::new((layers, router)),
        }
    }

    async fn answer(self, mut req: Request) -> Response {
        let layers = &self.inner.0;
        clean_path(&mut req);
        if let Some(max) = layers.max_body {
            req = cap(req, max);
        }
        let span = match &layers.tracer {
            Some(tracer) => match trace::http(tracer, &mut req) {
                Ok(span) => span,
                Err(e) => return plain_error(StatusCode::BAD_REQUEST, &e.to_string()),
            },
            None => None,
        };
        let measured = layers
            .metrics
            .as_ref()
            .map(|m| (m, Instant::now(), m.request(&req)));
        let mut response = self.admitted(req).await;
        if let Some((metrics, start, seen)) = measured {
            response = metrics.response(seen, response, start);
        }
        if let Some(span) = span {
            span.end(&mut response);
        }
        response
    }

    /// What comes before the token is asked for, and after.
    async fn admitted(&self, mut req: Request) -> Response {
        let layers = &self.inner.0;
        let cors = match &layers.cors {
            Some(cors) => match cors.request(&req) {
                Ok(allowed) => allowed,
                Err(preflight) => return preflight,
            },
            None => None,
        };
        let admitted = layers
            .token
            .as_ref()
            .is_none_or(|token| token.admits(&mut req));
        let mut response = match admitted {
            true if layers.pipeline.is_empty() => self.logged(req).await,
            true => self.piped(req).await,
            false => plain_error(StatusCode::UNAUTHORIZED, "invalid api token"),
        };
        if let Some(cors) = cors {
            cors.mark(&mut response);
        }
        response
    }

    async fn piped(&self, req: Request) -> Response {
        let last = |req| Box::pin(async move { Ok(self.logged(req).await) }) as _;
        match self.inner.0.pipeline.run(req, &last).await {
            Ok(response) => response,
            Err::<_, Infallible>(never) => match never {},
        }
    }

    /// The routes, and the log around them.
    fn logged(&self, req: Request) -> Answer {
        let (layers, router) = self.inner.as_ref();
        let Some(log) = &layers.log else {
            return router.call(req);
        };
        let (log, start) = (*log, Instant::now());
        let seen = log.request(&req);
        let answer = router.call(req);
        Box::pin(async move { log.response(seen, answer.await, start) })
    }
}

/// The address as it was sent, when cleaning changed it: invocation reads its
/// target and method from there.
#[derive(Clone)]
pub(crate) struct SentUri(pub(crate) Uri);

/// Routes match on the cleaned path.
fn clean_path(req: &mut Request) {
    let Some(path) = path::clean(req.uri().path()) else {
        return;
    };
    let sent = SentUri(req.uri().clone());
    req.extensions_mut().insert(sent);
    let text = match req.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    if let Ok(path_and_query) = text.parse() {
        let mut parts = std::mem::take(req.uri_mut()).into_parts();
        parts.path_and_query = Some(path_and_query);
        *req.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// A body that says that it is too large is refused before any of it is read; one
/// that does not say is cut at the cap.
fn cap(req: Request, max: usize) -> Request {
    if req.body().is_end_stream() {
        return req;
    }
    let length = req
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return req.map(|_| Body::new(http_body_util::Limited::new(Body::from("over"), 0)));
    }
    if length.is_some() {
        return req;
    }
    req.map(|body| Body::new(http_body_util::Limited::new(body, max)))
}

/// The API as one connection sees it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) api: HttpApi,
    pub(crate) peer: Option<SocketAddr>,
}

/// The address of the client, for middleware and spans.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl hyper::service::Service<hyper::Request<Incoming>> for Connection {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut req: hyper::Request<Incoming>) -> Self::Future {
        let api = self.api.clone();
        let layers = &api.inner.0;
        if let Some(peer) = self.peer
            && (layers.tracer.is_some() || !layers.pipeline.is_empty())
        {
            req.extensions_mut().insert(Peer(peer));
        }
        Box::pin(async move { Ok(api.answer(req.map(Body::new)).await) })
    }
}

/// For tests and for callers inside the process.
impl Service<Request> for HttpApi {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(req).await) })
    }
}
