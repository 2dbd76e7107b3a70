//! Component metadata: string properties, decoded into a component's config
//! with upstream's leniency.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Result;

/// Property names as written in the resource, with their values. Never printed:
/// values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(pub BTreeMap<String, String>);

/// A Go duration (`300ms`, `2h45m`) or a bare integer of **seconds**; empty is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// A Go duration or a bare integer of **milliseconds**; `None` when negative (off).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Millis(pub Option<Duration>);

/// Go's own boolean texts only; anything else is an error. (A plain `bool` field
/// takes `y yes true t on 1` as true and everything else as false.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StrictBool(pub bool);

/// A Kubernetes quantity of bytes: `5Mi`, `100k`, `4096`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// A value that `Debug` does not show.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Sensitive(pub String);

/// Decodes properties into a config struct whose fields are `camelCase` by serde
/// rename, with `alias` and `default` where upstream has them.
pub fn decode<T: DeserializeOwned>(properties: &Properties) -> Result<T> {
    let _ = properties;
    Err(crate::Error::internal("filled in by the metadata module"))
}
