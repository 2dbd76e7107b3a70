//! What happens from time to time: expired rows are deleted, by one of all
//! processes that share the tables, and idle connections are closed.

use std::sync::Arc;
use std::time::Duration;

use component::{Env, Error, Result};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::types::Type;

use crate::config::Tables;
use crate::connect::Connections;
use crate::layout::Statements;

/// The longest that one cleanup may take.
const LONGEST: Duration = Duration::from_secs(600);

/// Runs until the component is closed or dropped.
pub(crate) fn start(
    connections: Connections,
    tables: &Tables,
    sql: Arc<Statements>,
    env: Env,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let idle = connections.idle;
    let (pool, shutdown) = (connections.pool.clone(), env.shutdown.clone());
    tasks.spawn(async move {
        let mut ticks = interval((idle / 2).clamp(Duration::from_secs(1), Duration::from_secs(60)));
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            pool.retain(|_, metrics| metrics.last_used() < idle);
        }
    });
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
            let cleaned = timeout(LONGEST, clean(&connections, &metadata, &key, every, &sql)).await;
            match cleaned
                .unwrap_or_else(|_| Err(Error::unavailable(format!("not done within {LONGEST:?}"))))
            {
                Ok(Some(rows)) => tracing::debug!(parent: &env.span, "removed {rows} expired rows"),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(parent: &env.span, "removing expired rows failed: {error}")
                }
            }
        }
    });
    tasks
}

/// One conditional update decides whose turn it is.
pub(crate) async fn clean(
    connections: &Connections,
    metadata: &str,
    key: &str,
    every: Duration,
    sql: &Statements,
) -> Result<Option<u64>> {
    let turn = format!(
        "INSERT INTO {metadata} AS old (key, value) VALUES ($1, now()::text) ON CONFLICT (key) DO UPDATE \
         SET value = EXCLUDED.value WHERE old.value::timestamptz < now() - $2 * interval '1 second' RETURNING key"
    );
    // The clocks of processes differ a little.
    let least = every
        .saturating_sub(Duration::from_millis(100))
        .as_secs_f64();
    let lease = connections.lease().await?;
    let ours = !lease
        .once(&turn, &[(&key, Type::TEXT), (&least, Type::FLOAT8)])
        .await?
        .is_empty();
    let rows = if ours {
        Some(lease.count(&sql.expired, &[]).await?)
    } else {
        None
    };
    lease.done();
    Ok(rows)
}
