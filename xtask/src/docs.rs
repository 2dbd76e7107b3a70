//! Writes docs/components.md from the registry: what is in the build, and the
//! metadata of each component from the schema of its config.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use component::{Descriptor, Registry};
use serde_json::{Map, Value};

const HEAD: &str = "\
# Components

Every component type of a standard build, with the metadata that its code reads.
Property names are matched in any case. This page is generated: change the code,
then run `xtask docs`.
";

/// Writes the page, or with `check` fails when the written one is out of date.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    components_all::register(&mut registry);
    let text = page(registry.descriptors());

    put_or_check("docs/components.md", &text, check)
}

/// Writes a generated file of the repository, or with `check` fails when the
/// written one is out of date.
pub(crate) fn put_or_check(name: &str, text: &str, check: bool) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    if check {
        let written = fs::read_to_string(&path).unwrap_or_default();
        ensure!(written == text, "{name} is out of date: run `make docs`");
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, text).with_context(|| format!("{name} cannot be written"))
}

fn page<'a>(descriptors: impl Iterator<Item = &'a Descriptor>) -> String {
    let descriptors: Vec<_> = descriptors.collect();
    let mut overview = table(&["Type", "Version", "Status", "Features", "Tested with"]);
    let mut details = String::new();
    for d in descriptors {
        let kind = format!("{}.{}", d.block, d.name);
        let anchor = format!("{kind}-{}", d.version).replace('.', "");
        let link = format!("[{kind}](#{anchor})");
        row(
            &mut overview,
            &[
                &link,
                d.version,
                d.status.as_str(),
                &d.features.join(", "),
                d.tested_with,
            ],
        );
        section(&mut details, d, &kind);
    }
    format!("{HEAD}\n{overview}{details}")
}

fn section(page: &mut String, d: &Descriptor, kind: &str) {
    put(
        page,
        format_args!("\n## {kind} {}\n\n{}.", d.version, d.title),
    );
    if !d.aliases.is_empty() {
        let names: Vec<_> = d
            .aliases
            .iter()
            .map(|name| format!("`{}.{name}`", d.block))
            .collect();
        put(page, format_args!(" Also named {}.", names.join(", ")));
    }
    if d.default_version {
        put(
            page,
            format_args!(" Used when a resource names no version."),
        );
    }
    let schema = (d.schema)().to_value();
    let properties = schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    if properties.is_empty() {
        put(page, format_args!("\n\nHas no metadata of its own.\n"));
        return;
    }
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|r| r.iter().any(|n| n == name))
    };
    let mut fields = table(&["Name", "Type", "Default", "Description"]);
    for (name, property) in &properties {
        let default = if required(name) {
            "required".into()
        } else {
            default(property)
        };
        let kind = kind_of(property, &schema["$defs"]);
        row(
            &mut fields,
            &[
                &format!("`{name}`"),
                &kind,
                &default,
                &description(property),
            ],
        );
    }
    put(page, format_args!("\n\n{fields}"));
}

fn table(columns: &[&str]) -> String {
    let mut text = String::new();
    row(&mut text, columns);
    row(&mut text, &vec!["---"; columns.len()]);
    text
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    put(page, format_args!("| {} |\n", cells.join(" | ")));
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = page.write_fmt(text);
}

/// The type as a user thinks of it.
fn kind_of(property: &Value, definitions: &Value) -> String {
    if let Some(name) = property["$ref"]
        .as_str()
        .and_then(|r| r.strip_prefix("#/$defs/"))
    {
        return kind_of(&definitions[name], definitions);
    }
    for member in ["anyOf", "oneOf", "allOf"] {
        if let Some(kinds) = property[member].as_array() {
            let kinds = kinds
                .iter()
                .filter(|k| k["type"] != "null")
                .map(|k| kind_of(k, definitions));
            return kinds.collect::<Vec<_>>().join(", ");
        }
    }
    let values = property["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(property.get("const"));
    let values: Vec<_> = values.filter(|v| !v.is_null()).map(shown).collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    let kind = match &property["type"] {
        Value::Array(kinds) => kinds.iter().find(|k| *k != "null").and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match (kind, property["format"].as_str()) {
        (Some("string"), Some("password")) => "secret text".into(),
        (Some("string"), Some("duration")) => "duration".into(),
        (Some("string"), Some("bytesize")) => "byte size".into(),
        (Some("string"), _) => "text".into(),
        (Some("array"), _) => format!("list of {}", kind_of(&property["items"], definitions)),
        (Some("integer"), _) => "whole number".into(),
        (Some(kind), _) => kind.into(),
        (None, _) => "any".into(),
    }
}

fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::Array(items)) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Some(value) => shown(value),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// On one line. Aliases are listed where a field declares them with
/// `schemars(extend("aliases" = [..]))`.
fn description(property: &Value) -> String {
    let text = property["description"].as_str().unwrap_or_default();
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let aliases = property
        .as_object()
        .and_then(|p: &Map<String, Value>| p.get("aliases")?.as_array());
    if let Some(aliases) = aliases {
        let names: Vec<_> = aliases.iter().map(shown).collect();
        put(&mut text, format_args!(" Alias {}.", names.join(", ")));
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_named_for_users() {
        let definitions = json!({"Mode": {"oneOf": [{"const": "node"}, {"const": "cluster"}]}});
        let check = |property: Value, expected: &str| {
            assert_eq!(kind_of(&property, &definitions), expected)
        };
        check(json!({"type": "string"}), "text");
        check(
            json!({"type": ["string", "null"], "format": "password"}),
            "secret text",
        );
        check(json!({"type": "string", "format": "duration"}), "duration");
        check(
            json!({"type": "array", "items": {"type": "string"}}),
            "list of text",
        );
        check(
            json!({"type": ["integer", "null"], "format": "uint32"}),
            "whole number",
        );
        check(json!({"$ref": "#/$defs/Mode"}), "`node`, `cluster`");
        check(
            json!({"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]}),
            "`node`, `cluster`",
        );
    }

    #[test]
    fn a_component_has_a_row_and_a_section() {
        let schema = || {
            json!({
                "properties": {
                    "host": {"type": "string", "description": "Where\nit is.", "aliases": ["url"]},
                    "wait": {"type": "string", "format": "duration", "default": "20s"},
                },
                "required": ["host"],
            })
            .try_into()
            .unwrap()
        };
        let descriptor = Descriptor {
            block: "state",
            aliases: &["thing"],
            features: &["ETAG", "TTL"],
            schema,
            ..Descriptor::new("some.thing", "Some thing")
        };
        let page = page([&descriptor].into_iter());
        for line in [
            "| [state.some.thing](#statesomething-v1) | v1 | stable | ETAG, TTL | itself |",
            "## state.some.thing v1",
            "Some thing. Also named `state.thing`.",
            "| `host` | text | required | Where it is. Alias `url`. |",
            "| `wait` | duration | `20s` |  |",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
    }
}
