//! The sidecar's stores, opened in this process from the same registry.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use component::metadata::Properties;
use component::state::{GetRequest, SetRequest, StateStore, Value};
use component::{Env, Registry};

use super::call::Call;
use super::sidecar::{APP_ID, Redis, metadata};

/// A store without a sidecar, and the two calls that are made on it.
pub(super) struct Direct(Arc<dyn StateStore>);

impl Direct {
    /// Opens the store and gives it the key that reads ask for.
    pub(super) async fn open(
        name: &str,
        folder: &Path,
        redis: Option<&Redis>,
    ) -> anyhow::Result<Self> {
        let mut registry = Registry::default();
        components_all::register(&mut registry);
        let (kind, properties) = metadata(name, folder, redis)?;
        let open = registry
            .state_store(kind, "v1")
            .with_context(|| format!("this build has no state.{kind}"))?;
        let properties = properties
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let store = open(Properties(properties.collect()), Env::named(name)).await?;
        store.set(set()).await?;
        ensure!(
            store.get(get()).await?.is_some(),
            "{name} does not find what it was given"
        );
        Ok(Self(store))
    }

    pub(super) fn read(&self) -> Call {
        Call::DirectGet(Arc::clone(&self.0), get())
    }

    pub(super) fn save(&self) -> Call {
        Call::DirectSet(Arc::clone(&self.0), set())
    }

    pub(super) async fn close(self) {
        self.0.close().await;
    }
}

/// As the sidecar stores it: the app's name in front.
fn key() -> String {
    format!("{APP_ID}||key")
}

fn get() -> GetRequest {
    GetRequest {
        key: key(),
        ..GetRequest::default()
    }
}

fn set() -> SetRequest {
    let text = format!("\"{}\"", "x".repeat(1024));
    SetRequest::new(key(), Value::Json(Bytes::from(text)))
}
