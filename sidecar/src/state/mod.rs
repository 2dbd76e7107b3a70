//! State: the operations of the API, once for both transports.

mod encryption;
pub(crate) mod grpc;
pub(crate) mod http;
mod key;
mod request;
mod store;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use bytes::Bytes;
use component::Error;
use component::state::{
    BulkItem, Consistency, DeleteRequest, Features, GetRequest, Item, KeysPage, Metadata,
    Operation, QueryPage, SetRequest,
};

pub(crate) use self::request::{Change, Delete, Save};
pub(crate) use self::store::Store;
use crate::api::error::ApiError;
use crate::api::errors::state as errors;
use crate::block::Block;
use crate::load::slots::Slots;

/// The state stores of this sidecar.
#[derive(Clone)]
pub(crate) struct State {
    stores: Slots<Store>,
    block: Block,
}

/// A store that was looked up for one call.
pub(crate) struct Ready {
    store: Arc<Store>,
}

/// The operations that metrics tell apart; the last one is ours.
pub(crate) const OPERATIONS: &[&str] = &[
    "get",
    "set",
    "delete",
    "bulk_get",
    "bulk_delete",
    "query",
    "transaction",
    "keys",
];

impl State {
    pub(crate) fn new(stores: Slots<Store>, block: Block) -> Self {
        Self { stores, block }
    }

    /// The store that actors keep their state in, if one is open.
    pub(crate) fn of_actors(&self) -> Option<Arc<Store>> {
        let mut ready = self.stores.ready().into_iter();
        let store = ready.find(|store| store.is_for_actors())?;
        store.join(&self.block);
        Some(store)
    }

    /// Notes when a store comes or goes.
    pub(crate) fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.stores.changes()
    }

    /// Waits for a store that is still opening; the caller's deadline bounds the
    /// wait, since dropping the call drops it.
    pub(crate) async fn store(
        &self,
        name: &str,
        app_id: errors::ShownAppId<'_>,
    ) -> Result<Ready, ApiError> {
        match self.stores.wait(name).await {
            Some(store) => {
                store.join(&self.block);
                Ok(Ready { store })
            }
            None if self.stores.is_empty() => Err(errors::not_configured(name, app_id)),
            None => Err(errors::not_found(name, app_id)),
        }
    }
}

impl Ready {
    pub(crate) fn name(&self) -> &str {
        self.store.name()
    }

    pub(crate) async fn get(
        &self,
        key: &str,
        consistency: &str,
        metadata: Metadata,
    ) -> Result<Option<Item>, ApiError> {
        let stored = self.store.key(key)?;
        // Upstream checks it only where it writes.
        let consistency = request::consistency(consistency).unwrap_or(Consistency::Unset);
        let req = GetRequest {
            key: stored,
            consistency,
            metadata,
        };
        self.store.get(key, req).await
    }

    /// One item per key; those not found have no data.
    pub(crate) async fn bulk_get(
        &self,
        keys: Vec<String>,
        parallelism: i32,
        metadata: &Metadata,
    ) -> Result<Vec<BulkItem>, BulkGetError> {
        let mut reqs = Vec::with_capacity(keys.len());
        for key in keys {
            let key = self.store.key(&key).map_err(BulkGetError::Key)?;
            reqs.push(GetRequest {
                key,
                consistency: Consistency::Unset,
                metadata: metadata.clone(),
            });
        }
        if reqs.is_empty() {
            return Ok(Vec::new());
        }
        let parallelism = usize::try_from(parallelism).unwrap_or(0);
        self.store
            .bulk_get(reqs, parallelism)
            .await
            .map_err(BulkGetError::Store)
    }

    pub(crate) async fn save(&self, items: Vec<Save>) -> Result<(), SaveError> {
        let mut reqs = Vec::with_capacity(items.len());
        for item in items {
            reqs.push(self.set_request(item)?);
        }
        self.store.set(reqs).await.map_err(SaveError::Api)
    }

    fn set_request(&self, item: Save) -> Result<SetRequest, SaveError> {
        let key = self.store.key(&item.key).map_err(SaveError::Api)?;
        let (concurrency, consistency) = item.options().map_err(|e| {
            SaveError::Api(errors::save(
                self.name(),
                &e,
                component::ErrorKind::Internal,
            ))
        })?;
        Ok(SetRequest {
            key,
            value: self
                .store
                .sealed(item.value)
                .map_err(SaveError::Encryption)?,
            etag: item.etag.filter(|e| !e.is_empty()),
            concurrency,
            consistency,
            content_type: item.content_type,
            metadata: item.metadata,
        })
    }

    fn delete_request(&self, item: Delete) -> Result<DeleteRequest, ApiError> {
        let key = self.store.key(&item.key)?;
        let fail = |e: String| errors::delete(&item.key, &e, component::ErrorKind::Internal);
        let concurrency = request::concurrency(&item.concurrency).map_err(fail)?;
        let consistency = request::consistency(&item.consistency).map_err(fail)?;
        Ok(DeleteRequest {
            key,
            etag: item.etag.filter(|e| !e.is_empty()),
            concurrency,
            consistency,
            metadata: item.metadata,
        })
    }

    pub(crate) async fn delete(&self, item: Delete) -> Result<(), ApiError> {
        let key = item.key.clone();
        let req = self.delete_request(item)?;
        self.store.delete(&key, req).await
    }

    pub(crate) async fn bulk_delete(&self, items: Vec<Delete>) -> Result<(), ApiError> {
        let reqs = items
            .into_iter()
            .map(|item| self.delete_request(item))
            .collect::<Result<Vec<_>, _>>()?;
        if reqs.is_empty() {
            return Ok(());
        }
        self.store.bulk_delete(reqs).await
    }

    /// Whether the store takes transactions; asked before the body is read.
    pub(crate) fn transactional(&self) -> Result<(), ApiError> {
        if self.store.features().has(Features::TRANSACTIONAL) {
            return Ok(());
        }
        Err(errors::no_transactions(self.name()))
    }

    /// `changes` is not empty.
    pub(crate) async fn transact(
        &self,
        changes: Vec<Change>,
        metadata: Metadata,
    ) -> Result<(), TransactError> {
        let count = changes.len();
        let mut ops = Vec::with_capacity(count);
        for change in changes {
            ops.push(match change {
                Change::Upsert(item) => {
                    Operation::Set(self.set_request(item).map_err(TransactError::Item)?)
                }
                Change::Delete(item) => {
                    let req = self
                        .delete_request(item)
                        .map_err(|e| TransactError::Item(SaveError::Api(e)))?;
                    Operation::Delete(req)
                }
            });
        }
        if let Some(max) = self.store.max_operations().filter(|max| count > *max) {
            return Err(TransactError::Api(errors::too_many_operations(
                self.name(),
                count,
                max,
            )));
        }
        self.store
            .transact(ops, metadata)
            .await
            .map_err(TransactError::Api)
    }

    pub(crate) async fn query(
        &self,
        query: Bytes,
        metadata: Metadata,
    ) -> Result<QueryPage, ApiError> {
        self.store.query(query, metadata).await
    }

    /// Alpha and ours: the keys of this app that start with `prefix`, paged.
    pub(crate) async fn keys(
        &self,
        prefix: &str,
        page_size: u32,
        token: Option<String>,
    ) -> Result<KeysPage, ApiError> {
        if !self.store.features().has(Features::KEYS_LIKE) {
            return Err(errors::no_keys(self.name()));
        }
        self.store.keys(prefix, page_size, token).await
    }
}

/// A bulk get that failed as a whole.
pub(crate) enum BulkGetError {
    Key(ApiError),
    Store(Error),
}

/// HTTP and gRPC show a failed encryption differently.
pub(crate) enum SaveError {
    Api(ApiError),
    Encryption(Error),
}

pub(crate) enum TransactError {
    Item(SaveError),
    Api(ApiError),
}
