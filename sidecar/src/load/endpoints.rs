//! HTTPEndpoints: servers outside Dapr, made ready to be called by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use resources::{HttpEndpoint, TlsDocument};

use super::loader::Work;
use super::resolve::Owner;
use super::slots::Promise;
use crate::invoke::external::{Documents, Endpoint};

/// Endpoints that wait for their secrets.
pub(super) type Waiting = BTreeMap<String, Promise<Endpoint>>;

impl Work {
    pub(super) fn waiting_endpoints(&self) -> Waiting {
        let names = self.set.http_endpoints.iter().map(|e| &e.metadata.name);
        names
            .map(|name| (name.clone(), self.endpoints.opening(name)))
            .collect()
    }

    /// One that cannot be used is left out with a warning, as upstream does.
    pub(super) async fn open_endpoints(&self, mut waiting: Waiting) {
        for endpoint in &self.set.http_endpoints {
            let name = &endpoint.metadata.name;
            let place = waiting.remove(name);
            match (self.open_endpoint(endpoint).await, place) {
                (Ok(opened), Some(place)) => drop(place.keep(Arc::new(opened))),
                (Err(e), _) => {
                    tracing::warn!(target: "dapr.runtime", "failed to load HTTP endpoints: {name}: {e}");
                }
                (Ok(_), None) => {}
            }
        }
    }

    async fn open_endpoint(&self, endpoint: &HttpEndpoint) -> Result<Endpoint, String> {
        let owner = Owner {
            kind: "HTTPEndpoint",
            name: &endpoint.metadata.name,
            store: endpoint.secret_store(),
        };
        let mut headers = Vec::new();
        for item in &endpoint.spec.headers {
            let value = self.resolver.value(owner, item).await.flatten();
            let unread = || format!("the secret of header '{}' could not be read", item.name);
            headers.push((item.name.clone(), value.ok_or_else(unread)?));
        }
        let mut documents = Documents::default();
        if let Some(tls) = &endpoint.spec.client_tls {
            for (what, from, to) in [
                ("rootCA", &tls.root_ca, &mut documents.root_ca),
                ("certificate", &tls.certificate, &mut documents.certificate),
                ("privateKey", &tls.private_key, &mut documents.private_key),
            ] {
                let Some(document) = from else { continue };
                let unread = || format!("the secret of clientTLS.{what} could not be read");
                *to = self.document(owner, document).await.ok_or_else(unread)?;
            }
        }
        let base = &endpoint.spec.base_url;
        Endpoint::new(base, headers, documents, self.app_concurrency)
    }

    async fn document(&self, owner: Owner<'_>, document: &TlsDocument) -> Option<String> {
        match &document.secret_key_ref {
            Some(reference) => self.resolver.secret(owner, reference).await.flatten(),
            None => Some(document.value.as_str().to_owned()),
        }
    }
}
