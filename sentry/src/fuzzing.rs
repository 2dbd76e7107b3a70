//! The decoders of what arrives from outside, for the crate `fuzz`.

use std::sync::Arc;

use proto::dapr::sentry::v1::SignCertificateRequest;
use rustls::pki_types::CertificateDer;
use security::SpiffeId;

use crate::keys::{Algorithm, Jwk, JwkSet};
use crate::validate::Validator;
use crate::validate::jwks::JwksValidator;
use crate::x509::{Certificate, csr};

pub use crate::validate::request::is_well_formed;

/// The public key (SubjectPublicKeyInfo) of a signing request in PEM.
pub fn request(pem: &[u8]) -> Result<Vec<u8>, String> {
    let key = csr::public_key(pem).map_err(|e| e.to_string())?;
    Ok(key.spki())
}

/// The public key (SubjectPublicKeyInfo) of a certificate of the store.
pub fn certificate(der: &[u8]) -> Result<Vec<u8>, String> {
    let der = CertificateDer::from(der.to_vec());
    Ok(Certificate::parse(&der)?.key.spki())
}

/// A set of JSON Web Keys.
pub struct Keys(JwkSet);

impl Keys {
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        JwkSet::parse(text).map(Self)
    }

    /// The keys of known kinds (SubjectPublicKeyInfo).
    pub fn public_keys(&self) -> Vec<Vec<u8>> {
        let keys = self.0.keys.iter().filter_map(Jwk::public_key);
        keys.map(|key| key.spki()).collect()
    }

    /// The set as it would be written.
    pub fn written(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(&self.0).map_err(|e| e.to_string())
    }

    /// The keys of known kinds, each made into an entry anew.
    pub fn made_anew(&self) -> Self {
        let keys = self.0.keys.iter().filter_map(Jwk::public_key);
        let keys = keys.map(|key| Jwk::of(&key, "made", Algorithm::EdDsa));
        Self(JwkSet {
            keys: keys.collect(),
        })
    }
}

/// The identity that the request gets from a Sentry with this id: with keys,
/// those of its jwks validator; without, it believes everybody.
pub async fn identity(
    sentry: &str,
    keys: Option<Keys>,
    request: &SignCertificateRequest,
    now: i64,
) -> Result<SpiffeId, String> {
    let validator = match keys {
        Some(keys) => Validator::Jwks(Arc::new(JwksValidator::with_keys(sentry, keys.0))),
        None => Validator::Insecure,
    };
    let identity = validator.check(request, now).await;
    identity.map_err(|e| e.to_string())
}
