//! Opens one connection with the settings that every connection shares.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Result};

use crate::target::Target;

/// Statements kept ready per connection; the component has fewer.
const STATEMENTS: usize = 32;

/// How to open connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) target: Target,
    pub(crate) busy_timeout: Duration,
    pub(crate) disable_wal: bool,
}

impl Opener {
    /// The connection that writes; it also sets the journal mode of the file.
    pub(crate) fn writer(&self) -> Result<Connection> {
        let conn = self.reader()?;
        // The pragma would silently keep the file's mode on a read-only database.
        if !self.target.read_only {
            let wanted = match (self.target.memory, self.disable_wal) {
                (true, _) => "MEMORY",
                (false, true) => "DELETE",
                (false, false) => "WAL",
            };
            let mode: String =
                conn.query_row(&format!("PRAGMA journal_mode={wanted}"), [], |row| {
                    row.get(0)
                })?;
            if !mode.eq_ignore_ascii_case(wanted) {
                tracing::warn!(
                    "sqlite database {:?} keeps journal mode {mode} instead of {wanted}",
                    self.target.path
                );
            }
        }
        Ok(conn)
    }

    pub(crate) fn reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.target.uri, flags)?;
        conn.busy_timeout(self.busy_timeout)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        // Also survives a loss of power. Upstream's driver has the same default;
        // `_pragma=synchronous(normal)` survives the end of the process only.
        conn.execute_batch("PRAGMA synchronous=FULL")?;
        for (name, value) in &self.target.pragmas {
            conn.execute_batch(&format!("PRAGMA {name}={value}"))?;
        }
        Ok(conn)
    }
}
