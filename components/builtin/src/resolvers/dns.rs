//! `nameresolution.kubernetes`: the name of the service that the operator made
//! for the app, looked up in the cluster's DNS.

use std::time::Duration;

use async_trait::async_trait;
use component::resolution::{Instance, NameResolver, ResolveRequest, Resolver};
use component::{Env, Error, ErrorKind, JsonSchema, Result};
use serde::Deserialize;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::template::Template;

const LOOKUP: Duration = Duration::from_secs(10);
/// More instances than anybody runs of one app.
const ADDRESSES: usize = 4096;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    /// The domain of the cluster's services.
    pub(crate) cluster_domain: String,
    /// A Go template of the whole address, port included, over `.ID`,
    /// `.Namespace`, `.Port` and `.Data.<key>`.
    pub(crate) template: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster_domain: "cluster.local".into(),
            template: None,
        }
    }
}

pub(crate) struct Kubernetes {
    cluster_domain: String,
    template: Option<Template>,
}

impl Resolver for Kubernetes {
    type Config = Config;

    async fn open(config: Config, _: Env, _: Instance) -> Result<Self> {
        let template = config.template.as_deref().map(Template::parse).transpose();
        let domain = config.cluster_domain;
        Ok(Self {
            template: template.map_err(|e| Error::config(format!("template: {e}")))?,
            cluster_domain: if domain.is_empty() {
                Config::default().cluster_domain
            } else {
                domain
            },
        })
    }
}

#[async_trait]
impl NameResolver for Kubernetes {
    async fn resolve(&self, req: ResolveRequest) -> Result<Vec<String>> {
        let name = self.name(&req);
        let failed = |cause: String| {
            let message = format!("could not look up {name}: {cause}");
            Error::new(ErrorKind::Unavailable, message)
        };
        let found = timeout(LOOKUP, lookup_host(&name))
            .await
            .map_err(|_| failed(format!("no answer within {LOOKUP:?}")))?
            .map_err(|e| failed(e.to_string()))?;
        let mut addresses: Vec<String> = found.take(ADDRESSES).map(|a| a.to_string()).collect();
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }

    fn gives_several(&self) -> bool {
        true
    }
}

impl Kubernetes {
    fn name(&self, req: &ResolveRequest) -> String {
        match &self.template {
            Some(template) => template.render(req),
            None => format!(
                "{}-dapr.{}.svc.{}:{}",
                req.id, req.namespace, self.cluster_domain, req.port
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::resolved;
    use super::*;

    #[track_caller]
    fn check(domain: &str, template: Option<&str>, expected: &str) {
        let resolver = Kubernetes {
            cluster_domain: domain.into(),
            template: template.map(|t| Template::parse(t).unwrap()),
        };
        let req = ResolveRequest {
            id: "app".into(),
            namespace: "ns".into(),
            port: 50002,
            data: [("zone".to_owned(), "z1".to_owned())].into(),
        };
        assert_eq!(resolver.name(&req), expected);
    }

    #[test]
    fn names_come_from_the_domain_or_the_template() {
        check("cluster.local", None, "app-dapr.ns.svc.cluster.local:50002");
        check("example.org", None, "app-dapr.ns.svc.example.org:50002");
        let template = "{{.ID}}.{{.Data.zone}}.{{.Namespace}}:{{.Port}}";
        check("cluster.local", Some(template), "app.z1.ns:50002");
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let check = async |template: &str, expected: &str| {
            let got = resolved("Kubernetes", json!({ "Template": template }), "127.0.0.1").await;
            assert!(got.starts_with(expected), "{got}");
        };
        check("{{.ID}}:{{.Port}}", "127.0.0.1:50002").await;
        check("localhost:1", "127.0.0.1:1").await;
        check("[::1]:1", "[::1]:1").await;
        check("no-port", "error: could not look up no-port: ").await;
        check("{{.Id}}", "error: template: unknown field").await;
    }
}
