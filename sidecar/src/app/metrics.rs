//! Metrics of calls to the app, under upstream's names and labels.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use http::Request;
use http::header::CONTENT_LENGTH;
use service::metrics::{Counter, Family, Histogram, Memo, Registry, SIZE_BUCKETS};

use super::Protocol;
use crate::api::count::counted;
use crate::api::metrics::Cardinality;

const LABELS: [&str; 4] = ["app_id", "method", "path", "status"];

#[derive(Clone)]
pub(crate) struct AppMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    app_id: String,
    cardinality: Cardinality,
    sent: Family<Histogram>,
    received: Arc<Histogram>,
    latency: Family<Histogram>,
    completed: Family<Counter>,
    ends: Memo<End>,
    http_probes: Probes,
    grpc_probes: Probes,
}

/// What is recorded when a call is answered.
struct End {
    completed: Arc<Counter>,
    latency: Arc<Histogram>,
}

struct Probes {
    completed: Family<Counter>,
    latency: Family<Histogram>,
}

impl Probes {
    fn new(registry: &Registry, block: &str, label: &'static str, buckets: &[f64]) -> Self {
        let (count, time) = (
            format!("{block}/healthprobes/completed_count"),
            format!("{block}/healthprobes/roundtrip_latency"),
        );
        let labels = ["app_id", label];
        Self {
            completed: registry.counter(&count, "Number of health probes of the app.", &labels),
            latency: registry.histogram(
                &time,
                "Time of a health probe, in milliseconds.",
                &labels,
                buckets,
            ),
        }
    }
}

pub(super) struct Seen {
    method: &'static str,
    path: String,
}

impl AppMetrics {
    pub(crate) fn new(
        registry: &Registry,
        app_id: &str,
        cardinality: Cardinality,
        buckets: &[f64],
    ) -> Self {
        let name = |rest| format!("http/client/{rest}");
        let inner = Inner {
            app_id: app_id.into(),
            cardinality,
            sent: registry.histogram(
                &name("sent_bytes"),
                "Bytes sent to the app.",
                &LABELS,
                SIZE_BUCKETS,
            ),
            received: registry
                .histogram(
                    &name("received_bytes"),
                    "Bytes received from the app.",
                    &["app_id"],
                    SIZE_BUCKETS,
                )
                .with(&[app_id]),
            latency: registry.histogram(
                &name("roundtrip_latency"),
                "Time of a call to the app, in milliseconds.",
                &LABELS,
                buckets,
            ),
            completed: registry.counter(
                &name("completed_count"),
                "Number of calls to the app.",
                &LABELS,
            ),
            ends: Memo::default(),
            http_probes: Probes::new(registry, "http", "status", buckets),
            grpc_probes: Probes::new(registry, "grpc.io", "grpc_client_status", buckets),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(super) fn request(&self, req: &Request<Body>) -> Seen {
        let metrics = &self.inner;
        let method = metrics.cardinality.verb(req.method());
        let path = metrics.cardinality.of_app(req.uri().path()).into_owned();
        let length = req
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let size = length.or(req.body().size_hint().exact()).unwrap_or(0);
        // Recorded before the answer, so without a status.
        metrics
            .sent
            .with(&[&metrics.app_id, method, &path, ""])
            .observe(size as f64);
        Seen { method, path }
    }

    pub(super) fn response(&self, seen: Seen, response: Response, start: Instant) -> Response {
        let metrics = &self.inner;
        let Seen { method, path } = seen;
        let status = response.status();
        let labels = [metrics.app_id.as_str(), method, &path, status.as_str()];
        let end = metrics.ends.get(&labels[1..], || End {
            completed: metrics.completed.with(&labels),
            latency: metrics.latency.with(&labels),
        });
        end.completed.inc();
        end.latency.observe(start.elapsed().as_secs_f64() * 1000.0);
        if let Some(exact) = response.body().size_hint().exact() {
            metrics.received.observe(exact as f64);
            return response;
        }
        let received = metrics.received.clone();
        response.map(|body| Body::new(counted(body, move |size, _| received.observe(size as f64))))
    }

    pub(super) fn probe(&self, protocol: Protocol, ok: bool, took: Duration) {
        let metrics = &self.inner;
        let (probes, status) = match (protocol.is_grpc(), ok) {
            (true, true) => (&metrics.grpc_probes, "OK"),
            (true, false) => (&metrics.grpc_probes, "Unknown"),
            (false, true) => (&metrics.http_probes, "200"),
            (false, false) => (&metrics.http_probes, "500"),
        };
        let labels = [metrics.app_id.as_str(), status];
        probes.completed.with(&labels).inc();
        probes
            .latency
            .with(&labels)
            .observe(took.as_secs_f64() * 1000.0);
    }
}
