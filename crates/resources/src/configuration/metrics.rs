//! What is measured, and how finely.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigurationSpec;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["enabled"]))]
pub struct Metrics {
    /// Unset counts as true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpMetrics>,
    /// Milliseconds; empty means upstream's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_distribution_buckets: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_error_codes: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<MetricRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowMetrics>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpMetrics {
    /// Unset counts as true, and a warning says that this will change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increased_cardinality: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_matching: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_verbs: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct WorkflowMetrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_distribution_buckets: Option<Vec<i64>>,
    /// A Go duration that scales the buckets.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub latency_distribution_units: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["labels", "name"]))]
pub struct MetricRule {
    pub name: String,
    pub labels: Vec<MetricLabel>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name", "regex"]))]
pub struct MetricLabel {
    pub name: String,
    /// Replacement text to pattern.
    pub regex: BTreeMap<String, String>,
}

impl ConfigurationSpec {
    /// `metrics` over `metric`, field by field.
    pub fn effective_metrics(&self) -> Metrics {
        let mut result = self.metric.clone().unwrap_or_default();
        if let Some(m) = self.metrics.clone() {
            result.enabled = m.enabled.or(result.enabled);
            result.http = m.http.or(result.http);
            result.latency_distribution_buckets = m
                .latency_distribution_buckets
                .or(result.latency_distribution_buckets);
            result.record_error_codes = m.record_error_codes.or(result.record_error_codes);
            result.workflow = m.workflow.or(result.workflow);
            if !m.rules.is_empty() {
                result.rules = m.rules;
            }
        }
        result
    }
}

impl Metrics {
    /// Whether anything is measured.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// Whether HTTP metrics carry the request path.
    pub fn increased_cardinality(&self) -> Option<bool> {
        self.http.as_ref()?.increased_cardinality
    }
}
