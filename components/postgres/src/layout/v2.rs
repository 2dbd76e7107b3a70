//! Version 2: values in `bytea`, a new UUID as ETag at every write.

use bytes::Bytes;
use component::state::Value;
use component::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Bound, Layout, Statements, bare, column};

pub(crate) struct V2;

impl Layout for V2 {
    const MARKED: bool = false;

    fn statements(table: &str) -> Statements {
        let columns = "key, value, etag::text AS etag, expires_at AS expires";
        let live = "(expires_at IS NULL OR expires_at >= now())";
        let expiry = "now() + $3::float8 * interval '1 second'";
        let insert = format!(
            "INSERT INTO {table} AS old (key, value, etag, expires_at) \
             VALUES ($1, $2, gen_random_uuid(), {expiry}) ON CONFLICT (key) DO UPDATE SET \
             value = EXCLUDED.value, etag = EXCLUDED.etag, updated_at = now(), expires_at = EXCLUDED.expires_at"
        );
        let keys = format!(
            "SELECT key, row_id FROM {table} WHERE (expires_at IS NULL OR expires_at > now()) \
             AND key LIKE $1 AND row_id > $2 ORDER BY row_id"
        );
        Statements {
            get: format!("SELECT {columns} FROM {table} WHERE key = $1 AND {live}"),
            get_many: format!("SELECT {columns} FROM {table} WHERE key = ANY($1) AND {live}"),
            set_first: format!(
                "{insert} WHERE old.expires_at IS NOT NULL AND old.expires_at < now()"
            ),
            set: insert,
            set_etag: format!(
                "UPDATE {table} SET value = $2, etag = gen_random_uuid(), updated_at = now(), expires_at = {expiry} \
                 WHERE key = $1 AND etag = $4 AND {live}"
            ),
            delete: format!("DELETE FROM {table} WHERE key = $1"),
            delete_etag: format!("DELETE FROM {table} WHERE key = $1 AND etag = $2"),
            keys_page: format!("{keys} LIMIT $3"),
            keys,
            expired: format!(
                "DELETE FROM {table} WHERE expires_at IS NOT NULL AND expires_at < now()"
            ),
        }
    }

    fn migrations(table: &str) -> Vec<String> {
        let bare = bare(table);
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {table} (key text NOT NULL PRIMARY KEY, value bytea NOT NULL, \
                 etag uuid NOT NULL DEFAULT gen_random_uuid(), created_at timestamptz NOT NULL DEFAULT now(), \
                 updated_at timestamptz, expires_at timestamptz); CREATE INDEX ON {table} (expires_at)"
            ),
            super::super::migrate::row_ids(table, bare, "created_at"),
        ]
    }

    fn bind(value: Value) -> Bound {
        match value {
            Value::Bytes(bytes) | Value::Json(bytes) => Bound {
                value: Box::new(bytes.to_vec()),
                binary: false,
            },
        }
    }

    /// What is no UUID was never an ETag of this store, which counts as a mismatch.
    fn etag(text: &str) -> Result<Box<dyn ToSql + Send + Sync>> {
        let uuid = Uuid::parse_str(text)
            .map_err(|e| Error::etag_mismatch(format!("'{text}' is no UUID: {e}")))?;
        Ok(Box::new(uuid))
    }

    fn value(row: &Row) -> Result<Bytes> {
        column::<Vec<u8>>(row, "value").map(Into::into)
    }
}
