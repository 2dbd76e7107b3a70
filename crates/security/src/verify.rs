//! Who a peer is: its chain ends in the trust bundle, its leaf has the id the rule asks for.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use crate::anchors::Anchors;
use crate::bundle::TrustBundle;
use crate::leaf::{self, Leaf};
use crate::spiffe::SpiffeId;
use crate::tls::provider;

/// Which peers are accepted, once their chain ends in the trust bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerRule {
    /// Whoever has a SPIFFE id.
    Any,
    /// One id, its trust domain included: services of the control plane.
    Exact(SpiffeId),
    /// An app of any trust domain: other sidecars.
    Path { namespace: String, app_id: String },
}

/// There is an identity, but not one that the rule accepts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is of {found}, not of {wanted}")]
pub struct Refused {
    pub found: Box<SpiffeId>,
    pub wanted: Box<PeerRule>,
}

impl PeerRule {
    /// Whether the rule accepts the id.
    pub fn check(&self, found: &SpiffeId) -> Result<(), Refused> {
        let accepted = match self {
            Self::Any => true,
            Self::Exact(wanted) => wanted == found,
            Self::Path { namespace, app_id } => {
                *namespace == found.namespace && *app_id == found.app_id
            }
        };
        if accepted {
            return Ok(());
        }
        Err(Refused {
            found: Box::new(found.clone()),
            wanted: Box::new(self.clone()),
        })
    }
}

impl fmt::Display for PeerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anybody"),
            Self::Exact(id) => id.fmt(f),
            Self::Path { namespace, app_id } => {
                write!(f, "app {app_id} in namespace {namespace}")
            }
        }
    }
}

/// Checks a chain, leaf first, as one would check a server's, and reads its leaf.
pub fn verify_chain(
    bundle: &TrustBundle,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<Leaf, Error> {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(Error::NoCertificatesPresented);
    };
    let since = std::time::Duration::try_from(now.as_duration());
    let now_unix = UnixTime::since_unix_epoch(since.map_err(|_| Error::FailedToGetCurrentTime)?);
    server_chain(bundle, leaf, intermediates, now_unix, now)?;
    read(leaf)
}

/// The verifier of both sides. It reads the bundle at each handshake, so that a
/// rotation of roots needs no new configuration. Host names do not count.
#[derive(Debug)]
pub(crate) struct Verifier {
    anchors: Anchors,
    rule: PeerRule,
}

impl Verifier {
    pub(crate) fn new(anchors: Anchors, rule: PeerRule) -> Arc<Self> {
        Arc::new(Self { anchors, rule })
    }

    fn authorize(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        self.rule.check(&read(leaf)?.id).map_err(other)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let bundle = self.anchors.current();
        server_chain(&bundle, end_entity, intermediates, now, timestamp(now)?)?;
        self.authorize(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    /// No hints: they would be those of the bundle when the configuration was
    /// made, and a client has one certificate anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let roots = self.anchors.current().roots(timestamp(now)?);
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider().clone())
            .clear_root_hint_subjects()
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        let verified = chain.verify_client_cert(end_entity, intermediates, now)?;
        self.authorize(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn server_chain(
    bundle: &TrustBundle,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
    at: Timestamp,
) -> Result<(), Error> {
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(leaf)?,
        &bundle.roots(at),
        intermediates,
        now,
        algorithms().all,
    )
}

fn read(leaf: &CertificateDer<'_>) -> Result<Leaf, Error> {
    Leaf::parse(leaf).map_err(|error| match error {
        leaf::Error::Malformed => CertificateError::BadEncoding.into(),
        rule => other(rule),
    })
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

fn timestamp(now: UnixTime) -> Result<Timestamp, Error> {
    i64::try_from(now.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(Error::FailedToGetCurrentTime)
}

fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &provider().signature_verification_algorithms
}
