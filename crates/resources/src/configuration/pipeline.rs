//! HTTP middleware pipelines and the lists of allowed and denied APIs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Middlewares in order, the first one outermost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["handlers"]))]
pub struct Pipeline {
    pub handlers: Vec<Handler>,
}

/// One middleware, found among the loaded components by name, type and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name", "type"]))]
pub struct Handler {
    pub name: String,
    #[serde(rename = "type")]
    pub handler_type: String,
    /// Empty means `v1`. Only standalone files have it.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(skip)]
    pub version: String,
    /// Accepted, without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["fields"]))]
pub struct Selector {
    pub fields: Vec<SelectorField>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["field", "value"]))]
pub struct SelectorField {
    pub field: String,
    pub value: String,
}

/// Denied rules are checked first; a non-empty allow list closes everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Api {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<ApiRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<ApiRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name", "version"]))]
pub struct ApiRule {
    pub name: String,
    pub version: String,
    /// `http` in any case or exactly `grpc`; a rule without one is ignored.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}
