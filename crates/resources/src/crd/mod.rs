//! The custom resource definitions of the kinds (feature `crd`), as the API
//! server takes them, made from the JSON schemas of the structs.

mod structural;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::meta::Object;
use crate::subscription::SubscriptionV1;
use crate::{
    Component, Configuration, HttpEndpoint, McpServer, Resiliency, Subscription,
    WorkflowAccessPolicy,
};

/// All definitions, in the order of their names.
pub fn definitions() -> Vec<Value> {
    vec![
        definition("components", &[version::<Component>()]),
        definition("configurations", &[version::<Configuration>()]),
        definition("httpendpoints", &[version::<HttpEndpoint>()]),
        definition("mcpservers", &[version::<McpServer>()]),
        definition("resiliencies", &[version::<Resiliency>()]),
        definition(
            "subscriptions",
            &[version::<SubscriptionV1>(), version::<Subscription>()],
        ),
        definition(
            "workflowaccesspolicies",
            &[version::<WorkflowAccessPolicy>()],
        ),
    ]
}

/// A served version of a kind.
struct Version {
    kind: &'static str,
    name: &'static str,
    schema: Value,
}

fn version<T: Object + JsonSchema>() -> Version {
    let settings = SchemaSettings::openapi3().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    Version {
        kind: T::KIND,
        name: T::API_VERSION
            .split_once('/')
            .map_or(T::API_VERSION, |(_, version)| version),
        schema: structural::root(schema.to_value(), T::SCOPED),
    }
}

/// The definition of a kind; the last of its versions is the stored one.
fn definition(plural: &str, versions: &[Version]) -> Value {
    let kind = versions.last().map_or("", |v| v.kind);
    let listed: Vec<_> = versions
        .iter()
        .enumerate()
        .map(|(i, v)| {
            json!({
                "name": v.name,
                "served": true,
                "storage": i + 1 == versions.len(),
                "schema": { "openAPIV3Schema": v.schema },
            })
        })
        .collect();
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.dapr.io"),
            "labels": { "app.kubernetes.io/part-of": "dapr" },
        },
        "spec": {
            "group": "dapr.io",
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": kind.to_lowercase(),
            },
            "scope": "Namespaced",
            "versions": listed,
        },
    });
    if versions.len() > 1 {
        definition["spec"]["conversion"] = conversion();
    }
    definition
}

/// The operator converts between versions; at its start it writes its own
/// namespace and certificate over the placeholder.
fn conversion() -> Value {
    json!({
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": {
                "service": {
                    "name": "dapr-webhook",
                    "namespace": "replaceme",
                    "path": "/convert",
                },
            },
            "conversionReviewVersions": ["v1", "v2alpha1"],
        },
    })
}
