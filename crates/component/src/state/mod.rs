//! State stores.

mod bulk;
mod request;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

pub use request::{Like, TTL_EXPIRE_TIME, TTL_IN_SECONDS, prefix, ttl_in_seconds};

use crate::{Error, Result};

pub type Metadata = BTreeMap<String, String>;

/// A key-value store. Keys arrive complete, with the runtime's prefix.
///
/// Abilities beyond get, set and delete are declared by [`features`](StateStore::features);
/// conformance fails a store whose declaration and behaviour differ.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    fn features(&self) -> Features;

    /// `None` when the key is absent or expired.
    async fn get(&self, req: GetRequest) -> Result<Option<Item>>;

    async fn set(&self, req: SetRequest) -> Result<()>;

    /// Deleting an absent key without an ETag succeeds.
    async fn delete(&self, req: DeleteRequest) -> Result<()>;

    /// One answer per request. The default makes parallel single gets and keeps
    /// the order of the requests; `parallelism` 0 means all at once.
    async fn bulk_get(&self, reqs: Vec<GetRequest>, parallelism: usize) -> Result<Vec<BulkItem>> {
        crate::state::bulk::get(self, reqs, parallelism).await
    }

    /// Writes each item on its own. The error of every failed key is returned;
    /// the others are written.
    async fn bulk_set(&self, reqs: Vec<SetRequest>) -> Result<(), BulkError> {
        crate::state::bulk::set(self, reqs).await
    }

    async fn bulk_delete(&self, reqs: Vec<DeleteRequest>) -> Result<(), BulkError> {
        crate::state::bulk::delete(self, reqs).await
    }

    /// All operations in order, or none.
    async fn transact(&self, _ops: Vec<Operation>, _metadata: Metadata) -> Result<()> {
        Err(Error::unsupported("a transaction"))
    }

    /// Largest number of operations of one transaction, `None` without a limit.
    fn max_transaction_operations(&self) -> Option<usize> {
        None
    }

    /// Alpha. `query` is the JSON document of the API.
    async fn query(&self, _query: Bytes, _metadata: Metadata) -> Result<QueryPage> {
        Err(Error::unsupported("a query"))
    }

    /// Alpha. Keys that match an SQL LIKE pattern (`%`, `_`, backslash escapes).
    async fn keys_like(&self, _req: KeysRequest) -> Result<KeysPage> {
        Err(Error::unsupported("listing keys"))
    }

    /// Deletes the direct children of a prefix and returns their number.
    async fn delete_with_prefix(&self, _prefix: &str) -> Result<u64> {
        Err(Error::unsupported("deleting by prefix"))
    }

    /// Whether the backend answers now.
    async fn ping(&self) -> Result<()> {
        Err(Error::unsupported("a ping"))
    }

    /// Ends connections and tasks; calls under way may fail.
    async fn close(&self) {}
}

crate::features::features! {
    ETAG = 0,
    TRANSACTIONAL = 1,
    QUERY_API = 2,
    TTL = 3,
    DELETE_WITH_PREFIX = 4,
    PARTITION_KEY = 5,
    KEYS_LIKE = 6,
}

/// What is stored. Stores keep the two kinds apart because upstream's layouts do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Opaque bytes.
    Bytes(Bytes),
    /// One JSON value as compact UTF-8 text.
    Json(Bytes),
}

impl Value {
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Bytes(b) | Self::Json(b) => b,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    #[default]
    Unset,
    Strong,
    Eventual,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    #[default]
    Unset,
    FirstWrite,
    LastWrite,
}

#[derive(Clone, Debug, Default)]
pub struct GetRequest {
    pub key: String,
    pub consistency: Consistency,
    pub metadata: Metadata,
}

#[derive(Clone, Debug)]
pub struct SetRequest {
    pub key: String,
    pub value: Value,
    /// Never empty: an empty ETag counts as none.
    pub etag: Option<String>,
    pub concurrency: Concurrency,
    pub consistency: Consistency,
    pub content_type: Option<String>,
    pub metadata: Metadata,
}

impl SetRequest {
    pub fn new(key: impl Into<String>, value: Value) -> Self {
        Self {
            key: key.into(),
            value,
            etag: None,
            concurrency: Concurrency::Unset,
            consistency: Consistency::Unset,
            content_type: None,
            metadata: Metadata::new(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct DeleteRequest {
    pub key: String,
    pub etag: Option<String>,
    pub concurrency: Concurrency,
    pub consistency: Consistency,
    pub metadata: Metadata,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Set(SetRequest),
    Delete(DeleteRequest),
}

/// A stored value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub data: Bytes,
    pub etag: Option<String>,
    /// For example `ttlExpireTime` (RFC 3339, UTC, whole seconds).
    pub metadata: Metadata,
    pub content_type: Option<String>,
}

/// The answer for one key of a bulk get.
#[derive(Debug)]
pub struct BulkItem {
    pub key: String,
    pub result: Result<Option<Item>>,
}

/// The keys of a bulk write that failed, each with its error.
#[derive(Debug)]
pub struct BulkError(pub Vec<(String, Error)>);

impl fmt::Display for BulkError {
    /// One line per key, as upstream joins errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, error)) in self.0.iter().enumerate() {
            write!(f, "{}{key}: {error}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for BulkError {}

#[derive(Clone, Debug, Default)]
pub struct QueryPage {
    pub results: Vec<QueryItem>,
    pub token: String,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Default)]
pub struct QueryItem {
    pub key: String,
    pub data: Bytes,
    pub etag: Option<String>,
    pub error: String,
}

#[derive(Clone, Debug, Default)]
pub struct KeysRequest {
    pub pattern: String,
    /// 0 means all.
    pub page_size: u32,
    /// The `token` of the page before.
    pub token: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysPage {
    pub keys: Vec<String>,
    /// `None` on the last page.
    pub token: Option<String>,
}
