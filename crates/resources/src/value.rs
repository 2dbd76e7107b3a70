//! Named values that may come from a secret or the environment. `Debug` shows
//! names and references, never a value.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// One item of a metadata, header or environment list.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["name"]))]
pub struct NameValue {
    pub name: String,
    #[serde(skip_serializing_if = "DynamicValue::is_empty")]
    pub value: DynamicValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Name of an environment variable of the sidecar.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub env_ref: String,
}

impl NameValue {
    pub fn plain(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: DynamicValue(value.into()),
            ..Self::default()
        }
    }
}

impl fmt::Debug for NameValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(r) = &self.secret_key_ref {
            write!(f, " from secret {}:{}", r.name, r.key)?;
        }
        if !self.env_ref.is_empty() {
            write!(f, " from env {}", self.env_ref)?;
        }
        Ok(())
    }
}

/// A PEM document, given directly or by a secret.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsDocument {
    #[serde(skip_serializing_if = "DynamicValue::is_empty")]
    pub value: DynamicValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

impl fmt::Debug for TlsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.secret_key_ref {
            Some(r) => write!(f, "secret {}:{}", r.name, r.key),
            None => f.write_str("value"),
        }
    }
}

/// A key of a secret.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["name"]))]
pub struct SecretKeyRef {
    pub name: String,
    /// Empty means the secret's own name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
}

impl SecretKeyRef {
    /// The key to look up inside the secret.
    pub fn key(&self) -> &str {
        if self.key.is_empty() {
            &self.name
        } else {
            &self.key
        }
    }
}

/// Any JSON value as text: a string as it is, null as nothing, everything else
/// as its JSON text.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DynamicValue(pub String);

impl DynamicValue {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DynamicValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for DynamicValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => go_json(other).to_string(),
        }))
    }
}

/// Upstream prints whole floating point numbers without a fraction.
fn go_json(value: Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() && f.fract() == 0.0 && f.abs() <= EXACT => Value::from(f as i64),
            _ => Value::Number(n),
        },
        Value::Array(items) => items.into_iter().map(go_json).collect(),
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, go_json(v))).collect(),
        other => other,
    }
}

impl JsonSchema for DynamicValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DynamicValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}
