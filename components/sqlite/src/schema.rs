//! The tables, as upstream lays them out, and the schema level kept beside them.

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior};

const LEVEL: u32 = 1;

/// Brings the database to the current level. A database that is there already
/// is only read, so that opening it does not wait for other writers.
pub(crate) fn migrate(conn: &mut Connection, table: &str, metadata: &str) -> Result<()> {
    if level(conn, metadata)? >= LEVEL {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    tx.execute_batch(&format!(
        r#"CREATE TABLE IF NOT EXISTS "{metadata}" (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"#
    ))?;
    // Another sidecar may have been faster.
    if level(&tx, metadata)? < LEVEL {
        // The order of the columns is part of the format: upstream inserts by position.
        tx.execute_batch(&format!(
            r#"CREATE TABLE IF NOT EXISTS "{table}" (
                key TEXT NOT NULL PRIMARY KEY,
                value TEXT NOT NULL,
                is_binary BOOLEAN NOT NULL,
                etag TEXT NOT NULL,
                expiration_time TIMESTAMP DEFAULT NULL,
                update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
            )"#
        ))?;
        tx.execute(
            &format!(
                r#"INSERT OR REPLACE INTO "{metadata}" (key, value) VALUES ('migrations', ?1)"#
            ),
            [LEVEL.to_string()],
        )?;
    }
    tx.commit()
}

fn level(conn: &Connection, metadata: &str) -> Result<u32> {
    let exists = conn
        .query_row(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
            [metadata],
            |_| Ok(()),
        )
        .optional()?;
    if exists.is_none() {
        return Ok(0);
    }
    let level: Option<String> = conn
        .query_row(
            &format!(r#"SELECT value FROM "{metadata}" WHERE key = 'migrations'"#),
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(level.and_then(|l| l.parse().ok()).unwrap_or(0))
}
