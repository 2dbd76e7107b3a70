//! Deleting expired rows, by one of all processes that share the tables.

use std::time::Duration;

use component::Env;
use deadpool_postgres::Pool;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Tables;

const LONGEST: Duration = Duration::from_secs(600);

/// Runs until the component is closed or dropped.
pub(crate) fn start(pool: Pool, tables: &Tables, expired: String, env: Env) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if tables.cleanup.is_zero() {
        return tasks;
    }
    let (metadata, every) = (tables.metadata.clone(), tables.cleanup);
    let key = format!("last-cleanup{}", tables.suffix);
    tasks.spawn(async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while env
            .shutdown
            .run_until_cancelled(ticks.tick())
            .await
            .is_some()
        {
            let done = timeout(LONGEST, clean(&pool, &metadata, &key, every, &expired)).await;
            if let Ok(Err(e)) = done {
                tracing::error!(target: "dapr.contrib", "failed to delete expired rows: {e}");
            }
        }
    });
    tasks
}

/// One conditional update decides whose turn it is.
async fn clean(
    pool: &Pool,
    metadata: &str,
    key: &str,
    every: Duration,
    expired: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = pool.get().await?;
    let turn = format!(
        "INSERT INTO {metadata} AS old (key, value) VALUES ($1, now()::text) ON CONFLICT (key) DO UPDATE \
         SET value = EXCLUDED.value WHERE old.value::timestamptz < now() - $2::float8 * interval '1 second'"
    );
    let least = every
        .saturating_sub(Duration::from_millis(100))
        .as_secs_f64();
    if client.execute(&turn, &[&key, &least]).await? > 0 {
        let count = client.execute(expired, &[]).await?;
        tracing::debug!(target: "dapr.contrib", "deleted {count} expired rows");
    }
    Ok(())
}
