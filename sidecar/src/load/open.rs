//! Opening one component, whatever its block.

use std::sync::Arc;

use component::Registry;
use resources::{Component, Object};
use tokio_util::sync::CancellationToken;

use super::inventory::ComponentInfo;
use super::resolve::Resolved;
use crate::api::middleware::{self, Middleware};
use crate::{secrets, state};

/// An opened component.
pub(super) enum Opened {
    State(Arc<state::Store>),
    Secrets(Arc<secrets::Store>),
    Middleware(Arc<Middleware>),
}

/// The blocks whose components this build can open, by the start of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    State,
    Secrets,
    Middleware,
}

impl Block {
    /// Block and name of a type such as `state.redis`; the error names a block
    /// that this build does not have, or no block at all.
    pub(super) fn of(kind: &str, version: &str) -> Result<(Self, String), String> {
        let kind = kind.to_ascii_lowercase();
        let known = [
            ("state.", Self::State),
            ("secretstores.", Self::Secrets),
            ("middleware.http.", Self::Middleware),
        ];
        for (start, block) in known {
            if let Some(name) = kind.strip_prefix(start) {
                return Ok((block, name.to_owned()));
            }
        }
        let absent = [
            ("pubsub.", "message bus"),
            ("bindings.", "output binding"),
            ("configuration.", "configuration store"),
            ("lock.", "lock store"),
            ("crypto.", "crypto provider"),
            ("conversation.", "conversation"),
            ("nameresolution.", "name resolver"),
        ];
        match absent
            .into_iter()
            .find(|(start, _)| kind.starts_with(start))
        {
            Some((_, what)) => Err(format!("couldn't find {what} {kind}/{version}")),
            None => Err(format!("incorrect type {kind}")),
        }
    }
}

/// Who opens components, and as whom.
pub(super) struct Opener {
    pub(super) registry: Registry,
    pub(super) app_id: String,
    pub(super) namespace: String,
}

impl Opener {
    /// The error follows `process component <name> error: `.
    pub(super) async fn open(
        &self,
        component: &Component,
        resolved: Resolved,
    ) -> Result<Opened, String> {
        let title = component.title();
        let failed = |kind: &str, cause: String| {
            format!("[{kind}]: initialization error occurred for {title}: {cause}")
        };
        let missing = |cause: String| {
            failed(
                "INIT_COMPONENT_FAILURE",
                failed("CREATE_COMPONENT_FAILURE", cause),
            )
        };
        let (kind, version) = (&component.spec.component_type, &component.spec.version);
        let (block, name) = match Block::of(kind, version) {
            Ok(found) => found,
            Err(cause) if cause.starts_with("incorrect") => return Err(cause),
            Err(cause) => return Err(missing(cause)),
        };
        // Cancelled when the last user of the component lets go of it.
        let shutdown = CancellationToken::new();
        let guard = shutdown.clone().drop_guard();
        let opening = async {
            match block {
                Block::State => {
                    let open = self.registry.state_store(&name, version);
                    let open = open.ok_or_else(|| {
                        missing(format!("couldn't find state store {kind}/{version}"))
                    })?;
                    let store =
                        open(resolved.properties.clone(), self.env(component, shutdown)).await;
                    let store =
                        store.map_err(|e| failed("INIT_COMPONENT_FAILURE", e.to_string()))?;
                    let secret_name = |property: &str| resolved.secret_names.get(property).cloned();
                    let named = (component.metadata.name.as_str(), &resolved.properties);
                    let store =
                        state::Store::new(named, secret_name, &self.app_id, &self.namespace, store);
                    store
                        .map(|s| Opened::State(Arc::new(s.guarded(guard))))
                        .map_err(|e| failed("INIT_COMPONENT_FAILURE", e))
                }
                Block::Secrets => {
                    let open = self.registry.secret_store(&name, version);
                    let open = open.ok_or_else(|| {
                        missing(format!("couldn't find secret store {kind}/{version}"))
                    })?;
                    let store =
                        open(resolved.properties.clone(), self.env(component, shutdown)).await;
                    let store =
                        store.map_err(|e| failed("INIT_COMPONENT_FAILURE", e.to_string()))?;
                    Ok(Opened::Secrets(Arc::new(secrets::Store::new(
                        &component.metadata.name,
                        store,
                        guard,
                    ))))
                }
                Block::Middleware => {
                    let opened = middleware::open(&name, version, &resolved.properties);
                    let opened = opened.ok_or_else(|| {
                        missing(format!(
                            "HTTP middleware {kind}/{version} has not been registered"
                        ))
                    })?;
                    opened
                        .map(Opened::Middleware)
                        .map_err(|e| failed("INIT_COMPONENT_FAILURE", e.to_string()))
                }
            }
        };
        match tokio::time::timeout(component.spec.init_timeout(), opening).await {
            Ok(opened) => opened,
            Err(_) => Err(failed(
                "INIT_COMPONENT_FAILURE",
                format!("init timeout for component {title}"),
            )),
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

impl Opened {
    pub(super) fn info(&self, component: &Component) -> ComponentInfo {
        ComponentInfo {
            name: component.metadata.name.clone(),
            kind: component.spec.component_type.clone(),
            version: component.spec.version.clone(),
            capabilities: match self {
                Self::State(store) => store.capabilities(),
                Self::Secrets(store) => store.capabilities(),
                Self::Middleware(_) => Vec::new(),
            },
        }
    }
}
