//! Asking Sentry for a certificate, and checking what it gives.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use proto::dapr::sentry::v1::ca_client::CaClient;
use proto::dapr::sentry::v1::{SignCertificateRequest, SignCertificateResponse};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::pki_types::PrivateKeyDer;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::anchors::Anchors;
use crate::clock::Clock;
use crate::identity::{Svid, Unusable, client_config};
use crate::jwt::{self, Jwt};
use crate::options::{KeyKind, Options, Service};
use crate::tls::Connector;
use crate::token::{self, TokenSource};
use crate::verify::{PeerRule, Refused, Verifier, verify_chain};
use crate::{pem, renewal};

const SCOPE: &str = "dapr.runtime.security";
const TRIES: u32 = 5;
const TRY: Duration = Duration::from_secs(3);
/// A refused connection is known at once; a Sentry that restarts needs a moment.
const PAUSE: Duration = Duration::from_secs(1);

/// Why there is no certificate; the first three begin as upstream's do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("error establishing connection to sentry: {0}")]
    Connection(String),
    #[error("error obtaining token: {0}")]
    Token(#[from] token::Error),
    #[error("error from sentry SignCertificate: rpc error: code = {} desc = {}", code(.0), .0.message())]
    Refused(Box<Status>),
    #[error("error generating the certificate request: {0}")]
    Request(rcgen::Error),
    #[error("error from sentry SignCertificate: the answer is not usable: {0}")]
    Answer(#[from] Answer),
}

/// What is wrong with an answer of Sentry.
#[derive(Debug, thiserror::Error)]
pub enum Answer {
    #[error(transparent)]
    Pem(#[from] pem::Error),
    #[error(transparent)]
    Svid(#[from] Unusable),
    #[error(transparent)]
    Identity(#[from] Refused),
    #[error("the chain does not lead to the trust anchors: {0}")]
    Chain(rustls::Error),
    #[error("the end of the validity is missing or no time")]
    ValidUntil,
    #[error(transparent)]
    Jwt(#[from] jwt::Error),
}

impl Error {
    /// The metric's label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Connection(_) => "sentry_conn",
            Self::Token(_) => "sentry_token",
            Self::Answer(Answer::ValidUntil) => "invalid_ts",
            Self::Answer(Answer::Jwt(jwt::Error::Malformed)) => "jwt_parse",
            Self::Answer(Answer::Jwt(jwt::Error::Audience)) => "jwt_aud",
            _ => "sign",
        }
    }

    /// Whether the same request may succeed in a moment.
    fn is_transient(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Refused(status) => !matches!(
                status.code(),
                Code::InvalidArgument
                    | Code::PermissionDenied
                    | Code::Unauthenticated
                    | Code::Unimplemented
                    | Code::FailedPrecondition
            ),
            _ => false,
        }
    }
}

/// Go's name of the code, which differs in one.
fn code(status: &Status) -> String {
    match status.code() {
        Code::Cancelled => "Canceled".into(),
        code => format!("{code:?}"),
    }
}

/// A client of Sentry that always asks for the same identity.
pub(crate) struct Client {
    address: String,
    connector: Connector,
    tokens: TokenSource,
    id: String,
    namespace: String,
    trust_domain: Option<String>,
    jwt_audiences: Vec<String>,
    /// Whom the certificate must be of.
    expected: PeerRule,
    key: KeyKind,
    anchors: Anchors,
    clock: Clock,
}

impl Client {
    pub(crate) fn new(options: &Options, anchors: Anchors) -> Self {
        let sentry = PeerRule::Exact(options.control_plane.id(Service::Sentry));
        let verifier = Verifier::new(anchors.clone(), sentry);
        let id = options.requested_id().to_owned();
        let trust_domain = options.requested_trust_domain().map(str::to_owned);
        let expected = match &trust_domain {
            Some(domain) => PeerRule::Exact(crate::SpiffeId::new(domain, &options.namespace, &id)),
            None => PeerRule::Path {
                namespace: options.namespace.clone(),
                app_id: id.clone(),
            },
        };
        Self {
            address: options.sentry_address.clone(),
            connector: Connector::tls(client_config(verifier, &options.clock, None)),
            tokens: TokenSource::new(options.token_file.clone(), options.mode),
            id,
            namespace: options.namespace.clone(),
            trust_domain,
            jwt_audiences: options.jwt_audiences.clone(),
            expected,
            key: options.key,
            anchors,
            clock: options.clock.clone(),
        }
    }

    /// A new key and a certificate for it, in up to five tries of three seconds.
    pub(crate) async fn sign(&self) -> Result<Svid, Error> {
        let token = self.tokens.read().await?;
        let (key, csr) = certificate_request(self.key).map_err(Error::Request)?;
        let request = SignCertificateRequest {
            id: self.id.clone(),
            token: token.value,
            trust_domain: self.trust_domain.clone().unwrap_or_default(),
            namespace: self.namespace.clone(),
            certificate_signing_request: csr,
            token_validator: token.validator.into(),
            jwt_audiences: self.jwt_audiences.clone(),
        };
        let mut tries = 1;
        let answer = loop {
            match self.call(request.clone()).await {
                Ok(answer) => break answer,
                Err(error) if tries == TRIES || !error.is_transient() => return Err(error),
                Err(_) => tries += 1,
            }
            self.clock.sleep(PAUSE).await;
        };
        Ok(self.accept(answer, key)?)
    }

    /// One try, on a connection of its own: the next one comes in half a day.
    async fn call(
        &self,
        request: SignCertificateRequest,
    ) -> Result<SignCertificateResponse, Error> {
        let deadline = Instant::now() + TRY;
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(|e| Error::Connection(e.to_string()))?;
        let connecting = endpoint.connect_with_connector(self.connector.clone());
        let channel = timeout_at(deadline, connecting)
            .await
            .map_err(|_| Error::Connection(format!("no connection within {TRY:?}")))?
            .map_err(|e| Error::Connection(causes(&e)))?;
        let mut client = CaClient::new(channel);
        let answer = timeout_at(deadline, client.sign_certificate(request)).await;
        let late = |_| Status::deadline_exceeded(format!("no answer within {TRY:?}"));
        let answer = answer.map_err(late).flatten();
        Ok(answer
            .map_err(|s| Error::Refused(Box::new(s)))?
            .into_inner())
    }

    /// Takes nothing that does not fit: another key, another identity, a chain
    /// that peers would refuse.
    fn accept(
        &self,
        answer: SignCertificateResponse,
        key: PrivateKeyDer<'static>,
    ) -> Result<Svid, Answer> {
        let chain = pem::certificates(&answer.workload_certificate)?;
        let mut svid = Svid::new(chain, key)?;
        self.expected.check(svid.id())?;
        let announced = answer.trust_chain_certificates.join(&b'\n');
        let bundle = self.anchors.with_announced(&announced).unwrap_or_else(|error| {
            tracing::warn!(target: SCOPE, "Trust anchors announced by sentry are not usable: {error}");
            self.anchors.current()
        });
        verify_chain(&bundle, svid.chain(), self.clock.now()).map_err(Answer::Chain)?;
        answer
            .valid_until
            .and_then(|until| Timestamp::new(until.seconds, until.nanos).ok())
            .ok_or(Answer::ValidUntil)?;
        if let Some(token) = answer.jwt {
            let jwt = Jwt::parse(token)?;
            let expires = renewal::go_time(jwt.expires());
            tracing::info!(target: SCOPE, "Successfully received JWT SVID with expiry: {expires}");
            svid.jwt = Some(jwt);
        }
        for (audience, token) in answer.per_audience_jwts {
            let jwt = Jwt::for_audience(token, &audience)?;
            let expires = renewal::go_time(jwt.expires());
            tracing::info!(
                target: SCOPE,
                "Successfully received per-audience JWT SVID for audience {audience} with expiry: {expires}"
            );
            svid.audience_jwts.insert(audience, jwt);
        }
        self.anchors.learn(bundle);
        Ok(svid)
    }
}

/// A key, and a request without subject or names: Sentry reads its key only.
fn certificate_request(kind: KeyKind) -> Result<(PrivateKeyDer<'static>, Bytes), rcgen::Error> {
    let key = match kind {
        KeyKind::Ed25519 => KeyPair::generate_for(&PKCS_ED25519)?,
        // A fraction of a second, twice a day, in two services of the control plane.
        KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?,
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&key)?;
    let csr = pem::encode("CERTIFICATE REQUEST", csr.der());
    Ok((key.into(), csr.into()))
}

/// tonic's own text says only that it is a transport error.
fn causes(error: &dyn std::error::Error) -> String {
    let mut source = error.source();
    let mut text = error.to_string();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::SignatureAlgorithm;
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::FromDer;

    use super::*;
    use crate::tls::provider;

    #[test]
    fn a_request_has_a_key_of_the_wanted_kind_and_nothing_else() {
        for (kind, expected) in [
            (KeyKind::Ed25519, SignatureAlgorithm::ED25519),
            (KeyKind::Rsa2048, SignatureAlgorithm::RSA),
        ] {
            let (key, csr) = certificate_request(kind).unwrap();
            let key = provider().key_provider.load_private_key(key).unwrap();
            assert_eq!(key.algorithm(), expected);
            let (_, csr) = x509_parser::pem::parse_x509_pem(&csr).unwrap();
            assert_eq!(csr.label, "CERTIFICATE REQUEST");
            let (_, csr) = X509CertificationRequest::from_der(&csr.contents).unwrap();
            let info = &csr.certification_request_info;
            assert_eq!(info.subject.iter().count(), 0);
            assert!(info.attributes().is_empty());
            let spki = key.public_key().unwrap();
            assert_eq!(info.subject_pki.raw, spki.as_ref());
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let check = |error: Error, transient: bool, text: &str| {
            assert_eq!(error.is_transient(), transient, "{error}");
            assert_eq!(error.to_string(), text);
        };
        let refused = |status| Error::Refused(Box::new(status));
        let begin = "error from sentry SignCertificate: rpc error: code =";
        for (status, transient, text) in [
            (Status::unavailable("a"), true, "Unavailable desc = a"),
            (Status::cancelled("b"), true, "Canceled desc = b"),
            (
                Status::permission_denied("c"),
                false,
                "PermissionDenied desc = c",
            ),
            (
                Status::invalid_argument("d"),
                false,
                "InvalidArgument desc = d",
            ),
        ] {
            check(refused(status), transient, &format!("{begin} {text}"));
        }
        let away = Error::Connection("refused".into());
        check(
            away,
            true,
            "error establishing connection to sentry: refused",
        );
        let unusable = Error::Answer(Answer::ValidUntil);
        check(
            unusable,
            false,
            "error from sentry SignCertificate: the answer is not usable: the end of the validity is missing or no time",
        );
    }
}
