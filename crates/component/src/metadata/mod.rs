//! Component metadata: string properties, decoded into a component's config
//! with upstream's leniency.
//!
//! A config is a struct with serde's `rename_all = "camelCase"`, `default` and
//! `alias`. Names are matched in any case, and the canonical name beats its
//! aliases. `serde(flatten)` cannot see property types: settings shared by
//! several components are joined by [`Join`] instead.

mod de;
mod duration;
mod join;
mod json;
mod quantity;
mod request;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

pub use join::Join;
pub use json::decode as decode_json;
pub use quantity::parse as quantity;
pub use request::{priority, raw_payload, ttl};
pub use values::{ByteSize, Millis, Seconds, Sensitive, StrictBool};

use crate::{Error, Result};

/// Property names as written in the resource, with their values. `Debug` shows
/// the names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(pub BTreeMap<String, String>);

impl Properties {
    /// The value of a property, its name in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self)
    }
}

/// Decodes properties into a config struct. Unknown properties are passed over,
/// because the runtime has its own among them (`keyPrefix`, `consumerID` ...).
/// The error names the property and the remedy, never the value.
pub fn decode<T: DeserializeOwned>(properties: &Properties) -> Result<T> {
    de::decode(&properties.0).map_err(|e| Error::config(e.to_string()))
}
