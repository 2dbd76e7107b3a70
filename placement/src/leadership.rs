//! Whether this member leads: only the leader serves sidecars.

use std::sync::Arc;

use k8s::{Client, Election};
use service::health::Target;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::config::Config;
use crate::metrics::Metrics;

const SCOPE: &str = "dapr.placement.server";
/// The Lease in the control plane's namespace that the leader holds.
const LEASE: &str = "dapr-placement";

/// What this member is at the moment.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Another member leads, or none; with this one's own id.
    Following(Arc<str>),
    Leading,
    /// The process ends.
    Ending,
}

impl Standing {
    /// Why a sidecar is not served, if so. It tries another member then.
    pub(crate) fn refusal(&self) -> Option<Status> {
        match self {
            Self::Leading => None,
            Self::Following(id) => Some(Status::failed_precondition(format!(
                "node id={id} is not a leader. Only the leader can serve requests"
            ))),
            Self::Ending => Some(Status::unavailable("placement server is shutting down")),
        }
    }
}

/// Leads, or takes part in elections, until `shutdown` is cancelled; gives
/// leadership away then.
pub(crate) async fn hold(
    config: &Config,
    standing: &watch::Sender<Standing>,
    metrics: &Metrics,
    ready: &Target,
    shutdown: &CancellationToken,
) -> Result<(), String> {
    let id = &config.id;
    let changed = |leads| {
        metrics.leads(leads);
        standing.send_replace(match leads {
            true => Standing::Leading,
            false => Standing::Following(id.as_str().into()),
        });
        match leads {
            true => tracing::info!(target: SCOPE, "Node id={id} has acquired leadership"),
            false => tracing::info!(target: SCOPE, "Node id={id} follows another leader"),
        }
        ready.ready();
    };
    tracing::info!(target: SCOPE, "Node id={id} is waiting for leadership");
    let mut election = match config.elects() {
        true => Some(election(config).await?),
        false => None,
    };
    let campaign = async {
        match &mut election {
            Some(election) => election.campaign(changed).await,
            None => {
                changed(true);
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        () = campaign => {}
        () = shutdown.cancelled() => {}
    }
    // Nobody is served any more when the next leader begins.
    standing.send_replace(Standing::Ending);
    if let Some(election) = election {
        election.release().await;
    }
    Ok(())
}

async fn election(config: &Config) -> Result<Election, String> {
    let client = Client::connect(&config.kubeconfig).await;
    let client = client.map_err(|e| e.to_string())?;
    // A process that was restarted is another candidate.
    let identity = format!("{}_{:016x}", config.id, rand::random::<u64>());
    Ok(Election::new(client, &config.namespace, LEASE, &identity))
}
