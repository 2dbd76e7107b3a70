//! Distributed locks.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Error, Result};

#[async_trait]
pub trait LockStore: Send + Sync + 'static {
    /// Whether the owner has the lock now. It ends by itself after `expiry`,
    /// whole seconds. `resource` arrives complete, with the runtime's prefix.
    async fn try_lock(&self, resource: &str, owner: &str, expiry: Duration) -> Result<bool>;

    /// An error is the API's status "internal error".
    async fn unlock(&self, resource: &str, owner: &str) -> Result<Unlocked>;

    /// Whether the backend answers now.
    async fn ping(&self) -> Result<()> {
        Err(Error::unsupported("a ping"))
    }

    /// Ends connections and tasks.
    async fn close(&self) {}
}

/// What became of an unlock. The numbers are the API's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocked {
    Success = 0,
    /// Nobody holds the lock.
    Absent = 1,
    /// Another owner holds it.
    BelongsToOthers = 2,
}
