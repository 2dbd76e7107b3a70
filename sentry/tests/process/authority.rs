//! Authorities that are there before Sentry starts.

use std::path::Path;

use base64::Engine;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SignatureAlgorithm,
};
use x509_parser::time::ASN1Time;

/// Kind of name, root, issuer.
type Names = (DnType, &'static str, &'static str);

/// The names of an authority that Sentry makes itself.
pub(crate) const NAMES: Names = (
    DnType::OrganizationName,
    "localhost",
    "spiffe://localhost/ns/default/dapr-sentry",
);
/// The names of a user's authority.
pub(crate) const USERS: Names = (DnType::CommonName, "my root", "my issuer");

/// Root, issuer and key in PEM.
pub(crate) struct Authority {
    pub(crate) root: String,
    pub(crate) issuer: String,
    pub(crate) key: String,
}

impl Authority {
    /// An authority that ends in so many days, of a life of a year.
    pub(crate) fn new(names: Names, days: i64, algorithm: &'static SignatureAlgorithm) -> Self {
        let (kind, root_name, issuer_name) = names;
        let now = ASN1Time::now().timestamp();
        let day = |n: i64| {
            let moment = ASN1Time::from_timestamp(now + n * 24 * 3600).unwrap();
            moment.to_datetime()
        };
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(kind.clone(), name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.not_before = day(days - 366);
            params.not_after = day(days);
            params
        };
        let root_key = KeyPair::generate_for(algorithm).unwrap();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let root_params = params(root_name);
        let root = root_params.self_signed(&root_key).unwrap();
        let signer = Issuer::from_params(&root_params, &root_key);
        let issuer = params(issuer_name).signed_by(&key, &signer).unwrap();
        Self {
            root: pem("CERTIFICATE", root.der()),
            issuer: pem("CERTIFICATE", issuer.der()),
            key: pem("PRIVATE KEY", key.serialized_der()),
        }
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (name, text) in [
            ("ca.crt", &self.root),
            ("issuer.crt", &self.issuer),
            ("issuer.key", &self.key),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
