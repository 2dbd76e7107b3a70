//! The table of sidecars, as upstream lays it out, and its statements.

use std::sync::Arc;
use std::time::Duration;

use component::{Error, Result};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::config::Config;
use crate::connection::Opener;
use crate::error::{describe, is_busy};
use crate::target::Target;

const LEVEL: u32 = 1;
const PAUSE: Duration = Duration::from_millis(50);

/// One connection, used by one call at a time.
#[derive(Clone)]
pub(super) struct Hosts {
    conn: Arc<Mutex<Connection>>,
    names: Arc<Names>,
    timeout: Duration,
}

struct Names {
    path: String,
    table: String,
    metadata: String,
}

impl Hosts {
    /// Opens the file and brings the tables up to date. While another process
    /// does the same, SQLite may answer "busy" at once, so that is tried again.
    pub(super) async fn open(config: &Config) -> Result<Self> {
        let target = Target::parse(&config.connection_string)?;
        let names = Arc::new(Names {
            path: target.path.clone(),
            table: config.table_name.clone(),
            metadata: config.metadata_table_name.clone(),
        });
        let opener = Opener {
            target,
            busy_timeout: config.busy_timeout.0,
            disable_wal: config.disable_wal,
        };
        let end = Instant::now() + config.timeout.0 + config.busy_timeout.0;
        loop {
            let (opener, tables) = (opener.clone(), names.clone());
            let opening = tokio::task::spawn_blocking(move || {
                let mut conn = opener.writer()?;
                migrate(&mut conn, &tables)?;
                Ok(conn)
            });
            match opening.await.map_err(|e| Error::internal(e.to_string()))? {
                Ok(conn) => {
                    return Ok(Self {
                        conn: Arc::new(Mutex::new(conn)),
                        names,
                        timeout: config.timeout.0,
                    });
                }
                Err(e) if is_busy(&e) && Instant::now() < end => sleep(PAUSE).await,
                Err(e) => return Err(describe(&e, &names.path)),
            }
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection, &Names) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let me = self.clone();
        let work = tokio::task::spawn_blocking(move || f(&me.conn.lock(), &me.names));
        let path = &self.names.path;
        let done = timeout(self.timeout, work).await.map_err(|_| {
            Error::unavailable(format!(
                "sqlite database \"{path}\" did not answer within {:?}",
                self.timeout
            ))
        })?;
        done.map_err(|e| Error::internal(e.to_string()))?
            .map_err(|e| describe(&e, path))
    }

    /// Adds this sidecar; the id to renew and delete it by. Whoever had the
    /// address before is gone.
    pub(super) async fn register(&self, address: String, app_id: String) -> Result<String> {
        let id = Uuid::new_v4().to_string();
        let row = id.clone();
        self.call(move |conn, Names { table, .. }| {
            let sql = format!(
                r#"REPLACE INTO "{table}" (registration_id, address, app_id, namespace, last_update)
                   VALUES (?1, ?2, ?3, '', unixepoch())"#
            );
            conn.execute(&sql, params![row, address, app_id])
        })
        .await?;
        Ok(id)
    }

    /// Whether the row was still there.
    pub(super) async fn renew(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.call(move |conn, Names { table, .. }| {
            let sql = format!(
                r#"UPDATE "{table}" SET last_update = unixepoch() WHERE registration_id = ?1"#
            );
            Ok(conn.prepare_cached(&sql)?.execute([id])? > 0)
        })
        .await
    }

    /// Whether the row was still there.
    pub(super) async fn unregister(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.call(move |conn, Names { table, .. }| {
            let sql = format!(r#"DELETE FROM "{table}" WHERE registration_id = ?1"#);
            Ok(conn.execute(&sql, [id])? > 0)
        })
        .await
    }

    /// A random one among the addresses that are renewed in time.
    pub(super) async fn find(&self, app_id: String, age: Duration) -> Result<Option<String>> {
        self.call(move |conn, Names { table, .. }| {
            let sql = format!(
                r#"SELECT address FROM "{table}" WHERE app_id = ?1 AND unixepoch() - last_update < ?2
                   ORDER BY random() LIMIT 1"#
            );
            let mut statement = conn.prepare_cached(&sql)?;
            statement.query_row(params![app_id, seconds(age)], |row| row.get(0)).optional()
        })
        .await
    }

    /// Deletes what is older than `age`, unless another sidecar did so within the
    /// `interval`; how many rows. Upstream deletes the younger ones by mistake.
    pub(super) async fn clean_up(&self, age: Duration, interval: Duration) -> Result<usize> {
        self.call(move |conn, Names { table, metadata, .. }| {
            let claim = format!(
                r#"INSERT INTO "{metadata}" (key, value) VALUES ('nr-last-cleanup', CURRENT_TIMESTAMP)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value
                   WHERE unixepoch(excluded.value) - unixepoch("{metadata}".value) >= ?1"#
            );
            if conn.execute(&claim, [seconds(interval)])? == 0 {
                return Ok(0);
            }
            let sql = format!(r#"DELETE FROM "{table}" WHERE unixepoch() - last_update >= ?1"#);
            conn.execute(&sql, [seconds(age)])
        })
        .await
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn migrate(conn: &mut Connection, names: &Names) -> rusqlite::Result<()> {
    let Names {
        table, metadata, ..
    } = names;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    tx.execute_batch(&format!(
        r#"CREATE TABLE IF NOT EXISTS "{metadata}" (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"#
    ))?;
    let level: Option<String> = tx
        .query_row(
            &format!(r#"SELECT value FROM "{metadata}" WHERE key = 'nr-migrations'"#),
            [],
            |row| row.get(0),
        )
        .optional()?;
    if level.and_then(|l| l.parse::<u32>().ok()).unwrap_or(0) < LEVEL {
        tx.execute_batch(&format!(
            r#"CREATE TABLE IF NOT EXISTS "{table}" (
                registration_id TEXT NOT NULL PRIMARY KEY,
                address TEXT NOT NULL,
                app_id TEXT NOT NULL,
                namespace TEXT NOT NULL,
                last_update INTEGER NOT NULL
            );
            CREATE UNIQUE INDEX IF NOT EXISTS "{table}_address_idx" ON "{table}" (address);
            CREATE INDEX IF NOT EXISTS "{table}_last_update_idx" ON "{table}" (last_update);"#
        ))?;
        tx.execute(
            &format!(r#"REPLACE INTO "{metadata}" (key, value) VALUES ('nr-migrations', ?1)"#),
            [LEVEL.to_string()],
        )?;
    }
    tx.commit()
}
