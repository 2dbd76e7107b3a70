//! Resource files as a user would write them.

use serde_json::Value;

/// The YAML of a Component with plain metadata values.
pub fn component(name: &str, kind: &str, metadata: &[(&str, &str)]) -> String {
    component_with(name, kind, metadata, "")
}

/// The same with further YAML at the end, for example metadata entries that
/// refer to secrets, or `scopes`.
pub fn component_with(name: &str, kind: &str, metadata: &[(&str, &str)], more: &str) -> String {
    let mut yaml = format!(
        "apiVersion: dapr.io/v1alpha1\n\
         kind: Component\n\
         metadata:\n  name: {name}\n\
         spec:\n  type: {kind}\n  version: v1\n  metadata:\n"
    );
    for (name, value) in metadata {
        // JSON's quoted form is also YAML's.
        let value = Value::from(*value);
        yaml += &format!("  - name: {name}\n    value: {value}\n");
    }
    if metadata.is_empty() && !more.starts_with("  - ") {
        yaml = yaml.replace("  metadata:\n", "  metadata: []\n");
    }
    yaml + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_an_empty_list_is_written_as_one() {
        let yaml = component("store", "state.sqlite", &[("connectionString", "a: \"b\"")]);
        assert!(yaml.contains("    value: \"a: \\\"b\\\"\"\n"), "{yaml}");
        let yaml = component("store", "state.in-memory", &[]);
        assert!(yaml.ends_with("  version: v1\n  metadata: []\n"), "{yaml}");
    }
}
