//! Deletes expired rows from time to time; reads never show them anyway.

use std::sync::Arc;
use std::time::Duration;

use component::Env;
use tokio::task::JoinSet;

use crate::sql::Sql;
use crate::writer::Writer;

/// Starts the cleaning task, which ends with the set or with the component.
pub(crate) fn start(writer: Writer, sql: Arc<Sql>, interval: Duration, env: Env) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if interval.is_zero() {
        return tasks;
    }
    tasks.spawn(async move {
        loop {
            tokio::select! {
                () = env.shutdown.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let sql = sql.clone();
            match writer
                .call(move |conn| sql.clean_up(conn, interval.as_secs()))
                .await
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
