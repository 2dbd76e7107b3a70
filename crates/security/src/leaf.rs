//! What a certificate of a process says: its SPIFFE id and its validity.

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::spiffe::{Malformed, SpiffeId};

/// The facts of a leaf that keeps the rules of an X.509 SVID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The one URI among its alternative names.
    pub id: SpiffeId,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// Why a certificate identifies nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not an X.509 certificate")]
    Malformed,
    #[error("the certificate has {0} URI names; one SPIFFE ID is needed")]
    Names(usize),
    #[error(transparent)]
    Id(#[from] Malformed),
    #[error("a CA certificate identifies no process")]
    Authority,
    #[error("a certificate whose key may sign certificates or revocations identifies no process")]
    Signing,
}

impl Leaf {
    /// Reads a DER certificate; its chain is for [`crate::verify_chain`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let certificate = parse(der)?;
        let malformed = |_| Error::Malformed;
        if let Some(constraints) = certificate.basic_constraints().map_err(malformed)?
            && constraints.value.ca
        {
            return Err(Error::Authority);
        }
        if let Some(usage) = certificate.key_usage().map_err(malformed)?
            && (usage.value.key_cert_sign() || usage.value.crl_sign())
        {
            return Err(Error::Signing);
        }
        let names = certificate.subject_alternative_name().map_err(malformed)?;
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let uris: Vec<&str> = names.iter().filter_map(uri).collect();
        let [uri] = uris[..] else {
            return Err(Error::Names(uris.len()));
        };
        let (not_before, not_after) = validity(&certificate)?;
        Ok(Self {
            id: uri.parse()?,
            not_before,
            not_after,
        })
    }
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}

/// One certificate and nothing behind it.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Error::Malformed),
    }
}

/// The first and the last moment at which the certificate is valid.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> Result<(Timestamp, Timestamp), Error> {
    let time = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp()).map_err(|_| Error::Malformed)
    };
    let validity = certificate.validity();
    Ok((time(validity.not_before)?, time(validity.not_after)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, IsCa, KeyPair, KeyUsagePurpose,
        PKCS_ED25519, SanType,
    };

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.subject_alt_names = vec![uri("spiffe://public/ns/default/cart")];
        change(&mut params);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn the_id_is_the_one_uri() {
        let dns = SanType::DnsName("dapr-webhook.dapr-system.svc".try_into().unwrap());
        let der = certificate(|p| p.subject_alt_names.push(dns));
        let leaf = Leaf::parse(&der).unwrap();
        assert_eq!(leaf.id, SpiffeId::new("public", "default", "cart"));
        assert!(leaf.not_before < leaf.not_after);
    }

    #[test]
    fn certificates_that_identify_nobody_are_refused() {
        let check = |change: fn(&mut CertificateParams), expected: Error| {
            assert_eq!(Leaf::parse(&certificate(change)), Err(expected));
        };
        check(|p| p.subject_alt_names.clear(), Error::Names(0));
        check(
            |p| p.subject_alt_names.push(uri("spiffe://a/ns/b/c")),
            Error::Names(2),
        );
        check(
            |p| p.subject_alt_names = vec![uri("https://public/ns/default/cart")],
            Error::Id(Malformed("https://public/ns/default/cart".into())),
        );
        check(
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Error::Authority,
        );
        for usage in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
            let der = certificate(|p| p.key_usages.push(usage));
            assert_eq!(Leaf::parse(&der), Err(Error::Signing));
        }
        let mut longer = certificate(|_| {});
        longer.push(0);
        for der in [&longer[..], &longer[..40], b""] {
            assert_eq!(Leaf::parse(der), Err(Error::Malformed));
        }
    }

    proptest! {
        #[test]
        fn any_damage_is_answered(at in 0usize..200, byte in any::<u8>()) {
            let mut der = certificate(|_| {});
            let at = at % der.len();
            der[at] = byte;
            let _ = Leaf::parse(&der);
        }
    }
}
