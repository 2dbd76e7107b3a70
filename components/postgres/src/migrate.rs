//! Bringing the tables up to date, by one process at a time.

use component::Result;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::config::Tables;
use crate::connect::Connections;
use crate::lease::Lease;

/// Runs the steps above the level that the metadata table has. Other processes
/// wait at the lock row, which a transaction of its own holds meanwhile.
pub(crate) async fn run(
    connections: &Connections,
    tables: &Tables,
    steps: &[String],
) -> Result<()> {
    let metadata = &tables.metadata;
    let lock = connections.lease().await?;
    make_metadata(&lock, metadata).await?;
    let row = format!(
        "INSERT INTO {metadata} (key, value) VALUES ('lock', 'lock') ON CONFLICT (key) DO NOTHING"
    );
    let hold = format!("SELECT key FROM {metadata} WHERE key = 'lock' FOR UPDATE");
    for statement in [&row, "BEGIN", &hold] {
        lock.batch(statement).await.map_err(|e| lock.failed(&e))?;
    }
    // The work is done on another connection: rolling back the lock undoes nothing.
    let worker = connections.lease().await?;
    let key = format!("migrations{}", tables.suffix);
    // Version 1 notes one level for all tables beside one metadata table: a table
    // that is not there begins at the bottom whatever the level says.
    let level = if exists(&worker, &tables.state).await? {
        level(&worker, metadata, &key).await?
    } else {
        0
    };
    for (i, step) in steps.iter().enumerate().skip(level) {
        // Names were checked for quotes. One transaction, so that no step is
        // done without being noted.
        let noted = format!(
            "BEGIN; {step}; INSERT INTO {metadata} (key, value) VALUES ('{key}', '{}') \
             ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value; COMMIT",
            i + 1
        );
        worker.batch(&noted).await.map_err(|e| worker.failed(&e))?;
    }
    worker.done();
    lock.batch("ROLLBACK").await.map_err(|e| lock.failed(&e))?;
    lock.done();
    Ok(())
}

/// Asks first, because an account may use tables that it may not create.
async fn make_metadata(lease: &Lease<'_>, metadata: &str) -> Result<()> {
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {metadata} (key text NOT NULL PRIMARY KEY, value text NOT NULL)"
    );
    if exists(lease, metadata).await? {
        return Ok(());
    }
    match lease.batch(&create).await {
        // Two processes that create a table at once may collide inside the
        // server, which then has the table.
        Err(e) if e.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
        other => other.map_err(|e| lease.failed(&e)),
    }
}

async fn exists(lease: &Lease<'_>, table: &str) -> Result<bool> {
    let found = lease
        .once(
            "SELECT 1 WHERE to_regclass($1) IS NOT NULL",
            &[(&table, Type::TEXT)],
        )
        .await?;
    Ok(!found.is_empty())
}

async fn level(lease: &Lease<'_>, metadata: &str, key: &str) -> Result<usize> {
    let rows = lease
        .once(
            &format!("SELECT value FROM {metadata} WHERE key = $1"),
            &[(&key, Type::TEXT)],
        )
        .await?;
    Ok(rows
        .first()
        .and_then(|row| row.get::<_, String>("value").parse().ok())
        .unwrap_or(0))
}
