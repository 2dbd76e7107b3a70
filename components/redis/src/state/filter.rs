//! Filters of queries, in the words of the search module.

use component::{Error, Result};
use serde_json::Value as Json;

use super::query::Field;

/// The name of an indexed path in searches.
pub(super) fn alias(path: &str, fields: &[Field]) -> Result<String> {
    let found = fields.iter().position(|f| f.key == path);
    let index =
        found.ok_or_else(|| Error::invalid(format!("JSON path \"{path}\" is not indexed")))?;
    Ok(format!("var{index}"))
}

/// One filter of the document. `top` tells that nothing surrounds it: there NEQ
/// is not negated, as upstream has it.
pub(super) fn unit(filter: &Json, fields: &[Field], top: bool) -> Result<String> {
    let map = filter
        .as_object()
        .ok_or_else(|| Error::invalid("filter unit must be a map"))?;
    let mut entries = map.iter();
    let (Some((name, operand)), None) = (entries.next(), entries.next()) else {
        return Err(Error::invalid("filter unit must have a single element"));
    };
    match name.as_str() {
        "AND" | "OR" => {
            let parts = operand
                .as_array()
                .ok_or_else(|| Error::invalid(format!("{name} filter must be an array")))?;
            if parts.len() < 2 {
                let text = format!("{name} filter must contain at least two entries");
                return Err(Error::invalid(text));
            }
            let parts: Vec<String> = parts
                .iter()
                .map(|p| unit(p, fields, false).map(|p| format!("({p})")))
                .collect::<Result<_>>()?;
            Ok(parts.join(if name == "AND" { " " } else { "|" }))
        }
        "IN" => {
            let (path, value) = pair(name, operand)?;
            let values = value
                .as_array()
                .ok_or_else(|| Error::invalid("IN filter value must be an array"))?;
            if values.len() < 2 {
                return Err(Error::invalid(
                    "IN filter value must contain at least two entries; use EQ for one",
                ));
            }
            let var = alias(path, fields)?;
            if values.iter().all(Json::is_string) {
                let texts: Vec<&str> = values.iter().filter_map(Json::as_str).collect();
                return Ok(format!("@{var}:({})", texts.join("|")));
            }
            let parts: Vec<String> = values.iter().map(|v| equal(&var, v)).collect();
            Ok(parts.join("|"))
        }
        "EQ" | "NEQ" => {
            let (path, value) = pair(name, operand)?;
            let text = equal(&alias(path, fields)?, value);
            Ok(if name == "NEQ" && !top {
                format!("-{text}")
            } else {
                text
            })
        }
        "GT" | "GTE" | "LT" | "LTE" => {
            let (path, value) = pair(name, operand)?;
            if let Json::String(text) = value {
                let text = format!("unsupported type of value {text}; string type not permitted");
                return Err(Error::invalid(text));
            }
            let var = alias(path, fields)?;
            let range = match name.as_str() {
                "GT" => format!("({value} +inf"),
                "GTE" => format!("{value} +inf"),
                "LT" => format!("-inf ({value}"),
                _ => format!("-inf {value}"),
            };
            Ok(format!("@{var}:[{range}]"))
        }
        other => Err(Error::invalid(format!("unsupported filter \"{other}\""))),
    }
}

fn pair<'a>(name: &str, operand: &'a Json) -> Result<(&'a str, &'a Json)> {
    let map = operand
        .as_object()
        .ok_or_else(|| Error::invalid(format!("{name} filter must be a map")))?;
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((path, value)), None) => Ok((path, value)),
        _ => Err(Error::invalid(format!(
            "{name} filter must contain a single key/value pair"
        ))),
    }
}

fn equal(var: &str, value: &Json) -> String {
    match value {
        Json::String(text) => format!("@{var}:({text})"),
        Json::Number(n) if n.is_f64() => {
            let n = n.as_f64().unwrap_or_default();
            format!("@{var}:[{n:.6} {n:.6}]")
        }
        other => format!("@{var}:[{other} {other}]"),
    }
}
