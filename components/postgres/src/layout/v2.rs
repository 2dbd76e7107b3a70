//! Version 2: values in `bytea`, a new UUID as ETag at every write.

use bytes::Bytes;
use component::state::Value;
use component::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{KEY, KEYS, Layout, PAGE, Payload, Raw, Statement, Statements, column, row_ids};

pub(crate) struct V2;

const SET: &[Type] = &[Type::TEXT, Type::BYTEA, Type::FLOAT8];
const SET_ETAG: &[Type] = &[Type::TEXT, Type::BYTEA, Type::FLOAT8, Type::UUID];
const DELETE_ETAG: &[Type] = &[Type::TEXT, Type::UUID];

impl Layout for V2 {
    type Etag = Uuid;

    const MARKED: bool = false;

    fn statements(table: &str) -> Statements {
        let columns = "key, value, etag::text AS etag, expires_at AS expires";
        let readable = "(expires_at IS NULL OR expires_at >= now())";
        let expiry = "now() + $3 * interval '1 second'";
        let insert = format!(
            "INSERT INTO {table} AS old (key, value, etag, expires_at) \
             VALUES ($1, $2, gen_random_uuid(), {expiry}) ON CONFLICT (key) DO UPDATE SET \
             value = EXCLUDED.value, etag = EXCLUDED.etag, updated_at = now(), expires_at = EXCLUDED.expires_at"
        );
        Statements {
            get: Statement::new(
                KEY,
                format!("SELECT {columns} FROM {table} WHERE key = $1 AND {readable}"),
            ),
            get_many: Statement::new(
                KEYS,
                format!("SELECT {columns} FROM {table} WHERE key = ANY($1) AND {readable}"),
            ),
            set_first: Statement::new(SET, format!("{insert} WHERE old.expires_at < now()")),
            set: Statement::new(SET, insert),
            set_etag: Statement::new(
                SET_ETAG,
                format!(
                    "UPDATE {table} SET value = $2, etag = gen_random_uuid(), updated_at = now(), expires_at = {expiry} \
                     WHERE key = $1 AND etag = $4 AND {readable}"
                ),
            ),
            delete: Statement::new(KEY, format!("DELETE FROM {table} WHERE key = $1")),
            delete_etag: Statement::new(
                DELETE_ETAG,
                format!("DELETE FROM {table} WHERE key = $1 AND etag = $2"),
            ),
            keys: Statement::new(
                PAGE,
                format!(
                    "SELECT key, row_id FROM {table} WHERE key LIKE $1 AND row_id > $2 \
                     AND (expires_at IS NULL OR expires_at > now()) ORDER BY row_id LIMIT $3"
                ),
            ),
            expired: Statement::new(&[], format!("DELETE FROM {table} WHERE expires_at < now()")),
        }
    }

    fn migrations(table: &str) -> Vec<String> {
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {table} (key text NOT NULL PRIMARY KEY, value bytea NOT NULL, \
                 etag uuid NOT NULL DEFAULT gen_random_uuid(), created_at timestamptz NOT NULL DEFAULT now(), \
                 updated_at timestamptz, expires_at timestamptz); CREATE INDEX ON {table} (expires_at)"
            ),
            row_ids(table, "created_at"),
        ]
    }

    fn bind(value: Value) -> (Payload, bool) {
        match value {
            Value::Bytes(bytes) | Value::Json(bytes) => (Payload(bytes), false),
        }
    }

    /// What is no UUID was never an ETag of this store, which counts as a mismatch.
    fn etag(text: &str) -> Result<Uuid> {
        Uuid::parse_str(text).map_err(|e| Error::etag_mismatch(format!("'{text}' is no UUID: {e}")))
    }

    fn value(row: &Row) -> Result<Bytes> {
        column::<Raw<'_>>(row, "value").map(|raw| Bytes::copy_from_slice(raw.0))
    }
}
