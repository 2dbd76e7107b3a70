//! The client of the Scheduler: calls to it, and the triggers that it sends.

mod calls;
mod connect;
mod hosts;
mod line;
mod plan;
mod stream;
mod streams;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use prost_types::Any;
use security::tls::Connector;
use service::Tasks;
use service::health::Target as Ready;
use tokio::sync::watch;

pub(crate) use self::calls::Error;
use self::connect::Dialer;
use self::hosts::{Hosts, Watcher};
use self::stream::Receiver;
use self::streams::Streams;
use crate::api::metrics::GrpcMetrics;
use crate::app::App;

/// What the client is made of.
pub(crate) struct Options {
    /// `host:port` each; without any the client is disabled.
    pub(crate) addresses: Vec<String>,
    /// Streams of triggers to each scheduler.
    pub(crate) streams: usize,
    pub(crate) app_id: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) connector: Connector,
    pub(crate) metrics: Option<GrpcMetrics>,
}

/// A handle on the schedulers, or on there being none; clones are the same.
#[derive(Clone)]
pub(crate) struct Client {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    addresses: Vec<String>,
    streams: usize,
    app_id: Arc<str>,
    namespace: Arc<str>,
    dialer: Dialer,
    /// The schedulers there are; none before the first has told.
    hosts: watch::Sender<Hosts>,
    actor_types: watch::Sender<BTreeSet<Arc<str>>>,
    /// Whose turn it is.
    next: AtomicUsize,
}

/// Whom a job is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// This sidecar's own app.
    App,
    /// An actor, or with an empty id the actors of a type.
    Actor { kind: &'a str, id: &'a str },
}

/// A job of the app that is due.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobTrigger {
    pub(crate) name: String,
    pub(crate) data: Option<Any>,
}

/// A reminder that is due.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReminderTrigger {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Option<Any>,
}

/// What became of a trigger. A failed one is repeated as its job says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failed,
}

/// Takes the jobs of the app. A trigger is dropped in the middle when the stream
/// that it came on breaks; the scheduler then sends it again.
#[async_trait]
pub(crate) trait Jobs: Send + Sync + 'static {
    async fn job(&self, job: JobTrigger) -> Outcome;
}

/// Takes reminders, of any actor of the types that were announced, under the same
/// terms.
#[async_trait]
pub(crate) trait Reminders: Send + Sync + 'static {
    async fn reminder(&self, reminder: ReminderTrigger) -> Outcome;
}

/// Who takes triggers.
#[derive(Clone)]
pub(crate) struct Triggers {
    pub(crate) jobs: Arc<dyn Jobs>,
    /// `None` where there are no actors: then no types are announced either.
    pub(crate) reminders: Option<Arc<dyn Reminders>>,
}

impl Client {
    /// Connects to nothing yet.
    pub(crate) fn new(options: Options) -> Self {
        if options.addresses.is_empty() {
            return Self { inner: None };
        }
        let inner = Inner {
            addresses: options.addresses,
            streams: options.streams,
            app_id: options.app_id,
            namespace: options.namespace,
            dialer: Dialer::new(options.connector, options.metrics),
            hosts: watch::Sender::default(),
            actor_types: watch::Sender::default(),
            next: AtomicUsize::new(rand::random_range(0..1024)),
        };
        Self {
            inner: Some(Arc::new(inner)),
        }
    }

    /// Finds the schedulers and takes triggers from then on, jobs while the app is
    /// healthy. `ready` is told once the schedulers are known, or that there are
    /// none.
    pub(crate) fn start(&self, triggers: Triggers, app: &App, ready: Ready, tasks: &Tasks) {
        let Some(inner) = self.inner.clone() else {
            tracing::warn!(
                target: hosts::SCOPE,
                "No scheduler host addresses provided. Scheduler disabled"
            );
            return ready.ready();
        };
        let end = tasks.token();
        let watcher = Watcher {
            client: inner.clone(),
            ready,
            tasks: tasks.clone(),
        };
        tasks.spawn("scheduler hosts", async move {
            tokio::select! {
                () = watcher.run() => {}
                () = end.cancelled() => {}
            }
        });
        let receiver = Receiver {
            triggers,
            app_id: inner.app_id.clone(),
            namespace: inner.namespace.clone(),
        };
        let streams = Streams::new(&inner, receiver, tasks);
        let (health, end) = (app.health(), tasks.token());
        tasks.spawn("scheduler streams", async move {
            tokio::select! {
                () = streams.run(health) => {}
                () = end.cancelled() => {}
            }
        });
    }

    /// The types whose reminders are taken. The streams are opened anew when they
    /// change.
    pub(crate) fn set_actor_types(&self, types: BTreeSet<Arc<str>>) {
        if let Some(inner) = &self.inner {
            inner.actor_types.send_if_modified(|announced| {
                let changed = *announced != types;
                *announced = types;
                changed
            });
        }
    }

    /// `host:port` of the schedulers in use.
    pub(crate) fn connected_addresses(&self) -> Vec<String> {
        let hosts = self
            .inner
            .as_ref()
            .map(|inner| inner.hosts.borrow().clone());
        let hosts = hosts.unwrap_or_default();
        hosts.iter().map(|host| host.address.to_string()).collect()
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;
