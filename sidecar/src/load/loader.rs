//! The loader: keeps what is open in step with what the resources say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use resources::configuration::Handler;
use resources::{Component, Object};
use service::Tasks;
use tokio::sync::watch as cell;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::open::{Opened, Opener};
use super::resolve::{Resolved, Resolver};
use super::slots::Slots;
use super::source::{self, Set};
use super::watch::Changes;
use super::{Env, Inventory, Loader, Options, Progress};
use crate::api::middleware::Middleware;
use crate::api::pipeline::Pipeline;
use crate::{secrets, state};

const SCOPE: &str = "dapr.runtime.hotreload.reconciler";

pub(super) fn start(options: Options, tasks: &Tasks) -> Result<Loader, String> {
    tracing::info!(target: "dapr.runtime", "Loading components…");
    let set = source::read(&options.folders, &options.app_id, &options.namespace)?;
    let changes = if options.hot_reload
        && !(options.folders.is_empty() && options.configurations.is_empty())
    {
        Changes::watch(&options.folders, &options.configurations)?
    } else {
        Changes::none()
    };
    if options.hot_reload && !options.folders.is_empty() {
        let folders: Vec<String> = options
            .folders
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        tracing::info!(target: "dapr.runtime.hotreload.loader.disk", "Watching directories: [{}]", folders.join(", "));
    }
    let (progress, seen) = cell::channel(Progress::Loading);
    let loader = Loader {
        state: Slots::default(),
        secrets: Slots::default(),
        inventory: Inventory::default(),
        progress: seen,
    };
    let configurations = contents(&options.configurations);
    let work = Work {
        opener: Opener {
            registry: options.registry,
            app_id: options.app_id.clone(),
            namespace: options.namespace.clone(),
        },
        resolver: Resolver {
            stores: loader.secrets.clone(),
            app_id: options.app_id.clone(),
            namespace: if options.namespace.is_empty() {
                "default".into()
            } else {
                options.namespace.clone()
            },
            env: Env::clone(&options.env),
        },
        denied: options.denied,
        folders: options.folders,
        files: options.configurations,
        configurations,
        pipelines: options.pipelines,
        reconcile: options.reconcile,
        state: loader.state.clone(),
        secrets: loader.secrets.clone(),
        inventory: loader.inventory.clone(),
        middleware: BTreeMap::new(),
        live: BTreeMap::new(),
        set: Set::default(),
        progress,
        token: tasks.token(),
    };
    tasks.spawn("loader", work.run(set, changes));
    Ok(loader)
}

struct Work {
    opener: Opener,
    resolver: Resolver,
    denied: Vec<String>,
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// Of the Configuration files, as they were read.
    configurations: Vec<Option<Vec<u8>>>,
    pipelines: Vec<(Pipeline, &'static str, Vec<Handler>)>,
    reconcile: Duration,
    state: Slots<state::Store>,
    secrets: Slots<secrets::Store>,
    inventory: Inventory,
    middleware: BTreeMap<String, (String, Arc<Middleware>)>,
    live: BTreeMap<String, Live>,
    set: Set,
    progress: cell::Sender<Progress>,
    token: CancellationToken,
}

/// An open component and what it was opened with.
struct Live {
    component: Component,
    resolved: Resolved,
}

/// The outcome for one component of a batch.
type Outcome = (Component, Result<Option<(Opened, Resolved)>, String>);

impl Work {
    async fn run(mut self, set: Set, mut changes: Changes) {
        let components = set.components.clone();
        self.inventory.others(
            Set::names(&set.http_endpoints),
            Set::names(&set.resiliencies),
        );
        self.set = set;
        if let Err(cause) = self.open_all(components, true).await {
            self.progress.send_replace(Progress::Failed(cause));
            return;
        }
        tracing::info!(target: "dapr.runtime", "All outstanding components processed");
        self.progress.send_replace(Progress::Loaded);
        let mut next = Instant::now() + self.reconcile;
        let token = self.token.clone();
        loop {
            let mut secrets = self.secret_changes();
            let done = tokio::select! {
                () = token.cancelled() => return,
                () = changes.next() => self.reload().await,
                () = sleep_until(next) => {
                    next = Instant::now() + self.reconcile;
                    self.reload().await
                }
                Some(store) = secrets.next() => {
                    drop(secrets);
                    self.secrets_changed(&store).await
                }
            };
            if let Err(cause) = done {
                self.progress.send_replace(Progress::Failed(cause));
                return;
            }
        }
    }

    /// Opens components concurrently; one that needs a secret waits for its store.
    async fn open_all(&mut self, components: Vec<Component>, first: bool) -> Result<(), String> {
        let components: Vec<Component> =
            components.into_iter().filter(|c| self.allowed(c)).collect();
        if first && !components.is_empty() {
            tracing::info!(target: "dapr.runtime", "Waiting for all outstanding components to be processed…");
        }
        // Places are taken before anything is opened, so that no call finds a
        // store missing that is on its way.
        let mut states = BTreeMap::new();
        let mut stores = BTreeMap::new();
        for component in &components {
            let name = component.metadata.name.clone();
            let kind = component.spec.component_type.to_ascii_lowercase();
            if kind.starts_with("state.") {
                states.insert(name.clone(), self.state.opening(&name));
            } else if kind.starts_with("secretstores.") {
                stores.insert(name.clone(), self.secrets.opening(&name));
            }
        }
        let (opener, resolver) = (&self.opener, &self.resolver);
        let mut opening: FuturesUnordered<_> = components
            .into_iter()
            .map(|component| async move {
                let result = open_one(opener, resolver, &component).await;
                (component, result)
            })
            .collect();
        let mut failed = None;
        let mut opened = Vec::new();
        while let Some((component, result)) = opening.next().await as Option<Outcome> {
            let name = component.metadata.name.clone();
            match result {
                Ok(None) => {
                    states.remove(&name);
                    stores.remove(&name);
                }
                Ok(Some((what, resolved))) => {
                    // Calls under way hold the component that is replaced; it ends
                    // when the last of them does.
                    match &what {
                        Opened::State(store) => {
                            states.remove(&name).map(|place| place.keep(store.clone()));
                        }
                        Opened::Secrets(store) => {
                            stores.remove(&name).map(|place| place.keep(store.clone()));
                        }
                        Opened::Middleware(_) => {}
                    }
                    tracing::info!(target: "dapr.runtime.processor", "Component loaded: {}", component.title());
                    opened.push((component, what, resolved));
                }
                Err(cause) => {
                    states.remove(&name);
                    stores.remove(&name);
                    if let Some(cause) = report(&component, &cause) {
                        failed.get_or_insert(cause);
                    }
                }
            }
            if failed.is_some() {
                break;
            }
        }
        drop(opening);
        for (component, what, resolved) in opened {
            self.keep(component, what, resolved);
        }
        self.build_pipelines();
        failed.map_or(Ok(()), Err)
    }

    fn allowed(&self, component: &Component) -> bool {
        let allowed = !component.is_denied_by(&self.denied);
        if !allowed {
            let (name, title) = (&component.metadata.name, component.title());
            tracing::warn!(
                target: "dapr.runtime.authorizer",
                "component '{name}' cannot be loaded because components of type '{title}' are not allowed"
            );
        }
        allowed
    }

    fn keep(&mut self, component: Component, what: Opened, resolved: Resolved) {
        self.inventory.put(what.info(&component));
        let name = component.metadata.name.clone();
        if let Opened::Middleware(middleware) = what {
            let kind = component.spec.component_type.to_ascii_lowercase();
            self.middleware.insert(name.clone(), (kind, middleware));
        }
        self.live.insert(
            name,
            Live {
                component,
                resolved,
            },
        );
    }

    /// Reads the resources again and applies what differs.
    async fn reload(&mut self) -> Result<(), String> {
        if contents(&self.files) != self.configurations {
            return self.restart("Configuration", "UPDATED");
        }
        let (app_id, namespace) = (self.opener.app_id.clone(), self.opener.namespace.clone());
        let set = match source::read(&self.folders, &app_id, &namespace) {
            Ok(set) => set,
            Err(cause) => {
                // A folder may be away for a moment while it is replaced.
                tracing::error!(target: SCOPE, "Error listing Component: {cause}");
                return Ok(());
            }
        };
        if set == self.set {
            return Ok(());
        }
        if set.needs_restart(&self.set) {
            let kind = if set.resiliencies == self.set.resiliencies {
                "HTTPEndpoint"
            } else {
                "Resiliency"
            };
            return self.restart(kind, "UPDATED");
        }
        let wanted: BTreeMap<&str, &Component> = set
            .components
            .iter()
            .map(|c| (c.metadata.name.as_str(), c))
            .collect();
        let gone: Vec<String> = self
            .live
            .keys()
            .filter(|name| !wanted.contains_key(name.as_str()))
            .cloned()
            .collect();
        for name in gone {
            self.close(&name);
        }
        let had: BTreeMap<&str, &Component> = self
            .set
            .components
            .iter()
            .map(|c| (c.metadata.name.as_str(), c))
            .collect();
        let changed: Vec<Component> = set
            .components
            .iter()
            .filter(|c| had.get(c.metadata.name.as_str()) != Some(c))
            .cloned()
            .collect();
        self.set = set;
        for component in &changed {
            tracing::info!(target: SCOPE, "Closing existing Component to reload: {}", component.title());
            tracing::info!(target: SCOPE, "Adding Component for processing: {}", component.title());
            self.make_room(component);
        }
        let titles: Vec<String> = changed.iter().map(Object::title).collect();
        let stores: Vec<String> = changed
            .iter()
            .filter(|c| {
                c.spec
                    .component_type
                    .to_ascii_lowercase()
                    .starts_with("secretstores.")
            })
            .map(|c| c.metadata.name.clone())
            .collect();
        self.open_all(changed, false).await?;
        for title in titles {
            tracing::info!(target: SCOPE, "Component updated: {title}");
        }
        for store in stores {
            self.secrets_changed(&store).await?;
        }
        Ok(())
    }

    /// A component that moves to another block must leave its old place.
    fn make_room(&mut self, component: &Component) {
        let block = |kind: &str| kind.split('.').next().map(str::to_ascii_lowercase);
        let name = &component.metadata.name;
        let moved = self.live.get(name).is_some_and(|live| {
            block(&live.component.spec.component_type) != block(&component.spec.component_type)
        });
        if moved {
            let name = name.clone();
            self.close(&name);
        }
    }

    fn close(&mut self, name: &str) {
        self.state.remove(name);
        self.secrets.remove(name);
        self.inventory.remove(name);
        if self.middleware.remove(name).is_some() {
            self.build_pipelines();
        }
        self.live.remove(name);
    }

    fn restart(&self, kind: &str, what: &str) -> Result<(), String> {
        tracing::info!(target: SCOPE, "Received {kind} {what} event - triggering SIGHUP reload");
        self.progress.send_replace(Progress::Restart);
        Ok(())
    }

    /// Whichever open secret store next says that it may have changed.
    fn secret_changes(
        &self,
    ) -> FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = String> + Send>>> {
        let all: FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = String> + Send>>> =
            FuturesUnordered::new();
        for name in self.secrets.names() {
            let Some(mut changes) = self
                .secrets
                .get(&name)
                .and_then(|s| s.component().changes())
            else {
                continue;
            };
            all.push(Box::pin(async move {
                if changes.changed().await.is_err() {
                    return std::future::pending().await;
                }
                name
            }));
        }
        all.push(Box::pin(std::future::pending()));
        all
    }

    /// Reads again what components refer to in a store, and opens those again
    /// whose metadata really became another.
    async fn secrets_changed(&mut self, store: &str) -> Result<(), String> {
        let refers = |c: &Component| {
            c.secret_store() == Some(store)
                && c.spec.metadata.iter().any(|m| m.secret_key_ref.is_some())
        };
        let mut again = Vec::new();
        for component in self.set.components.iter().filter(|c| refers(c)) {
            let now = self.resolver.resolve(component).await;
            let before = self
                .live
                .get(&component.metadata.name)
                .map(|live| &live.resolved);
            match now {
                Ok(Some(now)) if Some(&now) != before => again.push(component.clone()),
                _ => {}
            }
        }
        for component in &again {
            tracing::info!(
                target: SCOPE,
                "Secret of component {} changed in {store}; opening it again", component.title()
            );
        }
        if again.is_empty() {
            return Ok(());
        }
        // A value that does not work yet must not end a sidecar that runs: the old
        // component stays until the next change.
        let patient = again.into_iter().map(|mut c| {
            c.spec.ignore_errors = true;
            c
        });
        self.open_all(patient.collect(), false).await
    }

    fn build_pipelines(&self) {
        for (pipeline, name, handlers) in &self.pipelines {
            if handlers.is_empty() {
                continue;
            }
            tracing::info!(target: "dapr.middleware.http", "Building pipeline {name}");
            // Handlers whose component is not loaded are left out.
            let found = handlers.iter().filter_map(|handler| {
                let (kind, middleware) = self.middleware.get(&handler.name)?;
                (*kind == handler.handler_type.to_ascii_lowercase()).then(|| middleware.clone())
            });
            pipeline.replace(found.collect());
        }
    }
}

async fn open_one(
    opener: &Opener,
    resolver: &Resolver,
    component: &Component,
) -> Result<Option<(Opened, Resolved)>, String> {
    let Some(resolved) = resolver.resolve(component).await? else {
        return Ok(None);
    };
    let opened = opener.open(component, resolved.clone()).await?;
    Ok(Some((opened, resolved)))
}

/// Logs why a component failed; the text of the fatal line, if it is one.
fn report(component: &Component, cause: &str) -> Option<String> {
    let scope_text = format!(
        "process component {} error: {cause}",
        component.metadata.name
    );
    tracing::error!(
        target: "dapr.runtime.processor",
        "Failed to init component {}: {cause}", component.title()
    );
    if component.spec.ignore_errors {
        tracing::error!(target: "dapr.runtime.processor", "Ignoring error processing component: {scope_text}");
        return None;
    }
    tracing::warn!(
        target: "dapr.runtime.processor",
        "Error processing component, daprd will exit gracefully: {scope_text}"
    );
    Some(scope_text)
}

fn contents(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    files.iter().map(|f| std::fs::read(f).ok()).collect()
}
