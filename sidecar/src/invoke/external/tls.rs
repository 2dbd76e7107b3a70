//! TLS to servers outside Dapr: their roots, and this side's certificate.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// `spec.clientTLS` in PEM form; empty means not given.
#[derive(Clone, Default)]
pub(crate) struct Documents {
    pub(crate) root_ca: String,
    pub(crate) certificate: String,
    pub(crate) private_key: String,
}

impl Documents {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            root_ca,
            certificate,
            private_key,
        } = self;
        [root_ca, certificate, private_key]
            .iter()
            .all(|d| d.is_empty())
    }

    /// Without a root of its own a server is checked against the system's.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        if self.root_ca.is_empty() {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        } else {
            for certificate in certificates(&self.root_ca, "rootCA")? {
                roots
                    .add(certificate)
                    .map_err(|e| format!("spec.clientTLS.rootCA: {e}"))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots);
        match (self.certificate.is_empty(), self.private_key.is_empty()) {
            (true, true) => Ok(builder.with_no_client_auth()),
            (false, false) => {
                let chain = certificates(&self.certificate, "certificate")?;
                let key = PrivateKeyDer::from_pem_slice(self.private_key.as_bytes());
                let key = key.map_err(|_| "spec.clientTLS.privateKey holds no key in PEM form")?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|e| format!("spec.clientTLS: {e}"))
            }
            _ => Err("spec.clientTLS needs both certificate and privateKey, or neither".into()),
        }
    }
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(list) if !list.is_empty() => Ok(list),
        _ => Err(format!(
            "spec.clientTLS.{what} holds no certificate in PEM form"
        )),
    }
}
