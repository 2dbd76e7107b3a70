//! The loader: keeps what is open in step with what the resources say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use resources::{Component, Object};
use service::Tasks;
use tokio::sync::watch as cell;
use tokio::time::{Instant, sleep_until};

use super::batch::{OnError, Places};
use super::chains::Chains;
use super::counts::Counts;
use super::endpoints::Waiting;
use super::open::Opener;
use super::reload::{RELOAD, contents};
use super::resolve::{Resolved, Resolver};
use super::rotation::Rotation;
use super::slots::Slots;
use super::source::{Set, Source, names};
use super::watch::Changes;
use super::{Env, Inventory, Loader, Options, Progress};
use crate::invoke::external::Endpoint;
use crate::{pubsub, secrets, state};

const RUNTIME: &str = "dapr.runtime";

pub(super) fn start(options: Options, tasks: &Tasks) -> Result<Loader, String> {
    tracing::info!(target: RUNTIME, "Loading components…");
    // Before anything is read, so that no change falls between.
    let changes = match options.hot_reload {
        true => Changes::watch(&options.folders, &options.configurations)?,
        false => Changes::none(),
    };
    let mut source = Source {
        folders: options.folders,
        app_id: options.app_id.clone(),
        namespace: options.namespace.clone(),
        problems: Vec::new(),
    };
    let configurations = contents(&options.configurations);
    let set = source.read()?;
    let (progress, seen) = cell::channel(Progress::Loading);
    let loader = Loader {
        pubsub: Slots::default(),
        state: Slots::default(),
        secrets: Slots::default(),
        endpoints: Slots::default(),
        resiliencies: set.resiliencies.as_slice().into(),
        inventory: Inventory::default(),
        progress: seen,
    };
    let resolver = Resolver {
        stores: loader.secrets.clone(),
        app_id: options.app_id.clone(),
        namespace: match options.namespace.as_str() {
            "" => "default".into(),
            given => given.to_owned(),
        },
        env: Env::clone(&options.env),
    };
    let work = Work {
        opener: Opener {
            registry: options.registry,
            app_id: options.app_id,
            namespace: options.namespace,
        },
        resolver,
        denied: options.denied,
        source,
        files: options.configurations,
        configurations,
        pubsub: loader.pubsub.clone(),
        state: loader.state.clone(),
        secrets: loader.secrets.clone(),
        endpoints: loader.endpoints.clone(),
        app_concurrency: options.app_concurrency,
        inventory: loader.inventory.clone(),
        chains: Chains::new(options.pipelines),
        counts: options.counts,
        rotation: Rotation::default(),
        live: BTreeMap::new(),
        skipped: BTreeSet::new(),
        set,
        progress,
        tasks: tasks.clone(),
    };
    let components = work.set.components.iter().filter(|c| work.allowed(c));
    let components: Vec<Component> = components.cloned().collect();
    let places = work.places(&components);
    let endpoints = work.waiting_endpoints();
    let hot = options.hot_reload.then_some((changes, options.reconcile));
    let token = tasks.token();
    tasks.spawn("loader", async move {
        // A component that is being opened must not hold up the end.
        token
            .run_until_cancelled(Box::pin(work.run(components, places, endpoints, hot)))
            .await;
    });
    Ok(loader)
}

pub(super) struct Work {
    pub(super) opener: Opener,
    pub(super) resolver: Resolver,
    pub(super) denied: Vec<String>,
    pub(super) source: Source,
    pub(super) files: Vec<PathBuf>,
    /// Of the Configuration files, as they were read.
    pub(super) configurations: Vec<Option<Vec<u8>>>,
    pub(super) pubsub: Slots<pubsub::Broker>,
    pub(super) state: Slots<state::Store>,
    pub(super) secrets: Slots<secrets::Store>,
    pub(super) endpoints: Slots<Endpoint>,
    /// `--app-max-concurrency`, which holds for each endpoint too.
    pub(super) app_concurrency: Option<usize>,
    pub(super) inventory: Inventory,
    pub(super) chains: Chains,
    pub(super) counts: Option<Counts>,
    pub(super) rotation: Rotation,
    pub(super) live: BTreeMap<String, Live>,
    /// Stores that would be a second one for actors.
    pub(super) skipped: BTreeSet<String>,
    pub(super) set: Set,
    pub(super) progress: cell::Sender<Progress>,
    pub(super) tasks: Tasks,
}

/// An open component and what it was opened with.
pub(super) struct Live {
    pub(super) component: Component,
    pub(super) resolved: Resolved,
}

enum Event {
    /// A watched file, or the time for a full comparison.
    Files,
    Reconcile,
    /// A secret store says that its secrets may have changed.
    Secrets(String),
    /// Components whose new secret did not work are to be tried again.
    Retry,
}

impl Work {
    /// The start, then whatever changes.
    async fn run(
        mut self,
        components: Vec<Component>,
        places: Places,
        endpoints: Waiting,
        hot: Option<(Changes, Duration)>,
    ) {
        if let Err(cause) = self.open_first(components, places, endpoints).await {
            self.progress.send_replace(Progress::Failed(cause));
            return;
        }
        self.progress.send_replace(Progress::Loaded);
        let Some((mut changes, period)) = hot else {
            return;
        };
        self.announce();
        let mut next = Instant::now() + period;
        loop {
            let retry = self.rotation.retry();
            let event = tokio::select! {
                () = changes.next() => Event::Files,
                () = sleep_until(next) => Event::Reconcile,
                store = self.rotation.moved() => Event::Secrets(store),
                () = retry => Event::Retry,
            };
            let done = match event {
                Event::Files => self.reload().await,
                Event::Reconcile => {
                    next = Instant::now() + period;
                    // A folder that was replaced as a whole is watched again.
                    changes.renew();
                    self.reload().await
                }
                Event::Secrets(store) => self.secrets_changed(&store).await,
                Event::Retry => self.retry_secrets().await,
            };
            if let Err(cause) = done {
                self.progress.send_replace(Progress::Failed(cause));
                return;
            }
        }
    }

    async fn open_first(
        &mut self,
        components: Vec<Component>,
        places: Places,
        waiting: Waiting,
    ) -> Result<(), String> {
        if !components.is_empty() {
            tracing::info!(target: RUNTIME, "Waiting for all outstanding components to be processed…");
        }
        let endpoints = names(&self.set.http_endpoints);
        let resiliencies = names(&self.set.resiliencies);
        self.inventory.others(endpoints.clone(), resiliencies);
        self.open_all(components, places, OnError::End).await?;
        self.chains.build();
        tracing::info!(target: RUNTIME, "All outstanding components processed");
        tracing::info!(target: RUNTIME, "Loading endpoints…");
        for name in &endpoints {
            tracing::info!(target: RUNTIME, "Found http endpoint: {name}");
        }
        if !endpoints.is_empty() {
            tracing::info!(target: RUNTIME, "Waiting for all outstanding http endpoints to be processed…");
            self.open_endpoints(waiting).await;
            tracing::info!(target: RUNTIME, "All outstanding http endpoints processed");
        }
        Ok(())
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

    fn announce(&self) {
        tracing::info!(
            target: "dapr.runtime.hotreload",
            "Hot reloading enabled. Daprd will reload 'Component', 'Subscription', 'MCPServer', 'Configuration', \
             'HTTPEndpoint', 'Resiliency' and 'WorkflowAccessPolicy' resources when they are added, updated or deleted."
        );
        let folders = self.source.folders.iter().map(|f| f.display().to_string());
        let folders: Vec<String> = folders.collect();
        if !folders.is_empty() {
            let folders = folders.join(", ");
            tracing::info!(target: "dapr.runtime.hotreload.loader.disk", "Watching directories: [{folders}]");
        }
        tracing::info!(target: RELOAD, "Starting to watch Component updates");
        for kind in ["Configuration", "HTTPEndpoint", "Resiliency"] {
            tracing::info!(target: RELOAD, "Starting to watch {kind} updates for SIGHUP reload");
        }
    }
}
