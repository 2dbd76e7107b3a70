//! The certificate authority of this machine: what the Sentries of `dapr run --mtls` sign with.

mod certificate;
mod make;
mod store;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use security::pem;

use crate::home::Home;

pub(crate) use self::{
    certificate::Certificate,
    make::{Validity, make, new_root_key, read_key},
    store::{FILES, Store, read as read_file, write as write_file},
};

/// The trust domain of a Sentry on this machine, which daprd takes for granted.
pub(crate) const TRUST_DOMAIN: &str = "localhost";
/// The namespace of that Sentry.
pub(crate) const NAMESPACE: &str = "default";

/// Whose authority it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) trust_domain: &'a str,
    /// Sentry's.
    pub(crate) namespace: &'a str,
}

/// The Sentries of this machine.
pub(crate) const LOCAL: Owner<'static> = Owner {
    trust_domain: TRUST_DOMAIN,
    namespace: NAMESPACE,
};

/// Trust anchors, and an issuer that belongs to one of them with its key.
pub(crate) struct Authority {
    pub(crate) anchors: Vec<Certificate>,
    /// The issuer, then what leads from it to a root.
    pub(crate) chain: Vec<Certificate>,
    key: KeyPair,
}

impl Authority {
    /// Reads the texts of the three files, and checks that they belong together.
    pub(crate) fn parse(root: &[u8], issuer: &[u8], key: &[u8]) -> Result<Self> {
        let authority = Self {
            anchors: Certificate::parse_all(root).context("root certificate")?,
            chain: Certificate::parse_all(issuer).context("issuer certificate")?,
            key: read_key(key).context("issuer key")?,
        };
        ensure!(
            authority.anchors.iter().all(|a| a.signed_by(a)),
            "root certificate: it is not self-signed"
        );
        let issuer = authority.issuer();
        ensure!(
            issuer.is_ca,
            "issuer certificate: it is not that of a certificate authority"
        );
        ensure!(
            issuer.public_key == authority.key.subject_public_key_info(),
            "issuer key: it does not belong to the issuer certificate"
        );
        authority
            .root()
            .context("issuer certificate: the root certificate did not sign it")?;
        Ok(authority)
    }

    pub(crate) fn issuer(&self) -> &Certificate {
        // Neither `parse` nor `make` makes an authority without one.
        &self.chain[0]
    }

    /// The anchor that the issuer belongs to.
    pub(crate) fn root(&self) -> Option<&Certificate> {
        for (at, certificate) in self.chain.iter().enumerate() {
            if let Some(root) = self.anchors.iter().find(|a| certificate.signed_by(a)) {
                return Some(root);
            }
            if !certificate.signed_by(self.chain.get(at + 1)?) {
                return None;
            }
        }
        None
    }

    /// Until when certificates of this authority can be checked.
    pub(crate) fn ends(&self) -> Timestamp {
        let issuer = self.issuer().not_after;
        self.root()
            .map_or(issuer, |root| root.not_after.min(issuer))
    }

    /// Trusts what an earlier authority's certificates were signed with too, until it ends.
    pub(crate) fn keep_trusting(&mut self, old: &Self, now: Timestamp) {
        for anchor in &old.anchors {
            if anchor.holds_at(now) && !self.anchors.contains(anchor) {
                self.anchors.push(anchor.clone());
            }
        }
    }

    pub(crate) fn anchors_pem(&self) -> String {
        certificate::to_pem(&self.anchors)
    }

    pub(crate) fn chain_pem(&self) -> String {
        certificate::to_pem(&self.chain)
    }

    pub(crate) fn key_pem(&self) -> String {
        pem::encode("PRIVATE KEY", self.key.serialized_der())
    }
}

/// What a Sentry is told beside its ports, so that it signs for this machine. Of `spec.mtls` of
/// the configuration it takes how long certificates live.
pub(crate) fn sentry_arguments(home: &Home) -> Vec<OsString> {
    vec![
        "--enable-metrics=false".into(),
        "--trust-domain".into(),
        TRUST_DOMAIN.into(),
        "--issuer-credentials".into(),
        home.certs().into(),
        "--config".into(),
        home.config().into(),
    ]
}

/// A moment as the tool shows it.
pub(crate) fn date(moment: Timestamp) -> String {
    moment.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}
