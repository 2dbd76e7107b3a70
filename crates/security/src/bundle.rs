//! The trust bundle: the roots that every chain must end in, for every trust domain.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use x509_parser::x509::X509Version;

use crate::{leaf, pem};

/// The most anchors that are kept, configured and learned together.
pub const MAX_ANCHORS: usize = 64;

/// One or more trust anchors; cheap to clone.
#[derive(Clone)]
pub struct TrustBundle {
    anchors: Arc<[Anchor]>,
    roots: Arc<RootCertStore>,
}

#[derive(Clone, PartialEq, Eq)]
struct Anchor {
    der: CertificateDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why certificates cannot be trust anchors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Pem(#[from] pem::Error),
    #[error("certificate {0} is malformed")]
    Malformed(usize),
    #[error("certificate {0} is not a CA certificate")]
    NoAuthority(usize),
    #[error("there are more than {MAX_ANCHORS} trust anchors")]
    TooMany,
    #[error("there is no trust anchor")]
    Empty,
}

impl TrustBundle {
    /// Reads anchors from PEM; comments and repetitions are passed over.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        Self::from_der(pem::certificates(text)?)
    }

    /// The anchors in their order. Errors count them from 1.
    pub fn from_der(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let numbered = (1..).zip(certificates);
        let anchors = numbered.map(|(number, der)| Anchor::new(number, der));
        Self::new(anchors.collect::<Result<_, _>>()?)
    }

    fn new(anchors: Vec<Anchor>) -> Result<Self, Error> {
        let mut kept: Vec<Anchor> = Vec::with_capacity(anchors.len());
        for anchor in anchors {
            if !kept.contains(&anchor) {
                kept.push(anchor);
            }
        }
        match kept.len() {
            0 => return Err(Error::Empty),
            1..=MAX_ANCHORS => {}
            _ => return Err(Error::TooMany),
        }
        Ok(Self {
            roots: Arc::new(store(&kept)?),
            anchors: kept.into(),
        })
    }

    /// These anchors and those of `other`.
    pub fn merged(&self, other: &Self) -> Result<Self, Error> {
        let all = self.anchors.iter().chain(&*other.anchors);
        Self::new(all.cloned().collect())
    }

    /// The number of anchors.
    #[allow(clippy::len_without_is_empty)] // A bundle is never empty.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether the certificate is one of the anchors.
    pub fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        let der: &[u8] = certificate;
        self.anchors.iter().any(|anchor| &*anchor.der == der)
    }

    /// The anchors as PEM, without the comments they were read with.
    pub fn to_pem(&self) -> String {
        pem::encode_certificates(self.anchors.iter().map(|anchor| &anchor.der))
    }

    /// The anchors that are valid at a moment, for webpki, which would take an
    /// expired root. None may be left.
    pub(crate) fn roots(&self, now: Timestamp) -> Arc<RootCertStore> {
        let valid = |a: &&Anchor| a.not_before <= now && now <= a.not_after;
        let left: Vec<Anchor> = self.anchors.iter().filter(valid).cloned().collect();
        if left.len() == self.anchors.len() {
            return self.roots.clone();
        }
        // What is here was added before, so it is no less able now.
        Arc::new(store(&left).unwrap_or_else(|_| RootCertStore::empty()))
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustBundle")
            .field("anchors", &self.anchors.len())
            .finish()
    }
}

impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        self.anchors == other.anchors
    }
}

impl Anchor {
    fn new(number: usize, der: CertificateDer<'static>) -> Result<Self, Error> {
        let malformed = |_| Error::Malformed(number);
        let (not_before, not_after) = {
            let certificate = leaf::parse(&der).map_err(malformed)?;
            // Certificates of version 1 cannot say that they are CAs.
            if !certificate.is_ca() && certificate.version() != X509Version::V1 {
                return Err(Error::NoAuthority(number));
            }
            leaf::validity(&certificate).map_err(malformed)?
        };
        Ok(Self {
            der,
            not_before,
            not_after,
        })
    }
}

fn store(anchors: &[Anchor]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for (number, anchor) in (1..).zip(anchors) {
        roots
            .add(anchor.der.clone())
            .map_err(|_| Error::Malformed(number))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ED25519};

    use super::*;

    fn certificate(is_ca: IsCa) -> CertificateDer<'static> {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = is_ca;
        params.self_signed(&key).unwrap().der().clone()
    }

    fn root() -> CertificateDer<'static> {
        certificate(IsCa::Ca(BasicConstraints::Unconstrained))
    }

    #[test]
    fn anchors_are_read_once_each_and_written_without_comments() {
        let roots = [root(), root()];
        let [one, two] = [0, 1].map(|at| pem::encode("CERTIFICATE", &roots[at]));
        let bundle = TrustBundle::from_pem(format!("# a\n{one}\n{two}# b\n{one}").as_bytes());
        let bundle = bundle.unwrap();
        assert_eq!(bundle.len(), 2);
        assert!(roots.iter().all(|root| bundle.contains(root)));
        assert!(!bundle.contains(&root()));
        assert_eq!(bundle.to_pem(), one.clone() + &two);
        let first = TrustBundle::from_pem(one.as_bytes()).unwrap();
        assert!(first.merged(&bundle).unwrap() == bundle);
    }

    #[test]
    fn what_cannot_be_an_anchor_is_named_by_its_place() {
        let check = |certificates: Vec<CertificateDer<'static>>, expected: Error| {
            assert_eq!(TrustBundle::from_der(certificates).unwrap_err(), expected);
        };
        check(vec![], Error::Empty);
        check(vec![root(), vec![1, 2].into()], Error::Malformed(2));
        for leaf in [IsCa::NoCa, IsCa::ExplicitNoCa] {
            check(vec![certificate(leaf)], Error::NoAuthority(1));
        }
        let many = (0..=MAX_ANCHORS).map(|_| root()).collect();
        check(many, Error::TooMany);
    }

    #[test]
    fn anchors_count_while_they_are_valid() {
        let bundle = TrustBundle::from_der(vec![root()]).unwrap();
        let end = bundle.anchors[0].not_after;
        assert_eq!(bundle.roots(end).len(), 1);
        assert!(bundle.roots(end + Duration::from_secs(1)).is_empty());
    }

    proptest! {
        #[test]
        fn any_damage_is_answered(at in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<prop::sample::Index>()) {
            let mut text = pem::encode("CERTIFICATE", &root()).into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            let _ = TrustBundle::from_pem(&text);
            text.truncate(end.index(text.len()));
            let _ = TrustBundle::from_pem(&text);
        }

        #[test]
        fn any_der_is_answered(der in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(TrustBundle::from_der(vec![der.into()]).is_err());
        }
    }
}
