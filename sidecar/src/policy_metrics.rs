//! What resiliency policies do, under upstream's names and labels.

use resiliency::{Labels, Observer, Policies};
use service::metrics::{Counter, Family, Gauge, Registry};

const LABELS: [&str; 7] = [
    "app_id",
    "flow_direction",
    "name",
    "namespace",
    "policy",
    "status",
    "target",
];

pub(crate) struct PolicyMetrics {
    app_id: String,
    loaded: Family<Counter>,
    count: Family<Counter>,
    /// The same under the name that upstream's tutorial gives it.
    policy_count: Family<Counter>,
    activations: Family<Counter>,
    breaker: Family<Gauge>,
}

impl PolicyMetrics {
    pub(crate) fn new(registry: &Registry, app_id: &str) -> Self {
        let counter = |name, help| registry.counter(name, help, &LABELS);
        Self {
            app_id: app_id.to_owned(),
            loaded: registry.counter(
                "resiliency/loaded",
                "Resiliency resources that were loaded.",
                &["app_id", "name", "namespace"],
            ),
            count: counter("resiliency/count", "Runs of resiliency policies."),
            policy_count: counter("resiliency/policy_count", "Runs of resiliency policies."),
            activations: counter(
                "resiliency/activations_total",
                "Resiliency policies that took effect.",
            ),
            breaker: registry.gauge(
                "resiliency/cb_state",
                "1 for the state that a circuit breaker has.",
                &LABELS,
            ),
        }
    }

    /// Counts the resources that `policies` were made of.
    pub(crate) fn loaded(&self, policies: &Policies) {
        for source in policies.loaded() {
            let labels = [&*self.app_id, &source.name, &source.namespace];
            self.loaded.with(&labels).inc();
        }
    }

    fn labels<'a>(&'a self, labels: &Labels<'a>, status: &'a str) -> [&'a str; 7] {
        [
            &self.app_id,
            labels.flow_direction,
            labels.name,
            labels.namespace,
            labels.policy,
            status,
            labels.target,
        ]
    }
}

impl Observer for PolicyMetrics {
    fn executed(&self, labels: Labels<'_>) {
        let labels = self.labels(&labels, labels.status);
        self.count.with(&labels).inc();
        self.policy_count.with(&labels).inc();
    }

    fn activated(&self, labels: Labels<'_>) {
        let labels = self.labels(&labels, labels.status);
        self.activations.with(&labels).inc();
    }

    fn breaker_state(&self, labels: Labels<'_>) {
        for status in Labels::STATUSES {
            let is = if status == labels.status { 1.0 } else { 0.0 };
            self.breaker.with(&self.labels(&labels, status)).set(is);
        }
    }
}
