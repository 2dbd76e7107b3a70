//! Metrics of triggers, under upstream's names.

use std::sync::Arc;
use std::time::Duration;

use service::metrics::{Counter, Histogram, Registry};

use crate::scheduler::Outcome;

const LABELS: [&str; 3] = ["app_id", "namespace", "operation"];
const LATENCY_LABELS: [&str; 4] = ["app_id", "namespace", "operation", "success"];
const OPERATION: &str = "job_trigger_op";

/// Counts what the app did with its jobs.
pub(crate) struct JobMetrics {
    succeeded: Series,
    failed: Series,
}

struct Series {
    count: Arc<Counter>,
    latency: Arc<Histogram>,
}

impl JobMetrics {
    /// `buckets` are milliseconds.
    pub(crate) fn new(
        registry: &Registry,
        (app_id, namespace): (&str, &str),
        buckets: &[f64],
    ) -> Self {
        let latencies = registry.histogram(
            "component/job/latencies",
            "Time the app took for a job, in milliseconds.",
            &LATENCY_LABELS,
            buckets,
        );
        let series = |name, help, success| Series {
            count: registry
                .counter(name, help, &LABELS)
                .with(&[app_id, namespace, OPERATION]),
            latency: latencies.with(&[app_id, namespace, OPERATION, success]),
        };
        Self {
            succeeded: series(
                "component/job/success_count",
                "Number of jobs that the app has done.",
                "true",
            ),
            failed: series(
                "component/job/failure_count",
                "Number of jobs that the app has failed.",
                "false",
            ),
        }
    }

    pub(super) fn record(&self, outcome: Outcome, took: Duration) {
        let series = match outcome {
            Outcome::Success => &self.succeeded,
            Outcome::Failed => &self.failed,
        };
        series.count.inc();
        series.latency.observe(took.as_secs_f64() * 1000.0);
    }
}
