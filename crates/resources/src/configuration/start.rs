//! The values a sidecar starts from, and how Configurations are laid over them.

use serde_json::{Value, json};

use super::Configuration;
use crate::from_json;

/// What holds without any Configuration.
pub fn start_values() -> Configuration {
    from_json(start_document()).unwrap_or_default()
}

/// Lays documents over the start values in order. Objects merge field by field,
/// everything else is replaced, null changes nothing.
pub fn merge(
    documents: impl IntoIterator<Item = Value>,
) -> Result<Configuration, serde_json::Error> {
    let mut merged = start_document();
    for document in documents {
        lay_over(&mut merged, document);
    }
    from_json(merged)
}

fn start_document() -> Value {
    json!({ "spec": {
        "tracing": { "otel": { "isSecure": true } },
        "metric": { "enabled": true },
        "accessControl": { "defaultAction": "allow", "trustDomain": "public" },
    }})
}

fn lay_over(base: &mut Value, over: Value) {
    match (base, over) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_documents_win_field_by_field() {
        let merged = merge([
            json!({"spec": {"tracing": {"samplingRate": 1}, "features": [{"name": "A", "enabled": true}]}}),
            json!({"spec": {"tracing": {"stdout": true}, "features": [{"name": "HotReload", "enabled": false}]}}),
        ])
        .unwrap();
        let tracing = merged.spec.tracing.clone().unwrap();
        assert_eq!(
            (tracing.sampling_rate.as_str(), tracing.stdout),
            ("1", true)
        );
        assert_eq!(tracing.otel.unwrap().is_secure, Some(true));
        assert_eq!(
            merged.spec.enabled_features(),
            ["WorkflowsRemoteActivityReminder"]
        );
        let access = merged.spec.access_control.unwrap();
        assert_eq!(
            (access.default_action.as_str(), access.policies),
            ("allow", None)
        );
    }
}
