//! Secrets: the operations of the API, once for both transports.

pub(crate) mod grpc;
pub(crate) mod http;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use component::secrets::{Secret, SecretStore};
use tokio_util::sync::DropGuard;

pub(crate) use self::scope::{Entry as ScopeEntry, Scopes};
use crate::api::error::ApiError;
use crate::api::errors::secrets as errors;
use crate::block::{Block, Calls};
use crate::load::slots::Slots;

/// The operations that metrics tell apart.
pub(crate) const OPERATIONS: &[&str] = &["get", "bulk_get"];

/// One loaded secret store.
pub(crate) struct Store {
    name: String,
    store: Arc<dyn SecretStore>,
    /// Ends the component's own tasks with its last user.
    _guard: DropGuard,
    calls: OnceLock<Calls>,
}

impl Store {
    pub(crate) fn new(name: &str, store: Arc<dyn SecretStore>, guard: DropGuard) -> Self {
        Self {
            name: name.into(),
            store,
            _guard: guard,
            calls: OnceLock::new(),
        }
    }

    /// The component itself, for resolving references: scopes do not apply there.
    pub(crate) fn component(&self) -> &Arc<dyn SecretStore> {
        &self.store
    }

    pub(crate) fn capabilities(&self) -> Vec<String> {
        let multiple = self.store.multiple_key_values();
        multiple
            .then(|| "MULTIPLE_KEY_VALUES_PER_SECRET".to_owned())
            .into_iter()
            .collect()
    }

    pub(crate) async fn close(&self) {
        self.store.close().await;
    }
}

/// The secret stores of this sidecar and who may read what.
#[derive(Clone)]
pub(crate) struct Secrets {
    stores: Slots<Store>,
    scopes: Arc<Scopes>,
    block: Block,
}

impl Secrets {
    pub(crate) fn new(stores: Slots<Store>, scopes: Scopes, block: Block) -> Self {
        Self {
            stores,
            scopes: scopes.into(),
            block,
        }
    }

    pub(crate) async fn get(
        &self,
        store: &str,
        key: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Secret, ApiError> {
        let found = self.store(store).await?;
        if !self.scopes.allows(store, key) {
            return Err(errors::denied(key, store));
        }
        let calls = self.calls(&found);
        let secret = calls.make("get", (), |()| found.store.get(key, metadata));
        secret
            .await
            .map_err(|e| errors::get(key, store, &e.message))
    }

    /// All secrets that the scopes allow; the others are left out silently.
    pub(crate) async fn bulk_get(
        &self,
        store: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Secret>, ApiError> {
        let found = self.store(store).await?;
        let calls = self.calls(&found);
        let all = calls.make("bulk_get", (), |()| found.store.bulk_get(metadata));
        let mut all = all.await.map_err(|e| errors::bulk_get(store, &e.message))?;
        all.retain(|name, _| self.scopes.allows(store, name));
        Ok(all)
    }

    async fn store(&self, name: &str) -> Result<Arc<Store>, ApiError> {
        match self.stores.wait(name).await {
            Some(store) => Ok(store),
            None if self.stores.is_empty() => Err(errors::not_configured()),
            None => Err(errors::not_found(name)),
        }
    }

    fn calls<'a>(&self, store: &'a Store) -> &'a Calls {
        store.calls.get_or_init(|| self.block.of(&store.name))
    }
}
