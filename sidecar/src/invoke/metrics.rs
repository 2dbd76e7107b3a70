//! Calls between sidecars, counted on both sides under upstream's names.

use std::sync::Arc;
use std::time::Instant;

use service::metrics::{Counter, Family, Histogram, Memo, Registry};

/// Cloning is cheap.
#[derive(Clone)]
pub(crate) struct InvokeMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    app_id: String,
    sent: Family<Counter>,
    received: Family<Counter>,
    answered: Family<Counter>,
    answers: Family<Counter>,
    latency: Family<Histogram>,
    ends: Memo<End>,
}

/// What is recorded when another app has answered.
struct End {
    answers: Arc<Counter>,
    latency: Arc<Histogram>,
}

/// How a call was made, for the label `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Unary,
    Streaming,
}

impl Shape {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Streaming => "streaming",
        }
    }
}

impl InvokeMetrics {
    /// `buckets` are milliseconds.
    pub(crate) fn new(registry: &Registry, app_id: &str, buckets: &[f64]) -> Self {
        let name = |rest: &str| format!("runtime/service_invocation/{rest}");
        let counter =
            |rest, help, labels: &[&'static str]| registry.counter(&name(rest), help, labels);
        let inner = Inner {
            app_id: app_id.to_owned(),
            sent: counter(
                "req_sent_total",
                "Calls sent to other apps.",
                &["app_id", "dst_app_id", "type"],
            ),
            received: counter(
                "req_recv_total",
                "Calls received from other apps.",
                &["app_id", "src_app_id"],
            ),
            answered: counter(
                "res_sent_total",
                "Answers sent to other apps.",
                &["app_id", "dst_app_id", "status"],
            ),
            answers: counter(
                "res_recv_total",
                "Answers received from other apps.",
                &["app_id", "src_app_id", "status", "type"],
            ),
            latency: registry.histogram(
                &name("res_recv_latency_ms"),
                "Time until another app's answer came, in milliseconds.",
                &["app_id", "src_app_id", "status"],
                buckets,
            ),
            ends: Memo::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn sent(&self, to: &str, shape: Shape) {
        let me = &*self.inner;
        me.sent.with(&[&me.app_id, to, shape.as_str()]).inc();
    }

    /// `code` is an HTTP status or a gRPC code.
    pub(crate) fn answer(&self, from: &str, code: i32, shape: Shape, start: Instant) {
        let me = &*self.inner;
        let code = code.to_string();
        let labels = [&*me.app_id, from, &code, shape.as_str()];
        let end = me.ends.get(&labels[1..], || End {
            answers: me.answers.with(&labels),
            latency: me.latency.with(&labels[..3]),
        });
        end.answers.inc();
        end.latency.observe(start.elapsed().as_secs_f64() * 1000.0);
    }

    pub(crate) fn received(&self, from: &str) {
        let me = &*self.inner;
        me.received.with(&[&me.app_id, from]).inc();
    }

    pub(crate) fn answered(&self, to: &str, code: i32) {
        let me = &*self.inner;
        me.answered.with(&[&me.app_id, to, &code.to_string()]).inc();
    }
}
