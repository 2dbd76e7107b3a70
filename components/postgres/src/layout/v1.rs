//! Version 1: values in `jsonb`, the row's own version as its ETag.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use component::state::Value;
use component::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Bound, Layout, Statements, bare, column};

pub(crate) struct V1;

impl Layout for V1 {
    const MARKED: bool = true;

    fn statements(table: &str) -> Statements {
        let columns =
            "key, value::text AS value, isbinary, xmin::text AS etag, expiredate AS expires";
        let live = "(expiredate IS NULL OR expiredate >= now())";
        let expiry = "now() + $4::float8 * interval '1 second'";
        let insert = format!(
            "INSERT INTO {table} AS old (key, value, isbinary, expiredate) \
             VALUES ($1, $2::text::jsonb, $3, {expiry}) ON CONFLICT (key) DO UPDATE SET \
             value = EXCLUDED.value, isbinary = EXCLUDED.isbinary, updatedate = now(), expiredate = EXCLUDED.expiredate"
        );
        let keys = format!(
            "SELECT key, row_id FROM {table} WHERE (expiredate IS NULL OR expiredate > now()) \
             AND key LIKE $1 AND row_id > $2 ORDER BY row_id"
        );
        Statements {
            get: format!("SELECT {columns} FROM {table} WHERE key = $1 AND {live}"),
            get_many: format!("SELECT {columns} FROM {table} WHERE key = ANY($1) AND {live}"),
            set_first: format!(
                "{insert} WHERE old.expiredate IS NOT NULL AND old.expiredate < now()"
            ),
            set: insert,
            set_etag: format!(
                "UPDATE {table} SET value = $2::text::jsonb, isbinary = $3, updatedate = now(), expiredate = {expiry} \
                 WHERE key = $1 AND xmin::text = $5 AND (expiredate IS NULL OR expiredate > now())"
            ),
            delete: format!("DELETE FROM {table} WHERE key = $1"),
            delete_etag: format!("DELETE FROM {table} WHERE key = $1 AND xmin::text = $2"),
            keys_page: format!("{keys} LIMIT $3"),
            keys,
            expired: format!(
                "DELETE FROM {table} WHERE expiredate IS NOT NULL AND expiredate < now()"
            ),
        }
    }

    fn migrations(table: &str) -> Vec<String> {
        let bare = bare(table);
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {table} (key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, \
                 isbinary boolean NOT NULL, insertdate timestamptz NOT NULL DEFAULT NOW(), updatedate timestamptz NULL)"
            ),
            format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS expiredate timestamptz"),
            super::super::migrate::row_ids(table, bare, "insertdate"),
        ]
    }

    fn bind(value: Value) -> Bound {
        match value {
            Value::Bytes(bytes) => Bound {
                value: Box::new(format!("\"{}\"", STANDARD.encode(bytes))),
                binary: true,
            },
            Value::Json(text) => Bound {
                value: Box::new(String::from_utf8_lossy(&text).into_owned()),
                binary: false,
            },
        }
    }

    fn etag(text: &str) -> Result<Box<dyn ToSql + Send + Sync>> {
        let number: u32 = text.parse().map_err(|e| {
            Error::etag_invalid(format!("'{text}' is no number of a row's version: {e}"))
        })?;
        Ok(Box::new(number.to_string()))
    }

    fn value(row: &Row) -> Result<Bytes> {
        let text: String = column(row, "value")?;
        if !column::<bool>(row, "isbinary")? {
            return Ok(text.into());
        }
        let encoded = text.trim_matches('"');
        let decoded = STANDARD.decode(encoded);
        decoded
            .map(Into::into)
            .map_err(|_| Error::internal("a binary value of the state table is not base64"))
    }
}
