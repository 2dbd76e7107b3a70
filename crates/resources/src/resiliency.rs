//! Resiliency v1alpha1: named policies and the targets that use them. Durations,
//! trip conditions and code lists are texts here; crate `resiliency` compiles them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meta::object;

object!(
    /// Retries, timeouts and circuit breakers.
    Resiliency, "Resiliency", "v1alpha1", ResiliencySpec, scopes: true
);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["policies", "targets"]))]
pub struct ResiliencySpec {
    pub policies: Policies,
    pub targets: Targets,
}

/// The policies by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Policies {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub timeouts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub retries: BTreeMap<String, Retry>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub circuit_breakers: BTreeMap<String, CircuitBreaker>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Retry {
    /// `constant` or `exponential`, any case; empty means constant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub duration: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_interval: String,
    /// -1 or unset: no limit; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
}

/// Comma lists of codes and ranges that are retried; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Matching {
    #[serde(rename = "httpStatusCodes", skip_serializing_if = "String::is_empty")]
    pub http_status_codes: String,
    #[serde(rename = "gRPCStatusCodes", skip_serializing_if = "String::is_empty")]
    pub grpc_status_codes: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// Calls let through while half-open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// A CEL condition over the counters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trip: String,
}

/// Who uses which policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Targets {
    /// By app id, HTTPEndpoint name or URL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub apps: BTreeMap<String, AppTarget>,
    /// By actor type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub actors: BTreeMap<String, ActorTarget>,
    /// By component name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, ComponentTarget>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AppTarget {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retry: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker_cache_size: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ActorTarget {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retry: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker: String,
    /// `type`, `id` or `both`; required with a circuit breaker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker_scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker_cache_size: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ComponentTarget {
    /// From the component to the app.
    #[serde(skip_serializing_if = "PolicyNames::is_empty")]
    pub inbound: PolicyNames,
    /// From the API to the component.
    #[serde(skip_serializing_if = "PolicyNames::is_empty")]
    pub outbound: PolicyNames,
}

/// Names of policies; empty means none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicyNames {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retry: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker: String,
}

impl PolicyNames {
    /// Whether no policy is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
