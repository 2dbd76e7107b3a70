//! How actors come up with the sidecar, follow its app and its store, and end
//! before it does.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actors::Error;
use actors::call::App as Hosting;
use actors::host::Host;
use actors::observer::Observer;
use actors::placement::{Placement, Settings};
use actors::router::Router;
use actors::settings::Registration;
use actors::timers::Timers;
use bytes::Bytes;
use http::HeaderValue;
use resiliency::Policies;
use security::{Clock, Security};
use service::Tasks;
use service::health::Target;
use tokio::sync::watch;

use super::app::{self, Streams};
use super::hosting::{self, Source};
use super::import::Import;
use super::peers::Remote;
use super::{Actors, Inner, Runtime};
use crate::app::{App, AppHealth};
use crate::peer::Pool;
use crate::scheduler;
use crate::state::State;

const SCOPE: &str = "dapr.runtime.actor";
/// How long actors may take to end with the sidecar.
const END: Duration = Duration::from_secs(5);

/// What actors are made of.
pub(crate) struct Parts {
    pub(crate) app_id: String,
    pub(crate) namespace: String,
    /// Where other sidecars reach this one: `host:port`.
    pub(crate) host: String,
    /// Of Placement; without any there are no actors.
    pub(crate) addresses: Vec<String>,
    pub(crate) disseminate_timeout: Duration,
    pub(crate) app: App,
    pub(crate) state: State,
    pub(crate) state_ttl: bool,
    /// Whether reminders that older versions left in the state store are taken over.
    pub(crate) import_reminders: bool,
    pub(crate) scheduler: scheduler::Client,
    pub(crate) policies: Policies,
    pub(crate) pool: Pool,
    /// Bytes.
    pub(crate) max_message: usize,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Actors {
    pub(crate) fn new(parts: Parts, security: &Security, placed: Target) -> Self {
        let value = |text: &str| {
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
        };
        let caller = [value(&parts.app_id), value(&parts.namespace)];
        let (app_id, state, state_ttl) =
            (parts.app_id.clone(), parts.state.clone(), parts.state_ttl);
        let scheduler = parts.scheduler.clone();
        if parts.addresses.is_empty() {
            let cause = Error::NoPlacement.nested();
            tracing::warn!(
                target: SCOPE,
                "Actor runtime disabled: {cause}. Actors and Workflow APIs will be unavailable"
            );
            placed.ready();
        }
        let enabled = !parts.addresses.is_empty();
        let runtime = enabled.then(|| Runtime::start(parts, security, placed));
        Self {
            inner: Arc::new(Inner {
                app_id,
                caller,
                state,
                state_ttl,
                scheduler,
                runtime,
            }),
        }
    }

    /// Called when the components of the start are open: from now on it is known
    /// whether there is a store for the state.
    pub(crate) async fn components_open(&self) {
        let Some(runtime) = &self.inner.runtime else {
            let cause = Error::NoPlacement.nested();
            tracing::info!(target: SCOPE, "Actor runtime disabled: {cause}");
            return;
        };
        let state = self.inner.state.clone();
        let mut changes = state.changes();
        let store = state.of_actors();
        match &store {
            Some(store) => runtime.hosting.store(Some(store.name())).await,
            None => {
                tracing::info!(
                    target: "dapr.runtime",
                    "actors: state store is not configured - actor state and workflow operations will be \
                     unavailable until an actor state store component is loaded"
                );
                tracing::info!(
                    target: SCOPE,
                    "Actor state store not configured - actor hosting disabled until one is configured, \
                     but invocation enabled"
                );
                // Without a store nothing will be hosted, so nothing is waited for.
                runtime.placement.report(Default::default());
            }
        }
        tracing::info!(target: "dapr.runtime.actor.reminders.scheduler", "Using Scheduler service for reminders.");
        tracing::info!(target: SCOPE, "Actor runtime started");
        let hosting = runtime.hosting.clone();
        runtime.spawn("actor state store", async move {
            while changes.changed().await.is_ok() {
                let store = state.of_actors();
                hosting
                    .store(store.as_ref().map(|store| store.name()))
                    .await;
            }
        });
    }

    /// The app is up; `config` is what it answered to `/dapr/config`.
    pub(crate) async fn app_is_up(&self, config: Option<Bytes>) {
        let Some(runtime) = &self.inner.runtime else {
            return;
        };
        let timeout = runtime.disseminate_timeout;
        let registration = config.map(|config| Registration::from_json(&config, timeout));
        match registration.transpose() {
            Ok(registration) => {
                let registration = registration.unwrap_or_default();
                let hosting = &runtime.hosting;
                hosting
                    .register(Source::Http, registration, &runtime.http)
                    .await;
            }
            Err(e) => {
                tracing::warn!(target: "dapr.runtime", "Failed to register hosted actors: {e}");
            }
        }
    }

    /// The app is not healthy: what it hosts over HTTP is not reachable.
    pub(crate) async fn app_is_down(&self) {
        if let Some(runtime) = &self.inner.runtime {
            runtime.hosting.withdraw(Source::Http).await;
        }
    }

    /// Registers again whenever the app comes back, until it ends with the sidecar.
    pub(crate) async fn follow(&self, app: &App, app_id: &str) {
        let Some(mut health) = app.health() else {
            return;
        };
        while health
            .wait_for(|h| *h == AppHealth::Unhealthy)
            .await
            .is_ok()
        {
            self.app_is_down().await;
            if health.wait_for(|h| *h == AppHealth::Healthy).await.is_err() {
                return;
            }
            self.app_is_up(app.configuration(app_id).await).await;
        }
    }

    /// Leaves the table first, so that others call these actors elsewhere, then lets
    /// all of them go.
    pub(crate) async fn stop(&self) {
        let Some(runtime) = &self.inner.runtime else {
            return;
        };
        tracing::info!(target: SCOPE, "Actor runtime shutting down");
        let ending = async {
            runtime.placement.leave().await;
            runtime.leaving.shutdown(END).await;
            runtime.host.close().await;
        };
        // The process ends whatever the app says.
        let _ = tokio::time::timeout(END, ending).await;
        runtime.tasks.shutdown(END).await;
        tracing::info!(target: SCOPE, "Actor runtime stopped");
    }
}

impl Runtime {
    fn start(parts: Parts, security: &Security, placed: Target) -> Self {
        let (tasks, leaving) = (Tasks::new(), Tasks::new());
        let host = Host::start_under(parts.policies.clone(), parts.observer.clone(), &tasks);
        let settings = Settings {
            addresses: parts.addresses,
            kubernetes: false,
            app_id: parts.app_id,
            namespace: parts.namespace,
            host: parts.host,
            disseminate_timeout: parts.disseminate_timeout,
        };
        let placement = Placement::start(settings, security, Arc::new(host.clone()), &leaving);
        let remote = Remote {
            pool: parts.pool,
            max_message: parts.max_message,
        };
        let router = Router::new(
            host.clone(),
            placement.clone(),
            Arc::new(remote),
            parts.policies,
        );
        let ticks = Arc::new(router.clone());
        let timers = Timers::start(&host, ticks, parts.observer, Clock::default(), &leaving);
        let streams = Streams::default();
        let http = app::http(&parts.app, parts.max_message);
        let http = http.unwrap_or_else(|| Arc::new(streams.clone()) as Arc<dyn Hosting>);
        let runtime = Self {
            app: parts.app,
            hosting: Arc::new(hosting::Hosting::new(host.clone(), placement.clone())),
            host,
            placement,
            router,
            timers,
            streams,
            http,
            disseminate_timeout: parts.disseminate_timeout,
            leaving,
            tasks,
        };
        let (hosted, types) = watch::channel(BTreeSet::new());
        if parts.import_reminders {
            let import = Import::new(parts.state, parts.scheduler.clone());
            runtime.spawn("reminder import", import.run(types));
        }
        let (hosting, scheduler) = (runtime.hosting.clone(), parts.scheduler);
        let mut status = runtime.placement.status();
        runtime.spawn("actor rounds", async move {
            let mut rounds = 0;
            while status.changed().await.is_ok() {
                let now = *status.borrow_and_update();
                if now.rounds != rounds {
                    rounds = now.rounds;
                    placed.ready();
                    let types = hosting.types().await;
                    scheduler.set_actor_types(types.clone());
                    hosted.send_replace(types);
                }
            }
        });
        runtime
    }

    /// A task that ends when the actors do.
    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let end = self.tasks.token();
        self.tasks.spawn(name, async move {
            end.run_until_cancelled(work).await;
        });
    }
}
