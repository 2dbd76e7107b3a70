//! `state.in-memory`: a map in the process, lost when it ends.

mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use component::state::{
    self, BulkItem, DeleteRequest, Features, GetRequest, Item, KeysPage, KeysRequest, Like,
    Metadata, Operation, SetRequest, StateStore,
};
use component::{Component, Env, Error, JsonSchema, Result};
use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use table::Table;

const SWEEP: Duration = Duration::from_secs(1);

/// Has no metadata of its own.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Config {}

pub(crate) struct InMemory {
    table: Arc<RwLock<Table>>,
    /// Removes expired rows until the component is closed or dropped.
    _sweeper: JoinSet<()>,
}

impl Component for InMemory {
    type Config = Config;

    async fn open(_: Config, env: Env) -> Result<Self> {
        let table = Arc::new(RwLock::new(Table::default()));
        let mut sweeper = JoinSet::new();
        let swept = Arc::clone(&table);
        sweeper.spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while env
                .shutdown
                .run_until_cancelled(ticks.tick())
                .await
                .is_some()
            {
                swept.write().sweep(Timestamp::now());
            }
        });
        Ok(Self {
            table,
            _sweeper: sweeper,
        })
    }
}

#[async_trait]
impl StateStore for InMemory {
    fn features(&self) -> Features {
        Features::ETAG
            .and(Features::TRANSACTIONAL)
            .and(Features::TTL)
            .and(Features::DELETE_WITH_PREFIX)
            .and(Features::KEYS_LIKE)
    }

    async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
        named(&req.key, "get")?;
        Ok(self.table.read().item(&req.key, Timestamp::now()))
    }

    async fn bulk_get(&self, reqs: Vec<GetRequest>, _parallelism: usize) -> Result<Vec<BulkItem>> {
        let table = self.table.read();
        let now = Timestamp::now();
        let item = |req: GetRequest| {
            let result = named(&req.key, "get").map(|()| table.item(&req.key, now));
            BulkItem {
                key: req.key,
                result,
            }
        };
        Ok(reqs.into_iter().map(item).collect())
    }

    async fn set(&self, req: SetRequest) -> Result<()> {
        self.apply(vec![Operation::Set(req)])
    }

    async fn delete(&self, req: DeleteRequest) -> Result<()> {
        self.apply(vec![Operation::Delete(req)])
    }

    async fn transact(&self, ops: Vec<Operation>, _metadata: Metadata) -> Result<()> {
        self.apply(ops)
    }

    async fn keys_like(&self, req: KeysRequest) -> Result<KeysPage> {
        let like = Like::new(&req.pattern)?;
        let from = match req.token.as_deref() {
            None | Some("") => 0,
            Some(text) => text.parse().map_err(|_| {
                Error::invalid("invalid continue token: must be one of the page before")
            })?,
        };
        Ok(self
            .table
            .read()
            .keys(&like, from, req.page_size, Timestamp::now()))
    }

    async fn delete_with_prefix(&self, prefix: &str) -> Result<u64> {
        let prefix = state::prefix(prefix)?;
        Ok(self
            .table
            .write()
            .delete_children(&prefix, Timestamp::now()))
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {
        *self.table.write() = Table::default();
    }
}

impl InMemory {
    /// Every ETag is compared with the state before the first operation, under
    /// one lock; then all are applied in order.
    fn apply(&self, ops: Vec<Operation>) -> Result<()> {
        let now = Timestamp::now();
        let mut expiries = Vec::with_capacity(ops.len());
        for op in &ops {
            expiries.push(match op {
                Operation::Set(req) => {
                    named(&req.key, "set").and_then(|()| expiry(&req.metadata, now))?
                }
                Operation::Delete(req) => named(&req.key, "delete").map(|()| None)?,
            });
        }
        let mut table = self.table.write();
        for op in &ops {
            match op {
                Operation::Set(req) => {
                    table.check(&req.key, req.etag.as_deref(), req.concurrency, now)?
                }
                Operation::Delete(req) => {
                    table.check(&req.key, req.etag.as_deref(), req.concurrency, now)?
                }
            }
        }
        for (op, expires) in ops.into_iter().zip(expiries) {
            match op {
                Operation::Set(req) => {
                    table.put(req.key.into(), req.value.bytes().clone(), expires)
                }
                Operation::Delete(req) => table.remove(&req.key),
            }
        }
        Ok(())
    }
}

fn named(key: &str, operation: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::invalid(format!(
            "missing key in {operation} operation"
        )));
    }
    Ok(())
}

/// Unlike the common parser this store takes any integer; 0 and less never expire.
fn expiry(metadata: &Metadata, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(text) = metadata
        .get(state::TTL_IN_SECONDS)
        .filter(|t| !t.is_empty())
    else {
        return Ok(None);
    };
    let seconds: i64 = text.parse().map_err(|_| {
        Error::invalid("incorrect value for metadata 'ttlInSeconds': must be a whole number")
    })?;
    if seconds <= 0 {
        return Ok(None);
    }
    // Later than the calendar goes is never.
    Ok(now.checked_add(SignedDuration::from_secs(seconds)).ok())
}
