//! One loaded state store: its key prefix, its encryption, and the operations
//! of the API on it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use component::metadata::Properties;
use component::state::{
    BulkItem, DeleteRequest, Features, GetRequest, Item, KeysPage, KeysRequest, Metadata,
    Operation, QueryPage, SetRequest, StateStore, Value,
};
use component::{Error, ErrorKind};
use tokio_util::sync::DropGuard;

use super::encryption::Encryption;
use super::key::Prefix;
use crate::api::error::ApiError;
use crate::api::errors::state as errors;
use crate::block::{Block, Calls};

pub(crate) struct Store {
    name: String,
    prefix: Prefix,
    encryption: Option<Encryption>,
    /// Whether the component says that actors keep their state here.
    for_actors: bool,
    store: Arc<dyn StateStore>,
    /// Ends the component's own tasks with its last user.
    _guard: Option<DropGuard>,
    /// Filled when the store is first looked up, which is when the block is known.
    calls: OnceLock<Calls>,
}

impl Store {
    /// Reads the settings that the runtime itself keeps in a component's
    /// metadata. `secret_names` tells from which secret a property came.
    pub(crate) fn new(
        (name, properties): (&str, &Properties),
        secret_names: impl Fn(&str) -> Option<String>,
        app_id: &str,
        namespace: &str,
        store: Arc<dyn StateStore>,
    ) -> Result<Self, String> {
        let property = |wanted: &str| {
            let found = properties
                .0
                .iter()
                .find(|(k, _)| k.eq_ignore_ascii_case(wanted));
            found.map(|(k, v)| (k.as_str(), v.as_str()))
        };
        let strategy = property("keyPrefix").map_or("", |(_, v)| v);
        let prefix = Prefix::new(strategy, name, app_id, namespace)?;
        let key = |wanted| {
            let (property, value) = property(wanted)?;
            // Upstream marks a record with the name of the secret, so a key that
            // was written into the resource itself is not used.
            Some((secret_names(property)?, value.to_owned()))
        };
        let encryption =
            Encryption::new(key("primaryEncryptionKey"), key("secondaryEncryptionKey"))?;
        Ok(Self {
            name: name.into(),
            prefix,
            encryption,
            for_actors: property("actorStateStore").is_some_and(|(_, v)| service::flags::truthy(v)),
            store,
            _guard: None,
            calls: OnceLock::new(),
        })
    }

    /// Lets the guard go together with the store.
    pub(crate) fn guarded(self, guard: DropGuard) -> Self {
        Self {
            _guard: Some(guard),
            ..self
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn features(&self) -> Features {
        self.store.features()
    }

    /// The words of the metadata API; a store with ETags and transactions can
    /// hold actors.
    pub(crate) fn capabilities(&self) -> Vec<String> {
        let features = self.features();
        let mut names: Vec<String> = features.names().map(Into::into).collect();
        if features.has(Features::ETAG.and(Features::TRANSACTIONAL)) {
            names.push("ACTOR".into());
        }
        names
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.encryption.is_some()
    }

    /// The stored form of a key of the API.
    pub(crate) fn key(&self, key: &str) -> Result<String, ApiError> {
        self.prefix
            .apply(key)
            .ok_or_else(|| errors::illegal_key(&self.name, key))
    }

    /// What is handed to the store for a value of the API.
    pub(super) fn sealed(&self, value: Value) -> Result<Value, Error> {
        match &self.encryption {
            Some(encryption) => encryption.encrypt(&value).map(Value::Bytes),
            None => Ok(value),
        }
    }

    fn opened(&self, mut item: Item) -> Result<Item, Error> {
        if let Some(encryption) = &self.encryption {
            item.data = encryption.decrypt(&self.name, &item.data)?;
        }
        Ok(item)
    }

    /// Makes the store one of the block's.
    pub(super) fn join(&self, block: &Block) {
        self.calls.get_or_init(|| block.of(&self.name));
    }

    /// A call under the store's policy, measured.
    async fn call<R, T, F>(
        &self,
        operation: &'static str,
        request: R,
        attempt: impl Fn(R) -> F,
    ) -> Result<T, Error>
    where
        R: Clone,
        F: Future<Output = Result<T, Error>>,
    {
        match self.calls.get() {
            Some(calls) => calls.make(operation, request, attempt).await,
            None => attempt(request).await,
        }
    }

    pub(super) async fn get(&self, key: &str, req: GetRequest) -> Result<Option<Item>, ApiError> {
        let fail = |e: Error| errors::get(key, &self.name, &e.message);
        let item = self.call("get", req, |req| self.store.get(req));
        let item = item.await.map_err(fail)?;
        item.map(|item| self.opened(item)).transpose().map_err(fail)
    }

    pub(super) async fn bulk_get(
        &self,
        reqs: Vec<GetRequest>,
        parallelism: usize,
    ) -> Result<Vec<BulkItem>, Error> {
        let items = self.call("bulk_get", reqs, |reqs| {
            self.store.bulk_get(reqs, parallelism)
        });
        let mut items = items.await?;
        for item in &mut items {
            item.key = self.prefix.strip(&item.key).to_owned();
            if let Ok(Some(found)) = &mut item.result {
                match self.opened(std::mem::take(found)) {
                    Ok(opened) => *found = opened,
                    Err(e) => item.result = Err(e),
                }
            }
        }
        Ok(items)
    }

    pub(super) async fn set(&self, reqs: Vec<SetRequest>) -> Result<(), ApiError> {
        if reqs.is_empty() {
            return Ok(());
        }
        let saving = self.call("set", reqs, |mut reqs| async move {
            match reqs.pop() {
                Some(only) if reqs.is_empty() => self.store.set(only).await,
                Some(last) => {
                    reqs.push(last);
                    self.store.bulk_set(reqs).await.map_err(|e| joined(&e.0))
                }
                None => Ok(()),
            }
        });
        let saved = saving.await;
        saved.map_err(|e| errors::save(&self.name, &e.message, e.kind))
    }

    pub(super) async fn delete(&self, key: &str, req: DeleteRequest) -> Result<(), ApiError> {
        let deleted = self.call("delete", req, |req| self.store.delete(req));
        deleted
            .await
            .map_err(|e| errors::delete(key, &e.message, e.kind))
    }

    pub(super) async fn bulk_delete(&self, reqs: Vec<DeleteRequest>) -> Result<(), ApiError> {
        let deleting = self.call("bulk_delete", reqs, |reqs| async {
            let deleted = self.store.bulk_delete(reqs).await;
            deleted.map_err(|e| joined(&e.0))
        });
        deleting
            .await
            .map_err(|e| errors::bulk_delete(&self.name, &e.message, e.kind))
    }

    pub(crate) fn max_operations(&self) -> Option<usize> {
        self.store.max_transaction_operations()
    }

    pub(super) async fn transact(
        &self,
        ops: Vec<Operation>,
        metadata: Metadata,
    ) -> Result<(), ApiError> {
        let done = self.transact_raw(ops, metadata);
        done.await.map_err(|e| errors::transaction(&e.message))
    }

    pub(super) async fn query(
        &self,
        query: Bytes,
        metadata: Metadata,
    ) -> Result<QueryPage, ApiError> {
        if self.is_encrypted() {
            return Err(errors::query(&self.name, "cannot query encrypted store"));
        }
        let page = self.call("query", (query, metadata), |(query, metadata)| {
            self.store.query(query, metadata)
        });
        let mut page = page.await.map_err(|e| match e.kind {
            ErrorKind::Unsupported => errors::no_query(&self.name),
            _ => errors::query(&self.name, &e.message),
        })?;
        for result in &mut page.results {
            result.key = self.prefix.strip(&result.key).to_owned();
        }
        Ok(page)
    }

    /// Keys of this app that start with `prefix`, compared exactly: some stores
    /// match patterns without regard to case.
    pub(super) async fn keys(
        &self,
        prefix: &str,
        page_size: u32,
        token: Option<String>,
    ) -> Result<KeysPage, ApiError> {
        let stored = self.key(prefix)?;
        let mut pattern = String::with_capacity(stored.len() + 1);
        for c in stored.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        let req = KeysRequest {
            pattern,
            page_size,
            token,
        };
        let page = self.call("keys", req, |req| self.store.keys_like(req));
        let mut page = page
            .await
            .map_err(|e| errors::keys(&self.name, &e.message, e.kind))?;
        page.keys.retain(|key| key.starts_with(&stored));
        for key in &mut page.keys {
            *key = self.prefix.strip(key).to_owned();
        }
        Ok(page)
    }

    /// Whether actors keep their state here.
    pub(crate) fn is_for_actors(&self) -> bool {
        self.for_actors
    }

    /// One key as it is: the state of actors has keys of its own and is never
    /// encrypted.
    pub(crate) async fn get_raw(&self, req: GetRequest) -> Result<Option<Item>, Error> {
        self.call("get", req, |req| self.store.get(req)).await
    }

    /// Keys and values as they are, in one transaction.
    pub(crate) async fn transact_raw(
        &self,
        ops: Vec<Operation>,
        metadata: Metadata,
    ) -> Result<(), Error> {
        let done = self.call("transaction", (ops, metadata), |(ops, metadata)| {
            self.store.transact(ops, metadata)
        });
        done.await
    }

    pub(crate) async fn close(&self) {
        self.store.close().await;
    }
}

/// Does not show the keys that the store encrypts with.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Every failed key in one error; an ETag failure decides the kind.
fn joined(failed: &[(String, Error)]) -> Error {
    let is_etag = |kind| matches!(kind, ErrorKind::EtagMismatch | ErrorKind::EtagInvalid);
    let kind = failed
        .iter()
        .map(|(_, e)| e.kind)
        .find(|k| is_etag(*k))
        .unwrap_or(ErrorKind::Internal);
    let texts: Vec<String> = failed
        .iter()
        .map(|(key, e)| format!("failed to process key {key}: {e}"))
        .collect();
    Error::new(kind, texts.join("\n"))
}
