//! Loading: resources from their source, secrets into their metadata, components
//! into slots, and all of it again when something changes.

mod batch;
mod chains;
mod counts;
mod endpoints;
mod inventory;
mod loader;
mod open;
mod reload;
mod resolve;
mod rotation;
pub(crate) mod slots;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use component::Registry;
use resources::Resiliency;
use resources::configuration::Handler;
use service::Tasks;
use tokio::sync::watch as cell;

pub(crate) use self::counts::Counts;
pub(crate) use self::inventory::Inventory;
use self::slots::Slots;
use crate::api::pipeline::Pipeline;
use crate::invoke::external::Endpoint;
use crate::{pubsub, secrets, state};

pub(crate) type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a loader works with.
pub(crate) struct Options {
    pub(crate) folders: Vec<PathBuf>,
    /// Configuration files; a change of one restarts the runtime.
    pub(crate) configurations: Vec<PathBuf>,
    pub(crate) app_id: String,
    /// Empty when the process has none.
    pub(crate) namespace: String,
    /// Component types that the Configuration denies.
    pub(crate) denied: Vec<String>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) pipelines: Vec<(Pipeline, &'static str, Vec<Handler>)>,
    pub(crate) reconcile: Duration,
    pub(crate) hot_reload: bool,
    /// Of calls to the app, and to each HTTPEndpoint.
    pub(crate) app_concurrency: Option<usize>,
    /// `None` when nothing is measured.
    pub(crate) counts: Option<Counts>,
    pub(crate) env: Env,
}

/// What the rest of the sidecar sees of loading.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) pubsub: Slots<pubsub::Broker>,
    pub(crate) state: Slots<state::Store>,
    pub(crate) secrets: Slots<secrets::Store>,
    pub(crate) endpoints: Slots<Endpoint>,
    /// As they were at the start: a change restarts the runtime.
    pub(crate) resiliencies: Arc<[Resiliency]>,
    pub(crate) inventory: Inventory,
    progress: cell::Receiver<Progress>,
}

/// How far loading has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    #[default]
    Loading,
    /// Everything of the start is open.
    Loaded,
    /// The text that follows `Fatal error from runtime: `.
    Failed(String),
    /// The runtime is to be built again: a resource changed that it only reads
    /// at start.
    Restart,
}

impl Loader {
    /// Returns when everything of the start is open, or with the reason why not.
    pub(crate) async fn loaded(&self) -> Result<(), String> {
        let mut progress = self.progress.clone();
        let seen = progress.wait_for(|p| *p != Progress::Loading).await;
        match seen.map(|p| p.clone()) {
            Ok(Progress::Failed(cause)) => Err(cause),
            // A loader that is gone was told to end.
            _ => Ok(()),
        }
    }

    /// Returns when the runtime has to end (with the reason) or to start again.
    pub(crate) async fn ended(&self) -> Result<(), String> {
        let mut progress = self.progress.clone();
        let seen = progress
            .wait_for(|p| matches!(p, Progress::Failed(_) | Progress::Restart))
            .await;
        match seen.map(|p| p.clone()) {
            Ok(Progress::Failed(cause)) => Err(cause),
            Ok(_) => Ok(()),
            Err(_) => std::future::pending().await,
        }
    }

    /// Closes every component, at the end of the process.
    pub(crate) async fn close(&self) {
        for item in self.inventory.components() {
            tracing::info!(
                target: "dapr.runtime",
                "Shutting down component {} ({}/{})", item.name, item.kind, item.version
            );
        }
        for name in self.pubsub.names() {
            if let Some(broker) = self.pubsub.remove(&name) {
                broker.close().await;
            }
        }
        for name in self.state.names() {
            if let Some(store) = self.state.remove(&name) {
                store.close().await;
            }
        }
        for name in self.secrets.names() {
            if let Some(store) = self.secrets.remove(&name) {
                store.close().await;
            }
        }
    }
}

/// Reads the resources, which fails for a folder that is not there or for two
/// components of one name, and opens them in the background.
pub(crate) fn start(options: Options, tasks: &Tasks) -> Result<Loader, String> {
    loader::start(options, tasks)
}
