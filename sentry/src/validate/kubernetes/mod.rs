//! The kubernetes validator: a token that the API server vouches for, and the
//! pod that it was made for.

mod pod;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::Duration;

use k8s::{Cache, Client, Kind};
use proto::dapr::sentry::v1::SignCertificateRequest;
use security::SpiffeId;
use service::Tasks;
use service::health::Target;
use service::quote::quoted;
use tokio::sync::Semaphore;

use super::request::{Denied, PUBLIC, trust_domain_of};
use pod::{Configuration, Pod, Who};

const SCOPE: &str = "dapr.sentry.identity.kubernetes";
const PODS: Kind = Kind {
    group: "",
    version: "v1",
    plural: "pods",
};
pub(crate) const CONFIGURATIONS: Kind = Kind {
    group: "dapr.io",
    version: "v1alpha1",
    plural: "configurations",
};
/// How many tokens are reviewed at a time: anybody can ask for it.
const REVIEWS: usize = 64;
/// How long a request waits for its turn; clients give up after three seconds.
const TURN: Duration = Duration::from_secs(3);

/// Checks who a pod is.
#[derive(Debug)]
pub(crate) struct KubernetesValidator {
    client: Client,
    /// Sentry's own identity: the audience of tokens, and where the control
    /// plane is.
    own: SpiffeId,
    pods: Cache<Pod>,
    configurations: Cache<Configuration>,
    turns: Semaphore,
    ready: Target,
}

impl KubernetesValidator {
    pub(crate) fn new(client: Client, own: SpiffeId, ready: Target) -> Self {
        Self {
            pods: Cache::new(client.clone(), PODS, None),
            configurations: Cache::new(client.clone(), CONFIGURATIONS, None),
            client,
            own,
            turns: Semaphore::new(REVIEWS),
            ready,
        }
    }

    /// Follows pods and Configurations of the whole cluster until the tasks end;
    /// it is ready when it knows both.
    pub(crate) fn start(self: &Arc<Self>, tasks: &Tasks) {
        let validator = self.clone();
        let end = tasks.token();
        tasks.spawn("pods and configurations", async move {
            let Self {
                pods,
                configurations,
                ready,
                ..
            } = &*validator;
            let synced = async {
                pods.synced().await;
                configurations.synced().await;
                ready.ready();
                std::future::pending().await
            };
            tokio::select! {
                () = end.cancelled() => {}
                () = pods.follow(|_| {}) => {}
                () = configurations.follow(|_| {}) => {}
                () = synced => {}
            }
        });
    }

    /// The identity of the request, when it is that of the token's pod.
    pub(super) async fn check(&self, request: &SignCertificateRequest) -> Result<SpiffeId, Denied> {
        if !self.ready.is_ready() {
            return Err(denied("validator not ready"));
        }
        let account = {
            let turn = tokio::time::timeout(TURN, self.turns.acquire()).await;
            let Ok(Ok(_turn)) = turn else {
                return Err(denied("token review failed: there are too many at a time"));
            };
            token::review(&self.client, &request.token, &self.own.to_string()).await?
        };
        let namespace = account.namespace.as_str();
        let name = token::pod_of(&request.token)?;
        let pod = self.pods.find(namespace, &name).await.map_err(|e| {
            tracing::error!(
                target: SCOPE,
                "Failed to get pod {namespace}/{name} for requested identity: {e}"
            );
            denied("failed to get pod of identity")
        })?;
        if namespace != request.namespace {
            let text = "namespace mismatch; received namespace: ";
            return Err(Denied(format!("{text}{}", request.namespace)));
        }
        if pod.service_account != account.name {
            tracing::error!(
                target: SCOPE,
                "Service account on pod {namespace}/{name} does not match token"
            );
            return Err(denied("pod service account mismatch"));
        }
        let who = pod.who(namespace, &name, &self.own.namespace);
        let who = who.map_err(|e| {
            tracing::error!(
                target: SCOPE,
                "Failed to get expected ID for pod {namespace}/{name}: {e}"
            );
            Denied(e)
        })?;
        let (Who::Service(expected) | Who::App(expected)) = &who;
        if *expected != request.id {
            let received = &request.id;
            return Err(Denied(format!(
                "app-id mismatch. expected: {expected}, received: {received}"
            )));
        }
        let domain = match who {
            Who::Service(_) => self.own.trust_domain.clone(),
            Who::App(_) => self.domain_of(namespace, pod.config.as_deref()).await?,
        };
        Ok(SpiffeId::new(&domain, namespace, expected))
    }

    /// The trust domain of apps with this Configuration.
    async fn domain_of(&self, namespace: &str, config: Option<&str>) -> Result<String, Denied> {
        let Some(name) = config else {
            return Ok(PUBLIC.to_owned());
        };
        let found = self.configurations.find(namespace, name).await;
        let found = found.map_err(|e| {
            tracing::error!(target: SCOPE, "Failed to get configuration {}: {e}", quoted(name));
            denied("failed to get configuration")
        })?;
        match found.trust_domain.as_str() {
            "" => Ok(PUBLIC.to_owned()),
            domain => trust_domain_of(domain).map(str::to_owned).map_err(|text| {
                Denied(format!(
                    "failed to parse trust domain {}: {text}",
                    quoted(domain)
                ))
            }),
        }
    }
}

fn denied(text: &str) -> Denied {
    Denied(text.to_owned())
}
