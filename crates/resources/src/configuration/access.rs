//! Access control of calls that arrive from other apps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AccessControl {
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_action: String,
    /// The own trust domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
    /// Absent and empty differ: see configuration of the global action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<AccessPolicy>>,
}

/// What one calling app may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["appId"]))]
pub struct AccessPolicy {
    pub app_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_action: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<AppOperation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["action", "name"]))]
pub struct AppOperation {
    /// A path pattern; a leading `/` is added.
    pub name: String,
    /// Upper-case verbs or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_verb: Vec<String>,
    pub action: String,
}

impl AccessControl {
    /// A policy without app id, trust domain or namespace ends the start, with upstream's text.
    pub fn validate(&self) -> Result<(), String> {
        let policies = self.policies.as_deref().unwrap_or_default();
        let named = |missing: fn(&AccessPolicy) -> bool| -> Vec<&str> {
            policies
                .iter()
                .filter(|p| missing(p) && !p.app_id.is_empty())
                .map(|p| p.app_id.as_str())
                .collect()
        };
        let trust_domain = named(|p| p.trust_domain.is_empty());
        let namespace = named(|p| p.namespace.is_empty());
        let app_name = policies.iter().any(|p| p.app_id.is_empty());
        if trust_domain.is_empty() && namespace.is_empty() && !app_name {
            return Ok(());
        }
        Err(format!(
            "invalid access control spec. missing trustdomain for apps: [{}], missing namespace for apps: [{}], \
             missing app name on at least one of the app policies: {app_name}",
            trust_domain.join(" "),
            namespace.join(" "),
        ))
    }
}
