//! Reads of single keys: a hash, a JSON document, or a plain string that something else wrote.

use bytes::Bytes;
use component::state::Item;
use component::{Error, Result};
use redis::{ErrorKind, RedisError, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::RedisState;
use super::script::Form;
use crate::client::{Repeat, explain};

impl RedisState {
    pub(super) async fn read(&self, key: &str, form: Form) -> Result<Option<Item>> {
        let mut command = redis::cmd(match form {
            Form::Hash => "HGETALL",
            Form::Json => "JSON.GET",
        });
        command.arg(key);
        match (self.client.call(command, Repeat::Safe).await, form) {
            (Ok(answer), Form::Hash) => hash(answer),
            (Ok(answer), Form::Json) => document(answer),
            // The key is not ours: show what it holds.
            (Err(error), Form::Hash) if is_answer(&error) => self.read_plain(key).await,
            (Err(error), _) => Err(self.failed(key, error)),
        }
    }

    async fn read_plain(&self, key: &str) -> Result<Option<Item>> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        match self.client.call(command, Repeat::Safe).await {
            Ok(Value::Nil) => Ok(None),
            Ok(answer) => Ok(Some(Item {
                data: bytes(answer)?,
                ..Item::default()
            })),
            Err(error) => Err(self.failed(key, error)),
        }
    }

    fn failed(&self, key: &str, error: RedisError) -> Error {
        explain(
            &format!("failed to get key {key}: "),
            self.client.address(),
            error,
        )
    }
}

/// Whether the server itself has refused, rather than not answered.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

fn hash(answer: Value) -> Result<Option<Item>> {
    let fields: Vec<(Value, Value)> = match answer {
        Value::Map(fields) => fields,
        Value::Array(parts) => {
            let mut parts = parts.into_iter();
            std::iter::from_fn(|| Some((parts.next()?, parts.next()?))).collect()
        }
        other => return Err(unexpected(&other)),
    };
    if fields.is_empty() {
        return Ok(None);
    }
    let (mut data, mut version) = (None, None);
    for (name, value) in fields {
        match &*bytes(name)? {
            b"data" => data = Some(bytes(value)?),
            b"version" => version = Some(bytes(value)?),
            _ => {}
        }
    }
    let (Some(data), Some(version)) = (data, version) else {
        return Err(Error::internal(
            "required hash field 'data' or 'version' was not found",
        ));
    };
    Ok(Some(Item {
        data,
        etag: Some(String::from_utf8_lossy(&version).into_owned()),
        ..Item::default()
    }))
}

/// What a JSON document holds besides its guard.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    version: &'a RawValue,
}

fn document(answer: Value) -> Result<Option<Item>> {
    if answer == Value::Nil {
        return Ok(None);
    }
    let text = bytes(answer)?;
    let Document { data, version } = serde_json::from_slice(&text).map_err(|e| {
        Error::internal(format!(
            "the JSON document is not one of a state store: {e}"
        ))
    })?;
    Ok(Some(Item {
        data: Bytes::copy_from_slice(data.get().as_bytes()),
        etag: Some(version.get().into()),
        ..Item::default()
    }))
}

/// The bytes of a string answer, without a copy.
pub(super) fn bytes(value: Value) -> Result<Bytes> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        Value::SimpleString(text) => Ok(Bytes::from(text.into_bytes())),
        Value::Int(number) => Ok(number.to_string().into()),
        other => Err(unexpected(&other)),
    }
}

/// Values stay out of the message.
fn unexpected(value: &Value) -> Error {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Array(_) | Value::Set(_) => "a list",
        Value::Map(_) => "a map",
        _ => "a value of another type",
    };
    Error::internal(format!("redis answered with {kind} where a string belongs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(parts: &[&str]) -> Value {
        let parts = parts.iter().map(|p| Value::BulkString(p.as_bytes().into()));
        Value::Array(parts.collect())
    }

    fn shown(item: Result<Option<Item>>) -> String {
        match item {
            Ok(None) => "none".into(),
            Ok(Some(item)) => {
                let data = String::from_utf8_lossy(&item.data).into_owned();
                format!("{data} @ {}", item.etag.unwrap_or_default())
            }
            Err(error) => error.message,
        }
    }

    #[test]
    fn hashes() {
        let check =
            |parts: &[&str], expected: &str| assert_eq!(shown(hash(strings(parts))), expected);
        check(&[], "none");
        check(&["data", "x", "version", "3"], "x @ 3");
        check(&["version", "3", "first-write", "0", "data", ""], " @ 3");
        check(
            &["data", "x"],
            "required hash field 'data' or 'version' was not found",
        );
        check(
            &["other", "x"],
            "required hash field 'data' or 'version' was not found",
        );
    }

    #[test]
    fn documents() {
        let check = |text: &str, expected: &str| {
            assert_eq!(shown(document(Value::BulkString(text.into()))), expected);
        };
        check(
            r#"{"data":{"a":[1, 2]},"version":7}"#,
            r#"{"a":[1, 2]} @ 7"#,
        );
        check(r#"{"version":1,"first-write":0,"data":"x"}"#, "\"x\" @ 1");
        assert_eq!(shown(document(Value::Nil)), "none");
        assert!(
            shown(document(Value::BulkString(b"[1]".into())))
                .starts_with("the JSON document is not")
        );
    }
}
