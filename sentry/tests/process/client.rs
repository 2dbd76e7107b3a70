//! A client as a sidecar is one: it verifies the chain and not the name.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use hyper_util::rt::TokioIo;
use proto::dapr::sentry::v1::ca_client::CaClient;
use proto::dapr::sentry::v1::{SignCertificateRequest, SignCertificateResponse};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// A request of a new key.
pub(crate) fn request(id: &str) -> SignCertificateRequest {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    SignCertificateRequest {
        id: id.into(),
        namespace: "default".into(),
        certificate_signing_request: crate::authority::pem("CERTIFICATE REQUEST", csr.der()).into(),
        ..SignCertificateRequest::default()
    }
}

#[derive(Debug)]
struct Chain(Arc<WebPkiServerVerifier>);

impl Chain {
    fn new(anchors: &[u8]) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for anchor in CertificateDer::pem_slice_iter(anchors) {
            roots.add(anchor.unwrap()).unwrap();
        }
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        Self(verifier.build().unwrap())
    }
}

impl ServerCertVerifier for Chain {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(leaf, rest, name, ocsp, now) {
            // The name comes last, and identities have none.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whether a PEM chain leads to one of the anchors now.
pub(crate) fn verifies(chain: &[u8], anchors: &[u8]) -> anyhow::Result<()> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain?;
    let (leaf, rest) = chain.split_first().context("no leaf")?;
    let name = ServerName::try_from("none.example")?;
    Chain::new(anchors).verify_server_cert(leaf, rest, &name, &[], UnixTime::now())?;
    Ok(())
}

/// How many certificates a PEM text has.
pub(crate) fn count(text: &[u8]) -> usize {
    CertificateDer::pem_slice_iter(text).count()
}

pub(crate) struct Client {
    port: u16,
    tls: TlsConnector,
}

impl Client {
    pub(crate) fn new(port: u16, anchors: &[u8]) -> Self {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Chain::new(anchors)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Self { port, tls }
    }

    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.port, self.tls.clone()).await
    }

    pub(crate) async fn ask(
        &self,
        request: SignCertificateRequest,
    ) -> Result<SignCertificateResponse, Status> {
        let answer = self.channel().sign_certificate(request).await?;
        Ok(answer.into_inner())
    }

    /// A connection that is made at the first call and kept.
    pub(crate) fn channel(&self) -> CaClient<Channel> {
        let (port, tls) = (self.port, self.tls.clone());
        let connector = tower::service_fn(move |_| {
            let tls = tls.clone();
            async move { connect(port, tls).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://sentry");
        CaClient::new(endpoint.connect_with_connector_lazy(connector))
    }

    /// The URI in the certificate of the server.
    pub(crate) async fn server_uri(&self) -> anyhow::Result<String> {
        let stream = self.connect().await?;
        let (_, session) = stream.get_ref();
        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
        ensure!(
            session.handshake_kind() == Some(HandshakeKind::Full),
            "the session of an earlier connection was resumed"
        );
        let chain = session.peer_certificates().context("no certificate")?;
        let (_, leaf) = X509Certificate::from_der(&chain[0])?;
        let names = leaf.subject_alternative_name()?.context("no names")?;
        match &names.value.general_names[..] {
            [x509_parser::extensions::GeneralName::URI(uri)] => Ok((*uri).to_owned()),
            other => bail!("{other:?}"),
        }
    }
}

async fn connect(port: u16, tls: TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    tls.connect(name, stream).await
}
