//! The definitions against a table of upstream's: kind, version, field, type,
//! whether its parent requires it, and its validation.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::definitions;

const FACTS: &str = include_str!("facts.txt");

#[test]
fn every_field_is_upstreams() {
    let ours: BTreeSet<String> = definitions().iter().flat_map(rows).collect();
    let facts: BTreeSet<String> = FACTS.lines().map(str::to_owned).collect();
    let missing: Vec<_> = facts.difference(&ours).collect();
    let unknown: Vec<_> = ours.difference(&facts).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing: {missing:#?}\nunknown: {unknown:#?}"
    );
}

#[test]
fn names_versions_and_conversion_are_upstreams() {
    let all = definitions();
    let named: Vec<_> = all
        .iter()
        .map(|d| d["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "components.dapr.io",
            "configurations.dapr.io",
            "httpendpoints.dapr.io",
            "mcpservers.dapr.io",
            "resiliencies.dapr.io",
            "subscriptions.dapr.io",
            "workflowaccesspolicies.dapr.io",
        ]
    );
    let subscription = &all[5]["spec"];
    assert_eq!(
        subscription["names"],
        json!({
            "kind": "Subscription",
            "listKind": "SubscriptionList",
            "plural": "subscriptions",
            "singular": "subscription",
        })
    );
    let versions: Vec<_> = subscription["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["name"].as_str().unwrap(), v["storage"].as_bool().unwrap()))
        .collect();
    assert_eq!(versions, [("v1alpha1", false), ("v2alpha1", true)]);
    let service = &subscription["conversion"]["webhook"]["clientConfig"]["service"];
    assert_eq!(service["path"], "/convert");
    assert!(all[0]["spec"].get("conversion").is_none());
}

#[test]
fn rules_over_several_fields_are_upstreams() {
    let all = definitions();
    let spec = |i: usize| {
        all[i]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            ["properties"]
            .clone()
    };
    assert_eq!(
        spec(3)["endpoint"]["x-kubernetes-validations"][0]["message"],
        "exactly one of streamableHTTP, sse, or stdio must be set"
    );
    let rule = &spec(6)["rules"]["items"];
    assert_eq!(
        rule["x-kubernetes-validations"][0]["message"],
        "at least one of workflows or activities must contain a rule"
    );
    let operations = &rule["properties"]["workflows"]["items"]["properties"]["operations"];
    assert_eq!(operations["x-kubernetes-list-type"], "set");
}

/// The fields of all versions, one line for each.
fn rows(definition: &Value) -> Vec<String> {
    let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
    let mut rows = Vec::new();
    for version in definition["spec"]["versions"].as_array().unwrap() {
        let schema = &version["schema"]["openAPIV3Schema"];
        assert!(schema.get("required").is_none(), "{kind}");
        let prefix = format!("{kind} {} ", version["name"].as_str().unwrap());
        for (name, field) in schema["properties"].as_object().unwrap() {
            if !["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
                walk(&prefix, name, field, false, &mut rows);
            }
        }
    }
    rows
}

fn walk(prefix: &str, path: &str, schema: &Value, required: bool, rows: &mut Vec<String>) {
    const KNOWN: [&str; 13] = [
        "type",
        "format",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "description",
        "enum",
        "default",
        "minLength",
        "minItems",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
    ];
    const ANY: &str = "x-kubernetes-preserve-unknown-fields";
    for keyword in schema.as_object().unwrap().keys() {
        assert!(
            KNOWN.contains(&keyword.as_str()) || keyword == ANY,
            "{path}: {keyword}"
        );
    }

    let of_map = schema.get("additionalProperties");
    let shape = match schema.get("type").and_then(Value::as_str) {
        _ if schema.get(ANY).is_some() => "any",
        Some("object") if of_map.is_some() => "map",
        Some("integer") if schema.get("format").is_some() => "int32",
        Some(name) => name,
        None => panic!("{path} has no type"),
    };
    let mut row = format!("{prefix}{path} {shape}");
    if required {
        row.push_str(" required");
    }
    for keyword in ["enum", "default", "minLength", "minItems"] {
        match schema.get(keyword) {
            Some(Value::String(text)) => write!(row, " {keyword} {text}").unwrap(),
            Some(value) => write!(row, " {keyword} {value}").unwrap(),
            None => {}
        }
    }
    rows.push(row);

    if let Some(inner) = of_map {
        walk(prefix, &format!("{path}.*"), inner, false, rows);
    }
    if let Some(inner) = schema.get("items") {
        walk(prefix, &format!("{path}[]"), inner, false, rows);
    }
    let needed = schema.get("required").cloned().unwrap_or_default();
    for (name, field) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let required = needed.as_array().is_some_and(|n| n.contains(&json!(name)));
        walk(prefix, &format!("{path}.{name}"), field, required, rows);
    }
}
