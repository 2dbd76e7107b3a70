//! Metrics of the API servers, under upstream's names and labels.

mod errors;
mod grpc;
mod paths;

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use service::metrics::{Counter, FINE_BUCKETS, Family, Histogram, Memo, Registry, SIZE_BUCKETS};

pub(crate) use self::errors::ErrorCodes;
pub(crate) use self::grpc::{GrpcMetrics, Measured, code_name};
pub(crate) use self::paths::Cardinality;
use super::count::counted;
use super::error::Failed;

const LABELS: [&str; 4] = ["app_id", "method", "path", "status"];

#[derive(Clone)]
pub(crate) struct HttpMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    app_id: String,
    cardinality: Cardinality,
    requests: Family<Counter>,
    /// Only with paths, as upstream registers it.
    responses: Option<Family<Counter>>,
    latency: Family<Histogram>,
    /// Ours: upstream counts whole milliseconds, which tell nothing of fast calls.
    duration: Family<Histogram>,
    request_bytes: Arc<Histogram>,
    response_bytes: Arc<Histogram>,
    errors: Option<ErrorCodes>,
    ends: Memo<End>,
}

/// What is recorded when a request is answered.
struct End {
    requests: Arc<Counter>,
    responses: Option<Arc<Counter>>,
    latency: Arc<Histogram>,
    duration: Arc<Histogram>,
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
        let counter = |name, help| registry.counter(name, help, &LABELS);
        let inner = Inner {
            app_id: app_id.into(),
            requests: counter("http/server/request_count", "Number of HTTP API requests."),
            responses: cardinality.paths.then(|| {
                counter(
                    "http/server/response_count",
                    "Number of HTTP API responses.",
                )
            }),
            cardinality,
            latency: registry.histogram(
                "http/server/latency",
                "Time of an HTTP API request, in milliseconds.",
                &LABELS,
                buckets,
            ),
            duration: registry.histogram(
                "http/server/duration_ms",
                "Time of an HTTP API request, in fractions of milliseconds.",
                &["app_id", "method"],
                FINE_BUCKETS,
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
            ends: Memo::default(),
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
        HttpSeen {
            method: metrics.cardinality.verb(req.method()),
            path: metrics.cardinality.of_api(req.uri().path()).into_owned(),
        }
    }

    /// The size is recorded when the body has been sent.
    pub(crate) fn response(&self, seen: HttpSeen, response: Response, start: Instant) -> Response {
        let metrics = &self.inner;
        let HttpSeen { method, path } = seen;
        let status = response.status();
        let labels = [metrics.app_id.as_str(), method, &path, status.as_str()];
        let end = metrics.ends.get(&labels[1..], || End {
            requests: metrics.requests.with(&labels),
            responses: metrics.responses.as_ref().map(|r| r.with(&labels)),
            latency: metrics.latency.with(&labels),
            duration: metrics.duration.with(&labels[..2]),
        });
        end.requests.inc();
        if let Some(responses) = &end.responses {
            responses.inc();
        }
        let took = start.elapsed();
        // Whole milliseconds, as upstream counts them.
        end.latency.observe(took.as_millis() as f64);
        end.duration.observe(took.as_secs_f64() * 1000.0);
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
