//! Name resolution: where the sidecar of an app listens.

use std::collections::BTreeMap;
use std::future::Future;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Env, Error, Result};

/// A resolver type: how its configuration looks and how it is opened.
pub trait Resolver: NameResolver + Sized {
    /// Decoded from the free-form JSON of `spec.nameResolution.configuration`
    /// by [`crate::metadata::decode_json`].
    type Config: DeserializeOwned + JsonSchema + Send;

    /// Checks, connects and registers the instance. Its tasks end when
    /// `env.shutdown` is cancelled.
    fn open(
        config: Self::Config,
        env: Env,
        instance: Instance,
    ) -> impl Future<Output = Result<Self>> + Send;
}

#[async_trait]
pub trait NameResolver: Send + Sync + 'static {
    /// `host:port` of every instance; empty when none is known yet.
    async fn resolve(&self, req: ResolveRequest) -> Result<Vec<String>>;

    /// Whether one answer may hold several addresses. The runtime then caches
    /// it, and picks one for each call.
    fn gives_several(&self) -> bool {
        false
    }

    /// Waits until the registration is lost for good: then nobody finds this
    /// sidecar any more, and its process ends with the error. Most resolvers
    /// never lose theirs.
    async fn lost(&self) -> Error {
        std::future::pending().await
    }

    /// Takes back the registration and ends tasks.
    async fn close(&self) {}
}

/// What this sidecar tells of itself when the resolver is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    pub app_id: String,
    pub namespace: String,
    pub address: String,
    pub internal_port: u16,
    pub http_port: u16,
    pub app_port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolveRequest {
    pub id: String,
    pub namespace: String,
    /// The caller's own internal port, for resolvers that cannot know the target's.
    pub port: u16,
    pub data: BTreeMap<String, String>,
}
