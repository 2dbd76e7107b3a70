//! The HTTP API: routes of all blocks behind one chain of layers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::MethodRouter;
use http::{StatusCode, Uri, header};
use hyper::body::Incoming;
use telemetry::Tracer;
use tower::Service;

use super::access::Access;
use super::auth::Token;
use super::cors::Cors;
use super::error::text_response;
use super::log::ApiLog;
use super::metrics::HttpMetrics;
use super::path;
use super::pipeline::Pipeline;
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
pub(crate) struct Routes(Vec<(Group, String, MethodRouter)>);

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(
        mut self,
        group: Group,
        path: impl Into<String>,
        route: MethodRouter,
    ) -> Self {
        self.0.push((group, path.into(), route));
        self
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Routes whose group is not allowed are not there at all. `fallback` takes
    /// what no route took; without it the router's own 404 and 405 answer.
    pub(crate) fn router(self, access: &Access, fallback: Option<&MethodRouter>) -> Router {
        let mut router = Router::new();
        for (group, path, route) in self.0 {
            if !access.http(group, &path) {
                continue;
            }
            let route = match fallback {
                Some(fallback) => route.fallback_service(fallback.clone()),
                None => route,
            };
            router = router.route(&path, route);
        }
        match fallback {
            Some(fallback) => router.fallback_service(fallback.clone()),
            None => router,
        }
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
        let (layers, router) = self.inner.as_ref();
        clean_path(&mut req);
        if let Some(max) = layers.max_body {
            req = cap(req, max);
        }
        let span = match &layers.tracer {
            Some(tracer) => match trace::http(tracer, &mut req) {
                Ok(span) => span,
                Err(e) => return text_response(StatusCode::BAD_REQUEST, e.to_string()),
            },
            None => None,
        };
        let mut response = layers.measured(req, router).await;
        if let Some(span) = span {
            span.end(&mut response);
        }
        response
    }
}

impl Layers {
    async fn measured(&self, req: Request, router: &Router) -> Response {
        let Some(metrics) = &self.metrics else {
            return self.checked(req, router).await;
        };
        let start = Instant::now();
        let seen = metrics.request(&req);
        let response = self.checked(req, router).await;
        metrics.response(seen, response, start)
    }

    async fn checked(&self, mut req: Request, router: &Router) -> Response {
        let cors = match &self.cors {
            Some(cors) => match cors.request(&req) {
                Ok(allowed) => allowed,
                Err(preflight) => return preflight,
            },
            None => None,
        };
        let mut response = match &self.token {
            Some(token) if !token.admits(&mut req) => {
                text_response(StatusCode::UNAUTHORIZED, "invalid api token")
            }
            _ => self.piped(req, router).await,
        };
        if let Some(cors) = cors {
            cors.mark(&mut response);
        }
        response
    }

    async fn piped(&self, req: Request, router: &Router) -> Response {
        if self.pipeline.is_empty() {
            return self.logged(req, router).await;
        }
        let last = |req| Box::pin(async move { Ok(self.logged(req, router).await) }) as _;
        match self.pipeline.run(req, &last).await {
            Ok(response) => response,
            Err::<_, Infallible>(never) => match never {},
        }
    }

    async fn logged(&self, req: Request, router: &Router) -> Response {
        let Some(log) = &self.log else {
            return route(router, req).await;
        };
        let start = Instant::now();
        let seen = log.request(&req);
        let response = route(router, req).await;
        log.response(seen, response, start)
    }
}

async fn route(router: &Router, req: Request) -> Response {
    match router.clone().call(req).await {
        Ok(response) => response,
        Err(never) => match never {},
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
