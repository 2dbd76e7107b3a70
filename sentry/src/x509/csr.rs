//! Certificate signing requests: of all they say only the public key is used,
//! once the request proves that its sender has the private one.

use rustls::pki_types::pem::SectionKind;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::pem;
use crate::keys::{PublicKey, x509_scheme};

/// The longest request that is read, in bytes of PEM.
pub(crate) const MAX_LEN: usize = 64 << 10;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("invalid certificate signing request")]
    NotARequest,
    #[error("failed to parse certificate signing request: {0}")]
    Malformed(&'static str),
    #[error("invalid signature")]
    Signature,
}

/// The public key of a request in PEM.
pub(crate) fn public_key(text: &[u8]) -> Result<PublicKey, Error> {
    if text.len() > MAX_LEN {
        return Err(Error::Malformed("it is too long"));
    }
    let (kind, der) = pem::first(text).ok_or(Error::NotARequest)?;
    if !matches!(kind, SectionKind::Csr | SectionKind::Certificate) {
        return Err(Error::NotARequest);
    }
    let (rest, request) = X509CertificationRequest::from_der(&der)
        .map_err(|_| Error::Malformed("it is no PKCS #10 request"))?;
    if !rest.is_empty() {
        return Err(Error::Malformed("there is data behind its end"));
    }
    // A signature is whole bytes; the parser does not insist on it.
    if request.signature_value.unused_bits != 0 {
        return Err(Error::Signature);
    }
    let info = &request.certification_request_info;
    let key = PublicKey::from_spki(&info.subject_pki).ok_or(Error::Malformed(
        "its key is none of Ed25519, ECDSA on P-256, P-384 or P-521, and RSA",
    ))?;
    let scheme = x509_scheme(&key, request.signature_algorithm.algorithm.as_bytes())
        .ok_or(Error::Signature)?;
    if key.verify(scheme, info.raw, &request.signature_value.data) {
        Ok(key)
    } else {
        Err(Error::Signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::keys::Kind;

    fn request(alg: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["ignored.example".into()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(alg).unwrap();
        params.serialize_request(&key).unwrap().der().to_vec()
    }

    fn read(label: &str, der: &[u8]) -> Result<PublicKey, Error> {
        public_key(pem::encode(label, der).as_bytes())
    }

    #[test]
    fn every_kind_of_key_is_accepted() {
        for (alg, kind) in [
            (&rcgen::PKCS_ED25519, "Ed25519"),
            (&rcgen::PKCS_ECDSA_P256_SHA256, "Ec(P256)"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "Ec(P384)"),
            (&rcgen::PKCS_ECDSA_P521_SHA512, "Ec(P521)"),
            (&rcgen::PKCS_RSA_SHA256, "Rsa"),
        ] {
            let der = request(alg);
            for label in ["CERTIFICATE REQUEST", "CERTIFICATE"] {
                let key = read(label, &der).unwrap();
                assert_eq!(format!("{:?}", key.kind), kind);
            }
        }
    }

    #[test]
    fn a_request_that_is_wrong_is_refused_in_upstreams_words() {
        let der = request(&rcgen::PKCS_ED25519);
        let mut forged = der.clone();
        *forged.last_mut().unwrap() ^= 1;
        let mut longer = der.clone();
        longer.push(0);
        for (label, der, text) in [
            ("PRIVATE KEY", &der, "invalid certificate signing request"),
            ("OTHER", &der, "invalid certificate signing request"),
            ("CERTIFICATE REQUEST", &forged, "invalid signature"),
            (
                "CERTIFICATE REQUEST",
                &longer,
                "failed to parse certificate signing request: ",
            ),
            (
                "CERTIFICATE REQUEST",
                &vec![1, 2, 3],
                "failed to parse certificate signing request: ",
            ),
            (
                "CERTIFICATE REQUEST",
                &vec![0; MAX_LEN],
                "failed to parse certificate signing request: ",
            ),
        ] {
            let error = read(label, der).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
        assert_eq!(public_key(b"hello"), Err(Error::NotARequest));
    }

    #[test]
    fn the_key_in_the_request_must_have_signed_it() {
        let one = request(&rcgen::PKCS_ED25519);
        let two = request(&rcgen::PKCS_ED25519);
        let mixed = [&one[..one.len() - 64], &two[two.len() - 64..]].concat();
        assert_eq!(read("CERTIFICATE REQUEST", &mixed), Err(Error::Signature));
        assert_eq!(
            read("CERTIFICATE REQUEST", &one).map(|k| k.kind),
            Ok(Kind::Ed25519)
        );
    }

    proptest! {
        #[test]
        fn garbage_is_answered(der in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(read("CERTIFICATE REQUEST", &der).is_err());
            prop_assert!(public_key(&der).is_err());
        }

        #[test]
        fn a_damaged_request_never_gives_another_key(at in 0usize..400, bit in 0u8..8, cut in any::<bool>()) {
            let mut der = request(&rcgen::PKCS_ED25519);
            let key = read("CERTIFICATE REQUEST", &der).unwrap();
            let at = at % der.len();
            if cut {
                der.truncate(at);
            } else {
                der[at] ^= 1 << bit;
            }
            // The parser overlooks a wrong form bit around what is signed.
            if let Ok(taken) = read("CERTIFICATE REQUEST", &der) {
                prop_assert_eq!(taken, key);
                prop_assert!(!cut);
            }
        }
    }
}
