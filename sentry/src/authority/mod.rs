//! Signs leaves and tokens.

#[cfg(test)]
mod tests;
mod tokens;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use security::SpiffeId;

use crate::bundle::{Bundles, X509Bundle};
use crate::keys::PublicKey;
use crate::x509::pem;
use crate::x509::profile::{self, Validity};

pub(crate) use tokens::{TokenOptions, Tokens};

/// What leaves are like; times in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Sentry's own namespace: its services have DNS names too.
    pub(crate) namespace: String,
    pub(crate) cluster_domain: String,
    pub(crate) leaf_ttl: i64,
    pub(crate) clock_skew: i64,
}

/// The certificate authority at work; it does not change, a new bundle makes a new one.
#[derive(Debug)]
pub(crate) struct Authority {
    x509: X509Bundle,
    profile: Profile,
    tokens: Option<Tokens>,
    chain_pem: String,
    anchors_pem: Bytes,
}

/// A leaf in PEM with its chain, and its end.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) not_after: i64,
}

impl Authority {
    pub(crate) fn new(bundles: Bundles, profile: Profile, tokens: TokenOptions) -> Self {
        let Bundles { x509, jwt, .. } = bundles;
        Self {
            chain_pem: x509.chain_pem(),
            anchors_pem: x509.anchors_pem().into(),
            tokens: jwt.map(|jwt| Tokens::new(jwt, tokens, profile.clock_skew)),
            x509,
            profile,
        }
    }

    /// A leaf for the holder of the key. Of an id only its SPIFFE form and its
    /// DNS names get into it.
    pub(crate) fn sign(&self, key: &PublicKey, id: &SpiffeId, now: i64) -> Option<Leaf> {
        let not_after = now.saturating_add(self.profile.leaf_ttl);
        let validity = Validity {
            not_before: now.saturating_sub(self.profile.clock_skew),
            not_after,
        };
        let names = self.profile.dns_names(id);
        let signer = self.x509.signer();
        let der = profile::leaf(signer, key, &id.to_string(), &names, validity).ok()?;
        Some(Leaf { der, not_after })
    }

    /// The leaf and what stands between it and a root, in PEM.
    pub(crate) fn chain_of(&self, leaf: &Leaf) -> Bytes {
        pem::encode_before("CERTIFICATE", &leaf.der, &self.chain_pem).into()
    }

    /// The leaf and what stands between it and a root, for TLS.
    pub(crate) fn tls_chain(&self, leaf: &Leaf) -> Vec<CertificateDer<'static>> {
        let rest = self.x509.chain.iter().map(|c| c.der.clone());
        std::iter::once(leaf.der.clone()).chain(rest).collect()
    }

    /// Every trust anchor in PEM.
    pub(crate) fn anchors(&self) -> Bytes {
        self.anchors_pem.clone()
    }

    pub(crate) fn bundle(&self) -> &X509Bundle {
        &self.x509
    }

    pub(crate) fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// Whether a signature costs so much that it should not hold up a worker.
    pub(crate) fn is_slow(&self) -> bool {
        self.tokens.is_some() || self.x509.key.public().kind == crate::keys::Kind::Rsa
    }
}

impl Profile {
    /// The host names of the services that Kubernetes or etcd call by name.
    fn dns_names(&self, id: &SpiffeId) -> Vec<String> {
        let ns = &self.namespace;
        if id.namespace != *ns {
            return Vec::new();
        }
        match id.app_id.as_str() {
            "dapr-injector" => vec![format!("dapr-sidecar-injector.{ns}.svc")],
            "dapr-operator" => vec![format!("dapr-webhook.{ns}.svc")],
            "dapr-scheduler" => (0..3)
                .map(|n| {
                    let domain = &self.cluster_domain;
                    format!("dapr-scheduler-server-{n}.dapr-scheduler-server.{ns}.svc.{domain}")
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}
