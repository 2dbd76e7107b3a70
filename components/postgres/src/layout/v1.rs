//! Version 1: values in `jsonb`, the row's own version as its ETag.

use std::error::Error as StdError;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use component::state::Value;
use component::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::{KEY, KEYS, Layout, PAGE, Payload, Raw, Statement, Statements, column, row_ids};

pub(crate) struct V1;

const SET: &[Type] = &[Type::TEXT, Type::JSONB, Type::BOOL, Type::FLOAT8];
const SET_ETAG: &[Type] = &[Type::TEXT, Type::JSONB, Type::BOOL, Type::FLOAT8, Type::XID];
const DELETE_ETAG: &[Type] = &[Type::TEXT, Type::XID];

/// The transaction that wrote a row, which the driver has no type for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Xid(u32);

impl ToSql for Xid {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_u32(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::XID
    }

    to_sql_checked!();
}

impl Layout for V1 {
    type Etag = Xid;

    const MARKED: bool = true;

    fn statements(table: &str) -> Statements {
        let columns = "key, value, isbinary, xmin::text AS etag, expiredate AS expires";
        let readable = "(expiredate IS NULL OR expiredate >= now())";
        let live = "(expiredate IS NULL OR expiredate > now())";
        let expiry = "now() + $4 * interval '1 second'";
        let insert = format!(
            "INSERT INTO {table} AS old (key, value, isbinary, expiredate) \
             VALUES ($1, $2, $3, {expiry}) ON CONFLICT (key) DO UPDATE SET \
             value = EXCLUDED.value, isbinary = EXCLUDED.isbinary, updatedate = now(), expiredate = EXCLUDED.expiredate"
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
            set_first: Statement::new(SET, format!("{insert} WHERE old.expiredate < now()")),
            set: Statement::new(SET, insert),
            set_etag: Statement::new(
                SET_ETAG,
                format!(
                    "UPDATE {table} SET value = $2, isbinary = $3, updatedate = now(), expiredate = {expiry} \
                     WHERE key = $1 AND xmin = $5 AND {live}"
                ),
            ),
            delete: Statement::new(KEY, format!("DELETE FROM {table} WHERE key = $1")),
            delete_etag: Statement::new(
                DELETE_ETAG,
                format!("DELETE FROM {table} WHERE key = $1 AND xmin = $2"),
            ),
            keys: Statement::new(
                PAGE,
                format!(
                    "SELECT key, row_id FROM {table} WHERE key LIKE $1 AND row_id > $2 AND {live} \
                     ORDER BY row_id LIMIT $3"
                ),
            ),
            expired: Statement::new(&[], format!("DELETE FROM {table} WHERE expiredate < now()")),
        }
    }

    fn migrations(table: &str) -> Vec<String> {
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {table} (key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, \
                 isbinary boolean NOT NULL, insertdate timestamptz NOT NULL DEFAULT now(), updatedate timestamptz NULL)"
            ),
            format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS expiredate timestamptz NULL"),
            row_ids(table, "insertdate"),
        ]
    }

    /// Bytes become a JSON string of their base64 text.
    fn bind(value: Value) -> (Payload, bool) {
        match value {
            Value::Json(text) => (Payload(text), false),
            Value::Bytes(bytes) => {
                let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4 + 2);
                text.push('"');
                BASE64_STANDARD.encode_string(bytes, &mut text);
                text.push('"');
                (Payload(text.into()), true)
            }
        }
    }

    fn etag(text: &str) -> Result<Xid> {
        text.parse().map(Xid).map_err(|e| {
            Error::etag_invalid(format!("'{text}' is no number of a row's version: {e}"))
        })
    }

    fn value(row: &Row) -> Result<Bytes> {
        let Raw(text) = column(row, "value")?;
        if !column::<bool>(row, "isbinary")? {
            return Ok(Bytes::copy_from_slice(text));
        }
        let encoded = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\""));
        encoded
            .and_then(|t| BASE64_STANDARD.decode(t).ok())
            .map(Bytes::from)
            .ok_or_else(|| Error::internal("a binary value of the state table is not base64"))
    }
}
