//! What Sentry finds in the cluster it runs in.

use std::time::Duration;

use k8s::{Client, Error};
use resources::configuration::Mtls;
use serde::Deserialize;
use service::quote::quoted;
use tokio::net::lookup_host;

use crate::validate::kubernetes::CONFIGURATIONS;

const SCOPE: &str = "dapr.sentry";
const SECURITY: &str = "dapr.runtime.security";
/// How long the cluster's domain is looked for.
const LOOK: Duration = Duration::from_secs(2);
const RESOLVER: &str = "/etc/resolv.conf";
/// More domains than this no resolver searches.
const MOST_DOMAINS: usize = 32;

/// A client of the cluster's API server, for a process that may run there.
pub(crate) async fn enter(
    kubeconfig: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Client, String> {
    let uid = rustix::process::getuid().as_raw();
    tracing::info!(target: SECURITY, "Running in Kubernetes environment as user {uid}");
    let skip = env("DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK");
    if skip.is_some_and(|value| value == "true") {
        tracing::warn!(target: SECURITY, "Skipping container UID/GID check due to env override.");
    } else if uid == 0 {
        return Err(security::Error::Root.to_string());
    }
    Client::connect(kubeconfig).await.map_err(|e| e.to_string())
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    mtls: Option<Mtls>,
}

/// `spec.mtls` of a Configuration in Sentry's own namespace; `None` when there
/// is no such Configuration.
pub(crate) async fn mtls(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Mtls>, String> {
    match client.get(CONFIGURATIONS, namespace, name).await {
        Ok(Configuration { spec }) => Ok(Some(spec.mtls.unwrap_or_default())),
        Err(Error::NotFound(_)) => Ok(None),
        Err(e) => Err(format!("error loading configuration: {e}")),
    }
}

/// The domain of the cluster's services, such as `cluster.local`.
pub(crate) async fn domain(fallback: &str) -> String {
    let resolver = tokio::fs::read_to_string(RESOLVER).await;
    let found = match resolver {
        Ok(text) => match tokio::time::timeout(LOOK, search(&text)).await {
            Ok(Some(domain)) => return domain,
            Ok(None) => "kubernetes.default.svc is in none of the searched domains",
            Err(_) => "no name server answered in time",
        },
        Err(_) => "there are no settings of a resolver",
    };
    tracing::error!(
        target: SCOPE,
        "Error getting Kubernetes cluster domain, falling back to {}: {found}",
        quoted(fallback)
    );
    fallback.to_owned()
}

/// The first searched domain that has the API server's service.
async fn search(resolver: &str) -> Option<String> {
    for domain in searched(resolver) {
        // The dot at the end keeps the resolver from searching by itself.
        let name = format!("kubernetes.default.svc.{domain}.");
        if lookup_host((name.as_str(), 443)).await.is_ok() {
            return Some(domain.to_owned());
        }
    }
    None
}

fn searched(resolver: &str) -> impl Iterator<Item = &str> {
    let mut lines = resolver.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("search")).then_some(words)
    });
    // Only the last such line counts.
    let domains = lines.next_back().into_iter().flatten();
    domains
        .map(|d| d.trim_end_matches('.'))
        .filter(|d| !d.is_empty())
        .take(MOST_DOMAINS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searched_domains_are_those_of_the_last_line() {
        for (text, expected) in [
            ("", &[][..]),
            ("nameserver 10.0.0.10\n", &[]),
            (
                "search a.example\nsearch ns.svc.cluster.local svc.cluster.local cluster.local.\n\
                 options ndots:5\n",
                &["ns.svc.cluster.local", "svc.cluster.local", "cluster.local"],
            ),
            ("#search x\nsearch .\n", &[]),
        ] {
            let domains: Vec<_> = searched(text).collect();
            assert_eq!(domains, expected, "{text}");
        }
    }
}
