//! A certificate as Sentry looks at it: whose it is, until when, and who signed it.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::pem;
use crate::keys::{PublicKey, x509_scheme};

/// A certificate that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    /// Names as they are encoded.
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    /// The subject's organisation, when that is all the subject has.
    pub(crate) organization: Option<String>,
    /// Seconds since the epoch.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) key: PublicKey,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    /// Whether anything in it says that it may sign others.
    pub(crate) may_sign: bool,
}

impl Certificate {
    /// Reads a certificate; the error names what is wrong with it.
    pub(crate) fn parse(der: &CertificateDer<'static>) -> Result<Self, String> {
        let malformed = || "a certificate is malformed".to_owned();
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        let key = PublicKey::from_spki(&parsed.subject_pki).ok_or_else(|| {
            format!(
                "the key of certificate {} is none of Ed25519, ECDSA and RSA",
                parsed.subject
            )
        })?;
        let mut subject_key_id = None;
        let mut may_sign = false;
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => subject_key_id = Some(id.0.to_vec()),
                // Upstream refuses only what says nothing at all about signing.
                ParsedExtension::BasicConstraints(_) => may_sign = true,
                ParsedExtension::KeyUsage(usage) => may_sign |= usage.key_cert_sign(),
                _ => {}
            }
        }
        let mut attributes = parsed.subject.iter_attributes();
        let organization = match (attributes.next(), attributes.next()) {
            (Some(only), None) if *only.attr_type() == OID_ORGANIZATION => {
                only.as_str().ok().map(str::to_owned)
            }
            _ => None,
        };
        Ok(Self {
            subject: parsed.subject.as_raw().to_vec(),
            issuer: parsed.issuer.as_raw().to_vec(),
            organization,
            not_before: parsed.validity.not_before.timestamp(),
            not_after: parsed.validity.not_after.timestamp(),
            key,
            subject_key_id,
            may_sign,
            der: der.clone(),
        })
    }

    /// Every certificate of a PEM text.
    pub(crate) fn parse_all(text: &[u8]) -> Result<Vec<Self>, String> {
        let all = pem::certificates(text)?;
        all.iter().map(Self::parse).collect()
    }

    pub(crate) fn valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whether the other one's name and key made this certificate.
    pub(crate) fn signed_by(&self, other: &Self) -> bool {
        if self.issuer != other.subject {
            return false;
        }
        let Ok((_, parsed)) = X509Certificate::from_der(&self.der) else {
            return false;
        };
        let algorithm = parsed.signature_algorithm.algorithm.as_bytes();
        x509_scheme(&other.key, algorithm).is_some_and(|scheme| {
            let signed = parsed.tbs_certificate.as_ref();
            other
                .key
                .verify(scheme, signed, &parsed.signature_value.data)
        })
    }

    pub(crate) fn self_signed(&self) -> bool {
        self.signed_by(self)
    }
}

const OID_ORGANIZATION: x509_parser::oid_registry::Oid<'static> =
    x509_parser::oid_registry::OID_X509_ORGANIZATION_NAME;

/// The certificates as PEM blocks one after the other.
pub(crate) fn to_pem<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    let blocks = certificates.into_iter();
    blocks.map(|c| pem::encode("CERTIFICATE", &c.der)).collect()
}
