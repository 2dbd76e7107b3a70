//! The page `/placement/state`: the tables as JSON, in upstream's spelling.

use std::collections::BTreeMap;

use proto::dapr::placement::v1::Host;
use serde::Serialize;

use crate::hub::{Hub, Shown};

/// `StatePlacementTables`. As everywhere here, what is empty is left out.
#[derive(Serialize)]
struct Tables<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<&'a str, Table<'a>>,
}

#[derive(Serialize)]
struct Table<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "is_default")]
    version: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    port: i64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    entities: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    api_level: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    operation: i32,
}

// serde asks for a reference.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<'a> Row<'a> {
    // The level is deprecated and sent by every sidecar.
    #[allow(deprecated)]
    fn of(host: &'a Host) -> Self {
        Self {
            name: &host.name,
            port: host.port,
            entities: &host.entities,
            id: &host.id,
            api_level: host.api_level,
            namespace: &host.namespace,
            operation: host.operation,
        }
    }
}

impl<'a> Table<'a> {
    fn of(shown: &'a Shown) -> Self {
        let mut hosts: Vec<_> = shown.hosts.iter().map(|r| Row::of(r.host())).collect();
        hosts.sort_by_key(|row| row.name);
        let version = shown.version;
        Self { hosts, version }
    }
}

/// The page; `null` when another member leads.
pub(crate) fn page(hub: &Hub) -> String {
    let Some(shown) = hub.shown() else {
        return "null".into();
    };
    let tables = shown
        .iter()
        .map(|(name, shown)| (&**name, Table::of(shown)));
    let tables = Tables {
        tables: tables.collect(),
    };
    // Texts and numbers always have a form in JSON.
    serde_json::to_string(&tables).unwrap_or_default()
}
