//! The figures of the placement service.

use std::sync::Arc;

use service::metrics::{Family, Gauge, Registry};

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    runtimes: Family<Gauge>,
    actor_runtimes: Family<Gauge>,
    leader: [Arc<Gauge>; 2],
}

/// The series of one namespace.
#[derive(Debug)]
pub(crate) struct NamespaceMetrics {
    runtimes: Arc<Gauge>,
    actor_runtimes: Arc<Gauge>,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let gauge = |name, help| registry.gauge(name, help, &[]).with(&[]);
        Self {
            runtimes: registry.gauge(
                "placement/runtimes_total",
                "The number of connected runtimes.",
                &["host_namespace"],
            ),
            actor_runtimes: registry.gauge(
                "placement/actor_runtimes_total",
                "The number of connected runtimes that host actors.",
                &["host_namespace"],
            ),
            leader: [
                gauge(
                    "placement/leader_status",
                    "Whether this member leads: 1 or 0.",
                ),
                gauge(
                    "placement/raft_leader_status",
                    "Always the same as the leader status.",
                ),
            ],
        }
    }

    pub(crate) fn namespace(&self, name: &str) -> NamespaceMetrics {
        NamespaceMetrics {
            runtimes: self.runtimes.with(&[name]),
            actor_runtimes: self.actor_runtimes.with(&[name]),
        }
    }

    pub(crate) fn leads(&self, leads: bool) {
        for gauge in &self.leader {
            gauge.set(f64::from(u8::from(leads)));
        }
    }
}

impl NamespaceMetrics {
    pub(crate) fn set(&self, runtimes: usize, actor_runtimes: usize) {
        // Far below what a float counts exactly.
        self.runtimes.set(runtimes as f64);
        self.actor_runtimes.set(actor_runtimes as f64);
    }
}
