//! From app ids to addresses.

mod registry;

use std::io;

pub(crate) use self::registry::{Entry, Registration, Registry};

/// Where a sidecar can be called: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) String);

/// Finds the sidecars of this machine in the file registry.
#[derive(Clone)]
pub(crate) struct Resolver {
    registry: Registry,
}

impl Resolver {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry }
    }

    pub(crate) async fn resolve(&self, id: &str, namespace: &str) -> Result<Address, String> {
        let registry = self.registry.clone();
        let (id, namespace) = (id.to_owned(), namespace.to_owned());
        registry.find(&id).await.map_err(|e: io::Error| {
            format!("failed to resolve address for app {namespace}/{id}: cannot read the registry of sidecars: {e}")
        })?
        .ok_or_else(|| {
            format!("failed to resolve address for app {namespace}/{id}: couldn't find service: {id}; start it with dapr run, or check its app id")
        })
    }

    /// An address that did not answer is not given out again while others are left.
    pub(crate) fn failed(&self, address: &Address) {
        self.registry.failed(address);
    }
}
