//! What is loaded, for the metadata API.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// A loaded component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComponentInfo {
    pub(crate) name: String,
    /// For example `state.redis`.
    pub(crate) kind: String,
    pub(crate) version: String,
    pub(crate) capabilities: Vec<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Inventory {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    components: BTreeMap<String, ComponentInfo>,
    http_endpoints: Vec<String>,
    resiliencies: Vec<String>,
}

impl Inventory {
    pub(crate) fn components(&self) -> Vec<ComponentInfo> {
        self.inner.read().components.values().cloned().collect()
    }

    pub(crate) fn http_endpoints(&self) -> Vec<String> {
        self.inner.read().http_endpoints.clone()
    }

    pub(crate) fn resiliencies(&self) -> Vec<String> {
        self.inner.read().resiliencies.clone()
    }

    pub(super) fn put(&self, info: ComponentInfo) {
        self.inner
            .write()
            .components
            .insert(info.name.clone(), info);
    }

    pub(super) fn remove(&self, name: &str) {
        self.inner.write().components.remove(name);
    }

    pub(super) fn others(&self, http_endpoints: Vec<String>, resiliencies: Vec<String>) {
        let mut inner = self.inner.write();
        inner.http_endpoints = http_endpoints;
        inner.resiliencies = resiliencies;
    }
}
