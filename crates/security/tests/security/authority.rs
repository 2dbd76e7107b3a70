//! A certificate authority: a root, an issuer below it, leaves as Sentry makes them.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SanType,
    SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use security::{Anchors, Identity, Svid, TrustBundle};
use x509_parser::time::ASN1Time;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Authority {
    root: Signer,
    issuer: Signer,
}

struct Signer {
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::of(&PKCS_ED25519)
    }

    /// Root and issuer have keys of this kind.
    pub(crate) fn of(algorithm: &'static SignatureAlgorithm) -> Self {
        Self::with(algorithm, |_| {})
    }

    pub(crate) fn with(
        algorithm: &'static SignatureAlgorithm,
        change_root: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = ca_params("test");
        change_root(&mut params);
        let key = key(algorithm);
        let der = params.self_signed(&key).unwrap().der().clone();
        let root = Signer { params, key, der };

        let params = ca_params("spiffe://localhost/ns/default/dapr-sentry");
        let key = self::key(algorithm);
        let signed = params.signed_by(&key, &root.issuer()).unwrap();
        let der = signed.der().clone();
        let issuer = Signer { params, key, der };
        Self { root, issuer }
    }

    pub(crate) fn bundle(&self) -> TrustBundle {
        TrustBundle::from_der(vec![self.root.der.clone()]).unwrap()
    }

    pub(crate) fn pem(&self) -> String {
        self.bundle().to_pem()
    }

    pub(crate) fn anchors(&self) -> Anchors {
        Anchors::fixed(self.bundle())
    }

    /// A chain, leaf first, for a public key.
    pub(crate) fn issue(
        &self,
        key: &impl PublicKeyData,
        params: &CertificateParams,
    ) -> Vec<CertificateDer<'static>> {
        let leaf = params.signed_by(key, &self.issuer.issuer()).unwrap();
        vec![leaf.der().clone(), self.issuer.der.clone()]
    }

    pub(crate) fn svid(&self, id: &str) -> Svid {
        self.svid_with(id, |_| {})
    }

    pub(crate) fn svid_with(&self, id: &str, change: impl FnOnce(&mut CertificateParams)) -> Svid {
        let mut params = leaf_params(id);
        change(&mut params);
        let (chain, key) = self.pair(&params);
        Svid::new(chain, key.into()).unwrap()
    }

    /// A chain that need not keep the rules of an identity, and its key.
    pub(crate) fn pair(
        &self,
        params: &CertificateParams,
    ) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let key = key(&PKCS_ED25519);
        (self.issue(&key, params), key)
    }

    /// An identity that trusts this authority.
    pub(crate) fn identity(&self, id: &str) -> Identity {
        Identity::fixed(self.svid(id), self.anchors())
    }
}

impl Signer {
    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    if *algorithm == PKCS_RSA_SHA256 {
        KeyPair::generate_rsa_for(algorithm, rcgen::RsaKeySize::_2048).unwrap()
    } else {
        KeyPair::generate_for(algorithm).unwrap()
    }
}

fn ca_params(organization: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    params
}

/// What Sentry puts into a leaf; it is valid from a quarter of an hour ago for a day.
pub(crate) fn leaf_params(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    let now = Timestamp::now();
    valid(&mut params, now - HOUR / 4, now + HOUR * 24);
    params
}

pub(crate) fn valid(params: &mut CertificateParams, from: Timestamp, to: Timestamp) {
    let time = |at: Timestamp| ASN1Time::from_timestamp(at.as_second()).unwrap();
    params.not_before = time(from).to_datetime();
    params.not_after = time(to).to_datetime();
}
