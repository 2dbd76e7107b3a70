//! Messages of Placement for tests.

use proto::dapr::placement::v1::{Host, PlacementOrder, PlacementTable, PlacementTables};

/// Tables of types and the names of their hosts.
pub(crate) fn tables(types: &[(&str, &[&str])]) -> PlacementTables {
    let entries = types.iter().map(|(kind, names)| {
        let load_map = names.iter().map(|name| ((*name).to_owned(), host(name)));
        let table = PlacementTable {
            load_map: load_map.collect(),
            ..PlacementTable::default()
        };
        ((*kind).to_owned(), table)
    });
    PlacementTables {
        entries: entries.collect(),
        replication_factor: 10,
        ..PlacementTables::default()
    }
}

fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        id: format!("app of {name}"),
        namespace: "default".to_owned(),
        ..Host::default()
    }
}

/// An order without tables.
pub(crate) fn order(operation: &str, version: u64) -> PlacementOrder {
    PlacementOrder {
        operation: operation.to_owned(),
        version,
        tables: None,
    }
}

/// An update.
pub(crate) fn update(version: u64, types: &[(&str, &[&str])]) -> PlacementOrder {
    PlacementOrder {
        tables: Some(tables(types)),
        ..order("update", version)
    }
}
