//! A cluster's control plane: where it is, and the authority that its Sentry signs with.

mod bundle;
mod remedy;
mod restart;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use k8s::{Client, Kind, NoCluster};
use resources::configuration::Mtls;
use serde::Deserialize;

use crate::{
    authority::{Authority, Owner, date},
    output::Report,
};

use self::{bundle::Bundle, remedy::Deed};
use super::renew;

const CONFIGURATIONS: Kind = Kind {
    group: "dapr.io",
    version: "v1alpha1",
    plural: "configurations",
};
/// The Configuration of the control plane, beside which everything else of it lies.
const SYSTEM: &str = "daprsystem";
/// That of a control plane whose Configuration names none.
const TRUST_DOMAIN: &str = "cluster.local";

/// A cluster in which Dapr is installed.
pub(super) struct Cluster {
    client: Client,
    namespace: String,
    mtls: Mtls,
}

#[derive(Deserialize)]
struct Configuration {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    mtls: Option<Mtls>,
}

impl Cluster {
    /// The cluster that the kubeconfig names.
    pub(super) async fn find() -> Result<Self> {
        let client = connect().await?;
        let deed = Deed::new("list", "Configurations", "all namespaces");
        let all = client.all(CONFIGURATIONS, None).await;
        let all: Vec<Configuration> = all.map_err(|error| match error {
            k8s::Error::NotFound(_) => anyhow!(
                "the cluster does not know Dapr's Configurations, so Dapr is not installed there; \
                 `kubectl config current-context` shows which cluster this is"
            ),
            error => deed.failed(&error),
        })?;
        let system = all.into_iter().find(|it| it.metadata.name == SYSTEM);
        let system = system.with_context(|| {
            format!(
                "no namespace has the Configuration {SYSTEM}, which the chart of Dapr makes; \
                 `kubectl config current-context` shows which cluster this is"
            )
        })?;
        Ok(Self {
            client,
            namespace: system.metadata.namespace,
            mtls: system.spec.mtls.unwrap_or_default(),
        })
    }

    pub(super) fn status(&self, report: Report) {
        let state = match self.mtls.enabled {
            true => "enabled",
            false => "disabled",
        };
        report.info(format_args!(
            "Mutual TLS is {state} in your Kubernetes cluster"
        ));
    }

    /// Root, issuer and the issuer's key as they are kept.
    pub(super) async fn authority_texts(&self) -> Result<[Vec<u8>; 3]> {
        let bundle = Bundle::read(&self.client, &self.namespace).await?;
        bundle.texts()?.with_context(|| self.nothing())
    }

    pub(super) async fn authority(&self) -> Result<Authority> {
        let bundle = Bundle::read(&self.client, &self.namespace).await?;
        bundle.authority()?.with_context(|| self.nothing())
    }

    fn nothing(&self) -> String {
        format!(
            "Secret {} in namespace {} holds no certificates yet; Sentry makes them at its start: \
             `kubectl get pods -n {1} -l app=dapr-sentry` shows whether it runs",
            bundle::NAME,
            self.namespace
        )
    }

    /// Replaces root and issuer, and restarts the control plane if that is asked for.
    pub(super) async fn renew(&self, args: &renew::Args, report: Report) -> Result<()> {
        let limit = Duration::from_secs(args.timeout.into());
        let renewal = tokio::time::timeout(limit, self.renew_now(args, report));
        match renewal.await {
            Ok(done) => done,
            Err(_) => bail!(
                "the renewal has taken longer than {} s; `dapr mtls expiry -k` shows how far it \
                 has come, and --timeout allows for more",
                limit.as_secs()
            ),
        }
    }

    async fn renew_now(&self, args: &renew::Args, report: Report) -> Result<()> {
        report.pending("Starting certificate rotation");
        let bundle = Bundle::read(&self.client, &self.namespace).await?;
        let earlier = bundle.authority()?;
        let trust_domain = match self.mtls.control_plane_trust_domain.as_str() {
            "" => TRUST_DOMAIN,
            given => given,
        };
        let owner = Owner {
            trust_domain,
            namespace: &self.namespace,
        };
        let new = renew::make(args, owner, earlier.as_ref(), Timestamp::now(), report)?;
        report.info(format_args!(
            "Updating certificates in namespace {}",
            self.namespace
        ));
        bundle
            .replace(&self.client, &self.namespace, &new.authority)
            .await?;
        if args.restart {
            restart::all(&self.client, &self.namespace, report).await?;
        }
        renew::tell(&new.authority, report);
        if !args.restart {
            report.info(
                "Sentry signs with them once the cluster has brought them to its pod, which takes \
                 a minute or two; --restart does it at once",
            );
        }
        if earlier.is_some() && !new.bridged {
            report.warning(format_args!(
                "Restart all pods with sidecars before the earlier root ends, on {}: sidecars \
                 that run know that root only and refuse new certificates",
                date(
                    earlier
                        .as_ref()
                        .map_or(new.authority.ends(), Authority::ends)
                )
            ));
        }
        Ok(())
    }
}

async fn connect() -> Result<Client> {
    let path = kubeconfig();
    let path = path.unwrap_or_default();
    Client::connect(&path.to_string_lossy())
        .await
        .map_err(|error| match error {
            NoCluster::Outside(_) => anyhow!(
                "no cluster is known: {}; name a kubeconfig by KUBECONFIG, or leave -k out to \
                 work on this machine",
                match path.as_os_str().is_empty() {
                    true => "there is no home folder".to_owned(),
                    false => format!("{} does not exist", path.display()),
                }
            ),
            error => anyhow!(error),
        })
}

/// The first file that KUBECONFIG names, else the usual one.
fn kubeconfig() -> Option<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut named = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty());
    named
        .next()
        .or_else(|| Some(std::env::home_dir()?.join(".kube/config")))
}
