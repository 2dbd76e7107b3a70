//! Property types beyond serde's own.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{duration, quantity};

/// A Go duration (`300ms`, `2h45m`) or a bare integer of **seconds**; empty and
/// negative are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

/// A Go duration or a bare integer of **milliseconds**; `None` when negative (off).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Millis(pub Option<Duration>);

/// Go's own boolean texts only; anything else is an error. (A plain `bool` field
/// takes `y yes true t on 1` as true and everything else as false.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StrictBool(pub bool);

/// A Kubernetes quantity of bytes: `5Mi`, `100k`, `4096`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// A value that `Debug` does not show, and that the reference marks as a secret.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Sensitive(pub String);

/// Signed nanoseconds: a Go duration, or a bare integer of the given unit.
fn nanos(text: &str, unit: i64) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    duration::parse(text).or_else(|| Some(text.parse::<i64>().ok()?.saturating_mul(unit)))
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let nanos = nanos(&text, 1_000_000_000).ok_or_else(|| {
            D::Error::custom("must be a duration such as 1m30s, or a whole number of seconds")
        })?;
        Ok(Self(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(0),
        )))
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let nanos = nanos(&text, 1_000_000).ok_or_else(|| {
            D::Error::custom("must be a duration such as 1m30s, or a whole number of milliseconds")
        })?;
        Ok(Self(u64::try_from(nanos).ok().map(Duration::from_nanos)))
    }
}

impl<'de> Deserialize<'de> for StrictBool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Self(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Self(false)),
            _ => Err(D::Error::custom("must be true or false")),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        quantity::parse(&text).map(Self).ok_or_else(|| {
            D::Error::custom("value is not a valid quantity: use bytes with an optional suffix, such as 5Mi or 100k")
        })
    }
}

/// Serialized only to print defaults in schemas.
impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration::print(self.0))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.map_or_else(|| "-1".into(), duration::print))
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "***" })
    }
}

macro_rules! schema {
    ($($type:ident $name:literal $schema:tt)*) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schema! {
    Seconds "Seconds" { "type": "string", "format": "duration" }
    Millis "Millis" { "type": "string", "format": "duration" }
    StrictBool "StrictBool" { "type": "boolean" }
    ByteSize "ByteSize" { "type": "string", "format": "bytesize" }
    Sensitive "Sensitive" { "type": "string", "format": "password", "writeOnly": true }
}
