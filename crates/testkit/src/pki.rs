//! Certificates for tests: authorities, and leaves of every kind of fault.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};

/// A certificate authority whose key is at hand: a root, or what a root signed.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// This authority first, the root last.
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

/// What a leaf says.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// A name of a server, `127.0.0.1`, or a SPIFFE id.
    pub name: &'a str,
    /// Whether its validity is over.
    pub expired: bool,
}

/// A certificate with its chain and key.
pub struct Credentials {
    /// Leaf first, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Authority {
    /// A root of this name.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn root(name: &str) -> Self {
        let (params, key) = (authority(name), new_key());
        let certificate = params.self_signed(&key).expect("a root signs itself");
        Self {
            chain: vec![certificate.der().clone()],
            key: key.serialize_der(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority of this name that this one vouches for.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn intermediate(&self, name: &str) -> Self {
        let (params, key) = (authority(name), new_key());
        let signed = params.signed_by(&key, &self.issuer);
        let mut chain = vec![signed.expect("an authority signs another").der().clone()];
        chain.extend(self.chain.iter().cloned());
        Self {
            chain,
            key: key.serialize_der(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A leaf for clients and servers.
    ///
    /// # Panics
    /// When the name can be in no certificate.
    pub fn leaf(&self, leaf: Leaf<'_>) -> Credentials {
        let key = new_key();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![alternative_name(leaf.name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if leaf.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 2);
        }
        let signed = params.signed_by(&key, &self.issuer);
        let mut chain = vec![signed.expect("an authority signs a leaf").der().clone()];
        chain.extend(self.chain[..self.chain.len() - 1].iter().cloned());
        Credentials {
            chain,
            key: key.serialize_der(),
        }
    }

    /// This authority's own certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.chain[0])
    }

    /// Its private key, PEM.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let root = self.chain.last().expect("every chain ends in a root");
        roots
            .add(root.clone())
            .expect("our own roots are well-formed");
        Arc::new(roots)
    }
}

impl Credentials {
    /// The chain, PEM.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|c| pem("CERTIFICATE", c)).collect()
    }

    /// The private key, PEM.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone().into())
    }

    /// A server with these, which asks for a certificate of `clients`, if given.
    ///
    /// # Panics
    /// When the credentials do not fit together.
    pub fn server(&self, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.3");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(authority.roots(), provider());
                builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
            }
        };
        let mut config = builder
            .with_single_cert(self.chain.clone(), self.key())
            .expect("certificate and key belong together");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// A client that believes whatever server it meets, and shows these, if any. It
/// offers HTTP/2 only.
///
/// # Panics
/// When the credentials do not fit together.
pub fn credulous_client(own: Option<&Credentials>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder
            .with_client_auth_cert(own.chain.clone(), own.key())
            .expect("certificate and key belong together"),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Accepts every server: a test that plays an attacker does not mind whom it meets.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn alternative_name(name: &str) -> SanType {
    let text = || name.try_into().expect("tests use plain names");
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains("://") => SanType::URI(text()),
        Err(_) => SanType::DnsName(text()),
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        lines += &String::from_utf8_lossy(line);
        lines.push('\n');
    }
    lines + &format!("-----END {label}-----\n")
}
