//! Configuration v1alpha1: the sidecar's own settings.

mod access;
mod metrics;
mod pipeline;
mod secrets;
mod start;
mod telemetry;
mod workflow;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meta::object;

pub use access::{AccessControl, AccessPolicy, AppOperation};
pub use metrics::{HttpMetrics, MetricLabel, MetricRule, Metrics, WorkflowMetrics};
pub use pipeline::{Api, ApiRule, Handler, Pipeline, Selector, SelectorField};
pub use secrets::{SecretScope, Secrets};
pub use start::{merge, start_values};
pub use telemetry::{ApiLogging, Headers, Logging, Otel, Tracing, Zipkin};
pub use workflow::{ConcurrencyLimit, RetentionPolicy, Workflow};

object!(
    /// The sidecar's settings.
    Configuration, "Configuration", "v1alpha1", ConfigurationSpec, scopes: false
);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigurationSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_control: Option<AccessControl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_http_pipeline: Option<Pipeline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<Components>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_pipeline: Option<Pipeline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = { "enabled": true }))]
    pub metric: Option<Metrics>,
    /// Beats `metric` field by field; see [`ConfigurationSpec::effective_metrics`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = { "enabled": true }))]
    pub metrics: Option<Metrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_resolution: Option<NameResolution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Secrets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Wasm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Workflow>,
}

/// Component types that may not be loaded: `type` or `type/version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Components {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["enabled", "name"]))]
pub struct Feature {
    pub name: String,
    pub enabled: bool,
}

/// Read by the control plane only, from the Configuration `daprsystem`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["controlPlaneTrustDomain", "enabled", "sentryAddress"]))]
pub struct Mtls {
    pub enabled: bool,
    #[serde(rename = "workloadCertTTL", skip_serializing_if = "String::is_empty")]
    pub workload_cert_ttl: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub allowed_clock_skew: String,
    pub control_plane_trust_domain: String,
    pub sentry_address: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_validators: Vec<TokenValidator>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name"]))]
pub struct TokenValidator {
    #[schemars(extend("enum" = ["jwks"]))]
    pub name: String,
    #[schemars(schema_with = "any_object")]
    pub options: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["component", "configuration", "version"]))]
pub struct NameResolution {
    pub component: String,
    pub version: String,
    /// Passed to the resolver as it is.
    #[schemars(schema_with = "any_object")]
    pub configuration: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Wasm {
    pub strict_sandbox: bool,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Features that are on unless a Configuration switches them off.
const DEFAULT_FEATURES: [&str; 2] = ["HotReload", "WorkflowsRemoteActivityReminder"];

impl ConfigurationSpec {
    /// The names of the enabled features, sorted. A name given twice: the last entry counts.
    pub fn enabled_features(&self) -> Vec<String> {
        let mut switches: BTreeMap<&str, bool> =
            DEFAULT_FEATURES.iter().map(|f| (*f, true)).collect();
        switches.extend(self.features.iter().map(|f| (f.name.as_str(), f.enabled)));
        switches
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Whether one feature is enabled.
    pub fn has_feature(&self, name: &str) -> bool {
        self.enabled_features().iter().any(|f| f == name)
    }

    /// The component types that may not be loaded.
    pub fn denied_components(&self) -> &[String] {
        self.components
            .as_ref()
            .map(|c| c.deny.as_slice())
            .unwrap_or_default()
    }
}
