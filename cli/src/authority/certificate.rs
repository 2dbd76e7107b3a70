//! A CA certificate as this tool looks at it: who signed it, and until when it holds.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use security::pem;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    /// Names as they are encoded.
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// The public key as the certificate carries it.
    pub(crate) public_key: Vec<u8>,
    pub(crate) is_ca: bool,
}

impl Certificate {
    pub(crate) fn parse(der: &[u8]) -> Result<Self> {
        let parsed = read(der)?;
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp());
        Ok(Self {
            der: der.to_vec(),
            subject: parsed.subject.as_raw().to_vec(),
            issuer: parsed.issuer.as_raw().to_vec(),
            not_before: time(parsed.validity.not_before)?,
            not_after: time(parsed.validity.not_after)?,
            public_key: parsed.public_key().raw.to_vec(),
            is_ca: parsed.is_ca(),
        })
    }

    /// Every certificate of a PEM text, at least one.
    pub(crate) fn parse_all(text: &[u8]) -> Result<Vec<Self>> {
        let all = pem::certificates(text)?;
        all.iter().map(|der| Self::parse(der)).collect()
    }

    pub(crate) fn holds_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether the other one's name and key made this certificate.
    pub(crate) fn signed_by(&self, other: &Self) -> bool {
        let (Ok(this), Ok(signer)) = (read(&self.der), read(&other.der)) else {
            return false;
        };
        self.issuer == other.subject && this.verify_signature(Some(signer.public_key())).is_ok()
    }
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>> {
    let (rest, parsed) = X509Certificate::from_der(der)
        .ok()
        .context("a certificate is malformed")?;
    ensure!(rest.is_empty(), "a certificate is malformed");
    Ok(parsed)
}

/// The certificates as PEM blocks one after the other.
pub(crate) fn to_pem(certificates: &[Certificate]) -> String {
    let blocks = certificates.iter();
    blocks.map(|c| pem::encode("CERTIFICATE", &c.der)).collect()
}
