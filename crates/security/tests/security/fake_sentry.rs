//! Sentry as a test wants it: gRPC over TLS, with the faults that are asked for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use proto::dapr::sentry::v1::ca_server::{Ca, CaServer};
use proto::dapr::sentry::v1::{SignCertificateRequest, SignCertificateResponse};
use rcgen::{PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use security::{Acceptor, AnchorSource, Clock, Options, pem};
use service::Tasks;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::authority::{Authority, HOUR, leaf_params, valid};

pub(crate) const SENTRY: &str = "spiffe://localhost/ns/default/dapr-sentry";

/// Clones are the same server.
#[derive(Clone)]
pub(crate) struct FakeSentry {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    pub(crate) authority: Arc<Authority>,
    /// Connections are dropped as they come.
    pub(crate) away: bool,
    pub(crate) refuse: Option<Status>,
    /// The identity it gives instead of the one it was asked for.
    pub(crate) other_id: Option<String>,
    /// It certifies a key of its own.
    pub(crate) other_key: bool,
    pub(crate) lifetime: Duration,
    pub(crate) announced: String,
    pub(crate) jwt: Option<String>,
    pub(crate) no_end: bool,
    pub(crate) requests: Vec<SignCertificateRequest>,
}

impl FakeSentry {
    pub(crate) async fn start() -> Self {
        Self::start_as(SENTRY).await
    }

    /// It shows a certificate of this id.
    pub(crate) async fn start_as(id: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = Arc::new(Authority::new());
        let state = State {
            announced: authority.pem(),
            authority,
            away: false,
            refuse: None,
            other_id: None,
            other_key: false,
            lifetime: HOUR * 24,
            jwt: None,
            no_end: false,
            requests: Vec::new(),
        };
        let sentry = Self {
            address: listener.local_addr().unwrap(),
            clock: Clock::default(),
            state: Arc::new(Mutex::new(state)),
        };
        let (server, id) = (sentry.clone(), id.to_owned());
        Tasks::new().spawn(
            "fake sentry",
            async move { server.serve(listener, &id).await },
        );
        sentry
    }

    async fn serve(self, listener: TcpListener, id: &str) {
        let tasks = Tasks::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if self.state().away {
                continue;
            }
            // Its own certificate never ends, whatever time a test has.
            let authority = self.state().authority.clone();
            let own = authority.svid_with(id, |p| p.not_after = rcgen::date_time_ymd(2100, 1, 1));
            let own = security::Identity::fixed(own, authority.anchors());
            let acceptor = Acceptor::new(own.open_server_config());
            let service = TowerToHyperService::new(CaServer::new(self.clone()));
            tasks.spawn("connection", async move {
                if let Ok(stream) = acceptor.accept_anonymous(stream).await {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                }
            });
        }
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Options of an app that knows this Sentry and its present root.
    pub(crate) fn options(&self, app_id: &str) -> Options {
        let options = Options::from_env(app_id, "default", |_| None).unwrap();
        Options {
            sentry_address: self.address.to_string(),
            mtls: true,
            anchors: Some(AnchorSource::Pem(self.state().authority.pem())),
            clock: self.clock.clone(),
            ..options
        }
    }

    fn answer(&self, request: SignCertificateRequest) -> Result<SignCertificateResponse, Status> {
        let mut state = self.state();
        state.requests.push(request.clone());
        if let Some(status) = &state.refuse {
            return Err(status.clone());
        }
        let domain = Some(request.trust_domain).filter(|domain| !domain.is_empty());
        let id = state.other_id.clone().unwrap_or(format!(
            "spiffe://{}/ns/{}/{}",
            domain.as_deref().unwrap_or("public"),
            request.namespace,
            request.id
        ));
        let mut params = leaf_params(&id);
        let now = self.clock.now();
        let end = now + state.lifetime;
        valid(&mut params, now - HOUR / 4, end);
        let chain = if state.other_key {
            state.authority.pair(&params).0
        } else {
            let csr = &request.certificate_signing_request;
            state.authority.issue(&PublicKey::of_csr(csr), &params)
        };
        let end = prost_types::Timestamp {
            seconds: end.as_second(),
            nanos: 0,
        };
        Ok(SignCertificateResponse {
            workload_certificate: pem::encode_certificates(&chain).into(),
            trust_chain_certificates: vec![state.announced.clone().into()],
            valid_until: (!state.no_end).then_some(end),
            jwt: state.jwt.clone(),
            ..Default::default()
        })
    }
}

#[tonic::async_trait]
impl Ca for FakeSentry {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        self.answer(request.into_inner()).map(Response::new)
    }
}

/// The Ed25519 key of a request.
struct PublicKey(Vec<u8>);

impl PublicKey {
    fn of_csr(pem: &[u8]) -> Self {
        let csr = CertificateSigningRequestDer::from_pem_slice(pem).unwrap();
        let (rest, csr) = X509CertificationRequest::from_der(&csr).unwrap();
        assert!(rest.is_empty());
        let info = &csr.certification_request_info;
        assert_eq!(info.subject.iter().count(), 0, "the subject is empty");
        let key = &info.subject_pki.subject_public_key.data;
        assert_eq!(key.len(), 32, "the key is an Ed25519 key");
        Self(key.to_vec())
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
