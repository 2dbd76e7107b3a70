//! A process's own identity, and the TLS configurations that follow it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SignatureScheme};

use crate::anchors::Anchors;
use crate::clock::Clock;
use crate::jwt::Jwt;
use crate::leaf::{self, Leaf};
use crate::spiffe::SpiffeId;
use crate::tls::{ALPN, Acceptor, Connector, provider};
use crate::verify::{PeerRule, Verifier};

/// A certificate with its key, and the tokens that came with it.
pub struct Svid {
    leaf: Leaf,
    certified: Arc<CertifiedKey>,
    pub(crate) jwt: Option<Jwt>,
    pub(crate) audience_jwts: BTreeMap<String, Jwt>,
}

/// Why a certificate and a key are no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("there is no certificate")]
    Empty,
    #[error(transparent)]
    Leaf(#[from] leaf::Error),
    #[error("the key cannot be used")]
    Key,
    #[error("the key does not belong to the certificate")]
    Mismatch,
}

impl Svid {
    /// An identity of a chain, leaf first, and the leaf's key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Unusable> {
        let leaf = Leaf::parse(chain.first().ok_or(Unusable::Empty)?)?;
        let key = provider().key_provider.load_private_key(key);
        let certified = CertifiedKey::new(chain, key.map_err(|_| Unusable::Key)?);
        certified.keys_match().map_err(|_| Unusable::Mismatch)?;
        Ok(Self {
            leaf,
            certified: Arc::new(certified),
            jwt: None,
            audience_jwts: BTreeMap::new(),
        })
    }

    pub fn id(&self) -> &SpiffeId {
        &self.leaf.id
    }

    pub fn not_before(&self) -> Timestamp {
        self.leaf.not_before
    }

    pub fn not_after(&self) -> Timestamp {
        self.leaf.not_after
    }

    /// The leaf and its issuers, without the root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The token for Sentry's trust domain and all audiences asked for.
    pub fn jwt(&self) -> Option<&Jwt> {
        self.jwt.as_ref()
    }

    /// The token for one audience alone.
    pub fn jwt_for(&self, audience: &str) -> Option<&Jwt> {
        self.audience_jwts.get(audience)
    }

    /// When the first of its tokens ends.
    pub fn jwt_expires(&self) -> Option<Timestamp> {
        let all = self.jwt.iter().chain(self.audience_jwts.values());
        all.map(Jwt::expires).min()
    }
}

impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("leaf", &self.leaf)
            .finish_non_exhaustive()
    }
}

/// The identity of this moment and the anchors it trusts; clones are the same.
///
/// Configurations made from it read both at each handshake, so nothing has to
/// be made anew after a rotation. No session is ever resumed: a resumed one
/// would skip the certificates, and with them an expiry, another bundle or
/// another rule. Connections that are open stay open.
#[derive(Clone, Debug)]
pub struct Identity {
    current: Arc<ArcSwap<Svid>>,
    anchors: Anchors,
    clock: Clock,
}

impl Identity {
    pub(crate) fn new(svid: Svid, anchors: Anchors, clock: Clock) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(svid)),
            anchors,
            clock,
        }
    }

    /// An identity that nobody renews but [`Identity::replace`]: Sentry's own, and tests'.
    pub fn fixed(svid: Svid, anchors: Anchors) -> Self {
        Self::new(svid, anchors, Clock::default())
    }

    /// The certificate in use now.
    pub fn current(&self) -> Arc<Svid> {
        self.current.load_full()
    }

    /// The trust anchors in use.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// Puts another certificate in its place: handshakes from now on show it.
    pub fn replace(&self, svid: Svid) {
        self.current.store(Arc::new(svid));
    }

    /// For a server whose clients must show a certificate that the rule accepts.
    pub fn server_config(&self, clients: PeerRule) -> Arc<ServerConfig> {
        self.server(Verifier::new(self.anchors.clone(), clients))
    }

    /// For a server that asks for no certificate: Sentry's.
    pub fn open_server_config(&self) -> Arc<ServerConfig> {
        self.server(WebPkiClientVerifier::no_client_auth())
    }

    fn server(&self, clients: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
        let mut config =
            ServerConfig::builder_with_details(provider().clone(), Arc::new(self.clock.clone()))
                .with_protocol_versions(&[&TLS13, &TLS12])
                .expect("the provider has suites of both versions")
                .with_client_cert_verifier(clients)
                .with_cert_resolver(Arc::new(Current(self.current.clone())));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Arc::new(config)
    }

    /// For a client of servers that the rule accepts; it shows its certificate.
    pub fn client_config(&self, server: PeerRule) -> Arc<ClientConfig> {
        let verifier = Verifier::new(self.anchors.clone(), server);
        client_config(verifier, &self.clock, Some(self.current.clone()))
    }

    /// Takes connections of clients that the rule accepts.
    pub fn acceptor(&self, clients: PeerRule) -> Acceptor {
        Acceptor::new(self.server_config(clients))
    }

    /// Makes connections to servers that the rule accepts.
    pub fn connector(&self, server: PeerRule) -> Connector {
        Connector::tls(self.client_config(server))
    }
}

/// For a client that has a certificate to show, or none yet.
pub(crate) fn client_config(
    verifier: Arc<Verifier>,
    clock: &Clock,
    current: Option<Arc<ArcSwap<Svid>>>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_details(provider().clone(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has suites of both versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match current {
        Some(current) => builder.with_client_cert_resolver(Arc::new(Current(current))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

/// Answers each handshake with the certificate of its moment.
#[derive(Debug)]
struct Current(Arc<ArcSwap<Svid>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified.clone())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
