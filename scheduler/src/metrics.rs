//! The figures of the scheduler.

use std::sync::Arc;

use service::metrics::{Counter, Family, Gauge, Histogram, Registry};

const LATENCY: &[f64] = &[0.0, 100.0, 500.0, 1000.0, 5000.0, 10000.0];

/// Handles of every family and of what is counted often; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) connected: Arc<Gauge>,
    pub(crate) created: Family<Counter>,
    pub(crate) not_created: Family<Counter>,
    pub(crate) deleted: Family<Counter>,
    pub(crate) bulk_deleted: Arc<Counter>,
    pub(crate) inflight: Family<Gauge>,
    pub(crate) pending: Family<Gauge>,
    pub(crate) throttled: Family<Counter>,
    pub(crate) sidecar_errors: Family<Counter>,
    jobs: Triggers,
    actors: Triggers,
}

/// What becomes of the triggers of one type of job.
#[derive(Clone, Debug)]
pub(crate) struct Triggers {
    pub(crate) triggered: Arc<Counter>,
    pub(crate) failed: Arc<Counter>,
    pub(crate) undelivered: Arc<Counter>,
    /// In milliseconds.
    pub(crate) latency: Arc<Histogram>,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter =
            |name: &str, help, labels| registry.counter(&format!("scheduler/{name}"), help, labels);
        let gauge =
            |name: &str, help, labels| registry.gauge(&format!("scheduler/{name}"), help, labels);
        let triggered = counter(
            "jobs_triggered_total",
            "The number of jobs sent.",
            &["type"],
        );
        let failed = counter(
            "jobs_failed_total",
            "The number of triggers that apps failed.",
            &["type"],
        );
        let undelivered = counter(
            "jobs_undelivered_total",
            "The number of triggers that nobody took.",
            &["type"],
        );
        let latency = registry.histogram(
            "scheduler/trigger_latency",
            "The time from the sending of a trigger to its result, in milliseconds.",
            &["type"],
            LATENCY,
        );
        let triggers = |kind: &str| Triggers {
            triggered: triggered.with(&[kind]),
            failed: failed.with(&[kind]),
            undelivered: undelivered.with(&[kind]),
            latency: latency.with(&[kind]),
        };
        Self {
            connected: gauge("sidecars_connected", "The number of streams of jobs.", &[]).with(&[]),
            created: counter(
                "jobs_created_total",
                "The number of jobs scheduled.",
                &["type"],
            ),
            not_created: counter(
                "jobs_created_failed_total",
                "The number of jobs that could not be scheduled.",
                &["type"],
            ),
            deleted: counter(
                "jobs_deleted_total",
                "The number of jobs deleted.",
                &["type"],
            ),
            bulk_deleted: counter(
                "jobs_bulk_deleted_total",
                "The number of deletions of many jobs.",
                &[],
            )
            .with(&[]),
            inflight: gauge(
                "concurrency_inflight",
                "The number of triggers that are through a gate.",
                &["concurrency_key"],
            ),
            pending: gauge(
                "concurrency_pending",
                "The number of triggers that wait at a gate.",
                &["concurrency_key"],
            ),
            throttled: counter(
                "concurrency_throttled_total",
                "The number of triggers that had to wait at a gate.",
                &["concurrency_key"],
            ),
            sidecar_errors: counter(
                "sidecar_errors_total",
                "The number of streams that ended with an error.",
                &["reason"],
            ),
            jobs: triggers("job"),
            actors: triggers("actor"),
        }
    }

    /// What is counted of triggers for a target of this kind.
    pub(crate) fn triggers(&self, actor: bool) -> &Triggers {
        if actor { &self.actors } else { &self.jobs }
    }
}
