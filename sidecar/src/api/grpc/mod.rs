//! The gRPC API: the layers in front of the services, and what takes the methods
//! that no service has.

pub(crate) mod dapr;
mod reflection;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use hyper::body::Incoming;
use proto::dapr::runtime::v1::dapr_server::DaprServer;
use proto::dapr_rs::state::v1alpha1::state_keys_server::StateKeysServer;
use telemetry::Tracer;
use tonic::Status;
use tower::Service;

use self::dapr::Api;
use self::reflection::Reflection;
use super::access::Access;
use super::auth::{self, Token};
use super::errors;
use super::log::ApiLog;
use super::metrics::GrpcMetrics;
use super::trace;
use crate::invoke::Invoker;
use crate::state::grpc::Keys;

/// What stands in front of the methods, outermost first.
pub(crate) struct Layers {
    pub(crate) access: Access,
    pub(crate) token: Option<Token>,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) metrics: Option<GrpcMetrics>,
    pub(crate) log: Option<ApiLog>,
}

/// The service of one gRPC listener.
#[derive(Clone)]
pub(crate) struct GrpcApi {
    inner: Arc<Inner>,
}

struct Inner {
    layers: Layers,
    dapr: DaprServer<Api>,
    keys: StateKeysServer<Keys>,
    reflection: Reflection,
    invoker: Invoker,
}

impl GrpcApi {
    /// `max_message` is the largest message in bytes, both ways.
    pub(crate) fn new(layers: Layers, api: Api, invoker: Invoker, max_message: usize) -> Self {
        let keys = StateKeysServer::new(Keys(api.state.clone()));
        let dapr = DaprServer::new(api)
            .max_decoding_message_size(max_message)
            .max_encoding_message_size(max_message);
        Self {
            inner: Arc::new(Inner {
                layers,
                dapr,
                keys,
                reflection: Reflection::default(),
                invoker,
            }),
        }
    }

    async fn answer(self, mut req: Request) -> Response {
        let layers = &self.inner.layers;
        if layers.access.restricts_grpc() && !layers.access.grpc(req.uri().path()) {
            return status(&auth::not_allowed());
        }
        if let Some(token) = &layers.token
            && let Err(refused) = token.admits_grpc(req.headers_mut())
        {
            return status(&refused);
        }
        let span = match &layers.tracer {
            Some(tracer) => match trace::grpc(tracer, &mut req) {
                Ok(span) => span,
                Err(refused) => return status(&refused),
            },
            None => None,
        };
        let start = Instant::now();
        let logged = layers.log.as_ref().map(|l| l.request(&req));
        let mut measured = None;
        if let Some(metrics) = &layers.metrics {
            let (seen, counted) = metrics.request(req);
            (req, measured) = (counted, Some(seen));
        }
        let mut response = self.inner.routed(req).await;
        too_large(response.headers_mut());
        if let Some(span) = span {
            span.end(&mut response);
        }
        if let (Some(log), Some(seen)) = (&layers.log, logged) {
            response = log.response(seen, response, start);
        }
        match (&layers.metrics, measured) {
            (Some(metrics), Some(seen)) => metrics.response(seen, response),
            _ => response,
        }
    }
}

impl hyper::service::Service<hyper::Request<Incoming>> for GrpcApi {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, req: hyper::Request<Incoming>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(req.map(Body::new)).await) })
    }
}

impl Inner {
    /// Dapr's own services, reflection, the task hub, or a method of some app that
    /// is to be proxied. A comparison of names is all the routing there is.
    async fn routed(&self, req: Request) -> Response {
        let path = req.uri().path();
        if path.starts_with("/dapr.proto.runtime.v1.Dapr/") {
            return served(self.dapr.clone(), req).await;
        }
        if path.starts_with("/dapr_rs.state.v1alpha1.StateKeys/") {
            return served(self.keys.clone(), req).await;
        }
        if path.starts_with("/grpc.reflection.") {
            return self.reflection.call(req).await;
        }
        if path.starts_with("/TaskHubSidecarService/") {
            return status(&errors::actors::no_state_store().status());
        }
        crate::invoke::proxy::call(&self.invoker, None, req).await
    }
}

/// Calls a generated service.
pub(crate) async fn served<S>(mut service: S, req: Request) -> Response
where
    S: Service<Request, Response = http::Response<tonic::body::Body>, Error = Infallible>,
{
    match service.call(req).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

pub(crate) fn status(status: &Status) -> Response {
    status.clone().into_http::<Body>()
}

/// tonic reports a message over the limit as out of range; gRPC's own libraries
/// say resource exhausted, and clients look for that.
fn too_large(headers: &mut HeaderMap) {
    const OUT_OF_RANGE: &[u8] = b"11";
    let is_range = headers
        .get("grpc-status")
        .is_some_and(|s| s.as_bytes() == OUT_OF_RANGE);
    let is_size = || {
        headers
            .get("grpc-message")
            .and_then(|m| m.to_str().ok())
            .is_some_and(|m| m.contains("message%20length%20too%20large"))
    };
    if is_range && is_size() {
        headers.insert("grpc-status", HeaderValue::from_static("8"));
        let message = "grpc:%20received%20message%20larger%20than%20max;%20raise%20--max-body-size";
        headers.insert("grpc-message", HeaderValue::from_static(message));
    }
}
