//! Metadata: what this sidecar is, what it has loaded, and labels of the user's.

pub(crate) mod grpc;
pub(crate) mod http;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use proto::dapr::runtime::v1 as rt;

use crate::actors::Actors;
use crate::load::Inventory;
use crate::scheduler;

/// What does not change while the process runs.
pub(crate) struct Facts {
    pub(crate) app_id: String,
    pub(crate) features: Vec<String>,
    pub(crate) app: rt::AppConnectionProperties,
}

#[derive(Clone)]
pub(crate) struct Metadata {
    inner: Arc<Inner>,
}

struct Inner {
    facts: Facts,
    inventory: Inventory,
    actors: Actors,
    scheduler: scheduler::Client,
    labels: RwLock<BTreeMap<String, String>>,
}

impl Metadata {
    pub(crate) fn new(
        facts: Facts,
        inventory: Inventory,
        actors: Actors,
        scheduler: scheduler::Client,
    ) -> Self {
        let labels =
            BTreeMap::from([("daprRuntimeVersion".to_owned(), service::VERSION.to_owned())]);
        Self {
            inner: Arc::new(Inner {
                facts,
                inventory,
                actors,
                scheduler,
                labels: RwLock::new(labels),
            }),
        }
    }

    /// Stores a label; an empty key is ignored.
    pub(crate) fn set(&self, key: String, value: String) {
        if !key.is_empty() {
            self.inner.labels.write().insert(key, value);
        }
    }

    /// Both transports show this message, HTTP with its own field names.
    #[allow(deprecated)] // The old list of actors is there for old clients.
    pub(crate) fn get(&self) -> rt::GetMetadataResponse {
        let Inner {
            facts,
            inventory,
            actors,
            scheduler,
            labels,
        } = self.inner.as_ref();
        let components = inventory
            .components()
            .into_iter()
            .map(|c| rt::RegisteredComponents {
                name: c.name,
                r#type: c.kind,
                version: c.version,
                capabilities: c.capabilities,
            });
        let endpoints = inventory
            .http_endpoints()
            .into_iter()
            .map(|name| rt::MetadataHttpEndpoint { name });
        let resiliencies = inventory
            .resiliencies()
            .into_iter()
            .map(|name| rt::MetadataResiliency { name });
        let running = actors.shown();
        rt::GetMetadataResponse {
            id: facts.app_id.clone(),
            registered_components: components.collect(),
            extended_metadata: labels.read().clone(),
            http_endpoints: endpoints.collect(),
            app_connection_properties: Some(facts.app.clone()),
            runtime_version: service::VERSION.into(),
            enabled_features: facts.features.clone(),
            active_actors_count: running.active_actors.clone(),
            actor_runtime: Some(running),
            resiliencies: resiliencies.collect(),
            scheduler: Some(rt::MetadataScheduler {
                connected_addresses: scheduler.connected_addresses(),
            })
            .filter(|scheduler| !scheduler.connected_addresses.is_empty()),
            ..Default::default()
        }
    }
}
