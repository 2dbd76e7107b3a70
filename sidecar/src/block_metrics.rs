//! Count and latency of the calls to one kind of component, under upstream's
//! names (`dapr_component_<block>_count`, `..._latencies`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use service::metrics::{Counter, FINE_BUCKETS, Family, Histogram, Registry};

const LABELS: [&str; 5] = ["app_id", "component", "namespace", "operation", "success"];

/// The families of a block.
#[derive(Clone)]
pub(crate) struct BlockMetrics {
    count: Family<Counter>,
    latencies: Family<Histogram>,
    /// Ours, for every block: with bounds that fit fast components.
    durations: Family<Histogram>,
    app_id: Arc<str>,
    namespace: Arc<str>,
    operations: &'static [&'static str],
}

impl BlockMetrics {
    /// `buckets` are milliseconds.
    pub(crate) fn new(
        registry: &Registry,
        block: &str,
        operations: &'static [&'static str],
        (app_id, namespace): (&str, &str),
        buckets: &[f64],
    ) -> Self {
        let count = format!("component/{block}/count");
        let latencies = format!("component/{block}/latencies");
        let help = (
            "Number of calls to the component.",
            "Time the component took, in milliseconds.",
        );
        Self {
            count: registry.counter(&count, help.0, &LABELS),
            latencies: registry.histogram(&latencies, help.1, &LABELS, buckets),
            durations: registry.histogram(
                "component/operation_duration_ms",
                "Time a component took, in fractions of milliseconds.",
                &LABELS[..4],
                FINE_BUCKETS,
            ),
            app_id: app_id.into(),
            namespace: namespace.into(),
            operations,
        }
    }

    /// The series of one component. Each is looked up when it is first used and
    /// kept, so that recording is atomic operations only.
    pub(crate) fn of(&self, component: &str) -> ComponentMetrics {
        let operations = self.operations.iter().map(|_| Default::default()).collect();
        ComponentMetrics {
            families: self.clone(),
            component: component.into(),
            operations,
        }
    }
}

pub(crate) struct ComponentMetrics {
    families: BlockMetrics,
    component: String,
    /// In the order of the block's operations: failed, succeeded.
    operations: Box<[[OnceLock<Series>; 2]]>,
}

struct Series {
    count: Arc<Counter>,
    latency: Arc<Histogram>,
    duration: Arc<Histogram>,
}

impl ComponentMetrics {
    /// `operation` is one of the block's.
    pub(crate) fn record(&self, operation: &'static str, ok: bool, took: Duration) {
        let Some(index) = self
            .families
            .operations
            .iter()
            .position(|o| *o == operation)
        else {
            return;
        };
        let series = self.operations[index][usize::from(ok)].get_or_init(|| {
            let families = &self.families;
            let success = if ok { "true" } else { "false" };
            let labels = [
                &*families.app_id,
                &self.component,
                &families.namespace,
                operation,
                success,
            ];
            Series {
                count: families.count.with(&labels),
                latency: families.latencies.with(&labels),
                duration: families.durations.with(&labels[..4]),
            }
        });
        series.count.inc();
        let took = took.as_secs_f64() * 1000.0;
        series.latency.observe(took);
        series.duration.observe(took);
    }
}
