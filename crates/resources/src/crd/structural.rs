//! From a JSON schema to what the API server calls a structural schema.

use serde_json::{Map, Value, json};

/// Keywords that say nothing to the API server, or that upstream's definitions
/// do not have: with `nullable` an explicit null would be stored.
const DROPPED: [&str; 4] = ["$schema", "title", "nullable", "minimum"];

/// The schema of a whole object: the API server checks type fields and metadata
/// itself.
pub(super) fn root(mut schema: Value, scoped: bool) -> Value {
    clean(&mut schema);
    if let Some(fields) = schema["properties"].as_object_mut() {
        fields.insert("apiVersion".into(), json!({ "type": "string" }));
        fields.insert("kind".into(), json!({ "type": "string" }));
        fields.insert("metadata".into(), json!({ "type": "object" }));
        if !scoped {
            fields.remove("scopes");
        }
    }
    schema
}

fn clean(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else {
        return;
    };
    keywords.retain(|name, value| match name.as_str() {
        // serde gives every field its zero value as the default.
        "default" => !is_zero(value),
        "format" => value == "int32",
        name => !DROPPED.contains(&name),
    });
    if let Some(Value::String(text)) = keywords.get_mut("description") {
        *text = prose(text);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = keywords.get_mut(name) {
            clean(inner);
        }
    }
    if let Some(Value::Object(fields)) = keywords.get_mut("properties") {
        fields.values_mut().for_each(clean);
    }
}

/// A doc comment as readers of `kubectl explain` want it: a line for each
/// paragraph, no links into the code.
fn prose(doc: &str) -> String {
    let paragraphs: Vec<_> = doc.split("\n\n").map(|p| p.replace('\n', " ")).collect();
    paragraphs.join("\n").replace("[`", "`").replace("`]", "`")
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => all_zero(fields),
    }
}

fn all_zero(fields: &Map<String, Value>) -> bool {
    fields.values().all(is_zero)
}
