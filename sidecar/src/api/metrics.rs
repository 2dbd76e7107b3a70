//! Metrics of the HTTP and gRPC API servers, under upstream's names and labels.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use http::Method;
use http::header::CONTENT_LENGTH;
use service::metrics::{Counter, Family, Histogram, Registry, SIZE_BUCKETS};

use super::count::counted;
use super::error::Failed;
use super::log::grpc_code;

const HTTP_LABELS: [&str; 4] = ["app_id", "method", "path", "status"];

/// `spec.metric.http` of the Configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cardinality {
    /// Whether the `path` label is filled.
    pub(crate) paths: bool,
    /// Whether the `method` label stays empty.
    pub(crate) no_verbs: bool,
}

#[derive(Clone)]
pub(crate) struct HttpMetrics {
    inner: Arc<Http>,
}

struct Http {
    app_id: String,
    cardinality: Cardinality,
    requests: Family<Counter>,
    /// Only with paths, as upstream registers it.
    responses: Option<Family<Counter>>,
    latency: Family<Histogram>,
    request_bytes: Arc<Histogram>,
    response_bytes: Arc<Histogram>,
    errors: Option<ErrorCodes>,
}

pub(crate) struct HttpSeen {
    method: &'static str,
    path: String,
}

impl HttpMetrics {
    pub(crate) fn new(
        registry: &Registry,
        app_id: &str,
        cardinality: Cardinality,
        buckets: &[f64],
        errors: Option<ErrorCodes>,
    ) -> Self {
        let sizes = |name, help| {
            registry
                .histogram(name, help, &["app_id"], SIZE_BUCKETS)
                .with(&[app_id])
        };
        let counter = |name, help| registry.counter(name, help, &HTTP_LABELS);
        let inner = Http {
            app_id: app_id.into(),
            cardinality,
            requests: counter("http/server/request_count", "Number of HTTP API requests."),
            responses: cardinality.paths.then(|| {
                counter(
                    "http/server/response_count",
                    "Number of HTTP API responses.",
                )
            }),
            latency: registry.histogram(
                "http/server/latency",
                "Time of an HTTP API request, in milliseconds.",
                &HTTP_LABELS,
                buckets,
            ),
            request_bytes: sizes(
                "http/server/request_bytes",
                "Size of HTTP API request bodies, in bytes.",
            ),
            response_bytes: sizes(
                "http/server/response_bytes",
                "Size of HTTP API response bodies, in bytes.",
            ),
            errors,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn request(&self, req: &Request) -> HttpSeen {
        let metrics = &self.inner;
        let length = req
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        metrics.request_bytes.observe(length.unwrap_or(0) as f64);
        let method = if metrics.cardinality.no_verbs {
            ""
        } else {
            verb(req.method())
        };
        let path = if metrics.cardinality.paths {
            shortened(req.uri().path())
        } else {
            String::new()
        };
        HttpSeen { method, path }
    }

    /// The size is recorded when the body has been sent.
    pub(crate) fn response(&self, seen: HttpSeen, response: Response, start: Instant) -> Response {
        let metrics = &self.inner;
        let HttpSeen { method, path } = seen;
        let status = response.status();
        let labels = [metrics.app_id.as_str(), method, &path, status.as_str()];
        metrics.requests.with(&labels).inc();
        if let Some(responses) = &metrics.responses {
            responses.with(&labels).inc();
        }
        // Whole milliseconds, as upstream counts them.
        metrics
            .latency
            .with(&labels)
            .observe(start.elapsed().as_millis() as f64);
        if let (Some(errors), Some(Failed(code))) =
            (&metrics.errors, response.extensions().get::<Failed>())
        {
            errors.record(code);
        }
        if let Some(exact) = response.body().size_hint().exact() {
            metrics.response_bytes.observe(exact as f64);
            return response;
        }
        let bytes = metrics.response_bytes.clone();
        response.map(|body| Body::new(counted(body, move |size, _| bytes.observe(size as f64))))
    }
}

fn verb(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("UNKNOWN")
}

/// The path without what would make a series per key.
pub(crate) fn shortened(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let joined = |parts: &[&str]| format!("/{}", parts.join("/"));
    match parts.as_slice() {
        ["actors", kind, _, rest @ ..] => {
            let mut out = vec!["actors", kind, "{id}"];
            out.extend(rest);
            out.join("/")
        }
        [version, block @ ("state" | "secrets"), store, ..] if version.starts_with('v') => {
            joined(&[version, block, store])
        }
        [version, "actors", kind, _, rest @ ..] if version.starts_with('v') => {
            let mut out = vec![*version, "actors", kind, "{id}"];
            out.extend(rest.first());
            joined(&out)
        }
        [version, "workflows", component, name, "start", ..] => {
            joined(&[version, "workflows", component, name, "start"])
        }
        [version, "workflows", component, _, "raiseEvent", ..] => joined(&[
            version,
            "workflows",
            component,
            "{instanceId}",
            "raiseEvent",
            "{eventName}",
        ]),
        [version, "workflows", component, _, rest @ ..] => {
            let mut out = vec![*version, "workflows", component, "{instanceId}"];
            out.extend(rest.first());
            joined(&out)
        }
        parts => joined(parts),
    }
}

#[derive(Clone)]
pub(crate) struct GrpcMetrics {
    inner: Arc<Grpc>,
}

struct Grpc {
    app_id: String,
    completed: Family<Counter>,
    latency: Family<Histogram>,
    received: Family<Histogram>,
    sent: Family<Histogram>,
}

pub(crate) struct GrpcSeen {
    method: String,
}

impl GrpcMetrics {
    pub(crate) fn new(registry: &Registry, app_id: &str, buckets: &[f64]) -> Self {
        let by_method = &["app_id", "grpc_server_method"];
        let by_status = &["app_id", "grpc_server_method", "grpc_server_status"];
        let name = |rest| format!("grpc.io/server/{rest}");
        let inner = Grpc {
            app_id: app_id.into(),
            completed: registry.counter(
                &name("completed_rpcs"),
                "Number of calls by method and status.",
                by_status,
            ),
            latency: registry.histogram(
                &name("server_latency"),
                "Time of a call, in milliseconds.",
                by_status,
                buckets,
            ),
            received: registry.histogram(
                &name("received_bytes_per_rpc"),
                "Bytes received by a call.",
                by_method,
                SIZE_BUCKETS,
            ),
            sent: registry.histogram(
                &name("sent_bytes_per_rpc"),
                "Bytes sent by a call.",
                by_method,
                SIZE_BUCKETS,
            ),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn request(&self, req: &Request) -> GrpcSeen {
        let method = req.uri().path().to_owned();
        let length = req
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let received = length.or(req.body().size_hint().exact()).unwrap_or(0);
        self.inner
            .received
            .with(&[&self.inner.app_id, &method])
            .observe(received as f64);
        GrpcSeen { method }
    }

    pub(crate) fn response(&self, seen: GrpcSeen, response: Response, start: Instant) -> Response {
        let metrics = self.inner.clone();
        let early = grpc_code(response.headers());
        let ended = response.body().is_end_stream();
        let done = move |size: u64, trailers: Option<&http::HeaderMap>| {
            let code = trailers.and_then(grpc_code).or(early).unwrap_or(0);
            let labels = [metrics.app_id.as_str(), &seen.method, code_name(code)];
            metrics.completed.with(&labels).inc();
            metrics
                .latency
                .with(&labels)
                .observe(start.elapsed().as_secs_f64() * 1000.0);
            metrics.sent.with(&labels[..2]).observe(size as f64);
        };
        if ended {
            done(0, None);
            return response;
        }
        response.map(|body| Body::new(counted(body, done)))
    }
}

/// The names that gRPC metrics use.
fn code_name(code: i64) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|c| NAMES.get(c).copied())
        .unwrap_or("UNKNOWN")
}

/// `dapr_error_code_total`, with `spec.metrics.recordErrorCodes`.
#[derive(Clone)]
pub(crate) struct ErrorCodes {
    app_id: String,
    total: Family<Counter>,
}

impl ErrorCodes {
    pub(crate) fn new(registry: &Registry, app_id: &str) -> Self {
        let labels = &["app_id", "category", "error_code"];
        let total = registry.counter("error_code/total", "Number of API errors by code.", labels);
        Self {
            app_id: app_id.into(),
            total,
        }
    }

    fn record(&self, code: &str) {
        if let Some(category) = category(code) {
            self.total.with(&[&self.app_id, category, code]).inc();
        }
    }
}

fn category(code: &str) -> Option<&'static str> {
    let starts = [
        ("ERR_STATE", "state"),
        ("ERR_NOT_SUPPORTED_STATE", "state"),
        ("ERR_SECRET", "secret"),
        ("ERR_PERMISSION_DENIED", "secret"),
        ("ERR_ACTOR", "actor"),
        ("ERR_PUB", "pubsub"),
        ("ERR_TOPIC", "pubsub"),
        ("ERR_CONFIGURATION", "configuration"),
        ("ERR_CRYPTO", "crypto"),
        ("ERR_LOCK", "lock"),
        ("ERR_TRY_LOCK", "lock"),
        ("ERR_UNLOCK", "lock"),
        ("ERR_CONVERSATION", "conversation"),
        ("ERR_DIRECT_INVOKE", "service-invocation"),
        ("ERR_INVOKE_OUTPUT", "binding"),
        ("ERR_HEALTH", "health"),
        ("ERR_OUTBOUND", "health"),
        ("DAPR_SCHEDULER", "job"),
        ("ERR_WORKFLOW", "workflow"),
        ("ERR_INSTANCE", "workflow"),
        ("ERR_", "common"),
    ];
    starts
        .into_iter()
        .find(|(start, _)| code.starts_with(start))
        .map(|(_, category)| category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shortened_to_what_is_bounded() {
        for (path, expected) in [
            ("/v1.0/state/s/k/more", "/v1.0/state/s"),
            ("/v1.0/secrets/s/k", "/v1.0/secrets/s"),
            ("/v1.0/metadata", "/v1.0/metadata"),
            ("//v1.0//healthz", "/v1.0/healthz"),
            ("/v1.0/actors/t/1/method/m", "/v1.0/actors/t/{id}/method"),
            ("actors/t/1/method/m", "actors/t/{id}/method/m"),
            (
                "/v1.0/workflows/dapr/name/start",
                "/v1.0/workflows/dapr/name/start",
            ),
            (
                "/v1.0/workflows/dapr/1/raiseEvent/e",
                "/v1.0/workflows/dapr/{instanceId}/raiseEvent/{eventName}",
            ),
            (
                "/v1.0/workflows/dapr/1/pause",
                "/v1.0/workflows/dapr/{instanceId}/pause",
            ),
        ] {
            assert_eq!(shortened(path), expected, "{path}");
        }
    }
}
