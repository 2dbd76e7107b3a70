//! Opening one component, whatever its block.

use std::sync::Arc;
use std::time::Duration;

use component::metadata::Properties;
use component::{Error, ErrorKind, Registry};
use resources::{Component, NameValue, Object};
use tokio_util::sync::CancellationToken;

use super::inventory::ComponentInfo;
use super::resolve::Resolved;
use crate::api::middleware::{self, Middleware};
use crate::{pubsub, secrets, state};

/// An opened component.
pub(super) enum Opened {
    PubSub(Arc<pubsub::Broker>),
    State(Arc<state::Store>),
    Secrets(Arc<secrets::Store>),
    Middleware(Arc<Middleware>),
}

/// The blocks whose components this build can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    PubSub,
    State,
    Secrets,
    Middleware,
}

/// How types start, what upstream calls such a component when it does not know
/// it, and the block, as far as this build has it.
const BLOCKS: [(&str, &str, Option<Block>); 10] = [
    ("state.", "state store", Some(Block::State)),
    ("secretstores.", "secret store", Some(Block::Secrets)),
    (
        "middleware.http.",
        "HTTP middleware",
        Some(Block::Middleware),
    ),
    ("pubsub.", "message bus", Some(Block::PubSub)),
    ("bindings.", "output binding", None),
    ("configuration.", "configuration store", None),
    ("lock.", "lock store", None),
    ("crypto.", "crypto provider", None),
    ("conversation.", "conversation", None),
    ("nameresolution.", "name resolver", None),
];

impl Block {
    pub(super) fn of(component: &Component) -> Option<Self> {
        let kind = component.spec.component_type.to_ascii_lowercase();
        let found = BLOCKS.iter().find(|(start, ..)| kind.starts_with(start));
        found.and_then(|(_, _, block)| *block)
    }
}

/// Why a component could not be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Its type belongs to no block.
    NoBlock(String),
    /// Nobody knows its type or version.
    Unknown(String),
    Init(String),
}

impl Failure {
    /// The word of the metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoBlock(_) | Self::Unknown(_) => "creation",
            Self::Init(_) => "init",
        }
    }

    /// What follows `Failed to init component <title>: `.
    pub(super) fn inner(&self, title: &str) -> String {
        match self {
            Self::Unknown(cause) => failed("CREATE_COMPONENT_FAILURE", title, cause),
            Self::NoBlock(cause) | Self::Init(cause) => cause.clone(),
        }
    }

    /// What follows `process component <name> error: `.
    pub(super) fn outer(&self, title: &str) -> String {
        match self {
            Self::NoBlock(cause) => cause.clone(),
            other => failed("INIT_COMPONENT_FAILURE", title, &other.inner(title)),
        }
    }
}

fn failed(code: &str, title: &str, cause: &str) -> String {
    format!("[{code}]: initialization error occurred for {title}: {cause}")
}

/// Waits between tries at a backend that does not answer.
const RETRIES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_secs(1),
];

/// Who opens components, and as whom.
pub(super) struct Opener {
    pub(super) registry: Arc<Registry>,
    pub(super) app_id: String,
    pub(super) namespace: String,
}

impl Opener {
    /// Opens within the component's time; a backend that is not there yet is
    /// tried again.
    pub(super) async fn open(
        &self,
        component: &Component,
        resolved: &Resolved,
        properties: &Properties,
    ) -> Result<Opened, Failure> {
        let mut last = None;
        let tries = async {
            let mut waits = RETRIES.iter();
            loop {
                match self.try_open(component, resolved, properties).await? {
                    Ok(opened) => return Ok(opened),
                    Err(e) => {
                        let text = e.to_string();
                        let later =
                            matches!(e.kind, ErrorKind::Unavailable | ErrorKind::RateLimited);
                        let Some(wait) = waits.next().filter(|_| later) else {
                            return Err(Failure::Init(text));
                        };
                        last = Some(text);
                        tokio::time::sleep(*wait).await;
                    }
                }
            }
        };
        if let Ok(opened) = tokio::time::timeout(component.spec.init_timeout(), tries).await {
            return opened;
        }
        let cause = last.map(|e| format!(": {e}")).unwrap_or_default();
        Err(Failure::Init(format!(
            "init timeout for component {}{cause}",
            component.title()
        )))
    }

    /// One try; the outer error is final.
    async fn try_open(
        &self,
        component: &Component,
        resolved: &Resolved,
        properties: &Properties,
    ) -> Result<Result<Opened, Error>, Failure> {
        let (kind, version) = (&component.spec.component_type, &component.spec.version);
        let lower = kind.to_ascii_lowercase();
        let found = BLOCKS
            .iter()
            .find_map(|(start, what, block)| Some((*what, *block, lower.strip_prefix(start)?)));
        let Some((what, block, name)) = found else {
            return Err(Failure::NoBlock(format!("incorrect type {kind}")));
        };
        let unknown = || Failure::Unknown(format!("couldn't find {what} {kind}/{version}"));
        // Cancelled when the last user of the component lets go of it.
        let shutdown = CancellationToken::new();
        let guard = shutdown.clone().drop_guard();
        match block.ok_or_else(unknown)? {
            Block::State => {
                let open = self.registry.state_store(name, version);
                let opening =
                    open.ok_or_else(unknown)?(properties.clone(), self.env(component, shutdown));
                let store = match opening.await {
                    Ok(store) => store,
                    Err(e) => return Ok(Err(e)),
                };
                let secret_name = |property: &str| resolved.secret_names.get(property).cloned();
                let named = (component.metadata.name.as_str(), properties);
                let (app_id, namespace) = (&self.app_id, &self.namespace);
                let store = state::Store::new(named, secret_name, app_id, namespace, store)
                    .map_err(Failure::Init)?;
                if store.is_encrypted() {
                    warn_of_encryption(store.name());
                }
                Ok(Ok(Opened::State(Arc::new(store.guarded(guard)))))
            }
            Block::PubSub => {
                let open = self.registry.message_bus(name, version);
                let opening =
                    open.ok_or_else(unknown)?(properties.clone(), self.env(component, shutdown));
                // A resource that refers to {namespace} asks for topics of its own.
                let namespaced = |m: &NameValue| m.value.as_str().contains("{namespace}");
                let asks = component.spec.metadata.iter().any(namespaced);
                let prefix = if asks { self.namespace.as_str() } else { "" };
                Ok(opening.await.map(|broker| {
                    let broker =
                        pubsub::Broker::new(properties, &self.app_id, prefix, broker, guard);
                    Opened::PubSub(Arc::new(broker))
                }))
            }
            Block::Secrets => {
                let open = self.registry.secret_store(name, version);
                let opening =
                    open.ok_or_else(unknown)?(properties.clone(), self.env(component, shutdown));
                let name = &component.metadata.name;
                Ok(opening.await.map(|store| {
                    Opened::Secrets(Arc::new(secrets::Store::new(name, store, guard)))
                }))
            }
            Block::Middleware => {
                let opened = middleware::open(name, version, properties);
                let unknown =
                    || Failure::Unknown(format!("{what} {kind}/{version} has not been registered"));
                Ok(opened.ok_or_else(unknown)?.map(Opened::Middleware))
            }
        }
    }

    fn env(&self, component: &Component, shutdown: CancellationToken) -> component::Env {
        component::Env {
            name: component.metadata.name.clone(),
            namespace: self.namespace.clone(),
            app_id: self.app_id.clone(),
            shutdown,
            span: tracing::info_span!(target: "dapr.contrib", "component", component = component.title()),
        }
    }
}

fn warn_of_encryption(name: &str) {
    const SCOPE: &str = "dapr.runtime.processor.state";
    tracing::info!(target: SCOPE, "Automatic encryption enabled for state store {name}");
    tracing::info!(
        target: SCOPE,
        "WARNING: Automatic state store encryption should never be used to store more than 4 billion items"
    );
}

impl Opened {
    pub(super) fn info(&self, component: &Component) -> ComponentInfo {
        ComponentInfo {
            name: component.metadata.name.clone(),
            kind: component.spec.component_type.clone(),
            version: component.spec.version.clone(),
            capabilities: match self {
                Self::PubSub(broker) => broker.capabilities(),
                Self::State(store) => store.capabilities(),
                Self::Secrets(store) => store.capabilities(),
                Self::Middleware(_) => Vec::new(),
            },
        }
    }
}
