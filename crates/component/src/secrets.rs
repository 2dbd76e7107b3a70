//! Secret stores.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::Result;

/// The values of one secret by key. `Debug` shows the keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub BTreeMap<String, String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// Whether one secret may hold several keys.
    fn multiple_key_values(&self) -> bool {
        false
    }

    /// A missing secret is an error of kind `NotFound`.
    async fn get(&self, name: &str, metadata: &BTreeMap<String, String>) -> Result<Secret>;

    /// All secrets by name.
    async fn bulk_get(
        &self,
        metadata: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Secret>>;

    /// A counter that moves when secrets may have changed, for stores that can
    /// tell. The runtime then reads again what components refer to.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    async fn ping(&self) -> Result<()> {
        Err(crate::Error::unsupported("a ping"))
    }

    async fn close(&self) {}
}
