//! The statements and what they carry. Their text is built once; every
//! connection keeps the prepared form.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use component::Error;
use component::state::{Item, Metadata, TTL_EXPIRE_TIME};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result, Row, ToSql, params};

use crate::target::TxLock;

const LIVE: &str = "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)";

/// The text of every statement for one pair of tables.
#[derive(Debug)]
pub(crate) struct Sql {
    get: String,
    set: String,
    set_if_absent: String,
    set_if_etag: String,
    delete: String,
    delete_if_etag: String,
    keys: String,
    claim_cleanup: String,
    delete_expired: String,
    pub(crate) begin: &'static str,
}

/// One change of one row.
#[derive(Debug)]
pub(crate) enum Write {
    Set {
        key: String,
        value: Stored,
        etag: String,
        ttl: Option<i32>,
        condition: Condition,
    },
    Delete {
        key: String,
        etag: Option<String>,
    },
}

/// The value column: JSON text, or base64 of opaque bytes.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) text: Bytes,
    pub(crate) is_binary: bool,
}

#[derive(Debug)]
pub(crate) enum Condition {
    Always,
    /// Only when no live row has the key.
    Absent,
    Etag(String),
}

/// Binds UTF-8 text without checking it again.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

impl Sql {
    pub(crate) fn new(table: &str, metadata: &str, txlock: TxLock) -> Self {
        const COLUMNS: &str = "(key, value, is_binary, etag, expiration_time, update_time)";
        // `?5` is the time to live; without one the whole expression is null.
        const EXPIRY: &str = "datetime('now', '+' || ?5 || ' seconds')";
        Self {
            get: format!(
                r#"SELECT value, is_binary, etag, strftime('%Y-%m-%dT%H:%M:%SZ', expiration_time)
                   FROM "{table}" WHERE key = ?1 AND {LIVE}"#
            ),
            set: format!(
                r#"INSERT OR REPLACE INTO "{table}" {COLUMNS} VALUES (?1, ?2, ?3, ?4, {EXPIRY}, CURRENT_TIMESTAMP)"#
            ),
            set_if_absent: format!(
                r#"INSERT OR REPLACE INTO "{table}" {COLUMNS} SELECT ?1, ?2, ?3, ?4, {EXPIRY}, CURRENT_TIMESTAMP
                   WHERE NOT EXISTS (SELECT 1 FROM "{table}" WHERE key = ?1 AND {LIVE})"#
            ),
            set_if_etag: format!(
                r#"UPDATE "{table}" SET value = ?2, is_binary = ?3, etag = ?4, expiration_time = {EXPIRY},
                   update_time = CURRENT_TIMESTAMP WHERE key = ?1 AND etag = ?6 AND {LIVE}"#
            ),
            delete: format!(r#"DELETE FROM "{table}" WHERE key = ?1"#),
            delete_if_etag: format!(r#"DELETE FROM "{table}" WHERE key = ?1 AND etag = ?2"#),
            keys: format!(
                r#"SELECT rowid, key FROM "{table}" WHERE key LIKE ?1 ESCAPE '\' AND rowid > ?2 AND {LIVE}
                   ORDER BY rowid LIMIT ?3"#
            ),
            claim_cleanup: format!(
                r#"INSERT INTO "{metadata}" (key, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value
                   WHERE unixepoch(excluded.value) - unixepoch("{metadata}".value) >= ?1"#
            ),
            delete_expired: format!(
                r#"DELETE FROM "{table}" WHERE expiration_time <= CURRENT_TIMESTAMP"#
            ),
            begin: match txlock {
                TxLock::Deferred => "BEGIN DEFERRED",
                TxLock::Immediate => "BEGIN IMMEDIATE",
                TxLock::Exclusive => "BEGIN EXCLUSIVE",
            },
        }
    }

    /// Runs one change. The inner error is the store's answer (a mismatch); the
    /// outer one is SQLite's.
    pub(crate) fn apply(&self, conn: &Connection, write: &Write) -> Result<Result<(), Error>> {
        let changed = match write {
            Write::Set {
                key,
                value,
                etag,
                ttl,
                condition,
            } => {
                let text = Text(&value.text);
                match condition {
                    Condition::Always => conn.prepare_cached(&self.set)?.execute(params![
                        key,
                        text,
                        value.is_binary,
                        etag,
                        ttl
                    ])?,
                    Condition::Absent => conn
                        .prepare_cached(&self.set_if_absent)?
                        .execute(params![key, text, value.is_binary, etag, ttl])?,
                    Condition::Etag(old) => conn
                        .prepare_cached(&self.set_if_etag)?
                        .execute(params![key, text, value.is_binary, etag, ttl, old])?,
                }
            }
            Write::Delete { key, etag: None } => {
                conn.prepare_cached(&self.delete)?.execute(params![key])?;
                return Ok(Ok(()));
            }
            Write::Delete {
                key,
                etag: Some(etag),
            } => conn
                .prepare_cached(&self.delete_if_etag)?
                .execute(params![key, etag])?,
        };
        Ok(if changed == 0 {
            Err(Error::etag_mismatch("no row was changed"))
        } else {
            Ok(())
        })
    }

    pub(crate) fn get(&self, conn: &Connection, key: &str) -> Result<Option<Item>> {
        conn.prepare_cached(&self.get)?
            .query_row([key], item)
            .optional()
    }

    /// Row ids and keys after a row id; a negative limit means all.
    pub(crate) fn keys(
        &self,
        conn: &Connection,
        pattern: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String)>> {
        conn.prepare_cached(&self.keys)?
            .query_map(params![pattern, after, limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect()
    }

    /// Deletes expired rows, unless another sidecar did within the interval.
    pub(crate) fn clean_up(&self, conn: &Connection, interval_secs: u64) -> Result<Option<usize>> {
        let interval = i64::try_from(interval_secs).unwrap_or(i64::MAX);
        if conn
            .prepare_cached(&self.claim_cleanup)?
            .execute([interval])?
            == 0
        {
            return Ok(None);
        }
        conn.prepare_cached(&self.delete_expired)?
            .execute([])
            .map(Some)
    }
}

fn item(row: &Row<'_>) -> Result<Item> {
    let text = row.get_ref(0)?.as_bytes()?;
    let data = if row.get(1)? {
        let decoded = BASE64_STANDARD.decode(text);
        Bytes::from(decoded.map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e.into())
        })?)
    } else {
        Bytes::copy_from_slice(text)
    };
    let mut metadata = Metadata::new();
    if let Some(expires) = row.get::<_, Option<String>>(3)? {
        metadata.insert(TTL_EXPIRE_TIME.into(), expires);
    }
    Ok(Item {
        data,
        etag: Some(row.get(2)?),
        metadata,
        content_type: None,
    })
}
