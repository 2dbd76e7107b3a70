//! What differs between the two versions: tables, columns, ETags, values.

pub(crate) mod v1;
pub(crate) mod v2;

use bytes::Bytes;
use component::state::Value;
use component::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The statements of a store. Parameters of the writes are, in this order: key,
/// value, marker, seconds to live (or null), ETag.
pub(crate) struct Statements {
    pub(crate) get: String,
    pub(crate) get_many: String,
    pub(crate) set: String,
    pub(crate) set_first: String,
    pub(crate) set_etag: String,
    pub(crate) delete: String,
    pub(crate) delete_etag: String,
    pub(crate) keys: String,
    pub(crate) keys_page: String,
    pub(crate) expired: String,
}

/// A value as it is bound to a statement.
pub(crate) struct Bound {
    pub(crate) value: Box<dyn ToSql + Send + Sync>,
    /// Whether version 1 marks the value as bytes.
    pub(crate) binary: bool,
}

/// A version of the tables.
pub(crate) trait Layout: Send + Sync + 'static {
    /// Writes take the marker of binary values.
    const MARKED: bool;

    fn statements(table: &str) -> Statements;

    /// The steps that bring the tables up to date, from level 1 on.
    fn migrations(table: &str) -> Vec<String>;

    fn bind(value: Value) -> Bound;

    /// The ETag as it is bound.
    fn etag(text: &str) -> Result<Box<dyn ToSql + Send + Sync>>;

    /// The value in the columns `value` and, in version 1, `isbinary`.
    fn value(row: &Row) -> Result<Bytes>;
}

/// A column of a row that has to be there.
pub(crate) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    name: &str,
) -> Result<T> {
    row.try_get(name).map_err(|e| {
        Error::internal(format!(
            "column {name} of the state table cannot be read: {e}"
        ))
    })
}

/// The name of an index: a schema is not a part of it.
pub(crate) fn bare(table: &str) -> &str {
    table.rsplit('.').next().unwrap_or(table)
}
