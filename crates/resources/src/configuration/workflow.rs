//! Limits and retention of workflows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of 0 and below mean none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Workflow {
    /// Per sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_workflow_invocations: Option<i32>,
    /// Per sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_activity_invocations: Option<i32>,
    /// Across replicas, enforced by the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_max_concurrent_workflow_invocations: Option<i32>,
    /// Across replicas, enforced by the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_max_concurrent_activity_invocations: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflow_concurrency_limits: Vec<ConcurrencyLimit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub activity_concurrency_limits: Vec<ConcurrencyLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_retention_policy: Option<RetentionPolicy>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ConcurrencyLimit {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<i32>,
}

/// Go durations; `0s` purges at once, unset keeps; a specific state beats `any_terminal`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RetentionPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any_terminal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<String>,
}
