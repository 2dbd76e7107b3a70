//! Calls to the components of one building block: measured under upstream's names
//! (`dapr_component_<block>_count`, `..._latencies`), made under their policies.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use component::{Error, ErrorKind};
use resiliency as policy;
use resiliency::{ComponentKind, Direction, Policies, Policy, Verdict};
use service::metrics::{Counter, FINE_BUCKETS, Family, Histogram, Registry};

const LABELS: [&str; 5] = ["app_id", "component", "namespace", "operation", "success"];

/// What the components of a block have in common.
#[derive(Clone)]
pub(crate) struct Block {
    policies: Policies,
    kind: ComponentKind,
    count: Family<Counter>,
    latencies: Family<Histogram>,
    /// Ours, for every block: with bounds that fit fast components.
    durations: Family<Histogram>,
    app_id: Arc<str>,
    namespace: Arc<str>,
    operations: &'static [&'static str],
}

impl Block {
    /// `buckets` are milliseconds.
    pub(crate) fn new(
        registry: &Registry,
        policies: &Policies,
        (block, kind): (&str, ComponentKind),
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
            policies: policies.clone(),
            kind,
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

    /// The calls to one component. Its policy is looked up here; each series when
    /// it is first used, so that recording is atomic operations only.
    pub(crate) fn of(&self, component: &str) -> Calls {
        let operations = self.operations.iter().map(|_| Default::default()).collect();
        Calls {
            policy: self
                .policies
                .component(component, self.kind, Direction::Outbound),
            families: self.clone(),
            component: component.into(),
            operations,
        }
    }
}

pub(crate) struct Calls {
    policy: Policy,
    families: Block,
    component: String,
    /// In the order of the block's operations: failed, succeeded.
    operations: Box<[[OnceLock<Series>; 2]]>,
}

struct Series {
    count: Arc<Counter>,
    latency: Arc<Histogram>,
    duration: Arc<Histogram>,
}

impl Calls {
    /// Makes a call, again where the policy says so. `operation` is one of the
    /// block's. Without a policy the request is not copied.
    pub(crate) async fn make<R, T, F>(
        &self,
        operation: &'static str,
        request: R,
        attempt: impl Fn(R) -> F,
    ) -> Result<T, Error>
    where
        R: Clone,
        F: Future<Output = Result<T, Error>>,
    {
        let start = Instant::now();
        let result = if self.policy.is_none() {
            attempt(request).await
        } else {
            let run = self.policy.run(verdict, || attempt(request.clone()));
            run.await.map_err(|e| match e {
                policy::Error::Attempt(e) => e,
                refused => Error::unavailable(refused.to_string()),
            })
        };
        self.record(operation, result.is_ok(), start.elapsed());
        result
    }

    fn record(&self, operation: &'static str, ok: bool, took: Duration) {
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

/// An ETag that does not match and a request that cannot be served are answers of
/// a component that works: they are not retried and trip no breaker.
fn verdict<T>(result: &Result<T, Error>) -> Verdict {
    match result {
        Ok(_) => Verdict::Success,
        Err(e) => match e.kind {
            ErrorKind::EtagMismatch
            | ErrorKind::EtagInvalid
            | ErrorKind::InvalidRequest
            | ErrorKind::Unsupported => Verdict::Success,
            _ => Verdict::Failure { code: None },
        },
    }
}
