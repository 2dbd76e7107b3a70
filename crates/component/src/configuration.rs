//! Configuration stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

pub type Metadata = BTreeMap<String, String>;
/// Items by key.
pub type Items = BTreeMap<String, Item>;

#[async_trait]
pub trait ConfigurationStore: Send + Sync + 'static {
    /// Items that are not there are left out.
    async fn get(&self, req: Request) -> Result<Items>;

    /// Returns when changes are followed; they are handed over one after another
    /// until `stop` is cancelled, which is how a subscription ends.
    async fn subscribe(
        &self,
        req: Request,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
    ) -> Result<()>;

    /// Whether the backend answers now.
    async fn ping(&self) -> Result<()> {
        Err(Error::unsupported("a ping"))
    }

    /// Ends connections and tasks.
    async fn close(&self) {}
}

/// Takes the changes of one subscription.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// A key that is gone has an empty value and version.
    async fn changed(&self, items: Items);
}

#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Empty means all.
    pub keys: Vec<String>,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub value: String,
    pub version: String,
    pub metadata: Metadata,
}
