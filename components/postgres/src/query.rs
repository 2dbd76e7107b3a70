//! Queries of version 1: the API's document becomes one statement.

use component::{Error, Result};
use serde::Deserialize;
use serde_json::Value as Json;

/// A statement; its parameters are all text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) sql: String,
    pub(crate) params: Vec<String>,
    /// With a limit: where the page begins.
    pub(crate) offset: Option<u64>,
}

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    filter: Json,
    #[serde(default)]
    sort: Vec<Sort>,
    #[serde(default)]
    page: Page,
}

#[derive(Deserialize)]
struct Sort {
    key: String,
    #[serde(default)]
    order: String,
}

#[derive(Default, Deserialize)]
struct Page {
    #[serde(default)]
    limit: u64,
    #[serde(default)]
    token: String,
}

impl Search {
    pub(crate) fn build(table: &str, query: &[u8]) -> Result<Self> {
        let query: Query = serde_json::from_slice(query)
            .map_err(|e| Error::invalid(format!("failed to parse JSON query body: {e}")))?;
        let mut params = Vec::new();
        let mut sql = format!("SELECT key, value, xmin::text AS etag FROM {table}");
        if !matches!(&query.filter, Json::Null)
            && query.filter.as_object().is_none_or(|m| !m.is_empty())
        {
            sql.push_str(" WHERE ");
            sql.push_str(&unit(&query.filter, &mut params, 0)?);
        }
        let order: Vec<String> = query
            .sort
            .iter()
            .map(|s| {
                let direction = if s.order.eq_ignore_ascii_case("DESC") {
                    " DESC"
                } else {
                    ""
                };
                format!("{}{direction}", path(&s.key))
            })
            .collect();
        if !order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        }
        let mut offset = None;
        if query.page.limit > 0 {
            let token = &query.page.token;
            let start: u64 = if token.is_empty() {
                0
            } else {
                token
                    .parse()
                    .map_err(|_| Error::invalid(format!("invalid page token: {token}")))?
            };
            sql.push_str(&format!(" LIMIT {}", query.page.limit));
            if start > 0 {
                sql.push_str(&format!(" OFFSET {start}"));
            }
            offset = Some(start);
        }
        Ok(Self {
            sql,
            params,
            offset,
        })
    }
}

/// `a.b` becomes `value->'a'->>'b'`.
fn path(text: &str) -> String {
    let parts: Vec<String> = text
        .split('.')
        .map(|p| format!("'{}'", p.replace('\'', "''")))
        .collect();
    let (last, rest) = parts
        .split_last()
        .map_or(("''", &[][..]), |(l, r)| (l.as_str(), r));
    let mut out = String::from("value");
    for part in rest {
        out.push_str("->");
        out.push_str(part);
    }
    out.push_str("->>");
    out.push_str(last);
    out
}

const DEEPEST: usize = 64;

fn unit(filter: &Json, params: &mut Vec<String>, depth: usize) -> Result<String> {
    if depth > DEEPEST {
        return Err(Error::invalid(format!(
            "the filter is nested deeper than {DEEPEST} levels"
        )));
    }
    let map = filter
        .as_object()
        .ok_or_else(|| Error::invalid("filter unit must be a map"))?;
    let mut entries = map.iter();
    let (Some((name, operand)), None) = (entries.next(), entries.next()) else {
        return Err(Error::invalid("filter unit must have a single element"));
    };
    let operator = match name.as_str() {
        "AND" | "OR" => return group(name, operand, params, depth),
        "IN" => {
            let (key, value) = pair(name, operand)?;
            let values = value
                .as_array()
                .ok_or_else(|| Error::invalid("IN filter value must be an array"))?;
            if values.is_empty() {
                return Err(Error::invalid("IN filter needs at least one value"));
            }
            let places: Vec<String> = values.iter().map(|v| place(v, params)).collect();
            return Ok(format!("{} IN ({})", path(key), places.join(", ")));
        }
        "EQ" => "=",
        "NEQ" => "!=",
        "GT" => ">",
        "GTE" => ">=",
        "LT" => "<",
        "LTE" => "<=",
        other => return Err(Error::invalid(format!("unsupported filter \"{other}\""))),
    };
    let (key, value) = pair(name, operand)?;
    if matches!(
        (operator, value),
        (">" | ">=" | "<" | "<=", Json::String(_))
    ) {
        return Err(Error::invalid(format!(
            "unsupported type of value {value}; string type not permitted"
        )));
    }
    Ok(format!("{} {operator} {}", path(key), place(value, params)))
}

fn group(name: &str, operand: &Json, params: &mut Vec<String>, depth: usize) -> Result<String> {
    let parts = operand
        .as_array()
        .ok_or_else(|| Error::invalid(format!("{name} filter must be an array")))?;
    if parts.len() < 2 {
        return Err(Error::invalid(format!(
            "{name} filter must contain at least two entries"
        )));
    }
    let parts: Vec<String> = parts
        .iter()
        .map(|p| unit(p, params, depth + 1))
        .collect::<Result<_>>()?;
    Ok(format!("({})", parts.join(&format!(" {name} "))))
}

fn pair<'a>(name: &str, operand: &'a Json) -> Result<(&'a str, &'a Json)> {
    let map = operand
        .as_object()
        .ok_or_else(|| Error::invalid(format!("{name} filter must be a map")))?;
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Ok((key, value)),
        _ => Err(Error::invalid(format!(
            "{name} filter must contain a single key/value pair"
        ))),
    }
}

/// Every operand is bound as text.
fn place(value: &Json, params: &mut Vec<String>) -> String {
    params.push(match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    });
    format!("${}", params.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<(&str, &[&str]), &str>) {
        match (Search::build("state", query.as_bytes()), expected) {
            (Ok(got), Ok((sql, params))) => {
                let head = "SELECT key, value, xmin::text AS etag FROM state";
                assert_eq!(got.sql.strip_prefix(head), Some(sql), "{query}");
                assert_eq!(got.params, params, "{query}");
            }
            (Err(got), Err(part)) => assert!(got.message.contains(part), "{query}: {got}"),
            (got, _) => panic!("{query}: {got:?}"),
        }
    }

    #[test]
    fn documents_become_statements() {
        check("{}", Ok(("", &[])));
        check(
            r#"{"filter":{"EQ":{"person.name":"B"}}}"#,
            Ok((" WHERE value->'person'->>'name' = $1", &["B"])),
        );
        check(
            r#"{"filter":{"OR":[{"NEQ":{"a'b":1}},{"IN":{"c":[true,"x"]}}]},"sort":[{"key":"a","order":"DESC"},{"key":"b.c"}],"page":{"limit":2,"token":"4"}}"#,
            Ok((
                " WHERE (value->>'a''b' != $1 OR value->>'c' IN ($2, $3)) ORDER BY value->>'a' DESC, value->'b'->>'c' LIMIT 2 OFFSET 4",
                &["1", "true", "x"],
            )),
        );
    }

    #[test]
    fn bad_documents_are_refused() {
        for (query, part) in [
            ("[", "failed to parse JSON query body"),
            (r#"{"filter":1}"#, "filter unit must be a map"),
            (
                r#"{"filter":{"GT":{"a":"x"}}}"#,
                "string type not permitted",
            ),
            (r#"{"filter":{"AND":[]}}"#, "at least two entries"),
            (r#"{"filter":{"X":{}}}"#, "unsupported filter"),
            (r#"{"page":{"limit":1,"token":"x"}}"#, "invalid page token"),
        ] {
            check(query, Err(part));
        }
    }
}
