//! What is measured: the metrics that the Configuration asks for, made once and
//! handed to whoever records them.

use std::sync::Arc;

use actors::observer::Observer;
use regex::Regex;
use resiliency::{ComponentKind, Policies};
use resources::configuration::{MetricRule, Metrics};
use service::metrics::{LATENCY_BUCKETS, Options, Registry};

use crate::actors::ActorMetrics;
use crate::api::metrics::{Cardinality, ErrorCodes, GrpcMetrics, HttpMetrics};
use crate::app::AppMetrics;
use crate::block::Block;
use crate::flags::Config;
use crate::invoke::InvokeMetrics;
use crate::jobs::JobMetrics;
use crate::load;
use crate::policy_metrics::PolicyMetrics;
use crate::run::namespace;

const CARDINALITY: &str = "The default value for 'spec.metric.http.increasedCardinality' will \
                           change to 'false' in Dapr 1.15 or later";

pub(crate) struct Meters {
    pub(crate) enabled: bool,
    pub(crate) registry: Registry,
    app_id: String,
    namespace: String,
    cardinality: Cardinality,
    /// Milliseconds.
    buckets: Vec<f64>,
    error_codes: bool,
}

impl Meters {
    /// `registry` is one that was made for the same settings. A rule that cannot be
    /// compiled is an error, which ends the start.
    pub(crate) fn new(
        config: &Config,
        metrics: &Metrics,
        registry: Option<Registry>,
    ) -> Result<Self, String> {
        let buckets = metrics
            .latency_distribution_buckets
            .clone()
            .unwrap_or_default();
        let registry = match registry {
            Some(registry) => registry,
            None => rewriting(Rule::compile(&metrics.rules)?),
        };
        let enabled = metrics.is_enabled() && config.metrics.is_some();
        if enabled && metrics.increased_cardinality().is_none() {
            // Upstream says so once for each of the two that measure.
            tracing::warn!(target: "dapr.runtime.diagnostics", "{CARDINALITY}");
            tracing::warn!(target: "dapr.runtime.http", "{CARDINALITY}");
        }
        Ok(Self {
            enabled,
            registry,
            app_id: config.app_id.clone(),
            namespace: namespace(config).to_owned(),
            cardinality: Cardinality::new(&metrics.http.clone().unwrap_or_default()),
            buckets: match buckets.as_slice() {
                [] => LATENCY_BUCKETS.to_vec(),
                given => given.iter().map(|b| *b as f64).collect(),
            },
            error_codes: metrics.record_error_codes.unwrap_or(false),
        })
    }

    /// The registry, where anything is measured at all.
    pub(crate) fn on(&self) -> Option<&Registry> {
        self.enabled.then_some(&self.registry)
    }

    pub(crate) fn http(&self) -> Option<HttpMetrics> {
        let registry = self.on()?;
        let errors = self
            .error_codes
            .then(|| ErrorCodes::new(registry, &self.app_id));
        let cardinality = self.cardinality.clone();
        Some(HttpMetrics::new(
            registry,
            &self.app_id,
            cardinality,
            &self.buckets,
            errors,
        ))
    }

    pub(crate) fn grpc(&self) -> Option<GrpcMetrics> {
        Some(GrpcMetrics::server(self.on()?, &self.app_id, &self.buckets))
    }

    /// Of gRPC calls to the app and to other sidecars.
    pub(crate) fn calls(&self) -> Option<GrpcMetrics> {
        Some(GrpcMetrics::client(self.on()?, &self.app_id, &self.buckets))
    }

    pub(crate) fn app(&self) -> Option<AppMetrics> {
        let registry = self.on()?;
        let cardinality = self.cardinality.clone();
        Some(AppMetrics::new(
            registry,
            &self.app_id,
            cardinality,
            &self.buckets,
        ))
    }

    pub(crate) fn invocation(&self) -> Option<InvokeMetrics> {
        Some(InvokeMetrics::new(self.on()?, &self.app_id, &self.buckets))
    }

    pub(crate) fn load(&self) -> Option<load::Counts> {
        Some(load::Counts::new(self.on()?, &self.app_id))
    }

    pub(crate) fn actors(&self) -> Arc<dyn Observer> {
        match self.on() {
            Some(registry) => ActorMetrics::shared(registry, &self.app_id),
            None => Arc::new(()),
        }
    }

    pub(crate) fn jobs(&self) -> Option<JobMetrics> {
        let owner = (self.app_id.as_str(), self.namespace.as_str());
        Some(JobMetrics::new(self.on()?, owner, &self.buckets))
    }

    pub(crate) fn block(
        &self,
        policies: &Policies,
        block: (&str, ComponentKind),
        operations: &'static [&'static str],
    ) -> Block {
        let owner = (self.app_id.as_str(), self.namespace.as_str());
        let registry = &self.registry;
        Block::new(registry, policies, block, operations, owner, &self.buckets)
    }

    /// What records the work of policies.
    pub(crate) fn policies(&self) -> Option<Arc<PolicyMetrics>> {
        Some(Arc::new(PolicyMetrics::new(self.on()?, &self.app_id)))
    }
}

fn rewriting(rules: Vec<Rule>) -> Registry {
    if rules.is_empty() {
        return Registry::with(Options::default());
    }
    Registry::with(Options::default().rewrite(move |metric, label, value| {
        let fits = |r: &&Rule| r.metric == metric && r.label == label;
        let mut of_label = rules.iter().filter(fits).peekable();
        of_label.peek()?;
        Some(of_label.fold(value.to_owned(), |value, rule| {
            let replaced = rule.pattern.replace_all(&value, &rule.replacement);
            replaced.into_owned()
        }))
    }))
}

/// Rewrites the values of a label before they are recorded.
struct Rule {
    /// As it is shown.
    metric: String,
    label: String,
    pattern: Regex,
    replacement: String,
}

impl Rule {
    fn compile(rules: &[MetricRule]) -> Result<Vec<Self>, String> {
        let mut compiled = Vec::new();
        for rule in rules {
            for label in &rule.labels {
                for (replacement, pattern) in &label.regex {
                    let pattern = Regex::new(pattern).map_err(|e| {
                        format!(
                            "failed to compile regex for rule {}/{}: {e}",
                            rule.name, label.name
                        )
                    })?;
                    let name = rule.name.strip_prefix("dapr_").unwrap_or(&rule.name);
                    compiled.push(Self {
                        metric: format!("dapr_{name}"),
                        label: label.name.clone(),
                        pattern,
                        replacement: replacement.clone(),
                    });
                }
            }
        }
        Ok(compiled)
    }
}
